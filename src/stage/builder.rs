//! From a name and a footprint to a stage.

use std::sync::Arc;

use super::step::{Batched, Each, Fate, Flat, Init, Loop, Mapped, Quietly, Sorted, Workers};
use super::{Footprint, Kind, Stage, StageSpec, Verb};
use crate::error::{AnyError, BoxError};

/// A stage that still lacks its verb. Made by [`Stage::cpu`] and [`Stage::memory`].
///
/// It becomes a [`Stage`], which a [`Pipeline`](crate::Pipeline) takes, by one of the verbs
/// below: `map`, `try_map`, `filter_map`, `flat_map`, `map_batch`. What is declared of the output
/// comes after the verb, which makes it: [`Stage::weigh`].
#[must_use = "a stage begins to be one with its verb, such as `map`"]
pub struct StageBuilder<'env, I> {
    name: String,
    kind: Kind,
    footprint: Footprint<'env, I>,
    workers: Option<usize>,
    waits: bool,
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
        Self { name, kind, footprint, workers: None, waits: false }
    }

    /// Declares the stage's memory, in place of what was declared before. Default: nothing of a
    /// cpu stage, what [`Stage::memory`] was given of a memory stage.
    ///
    /// ```
    /// use plimsoll::{Budget, Footprint, GIB, Pipeline, Stage};
    ///
    /// let fold = Stage::cpu("fold").footprint(Footprint::per_worker(3 * GIB)).map(|n: u64| n);
    /// let plan = Pipeline::new(fold).plan(&Budget::new(16 * GIB, 8))?;
    /// assert_eq!(plan.stages()[0].workers(), 4, "cores alone would have been enough for 8");
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    pub fn footprint(mut self, footprint: Footprint<'env, I>) -> Self {
        self.footprint = footprint;
        self
    }

    /// Asks for at most `workers` workers (default: one for each core). A stage that asks for
    /// more than the budget has cores is taken to [wait](Self::waits). Zero is refused when the
    /// pipeline is built.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let write = Stage::cpu("write").workers(1).map(|n: u64| n); // a device that takes one
    /// let plan = Pipeline::new(write).plan(&Budget::new(64 * MIB, 8))?;
    /// assert_eq!(plan.stages()[0].workers(), 1);
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Says that calls of the stage mostly wait, for a disk, a service, a device, and compute
    /// next to nothing: they hold no core while they do, so that as many are under way as the
    /// stage has [workers](Self::workers), beside calls of other stages that keep all cores busy.
    /// How many workers there should be depends on what they wait for; without `workers` there is
    /// one for each core. Each has a thread of its own.
    ///
    /// Calls that compute all the same contend for the cores with all others: the report
    /// shows by [`computed`](crate::StageReport::computed) how much they did.
    ///
    /// ```
    /// use std::{thread::sleep, time::Duration};
    /// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
    ///
    /// let ask = Stage::memory("ask", Footprint::none())
    ///     .workers(16)
    ///     .waits()
    ///     .map(|n: u64| {
    ///         sleep(Duration::from_millis(1)); // a service that is slow to answer
    ///         n
    ///     });
    /// let pipeline = Pipeline::new(ask).build(&Budget::new(64 * MIB, 2))?;
    /// assert_eq!(pipeline.plan().stages()[0].workers(), 16);
    /// assert_eq!(pipeline.run(0..64, drop)?.delivered(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn waits(mut self) -> Self {
        self.waits = true;
        self
    }

    /// Gives every worker a state: a model, a scratch, all that a call changes. It is built once
    /// for each worker, by the thread that first needs that worker, and handed to every call of
    /// it; no two calls share one at a time. Workers are handed from thread to thread, so a state
    /// is `Send`. Its bytes are declared by [`Footprint::per_worker`].
    ///
    /// Where building it can fail, as a model that is read from a file, it is built by
    /// [`try_with_state`](Self::try_with_state).
    ///
    /// The function of a stage is called from several threads at once, so it cannot change what
    /// it captures: "cannot borrow as mutable, as it is a captured variable in a `Fn` closure".
    ///
    /// A state that saw a call panic may be half-changed: it is dropped and the
    /// worker begins anew.
    ///
    /// ```
    /// use plimsoll::{Budget, KIB, Footprint, MIB, Pipeline, Stage};
    ///
    /// let reverse = Stage::cpu("reverse")
    ///     .footprint(Footprint::per_worker(KIB))
    ///     .with_state(|| Vec::with_capacity(1_024)) // used again for every line
    ///     .map(|letters: &mut Vec<char>, line: &str| {
    ///         letters.clear();
    ///         letters.extend(line.chars());
    ///         letters.iter().rev().collect::<String>()
    ///     });
    /// let mut lines = Vec::new();
    /// Pipeline::new(reverse).build(&Budget::new(MIB, 1))?.run(["load", "line"], |l| lines.push(l))?;
    /// assert_eq!(lines, ["daol", "enil"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_state<S: Send + 'env>(
        self,
        init: impl Fn() -> S + Send + Sync + 'env,
    ) -> StatefulStageBuilder<'env, I, S> {
        self.try_with_state(move || Ok::<S, BoxError>(init()))
    }

    /// Like [`with_state`](Self::with_state), where building can fail. A failure
    /// ends the run with [`Error::State`](crate::Error::State).
    ///
    /// ```
    /// use plimsoll::{Budget, Error, MIB, Pipeline, Stage};
    ///
    /// let infer = Stage::cpu("infer")
    ///     .try_with_state(|| std::fs::read("no such model"))
    ///     .map(|model, n: usize| model[n]);
    /// let stopped = Pipeline::new(infer).build(&Budget::new(MIB, 1))?.run(0..3, drop).unwrap_err();
    /// assert!(matches!(stopped.error(), Error::State { stage, .. } if stage == "infer"));
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    pub fn try_with_state<S: Send + 'env, E: AnyError>(
        self,
        init: impl Fn() -> Result<S, E> + Send + Sync + 'env,
    ) -> StatefulStageBuilder<'env, I, S> {
        let init = Quietly::new(init);
        let init = Arc::new(move || (init.get())().map_err(AnyError::into_box));
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
            waits: self.waits,
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
    ///
    /// `call` is called from several threads at once, so it may read what it captures and not
    /// change it. What it changes is a state of each worker,
    /// [`with_state`](Self::with_state); what all calls change together is an atomic or behind
    /// a lock. So for the other verbs.
    ///
    /// ```
    /// # use plimsoll::{Budget, MIB, Pipeline, Stage};
    /// let length = Stage::cpu("length").map(|word: &str| word.len());
    /// # let mut made = Vec::new();
    /// # Pipeline::new(length).build(&Budget::new(MIB, 1))?.run(["deep", "sea"], |n| made.push(n))?;
    /// # assert_eq!(made, [4, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn map<O: Send + 'env>(
        self,
        call: impl Fn(I) -> O + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.stateless().map(move |(), item| call(item))
    }

    /// One output for each item, or a failure of that item. The first failure ends
    /// the run, unless failures are given a place to go:
    /// [`Job::failures`](crate::Job::failures). What it may fail with is [`AnyError`], which
    /// `Box<dyn Error>` is not: return a [`BoxError`].
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let parse = Stage::cpu("parse").try_map(|text: &str| text.parse::<f64>());
    /// let pipeline = Pipeline::new(parse).build(&Budget::new(MIB, 1))?;
    /// let failed = pipeline.run(["1.5", "deep"], drop).unwrap_err();
    /// assert_eq!(failed.to_string(), "stage \"parse\" failed on item 1, counted from 0: invalid float literal");
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    #[must_use]
    pub fn try_map<O: Send + 'env, E: AnyError>(
        self,
        call: impl Fn(I) -> Result<O, E> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.stateless().try_map(move |(), item| call(item))
    }

    /// One output for each item, or none.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let even = Stage::cpu("even").filter_map(|n: u64| (n % 2 == 0).then_some(n / 2));
    /// let report = Pipeline::new(even).build(&Budget::new(MIB, 1))?.run(0..10, drop)?;
    /// assert_eq!((report.delivered(), report.filtered()), (5, 5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn filter_map<O: Send + 'env>(
        self,
        call: impl Fn(I) -> Option<O> + Send + Sync + 'env,
    ) -> Stage<'env, I, O> {
        self.stateless().filter_map(move |(), item| call(item))
    }

    /// Any number of outputs for each item. The iterator is drawn on as memory and
    /// the next stage allow and is parked in between; it is never collected.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let words = Stage::cpu("words").flat_map(|line: String| {
    ///     line.split(' ').map(str::to_owned).collect::<Vec<_>>()
    /// });
    /// let pipeline = Pipeline::new(words).ordered().build(&Budget::new(MIB, 2))?;
    /// let mut all = Vec::new();
    /// let report = pipeline.run(["load the".to_owned(), "ship".to_owned()], |word| all.push(word))?;
    /// assert_eq!(all, ["load", "the", "ship"]);
    /// assert_eq!((report.read(), report.children(), report.expanded()), (2, 3, 2));
    ///
    /// // Endless, and never collected.
    /// let count = Stage::cpu("count").flat_map(|first: u64| first..);
    /// let pipeline = Pipeline::new(count).build(&Budget::new(MIB, 1))?;
    /// let some: Result<Vec<_>, _> = pipeline.stream([7])?.take(3).collect();
    /// assert_eq!(some?, [7, 8, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// /// What is cheaper for many at once: a matrix, a network, a query.
    /// fn infer(batch: Vec<f32>) -> Vec<f32> {
    ///     assert!(batch.len() <= 32);
    ///     batch.into_iter().map(|x| 2.0 * x).collect()
    /// }
    ///
    /// let infer = Stage::cpu("infer").map_batch(32, infer);
    /// let pipeline = Pipeline::new(infer).ordered().build(&Budget::new(MIB, 2))?;
    /// let mut sum = 0.0;
    /// pipeline.run((0..100).map(|n| n as f32), |y| sum += y)?;
    /// assert_eq!(sum, 9_900.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
