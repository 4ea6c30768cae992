//! Joining stages, planning them on a budget, running them.
//!
//! Where a bound does not hold, the compiler shows its line. So what to do then stands behind
//! it, as a comment.

mod job;

use std::fmt;

use crate::budget::Budget;
use crate::buffers::{Buffers, Pools};
use crate::engine::{First, Link, Then};
use crate::error::{AnyError, Error};
use crate::outcome::{RunError, SinkResult};
use crate::plan::{Design, Plan};
use crate::report::Report;
use crate::stage::{Stage, Weigher, weigher};
use crate::stream::Stream;
pub use job::Job;

/// Stages joined and planned on a budget, ready to run, any number of times. Another stage joins
/// before that: [`PipelineBuilder::then`].
///
/// ```
/// use plimsoll::{Budget, MIB, Pipeline, Stage};
///
/// let parse = Stage::cpu("parse").try_map(|line: &str| line.trim().parse::<u64>());
/// let square = Stage::cpu("square").map(|n: u64| n * n);
/// let pipeline = Pipeline::new(parse).then(square).ordered().build(&Budget::new(64 * MIB, 2))?;
/// println!("{}", pipeline.plan());
///
/// let mut squares = Vec::new();
/// let report = pipeline.run("1 2 3".split(' '), |n| squares.push(n))?;
/// assert_eq!(squares, [1, 4, 9]);
/// assert_eq!(report.delivered(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pipeline<'env, I, O> {
    link: Box<dyn Link<'env, I, O> + 'env>,
    plan: Plan,
    source_weigher: Option<Weigher<'env, I>>,
    pools: Pools<'env>,
}

/// Stages joined, not yet planned. Made by [`Pipeline::new`]. [`build`](Self::build) plans it and
/// makes a [`Pipeline`] of it, which runs.
///
/// ```
/// # use plimsoll::{Budget, MIB, Pipeline, Stage, Weight};
/// let length = Stage::cpu("length").map(|line: String| line.len());
/// let pipeline = Pipeline::new(length)
///     .ordered()
///     .window(1_000) // items
///     .largest_item(MIB)
///     .weigh_source(Weight::weight)
///     .build(&Budget::new(16 * MIB, 2))?;
/// assert_eq!((pipeline.plan().window(), pipeline.plan().reserve()), (1_000, MIB));
/// # Ok::<(), plimsoll::Error>(())
/// ```
#[must_use = "a pipeline is planned by `build` before it can run"]
pub struct PipelineBuilder<'env, I, O> {
    link: Box<dyn Link<'env, I, O> + 'env>,
    design: Design,
    source_weigher: Option<Weigher<'env, I>>,
    pools: Pools<'env>,
}

impl<'env, I, O> Pipeline<'env, I, O> {
    /// Begins a pipeline with its first stage.
    #[expect(clippy::new_ret_no_self, reason = "a pipeline exists once it is planned")]
    pub fn new(first: Stage<'env, I, O>) -> PipelineBuilder<'env, I, O>
    where
        I: Send + 'env,
        O: Send + 'env,
    {
        PipelineBuilder {
            design: Design::new(first.spec.clone()),
            link: Box::new(First(first)),
            source_weigher: None,
            pools: Pools::default(),
        }
    }
}

impl<'env, I, O> PipelineBuilder<'env, I, O> {
    /// Adds a stage. It takes what the stages so far make:
    ///
    /// ```compile_fail,E0308
    /// use plimsoll::{Pipeline, Stage};
    ///
    /// let count = Stage::cpu("count").map(|line: String| line.len());
    /// let shout = Stage::cpu("shout").map(|line: String| line.to_uppercase());
    /// let mismatch = Pipeline::new(count).then(shout); // a `usize` is no `String`
    /// ```
    pub fn then<P>(self, stage: Stage<'env, O, P>) -> PipelineBuilder<'env, I, P>
    where
        I: Send + 'env,
        O: Send + 'env,
        P: Send + 'env,
    {
        let Self { link, mut design, source_weigher, pools } = self;
        let index = design.specs.len();
        design.specs.push(stage.spec.clone());
        let link = Box::new(Then { before: link, stage, index });
        PipelineBuilder { link, design, source_weigher, pools }
    }

    /// Delivers outputs in the order of the source. Default: as they are
    /// completed. Outputs that wait for an older one count against the
    /// [window](Self::window) and the line.
    pub fn ordered(mut self) -> Self {
        self.design.settings.ordered = true;
        self
    }

    /// Lets at most `items` items be aboard: read and without a fate yet. Default:
    /// 8,192 for each core, and twice that on one. While that many are aboard the source is not
    /// read; outputs that wait for their turn are aboard, too. What a `flat_map` makes may
    /// exceed it, within the line.
    ///
    /// One that is too small for all workers to have something to do is what the report calls
    /// the run [limited by](crate::Report::bottleneck), with the number it takes.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let fetch = Stage::cpu("fetch").waits().workers(16);
    /// let fetch = fetch.map(|_| std::thread::sleep(std::time::Duration::from_millis(1)));
    /// let pipeline = Pipeline::new(fetch).window(2).build(&Budget::new(MIB, 2))?;
    /// let report = pipeline.run(0..100, drop)?;
    /// // the window of 2 items: for 98 % of the time it was full and workers had nothing to do
    /// println!("{}", report.bottleneck().unwrap_or_default());
    /// // it takes window(17) or more to keep the 16 workers of fetch at work
    /// println!("{}", report.suggestion().unwrap_or_default());
    /// # assert!(report.waited_window() > report.elapsed() / 4, "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn window(mut self, items: u64) -> Self {
        self.design.window = Some(items);
        self
    }

