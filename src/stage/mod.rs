//! One step of a pipeline, as a value.

mod builder;
mod footprint;
mod items;
mod step;
mod watch;

use std::fmt;
use std::sync::Arc;

use crate::table::Table;
pub use builder::{StageBuilder, StatefulStageBuilder};
pub use footprint::Footprint;
pub(crate) use footprint::{Weigher, weigher};
pub(crate) use items::{IntoItems, Items};
pub(crate) use step::{
    Children, Expand, Lent, Opening, Quietly, SetUp, Step, Yield, forget_quietly, guard,
};
pub(crate) use watch::{Takers, Watch};

/// What a stage is limited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By cores: it computes.
    Cpu,
    /// By memory: its workers keep much, or it works on much.
    Memory,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        })
    }
}

/// One step of a pipeline: takes items of `I`, makes items of `O`.
///
/// A stage is a value. It is named, given a footprint, finished by a verb, and
/// then joined to others in a [`Pipeline`](crate::Pipeline); types are checked
/// where stages join.
///
/// | verb | its function | outputs an item |
/// |---|---|---|
/// | [`map`](StageBuilder::map) | `I -> O` | 1 |
/// | [`try_map`](StageBuilder::try_map) | `I -> Result<O, E>` | 1, or a failure |
/// | [`filter_map`](StageBuilder::filter_map) | `I -> Option<O>` | 0 or 1 |
/// | [`flat_map`](StageBuilder::flat_map) | `I -> impl IntoIterator<Item = O>` | any number, drawn as memory allows |
/// | [`map_batch`](StageBuilder::map_batch) | `Vec<I> -> Vec<O>` | 1, computed for many items at once |
///
/// What is declared before the verb (`footprint`, `workers`, `with_state`) is the
/// builder's; [`weigh`](Self::weigh), which knows the output, comes after it.
///
/// After [`with_state`](StageBuilder::with_state) each function takes the
/// worker's state first. Functions may borrow from what outlives the pipeline
/// (`'env`). They are called from several threads at once, so what a call changes is a state of
/// its worker, not something that the function captures.
///
/// ```
/// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
///
/// let words = vec!["load", "line"];
/// let index = Stage::cpu("index").map(|n: usize| n % words.len());
/// let look_up = Stage::memory("look up", Footprint::per_worker(MIB))
///     .with_state(String::new) // one scratch a worker
///     .map(|scratch, n: usize| {
///         scratch.clear();
///         scratch.push_str(words[n]);
///         scratch.len()
///     });
/// let pipeline = Pipeline::new(index).then(look_up).build(&Budget::new(64 * MIB, 2))?;
/// let mut letters = 0;
/// pipeline.run(0..10, |n| letters += n)?;
/// assert_eq!(letters, 40);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stage<'env, I, O> {
    pub(crate) spec: StageSpec,
    pub(crate) recipe: Recipe<'env, I, O>,
    pub(crate) per_item: Option<Weigher<'env, I>>,
    pub(crate) weigher: Option<Weigher<'env, O>>,
}

/// What the planner needs to know of a stage.
#[derive(Clone, Debug)]
pub(crate) struct StageSpec {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) per_worker: u64,
    pub(crate) shared: u64,
    pub(crate) tables: Vec<Table>,
    /// Whether the ledger is asked for each of its calls.
    pub(crate) counts_items: bool,
    /// Whether what it makes has a declared weight.
    pub(crate) weighs_outputs: bool,
    pub(crate) workers: Option<usize>,
    /// Whether it says that its calls wait and hold no core.
    pub(crate) waits: bool,
    /// Items wanted for a call of `map_batch`.
    pub(crate) gather: Option<usize>,
    pub(crate) expands: bool,
    /// Shallow sizes of an input and an output.
    pub(crate) sizes: (u64, u64),
}

/// Makes what one run needs of the verb: each run has workers of its own.
pub(crate) type Recipe<'env, I, O> = Arc<dyn Fn() -> Verb<'env, I, O> + Send + Sync + 'env>;

/// A verb, ready to run.
pub(crate) enum Verb<'env, I, O> {
    Step(Box<dyn Step<I, O> + 'env>),
    Expand(Box<dyn Expand<'env, I, O> + 'env>),
}

impl Stage<'static, (), ()> {
    /// Begins a stage that computes: it is sized by cores, and all cpu stages of
    /// a pipeline share them.
    pub fn cpu<'env, I>(name: impl Into<String>) -> StageBuilder<'env, I> {
        StageBuilder::new(name.into(), Kind::Cpu, Footprint::none())
    }

    /// Begins a stage that keeps much memory: it is sized by RAM. It gets as many
    /// workers as the budget carries, but no more than there are cores unless
    /// [`workers`](StageBuilder::workers) asks for more. Where its calls wait for a disk or a
    /// service rather than look into memory, it says so by [`waits`](StageBuilder::waits).
    pub fn memory<'env, I>(
        name: impl Into<String>,
        footprint: Footprint<'env, I>,
    ) -> StageBuilder<'env, I> {
        StageBuilder::new(name.into(), Kind::Memory, footprint)
    }
}

impl<'env, I, O> Stage<'env, I, O> {
    /// Declares what an output holds while it waits for the next stage, bytes: its own size
    /// and what is behind its pointers. [`Weight`](crate::Weight) knows it of most types; of
    /// others a closure says it, `.weigh(|hits| (size_of_val(hits) + 8 * hits.len()) as u64)`.
    /// Without it an output counts with its own size alone, `size_of::<O>()`.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage, Weight};
    ///
    /// let read = Stage::cpu("read")
    ///     .map(|bytes: usize| vec![0_u8; bytes])
    ///     .weigh(Weight::weight);
    /// let hash = Stage::cpu("hash").map(|data: Vec<u8>| data.len());
    /// let pipeline = Pipeline::new(read).then(hash).build(&Budget::new(64 * MIB, 2))?;
    /// let report = pipeline.run([1 << 20, 2 << 20], drop)?;
    /// assert!(report.peak_reserved() + report.peak_overweight() >= 2 * MIB);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn weigh(mut self, bytes: impl Fn(&O) -> u64 + Send + Sync + 'env) -> Self {
        self.spec.weighs_outputs = true;
        self.weigher = Some(weigher(bytes));
        self
    }

    /// The stage's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What the stage is limited by.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.spec.kind
    }
}

impl<I, O> fmt::Debug for Stage<'_, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("spec", &self.spec).finish_non_exhaustive()
    }
}
