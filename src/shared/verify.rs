//! How much of a file is verified, and when.

/// Bytes of a section up to which [`Verify::Auto`] verifies it: 64 MiB, some ten
/// milliseconds of checksum.
pub const VERIFY_AUTO_BYTES: u64 = 64 << 20;

/// How much of a file is verified, and when. The header and the section table always
/// are, when the file is opened. What was verified is not verified again as long as the file
/// is open, however often it is taken.
///
/// To verify a section is to read all of it: its checksum, by all cores if it is large,
/// and what its kind promises, as that the keys of a map are sorted. Until then, damage
/// is not noticed: numbers may be wrong and keys not found. Safety does not depend
/// on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verify {
    /// A section when it is first asked for, if it has at most
    /// [`VERIFY_AUTO_BYTES`]; else not. The default.
    #[default]
    Auto,
    /// The header and the table alone: to open takes the same time for every size.
    Header,
    /// A section when it is first asked for, whatever its size.
    FirstUse,
    /// All sections when the file is opened; what their kinds promise when they are first asked
    /// for.
    Payload,
}

impl Verify {
    /// Whether a section of so many bytes is verified when it is asked for.
    pub(super) fn when_asked_for(self, bytes: u64) -> bool {
        match self {
            Self::Auto => bytes <= VERIFY_AUTO_BYTES,
            Self::Header => false,
            Self::FirstUse | Self::Payload => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_auto_looks_at_the_size() {
        assert!(Verify::Auto.when_asked_for(VERIFY_AUTO_BYTES));
        assert!(!Verify::Auto.when_asked_for(VERIFY_AUTO_BYTES + 1));
        assert!(Verify::FirstUse.when_asked_for(u64::MAX));
        assert!(Verify::Payload.when_asked_for(u64::MAX));
        assert!(!Verify::Header.when_asked_for(0));
    }
}
