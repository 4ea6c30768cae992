//! What a run in blocks did, does, and what can go wrong with it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::error::{BoxError, Error};
use crate::outcome::RunError;
use crate::report::Report;
use crate::units::Bytes;

/// What a run in blocks did.
#[derive(Clone, Debug, Default)]
pub struct BlockReport {
    pub(super) passes: Vec<Report>,
    pub(super) delivered: u64,
    pub(super) left_out: u64,
    pub(super) spilled: u64,
}

impl BlockReport {
    /// The reports of the passes, in their order.
    #[must_use]
    pub fn passes(&self) -> &[Report] {
        &self.passes
    }

    /// Items that the sink took.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Items that failed in a pass, and so are not in the answer.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Bytes of what was found that went to a file.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        self.spilled
    }

    /// Time of all passes together.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.passes.iter().map(Report::elapsed).sum()
    }
}

impl fmt::Display for BlockReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (delivered, left_out) = (self.delivered, self.left_out);
        writeln!(f, "items    {delivered} delivered, {left_out} left out because they failed")?;
        let (passes, seconds) = (self.passes.len(), self.elapsed().as_secs_f64());
        writeln!(f, "passes   {passes} in {seconds:.3} s")?;
        writeln!(f, "found    {} of it went to a file", Bytes(self.spilled))?;
        for (number, report) in (1..).zip(&self.passes) {
            writeln!(f, "\npass {number} of {passes}:\n{report}")?;
        }
        Ok(())
    }
}

/// How far a run in blocks has come; its `Display` is a line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockProgress {
    /// The pass, from 1.
    pub pass: usize,
    /// Passes there are.
    pub passes: usize,
    /// The rows of its block.
    pub rows: Range<usize>,
    /// What this pass delivered so far.
    pub items: u64,
    /// Items that the source has; not known in the first pass.
    pub of: Option<u64>,
}

impl fmt::Display for BlockProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, passes, items, of, .. } = self;
        match of {
            Some(of) => write!(f, "item {items} of {of}, pass {pass} of {passes}"),
            None => write!(f, "item {items}, pass {pass} of {passes}"),
        }
    }
}

/// Why a run in blocks was refused or ended early. Nothing is delivered before all passes
/// are done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The tables do not belong together.
    #[error("the tables have {first} and {other} rows; tables of a block have the same number")]
    Tables {
        /// Rows of the first.
        first: usize,
        /// Rows of another.
        other: usize,
    },

    /// No block has room for a row.
    #[error(
        "row {row} of the table takes {}, and {} of the budget of {} are left for a block; raise \
         the budget or cut the table finer",
        Bytes(*bytes), Bytes(*room), Bytes(*budget)
    )]
    Row {
        /// The row, from 0.
        row: usize,
        /// Bytes it takes.
        bytes: u64,
        /// Bytes a block may take.
        room: u64,
        /// Bytes of the budget.
        budget: u64,
    },

    /// A pass ended early.
    #[error("pass {pass} of {passes}, rows {}..{}: {error}", rows.start, rows.end)]
    Pass {
        /// The pass, from 1.
        pass: usize,
        /// Passes there are.
        passes: usize,
        /// The rows of its block.
        rows: Range<usize>,
        /// Why, and what the pass did until then.
        #[source]
        error: RunError,
    },

    /// A pass read another number of items than the first.
    #[error(
        "the source of pass {pass} had {items} items, that of the first {first}; it must be made \
         anew for each pass, with the same items in the same order"
    )]
    Source {
        /// The pass, from 1.
        pass: usize,
        /// Items it read.
        items: u64,
        /// Items the first pass read.
        first: u64,
    },

    /// The pipeline delivered a place that is not in the source.
    #[error(
        "the pipeline delivered place {place}, and the source has {items} items; it must \
         deliver what is found with the place that came with the item"
    )]
    Place {
        /// As delivered.
        place: u64,
        /// Items of the source.
        items: u64,
    },

    /// What was written by [`Partial::write`](crate::Partial::write) is not understood by
    /// [`Partial::read`](crate::Partial::read).
    #[error(
        "what was found for item {item} cannot be read again: `write` and `read` of its type differ"
    )]
    Unreadable {
        /// The place of the item in the source.
        item: u64,
    },

    /// The sink failed.
    #[error("the sink failed on item {item}, counted from 0: {source}")]
    Sink {
        /// The place of the item in the source.
        item: u64,
        /// Its error.
        source: BoxError,
    },

    /// The pipeline could not be planned, or what was found not be kept.
    #[error(transparent)]
    Error(#[from] Error),
}

impl BlockError {
    /// Whether a cancel token ended the run.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Pass { error, .. } => error.is_cancelled(),
            Self::Error(error) => matches!(error, Error::Cancelled),
            _ => false,
        }
    }
}
