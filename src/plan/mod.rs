//! Who gets how many workers and bytes, and why: a pure function.
//!
//! The budget is spent in this order:
//!
//! 1. what each stage shares among its workers, once, and what certainly must stay in
//!    memory of shared tables;
//! 2. one worker for every stage;
//! 3. a quarter of what is left is kept for the items; if the pipeline says how large they
//!    get, one of the largest for each call that may be at work at once (one for each core, and
//!    all that stages that wait ask for) and one for the oldest, if that is less, and two in any
//!    case;
//! 4. the workers that somebody demands by a variable or by name;
//! 5. further workers, one at a time, to the stage that has the least of what it asks for, as
//!    long as they take an eighth at the most of what all other tables would have;
//! 6. what ought to stay in memory of these, as far as there is room;
//! 7. further workers, as before;
//! 8. all the rest is the *line*: what items aboard may hold. A part of it, the
//!    *reserve*, is the oldest item's alone, so that it can always go on. The
//!    reserve is the most that a single item may ever need.

mod design;
mod display;
#[cfg(feature = "serde")]
mod json;
mod missing;
mod notes;
mod planner;
mod purse;
mod tables;
#[cfg(test)]
mod tests;
mod way_out;
mod workers;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use design::Design;
pub(crate) use planner::plan;
pub use tables::TablePlan;

use crate::budget::{Budget, Measure};
use crate::stage::Kind;
use crate::table::MemoryId;

/// What the pipeline says beside its stages.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ordered: bool,
    /// Items aboard at the most.
    pub(crate) window: u64,
    /// Bytes one item needs at the most, if the pipeline knows.
    pub(crate) largest_item: Option<u64>,
}

/// Items aboard at the most on `cores`, unless the pipeline says otherwise: the largest parcel
/// for each core, so that none need wait for another's; on one, for what is read meanwhile.
/// More would only be further from the caches when its turn comes.
pub(crate) fn default_window(cores: usize) -> u64 {
    PARCEL_ITEMS.saturating_mul(cores.max(2) as u64)
}

/// Time that a parcel of small items should take in its slowest segment, nanoseconds: long
/// enough that the cost of its steps is less than a hundredth, short enough to keep latency
/// low. To a model checker a look at the clock takes a tenth of that, whatever is done meanwhile:
/// there it is more, or all parcels would be of one item.
pub(crate) const PARCEL_NANOS: u64 =
    if cfg!(any(loom, shuttle)) { 1_000_000_000 } else { 1_000_000 };
/// What is left of a parcel is shared with those who have nothing to do if it is likely to
/// take so long, nanoseconds, at the least: several times what waking them costs.
const SHARE_NANOS: u64 = 100_000;
/// From one turn with the run's lock to the next, whichever core's, so much time should
/// pass, nanoseconds: a turn takes up to 1.4 us where the state comes from another core's
/// caches, and those who find the lock taken too often end up asleep.
const TURN_NANOS: u64 = 5_000;
/// Items in a parcel at the most.
pub(crate) const PARCEL_ITEMS: u64 = 8_192;

