//! What memory a stage keeps and uses.

use std::fmt;
use std::sync::Arc;

use super::step::Quietly;

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
/// | what all workers keep together: an index behind an `Arc` | [`shared`](Self::shared) | while the run lasts, once |
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
    pub(crate) per_item: Option<Weigher<'env, I>>,
}

impl<'env, I> Footprint<'env, I> {
    /// No memory worth counting.
    #[must_use]
    pub fn none() -> Self {
        Self { per_worker: 0, shared: 0, per_item: None }
    }

    /// `bytes` for each worker of the stage.
    #[must_use]
    pub fn per_worker(bytes: u64) -> Self {
        Self { per_worker: bytes, ..Self::none() }
    }

    /// `bytes` for all workers together, whatever their number: what lies on the
    /// heap once, behind a reference or an `Arc`.
    ///
    /// The pages of a mapped [`Shared`](crate::Shared) file are the system's to
    /// give up and read again, so they need not be declared. Declare as much of
    /// them as must stay in memory for the stage to be fast, if the budget is to
    /// keep room for it.
    #[must_use]
    pub fn shared(bytes: u64) -> Self {
        Self { shared: bytes, ..Self::none() }
    }

    /// `bytes(&item)` while the stage works on the item: all that the call
    /// needs beside the item itself, its output included.
    #[must_use]
    pub fn per_item(bytes: impl Fn(&I) -> u64 + Send + Sync + 'env) -> Self {
        Self { per_item: Some(weigher(bytes)), ..Self::none() }
    }

    /// Both costs. Where both tell a cost for each item, it is their sum.
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
