//! From a name and a footprint to a stage.

use std::sync::Arc;

use super::step::{Batched, Each, Fate, Flat, Init, Loop, Mapped, Quietly, Sorted, Workers};
use super::{Footprint, Kind, Stage, StageSpec, Verb};
use crate::error::BoxError;

/// A stage that still lacks its verb. Made by [`Stage::cpu`] and [`Stage::memory`].
#[must_use = "a stage begins to be one with its verb, such as `map`"]
pub struct StageBuilder<'env, I> {
    name: String,
    kind: Kind,
    footprint: Footprint<'env, I>,
    workers: Option<usize>,
}

/// A stage with a state for each worker that still lacks its verb. Made by
/// [`StageBuilder::with_state`].
#[must_use = "a stage begins to be one with its verb, such as `map`"]
pub struct StatefulStageBuilder<'env, I, S> {
    stage: StageBuilder<'env, I>,
    init: Arc<Init<'env, S>>,
}

impl<'env, I> StageBuilder<'env, I> {
    pub(super) fn new(name: String, kind: Kind, footprint: Footprint<'env, I>) -> Self {
        Self { name, kind, footprint, workers: None }
    }

    /// Declares the stage's memory, in place of what was declared before.
    pub fn footprint(mut self, footprint: Footprint<'env, I>) -> Self {
        self.footprint = footprint;
        self
    }

    /// Asks for at most `workers` workers (default: one for each core). More
    /// than there are cores makes sense for a stage whose calls wait (for a disk,
    /// a service) rather than compute: such a stage takes no core while it works.
    /// Zero is refused when the pipeline is built.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Gives every worker a state: a model, a scratch. It is built once for each
    /// worker, by the thread that first needs that worker, and handed to every
    /// call of it; no two calls share one at a time. Workers are handed from
    /// thread to thread, so a state is `Send`. Its bytes are declared by
    /// [`Footprint::per_worker`].
    ///
    /// A state that saw a call panic may be half-changed: it is dropped and the
    /// worker begins anew.
    pub fn with_state<S: Send + 'env>(
        self,
        init: impl Fn() -> S + Send + Sync + 'env,
    ) -> StatefulStageBuilder<'env, I, S> {
        self.try_with_state(move || Ok::<S, BoxError>(init()))
    }

    /// Like [`with_state`](Self::with_state), where building can fail. A failure
    /// ends the run with [`Error::State`](crate::Error::State).
    pub fn try_with_state<S: Send + 'env, E: Into<BoxError>>(
        self,
        init: impl Fn() -> Result<S, E> + Send + Sync + 'env,
    ) -> StatefulStageBuilder<'env, I, S> {
        let init = Quietly::new(init);
        let init = Arc::new(move || (init.get())().map_err(Into::into));
        StatefulStageBuilder { stage: self, init }
    }

    fn stateless(self) -> StatefulStageBuilder<'env, I, ()> {
        StatefulStageBuilder { stage: self, init: Arc::new(|| Ok(())) }
    }

    fn finish<O>(
        self,
        gather: Option<usize>,
        expands: bool,
        recipe: impl Fn() -> Verb<'env, I, O> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        let Footprint { per_worker, shared, tables, per_item } = self.footprint;
        let spec = StageSpec {
            name: self.name,
            kind: self.kind,
            per_worker,
            shared,
            tables,
            counts_items: per_item.is_some(),
            weighs_outputs: false,
            workers: self.workers,
            gather,
            expands,
            sizes: (size_of::<I>() as u64, size_of::<O>() as u64),
        };
        Stage { spec, recipe: Arc::new(recipe), per_item, weigher: None }
    }
}