/// How one run of a pipeline will use a budget: two runs at once use it twice.
///
/// Made by [`PipelineBuilder::build`](crate::PipelineBuilder::build), or without anything to
/// run by [`PipelineBuilder::plan`](crate::PipelineBuilder::plan), for any budget: this
/// machine need not have it.
///
/// ```
/// use plimsoll::{Budget, Footprint, GIB, Pipeline, Stage};
///
/// let parse = Stage::cpu("parse").map(|line: String| line.len());
/// let screen = Stage::memory("screen", Footprint::per_worker(6 * GIB)).map(|n: usize| n % 7);
/// let stages = Pipeline::new(parse).then(screen);
///
/// // Which machine carries how many of the large workers?
/// for (memory, cores, workers) in [(32, 16, 4), (128, 32, 16), (256, 64, 32)] {
///     let plan = stages.plan(&Budget::new(memory * GIB, cores))?;
///     assert_eq!(plan.stages()[1].workers(), workers);
/// }
/// let small = stages.plan(&Budget::new(32 * GIB, 16))?;
/// assert_eq!(
///     small.stages()[1].reason(),
///     "limited by memory: 4 of 16 fit beside a quarter for items (see largest_item), 94.0 GiB more \
///      would carry all workers of all stages (one for each core)"
/// );
/// println!("{small}"); // the table
/// println!("{small:#}"); // every byte, every bound
/// # Ok::<(), plimsoll::Error>(())
/// ```
///
/// Its `Display` is a table that can be checked by hand:
///
/// | column | tells |
/// |---|---|
/// | each, shared, in all | bytes that a worker keeps, that all keep together, and the sum |
/// | counted | for what the ledger is asked at each item: the call ([`Footprint::per_item`](crate::Footprint::per_item)), the output ([`Stage::weigh`](crate::Stage::weigh)); a stage that counts neither goes with shallow sizes |
/// | queue | parcels of items that may wait before the stage; `-` if it runs in one go with the stage above |
///
/// Shared data that stages declare ([`Footprint::table`](crate::Footprint::table)) has rows
/// of its own: how large it is, how much of it is counted and why, and whether it was
/// [verified](crate::Verify).
///
/// The alternate form, `{:#}`, goes on with how the budget was spent, step by step, with
/// every bound of the run, with where each number came from, and with the margins of real
/// memory.
///
/// # JSON
///
/// With the feature `serde` a plan can be serialized. Fields may be added in any release;
/// those below keep their names and meanings until the next breaking one. Numbers of bytes
/// are whole.
///
/// | field | tells |
/// |---|---|
/// | `memory_bytes`, `memory_origin` | the budget, and where it came from |
/// | `limit_bytes`, `limit_origin` | the memory limit that was detected; null if none was |
/// | `cores`, `cores_origin` | how many calls that compute may run at once, and where that came from |
/// | `enough_memory_bytes` | the least budget on which nothing would be missing ([`enough_memory`](Self::enough_memory)); null if nobody has so much |
/// | `kept_bytes` | what all stages keep, and what is counted of tables |
/// | `set_aside_bytes` | what was set aside for items before any stage got a second worker: a quarter, or less if the pipeline tells its `largest_item` |
/// | `line_bytes` | what items aboard may hold together |
/// | `reserve_bytes`, `reserve_reason` | the oldest item's part of the line, which is the most for one item |
/// | `window_items` | items aboard at the most |
/// | `weighs_source` | whether items of the source have a declared weight |
/// | `ordered` | whether outputs are delivered in the source's order |
/// | `threads` | threads that work; the caller's, which watches, is not among them |
/// | `parcel` | bounds of what moves as one: `most_items`, `most_bytes`, `target_seconds` in the slowest stage, `way_seconds` in all stages together if that is more; `share_seconds` that the rest of one must be likely to take to be shared |
/// | `real_memory` | `held_to`: `"process"`, `"growth"` or `"nothing"`; `tolerance_bytes` of drift that nothing follows from |
/// | `stages` | from source to sink: `name`, `kind` (`"cpu"`, `"memory"`), `workers`, `asked_workers`, `waits` (its calls hold no core), `reason`, `per_worker_bytes`, `per_worker_origin`, `shared_bytes`, `kept_bytes`, `counts_calls`, `weighs_outputs`, `input_bytes` and `output_bytes` (shallow), `queue` (its place in `queues`) |
/// | `tables` | shared data that stages declare: `name`, `stages`, `size_bytes`, `counted_bytes`, `missing_bytes`, `verified`, `reason` |
/// | `queues` | `before` (a stage, or `"(sink)"`), `parcels` at the most, `reason` |
/// | `notes` | what is likely not meant |
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) memory: u64,
    memory_origin: String,
    /// The limit that was detected, bytes, and where.
    limit: Option<(u64, String)>,
    pub(crate) cores: usize,
    cores_origin: String,
    /// Whether the budget is one that variables change.
    pub(crate) by_variable: bool,
    /// The least budget on which nothing is missing, unless nobody has so much.
    enough: Option<u64>,
    /// What was set aside for items before any stage got a second worker.
    kept_for_items: u64,
    /// If the pipeline says how large items get, how many may be at work at once, and the oldest.
    largest_aboard: Option<u64>,
    pub(crate) line: u64,
    pub(crate) reserve: u64,
    reserve_reason: &'static str,
    pub(crate) window: u64,
    pub(crate) ordered: bool,
    /// Whether items of the source have a declared weight.
    weighs_source: bool,
    pub(crate) threads: usize,
    /// Against what real memory the budget is held.
    pub(crate) measure: Measure,
    pub(crate) stages: Vec<StagePlan>,
    tables: Vec<TablePlan>,
    /// The tables that real memory has, each with its bytes.
    pub(crate) copies: Vec<(MemoryId, u64)>,
    /// One for each queue, the sink's last.
    pub(crate) segments: Vec<SegmentPlan>,
    notes: Vec<String>,
    /// What it was made for, if that was a pipeline.
    pub(crate) design: Option<Arc<Design>>,
    /// And on what budget.
    budget: Option<Arc<Budget>>,
}

