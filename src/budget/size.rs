//! The grammar of amounts: sizes, shares and counts, read exactly.
//!
//! No floating point: `0.1GiB` is a tenth of 2^30 rounded down, on every machine.

use crate::units::{GIB, KIB, MIB, TIB};

/// What `PLIMSOLL_MEMORY` accepts.
pub(super) const MEMORY: &str = "auto, a share of the detected limit (75%), a number of bytes \
    (1073741824; below a MiB with its unit), or a size (8GiB, 1.5GiB, 512MB) in B, KB, MB, GB, TB \
    (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024); no spaces";
/// What `PLIMSOLL_CORES` accepts.
pub(super) const CORES: &str =
    "auto, a share of the available cores (50%), or a number of cores (6); no spaces";
/// What `PLIMSOLL_WORKERS_<STAGE>` accepts.
pub(super) const WORKERS: &str = "a number of workers (4); no spaces";
/// What `PLIMSOLL_FOOTPRINT_<STAGE>` accepts.
pub(super) const FOOTPRINT: &str = "a number of bytes (1073741824), or a size (8GiB, 1.5GiB, \
    512MB) in B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024); no spaces";

/// Spelled exactly so or all in lower case; `kB`, `K` or `Gb` would leave a doubt.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", KIB),
    ("MiB", MIB),
    ("GiB", GIB),
    ("TiB", TIB),
];

/// Digits after the point beyond which no unit can tell a difference of a byte.
const MAX_PLACES: usize = 15;

/// A number that is given, shared out of another, or left to detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount<T> {
    Auto,
    Share(Percent),
    Exactly(T),
}

/// A share in `(0, 100]` percent, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Percent(Decimal);

impl Percent {
    /// What is kept of the detected limit when nobody says otherwise.
    pub(super) const DEFAULT: Self = Self(Decimal { digits: 80, scale: 1 });

    /// This share of `whole`, rounded down.
    pub(super) fn of(self, whole: u64) -> u64 {
        // At most 10^17 * 2^64, far below 2^128: MAX_PLACES bounds the digits.
        let share = u128::from(whole) * self.0.digits / (self.0.scale * 100);
        u64::try_from(share).expect("a share of at most 100 % is not larger than the whole")
    }
}

/// `digits / scale`, the scale a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    digits: u128,
    scale: u128,
}

impl Decimal {
    /// Reads `12` or `12.5`: digits on both sides of the point, nothing else.
    fn parse(text: &str) -> Result<Self, String> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err("has no digits after the point".to_owned()),
            Some((whole, fraction)) => (whole, fraction),
            None => (text, ""),
        };
        if whole.is_empty() {
            return Err("does not start with a digit".to_owned());
        }
        if fraction.contains('.') {
            return Err("has two points".to_owned());
        }
        if fraction.len() > MAX_PLACES {
            return Err(format!("has more than {MAX_PLACES} digits after the point"));
        }
        let mut digits = 0_u128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            digits = digits
                .checked_mul(10)
                .and_then(|shifted| shifted.checked_add(u128::from(digit - b'0')))
                .ok_or("is too large")?;
        }
        let scale = (0..fraction.len()).fold(1, |scale, _| scale * 10);
        Ok(Self { digits, scale })
    }

    /// This many of `unit`, rounded down.
    fn times(self, unit: u64) -> Result<u64, String> {
        self.digits
            .checked_mul(u128::from(unit))
            .and_then(|product| u64::try_from(product / self.scale).ok())
            .ok_or_else(|| "is too large".to_owned())
    }
}

/// Reads the value of `PLIMSOLL_MEMORY`.
pub(super) fn memory(text: &str) -> Result<Amount<u64>, String> {
    amount(text, |text| {
        let bytes = bytes(text).and_then(positive)?;
        match text.bytes().all(|digit| digit.is_ascii_digit()) && bytes < LEAST_BARE {
            true => Err(unlikely(bytes)),
            false => Ok(bytes),
        }
    })
}

/// A budget of fewer bytes than this needs a unit: who leaves it out is more likely to mean
/// another one, as in SLURM's variables, or a share.
const LEAST_BARE: u64 = MIB;

