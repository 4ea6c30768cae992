//! The header of a shared file: a pure function from facts to bytes and back.
//!
//! ```text
//! offset  bytes  field, little-endian on every machine
//!      0      8  magic
//!      8      4  format version
//!     12      4  byte order of the payload: 1 little, 2 big
//!     16      8  element size, bytes
//!     24      8  element alignment, bytes
//!     32      8  number of elements
//!     40      8  xxh3-64 of the payload
//!     48    128  name of the element type, ASCII, padded with zeros
//!    176   3912  zeros
//!   4088      8  xxh3-64 of the 4,088 bytes before
//! ```
//!
//! The header takes a page, so that the payload of a mapped file is aligned to
//! 4,096 bytes, there is room for the type's name as text (the error can then
//! say what the file holds, and so can `head -c 176`), and nothing has to move
//! when fields are added. The cost is 4 KiB for each file, and files here are
//! large.
//!
//! **What every version of the format keeps**: the magic, the place of the
//! version, the size of the header and the place of its checksum. Damage is
//! therefore told from age: the checksum is verified before the version is
//! believed, and a sound header of a later version is reported as such. Being
//! little-endian everywhere, the header of a foreign machine is read as well.

use twox_hash::XxHash3_64;

use super::element::Spec;
use crate::error::FormatProblem;

/// Bytes of a header; the payload begins here.
pub(super) const HEADER_BYTES: usize = 4096;

/// The most bytes a type's name may have.
pub(super) const NAME_BYTES: usize = 128;

/// As in PNG: a byte beyond ASCII and both kinds of line ends, so that a
/// transfer "as text" is noticed at once.
const MAGIC: [u8; 8] = *b"\x89PLIM\r\n\x1a";

const VERSION: u32 = 1;

const LITTLE: u32 = 1;
const BIG: u32 = 2;
const NATIVE: u32 = if cfg!(target_endian = "big") { BIG } else { LITTLE };

const AT_VERSION: usize = 8;
const AT_ORDER: usize = 12;
const AT_SIZE: usize = 16;
const AT_ALIGN: usize = 24;
const AT_COUNT: usize = 32;
const AT_PAYLOAD: usize = 40;
const AT_NAME: usize = 48;
const AT_CHECKSUM: usize = HEADER_BYTES - 8;

/// What a verified header says beyond what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of elements.
    pub(super) count: u64,
    /// xxh3-64 of the payload.
    pub(super) checksum: u64,
}

impl Header {
    /// Whether `payload` is what was written.
    pub(super) fn verify(&self, payload: &[u8]) -> Result<(), FormatProblem> {
        let found = XxHash3_64::oneshot(payload);
        if found == self.checksum {
            Ok(())
        } else {
            Err(FormatProblem::PayloadChecksum { found, recorded: self.checksum })
        }
    }

    /// The bytes of the header of a file of such elements.
    pub(super) fn encode(&self, spec: &Spec) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(AT_VERSION, &VERSION.to_le_bytes());
        put(AT_ORDER, &NATIVE.to_le_bytes());
        put(AT_SIZE, &spec.size.to_le_bytes());
        put(AT_ALIGN, &spec.align.to_le_bytes());
        put(AT_COUNT, &self.count.to_le_bytes());
        put(AT_PAYLOAD, &self.checksum.to_le_bytes());
        put(AT_NAME, spec.name.as_bytes());
        seal(&mut bytes);
        bytes
    }

    /// Reads and verifies the header of a file of `file_bytes` bytes, of which
    /// `head` holds the first [`HEADER_BYTES`] or all.
    ///
    /// The first problem found is the one that explains the others: is it ours,
    /// is it whole, can this build read it, is it what was asked for, is all of
    /// it there.
    pub(super) fn decode(head: &[u8], file_bytes: u64, spec: &Spec) -> Result<Self, FormatProblem> {
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
        verify_element(bytes, spec)?;

        let header = Self { count: word(bytes, AT_COUNT), checksum: word(bytes, AT_PAYLOAD) };
        // A count that overflows is longer than any file, so saturation refuses it too.
        let recorded = header.count.saturating_mul(spec.size);
        let found = file_bytes.saturating_sub(HEADER_BYTES as u64);
        if found != recorded {
            return Err(FormatProblem::Length { found, recorded });
        }
        Ok(header)
    }
}

