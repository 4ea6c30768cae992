//! Tables larger than memory, worked through block by block.
//!
//! It is the block nested-loop join of databases, and what sequence search does when it
//! splits its target. What goes wrong there, and what is done about it here:
//!
//! - *The limit is kept for one table and passed by all the rest* (users of MMseqs2, its
//!   issues 338 and 58). Here the room of a block is what the plan of the pipeline itself
//!   leaves over, and each pass is planned on the budget less the block.
//! - *The answer changes with the size of the blocks* (DIAMOND, issue 207: a threshold taken
//!   from the block). Here parts are merged by a law that is stated ([`Partial`]) and
//!   delivered in the order of the source, for one block as for many.
//! - *A source that cannot be read twice loses rows without a word* (DataFusion, issue
//!   24676). Here each pass must read as many items as the first, or the run fails.
//!
//! `cut` cuts rows into blocks, `plan` says how large they may be, `run` makes the passes,
//! `found` keeps what they find, `partial` merges it, `report` tells.

mod cut;
mod found;
mod partial;
mod plan;
mod report;
mod run;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use partial::{Best, Partial, Sum};
pub use plan::BlockPlan;
pub use report::{BlockError, BlockProgress, BlockReport};
pub use run::BlockJob;

use crate::budget::Budget;
use crate::pipeline::PipelineBuilder;
use crate::shared::{Rows, RowsParts};

/// Tables that are worked through in blocks of rows, because they do not fit into memory as
/// a whole.
///
/// The source is read once for each block; what the passes find for an item is merged
/// ([`Partial`]), so that the answer is the same for any budget.
///
/// ```
/// use plimsoll::{Blocks, Budget, KIB, Pipeline, Shared, Stage, Sum};
///
/// let table = Shared::from((0..10_000_u64).map(|n| n * n % 1_000).collect::<Vec<_>>());
/// let queries = [0_u64, 1, 2];
///
/// // 80 KB of table, and no more than 64 KiB for it and all the rest.
/// let plan = Blocks::of(&table).plan(&Budget::new(64 * KIB, 2), |block| {
///     let rows = &table[block.rows()];
///     let count = move |query: u64| rows.iter().filter(|row| **row == query).count() as u64;
///     Pipeline::new(Stage::memory("count", Default::default())
///         .map(move |(place, query): (u64, u64)| (place, Sum(count(query)))))
/// })?;
/// println!("{plan}");
/// assert!(plan.passes() > 1);
///
/// let mut counts = Vec::new();
/// plan.run(|| queries, |place, Sum(count)| counts.push((place, count)))?;
/// assert_eq!(counts, [(0, 100), (1, 80), (2, 0)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The pipeline of a pass
///
/// Its items are pairs: the place of the item in the source, which the run adds, and the
/// item itself. It delivers pairs, too: that place, and what the block has for it. A place
/// may be delivered several times, by a `flat_map`, and then the parts are merged in the
/// order of their delivery; or not at all, if the block has nothing for it. One
/// that no pass delivers is not in the answer.
///
/// The function that makes the pipeline is called for each pass, and before that with a block
/// of no rows, to learn what the stages need beside it. Declare nothing for the tables that
/// are cut: the block is taken off the budget already.
///
/// # Stages before the table
///
/// All stages of the pipeline run in each pass. Where those before the look-up are costly,
/// run them once in a pipeline of their own, keep what they make, in memory or in a
/// [`SharedFile`](crate::SharedFile), and let that be the source here.
///
/// # What is in memory
///
/// The pages of a block are asked for when its pass begins, and given up when it ends, so that
/// there is never more than one block of the tables that are given to [`of`](Self::of) and
/// [`and`](Self::and). Other tables that the pipeline works with stay, as a whole: declare
/// them by [`Footprint::table`](crate::Footprint::table), so that a block leaves them room. (A
/// table on the heap is in memory as a whole, and counted as that where real memory is
/// measured: blocks are for mapped files.)
///
/// What is found is kept in memory up to a part of the budget
/// that the plan tells; beyond that it goes to a file, in
/// [the directory for temporary files](std::env::temp_dir) or [another](BlockJob::spill_to).
pub struct Blocks<'t> {
    tables: Vec<Box<dyn RowsParts + 't>>,
}

impl<'t> Blocks<'t> {
    /// Blocks of the rows of a section.
    #[must_use]
    pub fn of<S: Rows>(section: &'t S) -> Self {
        Self { tables: vec![Box::new(section)] }
    }

