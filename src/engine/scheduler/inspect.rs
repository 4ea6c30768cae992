//! What a look from outside is told: who works, who waits, who holds what.

use super::{Halt, Nanos, Scheduler};
use crate::cores::{CoreShare, Seen};
use crate::item::ItemId;
use crate::ledger::Refusal;
use crate::report::WaitsFor;

/// A segment at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegmentState {
    pub(crate) takes_cores: bool,
    pub(crate) running: usize,
    pub(crate) queued: u64,
    pub(crate) holds: u64,
    pub(crate) waits_for: WaitsFor,
}

/// A call that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `None` for the source.
    pub(crate) segment: Option<usize>,
    /// The oldest item it was given.
    pub(crate) id: ItemId,
    /// Items that it was given; none of the source, which gives.
    pub(crate) items: u64,
    pub(crate) since: Nanos,
    pub(crate) holds: u64,
}

impl Call {
    fn is_of(&self, segment: Option<usize>, since: Nanos) -> bool {
        (self.segment, self.since) == (segment, since)
    }

    /// Whether this is the call that was `seen` earlier.
    pub(crate) fn is(&self, seen: &Self) -> bool {
        // There is one pull at a time.
        let same_parcel = self.segment.is_none() || self.id == seen.id;
        self.is_of(seen.segment, seen.since) && same_parcel
    }
}

/// What who was refused waits for.
fn memory(refusal: Refusal) -> WaitsFor {
    match refusal {
        Refusal::Full => WaitsFor::Memory,
        Refusal::Tight => WaitsFor::RealMemory,
    }
}

impl<T> Scheduler<T> {
    /// Every segment, the sink last.
    pub(crate) fn inspect(&self) -> Vec<SegmentState> {
        let mut states: Vec<_> =
            (0..self.segments.len()).map(|index| self.inspect_segment(index)).collect();
        for (_, live) in self.frontier.iter() {
            let step = live.step.as_ref().map_or(0, |step| step.bytes());
            states[live.segment].holds += live.cargo.bytes() + step;
        }
        states
    }

    fn inspect_segment(&self, index: usize) -> SegmentState {
        let segment = &self.segments[index];
        let waits_for = if segment.running >= segment.workers {
            WaitsFor::Nothing
        } else if segment.lacks_input(self.clock) {
            self.source_refusal(index).map_or(WaitsFor::Input, memory)
        } else if index + 1 == self.segments.len() && self.ordered && self.deliverable().is_none() {
            WaitsFor::Turn
        } else if index + 1 == self.segments.len() && self.outside_sink {
            WaitsFor::Consumer
        } else if self.is_blocked_downstream(index) {
            WaitsFor::Downstream
        } else {
            segment.refusal(self.spare).map_or(WaitsFor::Core, memory)
        };
        let (running, queued) = (segment.running, segment.queue.items());
        SegmentState { takes_cores: !segment.waits, running, queued, holds: 0, waits_for }
    }

    /// What the source waits for: nothing while it is read; none when it has no more.
    pub(crate) fn inspect_source(&self) -> Option<WaitsFor> {
        let first = &self.segments[0];
        if self.source.pulling {
            Some(WaitsFor::Nothing)
        } else if !self.source.open {
            None
        } else if first.queue.len() >= first.bound {
            Some(WaitsFor::Downstream)
        } else if self.aboard >= self.window {
            Some(WaitsFor::Window)
        } else {
            Some(self.source.hungry.map_or(WaitsFor::Core, memory))
        }
    }

    /// Items of the source that are done with; `in_order`, those before the oldest aboard,
    /// as one of the source may be many by now.
    pub(crate) fn finished(&self, in_order: bool) -> u64 {
        match (in_order, self.frontier.oldest()) {
            (true, Some(oldest)) => oldest.source_index(),
            (true, None) => self.source.read,
            (false, _) => self.source.read.saturating_sub(self.aboard),
        }
    }

    /// Calls under way that take a core.
    pub(crate) fn computing(&self) -> usize {
        self.computing
    }

