//! What is unfinished, in the order of the source, and who is the oldest.
//!
//! A parcel enters when it is made and leaves when nothing of it is left, be it
//! delivered, filtered, failed or dropped; leaving is what advances the frontier
//! (I4). Ids are lexicographic, so the parcels a suspended parent has made follow
//! it directly.

use std::collections::BTreeMap;

use crate::item::ItemId;

/// The unfinished parcels with what is kept for each.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Frontier<V> {
    live: BTreeMap<ItemId, V>,
}

impl<V> Frontier<V> {
    pub(crate) fn new() -> Self {
        Self { live: BTreeMap::new() }
    }

    pub(crate) fn enter(&mut self, id: ItemId, value: V) {
        let previous = self.live.insert(id, value);
        assert!(previous.is_none(), "two parcels of one id");
    }

    pub(crate) fn leave(&mut self, id: &ItemId) -> Option<V> {
        self.live.remove(id)
    }

    pub(crate) fn get(&self, id: &ItemId) -> Option<&V> {
        self.live.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &ItemId) -> Option<&mut V> {
        self.live.get_mut(id)
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ItemId, &V)> {
        self.live.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The oldest chain, ancestors first: the smallest unfinished id, and while
    /// it has unfinished descendants, the smallest of those.
    pub(crate) fn oldest_chain(&mut self) -> impl Iterator<Item = (&ItemId, &mut V)> {
        let mut above: Option<&ItemId> = None;
        self.live.iter_mut().map_while(move |(id, value)| {
            let belongs = above.is_none_or(|ancestor| id.descends_from(ancestor));
            above = Some(id);
            belongs.then_some((id, value))
        })
    }

    /// The last of the oldest chain: the one parcel that must always be able to
    /// take its next step.
    pub(crate) fn oldest(&self) -> Option<&ItemId> {
        let mut ids = self.live.keys();
        let mut oldest = ids.next()?;
        for id in ids {
            if !id.descends_from(oldest) {
                break;
            }
            oldest = id;
        }
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frontier(ids: &[ItemId]) -> Frontier<()> {
        let mut frontier = Frontier::new();
        ids.iter().for_each(|id| frontier.enter(id.clone(), ()));
        frontier
    }

    #[test]
    fn the_oldest_is_the_deepest_of_the_first_family() {
        let (a, b) = (ItemId::new(0), ItemId::new(1));
        let mut live =
            frontier(&[b.clone(), a.child(2), a.clone(), a.child(1).child(7), a.child(1)]);
        let chain: Vec<_> = live.oldest_chain().map(|(id, ())| id.clone()).collect();
        assert_eq!(chain, [a.clone(), a.child(1), a.child(1).child(7)]);
        assert_eq!(live.oldest(), Some(&a.child(1).child(7)));

        live.leave(&a.child(1).child(7));
        live.leave(&a.child(1));
        assert_eq!(live.oldest(), Some(&a.child(2)));
        live.leave(&a.child(2));
        assert_eq!(live.oldest(), Some(&a), "a suspended parent without children acts itself");
        live.leave(&a);
        assert_eq!(live.oldest(), Some(&b));
        live.leave(&b);
        assert!(live.oldest().is_none() && live.is_empty());
    }
}
