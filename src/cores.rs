//! For how much of its time a thread had a core, and for how much it was ready to run and had
//! none: Linux' clock of a thread's processor time and `/proc/thread-self/schedstat`.

use std::fs::File;
use std::time::Duration;

/// Where calls of late took so long, each is looked at; the look takes 3 us.
const LONG: u64 = 5_000_000;
/// Else one of so many is that take so long together.
const EVERY: u64 = 4_000_000;
/// Looks from which on the shares are told.
const ENOUGH: u32 = 8;

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
#[derive(Debug)]
pub(crate) struct CoreClock {
    /// What the calling thread had so far, to the moment.
    had: fn() -> Option<Duration>,
    /// Opened at the first look; `Some(None)` where there is no such file.
    file: Option<Option<File>>,
}

impl CoreClock {
    pub(crate) fn new(had: fn() -> Option<Duration>) -> Self {
        Self { had, file: None }
    }

    /// The thread's time so far. To be asked by one thread alone.
    pub(crate) fn now(&mut self) -> Option<CoreTime> {
        let lacked = read(self.file.get_or_insert_with(open).as_ref()?)?;
        let had = u64::try_from((self.had)()?.as_nanos()).ok()?;
        Some(CoreTime { had, lacked })
    }
}

/// Model checkers and whoever counts instructions must not depend on it.
const IS_TOLD: bool = cfg!(all(target_os = "linux", not(any(loom, shuttle, steady))));

fn open() -> Option<File> {
    IS_TOLD.then(|| File::open("/proc/thread-self/schedstat").ok()).flatten()
}

#[cfg(target_os = "linux")]
fn read(file: &File) -> Option<u64> {
    use std::os::unix::fs::FileExt;

    let mut buffer = [0; 64];
    let length = file.read_at(&mut buffer, 0).ok()?;
    parse(str::from_utf8(&buffer[..length]).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn read(_: &File) -> Option<u64> {
    None
}

/// Of a line `had lacked slices` what was lacked. The first figure is not used: while a thread
/// runs, it is as old as the last tick.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn parse(line: &str) -> Option<u64> {
    let mut numbers = line.split_whitespace().map(|digits| digits.parse().ok());
    let [_had, lacked, slices]: [u64; 3] = [numbers.next()??, numbers.next()??, numbers.next()??];
    // A kernel that does not count leaves all at zero.
    (slices > 0).then_some(lacked)
}

/// What calls came to, as far as those tell that were looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CoreShare {
    /// Of calls that were looked at, each times those that it stands for: itself and those
    /// since the last look. Which are looked at must not hang on how long they take, or the
    /// shares would be those of the long ones, or of the others.
    took: f64,
    had: f64,
    lacked: f64,
    looks: u32,
    /// Calls since the last look.
    passed: u32,
    calls: u64,
    nanos: u64,
    /// What the longest calls of late took; a sixteenth is forgotten with each. The last
    /// alone would leave out the few long ones among many short, which have most of the time.
    longest: u64,
}

// Model checkers' builds predict nothing.
#[cfg_attr(any(loom, shuttle, steady), allow(dead_code))]
impl CoreShare {
    /// Whether the next call is to be looked at.
    pub(crate) fn wants(&self) -> bool {
        let take = || u64::from(self.passed + 1) * (self.nanos / self.calls.max(1));
        IS_TOLD && (self.longest >= LONG || take() >= EVERY)
    }

    /// Adds a call that took so long, and, if it was looked at, how far it had a core.
    #[inline]
    pub(crate) fn add(&mut self, took: u64, time: Option<CoreTime>) {
        self.longest = took.max(self.longest - self.longest / 16);
        self.calls += 1;
        self.nanos += took;
        self.passed = self.passed.saturating_add(1);
        let Some(time) = time else { return };
        let stands_for = f64::from(self.passed);
        self.took += stands_for * took as f64;
        self.had += stands_for * time.had as f64;
        self.lacked += stands_for * time.lacked as f64;
        self.looks += 1;
        self.passed = 0;
    }

    /// For which parts of their time calls had a core, and were ready to run and had none, 0
    /// to 1; nothing if too few were looked at.
    pub(crate) fn told(&self) -> Option<(f64, f64)> {
        let lacked = self.lacked().filter(|_| self.looks >= ENOUGH)?;
        Some(((self.had / self.took).min(1.0 - lacked), lacked))
    }

    /// For which part of their time calls were ready to run and had no core, 0 to 1; nothing
    /// if none was looked at.
    pub(crate) fn lacked(&self) -> Option<f64> {
        (self.took > 0.0).then(|| (self.lacked / self.took).min(1.0))
    }

    /// For which part of the rest they computed, 0 to 1.
    pub(crate) fn computed(&self) -> Option<f64> {
        let rest = self.took - self.lacked;
        (rest > 0.0).then(|| (self.had / rest).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_line_is_read_and_one_that_tells_nothing_is_not() {
        assert_eq!(parse("120 35 4\n"), Some(35));
        for line in ["", "12 3", "x 3 4", "0 0 0\n"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn long_calls_are_looked_at_short_ones_now_and_then() {
        let looked_at = |took, calls: u32| {
            let mut share = CoreShare::default();
            let looks = (0..calls).filter(|_| {
                let wants = share.wants();
                share.add(took, wants.then(CoreTime::default));
                wants
            });
            looks.count()
        };
        assert_eq!(looked_at(LONG, 80), 79, "all but the first");
        assert_eq!(looked_at(EVERY / 8, 80), 10);
        assert_eq!(looked_at(EVERY / 800, 8_000), 10);
        assert_eq!(looked_at(0, 90), 0);
        let mut share = CoreShare::default();
        share.add(12 * LONG, None);
        let short = (0..36).filter(|_| {
            share.add(1_000, Some(CoreTime::default()));
            share.wants()
        });
        assert_eq!(short.count(), 36, "another long one may follow");
    }

    #[test]
    fn a_look_stands_for_the_calls_before_it() {
        let mut share = CoreShare::default();
        assert_eq!((share.lacked(), share.computed()), (None, None));
        share.add(1_000, Some(CoreTime { had: 300, lacked: 200 }));
        share.add(1_000, Some(CoreTime { had: 500, lacked: 200 }));
        assert_eq!((share.lacked(), share.computed()), (Some(0.2), Some(0.5)));
        assert_eq!(share.told(), None, "two are too few");
        // Not for their time: who was not looked at may have waited.
        share.add(70_000, None);
        share.add(1_000, Some(CoreTime { had: 100, lacked: 700 }));
        assert_eq!((share.lacked(), share.had / share.took), (Some(0.45), 0.25));
        (0..5).for_each(|_| share.add(10_000, Some(CoreTime { had: 10_000, lacked: 5_000 })));
        let (had, lacked) = share.told().expect("they are enough");
        assert!(lacked > 0.4 && had + lacked <= 1.0, "{had} {lacked}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_computes_has_a_core_and_one_that_sleeps_wants_none() {
        let mut clock = CoreClock::new(crate::shared::thread_cpu_time);
        let before = clock.now().expect("Linux tells");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(60) {}
        let computed = clock.now().expect("Linux tells");
        std::thread::sleep(Duration::from_millis(30));
        let slept = clock.now().expect("Linux tells").since(computed);
        let computed = computed.since(before);
        // Whatever else runs here: for 60 ms it was on a core or ready for one.
        assert!(computed.had + computed.lacked > 50_000_000, "{computed:?}");
        assert!(slept.had < 15_000_000, "{slept:?}");
    }
}
