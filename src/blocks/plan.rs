//! How large a block may be, and so how many passes there are.

use std::fmt;

use super::cut::{TooLarge, cut};
use super::{Block, BlockError, BlockJob, BlockReport, Blocks, Partial};
use crate::budget::Budget;
use crate::outcome::SinkResult;
use crate::pipeline::PipelineBuilder;
use crate::plan::Plan;
use crate::units::{Bytes, MIB};

/// At the most this is kept of what is found before it goes to a file.
const MOST_FOUND: u64 = 64 * MIB;

/// More passes than this are worth a note.
const MANY_PASSES: usize = 32;

/// How tables will be worked through in blocks. Made by [`Blocks::plan`]; its `Display`
/// tells the passes, the bytes, and the plan of the pipeline in each pass.
///
/// ```
/// use plimsoll::{Blocks, Budget, KIB, Pipeline, Shared, Stage, Sum};
///
/// let table = Shared::from((0..20_000_u64).collect::<Vec<_>>()); // 160 KB
/// let make = |block: plimsoll::Block| {
///     let rows = &table[block.rows()];
///     Pipeline::new(Stage::cpu("count").map(move |(place, most): (u64, u64)| {
///         (place, Sum(rows.iter().filter(|row| **row <= most).count() as u64))
///     }))
/// };
/// // What a smaller budget costs, before anything runs.
/// let passes = |memory: u64| {
///     let plan = Blocks::of(&table).plan(&Budget::new(memory, 2), make)?;
///     assert_eq!(plan.bytes_read(), 160_000, "the table is read once, in however many blocks");
///     assert!(plan.block_bytes() < memory);
///     Ok::<_, plimsoll::BlockError>(plan.passes())
/// };
/// assert_eq!(passes(1_024 * KIB)?, 1);
/// assert!(passes(64 * KIB)? > passes(128 * KIB)?);
/// # Ok::<(), plimsoll::BlockError>(())
/// ```
pub struct BlockPlan<'t, F> {
    pub(super) tables: Blocks<'t>,
    pub(super) make: F,
    pub(super) blocks: Vec<Block>,
    /// What a pass may have beside the block and what is found.
    pub(super) budget: Budget,
    /// Bytes of what is found that are kept in memory.
    pub(super) found: u64,
    rows: usize,
    memory: (u64, String),
    /// The most that a block was allowed.
    pub(super) room: u64,
    plan: Plan,
}

impl<'t, F> BlockPlan<'t, F> {
    pub(super) fn new<'env, I, P>(
        tables: Blocks<'t>,
        budget: &Budget,
        make: F,
    ) -> Result<Self, BlockError>
    where
        I: Send + 'env,
        P: Send + 'env,
        F: Fn(Block) -> PipelineBuilder<'env, (u64, I), (u64, P)>,
    {
        let rows = tables.rows()?;
        let nothing = Block { start: 0, end: 0, bytes: 0 };
        let spare = make(nothing).build(budget)?.plan().spare();
        let found = (budget.memory() / 16).min(MOST_FOUND).min(spare / 4);
        let room = spare - found;

        let before = |row| tables.bytes_before(row);
        let ranges = cut(rows, &before, room).map_err(|TooLarge { row, bytes }| {
            BlockError::Row { row, bytes, room, budget: budget.memory() }
        })?;
        let blocks: Vec<_> = ranges
            .into_iter()
            .map(|rows| {
                let bytes = before(rows.end).saturating_sub(before(rows.start));
                Block { start: rows.start, end: rows.end, bytes }
            })
            .collect();
        let largest = blocks.iter().map(Block::bytes).max().unwrap_or(0);
        let memory = (budget.memory(), budget.memory_origin().to_owned());
        let budget = budget.less(largest + found, "a block and what is found");
        let plan = make(nothing).build(&budget)?.plan().clone();
        Ok(Self { tables, make, blocks, budget, found, rows, memory, room, plan })
    }

    /// Passes over the source: one for each block, at least one.
    #[must_use]
    pub fn passes(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks, in the order of the table and of the passes.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Bytes of the table that are read, in all passes together: each row once.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.blocks.iter().map(Block::bytes).sum()
    }

    /// Bytes of the largest block.
    #[must_use]
    pub fn block_bytes(&self) -> u64 {
        self.blocks.iter().map(Block::bytes).max().unwrap_or(0)
    }

    /// Bytes of what is found that are kept in memory before it goes to a file.
    #[must_use]
    pub fn found_bytes(&self) -> u64 {
        self.found
    }

    /// How each pass will use what the block leaves of the budget.
    #[must_use]
    pub fn pass(&self) -> &Plan {
        &self.plan
    }

    /// Makes the passes, reading what `source` makes anew for each, and gives what was found
    /// to `sink`, each with the place of its item, in the order of the source.
    ///
    /// All passes come before the first call of `sink`, with one block as with many, and it
    /// is called by this thread.
    ///
    /// # Errors
    ///
    /// As [`BlockJob::run`].
    pub fn run<'env, I, P, S, Src, K, R>(
        &self,
        source: S,
        sink: K,
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
        self.job().run(source, sink)
    }

    /// A run with options: a cancel token, a place for failures and for what does not fit
    /// into memory, somebody to tell how far it is.
    pub fn job<'f>(&self) -> BlockJob<'_, 't, 'f, F> {
        BlockJob::new(self)
    }
}

impl<F> fmt::Debug for BlockPlan<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockPlan")
            .field("blocks", &self.blocks.len())
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for BlockPlan<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, origin) = &self.memory;
        let (passes, read) = (self.passes(), Bytes(self.bytes_read()));
        writeln!(f, "memory   {:>10}   {origin}", Bytes(*memory))?;
        writeln!(f, "table    {read:>10}   {} rows", self.rows)?;
        writeln!(
            f,
            "block    {:>10}   of it in memory at a time at the most; there would be room for {}",
            Bytes(self.block_bytes()),
            Bytes(self.room)
        )?;
        writeln!(
            f,
            "found    {:>10}   of what is found in memory; more goes to a file",
            Bytes(self.found)
        )?;
        writeln!(
            f,
            "passes   {passes:>10}   the source is read so many times, and {read} of the table"
        )?;
        if passes > MANY_PASSES {
            // A quarter of what is more of the budget goes to items.
            let more = Bytes(self.room / 3 * 4);
            writeln!(
                f,
                "note     so many passes read the source so often; with {more} more of memory there \
                 would be about half as many"
            )?;
        }
        writeln!(f, "\neach pass:\n{}", self.plan)
    }
}
