//! Byte sizes: the constants users multiply by and the way sizes are printed.

use std::fmt;

/// 1,024 bytes.
pub const KIB: u64 = 1 << 10;
/// 1,024 [`KIB`].
pub const MIB: u64 = 1 << 20;
/// 1,024 [`MIB`].
pub const GIB: u64 = 1 << 30;
/// 1,024 [`GIB`].
pub const TIB: u64 = 1 << 40;

/// A number of bytes that prints itself in the largest fitting binary unit.
///
/// ```
/// use plimsoll::Bytes;
///
/// assert_eq!(Bytes(0).to_string(), "0 B");
/// assert_eq!(Bytes(1_536).to_string(), "1.5 KiB");
/// assert_eq!(Bytes(3 << 30).to_string(), "3.0 GiB");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] = [("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)];
        let bytes = self.0;
        let text = match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
            Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
            None => format!("{bytes} B"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_starts_at_its_own_size() {
        for (bytes, text) in [
            (1, "1 B"),
            (KIB - 1, "1023 B"),
            (KIB, "1.0 KiB"),
            (MIB, "1.0 MiB"),
            (GIB, "1.0 GiB"),
            (TIB, "1.0 TiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>9}|", Bytes(KIB)), "  1.0 KiB|");
    }
}
