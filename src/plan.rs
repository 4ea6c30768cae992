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

use std::fmt;
use std::ops::Range;

use crate::budget::{Budget, stage_variable};
use crate::error::Error;
use crate::stage::{Kind, StageSpec};
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

/// Items aboard at the most, unless the pipeline says otherwise.
pub(crate) const DEFAULT_WINDOW: u64 = 16_384;

/// How a pipeline will use a budget. Made by
/// [`PipelineBuilder::build`](crate::PipelineBuilder::build); its `Display` is a
/// table that can be checked by hand.
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

    /// Threads of a run, the caller's included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The stages, from source to sink.
    #[must_use]
    pub fn stages(&self) -> &[StagePlan] {
        &self.stages
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

/// Plans `specs` on `budget`.
pub(crate) fn plan(
    budget: &Budget,
    specs: &[StageSpec],
    settings: &Settings,
) -> Result<Plan, Error> {
    budget.validate()?;
    check_names(specs)?;
    check_settings(specs, settings)?;
    let specs = with_footprints(budget, specs);
    let mut drafts = segments_of(budget, &specs);
    let mut purse = Purse { budget: budget.memory(), left: budget.memory() };
    for spec in &specs {
        purse.spend(&spec.name, "what its workers share", spec.shared)?;
    }
    for draft in &drafts {
        purse.spend(&specs[draft.stages.start].name, "its first worker", draft.per_worker)?;
    }
    let last = &specs[specs.len() - 1].name;
    let least = least_reserve(&specs, settings);
    purse.expect(last, "one item, the largest there may be", least)?;
    let keep =
        (purse.left / 4).max(settings.largest_item.map_or(0, |bytes| bytes.saturating_mul(2)));
    add_workers(&mut drafts, &specs, &mut purse, keep)?;

    let (reserve, reserve_reason) = match settings.largest_item {
        Some(bytes) => (bytes, "the largest item, as the pipeline declares"),
        None => (purse.left.div_ceil(2), "half of the line: no largest item is declared"),
    };
    Ok(Plan {
        memory: budget.memory(),
        memory_origin: budget.memory_origin().to_owned(),
        cores: budget.cores(),
        cores_origin: budget.cores_origin().to_owned(),
        line: purse.left,
        reserve,
        reserve_reason,
        window: settings.window,
        ordered: settings.ordered,
        threads: threads(budget, &drafts),
        stages: stage_plans(&specs, &drafts),
        segments: segment_plans(budget, &specs, &drafts, settings),
        notes: notes(budget, &specs),
    })
}

/// A segment while its workers are still counted.
struct Draft {
    stages: Range<usize>,
    per_worker: u64,
    asked: usize,
    /// Who asked, if it must be granted in full.
    demanded_by: Option<String>,
    workers: usize,
    reason: String,
}

/// What is left of the budget.
struct Purse {
    budget: u64,
    left: u64,
}

impl Purse {
    fn expect(&self, stage: &str, what: &str, needed: u64) -> Result<(), Error> {
        if needed <= self.left {
            return Ok(());
        }
        Err(Error::NoRoom {
            stage: stage.to_owned(),
            what: what.to_owned(),
            needed,
            available: self.left,
            budget: self.budget,
        })
    }

    fn spend(&mut self, stage: &str, what: &str, needed: u64) -> Result<(), Error> {
        self.expect(stage, what, needed)?;
        self.left -= needed;
        Ok(())
    }
}

fn check_names(specs: &[StageSpec]) -> Result<(), Error> {
    for (index, spec) in specs.iter().enumerate() {
        if !spec.name.chars().any(char::is_alphanumeric) {
            return Err(Error::StageName { position: index + 1, name: spec.name.clone() });
        }
        let variable = stage_variable(&spec.name);
        let same = |other: &&StageSpec| stage_variable(&other.name) == variable;
        if let Some(first) = specs[..index].iter().find(same) {
            let (first, second) = (first.name.clone(), spec.name.clone());
            return Err(Error::NameClash { first, second, variable });
        }
    }
    Ok(())
}

fn check_settings(specs: &[StageSpec], settings: &Settings) -> Result<(), Error> {
    let zero =
        |what, whose: &str, rule| Error::Setting { what, whose: whose.to_owned(), value: 0, rule };
    for spec in specs {
        let whose = format!("stage {:?}", spec.name);
        if spec.workers == Some(0) {
            return Err(zero("the number of workers", &whose, "it must be at least 1"));
        }
        if spec.gather == Some(0) {
            return Err(zero("the batch size", &whose, "it must be at least 1"));
        }
    }
    if settings.window == 0 {
        return Err(zero("the window", "the pipeline", "it must be at least 1 item"));
    }
    if settings.largest_item == Some(0) {
        return Err(zero("the largest item", "the pipeline", "it must be at least 1 byte"));
    }
    Ok(())
}

/// The specs with the footprints that the budget overrides.
fn with_footprints(budget: &Budget, specs: &[StageSpec]) -> Vec<StageSpec> {
    let mut specs = specs.to_vec();
    for spec in &mut specs {
        if let Some(footprint) = budget.footprint_for(&spec.name) {
            spec.per_worker = footprint.value;
        }
    }
    specs
}

/// Whether `next` runs in one go with `previous`, without a queue between them.
/// They do not where the ledger has a word to say in between: the weight of what
/// passes is declared, or the next call asks for memory of its own. And a
/// `flat_map` is parked between its outputs, a `map_batch` gathers its inputs.
pub(crate) fn is_fused(previous: &StageSpec, next: &StageSpec) -> bool {
    previous.kind == Kind::Cpu
        && next.kind == Kind::Cpu
        && !previous.weighs_outputs
        && !next.counts_items
        && !previous.expands
        && !next.expands
        && previous.gather.is_none()
        && next.gather.is_none()
}

fn segments_of(budget: &Budget, specs: &[StageSpec]) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let (asked, demanded_by, reason) = asked_workers(budget, spec);
        match drafts.last_mut() {
            Some(draft) if is_fused(&specs[index - 1], spec) => {
                draft.stages.end = index + 1;
                draft.per_worker = draft.per_worker.saturating_add(spec.per_worker);
                if asked < draft.asked {
                    (draft.asked, draft.demanded_by, draft.reason) = (asked, demanded_by, reason);
                }
            }
            _ => drafts.push(Draft {
                stages: index..index + 1,
                per_worker: spec.per_worker,
                asked,
                demanded_by,
                workers: 1,
                reason,
            }),
        }
    }
    drafts
}