/// Writes the checksum of the header into the header.
pub(super) fn seal(bytes: &mut [u8; HEADER_BYTES]) {
    let checksum = XxHash3_64::oneshot(&bytes[..AT_CHECKSUM]);
    bytes[AT_CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
}

fn verify_checksum(bytes: &[u8; HEADER_BYTES]) -> Result<(), FormatProblem> {
    let found = XxHash3_64::oneshot(&bytes[..AT_CHECKSUM]);
    let recorded = word(bytes, AT_CHECKSUM);
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

/// Whether the elements are those asked for. The name comes first: where it
/// differs, another size is no news.
fn verify_element(bytes: &[u8; HEADER_BYTES], spec: &Spec) -> Result<(), FormatProblem> {
    let differs = |what, found: String, expected: String| {
        if found == expected {
            Ok(())
        } else {
            Err(FormatProblem::Element { what, found, expected })
        }
    };
    let padded = &bytes[AT_NAME..AT_NAME + NAME_BYTES];
    let end = padded.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let name = padded[..end].escape_ascii().to_string();
    differs("type", name, spec.name.as_bytes().escape_ascii().to_string())?;
    differs("size", word(bytes, AT_SIZE).to_string(), spec.size.to_string())?;
    differs("alignment", word(bytes, AT_ALIGN).to_string(), spec.align.to_string())
}

fn order_name(order: u32) -> &'static str {
    match order {
        LITTLE => "little",
        BIG => "big",
        _ => "unknown",
    }
}

/// The eight-byte field at a constant offset.
fn word(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

/// The four-byte field at a constant offset.
fn half(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u64 = 5;
    const FILE: u64 = HEADER_BYTES as u64 + COUNT * 8;

    fn sample() -> (Header, [u8; HEADER_BYTES]) {
        let header = Header { count: COUNT, checksum: 0x0123_4567_89ab_cdef };
        (header, header.encode(&Spec::of::<u64>()))
    }

    /// What is found when `field` stands at `at` in an otherwise sound header.
    fn with_field(at: usize, field: &[u8]) -> Result<Header, FormatProblem> {
        let (_, mut bytes) = sample();
        bytes[at..at + field.len()].copy_from_slice(field);
        seal(&mut bytes);
        Header::decode(&bytes, FILE, &Spec::of::<u64>())
    }

    fn element(what: &'static str, found: &str, expected: &str) -> FormatProblem {
        FormatProblem::Element { what, found: found.to_owned(), expected: expected.to_owned() }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let (header, bytes) = sample();
        assert_eq!(Header::decode(&bytes, FILE, &Spec::of::<u64>()), Ok(header));
    }

    #[test]
    fn every_flipped_bit_is_told_as_damage_or_as_foreign() {
        let (_, sound) = sample();
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = sound;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let problem = Header::decode(&bytes, FILE, &Spec::of::<u64>()).expect_err("damaged");
            if bit < MAGIC.len() * 8 {
                assert_eq!(problem, FormatProblem::Magic, "bit {bit}");
            } else {
                assert!(matches!(problem, FormatProblem::HeaderChecksum { .. }), "bit {bit}");
            }
        }
    }

    #[test]
    fn every_truncation_is_told_by_its_length() {
        let (_, bytes) = sample();
        for length in 0..FILE {
            let head = &bytes[..bytes.len().min(length as usize)];
            let header = HEADER_BYTES as u64;
            let expected = if length < header {
                FormatProblem::TooShort { length, header }
            } else {
                FormatProblem::Length { found: length - header, recorded: COUNT * 8 }
            };
            assert_eq!(Header::decode(head, length, &Spec::of::<u64>()), Err(expected));
        }
        let grown = FormatProblem::Length { found: COUNT * 8 + 1, recorded: COUNT * 8 };
        assert_eq!(Header::decode(&bytes, FILE + 1, &Spec::of::<u64>()), Err(grown));
    }

    #[test]
    fn each_field_has_an_error_of_its_own() {
        let native = order_name(NATIVE);
        let other = order_name(LITTLE + BIG - NATIVE);
        let cases: [(usize, Vec<u8>, FormatProblem); 10] = [
            (0, vec![b'#'], FormatProblem::Magic),
            (
                AT_VERSION,
                2u32.to_le_bytes().into(),
                FormatProblem::Version { found: 2, supported: 1 },
            ),
            (AT_VERSION, vec![0], FormatProblem::Version { found: 0, supported: 1 }),
            (
                AT_ORDER,
                (LITTLE + BIG - NATIVE).to_le_bytes().into(),
                FormatProblem::Endianness { found: other, native },
            ),
            (AT_ORDER, vec![9], FormatProblem::Endianness { found: "unknown", native }),
            (AT_NAME, b"i64".into(), element("type", "i64", "u64")),
            (AT_NAME + 5, vec![0xff], element("type", "u64\\x00\\x00\\xff", "u64")),
            (AT_SIZE, vec![4], element("size", "4", "8")),
            (AT_ALIGN, vec![16], element("alignment", "16", "8")),
            (AT_COUNT, vec![6], FormatProblem::Length { found: COUNT * 8, recorded: 48 }),
        ];
        for (at, field, problem) in cases {
            assert_eq!(with_field(at, &field), Err(problem));
        }
        assert_eq!(
            with_field(AT_COUNT, &u64::MAX.to_le_bytes()),
            Err(FormatProblem::Length { found: COUNT * 8, recorded: u64::MAX })
        );
    }

    #[test]
    fn a_later_version_is_told_even_where_all_else_differs_too() {
        let mut bytes = [0x5a; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[AT_VERSION..AT_ORDER].copy_from_slice(&7u32.to_le_bytes());
        seal(&mut bytes);
        let later = FormatProblem::Version { found: 7, supported: 1 };
        assert_eq!(Header::decode(&bytes, 4096, &Spec::of::<u64>()), Err(later));
    }

    /// The format is fixed: this test may only ever be added to.
    #[test]
    #[cfg(target_endian = "little")]
    fn version_1_is_these_bytes() {
        let (_, bytes) = sample();
        assert_eq!(bytes[..16], *b"\x89PLIM\r\n\x1a\x01\0\0\0\x01\0\0\0");
        assert_eq!(bytes[16..40], *b"\x08\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
        assert_eq!(bytes[40..56], *b"\xef\xcd\xab\x89\x67\x45\x23\x01u64\0\0\0\0\0");
        assert!(bytes[56..AT_CHECKSUM].iter().all(|byte| *byte == 0));
        assert_eq!(word(&bytes, AT_CHECKSUM), 0x2b22_e064_7cf5_ce45);
    }
}
