//! The header of a shared file: a pure function from facts to bytes and back.
//!
//! ```text
//! offset  bytes  field, little-endian on every machine
//!      0      8  magic
//!      8      4  format version
//!     12      4  byte order of the sections: 1 little, 2 big
//!     16      8  length of the file
//!     24      8  where the section table begins; it ends with the file
//!     32      8  number of entries in the table
//!     40      8  xxh3-64 of the table
//!     48   4040  zeros
//!   4088      8  xxh3-64 of the 4,088 bytes before
//! ```
//!
//! The header takes a page, so that nothing has to move when fields are added. The
//! table is at the end, because the writer knows it then, however many sections there
//! are; the header, written last of all, makes the file one.
//!
//! The header's checksum covers the table's, which covers those of the sections: two
//! files with one header checksum hold the same.
//!
//! **What every version of the format keeps**: the magic, the place of the
//! version, the size of the header and the place of its checksum. Damage is
//! therefore told from age: the checksum is verified before the version is
//! believed, and a sound header of another version is reported as such. Being
//! little-endian everywhere, the header of a foreign machine is read as well.

use twox_hash::XxHash3_64;

use super::table::{ENTRY_BYTES, MOST_ENTRIES};
use crate::error::FormatProblem;

/// Bytes of a header: a page. Sections begin behind it, at multiples of it.
pub(super) const HEADER_BYTES: usize = 4096;

/// As in PNG: a byte beyond ASCII and both kinds of line ends, so that a
/// transfer "as text" is noticed at once.
const MAGIC: [u8; 8] = *b"\x89PLIM\r\n\x1a";

/// Version 1 held one array and no table.
const VERSION: u32 = 2;

const LITTLE: u32 = 1;
const BIG: u32 = 2;
const NATIVE: u32 = if cfg!(target_endian = "big") { BIG } else { LITTLE };

const AT_VERSION: usize = 8;
const AT_ORDER: usize = 12;
const AT_LENGTH: usize = 16;
const AT_TABLE: usize = 24;
const AT_ENTRIES: usize = 32;
const AT_TABLE_CHECKSUM: usize = 40;
const AT_CHECKSUM: usize = HEADER_BYTES - 8;

/// What a verified header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Where the table begins.
    pub(super) table: u64,
    /// Number of entries in the table.
    pub(super) entries: u64,
    /// xxh3-64 of the table.
    pub(super) table_checksum: u64,
}

impl Header {
    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.table.saturating_add(self.entries.saturating_mul(ENTRY_BYTES as u64))
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(AT_VERSION, &VERSION.to_le_bytes());
        put(AT_ORDER, &NATIVE.to_le_bytes());
        put(AT_LENGTH, &self.length().to_le_bytes());
        put(AT_TABLE, &self.table.to_le_bytes());
        put(AT_ENTRIES, &self.entries.to_le_bytes());
        put(AT_TABLE_CHECKSUM, &self.table_checksum.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// Reads and verifies the header of a file of `file_bytes` bytes, of which
    /// `head` holds the first [`HEADER_BYTES`] or all.
    ///
    /// The first problem found is the one that explains the others: is it ours,
    /// is it whole, can this build read it, is all of it there.
    pub(super) fn decode(head: &[u8], file_bytes: u64) -> Result<Self, FormatProblem> {
        let begun = head.len().min(MAGIC.len());
        if head[..begun] != MAGIC[..begun] {
            return Err(FormatProblem::Magic);
        }
        let Some(bytes) = head.first_chunk::<HEADER_BYTES>() else {
            let header = HEADER_BYTES as u64;
            return Err(FormatProblem::TooShort { length: head.len() as u64, header });
        };
        verify_checksum(bytes)?;
        verify_reader(bytes)?;

        let recorded = word(bytes, AT_LENGTH);
        if file_bytes != recorded {
            return Err(FormatProblem::Length { found: file_bytes, recorded });
        }
        let header = Self {
            table: word(bytes, AT_TABLE),
            entries: word(bytes, AT_ENTRIES),
            table_checksum: word(bytes, AT_TABLE_CHECKSUM),
        };
        // A sum that overflows is longer than any file, so saturation refuses it too.
        let behind = header.table >= HEADER_BYTES as u64;
        if !behind || header.entries > MOST_ENTRIES || header.length() != recorded {
            return Err(FormatProblem::Table { problem: "it does not end the file" });
        }
        Ok(header)
    }
}

/// The checksum that a header records of itself.
pub(super) fn own_checksum(bytes: &[u8; HEADER_BYTES]) -> u64 {
    word(bytes, AT_CHECKSUM)
}

/// Writes the checksum of the header into the header.
pub(super) fn seal(bytes: &mut [u8; HEADER_BYTES]) {
    let checksum = XxHash3_64::oneshot(&bytes[..AT_CHECKSUM]);
    bytes[AT_CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
}

fn verify_checksum(bytes: &[u8; HEADER_BYTES]) -> Result<(), FormatProblem> {
    let found = XxHash3_64::oneshot(&bytes[..AT_CHECKSUM]);
    let recorded = own_checksum(bytes);
    if found == recorded { Ok(()) } else { Err(FormatProblem::HeaderChecksum { found, recorded }) }
}

/// Whether this build, on this machine, can read the file.
fn verify_reader(bytes: &[u8; HEADER_BYTES]) -> Result<(), FormatProblem> {
    let found = half(bytes, AT_VERSION);
    if found != VERSION {
        return Err(FormatProblem::Version { found, supported: VERSION });
    }
    let order = half(bytes, AT_ORDER);
    if order != NATIVE {
        let (found, native) = (order_name(order), order_name(NATIVE));
        return Err(FormatProblem::Endianness { found, native });
    }
    Ok(())
}

fn order_name(order: u32) -> &'static str {
    match order {
        LITTLE => "little",
        BIG => "big",
        _ => "unknown",
    }
}

/// The eight-byte field at a constant offset.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

/// The four-byte field at a constant offset.
pub(super) fn half(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: u64 = 8192;
    const FILE: u64 = TABLE + 2 * ENTRY_BYTES as u64;

    fn sample() -> (Header, [u8; HEADER_BYTES]) {
        let header = Header { table: TABLE, entries: 2, table_checksum: 0x0123_4567_89ab_cdef };
        (header, header.encode())
    }

    /// What is found when `field` stands at `at` in an otherwise sound header.
    fn with_field(at: usize, field: &[u8]) -> Result<Header, FormatProblem> {
        let (_, mut bytes) = sample();
        bytes[at..at + field.len()].copy_from_slice(field);
        seal(&mut bytes);
        Header::decode(&bytes, FILE)
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let (header, bytes) = sample();
        assert_eq!(Header::decode(&bytes, FILE), Ok(header));
    }

    #[test]
    fn every_flipped_bit_is_told_as_damage_or_as_foreign() {
        let (_, sound) = sample();
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = sound;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let problem = Header::decode(&bytes, FILE).expect_err("damaged");
            if bit < MAGIC.len() * 8 {
                assert_eq!(problem, FormatProblem::Magic, "bit {bit}");
            } else {
                assert!(matches!(problem, FormatProblem::HeaderChecksum { .. }), "bit {bit}");
            }
        }
    }

