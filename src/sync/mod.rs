//! The one place that says which locks, threads and clock the crate is built on, so
//! that a model checker can stand in for them.
//!
//! Built with `--cfg loom` or `--cfg shuttle`, `model` takes the place of the real
//! ones; everything else is the same code. Built with `--cfg steady`, the locks and threads
//! are the real ones and only the clock is not, so that the same run takes the same
//! instructions, which benches/instructions.rs counts. The crate's own tests count what the
//! real ones do: see `counted`.

#[cfg(all(test, not(any(loom, shuttle))))]
mod counted;
#[cfg(any(loom, shuttle))]
mod model;
#[cfg(any(loom, shuttle, steady))]
mod steady;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

#[cfg(any(loom, shuttle))]
pub(crate) use model::{
    AtomicBool, AtomicU64, Clock, Condvar, JoinHandle, Mutex, MutexGuard, SPINS, Stopwatch,
    WATCH_ROUNDS, scope, spawn, spawn_scoped,
};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use real::{
    AtomicBool, AtomicU64, Clock, Condvar, JoinHandle, Mutex, MutexGuard, SPINS, Stopwatch,
    WATCH_ROUNDS, scope, spawn, spawn_scoped,
};
pub(crate) use std::sync::atomic::Ordering;

/// A counter on which no decision of a run depends, a report or a name at the most: no model
/// checker need look at it.
pub(crate) use std::sync::atomic::AtomicU64 as Figure;

/// What may be old whenever it is read: whoever goes by it does what is right in another
/// schedule, too. No model checker need look at it.
pub(crate) use std::sync::atomic::AtomicU64 as Hint;

#[cfg(not(any(loom, shuttle)))]
mod real {
    use std::io;
    #[cfg(not(steady))]
    use std::sync::Arc;
    use std::thread::{Builder, Scope, ScopedJoinHandle};
    #[cfg(not(steady))]
    use std::time::{Duration, Instant};

    use crate::fault::fallible;
    #[cfg(not(steady))]
    use std::sync::atomic::Ordering;

    #[cfg(test)]
    use super::counted::handed_on;
    #[cfg(test)]
    pub(crate) use super::counted::{Condvar, Mutex, MutexGuard};
    #[cfg(steady)]
    pub(crate) use crate::sync::steady::Clock;
    #[cfg(not(test))]
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    #[cfg(not(test))]
    use std::convert::identity as handed_on;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use std::thread::{JoinHandle, scope};

    /// Measures what nothing but a report depends on.
    pub(crate) use std::time::Instant as Stopwatch;

    /// Looks at a counter before a thread parks: some microseconds, about what
    /// parking and waking would cost. How many there were is chance: not to be counted.
    pub(crate) const SPINS: u32 = if cfg!(steady) { 0 } else { 200 };

    /// Looks that the watch of a run takes at the most. It goes by the time.
    pub(crate) const WATCH_ROUNDS: u64 = if cfg!(steady) { 0 } else { u64::MAX };

    /// Starts a thread of a run.
    pub(crate) fn spawn(
        name: String,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let work = handed_on(work);
        fallible(|| Builder::new().name(name).spawn(work))
    }

    /// Starts a thread of a run that may borrow.
    pub(crate) fn spawn_scoped<'scope>(
        scope: &'scope Scope<'scope, '_>,
        name: String,
        work: impl FnOnce() + Send + 'scope,
    ) -> io::Result<ScopedJoinHandle<'scope, ()>> {
        let work = handed_on(work);
        fallible(|| Builder::new().name(name).spawn_scoped(scope, work))
    }

    /// Time since a run began.
    #[cfg(not(steady))]
    #[derive(Debug)]
    pub(crate) struct Clock {
        begun: Instant,
        /// What it shows, if that is not the time.
        shows: Option<Arc<AtomicU64>>,
    }

    #[cfg(not(steady))]
    impl Clock {
        pub(crate) fn start() -> Self {
            Self { begun: Instant::now(), shows: None }
        }

        /// A clock that shows what `shown` is set to.
        pub(crate) fn set_by(shown: &Arc<AtomicU64>) -> Self {
            Self { begun: Instant::now(), shows: Some(Arc::clone(shown)) }
        }

        pub(crate) fn nanos(&self) -> u64 {
            match &self.shows {
                None => u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
                Some(shown) => shown.load(Ordering::Relaxed),
            }
        }

        /// The moment when `nanos` will have passed.
        pub(crate) fn at(&self, nanos: u64) -> Instant {
            self.begun + Duration::from_nanos(nanos)
        }
    }
}
