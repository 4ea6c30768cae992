//! Joining stages, planning them on a budget, running them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;
#[cfg(not(any(loom, shuttle, steady)))]
use crate::budget::Measure;
use crate::buffers::{Buffers, Pools};
use crate::cancel::CancelToken;
#[cfg(not(any(loom, shuttle, steady)))]
use crate::engine::simulation::{self, Costs, Forecast, Machine, VirtualClock};
use crate::engine::{
    Context, Depot, FailureSink, First, Halt, Link, Orders, Outlet, Port, Run, Sink, Source, Then,
    error_of, report_of,
};
use crate::error::{BoxError, Error, ItemError};
use crate::outcome::{RunError, SinkResult};
use crate::plan::{Design, Plan};
use crate::report::Monitor;
use crate::report::Report;
use crate::stage::{Quietly, Stage, Weigher, forget_quietly, guard, weigher};
use crate::stream::Stream;
use crate::sync::{Clock, Mutex, WATCH_ROUNDS, scope, spawn_scoped};

/// Stages joined and planned on a budget, ready to run, any number of times.
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

/// Stages joined, not yet planned. Made by [`Pipeline::new`].
///
/// ```
/// # use plimsoll::{Budget, MIB, Pipeline, Stage};
/// let length = Stage::cpu("length").map(|line: String| line.len());
/// let pipeline = Pipeline::new(length)
///     .ordered()
///     .window(1_000) // items
///     .largest_item(MIB)
///     .weigh_source(|line| line.capacity() as u64)
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

impl<'env, I: Send + 'env, O: Send + 'env> Pipeline<'env, I, O> {
    /// Begins a pipeline with its first stage.
    #[expect(clippy::new_ret_no_self, reason = "a pipeline exists once it is planned")]
    pub fn new(first: Stage<'env, I, O>) -> PipelineBuilder<'env, I, O> {
        PipelineBuilder {
            design: Design::new(first.spec.clone()),
            link: Box::new(First(first)),
            source_weigher: None,
            pools: Pools::default(),
        }
    }
}

impl<'env, I: Send + 'env, O: Send + 'env> PipelineBuilder<'env, I, O> {
    /// Adds a stage. It takes what the stages so far make:
    ///
    /// ```compile_fail,E0308
    /// use plimsoll::{Pipeline, Stage};
    ///
    /// let count = Stage::cpu("count").map(|line: String| line.len());
    /// let shout = Stage::cpu("shout").map(|line: String| line.to_uppercase());
    /// let mismatch = Pipeline::new(count).then(shout); // a `usize` is no `String`
    /// ```
    pub fn then<P: Send + 'env>(self, stage: Stage<'env, O, P>) -> PipelineBuilder<'env, I, P> {
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
    /// 16,384 on up to 16 cores, beyond that 64 times the square of the cores. While that
    /// many are aboard the source is not read; outputs that wait for their turn are
    /// aboard, too. What a `flat_map` makes may exceed
    /// it, within the line.
    pub fn window(mut self, items: u64) -> Self {
        self.design.window = Some(items);
        self
    }

    /// Declares the most that one item may need at any step, bytes: what it and
    /// the items it was made of hold, and what the step works with. So much is
    /// kept for the oldest item alone; larger items fail with
    /// [`Cause::TooLarge`](crate::Cause::TooLarge). Default: half of the line.
    ///
    /// A smaller reserve leaves more of the line to all others. Where memory is short it also
    /// leaves more to workers and tables: without it a quarter of what is left beside one worker
    /// of each stage is set aside for items, with it no more than one of the largest for each
    /// core and one for the oldest.
    pub fn largest_item(mut self, bytes: u64) -> Self {
        self.design.settings.largest_item = Some(bytes);
        self
    }

    /// Declares what an item of the source holds, bytes, its own size included.
    /// Default: its shallow size, `size_of::<I>()`.
    pub fn weigh_source(mut self, bytes: impl Fn(&I) -> u64 + Send + Sync + 'env) -> Self {
        self.source_weigher = Some(weigher(bytes));
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
    /// [`Error::StageName`], [`Error::Setting`] and [`Error::ZeroBudget`] for what
    /// cannot be worked with.
    pub fn build(self, budget: &Budget) -> Result<Pipeline<'env, I, O>, Error> {
        let plan = self.plan(budget)?;
        let Self { link, source_weigher, pools, .. } = self;
        Ok(Pipeline { link, plan, source_weigher, pools })
    }
}

impl<'env, I: Send + 'env, O: Send + 'env> Pipeline<'env, I, O> {
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
    /// a time; the caller's thread is one of them. A source that promises items
    /// (by the lower bound of its `size_hint`) may be asked for several at once, so
    /// it must not wait for outputs of this very run; one that promises nothing,
    /// such as a channel, may: what it gave is worked on meanwhile. Both are `Send`: for standard input take
    /// `BufReader::new(io::stdin()).lines()`, for standard output `io::stdout()` rather
    /// than its lock.
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
        Src: IntoIterator<Item = I>,
        Src::IntoIter: Send,
        K: FnMut(O) -> R + Send,
        R: SinkResult,
    {
        self.job().run(source, sink)
    }

