//! Which item: the name of an item that orders, reports and errors agree on.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The place of an item in the order of the source.
///
/// An item of the source is named by its index, counted from 0: where items are the lines of a
/// file, item 77 is line 78. What a `flat_map` makes of it is named by that index and the index of
/// the child, from 0 as well, level by level: `7.2` is the third of the eighth item. Ids order lexicographically, a parent before its children,
/// which is the order a sequential run would produce.
///
/// ```
/// use plimsoll::ItemId;
///
/// let parent = ItemId::new(7);
/// let child = parent.child(2);
/// assert_eq!(child.to_string(), "7.2");
/// assert_eq!(child.source_index(), 7);
/// assert!(parent < child && child < ItemId::new(8));
/// ```
#[derive(Clone, Debug, Eq, PartialOrd, Ord)]
pub struct ItemId {
    source: u64,
    path: Vec<u64>,
}

impl ItemId {
    /// The id of the item at `index` of the source.
    #[must_use]
    pub fn new(index: u64) -> Self {
        Self { source: index, path: Vec::new() }
    }

    /// The id of the `index`-th item made of this one by a `flat_map`.
    #[must_use]
    pub fn child(&self, index: u64) -> Self {
        let mut path = Vec::with_capacity(self.path.len() + 1);
        path.extend_from_slice(&self.path);
        path.push(index);
        Self { source: self.source, path }
    }

    /// The index, in the source, of the item this one descends from.
    #[must_use]
    pub fn source_index(&self) -> u64 {
        self.source
    }

    /// The indices of the children below [`source_index`](Self::source_index);
    /// empty for an item of the source itself.
    #[must_use]
    pub fn path(&self) -> &[u64] {
        &self.path
    }

    /// The sibling `offset` places later.
    pub(crate) fn sibling(&self, offset: u64) -> Self {
        let mut id = self.clone();
        match id.path.last_mut() {
            Some(last) => *last += offset,
            None => id.source += offset,
        }
        id
    }

    /// Whether this item was made, at any depth, of `ancestor`.
    pub(crate) fn descends_from(&self, ancestor: &ItemId) -> bool {
        self.source == ancestor.source
            && self.path.len() > ancestor.path.len()
            && self.path.starts_with(&ancestor.path)
    }
}

// By hand: the derived one calls out to compare the paths, which are empty for most, and
// that is a seventh of a light step.
impl PartialEq for ItemId {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
            && self.path.len() == other.path.len()
            && (self.path.is_empty() || self.path == other.path)
    }
}

impl Hash for ItemId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.path.hash(state);
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        self.path.iter().try_for_each(|index| write!(f, ".{index}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_order_as_a_sequential_run_would_produce_them() {
        let root = ItemId::new(1);
        let sequential =
            [root.clone(), root.child(0), root.child(0).child(4), root.child(1), ItemId::new(2)];
        assert!(sequential.is_sorted());
    }

    #[test]
    fn descent_is_strict_and_by_prefix() {
        let root = ItemId::new(1);
        assert!(root.child(3).child(0).descends_from(&root));
        assert!(!root.descends_from(&root));
        assert!(!ItemId::new(2).child(0).descends_from(&root));
        assert!(!root.child(13).descends_from(&root.child(1)));
    }

    #[test]
    fn siblings_count_on_the_last_level() {
        assert_eq!(ItemId::new(4).sibling(3), ItemId::new(7));
        assert_eq!(ItemId::new(4).child(1).sibling(2), ItemId::new(4).child(3));
    }
}
