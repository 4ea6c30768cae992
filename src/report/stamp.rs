//! Which run a report is of: the program's name, and when the run began.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A program and a moment.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    program: String,
    /// Since the beginning of 1970, UTC.
    began: Duration,
}

impl Stamp {
    /// Of this program, so long after the run began; nothing if either is not told.
    pub(crate) fn of_run(elapsed: Duration) -> Option<Self> {
        let called = std::env::args_os().next()?;
        let program = Path::new(&called).file_stem()?.to_string_lossy().into_owned();
        let began = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(elapsed)?;
        Some(Self { program, began })
    }

    /// The program's name.
    pub(super) fn program(&self) -> &str {
        &self.program
    }
}

/// The program and, in UTC, when the run began.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.began.as_secs();
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let program = &self.program;
        write!(f, "{program}, {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// Year, month and day, so many days after the first of 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1_970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
impl Stamp {
    /// Of a program and a moment that are given.
    pub(super) fn given(program: &str, seconds: u64) -> Self {
        Self { program: program.to_owned(), began: Duration::from_secs(seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_as_the_calendar_has_it() {
        for (seconds, told) in [
            (0, "1970-01-01 00:00:00"),
            (86_399, "1970-01-01 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (1_735_689_600, "2025-01-01 00:00:00"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(Stamp::given("x", seconds).to_string(), format!("x, {told} UTC"));
        }
    }

    #[test]
    fn a_run_of_this_program_is_told_by_its_name() {
        let stamp = Stamp::of_run(Duration::ZERO).expect("a test has a name");
        assert!(stamp.program().starts_with("plimsoll"), "{stamp}");
    }
}
