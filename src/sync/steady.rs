//! A clock that goes by what is done, not by what it takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a look takes. For a model checker, the longest of what a run measures by it, so
/// that whatever may come due does; where instructions are counted, so little that small
/// items make full parcels.
const TICK: u64 = if cfg!(steady) { 1_000 } else { 100_000 };

/// A clock that each look moves on: the same schedule sees the same times.
#[derive(Debug)]
pub(crate) struct Clock {
    begun: Instant,
    ticks: AtomicU64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), ticks: AtomicU64::new(0) }
    }

    pub(crate) fn nanos(&self) -> u64 {
        TICK * self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn at(&self, nanos: u64) -> Instant {
        self.begun + Duration::from_nanos(nanos)
    }
}
