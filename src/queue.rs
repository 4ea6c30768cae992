//! A queue that serves the oldest first, whatever the order of arrival.

use std::collections::BTreeMap;

use crate::item::ItemId;

/// What waits for a step, and what the step needs.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Entry<T> {
    /// Items inside, each of which has one fate to come.
    pub(crate) items: u64,
    /// What the step needs.
    pub(crate) need: Need,
    /// The work itself.
    pub(crate) task: T,
}

/// Bytes a step needs beside what its input already holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// As declared: without them the step must not start.
    pub(crate) declared: u64,
    /// As learned from earlier calls, if that is more: wanted for all but the
    /// oldest, whose progress must not hang on a guess.
    pub(crate) learned: u64,
}

impl Need {
    /// The larger of the two.
    pub(crate) fn wanted(self) -> u64 {
        self.declared.max(self.learned)
    }

    /// The same need of calls that take `heft` times what was wanted: learned, not
    /// declared.
    pub(crate) fn times(self, heft: f64) -> Self {
        if heft <= 1.0 {
            return self;
        }
        Self { learned: (self.wanted() as f64 * heft) as u64, ..self }
    }
}

/// Entries by age.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct AgeQueue<T> {
    entries: BTreeMap<ItemId, Entry<T>>,
    items: u64,
}

impl<T> AgeQueue<T> {
    pub(crate) fn new() -> Self {
        Self { entries: BTreeMap::new(), items: 0 }
    }

    pub(crate) fn push(&mut self, id: ItemId, entry: Entry<T>) {
        self.items += entry.items;
        let previous = self.entries.insert(id, entry);
        debug_assert!(previous.is_none(), "two entries of one id");
    }

    /// The oldest entry.
    pub(crate) fn head(&self) -> Option<(&ItemId, &Entry<T>)> {
        self.entries.first_key_value()
    }

    pub(crate) fn get(&self, id: &ItemId) -> Option<&Entry<T>> {
        self.entries.get(id)
    }

    pub(crate) fn take(&mut self, id: &ItemId) -> Option<Entry<T>> {
        let entry = self.entries.remove(id)?;
        self.items -= entry.items;
        Some(entry)
    }

    /// Takes out every entry that is not to be kept.
    pub(crate) fn take_unless(
        &mut self,
        mut keep: impl FnMut(&ItemId) -> bool,
    ) -> Vec<(ItemId, Entry<T>)> {
        let taken: Vec<_> = self.entries.extract_if(.., |id, _| !keep(id)).collect();
        self.items -= taken.iter().map(|(_, entry)| entry.items).sum::<u64>();
        taken
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Items in all entries together.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heft_is_learned_and_changes_nothing_that_is_declared() {
        let need = Need { declared: 10, learned: 7 };
        assert_eq!(need.times(1.0), need);
        assert_eq!(need.times(2.5), Need { declared: 10, learned: 25 });
        assert_eq!(need.times(f64::MAX).wanted(), u64::MAX);
    }

    #[test]
    fn the_oldest_is_served_first_and_items_are_counted() {
        let mut queue = AgeQueue::new();
        for (index, items) in [(5, 1), (2, 3), (9, 2)] {
            queue.push(ItemId::new(index), Entry { items, need: Need::default(), task: index });
        }
        assert_eq!((queue.len(), queue.items()), (3, 6));
        assert_eq!(
            queue.head().map(|(id, entry)| (id.clone(), entry.task)),
            Some((ItemId::new(2), 2))
        );
        assert_eq!(queue.take(&ItemId::new(2)).map(|entry| entry.items), Some(3));
        assert!(queue.take(&ItemId::new(2)).is_none());

        let taken = queue.take_unless(|id| *id < ItemId::new(6));
        assert_eq!(taken.len(), 1);
        assert_eq!((queue.len(), queue.items()), (1, 1));
    }
}
