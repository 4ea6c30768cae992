//! Who gets how many workers and bytes, and why: a pure function.
//!
//! The budget is spent in this order:
//!
//! 1. what each stage shares among its workers, once;
//! 2. one worker for every stage;
//! 3. a quarter of what is left (or two of the largest items, if the pipeline says
//!    how large they get) is kept for the items;
//! 4. further workers, one at a time, to the stage that has the least of what it
//!    asks for;
//! 5. all the rest is the *line*: what items aboard may hold. A part of it, the
//!    *reserve*, is the oldest item's alone, so that it can always go on. The
//!    reserve is the most that a single item may ever need.

mod planner;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub(crate) use planner::plan;

use crate::budget::Measure;
use crate::stage::Kind;
use crate::units::Bytes;

/// What the pipeline says beside its stages.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ordered: bool,
    /// Items aboard at the most.
    pub(crate) window: u64,
    /// Bytes one item needs at the most, if the pipeline knows.
    pub(crate) largest_item: Option<u64>,
}

/// Items aboard at the most on `cores`, unless the pipeline says otherwise: some parcels for
/// each core, which grow with the cores that share the scheduler.
pub(crate) fn default_window(cores: usize) -> u64 {
    let cores = cores as u64;
    LEAST_WINDOW.max(cores.saturating_mul(cores).saturating_mul(64))
}

const LEAST_WINDOW: u64 = 16_384;

/// How one run of a pipeline will use a budget: two runs at once use it twice. Made by
/// [`PipelineBuilder::build`](crate::PipelineBuilder::build); its `Display` is a
/// table that can be checked by hand:
///
/// | column | tells |
/// |---|---|
/// | each, shared, in all | bytes that a worker keeps, that all keep together, and the sum |
/// | counted | for what the ledger is asked at each item: the call ([`Footprint::per_item`](crate::Footprint::per_item)), the output ([`Stage::weigh`](crate::Stage::weigh)); a stage that counts neither goes with shallow sizes |
/// | queue | parcels of items that may wait before the stage; `-` if it runs in one go with the stage above |
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) memory: u64,
    memory_origin: String,
    pub(crate) cores: usize,
    cores_origin: String,
    pub(crate) line: u64,
    pub(crate) reserve: u64,
    reserve_reason: &'static str,
    pub(crate) window: u64,
    pub(crate) ordered: bool,
    pub(crate) threads: usize,
    /// Against what real memory the budget is held.
    pub(crate) measure: Measure,
    pub(crate) stages: Vec<StagePlan>,
    /// One for each queue, the sink's last.
    pub(crate) segments: Vec<SegmentPlan>,
    notes: Vec<String>,
}

/// What a plan gives one stage.
#[derive(Clone, Debug)]
pub struct StagePlan {
    pub(crate) name: String,
    kind: Kind,
    workers: usize,
    per_worker: u64,
    shared: u64,
    /// What the ledger is asked for each item: `"call"`, `"output"`, both, or none.
    counted: &'static str,
    pub(crate) segment: usize,
    reason: String,
}

/// Stages that run as one: they share a queue, and a worker of one is a worker of
/// each.
#[derive(Clone, Debug)]
pub(crate) struct SegmentPlan {
    pub(crate) stages: Range<usize>,
    pub(crate) workers: usize,
    pub(crate) queue_bound: usize,
    /// Bytes that a worker keeps, of all stages in it.
    pub(crate) per_worker: u64,
    pub(crate) waits: bool,
    pub(crate) gather: Option<u64>,
}

impl Plan {
    /// The budget's memory, bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// The budget's cores: stages that compute run at most this many calls at once.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Bytes that items aboard may hold together.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The part of the line that only the oldest item draws on, bytes. It is also
    /// the most that one item may need: a larger one fails with
    /// [`Cause::TooLarge`](crate::Cause::TooLarge).
    #[must_use]
    pub fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Items aboard at the most: read and without a fate yet.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Threads of a run that do its work, the caller's included. One more watches: it
    /// looks at real memory and for calls that do not come back.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The stages, from source to sink.
    #[must_use]
    pub fn stages(&self) -> &[StagePlan] {
        &self.stages
    }

    /// Bytes that stages keep for all their workers together.
    pub(crate) fn shared(&self) -> u64 {
        self.stages.iter().map(|stage| stage.shared).sum()
    }
}

impl StagePlan {
    /// The stage's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the stage is limited by.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Calls of the stage that may run at once, each with a state of its own.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Bytes each worker keeps.
    #[must_use]
    pub fn per_worker(&self) -> u64 {
        self.per_worker
    }

    /// Bytes the workers keep together.
    #[must_use]
    pub fn shared(&self) -> u64 {
        self.shared
    }

    /// Why it has as many workers as it has.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory   {:>10}   {}", Bytes(self.memory), self.memory_origin)?;
        writeln!(f, "cores    {:>10}   {}", self.cores, self.cores_origin)?;
        writeln!(f)?;
        self.fmt_stages(f)?;
        writeln!(f)?;
        let order = if self.ordered { "in the source's order" } else { "as completed" };
        let stages = self.memory - self.line;
        writeln!(f, "stages   {:>10}   all that they keep", Bytes(stages))?;
        writeln!(f, "line     {:>10}   the rest: what items aboard may hold", Bytes(self.line))?;
        writeln!(
            f,
            "reserve  {:>10}   the oldest item's part of the line, and the most for",
            Bytes(self.reserve)
        )?;
        writeln!(f, "{:22}one item; {}", "", self.reserve_reason)?;
        let real = match self.measure {
            Measure::Process => {
                "held to the budget: what the process has resident, mapped files aside"
            }
            Measure::Growth => {
                "held to the budget: what the process adds to what it held at the start"
            }
            Measure::Nothing => "not looked at (unmeasured): what is declared counts alone",
        };
        writeln!(f, "real     {:>10}   {real}", "")?;
        writeln!(f, "window   {:>10}   items aboard at the most; outputs {order}", self.window)?;
        writeln!(
            f,
            "threads  {:>10}   {} for the cores, 1 for the source, {} for workers that wait; 1 watches",
            self.threads,
            self.cores,
            self.threads - self.cores - 1
        )?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

impl Plan {
    fn fmt_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.stages.iter().map(|stage| stage.name.chars().count());
        let wide = widths.max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:wide$}  {:6}  {:>7}  {:>9}  {:>9}  {:>9}  {:11}  {:>5}  why so many workers",
            "stage", "kind", "workers", "each", "shared", "in all", "counted", "queue"
        )?;
        for (index, stage) in self.stages.iter().enumerate() {
            let segment = &self.segments[stage.segment];
            let queue = match segment.stages.start == index {
                true => segment.queue_bound.to_string(),
                false => "-".to_owned(),
            };
            let total = stage.shared + stage.per_worker * stage.workers as u64;
            writeln!(
                f,
                "{:wide$}  {:6}  {:>7}  {:>9}  {:>9}  {:>9}  {:11}  {queue:>5}  {}",
                stage.name,
                stage.kind,
                stage.workers,
                Bytes(stage.per_worker),
                Bytes(stage.shared),
                Bytes(total),
                stage.counted,
                stage.reason
            )?;
        }
        Ok(())
    }
}
