//! How the threads of a run are woken and stopped.
//!
//! A thread that found nothing to do must not sleep through what happens between
//! its look and its sleep. A [`Bell`] counts its rings: whoever looks takes the
//! count before, and sleeps only while the count stands. A ring in between is
//! therefore never lost, whichever lock guards what was looked at.

use std::time::Instant;

use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, Ordering};

/// A place to sleep until somebody rings.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    sleepers: Condvar,
}

/// The count of a bell at the time of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rings(u64);

impl Bell {
    /// The count before a look. Take it under the lock of what is looked at, so
    /// that whoever changes that rings after.
    pub(crate) fn rings(&self) -> Rings {
        Rings(*self.rings.lock())
    }

    /// Sleeps unless the bell was rung since `seen`, until it is or `until` comes.
    pub(crate) fn wait(&self, seen: Rings, until: Option<Instant>) {
        let mut rings = self.rings.lock();
        while *rings == seen.0 {
            match until {
                None => self.sleepers.wait(&mut rings),
                Some(until) => {
                    if self.sleepers.wait_until(&mut rings, until).timed_out() {
                        return;
                    }
                }
            }
        }
    }

    /// Wakes one sleeper, and whoever is about to sleep.
    pub(crate) fn ring_one(&self) {
        *self.rings.lock() += 1;
        self.sleepers.notify_one();
    }

    /// Wakes all.
    pub(crate) fn ring_all(&self) {
        *self.rings.lock() += 1;
        self.sleepers.notify_all();
    }
}

/// What a run can be told from outside its own threads.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Rung when there is work to do.
    pub(crate) work: Bell,
    /// Rung when there are outputs to take.
    pub(crate) outputs: Bell,
    /// Rung when there is nothing left to watch.
    pub(crate) watch: Bell,
    /// Items of the source from this one on are of no use any more, nor is what was
    /// made of them: calls that are under way give up between two such items. Zero
    /// stops everything.
    end: AtomicU64,
    cancelled: AtomicBool,
}

impl Default for Signals {
    fn default() -> Self {
        let (work, outputs, watch) = Default::default();
        let (end, cancelled) = (AtomicU64::new(u64::MAX), AtomicBool::new(false));
        Self { work, outputs, watch, end, cancelled }
    }
}

impl Signals {
    /// Asks for the end of the run.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.stop();
    }

    /// Makes running steps give up and everybody look up.
    pub(crate) fn stop(&self) {
        self.end.store(0, Ordering::Release);
        self.ring_all();
    }

    /// Makes everybody look up.
    pub(crate) fn ring_all(&self) {
        self.work.ring_all();
        self.outputs.ring_all();
        self.watch.ring_all();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Makes running steps give up what is younger than the item at `index` of
    /// the source.
    pub(crate) fn cut_after(&self, index: u64) {
        self.end.fetch_min(index.saturating_add(1), Ordering::AcqRel);
    }

    // Asked for every item by code that is compiled in the user's crate.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.end.load(Ordering::Acquire) == 0
    }

    /// The first item of the source that is of no use any more.
    pub(crate) fn end(&self) -> &AtomicU64 {
        &self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_ring_between_look_and_sleep_is_not_lost() {
        let bell = Bell::default();
        let seen = bell.rings();
        bell.ring_one();
        bell.wait(seen, None);
        assert_ne!(bell.rings(), seen);
    }

    #[test]
    fn a_sleeper_wakes_by_ring_or_by_time() {
        let bell = Bell::default();
        bell.wait(bell.rings(), Some(Instant::now() + Duration::from_millis(1)));
        let seen = bell.rings();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.wait(seen, None));
            bell.ring_all();
        });
    }
}
