//! The thread of a run that works on nothing: it looks at what happens without
//! anybody bringing it about. Real memory grows while a call lasts, other processes take
//! what is left of the machine, a source that was quick begins to wait, a call does not
//! come back. None of these rings a bell, so this one thread looks at the clock; it sleeps on a bell all the same, and is gone as
//! soon as the run is over.

use std::time::Duration;

use super::context::Context;
use super::metrics::Metrics;
use super::run::Run;
use super::scheduler::{Call, Nanos};
use crate::budget::Headroom;
use crate::report::{Monitor, Snapshot, Stall};
use crate::sync::WATCH_ROUNDS;

/// What the watch of a run is told to do.
pub(crate) struct Orders {
    /// A call that has lasted so long is a stall.
    pub(crate) stall_after: Duration,
    pub(crate) monitor: Option<Monitor>,
    /// Whether the run is recorded.
    pub(crate) record: bool,
    /// Items that the source says it has.
    pub(crate) expected: Option<u64>,
}

/// Between two looks at real memory, of which a core touches some 10 to 50 MiB meanwhile,
/// and at a source that may wait.
pub(super) const PERIOD: Nanos = 5_000_000;
/// Between two snapshots for a monitor.
const MONITOR_PERIOD: Nanos = 50_000_000;
/// However soon a call is a stall, the watch does not look without a pause.
const SHORTEST_PERIOD: Nanos = 1_000_000;
/// Looks at stalls within the time after which a call is one.
const STALL_LOOKS: u32 = 4;
/// Stalls that a report keeps.
pub(crate) const MOST_STALLS: usize = 16;

/// A stall that was told, and when it is told again.
struct Told {
    call: Call,
    again: Nanos,
}

impl Run<'_> {
    /// The watch's part of the run, until it is over.
    pub(crate) fn watch(&self) {
        let mut headroom = None;
        let mut trusted_until = 0;
        let mut told: Vec<Told> = Vec::new();
        let mut due = (0, 0);
        for _ in 0..WATCH_ROUNDS {
            let seen = self.cx.signals.watch.rings();
            if self.with_scheduler(|scheduler| scheduler.is_over()) {
                break;
            }
            let now = self.now();
            let wake = self.cx.clock.at(now.saturating_add(self.watch_period()));
            self.cx.signals.watch.wait(seen, Some(wake));
            self.look_at_pull();
            if !self.is_blind() {
                // Not before the first round: most runs are over by then.
                let limits = headroom.get_or_insert_with(|| Headroom::open().ok());
                let now = self.now();
                let is_due = now >= trusted_until;
                let lasts = self.look_around(limits.as_ref().filter(|_| is_due));
                if is_due {
                    trusted_until = now.saturating_add(lasts);
                }
            }
            let now = self.now();
            if now >= due.0 {
                self.tell_stalls(&mut told, now);
                due.0 = now.saturating_add(self.stall_nanos() / u64::from(STALL_LOOKS));
            }
            if now >= due.1 {
                self.publish(false);
                due.1 = now.saturating_add(MONITOR_PERIOD);
            }
        }
    }

    fn stall_nanos(&self) -> Nanos {
        Nanos::try_from(self.orders.stall_after.as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// A source that was quick so far may wait now.
    fn look_at_pull(&self) {
        let mut board = self.board.lock();
        let now = self.now();
        board.record(now);
        if board.scheduler.look_at_pull(now) {
            self.wake_for_more(&board, now);
        }
    }

    fn watch_period(&self) -> Nanos {
        let monitor = if self.orders.monitor.is_some() { MONITOR_PERIOD } else { Nanos::MAX };
        let stalls = self.stall_nanos() / u64::from(STALL_LOOKS);
        PERIOD.min(monitor).min(stalls).max(SHORTEST_PERIOD)
    }

    /// The calls that have lasted too long by `now`.
    fn stalled_calls(&self, now: Nanos) -> Vec<Call> {
        let until = now.checked_sub(self.stall_nanos());
        let since = |until| self.with_scheduler(|scheduler| scheduler.calls_since_before(until));
        until.map(since).unwrap_or_default()
    }

    /// Notes the calls that have lasted too long: each once, and again whenever its
    /// time has doubled.
    fn tell_stalls(&self, told: &mut Vec<Told>, now: Nanos) {
        let calls = self.stalled_calls(now);
        told.retain(|old| {
            calls.iter().any(|call| (&call.id, call.since) == (&old.call.id, old.call.since))
        });
        for call in calls {
            let known = told
                .iter_mut()
                .find(|old| (&old.call.id, old.call.since) == (&call.id, call.since));
            let again = now.saturating_add(now - call.since);
            match known {
                Some(old) if now < old.again => continue,
                Some(old) => old.again = again,
                None => told.push(Told { call: call.clone(), again }),
            }
            let stall = stall(&call, &self.snapshot(), &self.cx, now);
            super::events::stall(&stall);
            let mut stalls = self.stalls.lock();
            stalls.retain(|old: &Stall| (&old.stage, &old.item) != (&stall.stage, &stall.item));
            if stalls.len() < MOST_STALLS {
                stalls.push(stall);
            }
        }
    }

    /// Shows the run as it is to whoever monitors it.
    pub(crate) fn publish(&self, ended: bool) {
        let monitor = self.orders.monitor.as_ref();
        if monitor.is_none() && !Metrics::is_on() {
            return;
        }
        let now = self.now();
        let mut snapshot = Snapshot { ended, ..self.snapshot() };
        let calls = self.stalled_calls(now);
        snapshot.stalls = calls.iter().map(|call| stall(call, &snapshot, &self.cx, now)).collect();
        snapshot.stalls.sort_by_key(|stall| std::cmp::Reverse(stall.lasted));
        self.cx.metrics.tell(&snapshot);
        if let Some(monitor) = monitor {
            monitor.publish(snapshot);
        }
    }
}

fn stall(call: &Call, snapshot: &Snapshot, cx: &Context<'_>, now: Nanos) -> Stall {
    let stage = match call.segment {
        Some(segment) => cx.segment_name(&cx.plan.segments[segment]),
        None => "(source)".to_owned(),
    };
    let others = snapshot.waiting_beside(&stage);
    let lasted = Duration::from_nanos(now.saturating_sub(call.since));
    Stall { stage, item: call.id.clone(), lasted, holds: call.holds, others }
}
