//! The thread of a run that works on nothing: it looks at what happens without
//! anybody bringing it about. Real memory grows while a call lasts, other processes take
//! what is left of the machine, a source that was quick begins to wait, a call does not
//! come back. None of these rings a bell, so this one thread looks at the clock; it sleeps on a
//! bell all the same. It is gone as soon as the run is over; where that is to stop, when the calls
//! that are under way have come back: until then it shows what they are.

use std::time::Duration;

use super::metrics::Metrics;
use super::run::Run;
use super::scheduler::{Halt, Nanos};
use crate::budget::Headroom;
use crate::report::{Monitor, Snapshot, StopReason};
use crate::sync::{Ordering, WATCH_ROUNDS};

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

/// Why a run ends early, and since when.
type Ending = Option<(StopReason, Nanos)>;

impl Run<'_> {
    /// The watch's part of the run, until it is over.
    pub(crate) fn watch(&self) {
        let mut headroom = None;
        let mut trusted_until = 0;
        let mut ending = None;
        let mut due = (0, 0);
        for _ in 0..WATCH_ROUNDS {
            let seen = self.cx.signals.watch.rings();
            let is_over = self.with_scheduler(|scheduler| scheduler.is_over());
            if is_over && self.is_left() {
                break;
            }
            let now = self.now();
            let wake = self.cx.clock.at(now.saturating_add(self.watch_period()));
            self.cx.signals.watch.wait(seen, Some(wake));
            self.look_at_pull();
            if !is_over && !self.is_blind() {
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
            self.note_ending(&mut ending, now);
            self.end_stalls(now);
            if now >= due.0 {
                self.tell_stalls(ending, now);
                due.0 = now.saturating_add(self.stall_nanos() / u64::from(STALL_LOOKS));
            }
            if now >= due.1 {
                self.show(ending);
                due.1 = now.saturating_add(MONITOR_PERIOD);
            }
        }
        self.end_stalls(self.now());
    }

    /// Whether nobody is at work any more. Of a run that came to its own end nobody is.
    fn is_left(&self) -> bool {
        self.with_scheduler(|scheduler| scheduler.halted()).is_none()
            || self.present.load(Ordering::Relaxed) == 0
    }

    pub(super) fn stall_nanos(&self) -> Nanos {
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

    /// Notes, once, that the run ends early. Those who work see that only when a call has come
    /// back.
    fn note_ending(&self, ending: &mut Ending, now: Nanos) {
        if ending.is_some() {
            return;
        }
        let is_cancelled = self.cx.signals.is_cancelled().then_some(Halt::Cancelled);
        let halt = || self.with_scheduler(|scheduler| scheduler.ends_early(now));
        let is_failing = || self.cx.is_broken() || self.with_scheduler(|it| it.halted().is_none());
        let Some(halt) = is_cancelled.or_else(halt) else { return };
        let reason = match halt {
            Halt::Cancelled => StopReason::Cancelled,
            Halt::TimeLimit => StopReason::TimeLimit,
            Halt::Broken if is_failing() => StopReason::Failed,
            Halt::Broken => StopReason::Dropped,
        };
        *ending = Some((reason, now));
        let snapshot = self.snapshot_of(*ending, now);
        snapshot.stopping().into_iter().for_each(super::events::stopping);
    }

    /// The run as it is, but for its stalls, and whether it ends early.
    pub(super) fn snapshot_of(&self, ending: Ending, now: Nanos) -> Snapshot {
        let mut snapshot = self.snapshot();
        if let Some((reason, since)) = ending {
            snapshot.stop(reason, Duration::from_nanos(now.saturating_sub(since)));
        }
        snapshot
    }

    /// Shows the run as it is to whoever monitors it.
    fn show(&self, ending: Ending) {
        if self.orders.monitor.is_none() && !Metrics::is_on() {
            return;
        }
        let now = self.now();
        let mut snapshot = self.snapshot_of(ending, now);
        snapshot.stalls = self.stalls_of(&snapshot, now);
        self.publish(snapshot);
    }

    /// Shows the run as it ended.
    pub(crate) fn show_end(&self) {
        if self.orders.monitor.is_some() || Metrics::is_on() {
            self.publish(Snapshot { ended: true, ..self.snapshot() });
        }
    }

    fn publish(&self, snapshot: Snapshot) {
        self.cx.metrics.tell(&snapshot);
        if let Some(monitor) = &self.orders.monitor {
            monitor.publish(snapshot);
        }
    }
}
