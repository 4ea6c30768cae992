//! Neighbouring items in order, each with its distance from the first place of its
//! parcel.
//!
//! Most parcels have no gaps: then the distances are 0, 1, 2, … and are not stored, so
//! a parcel of small items is as light as a vector of them.

use std::ops::Range;
use std::vec;

use super::step::forget_each;

/// Values with their offsets.
#[derive(Debug)]
pub(crate) struct Items<T> {
    values: Vec<T>,
    /// `None` while there are no gaps.
    offsets: Option<Vec<u32>>,
}

impl<T> From<Vec<T>> for Items<T> {
    /// Items without gaps.
    fn from(values: Vec<T>) -> Self {
        Self { values, offsets: None }
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> Items<T> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Vec::with_capacity(capacity).into()
    }

    #[inline]
    pub(crate) fn push(&mut self, offset: u32, value: T) {
        if let Some(offsets) = &mut self.offsets {
            offsets.push(offset);
        } else if offset as usize != self.values.len() {
            self.open_gap(offset);
        }
        self.values.push(value);
    }

    /// Appends the item right behind the last one, where there are no gaps.
    #[inline]
    pub(crate) fn push_dense(&mut self, value: T) {
        debug_assert!(self.offsets.is_none());
        self.values.push(value);
    }

    /// Appends items right behind the last one, where there are no gaps.
    pub(crate) fn extend_dense(&mut self, values: impl Iterator<Item = T>) {
        debug_assert!(self.offsets.is_none());
        self.values.extend(values);
    }

    /// Whether there are no gaps so far, and none if what is made of the next of `others`
    /// comes next.
    pub(crate) fn continues<U>(&self, others: &IntoItems<U>) -> bool {
        self.offsets.is_none() && others.offsets.is_none() && self.len() == others.taken()
    }

    /// From here on offsets are stored.
    #[cold]
    fn open_gap(&mut self, offset: u32) {
        let mut offsets = Vec::with_capacity(self.values.capacity());
        offsets.extend(0..self.values.len() as u32);
        offsets.push(offset);
        self.offsets = Some(offsets);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, in order.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    /// The offset of the item at `place`.
    pub(crate) fn offset(&self, place: usize) -> u32 {
        self.offsets.as_ref().map_or(place as u32, |offsets| offsets[place])
    }

    /// Takes the items from `place` on, with offsets from the first of them.
    pub(crate) fn split_off(&mut self, place: usize) -> Self {
        let offsets = self.offsets.as_mut().map(|offsets| {
            let mut offsets = offsets.split_off(place);
            let first = offsets.first().copied().unwrap_or(0);
            offsets.iter_mut().for_each(|offset| *offset -= first);
            offsets
        });
        Self { values: self.values.split_off(place), offsets }
    }

    /// Drops the items in `places`, each by itself.
    pub(crate) fn forget(&mut self, places: Range<usize>) {
        if places.end < self.values.len() && self.offsets.is_none() {
            self.offsets = Some((0..self.values.len() as u32).collect());
        }
        if let Some(offsets) = &mut self.offsets {
            offsets.drain(places.clone());
        }
        let dropped: Vec<_> = self.values.drain(places).collect();
        forget_each(dropped.into_iter());
    }

    /// Drops all, each by itself.
    pub(crate) fn forget_all(self) {
        forget_each(self.values.into_iter());
    }
}

impl<T> IntoIterator for Items<T> {
    type Item = (u32, T);
    type IntoIter = IntoItems<T>;

    fn into_iter(self) -> IntoItems<T> {
        let given = self.values.len();
        IntoItems { values: self.values.into_iter(), offsets: self.offsets, given }
    }
}

/// Items one after the other. How many are gone is not counted: what is left tells.
#[derive(Debug)]
pub(crate) struct IntoItems<T> {
    values: vec::IntoIter<T>,
    offsets: Option<Vec<u32>>,
    given: usize,
}

impl<T> Default for IntoItems<T> {
    fn default() -> Self {
        Items::default().into_iter()
    }
}

impl<T> Iterator for IntoItems<T> {
    type Item = (u32, T);