impl<'env, I: Send + 'env, S> StatefulStageBuilder<'env, I, S> {
    /// See [`StageBuilder::map`]. `call` is given the worker's state, to change.
    #[must_use]
    pub fn map<O: Send + 'env>(
        self,
        call: impl Fn(&mut S, I) -> O + Send + Sync + 'env,
    ) -> Stage<'env, I, O>
    where
        S: Send + 'env,
    {
        self.each(Mapped(call))
    }

    /// See [`StageBuilder::try_map`].
    #[must_use]
    pub fn try_map<O: Send + 'env, E: AnyError>(
        self,
        call: impl Fn(&mut S, I) -> Result<O, E> + Send + Sync + 'env,
    ) -> Stage<'env, I, O>
    where
        S: Send + 'env,
    {
        self.each(Sorted(move |state: &mut S, item| Fate::from_result(call(state, item))))
    }

    /// See [`StageBuilder::filter_map`].
    #[must_use]
    pub fn filter_map<O: Send + 'env>(
        self,
        call: impl Fn(&mut S, I) -> Option<O> + Send + Sync + 'env,
    ) -> Stage<'env, I, O>
    where
        S: Send + 'env,
    {
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
        S: Send + 'env,
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
    ) -> Stage<'env, I, O>
    where
        S: Send + 'env,
    {
        let Self { stage, init } = self;
        let call = Arc::new(Quietly::new(call));
        stage.finish(Some(most), false, move || {
            let workers = Workers::new(init.clone());
            Verb::Step(Box::new(Batched { workers, most, call: call.clone() }))
        })
    }

    fn each<O: Send + 'env>(self, verb: impl Loop<S, I, O> + 'env) -> Stage<'env, I, O>
    where
        S: Send + 'env,
    {
        let Self { stage, init } = self;
        let verb = Arc::new(Quietly::new(verb));
        stage.finish(None, false, move || {
            Verb::Step(Box::new(Each { workers: Workers::new(init.clone()), verb: verb.clone() }))
        })
    }
}