    /// Declares the most that one item may need at any step, bytes: what it and
    /// the items it was made of hold, and what the step works with. So much is
    /// kept for the oldest item alone; larger items fail with
    /// [`Cause::TooLarge`](crate::Cause::TooLarge). Default: half of the line. One that is smaller
    /// than an item's own size is [refused](crate::Error::LargestItem) when the pipeline is built.
    ///
    /// A smaller reserve leaves more of the line to all others. Where memory is short it also
    /// leaves more to workers and tables: without it a quarter of what is left beside one worker
    /// of each stage is set aside for items, with it no more than one of the largest for each
    /// core, for each worker of stages that [wait](crate::StageBuilder::waits), and for the oldest.
    pub fn largest_item(mut self, bytes: u64) -> Self {
        self.design.settings.largest_item = Some(bytes);
        self
    }

    /// Declares what an item of the source holds, bytes: its own size and what is behind its
    /// pointers, as [`Stage::weigh`] does of outputs. [`Weight`](crate::Weight) knows it of most:
    /// `.weigh_source(Weight::weight)`. Default: its own size alone, `size_of::<I>()`.
    pub fn weigh_source(mut self, bytes: impl Fn(&I) -> u64 + Send + Sync + 'env) -> Self {
        self.source_weigher = Some(weigher(bytes));
        self.design.weighs_source = true;
        self
    }

    /// Answers for what lies idle in `buffers`: runs count it against the line. May be
    /// called for several.
    pub fn buffers<T: Send + 'env>(mut self, buffers: &Buffers<T>) -> Self {
        self.pools.join(buffers.pool());
        self
    }

    /// How the pipeline would use `budget`, which this machine need not have. Nothing is
    /// built, so that many budgets can be compared: see [`Plan`].
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn plan(&self, budget: &Budget) -> Result<Plan, Error> {
        self.design.plan(budget)
    }

    /// Plans the pipeline on `budget`. No thread is started.
    ///
    /// # Errors
    ///
    /// [`Error::NoRoom`] if one worker of each stage and the largest item do not
    /// fit, or workers that a variable demands do not; [`Error::NameClash`],
    /// [`Error::StageName`], [`Error::Setting`], [`Error::LargestItem`] and
    /// [`Error::ZeroBudget`] for what cannot be worked with.
    pub fn build(self, budget: &Budget) -> Result<Pipeline<'env, I, O>, Error> {
        let plan = self.plan(budget)?;
        let Self { link, source_weigher, pools, .. } = self;
        Ok(Pipeline { link, plan, source_weigher, pools })
    }
}

impl<'env, I, O> Pipeline<'env, I, O> {
    /// Who gets how many workers and bytes, and why.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs every item of `source` through the stages and gives the outputs to
    /// `sink`. Both may borrow from the caller. A sink returns `()` or a
    /// `Result<(), E>`; an error of it ends the run.
    ///
    /// Source and sink are called from the threads of the run, never from two at
    /// a time, none of which is the caller's. A source that promises items
    /// (by the lower bound of its `size_hint`) may be asked for several at once, so
    /// it must not wait for outputs of this very run; one that promises nothing,
    /// such as a channel, may: it is asked for several, too, as long as it is quick, and what
    /// it gave is worked on while it waits. Both are `Send`: for standard input take
    /// `BufReader::new(io::stdin()).lines()`, whose items are results
    /// ([`try_run`](Self::try_run)), for standard output `io::stdout()` rather than its
    /// lock.
    ///
    /// A run ends when its source does: a source that blocks for ever keeps it
    /// from ending, whoever asks for it. The first failure of an item, in
    /// the order of the source, ends the run; see [`Job::failures`] for another
    /// policy.
    ///
    /// # Errors
    ///
    /// A [`RunError`], with the report of what was done until then.
    pub fn run<Src, K, R>(&self, source: Src, sink: K) -> Result<Report, RunError>
    where
        I: Send + 'env,
        O: Send + 'env,
        Src: IntoIterator<Item = I>, // a source of results: `try_run`
        Src::IntoIter: Send, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
        K: FnMut(O) -> R + Send, // `stdout()` instead of `stdout().lock()`
        R: SinkResult,
    {
        self.job().run(source, sink)
    }

