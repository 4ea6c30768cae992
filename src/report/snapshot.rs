//! What a run is doing right now, for whoever asks while it is under way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::item::ItemId;
use crate::sync::Mutex;
use crate::units::Bytes;

/// Shows a run from outside while it is under way. Clones show the same run.
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
/// assert_eq!((last.read(), last.aboard()), (1_000, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    latest: Arc<Mutex<Option<Snapshot>>>,
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
        self.latest.lock().clone()
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        *self.latest.lock() = Some(snapshot);
    }
}

/// A run at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) elapsed: Duration,
    pub(crate) read: u64,
    pub(crate) aboard: u64,
    pub(crate) window: u64,
    pub(crate) line: u64,
    pub(crate) held: u64,
    pub(crate) withheld: u64,
    pub(crate) real: Option<u64>,
    pub(crate) stages: Vec<StageSnapshot>,
    pub(crate) stalls: Vec<Stall>,
}

/// One stage at one moment. Stages that run in one go are one, named after the first.
#[derive(Clone, Debug, Default)]
pub struct StageSnapshot {
    pub(crate) name: String,
    pub(crate) workers: usize,
    pub(crate) running: usize,
    pub(crate) queued: u64,
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
    /// For memory: what is aboard leaves no room.
    Memory,
    /// For real memory: the line is tightened by memory that no ledger stands for, or
    /// because the machine or a cgroup runs short.
    RealMemory,
    /// For one of the budget's cores.
    Core,
    /// For an older item: outputs are delivered in the order of the source.
    Turn,
}

/// A call of user code that has not come back for long.
#[derive(Clone, Debug)]
pub struct Stall {
    pub(crate) stage: String,
    pub(crate) item: ItemId,
    pub(crate) lasted: Duration,
    pub(crate) holds: u64,
    pub(crate) others: String,
}

impl Snapshot {
    /// Time since the run began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
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

