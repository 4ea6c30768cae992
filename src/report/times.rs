//! How long items took, in percentiles.
//!
//! Times are counted in classes that grow with what they hold: 16 of equal width for each
//! doubling, as in HdrHistogram (Gil Tene, <https://hdrhistogram.org>), whose crate counts
//! behind an exclusive reference. Here all threads count at once, without a lock, in a
//! table that never grows.

use std::time::Duration;

use super::Spread;
use crate::sync::{Figure, Ordering};

/// Classes for each doubling: a percentile is off by a 32nd of itself at the most.
const CLASSES: u64 = 16;
const CLASS_BITS: u32 = CLASSES.ilog2();
/// Enough for every number of nanoseconds: below [`CLASSES`] each is a class of its own.
const TABLE: usize = (CLASSES * (u64::BITS - CLASS_BITS + 1) as u64) as usize;

/// Counts items by how long they took; 8 KiB.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Box<[Figure]>,
    loops: Figure,
    most: Figure,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = (0..TABLE).map(|_| Figure::new(0)).collect();
        Self { counts, loops: Figure::new(0), most: Figure::new(0) }
    }
}

impl Histogram {
    /// `items` took `nanos` together, in one loop.
    pub(crate) fn record(&self, items: u64, nanos: u64) {
        let Some(each) = nanos.checked_div(items) else { return };
        // Relaxed: read when the threads are joined.
        self.counts[class_of(each)].fetch_add(items, Ordering::Relaxed);
        self.loops.fetch_add(1, Ordering::Relaxed);
        if each > self.most.load(Ordering::Relaxed) {
            self.most.fetch_max(each, Ordering::Relaxed);
        }
    }

    /// What was counted, class by class.
    pub(crate) fn spread(&self) -> Spread {
        let get = |figure: &Figure| figure.load(Ordering::Relaxed);
        let (most, loops) = (get(&self.most), get(&self.loops));
        let classes = self.counts.iter().enumerate().map(|(class, count)| (class, get(count)));
        let counted = classes.filter(|(_, count)| *count > 0);
        let classes = counted.map(|(class, count)| (middle_of(class).min(most), count)).collect();
        Spread { classes, loops }
    }

    /// What was counted, if anything was.
    pub(crate) fn times(&self) -> Option<ItemTimes> {
        let get = |figure: &Figure| figure.load(Ordering::Relaxed);
        let items: u64 = self.counts.iter().map(get).sum();
        let most = get(&self.most);
        let percentile = |percent: u64| {
            let rank = (u128::from(items) * u128::from(percent)).div_ceil(100) as u64;
            let mut below = 0;
            let class = self.counts.iter().position(|count| {
                below += get(count);
                below >= rank
            });
            Duration::from_nanos(class.map_or(most, middle_of).min(most))
        };
        (items > 0).then(|| ItemTimes {
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: Duration::from_nanos(most),
            together: items as f64 / get(&self.loops) as f64,
        })
    }
}

fn class_of(nanos: u64) -> usize {
    // Below two doublings' worth of classes each number has its own.
    let shift = nanos.max(CLASSES).ilog2() - CLASS_BITS;
    (u64::from(shift) * CLASSES + (nanos >> shift)) as usize
}

fn middle_of(class: usize) -> u64 {
    let class = class as u64;
    let shift = (class / CLASSES).saturating_sub(1);
    let lowest = (class - shift * CLASSES) << shift;
    lowest + (1 << shift) / 2
}

/// How long the items of a stage took.
///
/// A loop over neighbouring items is timed, not each item: looking at the clock costs more
/// than a small item does. The loop's time is divided by its items and counts once for
/// each. Light items travel as many at a time as take a millisecond in the slowest stage. So where
/// two of them take less, these are percentiles of means, and one slow item among fast ones is
/// averaged away; [`together`](Self::together) tells over how many. Heavier items travel alone,
/// and their percentiles are those of single calls. (With many cores a parcel may take
/// longer, so that heavier items travel together: `{:#}` of the [`Plan`](crate::Plan) tells.) An item of a `flat_map` takes what its call and
/// all draws on what that returned take; building a worker's state is no part of it.
///
/// Percentiles are right within 3.2 % of themselves, the highest time to the nanosecond.
///
/// ```
/// use std::time::Duration;
/// use plimsoll::{Budget, MIB, Pipeline, Stage};
///
/// let nap = Stage::cpu("nap").map(|millis| std::thread::sleep(Duration::from_millis(millis)));
/// let pipeline = Pipeline::new(nap).build(&Budget::new(MIB, 1))?;
/// let report = pipeline.run([1, 1, 1, 20], drop)?;
/// let times = report.stages()[0].item_times().expect("there were calls");
/// assert!(times.p50() <= times.p99() && times.p99() <= times.max());
/// assert!(times.max() >= Duration::from_millis(20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ItemTimes {
    pub(crate) p50: Duration,
    pub(crate) p90: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
    pub(crate) together: f64,
}

impl ItemTimes {
    /// The time that half of the items took at the most: the median.
    #[must_use]
    pub fn p50(&self) -> Duration {
        self.p50
    }

    /// The time that nine of ten items took at the most.
    #[must_use]
    pub fn p90(&self) -> Duration {
        self.p90
    }

    /// The time that 99 of 100 items took at the most.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.p99
    }

    /// The highest time.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// How many items were timed together, on average: one, if each was timed by itself.
    #[must_use]
    pub fn together(&self) -> f64 {
        self.together
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_follow_each_other_without_a_gap() {
        assert_eq!(class_of(0), 0);
        assert_eq!(class_of(u64::MAX), TABLE - 1);
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for edge in edges.filter(|edge| *edge > 0) {
            let (before, at) = (class_of(edge - 1), class_of(edge));
            assert!(at == before || at == before + 1, "{edge}: {before}, {at}");
        }
        for class in 0..TABLE {
            assert_eq!(class_of(middle_of(class)), class);
        }
    }

    #[test]
    fn a_loop_counts_once_for_each_of_its_items() {
        let histogram = Histogram::default();
        assert_eq!(histogram.times(), None);
        histogram.record(0, 5_000);
        assert_eq!(histogram.times(), None, "no item, no time");
        histogram.record(98, 98 * 7);
        histogram.record(1, 1_000_000_000);
        histogram.record(1, 3_000_000_000);
        let times = histogram.times().expect("some were counted");
        assert_eq!((times.p50, times.p90), (Duration::from_nanos(7), Duration::from_nanos(7)));
        assert!(times.p99.abs_diff(Duration::from_secs(1)) < Duration::from_millis(32));
        assert_eq!(times.max, Duration::from_secs(3));
        assert!((times.together - 100.0 / 3.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_times(
            mut all in prop::collection::vec(prop_oneof![0..50u64, 0..1_000_000u64, any::<u64>()], 1..300),
        ) {
            let histogram = Histogram::default();
            all.iter().for_each(|nanos| histogram.record(1, *nanos));
            all.sort_unstable();
            let times = histogram.times().expect("some were counted");
            for (percent, told) in [(50, times.p50), (90, times.p90), (99, times.p99), (100, times.max)] {
                let rank = (all.len() * percent).div_ceil(100);
                let (exact, told) = (all[rank - 1], told.as_nanos() as u64);
                prop_assert!(told.abs_diff(exact) <= exact / 32, "{percent}: {told}, {exact}");
            }
            prop_assert_eq!(times.together, 1.0);
        }
    }
}
