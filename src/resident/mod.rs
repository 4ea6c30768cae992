//! What memory this process really holds, as the system counts it, and what the
//! ledgers of all its runs stand for together.

#[cfg(shuttle)]
mod dice;
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
mod linux;
#[cfg(any(loom, not(any(target_os = "linux", shuttle))))]
mod none;

use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(shuttle)]
pub(crate) use dice::Gauge;
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub(crate) use linux::Gauge;
#[cfg(any(loom, not(any(target_os = "linux", shuttle))))]
pub(crate) use none::Gauge;

/// What all runs of this process account for: real memory is told for the whole
/// process, so one run's items would otherwise be another's drift.
static ACCOUNTED: AtomicU64 = AtomicU64::new(0);

/// Held by unit tests that run a pipeline or account for something: others look at the
/// sum, or count the threads of the process.
#[cfg(test)]
pub(crate) static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// One run's part of it, taken back when the run ends.
#[derive(Debug, Default)]
pub(crate) struct Accounted(u64);

impl Accounted {
    /// Publishes what this run accounts for now; what the others do.
    pub(crate) fn publish(&mut self, bytes: u64) -> u64 {
        // Relaxed: a figure among measurements that are a moment old anyway. The
        // difference wraps, and so does the sum.
        let change = bytes.wrapping_sub(self.0);
        let before = ACCOUNTED.fetch_add(change, Ordering::Relaxed);
        let others = before.wrapping_sub(self.0);
        self.0 = bytes;
        others
    }
}

impl Drop for Accounted {
    fn drop(&mut self) {
        self.publish(0);
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
}
