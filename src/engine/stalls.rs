//! Calls that do not come back: told by the watch while they last, kept for the report.

use std::cmp::Reverse;
use std::time::Duration;

use super::run::Run;
use super::scheduler::{Call, Nanos};
use crate::item::ItemId;
use crate::report::{Beside, Snapshot, Stall, StopReason};

/// Stalls that a report keeps.
pub(crate) const MOST_STALLS: usize = 16;

/// Those of a run, in the order in which they began to be told.
#[derive(Debug, Default)]
pub(crate) struct Stalls(Vec<Told>);

/// A stall that was told, and when it is told again.
#[derive(Debug)]
struct Told {
    call: Call,
    stall: Stall,
    again: Nanos,
}

impl Stalls {
    /// Those that the report keeps.
    pub(crate) fn told(&self) -> Vec<Stall> {
        self.0.iter().take(MOST_STALLS).map(|told| told.stall.clone()).collect()
    }

    /// Takes a call that has lasted too long, as told of at `now`; whether it is to be told: it
    /// is each time that it has doubled.
    fn note(&mut self, call: &Call, now: Nanos) -> bool {
        let known = self.0.iter().find(|told| call.is(&told.call) && !told.stall.came_back);
        known.is_none_or(|told| now >= told.again)
    }

    fn put(&mut self, call: Call, stall: Stall, now: Nanos) {
        let again = now.saturating_add(now.saturating_sub(call.since));
        let known = self.0.iter_mut().find(|told| call.is(&told.call));
        match known {
            Some(told) => *told = Told { call, stall, again },
            None => self.0.push(Told { call, stall, again }),
        }
    }

    /// Forgets calls that came back and are not in the report.
    fn prune(&mut self) {
        let mut place = 0;
        self.0.retain(|told| {
            place += 1;
            place <= MOST_STALLS || !told.stall.came_back
        });
    }
}

impl Run<'_> {
    /// The calls that have lasted too long by `now`.
    fn stalled_calls(&self, now: Nanos) -> Vec<Call> {
        let until = now.checked_sub(self.stall_nanos());
        let since = |until| self.with_scheduler(|scheduler| scheduler.calls_since_before(until));
        until.map(since).unwrap_or_default()
    }

    /// The same as users are told of them, the longest first.
    pub(super) fn stalls_of(&self, snapshot: &Snapshot, now: Nanos) -> Vec<Stall> {
        let calls = self.stalled_calls(now);
        let mut stalls: Vec<_> =
            calls.iter().map(|call| self.stall_of(call, snapshot, now)).collect();
        stalls.sort_by_key(|stall| Reverse(stall.lasted));
        stalls
    }

    /// Tells the calls that have lasted too long: each once, and again whenever its time has
    /// doubled.
    pub(super) fn tell_stalls(&self, ending: Option<(StopReason, Nanos)>, now: Nanos) {
        for call in self.stalled_calls(now) {
            if !self.stalls.lock().note(&call, now) {
                continue;
            }
            let stall = self.stall_of(&call, &self.snapshot_of(ending, now), now);
            super::events::stall(&stall);
            self.stalls.lock().put(call, stall, now);
        }
    }

    /// Notes, of calls that were told, which have come back by `now`, and how long they took.
    pub(super) fn end_stalls(&self, now: Nanos) {
        let mut stalls = self.stalls.lock();
        let open = stalls.0.iter_mut().filter(|told| !told.stall.came_back);
        let mut ended = false;
        for Told { call, stall, .. } in open {
            if self.with_scheduler(|scheduler| scheduler.is_under_way(call)) {
                continue;
            }
            (stall.came_back, stall.lasted) = (true, since(call, now));
            super::events::came_back(stall);
            ended = true;
        }
        if ended {
            stalls.prune();
        }
    }

    fn stall_of(&self, call: &Call, snapshot: &Snapshot, now: Nanos) -> Stall {
        let (stage, item, items) = match call.segment {
            Some(segment) => {
                let name = self.cx.segment_name(&self.cx.plan.segments[segment]);
                (name, call.id.clone(), call.items)
            }
            None => {
                let (first, items) = self.source.asked_for();
                ("(source)".to_owned(), ItemId::new(first), items)
            }
        };
        let beside = Beside::of(&stage, snapshot);
        let (lasted, holds) = (since(call, now), call.holds);
        Stall { stage, item, items, lasted, came_back: false, holds, beside }
    }
}

/// How long a call has lasted.
fn since(call: &Call, now: Nanos) -> Duration {
    Duration::from_nanos(now.saturating_sub(call.since))
}
