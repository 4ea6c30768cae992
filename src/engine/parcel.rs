//! What moves through a run: parcels of neighbouring items, of whatever type.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::{Context, Meter, count};
use super::scheduler::{Produced, Settlement};
use crate::error::Cause;
use crate::item::ItemId;
use crate::queue::{Entry, Need};
use crate::stage::{Items, Weigher, forget_quietly, guard};
use crate::sync::Mutex;

/// A parcel and what is to be done with it, its type forgotten.
pub(crate) trait Task<'r>: Send {
    /// Does the step for this parcel and, where the segment batches, for `rest`.
    fn run(
        self: Box<Self>,
        id: ItemId,
        rest: Vec<(ItemId, BoxTask<'r>)>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    );

    /// Drops it undone. Items are user values: each is dropped by itself.
    fn discard(self: Box<Self>) {
        forget_quietly(self);
    }
}

pub(crate) type BoxTask<'r> = Box<dyn Task<'r> + 'r>;

/// Where parcels of `T` enter a node.
pub(crate) trait Port<'r, T>: Send + Sync {
    /// Takes a parcel from the node above: queues it, or runs it at once where
    /// the two are fused.
    fn pass(
        self: Arc<Self>,
        parcel: Parcel<T>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    );
}

/// More than any machine has; what is told to be heavier counts as this, so that
/// no sum overflows.
const MOST_BYTES: u64 = 1 << 48;

/// Neighbouring items that move as one.
pub(crate) struct Parcel<T> {
    /// The id that offsets count from, and the parcel's place in the order.
    pub(crate) base: ItemId,
    pub(crate) items: Items<T>,
    pub(crate) weights: Weights,
    /// Bytes that the ancestors of these items hold meanwhile.
    pub(crate) chain: u64,
}

