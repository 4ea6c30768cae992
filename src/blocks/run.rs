//! The passes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::found::Found;
use super::{Block, BlockError, BlockPlan, BlockProgress, BlockReport, Partial};
use crate::cancel::CancelToken;
use crate::error::{Error, ItemError};
use crate::outcome::SinkResult;
use crate::pipeline::PipelineBuilder;
use crate::report::Report;

type Tell<'f> = Box<dyn FnMut(BlockProgress) + Send + 'f>;
type Failures<'f> = Box<dyn FnMut(ItemError) + Send + 'f>;

/// A run in blocks that is being described. Made by [`BlockPlan::job`].
///
/// ```
/// use plimsoll::{Blocks, Budget, KIB, Pipeline, Shared, Stage, Sum};
///
/// let table = Shared::from((0..10_000_u64).map(|n| n % 100).collect::<Vec<_>>());
/// let plan = Blocks::of(&table).plan(&Budget::new(64 * KIB, 2), |block| {
///     let rows = &table[block.rows()];
///     Pipeline::new(Stage::cpu("count").try_map(move |(place, query): (u64, &str)| {
///         let query: u64 = query.parse()?;
///         let count = rows.iter().filter(|row| **row == query).count();
///         Ok::<_, std::num::ParseIntError>((place, Sum(count as u64)))
///     }))
/// })?;
/// let (mut failed, mut passes) = (Vec::new(), 0);
/// let job = plan.job().failures(|failure| failed.push(failure.item().source_index()));
/// let job = job.progress(|at| passes = passes.max(at.pass)); // a line for people: "{at}"
/// let report = job.run(|| ["7", "seven", "8"], |place, count| {
///     assert!(place != 1 && count == Sum(100));
/// })?;
/// assert_eq!((report.delivered(), report.left_out()), (2, 1));
/// assert_eq!((failed, passes), (vec![1], plan.passes()), "told once, though it failed in each");
/// # Ok::<(), plimsoll::BlockError>(())
/// ```
#[must_use = "a job does nothing until `run`"]
pub struct BlockJob<'p, 't, 'f, F> {
    plan: &'p BlockPlan<'t, F>,
    cancel: CancelToken,
    failures: Option<Failures<'f>>,
    progress: Option<Tell<'f>>,
    directory: Option<PathBuf>,
}

impl<'p, 't, 'f, F> BlockJob<'p, 't, 'f, F> {
    pub(super) fn new(plan: &'p BlockPlan<'t, F>) -> Self {
        let cancel = CancelToken::new();
        Self { plan, cancel, failures: None, progress: None, directory: None }
    }

    /// Stops the run when `token` is pulled, in whatever pass it is.
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = token.clone();
        self
    }

    /// Gives failed items to `sink`, each once, and goes on with the others. An item that
    /// failed in any pass is left out of the answer as a whole. Default: the first failure
    /// ends the run.
    ///
    /// A failed item is remembered until the end, outside of the budget, by its place.
    pub fn failures(mut self, sink: impl FnMut(ItemError) + Send + 'f) -> Self {
        self.failures = Some(Box::new(sink));
        self
    }

    /// Has `tell` told how far the run is: when a pass begins, and at each item it delivers.
    pub fn progress(mut self, tell: impl FnMut(BlockProgress) + Send + 'f) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    /// Where what is found goes when there is too much of it for memory. Default: the
    /// [directory for temporary files](std::env::temp_dir), which may itself be in memory.
    pub fn spill_to(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Runs it: see [`BlockPlan::run`].
    ///
    /// # Errors
    ///
    /// - [`BlockError::Pass`] if a pass ended early: an item failed, the token was pulled,
    ///   what was found could not be written.
    /// - [`BlockError::Source`] if a pass read more or fewer items than the first.
    /// - [`BlockError::Place`], [`BlockError::Unreadable`], [`BlockError::Sink`] while what
    ///   was found is merged and delivered.
    pub fn run<'env, I, P, S, Src, K, R>(
        mut self,
        mut source: S,
        mut sink: K,
    ) -> Result<BlockReport, BlockError>
    where
        I: Send + 'env,
        P: Partial + Send + 'env,
        F: Fn(Block) -> PipelineBuilder<'env, (u64, I), (u64, P)>,
        S: FnMut() -> Src,
        Src: IntoIterator<Item = I>,
        Src::IntoIter: Send,
        K: FnMut(u64, P) -> R,
        R: SinkResult,
    {
        let plan = self.plan;
        let directory = self.directory.take().unwrap_or_else(std::env::temp_dir);
        let mut found = Found::new(plan.found, &directory);
        let mut failed = BTreeSet::new();
        let mut report = BlockReport::default();
        for at in 0..plan.passes() {
            let first = report.passes.first().map(Report::read);
            let pass = self.pass(at, first, source(), &mut found, &mut failed)?;
            let items = pass.read();
            if let Some(first) = first.filter(|first| *first != items) {
                return Err(BlockError::Source { pass: at + 1, items, first });
            }
            report.passes.push(pass);
        }

        let items = report.passes[0].read();
        (report.spilled, report.left_out) = (found.spilled, failed.len() as u64);
        found.merge(|place, part| {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled.into());
            }
            if place >= items {
                return Err(BlockError::Place { place, items });
            }
            if failed.contains(&place) {
                return Ok(());
            }
            let taken = sink(place, part).into_result();
            taken.map_err(|source| BlockError::Sink { item: place, source })?;
            report.delivered += 1;
            Ok(())
        })?;
        Ok(report)
    }

    /// One pass over the source, with one block of the table.
    fn pass<'env, I, P, Src>(
        &mut self,
        at: usize,
        of: Option<u64>,
        source: Src,
        found: &mut Found,
        failed: &mut BTreeSet<u64>,
    ) -> Result<Report, BlockError>
    where
        I: Send + 'env,
        P: Partial + Send + 'env,
        F: Fn(Block) -> PipelineBuilder<'env, (u64, I), (u64, P)>,
        Src: IntoIterator<Item = I>,
        Src::IntoIter: Send,
    {
        let (plan, passes) = (self.plan, self.plan.passes());
        let block = plan.blocks[at];
        let pipeline = (plan.make)(block).build(&plan.budget)?;
        let mut job = pipeline.job().cancel(&self.cancel);
        if let Some(sink) = &mut self.failures {
            job = job.failures(move |failure| {
                if failed.insert(failure.item().source_index()) {
                    sink(failure);
                }
            });
        }
        let (pass, rows) = (at + 1, block.rows());
        let mut tell = self.progress.as_mut();
        let mut told = |items| {
            if let Some(tell) = &mut tell {
                tell(BlockProgress { pass, passes, rows: rows.clone(), items, of });
            }
        };
        told(0);
        plan.tables.will_need(block);
        let mut items = 0;
        let outcome = job.run((0..).zip(source), |(place, part)| -> Result<(), Error> {
            found.push(place, &part)?;
            items += 1;
            told(items);
            Ok(())
        });
        // A table that fits stays where it is.
        if passes > 1 {
            plan.tables.release();
        }
        let rows = block.rows();
        outcome.map_err(|error| BlockError::Pass { pass, passes, rows, error })
    }
}

impl<F> fmt::Debug for BlockJob<'_, '_, '_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockJob").field("plan", self.plan).finish_non_exhaustive()
    }
}
