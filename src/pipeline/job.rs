//! One run, described and started.

use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
#[cfg(not(any(loom, shuttle, steady)))]
use crate::budget::Measure;
use crate::cancel::CancelToken;
#[cfg(not(any(loom, shuttle, steady)))]
use crate::engine::simulation::{self, Costs, Forecast, Machine, VirtualClock};
use crate::engine::{
    Context, Depot, FailureSink, Halt, Orders, Outlet, Port, Run, Sink, Source, error_of, report_of,
};
use crate::error::{AnyError, BoxError, Error, ItemError};
use crate::fallible::{Fault, until_error};
use crate::outcome::{RunError, SinkResult};
use crate::plan::Plan;
use crate::report::{Monitor, Report};
use crate::stage::{Quietly, forget_quietly, guard};
use crate::stream::Stream;
use crate::sync::{Clock, Mutex, WATCH_ROUNDS, scope, spawn_scoped};

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
/// assert_eq!(failures, ["stage \"parse\" failed on item 1, counted from 0: invalid digit found in string"]);
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

impl<'p, 'f, 'env, I: Send + 'env, O: Send + 'env> Job<'p, 'f, 'env, I, O> {
    pub(super) fn new(pipeline: &'p Pipeline<'env, I, O>) -> Self {
        Self {
            pipeline,
            cancel: None,
            time_limit: None,
            failures: None,
            stall_after: DEFAULT_STALL,
            monitor: None,
            record: false,
        }
    }

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
        Src: IntoIterator<Item = I>, // a source of results: `try_run`
        Src::IntoIter: Send, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
        K: FnMut(O) -> R + Send, // `stdout()` instead of `stdout().lock()`
        R: SinkResult,
    {
        let plan = self.pipeline.plan.clone();
        self.play(plan, Clock::start(), source.into_iter(), sink, drive)
    }

    /// Runs it with a source that may fail: see [`Pipeline::try_run`].
    ///
    /// # Errors
    ///
    /// A [`RunError`], with the report of what was done until then.
    pub fn try_run<Src, E, K, R>(self, source: Src, sink: K) -> Result<Report, RunError>
    where
        Src: IntoIterator<Item = Result<I, E>>, // a source of plain items: `run`
        Src::IntoIter: Send, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
        E: AnyError,
        K: FnMut(O) -> R + Send, // `stdout()` instead of `stdout().lock()`
        R: SinkResult,
    {
        let (source, fault) = until_error(source.into_iter());
        let ended = self.run(source, sink);
        match (ended, fault.take()) {
            (Ok(report), Some(error)) => Err(RunError::new(error, report)),
            (ended, later) => {
                forget_quietly(later);
                ended
            }
        }
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
        let report = Report { cpu_time: None, machine_cores: None, stamp: None, ..report };
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
        run.show_end();
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
        Src: IntoIterator<Item = I>,   // a source of results: `try_stream`
        Src::IntoIter: Send + 'static, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
    {
        self.start(source.into_iter(), None)
    }

    /// The same with a source that may fail. Its first error is the stream's last item: see
    /// [`Pipeline::try_run`].
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`] if a thread cannot be started.
    pub fn try_stream<Src, E>(self, source: Src) -> Result<Stream<O>, Error>
    where
        Src: IntoIterator<Item = Result<I, E>>, // a source of plain items: `stream`
        Src::IntoIter: Send + 'static, // `BufReader::new(stdin()).lines()` instead of `stdin().lines()`
        E: AnyError,
    {
        let (source, fault) = until_error(source.into_iter());
        self.start(source, Some(fault))
    }

    fn start<It>(self, source: It, fault: Option<Fault>) -> Result<Stream<O>, Error>
    where
        It: Iterator<Item = I> + Send + 'static,
    {
        let time_limit = self.time_limit;
        let segment = self.pipeline.plan.segments.len() - 1;
        let outlet = Arc::new(Outlet { depot: Depot::new(), segment });
        let plan = (self.pipeline.plan.clone(), Clock::start());
        let run = self.prepare(plan, source, Arc::clone(&outlet) as _, true);
        Stream::start(Arc::new(run), outlet, (time_limit, fault))
    }
}

/// How many items `source` has, if it knows. A panic of its `size_hint` is told when it is read.
fn exact_length<I>(source: &impl Iterator<Item = I>) -> Option<u64> {
    let (least, most) = guard(|| source.size_hint()).ok()?;
    (Some(least) == most).then_some(least as u64)
}

/// Works on `run` with so many threads, while this one watches. It has the heap that the
/// program has built its tables in, and glibc's allocator is slow in one full of pieces: the
/// headline job took 7 % longer with this thread at work. Where nobody is to watch it works.
fn drive(run: &Run<'_>, workers: usize) {
    scope(|scope| {
        let mut started = Vec::with_capacity(workers);
        for index in usize::from(WATCH_ROUNDS == 0)..workers {
            match spawn_scoped(scope, format!("plimsoll-{index}"), || run.work()) {
                Ok(thread) => started.push(thread),
                Err(source) => {
                    let by_variable = run.cx.plan.by_variable;
                    let threads = workers;
                    run.cx.break_run(Error::Spawn { index, threads, source, by_variable });
                    run.halt(Halt::Broken);
                    break;
                }
            }
        }
        if started.len() < workers {
            run.work();
        } else {
            run.watch();
        }
        // The scope's own end waits for what the threads run, not for the threads:
        // thread-locals of the user's would still be dropped after the run.
        for thread in started {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}
