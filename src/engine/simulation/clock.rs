//! Time that passes when it is told to.

use std::sync::Arc;

use crate::sync::{AtomicU64, Clock, Ordering};

/// The clock of a simulated run. Functions of its stages, its source and its sink let
/// time pass on it instead of computing.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    nanos: Arc<AtomicU64>,
}

impl VirtualClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `nanos` nanoseconds pass.
    #[inline]
    pub fn pass(&self, nanos: u64) {
        // Not one operation: a simulation has one thread.
        self.set(self.now() + nanos);
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, nanos: u64) {
        self.nanos.store(nanos, Ordering::Relaxed);
    }

    /// What the nodes of a run read it by.
    pub(crate) fn face(&self) -> Clock {
        Clock::set_by(&self.nanos)
    }
}