fn unlikely(bytes: u64) -> String {
    let share = if bytes <= 100 { format!("{bytes}% or ") } else { String::new() };
    format!(
        "has no unit, so it is {bytes} bytes: did you mean {share}{bytes}MiB? ({bytes}B, if it is \
         meant)"
    )
}

/// Reads the value of `PLIMSOLL_CORES`.
pub(super) fn cores(text: &str) -> Result<Amount<usize>, String> {
    amount(text, count)
}

fn amount<T>(text: &str, exactly: impl Fn(&str) -> Result<T, String>) -> Result<Amount<T>, String> {
    if text == "auto" {
        return Ok(Amount::Auto);
    }
    match text.strip_suffix('%') {
        Some(share) => percent(share).map(Amount::Share),
        None => exactly(text).map(Amount::Exactly),
    }
}

/// Reads a size in bytes; zero is one.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_rest(text)?;
    let factor = match unit {
        "" => 1,
        _ => {
            let spelled = |name: &str| unit == name || unit == name.to_ascii_lowercase();
            let known = UNITS.iter().find(|(name, _)| spelled(name));
            known.ok_or_else(|| format!("{unit:?} is not a unit"))?.1
        }
    };
    let number = Decimal::parse(number)?;
    if factor == 1 && number.scale > 1 {
        return Err("is a fraction of a byte".to_owned());
    }
    number.times(factor)
}

/// Reads a number of things of which there must be one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let (number, rest) = number_and_rest(text)?;
    if !rest.is_empty() {
        return Err(format!("has {rest:?} after the number"));
    }
    let number = Decimal::parse(number)?;
    if number.scale > 1 {
        return Err("is not a whole number".to_owned());
    }
    let number = positive(number.times(1)?)?;
    usize::try_from(number).map_err(|_| "is too large".to_owned())
}

fn percent(text: &str) -> Result<Percent, String> {
    let (number, rest) = number_and_rest(text)?;
    if !rest.is_empty() {
        return Err(format!("has {rest:?} between the number and the %"));
    }
    let number = Decimal::parse(number)?;
    if number.digits == 0 {
        return Err("is zero".to_owned());
    }
    if number.digits > 100 * number.scale {
        return Err("is more than 100 %".to_owned());
    }
    Ok(Percent(number))
}

fn positive(number: u64) -> Result<u64, String> {
    match number {
        0 => Err("is zero".to_owned()),
        _ => Ok(number),
    }
}