/// A weigher, and what it was declared by.
pub(crate) type Asked<'a, 'r, T> = (&'a Weigher<'r, T>, &'static str);

/// What the items of a parcel weigh.
pub(crate) enum Weights {
    /// Each the same.
    Shallow(u64),
    /// Each its own.
    Declared(Vec<u64>),
}

impl Weights {
    pub(crate) fn at(&self, place: usize) -> u64 {
        match self {
            Self::Shallow(bytes) => *bytes,
            Self::Declared(bytes) => bytes[place],
        }
    }

    /// Those from `place` on.
    pub(crate) fn split_off(&mut self, place: usize) -> Self {
        match self {
            Self::Shallow(bytes) => Self::Shallow(*bytes),
            Self::Declared(bytes) => Self::Declared(bytes.split_off(place)),
        }
    }
}

impl<T> Parcel<T> {
    /// A parcel of items as `stage` made them, weighed.
    pub(crate) fn weighed(
        (base, items, chain): (ItemId, Items<T>, u64),
        weigher: Option<Asked<'_, '_, T>>,
        stage: usize,
        cx: &Context<'_>,
        failed: &mut Option<ItemId>,
    ) -> Self {
        let weights = Weights::Shallow(size_of::<T>() as u64);
        let mut parcel = Self { base, items, weights, chain };
        if let Some(weigher) = weigher {
            let bytes = parcel.measure(weigher, stage, cx, failed);
            parcel.weights = Weights::Declared(bytes);
        }
        parcel
    }

    /// No items, but bytes that are held.
    pub(crate) fn holding(base: ItemId, bytes: u64) -> Self {
        Self { base, items: Items::default(), weights: Weights::Declared(vec![bytes]), chain: 0 }
    }

    /// What the weigher tells of each item. An item for which it panics fails in `stage`.
    pub(crate) fn measure(
        &mut self,
        (weigher, declaration): Asked<'_, '_, T>,
        stage: usize,
        cx: &Context<'_>,
        failed: &mut Option<ItemId>,
    ) -> Vec<u64> {
        let mut bytes = Vec::with_capacity(self.items.len());
        while bytes.len() < self.items.len() {
            let measured = guard(|| {
                for item in &self.items.values()[bytes.len()..] {
                    // In a run that is being stopped nothing is admitted any more.
                    let told = if cx.signals.is_stopped() { 0 } else { weigher(item) };
                    bytes.push(told.min(MOST_BYTES));
                }
            });
            if let Err(cause) = measured {
                self.fail_at(bytes.len(), cause.within(declaration), stage, cx, failed);
            }
        }
        bytes
    }

    /// Fails the item at `place`; where that ends the run, those behind it are
    /// dropped too.
    pub(crate) fn fail_at(
        &mut self,
        place: usize,
        cause: Cause,
        stage: usize,
        cx: &Context<'_>,
        failed: &mut Option<ItemId>,
    ) {
        cx.fail(stage, self.id_at(place), cause, failed);
        let end = if cx.is_fail_fast() { self.items.len() } else { place + 1 };
        count(&cx.fates.cancelled, (end - place - 1) as u64);
        self.items.forget(place..end);
        if let Weights::Declared(bytes) = &mut self.weights {
            bytes.drain(place..end.min(bytes.len()));
        }
    }

    pub(crate) fn weight(&self) -> u64 {
        match &self.weights {
            Weights::Shallow(bytes) => bytes * self.items.len() as u64,
            Weights::Declared(bytes) => bytes.iter().fold(0, |sum, more| sum.saturating_add(*more)),
        }
    }

    /// What its heaviest item weighs.
    pub(crate) fn heaviest(&self) -> u64 {
        match &self.weights {
            Weights::Shallow(bytes) => *bytes,
            Weights::Declared(bytes) => bytes.iter().copied().max().unwrap_or(0),
        }
    }

    /// Has `meter` note what the items weigh, where that is declared.
    pub(crate) fn note_weight(&self, meter: &Meter) {
        if let (Weights::Declared(_), Some(weights)) = (&self.weights, &meter.weights) {
            weights.record(self.items.len() as u64, self.weight());
        }
    }

    pub(crate) fn id_at(&self, place: usize) -> ItemId {
        self.base.sibling(u64::from(self.items.offset(place)))
    }

    /// Cuts the items from `place` on off into a parcel of their own.
    pub(crate) fn split_off(&mut self, place: usize) -> Self {
        let base = self.id_at(place);
        let items = self.items.split_off(place);
        Self { base, items, weights: self.weights.split_off(place), chain: self.chain }
    }

    /// What the scheduler needs to know of the parcel beside its task.
    pub(crate) fn label(&self, segment: usize, need: Need) -> Produced<()> {
        let entry = Entry { items: self.items.len() as u64, need, task: () };
        Produced { id: self.base.clone(), segment, weight: self.weight(), entry }
    }
}

/// Asks the ledger for what each step of a parcel needs, in pieces where the
/// whole is too much to move as one.
pub(crate) struct Desk<'a, 'r, T> {
    pub(crate) stage: usize,
    pub(crate) per_item: Option<&'a Weigher<'r, T>>,
    /// Bytes a step needs in any case: one output of a `flat_map`.
    pub(crate) floor: u64,
    pub(crate) cx: &'a Context<'r>,
}

impl<T> Desk<'_, '_, T> {
    /// Cuts `parcel` into pieces that fit and hands each, with its need, to
    /// `queue`. An item that no line could carry fails here.
    pub(crate) fn admit(
        &self,
        mut parcel: Parcel<T>,
        failed: &mut Option<ItemId>,
        mut queue: impl FnMut(Parcel<T>, Vec<u64>),
    ) {
        let mut needs = match self.per_item {
            Some(per_item) => {
                let needs = parcel.measure((per_item, "per_item"), self.stage, self.cx, failed);
                if let Some(noted) = &self.cx.meter(self.stage).needs {
                    noted.record(
                        needs.len() as u64,
                        needs.iter().fold(0, |a, b| a.saturating_add(*b)),
                    );
                }
                needs
            }
            // Nothing is asked for, and nothing need be cut: no list of zeros.
            None if self.fits_whole(&parcel) => Vec::new(),
            None => vec![0; parcel.items.len()],
        };
        while !parcel.items.is_empty() {
            let place = self.piece(&parcel, &needs);
            if place == 0 {
                let allowed = self.cx.plan.reserve;
                let needed = self.needed(&parcel, &needs, 0);
                let maker = self.stage.checked_sub(1).map(|above| &self.cx.plan.stages[above]);
                let maker = maker.map(|stage| stage.name.clone());
                let weighs = parcel.weights.at(0);
                let way_out = self.cx.plan.way_out(needed);
                let cause = Cause::TooLarge { needed, allowed, weighs, maker, way_out };
                parcel.fail_at(0, cause, self.stage, self.cx, failed);
                needs.truncate(parcel.items.len() + 1);
                needs.drain(..1);
                continue;
            }
            if place == parcel.items.len() {
                queue(parcel, needs);
                return;
            }
            let rest = parcel.split_off(place);
            let rest_needs = needs.split_off(place);
            queue(std::mem::replace(&mut parcel, rest), std::mem::replace(&mut needs, rest_needs));
        }
    }

    /// Whether all items are light and nothing more is asked for them.
    fn fits_whole(&self, parcel: &Parcel<T>) -> bool {
        let whole = parcel.chain.saturating_add(parcel.weight()).saturating_add(self.floor);
        whole <= self.cx.plan.parcel_bytes()
    }

    /// What the item at `place` takes of the line, its ancestors included.
    fn needed(&self, parcel: &Parcel<T>, needs: &[u64], place: usize) -> u64 {
        let step = needs.get(place).copied().unwrap_or(0);
        let step = step.saturating_add(self.floor);
        parcel.chain.saturating_add(parcel.weights.at(place)).saturating_add(step)
    }

    /// How many items go first: as many as make a light parcel, else one, or
    /// none if that one is too large.
    fn piece(&self, parcel: &Parcel<T>, needs: &[u64]) -> usize {
        if needs.is_empty() && self.fits_whole(parcel) {
            return parcel.items.len();
        }
        let mut sum = self.needed(parcel, needs, 0);
        if sum > self.cx.plan.reserve {
            return 0;
        }
        let mut place = 1;
        while place < parcel.items.len() {
            let more = self.needed(parcel, needs, place) - parcel.chain;
            sum = sum.saturating_add(more);
            if sum > self.cx.plan.parcel_bytes() {
                break;
            }
            place += 1;
        }
        place
    }
}

/// Parcels that wait under a ticket, for those who need several at once or take
/// them from outside the run's threads.
pub(crate) struct Depot<T> {
    parcels: Mutex<BTreeMap<ItemId, Parcel<T>>>,
}

impl<T> Depot<T> {
    pub(crate) fn new() -> Self {
        Self { parcels: Mutex::new(BTreeMap::new()) }
    }

    pub(crate) fn put(&self, parcel: Parcel<T>) {
        self.parcels.lock().insert(parcel.base.clone(), parcel);
    }

    pub(crate) fn take(&self, id: &ItemId) -> Option<Parcel<T>> {
        self.parcels.lock().remove(id)
    }
}

#[cfg(test)]
mod tests;
