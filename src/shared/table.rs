//! The section table: which typed arrays a file holds, and where.
//!
//! ```text
//! offset  bytes  field of an entry, little-endian on every machine
//!      0     64  name of the section, UTF-8, padded with zeros
//!     64    128  name of the element type, ASCII, padded with zeros
//!    192      4  kind of the section
//!    196      4  which of the section's arrays this is
//!    200      8  element size, bytes
//!    208      8  element alignment, bytes
//!    216      8  number of elements
//!    224      8  where the array begins
//!    232      8  checksum of the array
//!    240     16  zeros
//! ```
//!
//! Every section is one or more plain arrays, each with an entry: a list of texts is
//! one of places and one of bytes, a map is one of keys, one of values, one of
//! signposts and one of marks. So there is one way to write, to verify and to map, and a kind is no more
//! than an agreement on what its arrays mean.
//!
//! Entries are in the order of the file, and arrays do not overlap.

use std::collections::BTreeSet;

use super::element::{NAME_BYTES, Spec};
use super::header::{HEADER_BYTES, half, word};
use crate::error::FormatProblem;

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 256;

/// More is refused: the table is read when the file is opened.
pub(super) const MOST_ENTRIES: u64 = 1 << 16;

/// The most bytes the name of a section may have.
pub(super) const SECTION_NAME_BYTES: usize = 64;

/// Sections from this size on begin at a multiple of it, where the system can map
/// them by huge pages.
pub(super) const HUGE_PAGE: u64 = 2 << 20;

const AT_TYPE: usize = SECTION_NAME_BYTES;
const AT_KIND: usize = 192;
const AT_PART: usize = 196;
const AT_SIZE: usize = 200;
const AT_ALIGN: usize = 208;
const AT_COUNT: usize = 216;
const AT_OFFSET: usize = 224;
pub(super) const AT_CHECKSUM: usize = 232;

/// What the arrays of a section mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u32);

impl Kind {
    pub(super) const SLICE: Self = Self(1);
    pub(super) const BYTES: Self = Self(2);
    pub(super) const STRS: Self = Self(3);
    /// 4 was a map with other signposts.
    pub(super) const MAP: Self = Self(6);
    #[cfg(feature = "rkyv")]
    pub(super) const ARCHIVE: Self = Self(5);

    pub(super) fn name(self) -> &'static str {
        match self.0 {
            1 => "a slice",
            2 => "a list of bytes",
            3 => "a list of texts",
            4 => "a map of an earlier build",
            5 => "an archive",
            6 => "a map",
            _ => "of a kind that this build does not know",
        }
    }
}

/// One array of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The section it belongs to.
    pub(super) section: String,
    /// The name of the element type; printable, whatever the file says.
    pub(super) element: String,
    pub(super) kind: Kind,
    /// Which of the section's arrays it is.
    pub(super) part: u32,
    /// Bytes of an element.
    pub(super) size: u64,
    /// Alignment of an element.
    pub(super) align: u64,
    /// Number of elements.
    pub(super) count: u64,
    /// Where it begins.
    pub(super) offset: u64,
    pub(super) checksum: u64,
}