/// Splits `1.5GiB` into `1.5` and `GiB`, and says what else it may be.
fn number_and_rest(text: &str) -> Result<(&str, &str), String> {
    let problem = match text.chars().next() {
        None => "is empty",
        _ if text.contains(char::is_whitespace) => "has a space in it",
        Some('-') => "is negative",
        Some('+') => "has a sign",
        Some('0'..='9') => {
            let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
            return Ok(text.split_at(end.unwrap_or(text.len())));
        }
        Some(_) => "does not start with a digit",
    };
    Err(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_that_is_documented_is_read() {
        for (text, expected) in [
            ("1073741824", GIB),
            ("007", 7),
            ("1B", 1),
            ("8GiB", 8 * GIB),
            ("8gib", 8 * GIB),
            ("512MB", 512_000_000),
            ("512mb", 512_000_000),
            ("1.5KiB", 1536),
            ("1.5KB", 1500),
            ("0.1GiB", GIB / 10),
            ("0.000000000000001TiB", 0),
            ("16777215.999999999999TiB", 18_446_744_073_709_551_614),
            ("18446744073709551615", u64::MAX),
            ("0", 0),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        assert_eq!(memory("auto"), Ok(Amount::Auto));
        assert_eq!(memory("50B"), Ok(Amount::Exactly(50)));
        assert_eq!(memory("1048576"), Ok(Amount::Exactly(MIB)));
        assert_eq!(bytes("50"), Ok(50), "a footprint may be that small");
        assert_eq!(cores("6"), Ok(Amount::Exactly(6)));
    }

    #[test]
    fn a_malformed_memory_value_says_what_is_wrong() {
        for (text, problem) in [
            ("", "is empty"),
            (" ", "has a space"),
            ("8 GiB", "has a space"),
            (" 8GiB", "has a space"),
            ("8GiB\n", "has a space"),
            ("8\u{a0}GiB", "has a space"),
            ("-1", "is negative"),
            ("-5%", "is negative"),
            ("+1", "has a sign"),
            ("0", "is zero"),
            ("0.0GiB", "is zero"),
            ("0.0001KiB", "is zero"),
            ("0%", "is zero"),
            ("0.00%", "is zero"),
            ("100.1%", "more than 100 %"),
            ("101%", "more than 100 %"),
            ("%", "is empty"),
            ("50%%", "\"%\" between"),
            ("5GiB%", "\"GiB\" between"),
            ("NaN", "start with a digit"),
            ("inf", "start with a digit"),
            ("Auto", "start with a digit"),
            ("AUTO", "start with a digit"),
            (".5GiB", "start with a digit"),
            ("GiB", "start with a digit"),
            ("١GiB", "start with a digit"),
            ("5.GiB", "no digits after the point"),
            ("1.2.3GiB", "two points"),
            ("1.5", "fraction of a byte"),
            ("1.5B", "fraction of a byte"),
            ("1.0000000000000001GiB", "more than 15 digits"),
            ("1e9", "\"e9\" is not a unit"),
            ("0x10", "\"x10\" is not a unit"),
            ("1_000", "\"_000\" is not a unit"),
            ("1,5GiB", "\",5GiB\" is not a unit"),
            ("8G", "\"G\" is not a unit"),
            ("8kB", "\"kB\" is not a unit"),
            ("8GIB", "\"GIB\" is not a unit"),
            ("8Gb", "\"Gb\" is not a unit"),
            ("8PiB", "\"PiB\" is not a unit"),
            ("8GiBs", "\"GiBs\" is not a unit"),
            ("8GiB5", "\"GiB5\" is not a unit"),
            ("50", "did you mean 50% or 50MiB? (50B, if it is meant)"),
            ("4096", "so it is 4096 bytes: did you mean 4096MiB?"),
            ("1048575", "did you mean 1048575MiB?"),
            ("18446744073709551616", "too large"),
            ("16777216TiB", "too large"),
            ("340282366920938463463374607431768211456", "too large"),
            ("340282366920938463463374607431768211455TiB", "too large"),
        ] {
            let found = memory(text).expect_err(text);
            assert!(found.contains(problem), "{text:?}: {found}");
        }
    }

    #[test]
    fn a_malformed_count_says_what_is_wrong() {
        for (text, problem) in [
            ("", "is empty"),
            ("0", "is zero"),
            ("-2", "is negative"),
            ("2.5", "not a whole number"),
            ("2.0", "not a whole number"),
            ("2x", "\"x\" after"),
            ("auto", "start with a digit"),
            ("99999999999999999999", "too large"),
        ] {
            let found = count(text).expect_err(text);
            assert!(found.contains(problem), "{text:?}: {found}");
        }
    }

    proptest! {
        #[test]
        fn whole_sizes_round_trip(number in 1..=u64::MAX >> 40, unit in 0..UNITS.len()) {
            let (name, factor) = UNITS[unit];
            prop_assert_eq!(bytes(&format!("{number}{name}")), Ok(number * factor));
            let lower = format!("{number}{}", name.to_ascii_lowercase());
            prop_assert_eq!(memory(&lower), Ok(Amount::Exactly(number * factor)));
        }

        #[test]
        fn fractions_are_exact(thousandths in 1..1_000_000_u64, whole: u64) {
            let decimal = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(bytes(&format!("{decimal}GiB")), Ok(thousandths * GIB / 1000));
            if thousandths <= 100_000 {
                let expected = u128::from(whole) * u128::from(thousandths) / 100_000;
                let Ok(Amount::Share(share)) = memory(&format!("{decimal}%")) else {
                    panic!("{decimal}% is a share");
                };
                prop_assert_eq!(u128::from(share.of(whole)), expected);
            }
        }

        #[test]
        fn nothing_panics(text in "[-+0-9.%KMGTiBa u_]{0,40}|\\PC{0,12}") {
            let _ = (memory(&text), cores(&text), bytes(&text), count(&text));
        }
    }
}
