//! Maps from sorted keys to values: one array of keys, one of values, signposts and marks.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use super::Shared;
use super::counted::joined;
use super::element::Element;
use super::section::{Parts, sealed::Take};
use super::signposts;
use super::table::Kind;
use crate::error::FormatProblem;
use crate::table::Table;

/// The part of the section with the keys, sorted; a key is there once for each value.
pub(super) const KEYS: u32 = 0;
/// The part with the values, in the order of the keys.
pub(super) const VALUES: u32 = 1;
/// The part with the signposts; nothing, if there is no key.
pub(super) const SIGNPOSTS: u32 = 2;
/// The part with the marks: the prefix of every 32nd key.
pub(super) const MARKS: u32 = 3;

/// A key of a [`SharedMap`]: an element with an order, and numbers that follow it.
///
/// Implemented for the integers, and for arrays of bytes. For a type of one's own:
///
/// ```
/// #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Place {
///     chromosome: u32,
///     position: u32,
/// }
///
/// impl plimsoll::Element for Place {
///     const NAME: &'static str = "atlas.Place v1";
/// }
///
/// impl plimsoll::Key for Place {
///     fn prefix(&self) -> u64 {
///         u64::from(self.chromosome) << 32 | u64::from(self.position)
///     }
/// }
/// ```
///
/// **A change of the order is a change of the type**: as with the fields, change the
/// [`NAME`](Element::NAME).
pub trait Key: Element + Ord {
    /// A number that follows the order: of two keys the greater one's is not less.
    ///
    /// A look-up goes by it to a stretch of some eight keys, if the numbers are
    /// spread evenly, and to some more where they crowd, as those of texts do; a few that are
    /// far from all others do no harm. Keys with the same number are told apart by a binary
    /// search.
    fn prefix(&self) -> u64;
}

macro_rules! keys {
    ($($number:ident: $prefix:expr;)*) => {
        $(impl Key for $number {
            #[inline]
            fn prefix(&self) -> u64 {
                $prefix(*self)
            }
        })*
    };
}

keys! {
    u8: u64::from;
    u16: u64::from;
    u32: u64::from;
    u64: u64::from;
    u128: |key: u128| (key >> 64) as u64;
    i8: |key: i8| signed(key.into());
    i16: |key: i16| signed(key.into());
    i32: |key: i32| signed(key.into());
    i64: signed;
    i128: |key: i128| signed((key >> 64) as i64);
}

fn signed(key: i64) -> u64 {
    key.cast_unsigned() ^ 1 << 63
}

impl<const N: usize> Key for [u8; N] {
    #[inline]
    fn prefix(&self) -> u64 {
        let mut first = [0; 8];
        let length = N.min(8);
        first[..length].copy_from_slice(&self[..length]);
        u64::from_be_bytes(first)
    }
}

/// A map from sorted keys to values, or ranges of values, in a shared file, held once
/// for all who use it.
///
/// A key may have several values: they are side by side, in the order in which they were
/// given. Written by [`SharedFileWriter::map`](super::SharedFileWriter::map), which
/// takes them in any order, or collected on the heap:
///
/// ```
/// let map: plimsoll::SharedMap<u64, [u8; 2]> =
///     [(7, *b"N "), (2, *b"He"), (7, *b"n ")].into_iter().collect();
/// assert_eq!(map.get(&7), [*b"N ", *b"n "]);
/// assert!(map.get(&3).is_empty());
///
/// // The places of a key's values, for what else is kept in the same order.
/// assert_eq!((map.range(&7), map.keys()), (1..3, &[2, 7, 7][..]));
/// ```
pub struct SharedMap<K, V> {
    pub(super) keys: Shared<[K]>,
    pub(super) values: Shared<[V]>,
    pub(super) signposts: Shared<[u64]>,
    pub(super) marks: Shared<[u64]>,
}

