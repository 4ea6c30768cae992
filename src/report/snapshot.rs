//! What a run is doing right now, for whoever asks while it is under way.

mod display;
#[cfg(feature = "serde")]
mod json;
mod limit;
mod rates;
mod stall;
mod stopping;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::limit::Lately;
use self::rates::Rates;
pub(crate) use self::stall::Beside;
pub use self::stall::Stall;
pub use self::stopping::{StopReason, Stopping};
use crate::signal::Bell;
use crate::sync::Mutex;

/// Shows a run from outside while it is under way. Clones show the same run.
///
/// While somebody monitors it, the thread that watches a run looks at it every 50 ms, under
/// the run's lock. Measured on one machine, that takes 2 us where few parcels of items are
/// aboard, and 50 ns for each more: 0.8 ms where 16,384 that move one by one wait for their
/// turn, which is the most that the default [window](crate::PipelineBuilder::window) lets be.
/// [`snapshot`](Self::snapshot) copies what was seen last and never takes that lock, so any
/// number of threads may ask as often as they like.
///
/// ```
/// use plimsoll::{Budget, MIB, Monitor, Pipeline, Stage};
///
/// let monitor = Monitor::new();
/// assert!(monitor.snapshot().is_none(), "no run yet");
/// let double = Stage::cpu("double").map(|n: u64| 2 * n);
/// let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1))?;
/// pipeline.job().monitor(&monitor).run(0..1_000, drop)?;
/// let last = monitor.snapshot().expect("the last look at a run is kept");
/// assert_eq!((last.read(), last.expected(), last.aboard()), (1_000, Some(1_000), 0));
/// assert!(last.has_ended() && last.finished() == 1_000);
/// println!("{last}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    shown: Mutex<Shown>,
    /// Rung when there is a newer snapshot.
    news: Bell,
}

#[derive(Debug, Default)]
struct Shown {
    latest: Option<Snapshot>,
    rates: Rates,
    lately: Lately,
}

impl Monitor {
    /// A monitor that is not attached to a run yet; see [`Job::monitor`](crate::Job::monitor).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The run as last looked at (it is every 50 ms), or as of its end; none before the
    /// first. It costs a copy and does not disturb the run.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.shared.shown.lock().latest.clone()
    }

    /// Rung at each new snapshot.
    #[cfg(feature = "progress")]
    pub(crate) fn news(&self) -> &Bell {
        &self.shared.news
    }

    /// Shows `snapshot`, with what it takes earlier ones to tell, from now on.
    pub(crate) fn publish(&self, mut snapshot: Snapshot) {
        let mut shown = self.shared.shown.lock();
        shown.rates.follow(&mut snapshot);
        shown.lately.follow(&mut snapshot);
        shown.latest = Some(snapshot);
        drop(shown);
        self.shared.news.ring_all();
    }
}