/// How many workers a stage asks for, on whose demand, and the reason in words.
fn asked_workers(budget: &Budget, spec: &StageSpec) -> (usize, Option<String>, String) {
    if let Some(workers) = budget.workers_for(&spec.name) {
        return (workers.value, Some(workers.origin.clone()), workers.origin.clone());
    }
    match spec.workers {
        Some(workers) => (workers, None, format!("the stage asks for {workers}")),
        None => (budget.cores(), None, "one for each core".to_owned()),
    }
}

/// The least the line may be: one item of the declared size, or else of the
/// shallow size of what goes in and comes out of the widest stage.
fn least_reserve(specs: &[StageSpec], settings: &Settings) -> u64 {
    let shallow = specs.iter().map(|spec| spec.sizes.0 + spec.sizes.1).max().unwrap_or(0);
    settings.largest_item.unwrap_or(2 * shallow.max(1))
}

/// Hands out workers beyond the first, one at a time, to whom lacks most.
fn add_workers(
    drafts: &mut [Draft],
    specs: &[StageSpec],
    purse: &mut Purse,
    keep: u64,
) -> Result<(), Error> {
    loop {
        let fits = |draft: &&mut Draft| {
            draft.workers < draft.asked
                && (draft.per_worker == 0 || purse.left.saturating_sub(keep) >= draft.per_worker)
        };
        // Compared by cross-multiplication: a / b < c / d is a * d < c * b.
        let lacking = drafts
            .iter_mut()
            .filter(fits)
            .min_by(|a, b| (a.workers * b.asked).cmp(&(b.workers * a.asked)));
        let Some(draft) = lacking else { break };
        draft.workers += 1;
        purse.left -= draft.per_worker;
    }
    for draft in drafts {
        let missing = draft.asked.saturating_sub(draft.workers) as u64;
        if missing == 0 {
            continue;
        }
        let bytes = missing.saturating_mul(draft.per_worker);
        if let Some(origin) = &draft.demanded_by {
            let what = format!("{missing} more of the workers of {origin}");
            let room = Purse { budget: purse.budget, left: purse.left.saturating_sub(keep) };
            room.expect(&specs[draft.stages.start].name, &what, bytes)?;
        }
        let short = bytes - purse.left.saturating_sub(keep);
        draft.reason = format!(
            "limited by memory: {} of {} fit, {} more would carry all ({})",
            draft.workers,
            draft.asked,
            Bytes(short),
            draft.reason
        );
    }
    Ok(())
}

