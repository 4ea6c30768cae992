//! The stages of a run, each joined to the one below.

use std::sync::Arc;

use super::context::{Context, count};
use super::parcel::{BoxTask, Depot, Desk, Parcel, Port, Task};
use super::scheduler::Settlement;
use crate::error::Error;
use crate::item::ItemId;
use crate::queue::Need;
use crate::report::Where;
use crate::stage::{IntoItems, Items, Step, Weigher, Yield};

/// What every node knows of its place.
pub(crate) struct Place<'r, I, O> {
    pub(crate) stage: usize,
    pub(crate) segment: usize,
    pub(crate) per_item: Option<Weigher<'r, I>>,
    pub(crate) weigher: Option<Weigher<'r, O>>,
    pub(crate) next: Arc<dyn Port<'r, O> + 'r>,
}

impl<'r, I, O> Place<'r, I, O> {
    pub(crate) fn desk<'a>(&'a self, cx: &'a Context<'r>) -> Desk<'a, 'r, I> {
        Desk { stage: self.stage, per_item: self.per_item.as_ref(), floor: 0, cx }
    }

    /// Bytes that `items` outputs of this node's segment are likely to weigh.
    pub(crate) fn likely_weight(&self, items: usize, cx: &Context<'r>) -> u64 {
        let last = cx.plan.segments[self.segment].stages.end - 1;
        cx.meter(last).learned().saturating_mul(items as u64)
    }

    /// Hands what this node made to the next.
    pub(crate) fn pass_on(
        &self,
        made: (ItemId, Items<O>, u64),
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let weigher = self.weigher.as_ref().map(|weigher| (weigher, "weigh"));
        let parcel = Parcel::weighed(made, weigher, self.stage, cx, &mut out.failed);
        if !parcel.items.is_empty() {
            let meter = cx.meter(self.stage);
            meter.learn(parcel.heaviest());
            parcel.note_weight(meter);
            Arc::clone(&self.next).pass(parcel, cx, out);
        }
    }

    /// Books what came of `yielded` items beside outputs.
    fn book(
        &self,
        yielded: &mut Yield<O>,
        name: impl Fn(u32) -> ItemId,
        cx: &Context<'r>,
        failed: &mut Option<ItemId>,
    ) {
        count(&cx.fates.filtered, yielded.filtered);
        count(&cx.fates.cancelled, yielded.cancelled);
        for (offset, cause) in yielded.failures.drain(..) {
            cx.fail(self.stage, name(offset), cause, failed);
        }
        if let Some(cause) = yielded.broken.take() {
            let stage = cx.plan.stages[self.stage].name.clone();
            cx.break_run(Error::State { stage, cause });
        }
    }
}

/// A stage of any verb but `flat_map`.
pub(crate) struct StepNode<'r, I, O> {
    pub(crate) place: Place<'r, I, O>,
    pub(crate) step: Box<dyn Step<I, O> + 'r>,
    /// Runs in one go with the node above.
    pub(crate) fused: bool,
    /// Where inputs wait for company, if calls take batches.
    pub(crate) depot: Option<Depot<I>>,
}

impl<'r, I: Send + 'r, O: Send + 'r> Port<'r, I> for StepNode<'r, I, O> {
    fn pass(
        self: Arc<Self>,
        parcel: Parcel<I>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        if self.fused { self.run(parcel, cx, out) } else { self.enqueue(parcel, cx, out) }
    }
}

