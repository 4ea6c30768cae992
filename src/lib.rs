//! Plimsoll

mod budget;
mod cancel;
mod engine;
mod error;
mod frontier;
mod item;
mod ledger;
mod outcome;
mod pipeline;
mod plan;
mod queue;
mod report;
mod shared;
mod signal;
mod stage;
mod stream;
mod sync;
mod units;

pub use budget::Budget;
pub use cancel::CancelToken;
pub use error::{BoxError, Cause, Error, FormatProblem, ItemError};
pub use item::ItemId;
pub use outcome::{RunError, SinkResult};
pub use pipeline::{Job, Pipeline, PipelineBuilder};
pub use plan::{Plan, StagePlan};
pub use report::{Report, StageReport};
pub use shared::{Content, Element, Shared, SharedWriter, VERIFY_AUTO_BYTES, Verify};
pub use stage::{Footprint, Kind, Stage, StageBuilder, StatefulStageBuilder};
pub use stream::Stream;
pub use units::{Bytes, GIB, KIB, MIB, TIB};
