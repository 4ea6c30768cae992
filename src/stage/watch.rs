//! What a step asks between two items: whether to go on, and whether alone.

use super::items::IntoItems;
use super::step::PageCount;
use crate::sync::{AtomicU64, Clock, Hint, Ordering};

/// How often a step that cannot stop the run looks whether it was stopped elsewhere, and
/// whether somebody would help. A parcel takes a millisecond or two: from one look to the next
/// it is some 20 us.
const LOOKS_A_PARCEL: usize = 64;

/// The same of a parcel so light that it is hardly worth sharing: where somebody waits, a look
/// reads the clock, which takes as long as a hundred such items.
const LOOKS_A_LIGHT_PARCEL: usize = 8;

/// What a step asks between two items.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    /// The first item of the source that is of no use any more.
    pub(crate) end: &'a AtomicU64,
    /// The item of the source that the parcel begins with.
    pub(crate) source_index: u64,
    /// Whether the first failure ends the parcel.
    pub(crate) fail_fast: bool,
    /// Whether the calls themselves can stop the run, which then makes no more.
    pub(crate) has_token: bool,
    pub(crate) takers: &'a Takers,
    /// Where those would have to be who take the rest over.
    pub(crate) segment: usize,
    pub(crate) clock: &'a Clock,
    /// What building a state touches is counted by that.
    pub(crate) pages: PageCount,
    /// When the step began.
    pub(crate) begun: u64,
    /// What takes less time, nanoseconds, is not worth sharing.
    pub(crate) least: u64,
    /// What an item takes in this step, nanoseconds, by those before it.
    pub(crate) nanos_per_item: u64,
}

impl Watch<'_> {
    /// Of `items`, how many go between two looks; none of none.
    pub(crate) fn stretch(&self, items: usize) -> usize {
        let is_light = self.nanos_per_item.saturating_mul(items as u64) < self.least;
        items.div_ceil(if is_light { LOOKS_A_LIGHT_PARCEL } else { LOOKS_A_PARCEL })
    }

    /// The same of looks whether the run was stopped.
    pub(crate) fn unwatched(&self, items: usize) -> usize {
        if self.has_token { items.min(1) } else { self.stretch(items) }
    }

    /// Whether the rest of the parcel is of no use any more.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        // Relaxed: it only ever tells to stop earlier; the scheduler decides.
        self.end.load(Ordering::Relaxed) <= self.source_index
    }

    /// Whether what is left of `items` had better be shared with others, by what those took
    /// that are through.
    #[inline]
    pub(crate) fn shares<T>(&self, items: &IntoItems<T>) -> bool {
        self.takers.wait_in(self.segment) && self.is_long(items.taken(), items.len())
    }

    /// Whether others wait for what was made since the step began, and it is worth their
    /// while.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.takers.wait_in(self.segment + 1) && self.elapsed() >= self.least
    }

    #[cold]
    fn is_long(&self, done: usize, left: usize) -> bool {
        done > 0 && left > 0 && self.elapsed() / done as u64 * left as u64 >= self.least
    }

    fn elapsed(&self) -> u64 {
        self.clock.nanos().saturating_sub(self.begun)
    }
}

/// In which segments others have nothing to do, who would do more: there are a worker, a core
/// and a thread for it.
#[derive(Debug, Default)]
pub(crate) struct Takers {
    /// A bit for each segment; the last stands for all that there is no other for.
    segments: Hint,
}

impl Takers {
    /// The bit of `segment`.
    pub(crate) fn bit(segment: usize) -> u64 {
        1 << segment.min(u64::BITS as usize - 1)
    }

    /// From now on others would do more in `segments`, and nowhere else.
    pub(crate) fn note(&self, segments: u64) {
        // It seldom changes, and a store would take it out of the caches of all who look.
        if self.segments.load(Ordering::Relaxed) != segments {
            self.segments.store(segments, Ordering::Relaxed);
        }
    }

    /// Whether others would do more in `segment`.
    #[inline]
    pub(crate) fn wait_in(&self, segment: usize) -> bool {
        self.segments.load(Ordering::Relaxed) & Self::bit(segment) != 0
    }
}

#[cfg(all(test, not(any(loom, shuttle, steady))))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stage::Items;

    /// Whether a step of segment 3 that has taken so long for `done` of `of` items shares
    /// the rest, while others wait in `waiting`.
    fn shares(waiting: usize, nanos: u64, (done, of): (usize, usize)) -> bool {
        let (shown, end, takers) =
            (Arc::new(AtomicU64::new(nanos)), u64::MAX.into(), Takers::default());
        takers.note(Takers::bit(waiting));
        let mut items = Items::from(vec![0; of]).into_iter();
        items.by_ref().take(done).for_each(drop);
        let watch = Watch {
            end: &end,
            source_index: 0,
            fail_fast: true,
            has_token: false,
            takers: &takers,
            segment: 3,
            clock: &Clock::set_by(&shown),
            pages: || None,
            begun: 1_000,
            least: 100_000,
            nanos_per_item: 0,
        };
        watch.shares(&items)
    }

    #[test]
    fn a_long_rest_is_shared_with_those_who_wait_in_the_same_segment() {
        assert!(shares(3, 51_000, (1, 3)));
        assert!(!shares(2, 51_000, (1, 3)), "they wait elsewhere");
        assert!(!shares(3, 50_000, (1, 3)), "two of 49 us are soon done");
        assert!(!shares(3, 51_000_000, (0, 3)), "nothing is known of them");
        assert!(!shares(3, 51_000_000, (3, 3)), "nothing is left");
    }

    #[test]
    fn segments_beyond_the_bits_share_the_last() {
        let takers = Takers::default();
        takers.note(Takers::bit(64) | Takers::bit(2));
        let waits = |segment| takers.wait_in(segment);
        assert_eq!([2, 3, 62, 63, 64, 100].map(waits), [true, false, false, true, true, true]);
    }
}
