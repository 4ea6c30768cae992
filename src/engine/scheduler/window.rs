//! For how long the window held a run up.
//!
//! A full window alone is no reason to blame it: most often what is aboard waits for a stage
//! that has enough to do, and more of it would wait, too. So only that time counts in which the
//! source would be read but for the window, what it gave would be started at once, and nothing
//! aboard waits for anything but company in a batch or its turn.

use super::{Nanos, Scheduler};

/// Time for which nothing but the window kept the source from being read, while a worker and a
/// core were free for what it would have given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) all: Nanos,
    /// The part of it in which at least half of what was aboard was done and waited for the turn
    /// of an older one.
    pub(crate) in_turn: Nanos,
}

impl Shut {
    /// Takes over what is in `other`.
    pub(super) fn take(&mut self, other: &mut Self) {
        let Self { all, in_turn } = std::mem::take(other);
        self.all += all;
        self.in_turn += in_turn;
    }
}

impl<T> Scheduler<T> {
    /// For how long the window held the run up, as far as the source is known to have had more.
    pub(crate) fn shut(&self) -> Shut {
        self.source.shut
    }

    /// Books what has `passed` since the last event, if the window held the run up.
    pub(super) fn note_shut(&mut self, passed: Nanos) {
        // This alone is what most runs pay for it.
        if self.aboard < self.window || !self.is_shut() {
            return;
        }
        let sink = self.segments.last().expect("a run has a sink");
        let is_in_turn = sink.queue.items() >= self.aboard.div_ceil(2);
        let lately = &mut self.source.shut_lately;
        lately.all += passed;
        lately.in_turn += if is_in_turn { passed } else { 0 };
    }

    fn is_shut(&self) -> bool {
        let (sink, stages) = self.segments.split_last().expect("a run has a sink");
        let first = &self.segments[0];
        let may_read = self.source.open && !self.source.pulling && self.computing < self.cores;
        let may_start = || first.running < first.workers && first.may_take_worker(self.spare);
        // As it was when the time began that has passed.
        let rests =
            || stages.iter().all(|it| it.queue.is_empty() || !it.is_batch_ready(self.clock));
        let waits_for_turn = || self.ordered && sink.running == 0 && self.deliverable().is_none();
        may_read && may_start() && rests() && (sink.queue.is_empty() || waits_for_turn())
    }
}