impl Entry {
    /// Bytes of the array; no overflow, once it is decoded.
    pub(super) fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.size)
    }

    /// The bytes of the array in those of the file that the table is sound for.
    pub(super) fn of<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        // The file is in memory, so its offsets are lengths.
        &file[self.offset as usize..][..self.bytes() as usize]
    }

    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, self.section.as_bytes());
        put(AT_TYPE, self.element.as_bytes());
        put(AT_KIND, &self.kind.0.to_le_bytes());
        put(AT_PART, &self.part.to_le_bytes());
        put(AT_SIZE, &self.size.to_le_bytes());
        put(AT_ALIGN, &self.align.to_le_bytes());
        put(AT_COUNT, &self.count.to_le_bytes());
        put(AT_OFFSET, &self.offset.to_le_bytes());
        put(AT_CHECKSUM, &self.checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let name = text(&bytes[..AT_TYPE]);
        Some(Self {
            section: str::from_utf8(name).ok().filter(|name| is_name(name))?.to_owned(),
            element: text(&bytes[AT_TYPE..AT_TYPE + NAME_BYTES]).escape_ascii().to_string(),
            kind: Kind(half(bytes, AT_KIND)),
            part: half(bytes, AT_PART),
            size: word(bytes, AT_SIZE),
            align: word(bytes, AT_ALIGN),
            count: word(bytes, AT_COUNT),
            offset: word(bytes, AT_OFFSET),
            checksum: word(bytes, AT_CHECKSUM),
        })
    }

    /// Whether the elements are those asked for. The name comes first: where it
    /// differs, another size is no news.
    pub(super) fn verify_element(&self, spec: &Spec) -> Result<(), FormatProblem> {
        let differs = |what, found: String, expected: String| {
            if found == expected {
                Ok(())
            } else {
                Err(FormatProblem::Element { what, found, expected })
            }
        };
        let expected = spec.name.as_bytes().escape_ascii().to_string();
        differs("type", self.element.clone(), expected)?;
        differs("size", self.size.to_string(), spec.size.to_string())?;
        differs("alignment", self.align.to_string(), spec.align.to_string())
    }
}

/// Whether a section may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let length = 1..=SECTION_NAME_BYTES;
    length.contains(&name.len()) && !name.contains(char::is_control)
}

/// Where an array of so many bytes is placed, if the file ends at `end` so far.
pub(super) fn place(end: u64, bytes: u64) -> u64 {
    end.next_multiple_of(if bytes < HUGE_PAGE { HEADER_BYTES as u64 } else { HUGE_PAGE })
}

/// A name without the zeros behind it.
fn text(padded: &[u8]) -> &[u8] {
    let end = padded.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &padded[..end]
}