    /// A run with options: a cancel token, a time limit, a place for failures.
    pub fn job<'f>(&self) -> Job<'_, 'f, 'env, I, O> {
        Job {
            pipeline: self,
            cancel: None,
            time_limit: None,
            failures: None,
            stall_after: DEFAULT_STALL,
            monitor: None,
            record: false,
        }
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
        Src: IntoIterator<Item = I>,
        Src::IntoIter: Send + 'static,
    {
        self.job().stream(source)
    }
}

impl<I, O> fmt::Debug for Pipeline<'_, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// A run that is being described. Made by [`Pipeline::job`].
///
/// ```
/// use std::time::Duration;
/// use plimsoll::{Budget, MIB, Pipeline, Stage};
///
/// let parse = Stage::cpu("parse").try_map(|text: &str| text.parse::<u32>());
/// let pipeline = Pipeline::new(parse).build(&Budget::new(MIB, 1))?;
/// let (mut numbers, mut failures) = (Vec::new(), Vec::new());
/// let report = pipeline
///     .job()
///     .time_limit(Duration::from_secs(60))
///     .failures(|failure| failures.push(failure.to_string()))
///     .run(["1", "two", "3"], |n| numbers.push(n))?;
/// assert_eq!((report.delivered(), report.failed()), (2, 1));
/// assert_eq!(failures, ["stage \"parse\" failed on item 1: invalid digit found in string"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a job does nothing until `run` or `stream`"]
pub struct Job<'p, 'f, 'env, I, O> {
    pipeline: &'p Pipeline<'env, I, O>,
    cancel: Option<CancelToken>,
    time_limit: Option<Duration>,
    failures: Option<FailureSink<'f>>,
    stall_after: Duration,
    monitor: Option<Monitor>,
    record: bool,
}

/// A call that has lasted so long is a stall, unless the job says otherwise.
const DEFAULT_STALL: Duration = Duration::from_secs(30);

