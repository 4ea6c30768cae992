//! What memory this process really holds, as the system counts it, and what the
//! ledgers of all its runs stand for together.

#[cfg(shuttle)]
mod dice;
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
mod linux;
#[cfg(any(loom, not(any(target_os = "linux", shuttle))))]
mod none;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

#[cfg(shuttle)]
pub(crate) use dice::Gauge;
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub(crate) use linux::Gauge;
#[cfg(any(loom, not(any(target_os = "linux", shuttle))))]
pub(crate) use none::Gauge;

use crate::table::MemoryId;

/// What all runs of this process account for: real memory is told for the whole
/// process, so one run's items would otherwise be another's drift.
static ACCOUNTED: AtomicU64 = AtomicU64::new(0);

/// Shared data in real memory, part of that sum once: its bytes, and how many runs work
/// with it.
static COPIES: Mutex<BTreeMap<MemoryId, (u64, usize)>> = Mutex::new(BTreeMap::new());

/// Held by unit tests that run a pipeline or account for something: others look at the
/// sum, or count the threads of the process.
#[cfg(test)]
pub(crate) static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// One run's part of it, taken back when the run ends.
#[derive(Debug, Default)]
pub(crate) struct Accounted {
    /// All but the copies.
    own: u64,
    copies: Vec<MemoryId>,
    /// Bytes of these.
    shared: u64,
}

impl Accounted {
    /// For a run that works with `copies` of so many bytes each; other runs may, too.
    pub(crate) fn with_copies(copies: &[(MemoryId, u64)]) -> Self {
        let shared = copies.iter().map(|(_, bytes)| bytes).sum();
        if !copies.is_empty() {
            let mut known = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
            for (copy, bytes) in copies {
                let (_, runs) = known.entry(*copy).or_insert_with(|| {
                    ACCOUNTED.fetch_add(*bytes, Ordering::Relaxed);
                    (*bytes, 0)
                });
                *runs += 1;
            }
        }
        Self { own: 0, copies: copies.iter().map(|(copy, _)| *copy).collect(), shared }
    }

    /// Publishes what this run accounts for now, its copies included; what the others do
    /// beside them.
    pub(crate) fn publish(&mut self, bytes: u64) -> u64 {
        // Relaxed: a figure among measurements that are a moment old anyway. The
        // difference wraps, and so does the sum.
        let own = bytes.saturating_sub(self.shared);
        let before = ACCOUNTED.fetch_add(own.wrapping_sub(self.own), Ordering::Relaxed);
        let others = before.wrapping_sub(self.own).wrapping_sub(self.shared);
        self.own = own;
        others
    }
}

impl Drop for Accounted {
    fn drop(&mut self) {
        self.publish(0);
        if self.copies.is_empty() {
            return;
        }
        let mut known = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
        for copy in &self.copies {
            let Some((bytes, runs)) = known.get_mut(copy) else { continue };
            *runs -= 1;
            if *runs == 0 {
                ACCOUNTED.fetch_sub(*bytes, Ordering::Relaxed);
                known.remove(copy);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_see_what_the_others_account_for() {
        const LARGE: u64 = 1 << 50;
        let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (mut one, mut other) = (Accounted::default(), Accounted::default());
        one.publish(5 * LARGE);
        let seen = other.publish(2 * LARGE);
        assert_eq!(seen / LARGE, 5);
        one.publish(LARGE);
        assert_eq!(other.publish(2 * LARGE) / LARGE, 1);
        drop(other);
        assert_eq!(one.publish(0) / LARGE, 0);
    }

    #[test]
    fn a_copy_that_several_runs_work_with_is_accounted_for_once() {
        const LARGE: u64 = 1 << 50;
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (table, other) = ((MemoryId::Own(1), 4 * LARGE), (MemoryId::Own(2), LARGE));
        let mut watcher = Accounted::default();
        let mut all = || watcher.publish(0) / LARGE;
        let mut first = Accounted::with_copies(&[table]);
        assert_eq!((first.publish(5 * LARGE) / LARGE, all()), (0, 5));
        let mut second = Accounted::with_copies(&[table, other]);
        assert_eq!((second.publish(7 * LARGE) / LARGE, all()), (1, 8), "1 + 2 + 4 + 1");
        assert_eq!(first.publish(5 * LARGE) / LARGE, 3, "what the second has beside the table");
        drop(first);
        assert_eq!((second.publish(7 * LARGE) / LARGE, all()), (0, 7));
        drop(second);
        assert_eq!(all(), 0);
    }
}