/// The entries of a table whose checksum is right and that begins at `table`. A right
/// checksum does not say that a sensible writer made it, so nothing is believed.
pub(super) fn decode(bytes: &[u8], table: u64) -> Result<Vec<Entry>, FormatProblem> {
    let refuse = |problem| Err(FormatProblem::Table { problem });
    let mut entries: Vec<Entry> = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    let mut seen = BTreeSet::new();
    let mut end = HEADER_BYTES as u64;
    let (chunks, _) = bytes.as_chunks::<ENTRY_BYTES>();
    for chunk in chunks {
        let Some(entry) = Entry::decode(chunk) else {
            return refuse("a section has no proper name");
        };
        let page = HEADER_BYTES as u64;
        if entry.size == 0 || !entry.align.is_power_of_two() || entry.align > page {
            return refuse("a section has elements that cannot be");
        }
        if entry.offset < end || !entry.offset.is_multiple_of(page) {
            return refuse("a section begins where it cannot");
        }
        let bytes = entry.count.checked_mul(entry.size);
        match bytes.and_then(|bytes| entry.offset.checked_add(bytes)) {
            Some(ends) if ends <= table => end = ends,
            _ => return refuse("a section ends where it cannot"),
        }
        if !seen.insert((entry.section.clone(), entry.part)) {
            return refuse("a section is there twice");
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_kind_it_is_told_what_to_do_with_it() {
        let told: Vec<_> = (1..8)
            .map(|kind| {
                let found = Kind(kind).name();
                FormatProblem::Kind { found, expected: "nothing" }.to_string()
            })
            .collect();
        let taken = |told: &&String| told.contains("not nothing; take it as ");
        assert_eq!(told.iter().filter(taken).count(), 5, "{told:?}");
        assert!(told[3].ends_with("; write it again by this build"), "{told:?}");
        assert!(told[6].ends_with("or write it again by this one"), "{told:?}");
    }

    fn entry(section: &str, offset: u64, count: u64) -> Entry {
        Entry {
            section: section.to_owned(),
            element: "u64".to_owned(),
            kind: Kind::SLICE,
            part: 0,
            size: 8,
            align: 8,
            count,
            offset,
            checksum: 7,
        }
    }

    fn decoded(entries: &[Entry]) -> Result<Vec<Entry>, FormatProblem> {
        decode(&entries.iter().map(Entry::encode).collect::<Vec<_>>().concat(), 1 << 20)
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let longest = "n".repeat(SECTION_NAME_BYTES);
        let entries = [entry("a", 4096, 3), entry("é", 8192, 512), entry(&longest, 12288, 1), {
            Entry { part: 1, kind: Kind(77), ..entry("a", 16384, 0) }
        }];
        assert_eq!(decoded(&entries), Ok(entries.to_vec()));
        assert_eq!(decoded(&[]), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let good = || entry("a", 4096, 3);
        let cases = [
            (vec![entry("", 4096, 3)], "proper name"),
            (vec![entry("a\nb", 4096, 3)], "proper name"),
            (vec![entry("a\0b", 4096, 3)], "proper name"),
            (vec![Entry { size: 0, ..good() }], "elements"),
            (vec![Entry { align: 0, ..good() }], "elements"),
            (vec![Entry { align: 3, ..good() }], "elements"),
            (vec![Entry { align: 8192, ..good() }], "elements"),
            (vec![entry("a", 0, 3)], "begins"),
            (vec![entry("a", 4104, 3)], "begins"),
            (vec![entry("a", 4096, 513), entry("b", 8192, 3)], "begins"),
            (vec![entry("a", 4096, 1 << 17)], "ends"),
            (vec![entry("a", 4096, u64::MAX / 8)], "ends"),
            (vec![entry("a", 4096, u64::MAX)], "ends"),
            (vec![good(), entry("a", 8192, 3)], "twice"),
        ];
        for (entries, expected) in cases {
            match decoded(&entries) {
                Err(FormatProblem::Table { problem }) => {
                    assert!(problem.contains(expected), "{problem}, not {expected}");
                }
                other => panic!("{other:?}"),
            }
        }
        let mut bytes = good().encode();
        bytes[0] = 0xff;
        assert!(decode(&bytes, 1 << 20).is_err());
    }

    #[test]
    fn another_element_is_told_by_what_differs_first() {
        let differs = |what, found: &str, expected: &str| {
            let (found, expected) = (found.to_owned(), expected.to_owned());
            Err(FormatProblem::Element { what, found, expected })
        };
        let (found, good) = (entry("a", 4096, 3), Spec::of::<u64>());
        assert_eq!(found.verify_element(&good), Ok(()));
        assert_eq!(found.verify_element(&Spec::of::<i64>()), differs("type", "u64", "i64"));
        let size = Spec { size: 4, ..good };
        assert_eq!(found.verify_element(&size), differs("size", "8", "4"));
        let align = Spec { align: 16, ..good };
        assert_eq!(found.verify_element(&align), differs("alignment", "8", "16"));
        let mut bytes = found.encode();
        bytes[AT_TYPE + 5] = 0xff;
        let foreign = Entry::decode(&bytes).expect("it has a name");
        let expected = differs("type", "u64\\x00\\x00\\xff", "u64");
        assert_eq!(foreign.verify_element(&good), expected);
    }

    #[test]
    fn large_arrays_begin_where_huge_pages_do() {
        assert_eq!((place(4096, 0), place(4097, HUGE_PAGE - 1)), (4096, 8192));
        assert_eq!((place(4096, HUGE_PAGE), place(HUGE_PAGE, u64::MAX)), (HUGE_PAGE, HUGE_PAGE));
    }

    /// The format is fixed: this test may only ever be added to.
    #[test]
    fn an_entry_is_these_bytes() {
        let bytes = Entry { part: 2, ..entry("rows", 4096, 5) }.encode();
        assert_eq!(bytes[..5], *b"rows\0");
        assert_eq!(bytes[64..68], *b"u64\0");
        assert_eq!(bytes[192..208], *b"\x01\0\0\0\x02\0\0\0\x08\0\0\0\0\0\0\0");
        assert_eq!(bytes[208..224], *b"\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
        assert_eq!(bytes[224..240], *b"\0\x10\0\0\0\0\0\0\x07\0\0\0\0\0\0\0");
        assert_eq!(bytes[240..], [0; 16]);
    }
}