/// A run at one moment.
///
/// From another thread, while the run is under way:
///
/// ```
/// use std::{thread, time::Duration};
/// use plimsoll::{Budget, MIB, Monitor, Pipeline, Stage};
///
/// let slow = Stage::cpu("slow").map(|_: u64| thread::sleep(Duration::from_millis(1)));
/// let pipeline = Pipeline::new(slow).build(&Budget::new(MIB, 1))?;
/// let monitor = Monitor::new();
/// thread::scope(|scope| {
///     scope.spawn(|| loop {
///         match monitor.snapshot() {
///             Some(now) if now.has_ended() => break,
///             Some(now) => println!("{} done, {:?} left", now.finished(), now.remaining()),
///             None => {} // it has not begun
///         }
///         thread::sleep(Duration::from_millis(20));
///     });
///     pipeline.job().monitor(&monitor).run(0..100, drop)
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # JSON
///
/// With the feature `serde` a snapshot can be serialized. Fields may be added in any
/// release; those below keep their names and meanings until the next breaking one.
///
/// | field | tells |
/// |---|---|
/// | `elapsed_seconds`, `ended` | time since the run began, and whether it is over |
/// | `read`, `expected`, `finished` | items of the source: read, in all (null where it does not say), done with |
/// | `finished_per_second`, `remaining_seconds` | the rate of late, and what is left at that rate (null where that is not known) |
/// | `aboard`, `window_items` | items read or made and without a fate yet, and the most there may be |
/// | `delivered`, `filtered`, `failed` | items that met that fate |
/// | `held_bytes`, `line_bytes`, `withheld_bytes`, `real_bytes` | what items hold, of what they may hold; what is withheld of it; real memory (null if it is not looked at) |
/// | `cores`, `computing` | the budget's cores, and calls under way that take one |
/// | `source_waits_for` | as a stage's `waits_for`, or `"window"`; null when the source has no more |
/// | `limited_by` | what [`bottleneck`](Snapshot::bottleneck) says, or null |
/// | `stopping` | null, or [`Stopping`]: `reason` (`"cancelled"`, `"time limit"`, `"failed"`, `"dropped"`), `seconds` ([`lasted`](Stopping::lasted)) |
/// | `stages` | from source to sink: `name`, `workers`, `running`, `queued`, `done`, `per_second`, `holds_bytes`, `waits_for` (`"nothing"`, `"input"`, `"downstream"`, `"memory"`, `"real memory"`, `"core"`, `"turn"`, `"consumer"`) |
/// | `stalls` | the longest first: [`Stall`]: `stage`, `item`, `items`, `seconds` ([`lasted`](Stall::lasted)), `came_back`, `holds_bytes` |
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) elapsed: Duration,
    pub(crate) ended: bool,
    pub(crate) read: u64,
    pub(crate) expected: Option<u64>,
    pub(crate) finished: u64,
    pub(crate) per_second: f64,
    pub(crate) aboard: u64,
    pub(crate) window: u64,
    pub(crate) delivered: u64,
    pub(crate) filtered: u64,
    pub(crate) failed: u64,
    pub(crate) line: u64,
    pub(crate) held: u64,
    pub(crate) withheld: u64,
    pub(crate) real: Option<u64>,
    pub(crate) cores: usize,
    pub(crate) computing: usize,
    pub(crate) source_waits_for: Option<WaitsFor>,
    pub(crate) stages: Vec<StageSnapshot>,
    pub(crate) stalls: Vec<Stall>,
    pub(crate) stopping: Option<Stopping>,
    /// What held it up of late: filled in where it is shown.
    pub(crate) limited_by: Option<String>,
}

/// One stage at one moment. Stages that run in one go are one, named after the first; the
/// last one is the sink.
#[derive(Clone, Debug, Default)]
pub struct StageSnapshot {
    pub(crate) name: String,
    pub(crate) workers: usize,
    /// Its calls take cores of the budget.
    pub(crate) takes_cores: bool,
    pub(crate) running: usize,
    pub(crate) queued: u64,
    pub(crate) done: u64,
    pub(crate) per_second: f64,
    pub(crate) holds: u64,
    pub(crate) waits_for: WaitsFor,
}

/// What the free workers of a stage wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// For nothing: all are at work.
    #[default]
    Nothing,
    /// For something to do.
    Input,
    /// For the stage below, which has enough to do.
    Downstream,
    /// For memory: what is aboard leaves no room for the next item, of the stage's queue or, if
    /// the stage is the first, of the source.
    Memory,
    /// For real memory, likewise: the line is tightened by memory that no ledger stands for, or
    /// because the machine or a cgroup runs short.
    RealMemory,
    /// For one of the budget's cores.
    Core,
    /// For an older item: outputs are delivered in the order of the source.
    Turn,
    /// For the consumer of a stream, who has not asked for more.
    Consumer,
    /// For items aboard to be done with, which are as many as the
    /// [window](crate::PipelineBuilder::window) lets be. Only the source waits for it.
    Window,
}

