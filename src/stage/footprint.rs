//! What memory a stage keeps and uses.

use std::fmt;
use std::sync::Arc;

use super::step::Quietly;
use crate::table::{IntoTable, Table};

/// Tells how many bytes an item stands for.
pub(crate) type Weigher<'env, T> = Arc<dyn Fn(&T) -> u64 + Send + Sync + 'env>;

/// A weigher of a user's function, whose captures may panic when they are dropped.
pub(crate) fn weigher<'env, T>(bytes: impl Fn(&T) -> u64 + Send + Sync + 'env) -> Weigher<'env, T> {
    let bytes = Quietly::new(bytes);
    Arc::new(move |item: &T| (bytes.get())(item))
}

/// The memory a stage needs, as its author knows it. All sizes are bytes.
///
/// | cost | declared by | held |
/// |---|---|---|
/// | what each worker keeps: its model, its scratch | [`per_worker`](Self::per_worker) | while the run lasts, times the workers |
/// | what all workers keep together: templates behind an `Arc` | [`shared`](Self::shared) | while the run lasts, once |
/// | shared data that it works with: an index in a file | [`table`](Self::table) | while the run lasts, once for all stages |
/// | what one call needs beside its input, its output included | [`per_item`](Self::per_item) | from before the call to its end |
///
/// What an item itself holds between two stages is declared on the stage that
/// makes it, by [`Stage::weigh`](crate::Stage::weigh).
///
/// The default is nothing at all. Costs join with [`and`](Self::and).
///
/// ```
/// use plimsoll::{Footprint, MIB, Stage};
///
/// let footprint = Footprint::per_worker(256 * MIB)
///     .and(Footprint::shared(64 * MIB))
///     .and(Footprint::per_item(|line: &String| 3 * line.len() as u64));
/// let stage = Stage::memory("align", footprint).map(|line: String| line.len());
/// # let _: Stage<'_, String, usize> = stage;
/// ```
pub struct Footprint<'env, I> {
    pub(crate) per_worker: u64,
    pub(crate) shared: u64,
    pub(crate) tables: Vec<Table>,
    pub(crate) per_item: Option<Weigher<'env, I>>,
}

impl<'env, I> Footprint<'env, I> {
    /// No memory worth counting.
    #[must_use]
    pub fn none() -> Self {
        Self { per_worker: 0, shared: 0, tables: Vec::new(), per_item: None }
    }

    /// `bytes` for each worker of the stage.
    ///
    /// ```
    /// use plimsoll::{Budget, Footprint, GIB, Pipeline, Stage};
    ///
    /// let model = Stage::memory("model", Footprint::per_worker(2 * GIB)).map(|n: u64| n);
    /// let plan = Pipeline::new(model).plan(&Budget::new(16 * GIB, 32))?;
    /// assert_eq!(plan.stages()[0].workers(), 6, "some of the memory is left for items");
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    #[must_use]
    pub fn per_worker(bytes: u64) -> Self {
        Self { per_worker: bytes, ..Self::none() }
    }

    /// `bytes` for all workers together, whatever their number: what lies on the
    /// heap once, behind a reference or an `Arc`. [`Shared`](crate::Shared) data is a
    /// [`table`](Self::table).
    ///
    /// ```
    /// use plimsoll::{Budget, Footprint, GIB, Pipeline, Stage};
    ///
    /// let index: Vec<u64> = Vec::new(); // of 10 GiB
    /// let look_up = Stage::memory("look up", Footprint::shared(10 * GIB))
    ///     .map(|key: u64| index.binary_search(&key).is_ok());
    /// let plan = Pipeline::new(look_up).plan(&Budget::new(16 * GIB, 32))?;
    /// assert_eq!((plan.stages()[0].workers(), plan.line()), (32, 6 * GIB));
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    #[must_use]
    pub fn shared(bytes: u64) -> Self {
        Self { shared: bytes, ..Self::none() }
    }

    /// Shared data that the stage works with, so that the budget keeps room for what of
    /// it must stay in memory: [`Table`] tells how much that is. What lies on the heap, as a
    /// `Vec` does, is declared by [`shared`](Self::shared).
    ///
    /// ```
    /// use plimsoll::{Footprint, MIB, SharedFile, SharedMap, Stage};
    ///
    /// # fn stage(file: &SharedFile) -> Result<(), plimsoll::Error> {
    /// let index: SharedMap<u64, u32> = file.get("index")?;
    /// let footprint = Footprint::table(&index).and(Footprint::per_worker(MIB));
    /// let stage = Stage::memory("look up", footprint).map(move |key: u64| index.range(&key));
    /// # let _: Stage<'_, u64, std::ops::Range<usize>> = stage;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn table(table: impl IntoTable) -> Self {
        Self { tables: vec![table.into_table()], ..Self::none() }
    }

    /// `bytes(&item)` while the stage works on the item: all that the call
    /// needs beside the item itself, its output included.
    ///
    /// ```
    /// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
    ///
    /// // A matrix of all pairs, and the text that is returned.
    /// let needs = |text: &String| (text.len() * text.len() + text.len()) as u64;
    /// let align = Stage::cpu("align").footprint(Footprint::per_item(needs)).map(|text: String| text);
    /// let pipeline = Pipeline::new(align).build(&Budget::new(64 * MIB, 2))?;
    /// let report = pipeline.run([1_000, 2_000].map(|letters| "a".repeat(letters)), drop)?;
    /// assert!(report.peak_reserved() >= 2_000 * 2_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn per_item(bytes: impl Fn(&I) -> u64 + Send + Sync + 'env) -> Self {
        Self { per_item: Some(weigher(bytes)), ..Self::none() }
    }

    /// Both costs. Where both tell a cost for each item, it is their sum.
    ///
    /// ```
    /// use plimsoll::{Footprint, MIB};
    ///
    /// // A scratch for each worker, a table for all, twice its own size for each line.
    /// let footprint = Footprint::per_worker(MIB)
    ///     .and(Footprint::shared(100 * MIB))
    ///     .and(Footprint::per_item(|line: &String| 2 * line.len() as u64));
    /// # let _: Footprint<'_, String> = footprint;
    /// ```
    #[must_use]
    pub fn and(self, other: Self) -> Self
    where
        I: 'env,
    {
        let per_item = match (self.per_item, other.per_item) {
            (Some(a), Some(b)) => {
                Some(Arc::new(move |item: &I| a(item).saturating_add(b(item))) as Weigher<'env, I>)
            }
            (a, b) => a.or(b),
        };
        Self {
            per_worker: self.per_worker.saturating_add(other.per_worker),
            shared: self.shared.saturating_add(other.shared),
            tables: [self.tables, other.tables].concat(),
            per_item,
        }
    }
}

impl<I> Default for Footprint<'_, I> {
    fn default() -> Self {
        Self::none()
    }
}

impl<I> fmt::Debug for Footprint<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Footprint")
            .field("per_worker", &self.per_worker)
            .field("shared", &self.shared)
            .field("tables", &self.tables)
            .field("per_item", &self.per_item.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_join_by_sum_and_saturate() {
        let both = Footprint::per_item(|n: &u64| *n)
            .and(Footprint::per_worker(5))
            .and(Footprint::per_worker(u64::MAX))
            .and(Footprint::shared(7))
            .and(Footprint::per_item(|_| 1));
        assert_eq!((both.per_worker, both.shared), (u64::MAX, 7));
        let per_item = both.per_item.expect("declared twice");
        assert_eq!((per_item(&41), per_item(&u64::MAX)), (42, u64::MAX));
    }
}