    #[inline]
    fn next(&mut self) -> Option<(u32, T)> {
        let value = self.next_value()?;
        Some((self.last_offset(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.values.size_hint()
    }
}

impl<T> ExactSizeIterator for IntoItems<T> {}

impl<T> IntoItems<T> {
    /// The next item without its offset, which is then the last.
    #[inline]
    pub(crate) fn next_value(&mut self) -> Option<T> {
        self.values.next()
    }

    /// The next items without their offsets, `most` of them unless there are fewer.
    #[inline]
    pub(crate) fn next_values(&mut self, most: usize) -> impl Iterator<Item = T> {
        self.values.by_ref().take(most)
    }

    /// How many are gone.
    #[inline]
    pub(crate) fn taken(&self) -> usize {
        self.given - self.values.len()
    }

    #[inline]
    fn offset_at(&self, place: usize) -> u32 {
        self.offsets.as_ref().map_or(place as u32, |offsets| offsets[place])
    }

    /// The offset of the next item.
    pub(crate) fn next_offset(&self) -> Option<u32> {
        (self.values.len() > 0).then(|| self.offset_at(self.taken()))
    }

    /// The offset of the item that was taken last; zero before the first.
    #[inline]
    pub(crate) fn last_offset(&self) -> u32 {
        self.taken().checked_sub(1).map_or(0, |place| self.offset_at(place))
    }

    /// What is left, with offsets from the first of it.
    pub(crate) fn rest(self) -> Items<T> {
        let place = self.taken();
        let offsets = self.offsets.map(|offsets| {
            let first = offsets.get(place).copied().unwrap_or(0);
            offsets[place..].iter().map(|offset| offset - first).collect()
        });
        Items { values: self.values.collect(), offsets }
    }

    /// Drops what is left, each by itself.
    pub(crate) fn forget_all(self) {
        forget_each(self.values);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same as a list of pairs.
    type Plain = Vec<(u32, u32)>;

    fn items(pairs: &[(u32, u32)]) -> Items<u32> {
        let mut items = Items::with_capacity(pairs.len());
        pairs.iter().for_each(|(offset, value)| items.push(*offset, *value));
        items
    }

    fn plain(offsets: Vec<u32>) -> Plain {
        let rising = offsets.iter().scan(0, |next, gap| {
            let offset = *next + gap;
            *next = offset + 1;
            Some(offset)
        });
        rising.zip(100..).collect()
    }

    proptest! {
        #[test]
        fn items_are_a_list_of_pairs(
            gaps in prop::collection::vec(prop_oneof![4 => Just(0), 1 => 0..3u32], 0..12),
            (one, other) in (0..13usize, 0..13usize),
        ) {
            let pairs = plain(gaps);
            let within = |place: usize| place.min(pairs.len());
            let (from, to) = (within(one.min(other)), within(one.max(other)));

            let whole = items(&pairs);
            prop_assert_eq!((whole.len(), whole.is_empty()), (pairs.len(), pairs.is_empty()));
            for (place, (offset, value)) in pairs.iter().enumerate() {
                prop_assert_eq!((whole.offset(place), whole.values()[place]), (*offset, *value));
            }
            prop_assert_eq!(whole.into_iter().collect::<Plain>(), pairs.clone());

            let mut cut = items(&pairs);
            let rest = cut.split_off(from);
            let first = pairs.get(from).map_or(0, |pair| pair.0);
            let rebased: Plain =
                pairs[from..].iter().map(|(offset, value)| (offset - first, *value)).collect();
            prop_assert_eq!(cut.into_iter().collect::<Plain>(), &pairs[..from]);
            prop_assert_eq!(rest.into_iter().collect::<Plain>(), rebased.clone());

            let mut fewer = items(&pairs);
            fewer.forget(from..to);
            let left = [&pairs[..from], &pairs[to..]].concat();
            prop_assert_eq!(fewer.into_iter().collect::<Plain>(), left);

            let mut begun = items(&pairs).into_iter();
            prop_assert_eq!(begun.by_ref().take(from).collect::<Plain>(), &pairs[..from]);
            prop_assert_eq!(begun.len(), pairs.len() - from);
            prop_assert_eq!(begun.next_offset(), pairs.get(from).map(|pair| pair.0));
            prop_assert_eq!(begun.rest().into_iter().collect::<Plain>(), rebased);
        }
    }

    #[test]
    fn items_without_gaps_store_no_offsets() {
        assert!(items(&[(0, 5), (1, 6), (2, 7)]).offsets.is_none());
        assert_eq!(items(&[(0, 5), (2, 6), (3, 7)]).offsets, Some(vec![0, 2, 3]));
        assert_eq!(items(&[(1, 5)]).offsets, Some(vec![1]));
    }
}
