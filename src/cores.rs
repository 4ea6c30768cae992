//! For how much of its time a thread had a core, and for how much it was ready to run and had
//! none: Linux' clock of a thread's processor time and `/proc/thread-self/schedstat`.

use std::fs::File;
use std::time::Duration;

/// Where calls of late took so long, each is looked at; the look takes 3 us.
const LONG: u64 = 5_000_000;
/// Else one of as many is, on average, as take so long together.
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
///
/// Each is looked at by chance, and stands for as many as the chance was small, which is settled
/// before it begins: to look at every so many would meet the time slices of a busy machine, which
/// come every so often. And a look has the system notice that a slice is over, so calls that are
/// looked at wait for a core more than others. What an item *computes* is the same, so that is
/// taken from them, and held against the time of all calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoreShare {
    /// Of calls that were looked at.
    seen: Sum,
    looks: u32,
    /// Of all.
    calls: u64,
    items: u64,
    nanos: u64,
    /// What the longest calls of late took; a sixteenth is forgotten with each. The last
    /// alone would leave out the few long ones among many short, which have most of the time.
    longest: u64,
    dice: u64,
}

/// Each call times those that it stands for.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    items: f64,
    took: f64,
    had: f64,
    lacked: f64,
}

impl Default for CoreShare {
    fn default() -> Self {
        // Any number but zero.
        let dice = 0x9e37_79b9;
        Self { seen: Sum::default(), looks: 0, calls: 0, items: 0, nanos: 0, longest: 0, dice }
    }
}

/// How far a call had a core that was looked at, and how many calls it stands for.
pub(crate) type Seen = (CoreTime, f64);

// Model checkers' builds predict nothing.
#[cfg_attr(any(loom, shuttle, steady), allow(dead_code))]
impl CoreShare {
    /// For how many calls the next one stands, if it is to be looked at.
    pub(crate) fn wants(&mut self) -> Option<f64> {
        if !IS_TOLD {
            return None;
        }
        if self.longest >= LONG {
            return Some(1.0);
        }
        let each = EVERY as f64 / (self.nanos as f64 / self.calls.max(1) as f64);
        (self.roll() * each < 1.0).then_some(each.max(1.0))
    }

    /// 0 to 1, by Marsaglia's xorshift.
    fn roll(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Adds a call with so many items that took so long, and, if it was looked at, how far it
    /// had a core.
    #[inline]
    pub(crate) fn add(&mut self, items: u64, took: u64, seen: Option<Seen>) {
        self.longest = took.max(self.longest - self.longest / 16);
        self.calls += 1;
        self.items += items;
        self.nanos += took;
        let Some((time, stands_for)) = seen else { return };
        self.seen.items += stands_for * items as f64;
        self.seen.took += stands_for * took as f64;
        self.seen.had += stands_for * time.had as f64;
        self.seen.lacked += stands_for * time.lacked as f64;
        self.looks += 1;
    }

    /// For which parts of their time calls had a core, and were ready to run and had none, 0
    /// to 1; nothing if too few were looked at.
    pub(crate) fn told(&self) -> Option<(f64, f64)> {
        self.parts().filter(|_| self.looks >= ENOUGH)
    }

    fn parts(&self) -> Option<(f64, f64)> {
        let Sum { items, took, had, lacked } = self.seen;
        if items == 0.0 || self.nanos == 0 {
            return None;
        }
        let all = had / items * self.items as f64;
        let computed = (all / self.nanos as f64).min(1.0);
        let without = took - had;
        let part = if without > 0.0 { (lacked / without).min(1.0) } else { 0.0 };
        Some((computed, (1.0 - computed) * part))
    }

    /// For which part of their time calls were ready to run and had no core, 0 to 1; nothing
    /// if none was looked at.
    pub(crate) fn lacked(&self) -> Option<f64> {
        self.parts().map(|(_, lacked)| lacked)
    }

    /// For which part of the rest they computed, 0 to 1.
    pub(crate) fn computed(&self) -> Option<f64> {
        let (computed, lacked) = self.parts()?;
        (lacked < 1.0).then(|| (computed / (1.0 - lacked)).min(1.0))
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
                share.add(1, took, wants.map(|each| (CoreTime::default(), each)));
                wants.is_some()
            });
            looks.count()
        };
        assert_eq!(looked_at(LONG, 80), 79, "all but the first");
        let near = |looks: usize| (800..1_200).contains(&looks);
        assert!(near(looked_at(EVERY / 8, 8_000)));
        assert!(near(looked_at(EVERY / 800, 800_000)));
        assert_eq!(looked_at(0, 90), 0);
        let mut share = CoreShare::default();
        share.add(1, 12 * LONG, None);
        let short = (0..36).filter(|_| {
            share.add(1, 1_000, None);
            share.wants() == Some(1.0)
        });
        assert_eq!(short.count(), 36, "another long one may follow");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn shares_are_right_where_long_calls_come_at_even_times_and_looks_make_longer_ones() {
        // Six short calls have a core all of the time, then one waits for it: as where two
        // threads take turns on a core. Every other look is the end of a slice.
        let short = 500_000;
        for long in [4, 7, 13, 40] {
            let mut share = CoreShare::default();
            for n in 0..70_000_u64 {
                let wants = share.wants();
                let waits = n % 7 == 6 || (wants.is_some() && n.is_multiple_of(2));
                let lacked = if waits { (long - 1) * short } else { 0 };
                let items = 1 + n % 3;
                let had = items * short / 2;
                let seen = wants.map(|each| (CoreTime { had, lacked }, each));
                share.add(items, had + lacked, seen);
            }
            let (computed, lacked) = share.told().expect("there were many");
            let real = (share.items * short / 2) as f64 / share.nanos as f64;
            assert!((computed - real).abs() < 0.03, "{long}: {computed} for {real}");
            assert!((computed + lacked - 1.0).abs() < 1e-9, "{lacked}");
        }
    }

    #[test]
    fn what_looked_at_calls_compute_all_do() {
        let mut share = CoreShare::default();
        assert_eq!((share.lacked(), share.computed()), (None, None));
        share.add(1, 1_000, Some((CoreTime { had: 300, lacked: 200 }, 1.0)));
        share.add(1, 1_000, Some((CoreTime { had: 500, lacked: 200 }, 1.0)));
        // 400 an item; a third of the rest is lacked.
        let near = |a: Option<f64>, b: f64| a.is_some_and(|a| (a - b).abs() < 1e-9);
        assert!(near(share.lacked(), 0.6 / 3.0) && near(share.computed(), 0.4 / 0.8));
        assert_eq!(share.told(), None, "two are too few");
        share.add(2, 2_000, None);
        assert!(near(share.lacked(), 0.6 / 3.0), "they compute as much");
        share.add(1, 6_000, None);
        assert!(near(share.lacked(), 0.8 / 3.0), "it waited");
        (0..6).for_each(|_| share.add(1, 400, Some((CoreTime { had: 400, lacked: 0 }, 1.0))));
        assert!(share.told().is_some(), "they are enough");
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
