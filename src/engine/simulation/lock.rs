//! Who has the one lock, who spins for it, who sleeps for it.
//!
//! As `parking_lot` has it: whoever finds the lock free takes it, whoever else waits.
//! Those who wait spin a while, but not where others sleep already. A release goes to one
//! who spins; one who sleeps is woken and tries again, and once in a while the lock is
//! kept for the woken.

use std::collections::VecDeque;

use crate::engine::scheduler::Nanos;

/// The lock is kept for a sleeper so often, at the most.
const FAIR_INTERVAL: Nanos = 500_000;

#[derive(Debug, Default)]
pub(super) struct Lock {
    held: bool,
    /// Who had it last.
    last: Option<usize>,
    spinning: VecDeque<usize>,
    sleeping: VecDeque<usize>,
    fair_at: Nanos,
}

/// How a thread that wants the lock fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Enters,
    Spins,
    Sleeps,
}

/// Who is next when the lock was released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Release {
    /// It has spun and has the lock.
    pub(super) next: Option<usize>,
    /// It has slept and is woken.
    pub(super) woken: Option<usize>,
    /// The lock is kept for the woken.
    pub(super) is_fair: bool,
}

impl Lock {
    pub(super) fn arrive(&mut self, thread: usize) -> Arrival {
        if !self.held {
            self.held = true;
            return Arrival::Enters;
        }
        if self.sleeping.is_empty() {
            self.spinning.push_back(thread);
            return Arrival::Spins;
        }
        self.sleeping.push_back(thread);
        Arrival::Sleeps
    }

    /// `thread` spins no longer, if it still does, but sleeps.
    pub(super) fn stop_spinning(&mut self, thread: usize) {
        if let Some(place) = self.spinning.iter().position(|other| *other == thread) {
            self.spinning.remove(place);
            self.sleeping.push_back(thread);
        }
    }

    /// `thread` has the lock now; whether it had it last, too.
    pub(super) fn enter(&mut self, thread: usize) -> bool {
        debug_assert!(self.held, "the lock was taken on arrival or handed on");
        self.last.replace(thread) == Some(thread)
    }

    pub(super) fn release(&mut self, now: Nanos) -> Release {
        let woken = self.sleeping.pop_front();
        let is_fair = woken.is_some() && now >= self.fair_at;
        if is_fair {
            self.fair_at = now + FAIR_INTERVAL;
        }
        let next = if is_fair { None } else { self.spinning.pop_front() };
        self.held = is_fair || next.is_some();
        Release { next, woken, is_fair }
    }
}
