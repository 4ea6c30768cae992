//! For how much of its time a thread had a core, and for how much it was ready to run and had
//! none. Linux tells it in `/proc/thread-self/schedstat`.

use std::fs::File;

/// Where calls of late took so long, each is looked at; the look takes 2 us.
const LONG: u64 = 5_000_000;
/// Where they took at least so long, one of [`EACH`] is; others are too short for a look.
const SHORT: u64 = 500_000;
const EACH: u32 = 8;
/// Ten ticks of the kernel's clock, up to which it may tell late.
const ENOUGH: u64 = 100_000_000;

/// A thread's time so far, or in a call; nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreTime {
    /// On a core.
    pub(crate) had: u64,
    /// Ready to run, while others had the cores.
    pub(crate) lacked: u64,
}

impl CoreTime {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            had: self.had.saturating_sub(before.had),
            lacked: self.lacked.saturating_sub(before.lacked),
        }
    }
}

/// Tells one thread its time.
#[derive(Debug, Default)]
pub(crate) struct CoreClock {
    /// Opened at the first look; `Some(None)` where there is no such file.
    file: Option<Option<File>>,
}

impl CoreClock {
    /// The thread's time so far. To be asked by one thread alone.
    pub(crate) fn now(&mut self) -> Option<CoreTime> {
        let file = self.file.get_or_insert_with(open).as_ref()?;
        read(file)
    }
}

/// Model checkers and whoever counts instructions must not depend on it.
const IS_TOLD: bool = cfg!(all(target_os = "linux", not(any(loom, shuttle, steady))));

fn open() -> Option<File> {
    IS_TOLD.then(|| File::open("/proc/thread-self/schedstat").ok()).flatten()
}

#[cfg(target_os = "linux")]
fn read(file: &File) -> Option<CoreTime> {
    use std::os::unix::fs::FileExt;

    let mut buffer = [0; 64];
    let length = file.read_at(&mut buffer, 0).ok()?;
    parse(str::from_utf8(&buffer[..length]).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn read(_: &File) -> Option<CoreTime> {
    None
}

/// A line `had lacked slices`.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn parse(line: &str) -> Option<CoreTime> {
    let mut numbers = line.split_whitespace().map(|digits| digits.parse().ok());
    let [had, lacked, slices] = [numbers.next()??, numbers.next()??, numbers.next()??];
    // A kernel that does not count leaves all at zero.
    (slices > 0).then_some(CoreTime { had, lacked })
}

/// What calls came to that were looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CoreShare {
    took: u64,
    sum: CoreTime,
    passed: u32,
    /// What the longest calls of late took; a sixteenth is forgotten with each. The last
    /// alone would leave out the few long ones among many short, which have most of the time.
    longest: u64,
}

// Model checkers' builds predict nothing.
#[cfg_attr(any(loom, shuttle, steady), allow(dead_code))]
impl CoreShare {
    /// Whether the next call is to be looked at.
    pub(crate) fn wants(&mut self) -> bool {
        if self.longest < SHORT {
            return false;
        }
        self.passed = (self.passed + 1) % EACH;
        self.longest >= LONG || self.passed == 0
    }

    /// Adds a call that took so long, and, if it was looked at, how far it had a core.
    #[inline]
    pub(crate) fn add(&mut self, took: u64, time: Option<CoreTime>) {
        self.longest = took.max(self.longest - self.longest / 16);
        let Some(time) = time else { return };
        self.took += took;
        self.sum.had += time.had;
        self.sum.lacked += time.lacked;
    }

    /// For which parts of their time calls had a core, and were ready to run and had none, 0
    /// to 1; nothing if too few were looked at for the kernel's ticks to even out.
    pub(crate) fn told(&self) -> Option<(f64, f64)> {
        if self.took < ENOUGH {
            return None;
        }
        let lacked = self.lacked()?;
        Some(((self.sum.had as f64 / self.took as f64).min(1.0 - lacked), lacked))
    }

    /// For which part of their time calls were ready to run and had no core, 0 to 1; nothing
    /// if none was looked at.
    pub(crate) fn lacked(&self) -> Option<f64> {
        (self.took > 0).then(|| (self.sum.lacked as f64 / self.took as f64).min(1.0))
    }

    /// For which part of the rest they computed, 0 to 1.
    pub(crate) fn computed(&self) -> Option<f64> {
        let rest = self.took.saturating_sub(self.sum.lacked);
        (rest > 0).then(|| (self.sum.had as f64 / rest as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_line_is_read_and_one_that_tells_nothing_is_not() {
        assert_eq!(parse("120 35 4\n"), Some(CoreTime { had: 120, lacked: 35 }));
        for line in ["", "12 3", "x 3 4", "0 0 0\n"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn long_calls_are_looked_at_short_ones_now_and_then() {
        let mut share = CoreShare::default();
        let mut looked_at = |took| {
            let after = |share: &mut CoreShare| {
                share.add(took, None);
                share.wants()
            };
            (0..80).filter(|_| after(&mut share)).count()
        };
        assert_eq!([LONG, SHORT, SHORT - 1, 0].map(&mut looked_at), [80, 10, 0, 0]);
        let mut share = CoreShare::default();
        share.add(12 * LONG, None);
        let short = (0..36).filter(|_| {
            share.add(SHORT, None);
            share.wants()
        });
        assert_eq!(short.count(), 36, "another long one may follow");
    }

    #[test]
    fn shares_are_of_what_was_looked_at() {
        let mut share = CoreShare::default();
        assert_eq!((share.lacked(), share.computed()), (None, None));
        share.add(1_000, Some(CoreTime { had: 300, lacked: 200 }));
        share.add(1_000, Some(CoreTime { had: 500, lacked: 200 }));
        assert_eq!((share.lacked(), share.computed()), (Some(0.2), Some(0.5)));
        assert_eq!(share.told(), None, "2 us are too few");
        share.add(ENOUGH, Some(CoreTime { had: ENOUGH, lacked: ENOUGH / 4 }));
        let (had, lacked) = share.told().expect("they are enough");
        assert!((lacked - 0.25).abs() < 1e-4 && had + lacked == 1.0, "{had} {lacked}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_computes_has_a_core_and_one_that_sleeps_wants_none() {
        let mut clock = CoreClock::default();
        let before = clock.now().expect("Linux tells");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(60) {}
        let computed = clock.now().expect("Linux tells");
        std::thread::sleep(Duration::from_millis(30));
        let slept = clock.now().expect("Linux tells").since(computed);
        let computed = computed.since(before);
        // Whatever else runs here: for 60 ms it was on a core or ready for one. The kernel
        // counts up to a tick late, 10 ms.
        let all = computed.had + computed.lacked;
        assert!(all > 40_000_000, "{computed:?}");
        assert!(slept.had < 15_000_000, "{slept:?}");
    }
}
