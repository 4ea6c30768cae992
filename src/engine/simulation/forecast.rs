//! What came of a simulated run.

use std::time::Duration;

use crate::report::Report;

/// What a run would come to.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// As of a real run. What the process held is this process's.
    pub report: Report,
    /// What running it took.
    pub costs: Costs,
}

/// What threads and their lock did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    /// Where the time of all threads went.
    pub threads: ThreadTime,
    /// Steps and pulls.
    pub steps: u64,
    /// Times the lock was taken.
    pub locks: u64,
    /// Sleepers that were woken, for work or for the lock.
    pub wakes: u64,
    /// The part of the run in which the lock was held.
    pub held: Duration,
    /// Real time that the scheduler took to settle and choose, with warm caches.
    pub deciding: Duration,
}

/// Where the time of all threads went, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTime {
    /// In stages, the source and the sink.
    pub calls: u64,
    /// Around the calls.
    pub steps: u64,
    /// With the lock.
    pub holding: u64,
    /// For the lock.
    pub waiting: u64,
    /// Waking others.
    pub waking: u64,
    /// Looking for work, asleep, started late or ended early.
    pub idle: u64,
}

impl Forecast {
    /// The part of so many cores' time that went into calls.
    #[must_use]
    pub fn efficiency(&self) -> f64 {
        let cores = self.report.cores as f64 * self.report.elapsed().as_nanos() as f64;
        self.costs.threads.calls as f64 / cores
    }
}
