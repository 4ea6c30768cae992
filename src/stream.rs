//! The outputs of a run, as an iterator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Halt, Outlet, Run, count, error_of, report_of};
use crate::error::Error;
use crate::fallible::Fault;
use crate::item::ItemId;
use crate::outcome::RunError;
use crate::report::Report;
use crate::stage::{IntoItems, forget_quietly};
use crate::sync::{JoinHandle, WATCH_ROUNDS, spawn};

/// The outputs of a run, as they are completed or, if the pipeline is ordered, in
/// the order of the source. Made by [`Job::stream`](crate::Job::stream)
/// and [`Job::try_stream`](crate::Job::try_stream).
///
/// The run has threads of its own and works ahead of the consumer as far as the
/// plan allows. If it ends early, the last item is the [`RunError`].
///
/// Dropping the stream stops the run and joins its threads, and so waits for the
/// calls of user code that are under way. If the source is blocked, on a channel say,
/// drop what it waits for first: the sender before the stream.
///
/// ```
/// use plimsoll::{Budget, MIB, Pipeline, Stage};
///
/// let square = Stage::cpu("square").map(|n: u64| n * n);
/// let pipeline = Pipeline::new(square).ordered().build(&Budget::new(MIB, 2))?;
/// let first: Result<Vec<_>, _> = pipeline.stream(0..)?.take(4).collect();
/// assert_eq!(first?, [0, 1, 4, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stream<O> {
    run: Option<Arc<Run<'static>>>,
    outlet: Arc<Outlet<O>>,
    threads: Vec<JoinHandle<()>>,
    time_limit: Option<Duration>,
    /// Where a source that may fail tells so.
    fault: Option<Fault>,
    /// The parcel that is being handed out.
    current: Option<(ItemId, IntoItems<O>)>,
    report: Option<Report>,
}

impl<O: Send + 'static> Stream<O> {
    /// Starts the threads of `run`, whose outputs go to `outlet`.
    pub(crate) fn start(
        run: Arc<Run<'static>>,
        outlet: Arc<Outlet<O>>,
        (time_limit, fault): (Option<Duration>, Option<Fault>),
    ) -> Result<Self, Error> {
        let workers = run.cx.plan.threads();
        let by_variable = run.cx.plan.by_variable;
        let count = workers + usize::from(WATCH_ROUNDS > 0);
        let threads = Vec::with_capacity(count);
        // From here on, dropping the stream joins what was started.
        let mut stream = Self {
            run: Some(run),
            outlet,
            threads,
            time_limit,
            fault,
            current: None,
            report: None,
        };
        for index in 0..count {
            let run = stream.run.clone().expect("it was put there just now");
            let part = move || if index < workers { run.work() } else { run.watch() };
            let started = spawn(format!("plimsoll-{index}"), part);
            let refused = |source| Error::Spawn { index, threads: count, source, by_variable };
            stream.threads.push(started.map_err(refused)?);
        }
        Ok(stream)
    }
}

impl<O> Stream<O> {
    /// The report of the run, once the stream has ended.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let square = Stage::cpu("square").map(|n: u64| n * n);
    /// let pipeline = Pipeline::new(square).build(&Budget::new(MIB, 2))?;
    /// let mut squares = pipeline.stream(0..10)?;
    /// assert!(squares.report().is_none());
    /// for square in &mut squares {
    ///     assert!(square? < 100);
    /// }
    /// assert_eq!(squares.report().map(|report| report.delivered()), Some(10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Joins the threads of a run that is over; what ended it early, if anything.
    fn finish(&mut self) -> Option<RunError> {
        let run = self.run.take()?;
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                // A bug of ours: user code cannot unwind a thread of the run.
                std::panic::resume_unwind(panic);
            }
        }
        run.show_end();
        let report = report_of(&run, run.cx.plan.threads());
        self.report = Some(report.clone());
        let error = error_of(&run, self.time_limit);
        let of_source = self.fault.take().and_then(|fault| fault.take());
        forget_quietly(run);
        let error = match error {
            Some(earlier) => {
                forget_quietly(of_source);
                Some(earlier)
            }
            None => of_source,
        };
        error.map(|error| RunError::new(error, report))
    }

    /// Gives the bytes of the current parcel back.
    fn settle_current(&mut self, run: &Run<'static>) {
        if let Some((id, rest)) = self.current.take() {
            count(&run.cx.fates.cancelled, rest.len() as u64);
            rest.forget_all();
            run.settle_output(id);
        }
    }
}

impl<O> Iterator for Stream<O> {
    type Item = Result<O, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let run = Arc::clone(self.run.as_ref()?);
            if let Some(output) = self.current.as_mut().and_then(|(_, rest)| rest.next()) {
                count(&run.cx.fates.delivered, 1);
                return Some(Ok(output.1));
            }
            self.settle_current(&run);
            match run.next_output() {
                Some((id, ticket)) => {
                    let parcel = self.outlet.depot.take(&id);
                    drop(ticket);
                    self.current = parcel.map(|parcel| (id, parcel.items.into_iter()));
                }
                None => {
                    drop(run);
                    return self.finish().map(Err);
                }
            }
        }
    }
}

impl<O> std::iter::FusedIterator for Stream<O> {}

impl<O> Drop for Stream<O> {
    fn drop(&mut self) {
        let Some(run) = self.run.take() else { return };
        run.halt(Halt::Broken);
        self.settle_current(&run);
        for thread in self.threads.drain(..) {
            // A panic of ours is told by `finish`; here it could only abort.
            let _ = thread.join();
        }
        run.show_end();
        forget_quietly(run.cx.take_error());
        forget_quietly(self.fault.take().and_then(|fault| fault.take()));
        forget_quietly(run);
    }
}

impl<O> fmt::Debug for Stream<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("report", &self.report).finish_non_exhaustive()
    }
}
