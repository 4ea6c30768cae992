//! What one pass finds for an item, how it is merged with what the others find, and how it
//! is kept until then.

use crate::shared::Element;

/// What one pass over the source finds for one item: a part of the answer.
///
/// One law makes the answer the same for any budget: **what is found in two blocks that lie
/// side by side, merged, is what would be found in both as one.** The parts of an item
/// are merged in the order of the table, so `merge` need not be commutative.
///
/// | answer | part |
/// |---|---|
/// | all hits, in the order of the table | `Vec<T>` |
/// | how many, how much | [`Sum`] |
/// | the k best | [`Best<T>`] |
/// | several of these | a pair of them |
///
/// What is scored must be scored by itself: a score that depends on how much else is in the
/// block (an E-value by the size of the database, a k-mer that is skipped for being
/// frequent) breaks the law, and with it the answer changes with the budget. Score by the
/// whole table, or when all is merged.
///
/// Elements are kept by their bytes. For a type of one's own:
///
/// ```
/// use plimsoll::Partial;
///
/// /// The first row that matches, and how many do.
/// #[derive(Debug, PartialEq)]
/// struct Matches {
///     first: Option<u64>,
///     count: u64,
/// }
///
/// impl Partial for Matches {
///     fn merge(&mut self, later: Self) {
///         self.first = self.first.or(later.first);
///         self.count += later.count;
///     }
///
///     fn write(&self, bytes: &mut Vec<u8>) {
///         bytes.extend(self.count.to_ne_bytes());
///         bytes.extend(self.first.iter().flat_map(|row| row.to_ne_bytes()));
///     }
///
///     fn read(bytes: &[u8]) -> Option<Self> {
///         let (count, first) = bytes.split_first_chunk()?;
///         let first = first.first_chunk().map(|row| u64::from_ne_bytes(*row));
///         Some(Self { first, count: u64::from_ne_bytes(*count) })
///     }
/// }
///
/// let mut matches = Matches { first: None, count: 0 };
/// matches.merge(Matches { first: Some(70), count: 3 });
/// let mut bytes = Vec::new();
/// matches.write(&mut bytes);
/// assert_eq!(Matches::read(&bytes), Some(Matches { first: Some(70), count: 3 }));
/// ```
pub trait Partial: Sized {
    /// Takes in what was found in the blocks behind.
    fn merge(&mut self, later: Self);

    /// Appends to `bytes` what [`read`](Self::read) makes it of again, in this process.
    fn write(&self, bytes: &mut Vec<u8>);

    /// Makes it of all that [`write`](Self::write) appended; `None` if it was not written so.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// All that was found, in the order of the table.
impl<T: Element> Partial for Vec<T> {
    fn merge(&mut self, mut later: Self) {
        self.append(&mut later);
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(bytemuck::cast_slice(self));
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let elements = bytes.chunks_exact(size_of::<T>());
        let whole = elements.remainder().is_empty();
        whole.then(|| elements.map(bytemuck::pod_read_unaligned).collect())
    }
}

/// A number that adds up: of hits, of letters, of votes. Beyond `u64::MAX` it stays there.
///
/// ```
/// use plimsoll::{Partial, Sum};
///
/// let mut hits = Sum(3);
/// hits.merge(Sum(4));
/// assert_eq!(hits, Sum(7));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sum(pub u64);

impl Partial for Sum {
    fn merge(&mut self, later: Self) {
        self.0 = self.0.saturating_add(later.0);
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.0.to_ne_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(u64::from_ne_bytes(bytes.try_into().ok()?)))
    }
}

/// The greatest of all, best first, at most so many. Of equal ones those that come first
/// in the table stay, so let the order tell apart what is not the same.
///
/// ```
/// use plimsoll::{Best, Partial};
///
/// let mut best = Best::of(2, [3_u32, 9, 1]);
/// best.merge(Best::of(2, [7, 9]));
/// assert_eq!(best.into_vec(), [9, 9]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best<T> {
    most: u64,
    best: Vec<T>,
}

impl<T: Ord> Best<T> {
    /// The `most` greatest of `all`.
    #[must_use]
    pub fn of(most: usize, all: impl IntoIterator<Item = T>) -> Self {
        let mut best = Self { most: most as u64, best: all.into_iter().collect() };
        best.settle();
        best
    }

    /// Best first.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.best
    }

    fn settle(&mut self) {
        // Stable, so that the first of equal ones stays the first.
        self.best.sort_by(|a, b| b.cmp(a));
        self.best.truncate(usize::try_from(self.most).unwrap_or(usize::MAX));
    }
}

impl<T: Element + Ord> Partial for Best<T> {
    fn merge(&mut self, later: Self) {
        self.best.extend(later.best);
        self.settle();
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.most.to_ne_bytes());
        self.best.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (most, best) = bytes.split_first_chunk()?;
        Some(Self { most: u64::from_ne_bytes(*most), best: Vec::read(best)? })
    }
}

/// Each is merged by itself.
impl<A: Partial, B: Partial> Partial for (A, B) {
    fn merge(&mut self, later: Self) {
        self.0.merge(later.0);
        self.1.merge(later.1);
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend([0; 8]);
        self.0.write(bytes);
        let length = (bytes.len() - start - 8) as u64;
        bytes[start..start + 8].copy_from_slice(&length.to_ne_bytes());
        self.1.write(bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u64::from_ne_bytes(*length)).ok()?;
        let (first, second) = rest.split_at_checked(length)?;
        Some((A::read(first)?, B::read(second)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type All = ((Sum, Vec<u16>), Best<u32>);

    fn found(table: &[u32]) -> All {
        let evens = table.iter().filter(|n| *n % 2 == 0).map(|n| *n as u16).collect();
        ((Sum(table.len() as u64), evens), Best::of(3, table.iter().copied()))
    }

    fn kept(part: &All) -> Option<All> {
        let mut bytes = Vec::new();
        part.write(&mut bytes);
        // Anywhere, not only where its elements would be aligned.
        bytes.insert(0, 0);
        Partial::read(&bytes[1..])
    }

    proptest! {
        #[test]
        fn parts_of_two_blocks_merge_to_that_of_both(
            table in prop::collection::vec(0..100_u32, 0..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let (first, second) = table.split_at(cut.index(table.len() + 1));
            let mut merged = kept(&found(first)).expect("it was written");
            merged.merge(kept(&found(second)).expect("it was written"));
            prop_assert_eq!(merged, found(&table));
        }
    }

    #[test]
    fn bytes_that_were_not_written_are_none() {
        assert_eq!(Vec::<u32>::read(&[0; 5]), None);
        assert_eq!(Sum::read(&[0; 7]), None);
        assert_eq!(Best::<u8>::read(&[0; 7]), None);
        assert_eq!(<(Sum, Sum)>::read(&[9; 24]), None);
    }
}