    /// Runs the items of a `source` that may fail: of results, as the lines of a file are.
    ///
    /// The first error ends the source, which is not read again. The items before it are
    /// done and delivered as in any run; then the error is told, with how many they were. It
    /// is no failure of an item, so no [place for those](Job::failures) hears of it. If an
    /// item before it ends the run, or the sink does, that is told and the error is not.
    /// (A panic of the source stops the run at once, so items under way are
    /// [cancelled](Report::cancelled).)
    ///
    /// ```
    /// use std::io::{BufRead, BufReader};
    /// use plimsoll::{Budget, Error, MIB, Pipeline, Stage, Weight};
    ///
    /// let length = Stage::cpu("length").map(|line: String| line.len());
    /// let pipeline = Pipeline::new(length)
    ///     .weigh_source(Weight::weight)
    ///     .ordered()
    ///     .build(&Budget::new(64 * MIB, 2))?;
    ///
    /// let file = BufReader::new(&b"load\nline\n\xFF\nsea\n"[..]); // or of a `File`, of `stdin()`
    /// let mut lengths = Vec::new();
    /// let stopped = pipeline.try_run(file.lines(), |length| lengths.push(length)).unwrap_err();
    /// assert_eq!(lengths, [4, 4]);
    /// assert_eq!(
    ///     stopped.to_string(),
    ///     "the source failed after 2 items: stream did not contain valid UTF-8"
    /// );
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// To go on after an error, make it a failed item. Where a reader can break and a record be
    /// malformed, the source gives both, an `io::Result<Result<Record, Malformed>>`; the outer
    /// error ends the run, and a first stage `try_map(|record: Result<Record, Malformed>| record)`
    /// makes the inner one an item's, for a place for [failures](Job::failures): see
    /// [the tutorial](crate::guide::tutorial#read-a-file). Where each error stands for one item, a
    /// file of many that cannot be opened, [`run`](Self::run) the results themselves through such a
    /// stage. A reader that is broken gives the same error again and again, and a run of its results
    /// never ends.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] if the source fails, with [`Cause::Error`](crate::Cause::Error); else
    /// as [`run`](Self::run).
    pub fn try_run<Src, E, K, R>(&self, source: Src, sink: K) -> Result<Report, RunError>
    where
        I: Send + 'env,
        O: Send + 'env,
        Src: IntoIterator<Item = Result<I, E>>, // a source of plain items: `run`
        Src::IntoIter: Send, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
        E: AnyError,
        K: FnMut(O) -> R + Send, // `stdout()` instead of `stdout().lock()`
        R: SinkResult,
    {
        self.job().try_run(source, sink)
    }

    /// A run with options: a cancel token, a time limit, a place for failures.
    pub fn job<'f>(&self) -> Job<'_, 'f, 'env, I, O>
    where
        I: Send + 'env,
        O: Send + 'env,
    {
        Job::new(self)
    }
}

impl<I: Send + 'static, O: Send + 'static> Pipeline<'static, I, O> {
    /// An iterator over the outputs of `source`: see [`Job::stream`].
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`] if a thread cannot be started.
    pub fn stream<Src>(&self, source: Src) -> Result<Stream<O>, Error>
    where
        Src: IntoIterator<Item = I>,   // a source of results: `try_stream`
        Src::IntoIter: Send + 'static, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
    {
        self.job().stream(source)
    }

    /// An iterator over the outputs of a `source` that may fail: see [`Job::try_stream`].
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`] if a thread cannot be started.
    pub fn try_stream<Src, E>(&self, source: Src) -> Result<Stream<O>, Error>
    where
        Src: IntoIterator<Item = Result<I, E>>, // a source of plain items: `stream`
        Src::IntoIter: Send + 'static, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
        E: AnyError,
    {
        self.job().try_stream(source)
    }
}

impl<I, O> fmt::Debug for Pipeline<'_, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("plan", &self.plan).finish_non_exhaustive()
    }
}