impl Snapshot {
    /// Time since the run began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether the run is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Items that the source has in all, where it said so when the run began: both bounds of
    /// its `size_hint` are the same.
    #[must_use]
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Items of the source that are done with: they, and all that was made of them, met
    /// their fates. Where a `flat_map` makes items, those before the oldest that is aboard.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Items [finished](Self::finished) a second, over the last few seconds; over the whole
    /// run when it is over.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// Time until the source is exhausted and all is done with, at the rate of late; `None`
    /// where the source does not say how much it has, nothing is finished yet, or the run is
    /// [stopping](Self::stopping).
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        if self.stopping.is_some() {
            return None;
        }
        let left = self.expected?.saturating_sub(self.finished);
        Duration::try_from_secs_f64(left as f64 / self.per_second).ok()
    }

    /// Items read from the source.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Items that are aboard: read or made, and without a fate yet.
    #[must_use]
    pub fn aboard(&self) -> u64 {
        self.aboard
    }

    /// Items aboard at the most.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Items that the sink took.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Items that a `filter_map` made nothing of.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        self.filtered
    }

    /// Items that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Bytes that items aboard may hold together.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Bytes that items aboard hold, what was not granted included.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Bytes of the line that are lent to nobody but the oldest item at present,
    /// because real memory is short of them.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.withheld
    }

    /// Anonymous and shared memory that the process has resident, bytes, if it is
    /// looked at.
    #[must_use]
    pub fn real(&self) -> Option<u64> {
        self.real
    }

    /// The budget's cores.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Calls under way that take a core.
    #[must_use]
    pub fn computing(&self) -> usize {
        self.computing
    }

    /// Why the source is not being read: for nothing if it is; `None` when it has no more.
    #[must_use]
    pub fn source_waits_for(&self) -> Option<WaitsFor> {
        self.source_waits_for
    }

    /// What holds the run up, if that can be told: a call that does not come back, the cores, a
    /// stage whose workers are all at work while items wait for it, memory, the consumer of a
    /// stream, the source, the window, if it is full and workers have nothing to do. What is told changes from one look to the next, so this is what was
    /// seen most often over the last second or so, with figures that are means over those looks; but
    /// a call that does not come back is told at once. `None` of a run that is over or
    /// [stopping](Self::stopping). [`Report::bottleneck`](crate::Report::bottleneck) judges the
    /// whole run.
    #[must_use]
    pub fn bottleneck(&self) -> Option<String> {
        if self.ended || self.stopping.is_some() {
            return None;
        }
        match self.stalls.first() {
            Some(stall) => Some(stall.as_limit()),
            None => self.limited_by.clone(),
        }
    }

    /// Why the run ends early and what it still waits for, if it does: it was cancelled, its
    /// time is up, it failed, or its stream was dropped. `None` when it is over.
    #[must_use]
    pub fn stopping(&self) -> Option<&Stopping> {
        self.stopping.as_ref()
    }

    /// The stages, from source to sink.
    #[must_use]
    pub fn stages(&self) -> &[StageSnapshot] {
        &self.stages
    }

    /// Calls of user code that have not come back for longer than
    /// [`Job::stall_after`](crate::Job::stall_after), the longest first.
    #[must_use]
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }
}

impl StageSnapshot {
    /// The stage's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls that could run at once.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Calls under way, of one or several items each.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Items that wait for the stage.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Items that the stage was called with so far. Those of a call under way are not in it.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Items [done](Self::done) a second, over the last few seconds; over the whole run when
    /// it is over.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// Bytes that items hold which the stage works on or which wait for it.
    #[must_use]
    pub fn holds(&self) -> u64 {
        self.holds
    }

    /// What its free workers wait for.
    #[must_use]
    pub fn waits_for(&self) -> WaitsFor {
        self.waits_for
    }
}