/// The verbs of a stage without state.
impl<'env, I: Send + 'env> StageBuilder<'env, I> {
    /// One output for each item.
    #[must_use]
    pub fn map<O: Send + 'env>(
        self,
        call: impl Fn(I) -> O + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.stateless().map(move |(), item| call(item))
    }

    /// One output for each item, or a failure of that item. The first failure ends
    /// the run, unless failures are given a place to go:
    /// [`Job::failures`](crate::Job::failures).
    #[must_use]
    pub fn try_map<O: Send + 'env, E: Into<BoxError>>(
        self,
        call: impl Fn(I) -> Result<O, E> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.stateless().try_map(move |(), item| call(item))
    }

    /// One output for each item, or none.
    #[must_use]
    pub fn filter_map<O: Send + 'env>(
        self,
        call: impl Fn(I) -> Option<O> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.stateless().filter_map(move |(), item| call(item))
    }

    /// Any number of outputs for each item. The iterator is drawn on as memory and
    /// the next stage allow and is parked in between; it is never collected.
    #[must_use]
    pub fn flat_map<O, It>(self, call: impl Fn(I) -> It + Send + Sync + 'env) -> Stage<'env, I, O>
    where
        O: Send + 'env,
        It: IntoIterator<Item = O>,
        It::IntoIter: Send + 'env,
    {
        self.stateless().flat_map(move |(), item| call(item))
    }

    /// One output for each item, computed for up to `most` items at once, oldest
    /// first. It must return as many outputs as it is given items, in their order;
    /// any other number fails the items of that call.
    ///
    /// A partial batch is run when its items have waited a millisecond while a
    /// worker was free, or when nothing else is left to do. A `most` of zero is
    /// refused when the pipeline is built.
    #[must_use]
    pub fn map_batch<O: Send + 'env>(
        self,
        most: usize,
        call: impl Fn(Vec<I>) -> Vec<O> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.stateless().map_batch(most, move |(), items| call(items))
    }
}

/// The verbs of a stage with a state: their functions take it first.
impl<'env, I: Send + 'env, S: Send + 'env> StatefulStageBuilder<'env, I, S> {
    /// See [`StageBuilder::map`].
    #[must_use]
    pub fn map<O: Send + 'env>(
        self,
        call: impl Fn(&mut S, I) -> O + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.each(Mapped(call))
    }

    /// See [`StageBuilder::try_map`].
    #[must_use]
    pub fn try_map<O: Send + 'env, E: Into<BoxError>>(
        self,
        call: impl Fn(&mut S, I) -> Result<O, E> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.each(Sorted(move |state: &mut S, item| Fate::from_result(call(state, item))))
    }

    /// See [`StageBuilder::filter_map`].
    #[must_use]
    pub fn filter_map<O: Send + 'env>(
        self,
        call: impl Fn(&mut S, I) -> Option<O> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.each(Sorted(move |state: &mut S, item| Fate::from_option(call(state, item))))
    }

    /// See [`StageBuilder::flat_map`]. The iterator outlives the call, so it cannot
    /// borrow from the state.
    #[must_use]
    pub fn flat_map<O, It>(
        self,
        call: impl Fn(&mut S, I) -> It + Send + Sync + 'env,
    ) -> Stage<'env, I, O>
    where
        O: Send + 'env,
        It: IntoIterator<Item = O>,
        It::IntoIter: Send + 'env,
    {
        let Self { stage, init } = self;
        let call = Arc::new(Quietly::new(call));
        stage.finish(None, true, move || {
            Verb::Expand(Box::new(Flat { workers: Workers::new(init.clone()), call: call.clone() }))
        })
    }

    /// See [`StageBuilder::map_batch`].
    #[must_use]
    pub fn map_batch<O: Send + 'env>(
        self,
        most: usize,
        call: impl Fn(&mut S, Vec<I>) -> Vec<O> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        let Self { stage, init } = self;
        let call = Arc::new(Quietly::new(call));
        stage.finish(Some(most), false, move || {
            let workers = Workers::new(init.clone());
            Verb::Step(Box::new(Batched { workers, most, call: call.clone() }))
        })
    }

    fn each<O: Send + 'env>(self, verb: impl Loop<S, I, O> + 'env) -> Stage<'env, I, O> {
        let Self { stage, init } = self;
        let verb = Arc::new(Quietly::new(verb));
        stage.finish(None, false, move || {
            Verb::Step(Box::new(Each { workers: Workers::new(init.clone()), verb: verb.clone() }))
        })
    }
}