    /// Blocks of something that is no section: of `rows` rows, where `bytes_before(row)` is
    /// what all rows before one take in memory, up to `bytes_before(rows)` for all of them.
    ///
    /// ```
    /// use plimsoll::{Blocks, Budget, KIB, Pipeline, Stage, Sum};
    ///
    /// let texts: Vec<String> = (0..2_000).map(|n| "ab".repeat(n % 50)).collect();
    /// let mut before = vec![0];
    /// for text in &texts {
    ///     before.push(before[before.len() - 1] + (size_of::<String>() + text.len()) as u64);
    /// }
    /// let plan = Blocks::by(texts.len(), |row| before[row]).plan(&Budget::new(64 * KIB, 1), |block| {
    ///     let rows = &texts[block.rows()];
    ///     Pipeline::new(Stage::cpu("count").map(move |(place, wanted): (u64, usize)| {
    ///         (place, Sum(rows.iter().filter(|text| text.len() == wanted).count() as u64))
    ///     }))
    /// })?;
    /// assert!(plan.passes() > 1);
    /// plan.run(|| [10, 20], |_, count| assert_eq!(count, Sum(40)))?;
    /// # Ok::<(), plimsoll::BlockError>(())
    /// ```
    #[must_use]
    pub fn by(rows: usize, bytes_before: impl Fn(usize) -> u64 + 't) -> Self {
        Self { tables: vec![Box::new(ByPlace { rows, bytes_before })] }
    }

    /// And of another section, with as many rows, that is needed at the same time.
    ///
    /// ```
    /// use plimsoll::{Blocks, Budget, KIB, Pipeline, Shared, Stage, Sum};
    ///
    /// let masses = Shared::from((0..10_000_u64).collect::<Vec<_>>());
    /// let charges = Shared::from((0..10_000_u32).map(|n| n % 3).collect::<Vec<_>>());
    /// let plan = Blocks::of(&masses).and(&charges).plan(&Budget::new(64 * KIB, 1), |block| {
    ///     let (masses, charges) = (&masses[block.rows()], &charges[block.rows()]);
    ///     Pipeline::new(Stage::cpu("sum").map(move |(place, charge): (u64, u32)| {
    ///         let of_it = masses.iter().zip(charges).filter(|(_, other)| **other == charge);
    ///         (place, Sum(of_it.map(|(mass, _)| mass).sum()))
    ///     }))
    /// })?;
    /// let mut sums = 0;
    /// plan.run(|| [0, 1, 2], |_, Sum(mass)| sums += mass)?;
    /// assert_eq!(sums, (0..10_000).sum::<u64>());
    /// # Ok::<(), plimsoll::BlockError>(())
    /// ```
    #[must_use]
    pub fn and<S: Rows>(mut self, section: &'t S) -> Self {
        self.tables.push(Box::new(section));
        self
    }

    /// Plans the passes on `budget`: as few as the tables fit, with as many workers for each
    /// stage of the pipeline that `make` makes as it would have without them. Nothing is
    /// read and no thread is started.
    ///
    /// A block gets what the plan of the pipeline leaves over: the line, less what
    /// every plan keeps for items: a quarter of it, or so many of the largest
    /// ([`largest_item`](crate::PipelineBuilder::largest_item)) as calls can be at work on.
    ///
    /// # Errors
    ///
    /// - [`BlockError::Error`] if the pipeline does not fit the budget without any table.
    /// - [`BlockError::Row`] if a row is larger than a block may be.
    /// - [`BlockError::Tables`] if the tables do not have the same number of rows.
    pub fn plan<'env, I, P, F>(
        self,
        budget: &Budget,
        make: F,
    ) -> Result<BlockPlan<'t, F>, BlockError>
    where
        I: Send + 'env,
        P: Send + 'env,
        F: Fn(Block) -> PipelineBuilder<'env, (u64, I), (u64, P)>,
    {
        BlockPlan::new(self, budget, make)
    }

    fn rows(&self) -> Result<usize, BlockError> {
        let mut rows = self.tables.iter().map(|table| table.rows());
        let first = rows.next().unwrap_or(0);
        match rows.find(|other| *other != first) {
            None => Ok(first),
            Some(other) => Err(BlockError::Tables { first, other }),
        }
    }

    fn bytes_before(&self, row: usize) -> u64 {
        self.tables.iter().map(|table| table.bytes_before(row)).fold(0, u64::saturating_add)
    }

    fn will_need(&self, block: Block) {
        self.tables.iter().for_each(|table| table.will_need(block.rows()));
    }

    /// Gives all pages up: with those of a block the system may have brought neighbours.
    fn release(&self) {
        self.tables.iter().for_each(|table| table.release(0..table.rows()));
    }
}

impl fmt::Debug for Blocks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("tables", &self.tables.len()).finish()
    }
}

/// The rows of a table for one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    start: usize,
    end: usize,
    bytes: u64,
}

impl Block {
    /// The rows. Empty, if the table is, and while a plan is made.
    #[must_use]
    pub fn rows(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Bytes they take, in all tables together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What a user cuts.
struct ByPlace<F> {
    rows: usize,
    bytes_before: F,
}

impl<F: Fn(usize) -> u64> RowsParts for ByPlace<F> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn bytes_before(&self, row: usize) -> u64 {
        (self.bytes_before)(row)
    }

    fn will_need(&self, _rows: Range<usize>) {}

    fn release(&self, _rows: Range<usize>) {}
}