    #[test]
    fn every_other_length_is_told() {
        let (_, bytes) = sample();
        for length in (0..FILE).chain([FILE + 1, u64::MAX]) {
            let head = &bytes[..bytes.len().min(length as usize)];
            let header = HEADER_BYTES as u64;
            let expected = if length < header {
                FormatProblem::TooShort { length, header }
            } else {
                FormatProblem::Length { found: length, recorded: FILE }
            };
            assert_eq!(Header::decode(head, length), Err(expected));
        }
    }

    #[test]
    fn each_field_has_an_error_of_its_own() {
        let native = order_name(NATIVE);
        let other = order_name(LITTLE + BIG - NATIVE);
        let version = |found| FormatProblem::Version { found, supported: 2 };
        let table = || FormatProblem::Table { problem: "it does not end the file" };
        let cases: [(usize, &[u8], FormatProblem); 11] = [
            (0, b"#", FormatProblem::Magic),
            (AT_VERSION, &[1], version(1)),
            (AT_VERSION, &[3], version(3)),
            (
                AT_ORDER,
                &(LITTLE + BIG - NATIVE).to_le_bytes(),
                FormatProblem::Endianness { found: other, native },
            ),
            (AT_ORDER, &[9], FormatProblem::Endianness { found: "unknown", native }),
            (AT_LENGTH, &[0xff; 8], FormatProblem::Length { found: FILE, recorded: u64::MAX }),
            (AT_TABLE, &[0; 8], table()),
            (AT_TABLE, &[0xff; 8], table()),
            (AT_TABLE, &[1], table()),
            (AT_ENTRIES, &[3], table()),
            (AT_ENTRIES, &[0xff; 8], table()),
        ];
        for (at, field, problem) in cases {
            assert_eq!(with_field(at, field), Err(problem), "{at}");
        }
    }

    #[test]
    fn another_version_is_told_even_where_all_else_differs_too() {
        let mut bytes = [0x5a; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        for found in [0, 1, 7] {
            bytes[AT_VERSION..AT_ORDER].copy_from_slice(&u32::to_le_bytes(found));
            seal(&mut bytes);
            let other = FormatProblem::Version { found, supported: 2 };
            assert_eq!(Header::decode(&bytes, 4096), Err(other));
        }
    }

    /// The format is fixed: this test may only ever be added to.
    #[test]
    #[cfg(target_endian = "little")]
    fn version_2_is_these_bytes() {
        let (_, bytes) = sample();
        assert_eq!(bytes[..16], *b"\x89PLIM\r\n\x1a\x02\0\0\0\x01\0\0\0");
        assert_eq!(bytes[16..32], *b"\0\x22\0\0\0\0\0\0\0\x20\0\0\0\0\0\0");
        assert_eq!(bytes[32..48], *b"\x02\0\0\0\0\0\0\0\xef\xcd\xab\x89\x67\x45\x23\x01");
        assert!(bytes[48..AT_CHECKSUM].iter().all(|byte| *byte == 0));
    }
}
