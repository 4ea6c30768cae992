//! A memory-aware scheduler for split-model pipelines.
//!
//! A job is often two models in one: one eats cores, the other eats memory and
//! cross-references what the first produced. Run as one unit, every worker pays for both, so
//! the job is killed for its memory or its cores idle. Split, each half is sized by what
//! limits it, the large table is there once, and all that items hold stays below one line:
//!
//! ```text
//!  as one unit: 16 GiB, 8 cores          split: the same 16 GiB, 8 cores
//!
//!  +-------+  +-------+  +-------+       +-------------------------------+
//!  |  cpu  |  |  cpu  |  |  cpu  |       | cut cut cut cut               |  cpu stage:
//!  | model |  | model |  | model |       | cut cut cut cut               |  8 workers, as many
//!  +-------+  +-------+  +-------+       +---------------+---------------+  as cores
//!  |       |  |       |  |       |                       |
//!  | table |  | table |  | table |         items: no more bytes at a time
//!  | 6 GiB |  | 6 GiB |  | 6 GiB |         than the line carries, 9.7 GiB
//!  |       |  |       |  |       |                       |
//!  +-------+  +-------+  +-------+       +---------------v---------------+
//!  worker 1   worker 2   worker 3:       | look up look up ...           |  memory stage:
//!                        18 GiB, the     | look up look up ...           |  8 workers, as many
//!  with two workers,     job is killed   +-------------------------------+  as fit
//!  six cores idle                        |       table, 6 GiB, once      |
//!                                        +-------------------------------+
//! ```
//!
//! (The numbers are those of the [tutorial](guide::tutorial), which starts from the left and
//! ends at the right. The Plimsoll line is the mark on a ship's hull that shows how deep she
//! may be loaded.)
//!
//! ```
//! use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
//!
//! // A budget: of this machine and its environment, or as here, explicit.
//! let budget = Budget::new(512 * MIB, 2);
//!
//! // Stages: cpu ones are sized by cores, memory ones by RAM.
//! let parse = Stage::cpu("parse").try_map(|line: &str| line.parse::<usize>());
//! let screen = Stage::memory("screen", Footprint::per_worker(100 * MIB))
//!     .with_state(|| vec![0u8; 1 << 20]) // a model: built once a worker
//!     .map(|model: &mut Vec<u8>, n: usize| usize::from(model[n % model.len()]) + n);
//!
//! // A plan, before anything starts.
//! let pipeline = Pipeline::new(parse).then(screen).ordered().build(&budget)?;
//! assert_eq!(pipeline.plan().stages()[1].workers(), 2);
//!
//! // A run: source and sink may borrow.
//! let mut results = Vec::new();
//! let report = pipeline.run("1 2 3".split(' '), |n| results.push(n))?;
//! assert_eq!(results, [1, 2, 3]);
//! assert_eq!(report.delivered(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go on
//!
//! | to | read |
//! |---|---|
//! | split a job, step by step, and read its plan and its report | [the tutorial](guide::tutorial) |
//! | find out what to declare, and what follows if it is wrong | [Choosing footprints](guide::footprints) |
//! | run the same program on a laptop, a cluster, in a container | [Variables](guide::variables) |
//! | map a large table, and build it | [From a big file to a shared table](guide::shared_tables) |
//! | know what else there is, and what this costs | [When not to use this](guide::when_not) |
//!
//! | for | see |
//! |---|---|
//! | how much there is | [`Budget`] |
//! | what is to be done, and what it costs | [`Stage`], [`Footprint`], [`Weight`] |
//! | stages joined, planned and run | [`Pipeline`], [`Job`], [`Stream`], [`CancelToken`] |
//! | who gets what and why | [`Plan`] |
//! | what happens, and what happened | [`Monitor`], [`Report`] |
//! | large buffers that are filled again instead of made anew | [`Buffers`] |
//! | large tables, lists and maps that are shared | [`SharedFile`], [`Shared`], [`SharedMap`] |
//! | keeping them in memory, and in the budget | [`Table`], [`Advice`], [`Prefault`] |
//! | a table that is larger than memory | [`Blocks`] |
//! | what can fail | [`Error`], [`RunError`], [`ItemError`] |
//!
//! # How it runs
//!
//! A *worker* of a stage is a right to call it, with a state of its own. A *thread*
//! is not a worker: it takes the next step of whatever is furthest downstream, or
//! oldest, so an item is carried from stage to stage by one thread where
//! nothing else is more urgent, and finishing an item, which frees memory, goes
//! before starting one, which takes it. Small items travel many at a time; how
//! many follows from what they are measured to cost.
//!
//! Every step is admitted by a ledger before it starts. Bytes wait in one of four
//! ways: a worker's ([`Footprint::per_worker`]), a stage's
//! ([`Footprint::shared`]), a call's ([`Footprint::per_item`]) and a waiting item's
//! ([`Stage::weigh`]). What must stay in memory of shared data ([`Footprint::table`]) is taken
//! off the budget beside them. A part of the line is reserved for the oldest item, which
//! can therefore always go on.
//!
//! # Real memory
//!
//! What is declared is a promise, and an allocator keeps what was freed. So on Linux a run
//! looks at what the process really has resident, anonymous or shared (mapped files are
//! not counted), between two calls and every five milliseconds:
//!
//! - What no ledger stands for, beyond a tolerance of a sixteenth of the budget (16 MiB at
//!   the least), is withheld from the line while it lasts, and with it as much as the
//!   largest step so far took, for the oldest item, which is never held up. Where items
//!   wait for that, the allocator is asked to give pages back, and where those are why, to
//!   keep no large blocks from then on: see [`release_large_blocks`].
//! - While the machine or a cgroup runs short, whoever takes the memory, only as much is
//!   admitted as there is room for, a margin kept.
//! - Calls are measured: a stage whose calls take more than twice what is declared for
//!   them is asked for more from then on.
//!
//! With a budget of [`Budget::from_env`] all that the process holds counts, with one of
//! [`Budget::new`] what it adds to what it held when the run began, and with one that is
//! [`unmeasured`](Budget::unmeasured) nothing but the ledger. [`MemoryReport`]
//! has what was found, and [`release_large_blocks`] keeps glibc's allocator close to
//! what is declared.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `tracing` | spans of the target `plimsoll`: `run` (info; entered by each of its threads), within it `stage` (debug; one for each, entered for each call), within that `parcel` (trace; the items that are handed over together); events: a warning for a call that does not come back (fields `stage`, `item`, `seconds`, `holds`), again whenever its time has doubled; a warning when real memory cannot be read any more; at the level info, that the allocator was told to keep no large blocks (fields `threshold`, `free`, `drift`), which is for the whole process; at the level debug, parts of the line withheld and trims of the allocator |
//! | `metrics` | what runs do, for the recorder that the thread which starts them has: see below |
//! | `progress` | `Progress`: bars of a run on a terminal, drawn by `indicatif` |
//! | `serde` | `Serialize` for [`Plan`], [`Snapshot`] and [`Report`], with names that are documented and kept |
//! | `rkyv` | `SharedArchive`: nested data in a [`SharedFile`], archived by `rkyv` and validated when it is taken |
//!
//! No feature is on by default.
//!
//! # Platforms
//!
//! Tested on Linux. What else there is, is written for and was not tested:
//!
//! | | Linux | other Unix | Windows |
//! |---|---|---|---|
//! | pipelines, plans, reports, shared files | yes | yes | yes |
//! | the limit that [`Budget::from_env`] finds | RAM and cgroups | RAM | RAM |
//! | real memory looked at, calls measured | yes | no | no |
//! | [`release_large_blocks`] | with glibc | no | no |
//! | a shared file that a process has open for writing | is refused | is not noticed | is refused by the system |
//! | `SharedFile::seal` | yes | no | no |
//! | [`SharedFile::advise`], [`SharedFile::pin`] | yes | yes, but for huge pages | no |
//!
//! Where real memory is not looked at, the ledger alone counts, and the report says so.
//!
//! # Metrics
//!
//! With the feature `metrics` these are recorded every 50 ms and at the end of a run. Runs at the
//! same time add up. The label `stage` is as in a [`Snapshot`].
//!
//! | name | kind | tells |
//! |---|---|---|
//! | `plimsoll_items_read_total`, `_delivered_total`, `_filtered_total`, `_failed_total` | counter | items that were read, or met that fate |
//! | `plimsoll_items_aboard` | gauge | items without a fate yet |
//! | `plimsoll_held_bytes`, `plimsoll_withheld_bytes` | gauge | what items hold; what is withheld of the line |
//! | `plimsoll_real_memory_bytes` | gauge | what the process has resident, mapped files aside |
//! | `plimsoll_stage_items_total{stage}` | counter | items that the stage was called with |
//! | `plimsoll_stage_running{stage}`, `plimsoll_stage_queued_items{stage}`, `plimsoll_stage_holds_bytes{stage}` | gauge | calls under way, items that wait, what both hold |
//! | `plimsoll_stage_call_seconds{stage}` | histogram | time of each call, of one item or of light ones together |
//! | `plimsoll_run_seconds` | histogram | time of each run |
// docs.rs documents with a nightly compiler, which labels what needs a feature.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blocks;
mod budget;
mod buffers;
mod cancel;
mod cores;
mod drift;
mod engine;
mod error;
mod fallible;
mod fault;
mod frontier;
mod item;
mod ledger;
mod outcome;
mod pipeline;
mod plan;
#[cfg(feature = "progress")]
mod progress;
mod queue;
mod report;
mod resident;
mod shared;
mod signal;
mod stage;
mod stream;
mod sync;
mod table;
mod units;
mod weight;
#[cfg(not(any(loom, shuttle, steady)))]
mod what_if;

