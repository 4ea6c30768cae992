//! The run as it is at this moment, for whoever looks at it from outside.

use super::context::Context;
use super::run::Run;
use crate::report::{Snapshot, StageSnapshot};
use crate::sync::Ordering;

impl Run<'_> {
    /// The run as it is, but for its stalls. Under the run's lock only numbers are taken.
    pub(super) fn snapshot(&self) -> Snapshot {
        let Context { plan, fates, .. } = &self.cx;
        let (elapsed, real) = (self.elapsed(), self.real_now());
        let in_order = plan.stages.iter().any(|stage| stage.expands);
        let (states, mut snapshot) = self.with_scheduler(|scheduler| {
            let ledger = scheduler.ledger();
            let snapshot = Snapshot {
                read: scheduler.read(),
                finished: scheduler.finished(in_order),
                aboard: scheduler.aboard(),
                held: ledger.held(),
                withheld: ledger.tightened().min(plan.line),
                computing: scheduler.computing(),
                source_waits_for: scheduler.inspect_source(),
                ..Snapshot::default()
            };
            (scheduler.inspect(), snapshot)
        });
        // Relaxed: what is counted meanwhile is seen at the next look.
        let get = |counter: &crate::sync::AtomicU64| counter.load(Ordering::Relaxed);
        let stages = plan.segments.iter().zip(states).map(|(segment, state)| StageSnapshot {
            name: self.cx.segment_name(segment),
            workers: segment.workers,
            takes_cores: state.takes_cores,
            running: state.running,
            queued: state.queued,
            done: match plan.stages.get(segment.stages.start) {
                Some(_) => get(&self.cx.meter(segment.stages.start).items),
                None => get(&fates.delivered),
            },
            per_second: 0.0,
            holds: state.holds,
            waits_for: state.waits_for,
        });
        snapshot.stages = stages.collect();
        (snapshot.elapsed, snapshot.expected, snapshot.real) =
            (elapsed, self.orders.expected, real);
        (snapshot.window, snapshot.line, snapshot.cores) = (plan.window, plan.line, plan.cores);
        snapshot.delivered = get(&fates.delivered);
        snapshot.filtered = get(&fates.filtered);
        snapshot.failed = get(&fates.failed);
        snapshot
    }
}
