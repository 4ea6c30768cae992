//! What a run tells while it is under way, to whoever listens: the feature `tracing`.
//! Without it every function here is empty.

use crate::item::ItemId;
use crate::plan::Plan;
use crate::report::{Stall, Stopping};

#[cfg(feature = "tracing")]
mod told {
    use tracing::span::{Entered, EnteredSpan};
    use tracing::{Span, debug_span, info_span, trace_span};

    use super::{ItemId, Plan, Stall, Stopping};
    use crate::units::Bytes;

    /// The spans of a run: its own, and one for each segment of the plan. Where nobody
    /// listens they are empty, and to enter them is to see that.
    pub(crate) struct Spans {
        run: Span,
        stages: Vec<Span>,
    }

    impl Spans {
        pub(crate) fn new(plan: &Plan) -> Self {
            let Plan { memory, cores, line, threads, .. } = plan;
            let run = info_span!(target: "plimsoll", "run", memory, cores, line, threads);
            let stage = |segment| {
                let (name, workers) = (plan.segment_name(segment), segment.workers);
                debug_span!(target: "plimsoll", parent: &run, "stage", stage = name, workers)
            };
            let stages = plan.segments.iter().map(stage).collect();
            Self { run, stages }
        }

        /// For as long as a thread takes part in the run.
        pub(crate) fn enter_run(&self) -> Entered<'_> {
            self.run.enter()
        }

        /// For as long as a thread works on the parcel `item`, and `more` behind it. Left in
        /// the order of the pair, the inner one first.
        pub(crate) fn enter_parcel(
            &self,
            segment: usize,
            item: &ItemId,
            more: usize,
        ) -> (EnteredSpan, Entered<'_>) {
            let stage = self.stages[segment].enter();
            (trace_span!(target: "plimsoll", "parcel", %item, more).entered(), stage)
        }
    }

    pub(crate) fn stall(stall: &Stall) {
        let seconds = stall.lasted.as_secs_f64();
        tracing::warn!(
            target: "plimsoll",
            stage = %stall.stage, item = %stall.item, seconds, holds = stall.holds,
            "a call does not come back: {stall}"
        );
    }

    pub(crate) fn came_back(stall: &Stall) {
        let seconds = stall.lasted.as_secs_f64();
        tracing::info!(
            target: "plimsoll",
            stage = %stall.stage, item = %stall.item, seconds,
            "a call came back: {stall}"
        );
    }

    pub(crate) fn stopping(stopping: &Stopping) {
        tracing::info!(target: "plimsoll", "the run is stopping: {stopping}");
    }

    pub(crate) fn tightened(withheld: u64, real: u64) {
        tracing::debug!(
            target: "plimsoll", withheld, real,
            "{} of the line are withheld, the process holds {}", Bytes(withheld), Bytes(real)
        );
    }

    pub(crate) fn trimmed(before: u64, after: u64) {
        let (from, to) = (Bytes(before), Bytes(after));
        tracing::debug!(target: "plimsoll", before, after, "the allocator was trimmed: {from} to {to}");
    }

    pub(crate) fn released(threshold: u64, free: u64, drift: u64) {
        let (from, lies) = (Bytes(threshold), Bytes(free));
        tracing::info!(
            target: "plimsoll", threshold, free, drift,
            "{lies} lie free with the allocator, which holds this run up: from now on it gives blocks \
             of {from} and more back at once, for the whole process"
        );
    }

    pub(crate) fn lost_sight(why: &str) {
        tracing::warn!(target: "plimsoll", "real memory is not looked at any more: {why}");
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use super::{ItemId, Plan, Stall, Stopping};

    pub(crate) struct Spans;

    /// Stands for a span that was entered.
    pub(crate) struct Nowhere;

    impl Spans {
        pub(crate) fn new(_plan: &Plan) -> Self {
            Self
        }

        pub(crate) fn enter_run(&self) -> Nowhere {
            Nowhere
        }

        pub(crate) fn enter_parcel(
            &self,
            _segment: usize,
            _item: &ItemId,
            _more: usize,
        ) -> Nowhere {
            Nowhere
        }
    }

    pub(crate) fn stall(_stall: &Stall) {}

    pub(crate) fn came_back(_stall: &Stall) {}

    pub(crate) fn stopping(_stopping: &Stopping) {}

    pub(crate) fn tightened(_withheld: u64, _real: u64) {}

    pub(crate) fn trimmed(_before: u64, _after: u64) {}

    pub(crate) fn released(_threshold: u64, _free: u64, _drift: u64) {}

    pub(crate) fn lost_sight(_why: &str) {}
}

pub(crate) use told::{
    Spans, came_back, lost_sight, released, stall, stopping, tightened, trimmed,
};