/// What a plan gives one stage.
#[derive(Clone, Debug)]
pub struct StagePlan {
    pub(crate) name: String,
    kind: Kind,
    workers: usize,
    asked: usize,
    waits: bool,
    /// About twice as many workers, if it asks for more than it has, and the bytes beyond the
    /// budget that would carry them.
    pub(crate) more: Option<(usize, u64)>,
    per_worker: u64,
    /// Who said so, if not the stage.
    per_worker_origin: Option<String>,
    shared: u64,
    /// Whether the ledger is asked for each call.
    pub(crate) counts_calls: bool,
    /// Whether outputs have a declared weight.
    pub(crate) weighs_outputs: bool,
    /// Shallow sizes of an input and an output.
    sizes: (u64, u64),
    /// A `flat_map`: one item may be made into many.
    pub(crate) expands: bool,
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

    /// The least memory on which nothing of this plan would be missing: every stage has all the
    /// workers that it [asks for](StagePlan::asked_workers), each of what its footprint says, and
    /// every [table](Self::tables) all that is wanted of it. Bytes, in whole MiB where it is that
    /// much; `None` if nobody has so much.
    ///
    /// It takes for granted the cores of this plan's budget, and that what is declared is true. For
    /// items it has, by [`largest_item`](crate::PipelineBuilder::largest_item), one of the largest
    /// for each call that may be at work at once (one for each core, and one for each worker of
    /// stages that [wait](crate::StageBuilder::waits)) and one for the oldest; if few are so large,
    /// less would do. What wait in between, in queues or for their turn, are not among them.
    ///
    /// How many items of unknown size there should be room for it does not know. They have a quarter
    /// of what is left beside one worker of each stage, which is next to nothing where further
    /// workers and tables keep little: on such a budget all calls may wait for memory. More memory
    /// lets more of them aboard, and larger ones; how much they held in a run is told by
    /// [`Report::peak_reserved`](crate::Report::peak_reserved).
    ///
    /// ```
    /// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
    ///
    /// let embed = Stage::memory("embed", Footprint::per_worker(400 * MIB)).map(|n: u64| n);
    /// let stages = Pipeline::new(embed);
    /// let short = stages.plan(&Budget::new(900 * MIB, 2))?;
    /// assert_eq!((short.stages()[0].workers(), short.enough_memory()), (1, Some(934 * MIB)));
    /// let all = stages.plan(&Budget::new(934 * MIB, 2))?;
    /// assert_eq!(all.stages()[0].workers(), 2);
    ///
    /// // The more was for items of unknown size.
    /// let small = stages.largest_item(MIB).plan(&Budget::new(900 * MIB, 2))?;
    /// assert_eq!(small.enough_memory(), Some(803 * MIB));
    ///
    /// // 64 calls that wait, two that compute, and the oldest may each hold an item.
    /// let ask = Stage::memory("ask", Footprint::none()).workers(64).waits().map(|n: u64| n);
    /// let stages = Pipeline::new(ask.weigh(|_| MIB));
    /// assert!(stages.plan(&Budget::new(900 * MIB, 2))?.enough_memory() < Some(MIB), "not known");
    /// let known = stages.largest_item(MIB).plan(&Budget::new(900 * MIB, 2))?;
    /// assert_eq!(known.enough_memory(), Some(67 * MIB));
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    #[must_use]
    pub fn enough_memory(&self) -> Option<u64> {
        self.enough
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

    /// Threads of a run that do its work. One more watches, the caller's where that waits for
    /// the run: it looks at real memory and for calls that do not come back.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The stages, from source to sink.
    #[must_use]
    pub fn stages(&self) -> &[StagePlan] {
        &self.stages
    }

    /// The shared data that stages declare, each once.
    #[must_use]
    pub fn tables(&self) -> &[TablePlan] {
        &self.tables
    }

    /// What is likely not meant: variables that no stage heard; workers beyond the cores that only
    /// the budget demands, so that the stage's calls are taken to wait; numbers that look like MiB
    /// and are bytes, of a budget, a [largest item](crate::PipelineBuilder::largest_item), or a
    /// footprint that a variable or [`with_footprint`](Budget::with_footprint) sets (one that the
    /// stage declares is taken at its word: a worker may well keep a few bytes); a stage that asks
    /// for memory
    /// [for each item](crate::Footprint::per_item), so that its items seem to be large, and whose
    /// outputs wait for another stage without a [weight](crate::Stage::weigh); a line that
    /// carries next to nothing. Empty for most plans. A stage that declares nothing at all is
    /// not noted: most outputs are small.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The part of the line that is there because nothing else asked for it: if something
    /// took it, no stage would have a worker the less.
    pub(crate) fn spare(&self) -> u64 {
        self.line.saturating_sub(self.kept_for_items)
    }

    /// Bytes that a parcel of several items may need: a fraction of either account, so
    /// that moving items together never decides what fits.
    pub(crate) fn parcel_bytes(&self) -> u64 {
        self.reserve.min(self.line - self.reserve) / 4
    }

    /// Time that a parcel of small items should take in all segments together, at the
    /// least: all cores share the lock, which is taken for the pull and in each segment.
    pub(crate) fn way_nanos(&self) -> u64 {
        TURN_NANOS * self.cores as u64 * (self.segments.len() as u64 + 1)
    }

    /// Time that the rest of a parcel should take before it is shared. With many cores it
    /// is that of a parcel: smaller ones would have them queue for the lock, which looks as
    /// if they had nothing to do.
    pub(crate) fn least_share(&self) -> u64 {
        self.way_nanos().max(SHARE_NANOS)
    }

    /// Bytes of real memory that stages keep for all their workers together.
    pub(crate) fn shared(&self) -> u64 {
        let shared = self.stages.iter().map(|stage| stage.shared);
        shared.fold(self.counted(TablePlan::is_real), u64::saturating_add)
    }

    /// Bytes of files that must stay in memory: the part of the budget that real memory,
    /// which does not count them, must leave alone.
    pub(crate) fn files(&self) -> u64 {
        self.counted(|table| !table.is_real())
    }

    /// The part of these that the system may take back.
    pub(crate) fn reclaimable(&self) -> u64 {
        self.counted(TablePlan::is_reclaimable)
    }

    /// Bytes of the budget that are kept for tables.
    pub(crate) fn for_tables(&self) -> u64 {
        self.counted(|_| true)
    }

    fn counted(&self, which: impl Fn(&TablePlan) -> bool) -> u64 {
        self.tables.iter().filter(|table| which(table)).map(TablePlan::counted).sum()
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

    /// Workers it asks for; fewer fit where [`reason`](Self::reason) says so.
    #[must_use]
    pub fn asked_workers(&self) -> usize {
        self.asked
    }

    /// Whether its calls are taken to wait, and hold no core: it [says so](crate::StageBuilder::waits),
    /// or asks for more workers than there are cores.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
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

    /// Bytes it keeps in all, on full load.
    pub(crate) fn kept(&self) -> u64 {
        self.shared + self.per_worker * self.workers as u64
    }

    /// Why it has as many workers as it has.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