pub use blocks::{
    Best, Block, BlockError, BlockJob, BlockPlan, BlockProgress, BlockReport, Blocks, Partial, Sum,
};
pub use budget::Budget;
pub use buffers::{Buffer, Buffers};
pub use cancel::CancelToken;
pub use error::{AnyError, BoxError, Cause, Error, FormatProblem, ItemError, WayOut};
pub use item::ItemId;
pub use outcome::{RunError, SinkResult};
pub use pipeline::{Job, Pipeline, PipelineBuilder};
pub use plan::{Plan, StagePlan, TablePlan};
#[cfg(feature = "progress")]
pub use progress::Progress;
pub use report::{
    ItemTimes, MemoryReport, Monitor, Report, Snapshot, StageReport, StageSnapshot, Stall,
    StopReason, Stopping, WaitsFor,
};
pub use shared::{
    Advice, BuildProgress, BuildStep, BytesWriter, Element, HandOver, Key, MapWriter, Prefault,
    Rows, Section, SectionInfo, Shared, SharedBytes, SharedFile, SharedFileWriter, SharedMap,
    SharedStrs, SharedWriter, SliceWriter, StrsWriter, VERIFY_AUTO_BYTES, Verify,
    release_large_blocks,
};
#[cfg(feature = "rkyv")]
pub use shared::{NamedArchive, SharedArchive};
pub use stage::{Footprint, Kind, Stage, StageBuilder, StatefulStageBuilder};
pub use stream::Stream;
pub use table::{IntoTable, Table};
pub use units::{Bytes, GIB, KIB, MIB, TIB};
pub use weight::Weight;
#[cfg(not(any(loom, shuttle, steady)))]
pub use what_if::{Prediction, Predictions};