impl<'f, 'env, I: Send + 'env, O: Send + 'env> Job<'_, 'f, 'env, I, O> {
    /// Stops the run when `token` is pulled: no call of user code is begun after
    /// that, and the run returns when those under way have returned. A call of the
    /// source that blocks is such a call: close what it waits for, too.
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// Stops the run when it has lasted `limit`, like a token that is pulled then. Default: never.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Gives failed items to `sink` and goes on with the others. Default: the
    /// first failure, in the order of the source, ends the run. A panic of the
    /// sink ends the run.
    pub fn failures(mut self, sink: impl FnMut(ItemError) + Send + 'f) -> Self {
        self.failures = Some(Box::new(sink));
        self
    }

    /// Shows the run in `monitor` while it is under way.
    pub fn monitor(mut self, monitor: &Monitor) -> Self {
        self.monitor = Some(monitor.clone());
        self
    }

    /// Records the run: which thread was at which stage when, the bytes aboard, the depth
    /// of the queues. Default: not recorded. The [`Report`] shows it as a page
    /// ([`Report::write_html`]) or a trace ([`Report::write_trace`]).
    ///
    /// A recording takes some 10 MiB at the most, however long the run: the longer it
    /// lasts, the coarser its times are. It costs some tens of nanoseconds for each
    /// parcel of items and stage.
    pub fn record(mut self) -> Self {
        self.record = true;
        self
    }

    /// Takes a call of user code that has not come back after `time` for a stall.
    /// Default: 30 s. A stall is told, with its stage, its item, what it holds and
    /// who waits for it, by a warning of the feature `tracing` (again whenever its
    /// time has doubled), in the [`Snapshot`](crate::Snapshot) of a [`Monitor`] and in
    /// the [`Report`]. It is not ended: nobody but the call itself can do that.
    pub fn stall_after(mut self, time: Duration) -> Self {
        self.stall_after = time;
        self
    }

    /// Runs it: see [`Pipeline::run`].
    ///
    /// # Errors
    ///
    /// A [`RunError`], with the report of what was done until then.
    pub fn run<Src, K, R>(self, source: Src, sink: K) -> Result<Report, RunError>
    where
        Src: IntoIterator<Item = I>,
        Src::IntoIter: Send,
        K: FnMut(O) -> R + Send,
        R: SinkResult,
    {
        let plan = self.pipeline.plan.clone();
        self.play(plan, Clock::start(), source.into_iter(), sink, drive)
    }

    /// Runs it in virtual time, which its stages, `source` and `sink` let pass on `clock`,
    /// on a machine of as many cores as the plan's. What this process really holds says
    /// nothing of that, so only what is declared counts.
    ///
    /// # Errors
    ///
    /// A [`RunError`], as of a real run.
    #[cfg(not(any(loom, shuttle, steady)))]
    #[doc(hidden)]
    pub fn simulate<Src, K, R>(
        self,
        source: Src,
        sink: K,
        clock: &VirtualClock,
        machine: &Machine,
    ) -> Result<Forecast, RunError>
    where
        Src: IntoIterator<Item = I>,
        Src::IntoIter: Send,
        K: FnMut(O) -> R + Send,
        R: SinkResult,
    {
        let mut plan = self.pipeline.plan.clone();
        plan.measure = Measure::Nothing;
        let mut costs = Costs::default();
        let report = self.play(plan, clock.face(), source.into_iter(), sink, |run, threads| {
            costs = simulation::drive(run, threads, clock, machine);
        })?;
        // Of this process and its machine, which did not compute.
        let report = Report { cpu_time: None, machine_cores: None, ..report };
        Ok(Forecast { report, costs })
    }

    /// Has `driver` drive a run with as many threads as planned.
    fn play<It, K, R>(
        self,
        plan: Plan,
        clock: Clock,
        source: It,
        mut sink: K,
        driver: impl FnOnce(&Run<'_>, usize),
    ) -> Result<Report, RunError>
    where
        It: Iterator<Item = I> + Send,
        K: FnMut(O) -> R + Send,
        R: SinkResult,
    {
        let time_limit = self.time_limit;
        let threads = plan.threads;
        let end = Arc::new(Sink {
            sink: Mutex::new(Quietly::new(move |output| -> Result<(), BoxError> {
                sink(output).into_result()
            })),
            segment: plan.segments.len() - 1,
        });
        let run = self.prepare((plan, clock), source, end, false);
        driver(&run, threads);
        run.publish(true);
        let report = report_of(&run, threads);
        let error = error_of(&run, time_limit);
        // The source and the sink are user code when they are dropped, too.
        forget_quietly(run);
        match error {
            None => Ok(report),
            Some(error) => Err(RunError::new(error, report)),
        }
    }

    /// The run, all but its threads.
    fn prepare<'r, It>(
        self,
        (plan, clock): (Plan, Clock),
        source: It,
        end: Arc<dyn Port<'r, O> + 'r>,
        outside_sink: bool,
    ) -> Run<'r>
    where
        'env: 'r,
        'f: 'r,
        It: Iterator<Item = I> + Send + 'r,
    {
        let Self { pipeline, cancel, time_limit, failures, stall_after, monitor, record } = self;
        let expected = monitor.as_ref().and_then(|_| exact_length(&source));
        let weigher = pipeline.source_weigher.clone().map(|weigher| weigher as _);
        let source = Source::new(source, weigher, pipeline.link.assemble(&plan, end));
        let failures = failures.map(|sink| sink as _);
        let cx = Context::new(plan, failures, pipeline.pools.clone(), clock);
        if let Some(token) = cancel {
            token.attach(&cx.signals);
        }
        let orders = Orders { stall_after, monitor, record, expected };
        Run::new(cx, Box::new(source), outside_sink, time_limit, orders)
    }
}

impl<I: Send + 'static, O: Send + 'static> Job<'_, 'static, 'static, I, O> {
    /// Starts the run and returns an iterator over its outputs. The run outlives
    /// this call, so nothing in it may borrow.
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`] if a thread cannot be started.
    pub fn stream<Src>(self, source: Src) -> Result<Stream<O>, Error>
    where
        Src: IntoIterator<Item = I>,
        Src::IntoIter: Send + 'static,
    {
        let time_limit = self.time_limit;
        let segment = self.pipeline.plan.segments.len() - 1;
        let outlet = Arc::new(Outlet { depot: Depot::new(), segment });
        let plan = (self.pipeline.plan.clone(), Clock::start());
        let run = self.prepare(plan, source.into_iter(), Arc::clone(&outlet) as _, true);
        Stream::start(Arc::new(run), outlet, time_limit)
    }
}

/// How many items `source` has, if it knows. A panic of its `size_hint` is told when it is read.
fn exact_length<I>(source: &impl Iterator<Item = I>) -> Option<u64> {
    let (least, most) = guard(|| source.size_hint()).ok()?;
    (Some(least) == most).then_some(least as u64)
}

/// Works on `run` with `threads` threads, this one included, and one that watches.
fn drive(run: &Run<'_>, threads: usize) {
    let workers = threads;
    let threads = workers + usize::from(WATCH_ROUNDS > 0);
    scope(|scope| {
        let mut started = Vec::with_capacity(threads);
        for index in 1..threads {
            let name = format!("plimsoll-{index}");
            let part = move || if index < workers { run.work() } else { run.watch() };
            match spawn_scoped(scope, name, part) {
                Ok(thread) => started.push(thread),
                Err(source) => {
                    run.cx.break_run(Error::Spawn { index, threads, source });
                    run.halt(Halt::Broken);
                    break;
                }
            }
        }
        run.work();
        // The scope's own end waits for what the threads run, not for the threads:
        // thread-locals of the user's would still be dropped after the run.
        for thread in started {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}