/// One thread for each core, one that may be blocked in the source, and one for
/// each worker whose calls wait.
fn threads(budget: &Budget, drafts: &[Draft]) -> usize {
    let waiting = drafts.iter().filter(|draft| draft.workers > budget.cores());
    budget.cores() + 1 + waiting.map(|draft| draft.workers).sum::<usize>()
}

fn stage_plans(specs: &[StageSpec], drafts: &[Draft]) -> Vec<StagePlan> {
    let mut stages = Vec::with_capacity(specs.len());
    for (segment, draft) in drafts.iter().enumerate() {
        for (place, spec) in specs[draft.stages.clone()].iter().enumerate() {
            let reason = match place {
                0 => draft.reason.clone(),
                _ => format!("runs in one go with {}", specs[draft.stages.start].name),
            };
            stages.push(StagePlan {
                name: spec.name.clone(),
                kind: spec.kind,
                workers: draft.workers,
                per_worker: spec.per_worker,
                shared: spec.shared,
                segment,
                reason,
            });
        }
    }
    stages
}

/// The segments with their queues, and the sink's, which is the reorder window
/// where order is kept.
fn segment_plans(
    budget: &Budget,
    specs: &[StageSpec],
    drafts: &[Draft],
    settings: &Settings,
) -> Vec<SegmentPlan> {
    let segment = |draft: &Draft| {
        let gather = specs[draft.stages.start].gather;
        SegmentPlan {
            stages: draft.stages.clone(),
            workers: draft.workers,
            queue_bound: queue_bound(budget, draft.workers, gather),
            waits: draft.workers > budget.cores(),
            gather: gather.map(|items| items as u64),
        }
    };
    let mut segments: Vec<_> = drafts.iter().map(segment).collect();
    let sink_bound = match settings.ordered {
        true => usize::try_from(settings.window).unwrap_or(usize::MAX),
        false => queue_bound(budget, 1, None),
    };
    segments.push(SegmentPlan {
        stages: specs.len()..specs.len(),
        workers: 1,
        queue_bound: sink_bound,
        waits: false,
        gather: None,
    });
    segments
}

/// Enough that no worker looks at an empty queue while those above are at work,
/// and for a batching stage, two full batches.
fn queue_bound(budget: &Budget, workers: usize, gather: Option<usize>) -> usize {
    let fed = 4usize.saturating_mul(workers.max(budget.cores()));
    fed.max(gather.unwrap_or(0).saturating_mul(2))
}

/// What the budget says that no stage of this pipeline heard.
fn notes(budget: &Budget, specs: &[StageSpec]) -> Vec<String> {
    let known = |name: &str| specs.iter().any(|spec| stage_variable(&spec.name) == name);
    let unheard = budget.override_names().filter(|(name, _)| !known(name));
    unheard.map(|(_, origin)| format!("{origin} names no stage of this pipeline")).collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory   {:>10}   {}", Bytes(self.memory), self.memory_origin)?;
        writeln!(f, "cores    {:>10}   {}", self.cores, self.cores_origin)?;
        writeln!(f)?;
        let wide =
            self.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:wide$}  {:6}  {:>7}  {:>10}  {:>10}  {:>10}  {:>5}  why so many workers",
            "stage", "kind", "workers", "each", "shared", "in all", "queue"
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
                "{:wide$}  {:6}  {:>7}  {:>10}  {:>10}  {:>10}  {queue:>5}  {}",
                stage.name,
                stage.kind,
                stage.workers,
                Bytes(stage.per_worker),
                Bytes(stage.shared),
                Bytes(total),
                stage.reason
            )?;
        }
        writeln!(f)?;
        writeln!(f, "stages   {:>10}   all they keep", Bytes(self.memory - self.line))?;
        writeln!(f, "line     {:>10}   the rest: what items aboard may hold", Bytes(self.line))?;
        writeln!(
            f,
            "reserve  {:>10}   of the line, for the oldest item alone, and the most for one item; {}",
            Bytes(self.reserve),
            self.reserve_reason
        )?;
        let order =
            if self.ordered { "in the order of the source" } else { "as they are completed" };
        writeln!(f, "window   {:>10}   items aboard at the most; outputs {order}", self.window)?;
        writeln!(
            f,
            "threads  {:>10}   the cores, one that may be blocked in the source, and those that wait",
            self.threads
        )?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