impl<K: Key, V: Element> SharedMap<K, V> {
    /// The values of a key; none, if it has none.
    ///
    /// In a damaged file that was not verified, a key may not be found.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &K) -> &[V] {
        self.values.get(self.range(key)).unwrap_or_default()
    }

    /// Where the values of a key are among [`values`](Self::values); empty, if it has
    /// none.
    #[inline]
    #[must_use]
    pub fn range(&self, key: &K) -> Range<usize> {
        let prefix = key.prefix();
        let window = signposts::window(&self.signposts, prefix);
        let window = signposts::narrowed(&self.marks, window, prefix);
        let start = window.start;
        // By `cmp`: of arrays, `<` compares one element after the other.
        let keys = self.keys.get(window).unwrap_or_default();
        let before = keys.partition_point(|other| other.cmp(key).is_lt());
        start + before..start + before + count_of(&keys[before..], key)
    }

    /// Where the values of a key are among those at `rows`; empty, if none are. No other
    /// keys are looked at than these and their neighbours, so that of a map that is worked
    /// through in [blocks](crate::Blocks) only the block need be in memory.
    ///
    /// ```
    /// let map: plimsoll::SharedMap<u64, u8> = [(2, 0), (7, 1), (7, 2), (9, 3)].into_iter().collect();
    /// assert_eq!((map.range(&7), map.range_within(2..4, &7)), (1..3, 2..3));
    /// assert!(map.range_within(2..4, &2).is_empty());
    /// ```
    ///
    /// # Panics
    ///
    /// If `rows` are beyond the map.
    #[inline]
    #[must_use]
    pub fn range_within(&self, rows: Range<usize>, key: &K) -> Range<usize> {
        let keys = &self.keys[rows.clone()];
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return rows };
        if key < first || last < key {
            return rows.start..rows.start;
        }
        let Range { start, end } = self.range(key);
        let start = start.clamp(rows.start, rows.end);
        start..end.clamp(start, rows.end)
    }

    /// All keys, sorted; each once for each of its values.
    #[must_use]
    pub fn keys(&self) -> &[K] {
        &self.keys
    }

    /// All values, in the order of the keys.
    #[must_use]
    pub fn values(&self) -> &[V] {
        &self.values
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes of the map, those included by which keys are found.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.keys.size_bytes() + self.values.size_bytes() + self.ways_bytes()
    }

    /// Bytes by which keys are found.
    pub(super) fn ways_bytes(&self) -> u64 {
        self.signposts.size_bytes() + self.marks.size_bytes()
    }
}

impl<K: Key, V: Element> Take for SharedMap<K, V> {
    #[allow(private_interfaces, reason = "the trait is sealed")]
    const KIND: Kind = Kind::MAP;

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem> {
        let keys: Shared<[K]> = parts.slice(KEYS).map_err(|problem| of("key", problem))?;
        let values: Shared<[V]> = parts.slice(VALUES).map_err(|problem| of("value", problem))?;
        if keys.len() != values.len() {
            return Err(FormatProblem::Structure { problem: "there is not one key a value" });
        }
        let (signposts, marks) = (parts.slice(SIGNPOSTS)?, parts.slice(MARKS)?);
        Ok(Self { keys, values, signposts, marks })
    }

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn verify(&mut self, parts: &Parts<'_>) -> Result<(), FormatProblem> {
        // Another type of the same name may have another order.
        parts.once(|| self.verify_order().map(|()| PhantomData::<fn(K)>)).map(drop)
    }
}

impl<K: Key, V: Element> SharedMap<K, V> {
    fn verify_order(&self) -> Result<(), FormatProblem> {
        let structure = |problem| Err(FormatProblem::Structure { problem });
        if !self.keys.is_sorted() {
            return structure("the keys are not sorted");
        }
        let prefixes = self.keys.iter().map(Key::prefix);
        if !prefixes.clone().is_sorted() {
            return structure("the keys' prefixes do not follow their order");
        }
        let marks = prefixes.clone().step_by(signposts::MARKED);
        let same = *self.signposts == *signposts::of_sorted(prefixes);
        match same && marks.eq(self.marks.iter().copied()) {
            true => Ok(()),
            false => structure("the signposts are not those of the keys"),
        }
    }
}

/// A problem of the keys or the values, told with whose it is.
fn of(whose: &'static str, problem: FormatProblem) -> FormatProblem {
    let FormatProblem::Element { what, found, expected } = problem else { return problem };
    let what = match (whose, what) {
        ("key", "type") => "key type",
        ("key", "size") => "key size",
        ("key", _) => "key alignment",
        (_, "type") => "value type",
        (_, "size") => "value size",
        _ => "value alignment",
    };
    FormatProblem::Element { what, found, expected }
}

