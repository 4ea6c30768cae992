//! Events by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::scheduler::Nanos;

/// What happens to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// It wants the lock.
    Arrives,
    /// It has spun for the lock long enough.
    StopsSpinning,
    /// It has got the lock.
    Enters,
    /// It lets go of the lock.
    Leaves,
    /// It has looked for work long enough, or its alarm rings.
    Stirs,
}

/// Events to come. Of two at one time, the one that was noted first.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    events: BinaryHeap<Reverse<Noted>>,
    noted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Noted {
    at: Nanos,
    number: u64,
    thread: usize,
    turn: u64,
    event: Event,
}

impl Timeline {
    /// Notes what will happen to `thread`, if that is still in its `turn` then.
    pub(super) fn note(&mut self, at: Nanos, (thread, turn): (usize, u64), event: Event) {
        let number = self.noted;
        self.noted += 1;
        self.events.push(Reverse(Noted { at, number, thread, turn, event }));
    }

    /// When the next event is.
    pub(super) fn next_at(&self) -> Option<Nanos> {
        self.events.peek().map(|Reverse(noted)| noted.at)
    }

    /// The next event: when, to whom in which turn, what.
    pub(super) fn next(&mut self) -> Option<(Nanos, (usize, u64), Event)> {
        let Reverse(Noted { at, thread, turn, event, .. }) = self.events.pop()?;
        Some((at, (thread, turn), event))
    }
}
