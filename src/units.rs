//! Byte sizes: the constants users multiply by and the way sizes are printed, and how the
//! variables that set them are spelled.

use std::fmt;
use std::time::Duration;

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

/// Two amounts, told so that they can be told apart: in bytes where they read the same
/// otherwise.
pub(crate) fn apart(one: u64, other: u64) -> [String; 2] {
    let told = [one, other].map(|bytes| Bytes(bytes).to_string());
    match one != other && told[0] == told[1] {
        true => [one, other].map(|bytes| format!("{bytes} B")),
        false => told,
    }
}

/// A budget of memory as whoever gave the present one says it, so that it can be copied from a
/// message: by the variable where that is heard, else in the program's code.
pub(crate) struct Memory {
    pub(crate) bytes: u64,
    pub(crate) by_variable: bool,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by_variable {
            true => write!(f, "PLIMSOLL_MEMORY={}", InVariable(self.bytes)),
            false => write!(f, "`{}`", InCode(self.bytes)),
        }
    }
}

/// Bytes as they are written in a program.
pub(crate) struct InCode(pub(crate) u64);

impl fmt::Display for InCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            KIB => write!(f, "KIB"),
            MIB => write!(f, "MIB"),
            0 => write!(f, "0"),
            bytes if bytes.is_multiple_of(MIB) => write!(f, "{} * MIB", bytes / MIB),
            bytes if bytes.is_multiple_of(KIB) => write!(f, "{} * KIB", bytes / KIB),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// In whole MiB, at least as much, where it is that much: for advice, where nobody wants each
/// byte.
pub(crate) fn rounded_up(bytes: u64) -> u64 {
    let unit = if bytes < MIB { 1 } else { MIB };
    bytes.div_ceil(unit).saturating_mul(unit)
}

/// Bytes as the value of a variable.
pub(crate) struct InVariable(pub(crate) u64);

impl fmt::Display for InVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(MIB) => write!(f, "{}MiB", bytes / MIB),
            // A number without a unit might be taken for MiB.
            bytes => write!(f, "{bytes}B"),
        }
    }
}

/// The other way to say what a stage should have, where the budget hears variables.
pub(crate) fn or_variable(
    by_variable: bool,
    setting: &str,
    stage: &str,
    value: impl fmt::Display,
) -> String {
    match by_variable {
        true => format!(", or PLIMSOLL_{setting}_{}={value}", stage_variable(stage)),
        false => String::new(),
    }
}

/// The part of a variable's name that stands for a stage: upper case, with `_`
/// for every character but `A`-`Z` and `0`-`9`.
pub(crate) fn stage_variable(name: &str) -> String {
    let spelled = |letter: char| match letter.to_ascii_uppercase() {
        plain @ ('A'..='Z' | '0'..='9') => plain,
        _ => '_',
    };
    name.chars().map(spelled).collect()
}

/// So many of a thing, whose name gets an s where there is not one of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count<'a>(pub(crate) u64, pub(crate) &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, thing) = self;
        write!(f, "{number} {thing}{}", if *number == 1 { "" } else { "s" })
    }
}

/// A time that prints itself in the largest fitting unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief(pub(crate) Duration);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, f64); 3] = [("s", 1e9), ("ms", 1e6), ("us", 1e3)];
        let nanos = self.0.as_nanos() as f64;
        // What would be rounded up to 1,000 of a unit is told in the next.
        let text = match UNITS.iter().find(|(_, unit)| nanos >= 0.99995 * unit) {
            Some((name, unit)) => format!("{:.1} {name}", nanos / unit),
            None => format!("{nanos} ns"),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_unit() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 us"),
            (999_949, "999.9 us"),
            (999_951, "1.0 ms"),
            (7_200_000_000_000, "7200.0 s"),
        ] {
            assert_eq!(Brief(Duration::from_nanos(nanos)).to_string(), text);
        }
    }

    #[test]
    fn one_of_a_thing_is_told_as_one() {
        let told = [0, 1, 2].map(|number| Count(number, "item").to_string());
        assert_eq!(told, ["0 items", "1 item", "2 items"]);
    }

    #[test]
    fn amounts_that_read_the_same_are_told_in_bytes() {
        assert_eq!(apart(32 * MIB + 8, 32 * MIB), ["33554440 B", "33554432 B"]);
        assert_eq!(apart(33 * MIB, 32 * MIB), ["33.0 MiB", "32.0 MiB"]);
        assert_eq!(apart(MIB, MIB), ["1.0 MiB", "1.0 MiB"]);
    }

    #[test]
    fn what_can_be_pasted_says_what_is_meant() {
        for (bytes, code) in [
            (0, "0"),
            (1_000, "1000"),
            (KIB, "KIB"),
            (3 * KIB, "3 * KIB"),
            (MIB, "MIB"),
            (3 * GIB, "3072 * MIB"),
            (GIB + 1, "1073741825"),
        ] {
            assert_eq!(InCode(bytes).to_string(), code);
        }
        let memory = |bytes, by_variable| Memory { bytes, by_variable }.to_string();
        assert_eq!(memory(5 * MIB, true), "PLIMSOLL_MEMORY=5MiB");
        assert_eq!(memory(5 * MIB, false), "`5 * MIB`");
        assert_eq!([MIB - 1, MIB, MIB + 1].map(rounded_up), [MIB - 1, MIB, 2 * MIB]);
    }

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