    /// Who but `stage` waits, and for what.
    pub(crate) fn waiting_beside(&self, stage: &str) -> String {
        let waiting = self.stages.iter().filter(|other| other.name != stage && other.queued > 0);
        let told = waiting.map(|StageSnapshot { name, queued, waits_for, .. }| {
            let items = if *queued == 1 { "item waits" } else { "items wait" };
            format!("{queued} {items} for {name} ({waits_for})")
        });
        let mut told: Vec<_> = told.collect();
        if self.aboard >= self.window {
            told.push(format!("the source is not read: {} items are aboard", self.aboard));
        }
        if told.is_empty() { "nobody waits for it yet".to_owned() } else { told.join(", ") }
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

impl Stall {
    /// The stage's name, or `"(source)"`, `"(sink)"`.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// The item, or the first of a few that were handed over together.
    #[must_use]
    pub fn item(&self) -> &ItemId {
        &self.item
    }

    /// How long the call had lasted when it was last looked at.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.lasted
    }

    /// Bytes that the item holds meanwhile, its step's included.
    #[must_use]
    pub fn holds(&self) -> u64 {
        self.holds
    }
}

impl Stall {
    /// As it is told when the call has come back: it may have lasted a little longer.
    pub(crate) fn told_later(&self) -> String {
        let Self { stage, item, lasted, holds, others } = self;
        let (seconds, holds) = (lasted.as_secs_f64(), Bytes(*holds));
        format!("{stage} was at item {item} for {seconds:.1} s or more, holding {holds}; {others}")
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "all its workers are at work",
            Self::Input => "it waits for input",
            Self::Downstream => "the stage below has enough to do",
            Self::Memory => "it waits for memory",
            Self::RealMemory => "it waits for real memory",
            Self::Core => "it waits for a core",
            Self::Turn => "an older item's turn comes first",
        })
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, item, lasted, holds, others } = self;
        let (seconds, holds) = (lasted.as_secs_f64(), Bytes(*holds));
        write!(f, "{stage} has been at item {item} for {seconds:.1} s, holding {holds}; {others}")
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, aboard, .. } = self;
        let seconds = self.elapsed.as_secs_f64();
        let (held, line) = (Bytes(self.held), Bytes(self.line));
        write!(f, "{seconds:.1} s: {read} read, {aboard} aboard, holding {held} of {line}")?;
        if self.withheld > 0 {
            write!(f, " ({} withheld)", Bytes(self.withheld))?;
        }
        if let Some(real) = self.real {
            write!(f, ", {} real", Bytes(real))?;
        }
        for StageSnapshot { name, workers, running, queued, holds, waits_for } in &self.stages {
            let holds = Bytes(*holds);
            write!(f, "\n{name}: {running} of {workers} workers busy, {queued} queued, {holds}")?;
            if *waits_for != WaitsFor::Nothing {
                write!(f, "; {waits_for}")?;
            }
        }
        self.stalls.iter().try_for_each(|stall| write!(f, "\nstalled: {stall}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, queued: u64, waits_for: WaitsFor) -> StageSnapshot {
        let name = name.to_owned();
        StageSnapshot { name, workers: 3, running: 2, queued, holds: 3 << 20, waits_for }
    }

    #[test]
    fn a_monitor_shows_what_was_published_last() {
        let monitor = Monitor::new();
        assert!(monitor.snapshot().is_none());
        for read in [11, 12] {
            monitor.clone().publish(Snapshot { read, ..Snapshot::default() });
        }
        assert_eq!(monitor.snapshot().map(|seen| seen.read()), Some(12));
    }

    #[test]
    fn every_figure_is_told_by_its_name() {
        let item = ItemId::new(13);
        let (lasted, others) = (Duration::from_secs(15), String::new());
        let stall = Stall { stage: "the sink".to_owned(), item, lasted, holds: 14, others };
        let snapshot = Snapshot {
            elapsed: Duration::from_secs(10),
            read: 11,
            aboard: 12,
            window: 20,
            line: 16,
            held: 17,
            withheld: 18,
            real: Some(19),
            stages: vec![stage("align", 7, WaitsFor::Core)],
            stalls: vec![stall],
        };
        assert_eq!(snapshot.elapsed(), Duration::from_secs(10));
        assert_eq!((snapshot.read(), snapshot.aboard()), (11, 12));
        assert_eq!((snapshot.line(), snapshot.held()), (16, 17));
        assert_eq!((snapshot.withheld(), snapshot.real()), (18, Some(19)));
        let [stage] = snapshot.stages() else { panic!("{snapshot}") };
        assert_eq!((stage.name(), stage.workers(), stage.running()), ("align", 3, 2));
        assert_eq!((stage.queued(), stage.holds()), (7, 3 << 20));
        assert_eq!(stage.waits_for(), WaitsFor::Core);
        let [stall] = snapshot.stalls() else { panic!("{snapshot}") };
        assert_eq!((stall.stage(), stall.item()), ("the sink", &ItemId::new(13)));
        assert_eq!((stall.lasted(), stall.holds()), (Duration::from_secs(15), 14));
    }

    #[test]
    fn a_snapshot_reads_as_one_line_and_one_for_each_stage() {
        let mut snapshot = Snapshot { read: 9, line: 1 << 20, ..Snapshot::default() };
        snapshot.stages = vec![stage("parse", 0, WaitsFor::Nothing)];
        assert_eq!(
            snapshot.to_string(),
            "0.0 s: 9 read, 0 aboard, holding 0 B of 1.0 MiB\n\
             parse: 2 of 3 workers busy, 0 queued, 3.0 MiB",
            "what does not hold is left out"
        );
        (snapshot.withheld, snapshot.real) = (1, Some(2));
        assert!(snapshot.to_string().contains("of 1.0 MiB (1 B withheld), 2 B real\n"));
        let told = |waits_for: WaitsFor| waits_for.to_string();
        assert_eq!(told(WaitsFor::Core), "it waits for a core");
        assert_eq!(told(WaitsFor::RealMemory), "it waits for real memory");
    }

    #[test]
    fn a_stall_tells_who_holds_what_and_who_waits() {
        let stages = vec![
            stage("parse", 0, WaitsFor::Input),
            stage("align", 7, WaitsFor::Nothing),
            stage("screen", 4, WaitsFor::Memory),
        ];
        let mut snapshot = Snapshot { aboard: 5, window: 6, stages, ..Snapshot::default() };
        let others = snapshot.waiting_beside("align");
        assert_eq!(others, "4 items wait for screen (it waits for memory)");
        assert_eq!(
            Snapshot::default().waiting_beside("x"),
            "the source is not read: 0 items are aboard"
        );
        let empty = Snapshot { window: 6, ..Snapshot::default() };
        assert_eq!(empty.waiting_beside("align"), "nobody waits for it yet");
        snapshot.aboard = 6;
        assert!(
            snapshot
                .waiting_beside("align")
                .ends_with("the source is not read: 6 items are aboard")
        );
        let item = ItemId::new(3);
        let (stage, lasted) = ("align".to_owned(), Duration::from_millis(1_500));
        snapshot.stalls.push(Stall { stage, item, lasted, holds: 1 << 20, others });
        snapshot.withheld = 1 << 20;
        let text = snapshot.to_string();
        assert!(text.contains("(1.0 MiB withheld)"), "{text}");
        assert!(
            text.contains("screen: 2 of 3 workers busy, 4 queued, 3.0 MiB; it waits for memory")
        );
        assert!(text.ends_with(
            "stalled: align has been at item 3 for 1.5 s, holding 1.0 MiB; \
             4 items wait for screen (it waits for memory)"
        ));
        let later = snapshot.stalls[0].told_later();
        assert!(later.starts_with("align was at item 3 for 1.5 s or more"), "{later}");
    }
}