    /// Calls that began at `until` or before, the oldest items first.
    pub(crate) fn calls_since_before(&self, until: Nanos) -> Vec<Call> {
        let running = self.frontier.iter().filter(|(_, live)| !live.queued && live.since <= until);
        let call = |(id, live): (&ItemId, &super::Live)| {
            let step = live.step.as_ref()?;
            // Only what is being read has no items yet.
            let (items, segment) = (live.items, (live.items > 0).then_some(live.segment));
            let holds = live.cargo.bytes() + step.bytes();
            Some(Call { segment, id: id.clone(), items, since: live.since, holds })
        };
        let mut calls: Vec<Call> = Vec::new();
        for call in running.filter_map(call) {
            // One call takes several parcels there, at one time.
            let gathers = call.segment.is_some_and(|it| self.segments[it].gather.is_some());
            let same = |other: &&mut Call| other.is_of(call.segment, call.since);
            match calls.iter_mut().find(same).filter(|_| gathers) {
                Some(first) => {
                    first.items += call.items;
                    first.holds += call.holds;
                }
                None => calls.push(call),
            }
        }
        calls
    }

    /// Whether `call` has not come back.
    pub(crate) fn is_under_way(&self, call: &Call) -> bool {
        match call.segment {
            // The parcel that it reads into is another once what it has read was taken over.
            None => self.source.pulling && self.source.since == call.since,
            Some(_) => self.frontier.get(&call.id).is_some_and(|live| {
                !live.queued && live.step.is_some() && live.since == call.since
            }),
        }
    }

    /// Why the run ends early, as of `now`: whoever works sees it when a call has come back.
    pub(crate) fn ends_early(&self, now: Nanos) -> Option<Halt> {
        let late = self.deadline.is_some_and(|deadline| now >= deadline && !self.is_over());
        let cut = self.cutoff.is_some().then_some(Halt::Broken);
        self.halted.or(late.then_some(Halt::TimeLimit)).or(cut)
    }

    /// Items in each segment's queue, the sink's last.
    pub(crate) fn queued(&self) -> impl Iterator<Item = u64> {
        self.segments.iter().map(|segment| segment.queue.items())
    }

    /// Items aboard.
    pub(crate) fn aboard(&self) -> u64 {
        self.aboard
    }

    /// Bytes that were wanted for a call that takes `first` and `rest`.
    pub(crate) fn wanted_by_call(&self, first: &ItemId, rest: &[(ItemId, T)]) -> u64 {
        let wanted = |id: &ItemId| self.frontier.get(id).map(|live| live.need.wanted());
        let ids = std::iter::once(first).chain(rest.iter().map(|(id, _)| id));
        ids.filter_map(wanted).fold(0, u64::saturating_add)
    }

    /// How long a call of `segment` with so many items is likely to last;
    /// for ever, if there was none yet.
    pub(crate) fn likely_time(&self, segment: usize, items: u64) -> Nanos {
        let segment = &self.segments[segment];
        if segment.is_known { (segment.nanos_per_item * items as f64) as Nanos } else { Nanos::MAX }
    }

    /// For how many calls the next one of `segment` stands, if it is to be told how far that has
    /// a core.
    pub(crate) fn wants_core_time(&mut self, segment: usize) -> Option<f64> {
        self.segments[segment].cores.wants()
    }

    /// How long a call of `segment` with so many items took and, if that was wanted, how far it
    /// had a core.
    pub(crate) fn note_core_time(
        &mut self,
        segment: usize,
        (items, took): (u64, Nanos),
        time: Option<Seen>,
    ) {
        self.segments[segment].cores.add(items, took, time);
    }

    /// How far calls of `segment` had a core.
    pub(crate) fn core_share(&self, segment: usize) -> CoreShare {
        self.segments[segment].cores
    }

    /// Bytes that the worker keeps whose first call the step of `id` is; else none.
    pub(crate) fn kept_from_now_on(&self, id: &ItemId) -> u64 {
        let first = self.frontier.get(id).filter(|live| live.begins_worker);
        first.map_or(0, |live| self.segments[live.segment].per_worker)
    }
}