/// From a task to a program. There is nothing but text in it, whose programs are tested.
///
/// | page | for whom |
/// |---|---|
/// | [`tutorial`](guide::tutorial) | who has a job of two models: from a loop to a pipeline, its plan and its report read line by line |
/// | [`footprints`](guide::footprints) | who has to say how much memory a stage takes |
/// | [`variables`](guide::variables) | who runs a program, on a laptop, a cluster, in a container |
/// | [`shared_tables`](guide::shared_tables) | who has a large file that all workers look things up in |
/// | [`when_not`](guide::when_not) | who wonders whether another tool would do better |
pub mod guide {
    #[doc = include_str!("guide/tutorial.md")]
    pub mod tutorial {}

    #[doc = include_str!("guide/footprints.md")]
    pub mod footprints {}

    #[doc = include_str!("guide/variables.md")]
    pub mod variables {}

    #[doc = include_str!("guide/when_not.md")]
    pub mod when_not {}

    #[doc = include_str!("guide/shared_tables.md")]
    pub mod shared_tables {}
}

/// The door of the fuzz targets in `tests/fuzz`.
#[cfg(fuzzing)]
#[doc(hidden)]
#[allow(missing_docs, reason = "not for users")]
pub mod fuzzing {
    use std::path::Path;

    pub fn variables(data: &[u8]) {
        crate::budget::properties::variables(data);
    }

    pub fn cgroups(root: &Path, data: &[u8]) {
        crate::budget::properties::cgroups(root, data);
    }

    pub fn file(path: &Path, data: &[u8]) {
        crate::shared::properties::file(path, data);
    }
}

/// The door of `benches/growth.rs`: runs in virtual time. It may change at any time.
#[cfg(not(any(loom, shuttle, steady)))]
#[doc(hidden)]
pub mod simulation {
    pub use crate::engine::simulation::{Costs, Forecast, Machine, ThreadTime, VirtualClock};
}

/// The code blocks of the README are run as tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