/// How many of these keys, of which none is less, are equal to `key`.
#[inline]
fn count_of<K: Key>(keys: &[K], key: &K) -> usize {
    match keys {
        [first, second, ..] if first == key && second == key => count_many(keys, key),
        [first, ..] => usize::from(first == key),
        [] => 0,
    }
}

/// As [`count_of`], of a key that is there: in steps that double, as there may be few or many.
#[cold]
fn count_many<K: Key>(keys: &[K], key: &K) -> usize {
    let mut known = 1;
    while keys.get(2 * known - 1).is_some_and(|other| other == key) {
        known *= 2;
    }
    let end = keys.len().min(2 * known);
    known + keys[known..end].partition_point(|other| other.cmp(key).is_le())
}

/// Sorts by key; values of one key stay in their order.
impl<K: Key, V: Element> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by_key(|(key, _)| *key);
        let (keys, values): (Vec<K>, Vec<V>) = pairs.into_iter().unzip();
        let prefixes = keys.iter().map(Key::prefix);
        let signposts = signposts::of_sorted(prefixes.clone()).into();
        let marks = prefixes.step_by(signposts::MARKED).collect::<Vec<_>>().into();
        Self { keys: keys.into(), values: values.into(), signposts, marks }
    }
}

impl<K, V> From<&SharedMap<K, V>> for Table {
    fn from(map: &SharedMap<K, V>) -> Self {
        let on_the_heap = map.keys.path().is_none().then_some("a map");
        let SharedMap { keys, values, signposts, marks } = map;
        joined(on_the_heap, [keys.into(), values.into(), signposts.into(), marks.into()])
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        let Self { keys, values, signposts, marks } = self;
        let (signposts, marks) = (signposts.clone(), marks.clone());
        Self { keys: keys.clone(), values: values.clone(), signposts, marks }
    }
}

impl<K: Key, V: Element> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMap")
            .field("key", &K::NAME)
            .field("value", &V::NAME)
            .field("len", &self.len())
            .field("path", &self.keys.path())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Whether the map finds in the order of `K` what a `BTreeMap` finds.
    fn is_a_map<K: Key + std::fmt::Debug>(keys: Vec<K>, others: &[K]) {
        let mut model: BTreeMap<K, Vec<u32>> = BTreeMap::new();
        for (at, key) in (0..).zip(&keys) {
            model.entry(*key).or_default().push(at);
        }
        let map: SharedMap<K, u32> = keys.into_iter().zip(0..).collect();
        map.verify_order().expect("the map is sound");
        for (key, values) in &model {
            assert_eq!(map.get(key), values, "{key:?}");
        }
        for other in others {
            assert_eq!(map.get(other).is_empty(), !model.contains_key(other), "{other:?}");
        }
        assert_eq!(map.len(), model.values().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn every_kind_of_key_is_found() {
        let numbers = [-5, 3, 3, i64::MAX, 0, i64::MIN, -1, 900, 3];
        is_a_map(numbers.to_vec(), &[1, -2]);
        is_a_map(numbers.map(|n| n as i8).to_vec(), &[1, -2]);
        is_a_map(numbers.map(|n| n as i16).to_vec(), &[1, -2]);
        is_a_map(numbers.map(|n| n as i32).to_vec(), &[1, -2]);
        is_a_map(numbers.map(|n| i128::from(n) << 60).to_vec(), &[1, -2]);
        is_a_map(numbers.map(|n| n as u8).to_vec(), &[1, 250]);
        is_a_map(numbers.map(|n| n as u16).to_vec(), &[1, 250]);
        is_a_map(numbers.map(|n| n as u32).to_vec(), &[1, 250]);
        is_a_map(numbers.map(|n| n as u64).to_vec(), &[1, 250]);
        is_a_map(numbers.map(|n| (n as u128) << 60).to_vec(), &[1, 250]);
        is_a_map(numbers.map(|n| (n as u16).to_be_bytes()).to_vec(), &[[1, 1]]);
        is_a_map(numbers.map(|n| (n as u128).to_be_bytes()).to_vec(), &[[1; 16]]);
        is_a_map::<u64>(vec![], &[0]);
    }

    proptest! {
        #[test]
        fn a_map_finds_what_a_tree_finds(
            keys in prop::collection::vec(prop_oneof![any::<u64>(), 0..20_u64], 0..300),
            others in prop::collection::vec(0..40_u64, 0..20),
        ) {
            is_a_map(keys, &others);
        }
    }
}