impl<'r, I: Send + 'r, O: Send + 'r> StepNode<'r, I, O> {
    /// Has `parcel` wait for this node, admitted to it in pieces that fit.
    fn enqueue(
        self: Arc<Self>,
        parcel: Parcel<I>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let Settlement { failed, produced, .. } = out;
        self.place.desk(cx).admit(parcel, failed, |piece, needs| {
            let declared = needs.iter().fold(0u64, |sum, need| sum.saturating_add(*need));
            let need = Need { declared, learned: self.place.likely_weight(piece.items.len(), cx) };
            let node = Arc::clone(&self);
            let label = piece.label(self.place.segment, need);
            let task: BoxTask<'r> = match &self.depot {
                None => Box::new(StepTask { node, parcel: piece }),
                Some(depot) => {
                    depot.put(piece);
                    Box::new(Ticket { node, id: label.id.clone() })
                }
            };
            produced.push(label.with(task));
        });
    }

    fn run(
        self: Arc<Self>,
        parcel: Parcel<I>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let Parcel { base, items, mut weights, chain } = parcel;
        let mut items = items.into_iter();
        let (mut yielded, rest) = self.measured(&mut items, &base, cx, out);
        self.place.book(&mut yielded, |offset| base.sibling(offset.into()), cx, &mut out.failed);
        let rest = rest.map(|first| {
            let (base, weights) = (base.sibling(first.into()), weights.split_off(items.taken()));
            Parcel { base, items: items.rest(), weights, chain }
        });
        self.place.pass_on((base, yielded.items, chain), cx, out);
        if let Some(rest) = rest {
            self.share(rest, cx, out);
        }
    }

    /// Queues what this step leaves to be done, in halves: one for whoever waited for it,
    /// the other for this thread, which will be here before the sleeper is awake.
    fn share(
        self: Arc<Self>,
        mut rest: Parcel<I>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let left = rest.items.len();
        out.items -= left as u64;
        if left > 1 {
            let half = rest.split_off(left.div_ceil(2));
            Arc::clone(&self).enqueue(half, cx, out);
        }
        self.enqueue(rest, cx, out);
    }

    /// Does the step for `items`, and the offset of the first that is left for others: those
    /// behind it are. What is left otherwise is of no use any more, and dropped.
    fn measured(
        &self,
        items: &mut IntoItems<I>,
        first: &ItemId,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> (Yield<O>, Option<u32>) {
        let meter = cx.meter(self.place.stage);
        let watch = cx.watch(first, self.place.segment, meter, out.at);
        let mut yielded = self.step.run(items, watch);
        let called = items.taken() - yielded.cancelled as usize;
        let took = out.lap(Where::stage(self.place.stage), called, cx.clock.nanos());
        out.pages_of_states += yielded.set_up.pages;
        meter.time(called, meter.record(called, took, yielded.set_up.took));
        let ended = yielded.broken.is_some() || watch.is_abandoned();
        if ended || (watch.fail_fast && !yielded.failures.is_empty()) {
            yielded.cancelled += items.len() as u64;
            std::mem::take(items).forget_all();
        }
        (yielded, items.next_offset())
    }

    /// Runs several parcels as one and takes them apart again.
    fn run_together(
        &self,
        parcels: Vec<Parcel<I>>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let mut origins = Vec::new();
        let mut shells = Vec::with_capacity(parcels.len());
        let mut items = Vec::new();
        for (shell, parcel) in parcels.into_iter().enumerate() {
            for (offset, value) in parcel.items {
                items.push(value);
                origins.push((shell, offset));
            }
            shells.push((parcel.base, Items::default(), parcel.chain));
        }
        let mut items = Items::from(items).into_iter();
        let (mut yielded, rest) = self.measured(&mut items, &shells[0].0, cx, out);
        debug_assert!(rest.is_none(), "what takes batches does all of them");
        for (offset, value) in std::mem::take(&mut yielded.items) {
            let (shell, offset) = origins[offset as usize];
            shells[shell].1.push(offset, value);
        }
        let name = |offset: u32| {
            let (shell, offset) = origins[offset as usize];
            shells[shell].0.sibling(offset.into())
        };
        self.place.book(&mut yielded, name, cx, &mut out.failed);
        shells.into_iter().for_each(|made| self.place.pass_on(made, cx, out));
    }
}

struct StepTask<'r, I, O> {
    node: Arc<StepNode<'r, I, O>>,
    parcel: Parcel<I>,
}

impl<'r, I: Send + 'r, O: Send + 'r> Task<'r> for StepTask<'r, I, O> {
    fn run(
        self: Box<Self>,
        id: ItemId,
        _rest: Vec<(ItemId, BoxTask<'r>)>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        out.consumed.push(id);
        out.items += self.parcel.items.len() as u64;
        self.node.run(self.parcel, cx, out);
    }

    fn discard(self: Box<Self>) {
        self.parcel.items.forget_all();
    }
}

/// Stands for a parcel in the depot of its node.
struct Ticket<'r, I, O> {
    node: Arc<StepNode<'r, I, O>>,
    id: ItemId,
}

impl<'r, I: Send + 'r, O: Send + 'r> Task<'r> for Ticket<'r, I, O> {
    fn run(
        self: Box<Self>,
        id: ItemId,
        rest: Vec<(ItemId, BoxTask<'r>)>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let ids = std::iter::once(id).chain(rest.iter().map(|(id, _)| id.clone()));
        let consumed: Vec<_> = ids.collect();
        let depot = self.node.depot.as_ref().expect("tickets are for a depot");
        let parcels: Vec<_> = consumed.iter().filter_map(|id| depot.take(id)).collect();
        out.consumed.extend(consumed);
        out.items += parcels.iter().map(|parcel| parcel.items.len() as u64).sum::<u64>();
        self.node.run_together(parcels, cx, out);
    }
}

impl<I, O> Drop for Ticket<'_, I, O> {
    fn drop(&mut self) {
        let parcel = self.node.depot.as_ref().and_then(|depot| depot.take(&self.id));
        if let Some(parcel) = parcel {
            parcel.items.forget_all();
        }
    }
}
