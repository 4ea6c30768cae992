//! `flat_map`: an iterator that is drawn on under admission and parked in between.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, count};
use super::node::Place;
use super::parcel::{BoxTask, Desk, Parcel, Port, Task};
use super::scheduler::{Nanos, Settlement};
use crate::error::{Cause, Error};
use crate::item::ItemId;
use crate::queue::Need;
use crate::report::Where;
use crate::shared::pages_touched;
use crate::stage::{Children, Expand, Opening, SetUp, Watch, forget_quietly};

/// A stage whose verb is `flat_map`.
pub(crate) struct ExpandNode<'env, 'r, I, O> {
    pub(crate) place: Place<'r, I, O>,
    pub(crate) expand: Box<dyn Expand<'env, I, O> + 'env>,
}

/// An item that is being expanded.
struct Opened<'env, O> {
    id: ItemId,
    children: Box<dyn Children<O> + 'env>,
    next_child: u64,
    /// Bytes it holds until it is exhausted: its own and its call's.
    held: u64,
    /// Bytes its ancestors hold.
    chain: u64,
    /// Time it took so far.
    took: Nanos,
}

/// How drawing on an item's children ended.
enum Drawn {
    Exhausted,
    Failed,
    More,
}

impl<'env, 'r, I, O> Port<'r, I> for ExpandNode<'env, 'r, I, O>
where
    'env: 'r,
    I: Send + 'r,
    O: Send + 'r,
{
    fn pass(
        self: Arc<Self>,
        parcel: Parcel<I>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let Settlement { failed, produced, .. } = out;
        let desk = Desk { floor: size_of::<O>() as u64, ..self.place.desk(cx) };
        desk.admit(parcel, failed, |piece, needs| {
            let largest = needs.iter().copied().max().unwrap_or(0);
            let declared = largest.saturating_add(size_of::<O>() as u64);
            let learned = largest.saturating_add(self.likely_draw(cx));
            let label = piece.label(self.place.segment, Need { declared, learned });
            let node = Arc::clone(&self);
            produced.push(label.with(Box::new(Unopened { node, parcel: piece, needs })));
        });
    }
}

impl<'env, 'r, I, O> ExpandNode<'env, 'r, I, O>
where
    'env: 'r,
    I: Send + 'r,
    O: Send + 'r,
{
    /// What the children of one draw are likely to weigh.
    fn likely_draw(&self, cx: &Context<'r>) -> u64 {
        let child = self.place.likely_weight(1, cx).max(size_of::<O>() as u64);
        child.saturating_mul(cx.items_within(cx.parcel_items(), child))
    }

    /// Draws up to `most` children and hands them on.
    fn draw(
        &self,
        opened: &mut Opened<'env, O>,
        most: u64,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> Drawn {
        let stage = self.place.stage;
        let light = cx.items_within(most, cx.meter(stage).learned().max(size_of::<O>() as u64));
        let mut children = Vec::new();
        let watch = cx.watch(&opened.id, self.place.segment, cx.meter(stage), out.at);
        let ended = opened.children.take(light as usize, watch, &mut children);
        let meter = cx.meter(stage);
        let took = out.lap(Where::stage(stage), 0, cx.clock.nanos());
        opened.took += meter.record(0, took, Duration::ZERO);
        if !matches!(ended, Ok(false)) {
            meter.time(1, opened.took);
            if let Some(noted) = &meter.children {
                noted.record(1, opened.next_child + children.len() as u64);
            }
        }

        let first = opened.id.child(opened.next_child);
        opened.next_child += children.len() as u64;
        out.items += children.len() as u64;
        count(&cx.fates.children, children.len() as u64);
        let drawn = match ended {
            Ok(true) => Drawn::Exhausted,
            Ok(false) => Drawn::More,
            Err(cause) => {
                cx.fail(stage, opened.id.child(opened.next_child), cause, &mut out.failed);
                Drawn::Failed
            }
        };
        let chain = opened.chain.saturating_add(opened.held);
        if !children.is_empty() {
            self.place.pass_on((first, children.into(), chain), cx, out);
        }
        drawn
    }

    /// Draws on `opened` and, unless that ends it, parks it.
    fn draw_or_park(
        self: &Arc<Self>,
        mut opened: Opened<'env, O>,
        most: u64,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> Drawn {
        let drawn = self.draw(&mut opened, most, cx, out);
        match drawn {
            // An older item has failed, which the scheduler is yet to hear of: until
            // then it would hand out what draws nothing again and again.
            Drawn::More if cx.is_abandoned(&opened.id) => count(&cx.fates.cancelled, 1),
            Drawn::More => self.park(opened, cx, out),
            Drawn::Exhausted => count(&cx.fates.expanded, 1),
            Drawn::Failed => {}
        }
        drawn
    }

    fn park(
        self: &Arc<Self>,
        opened: Opened<'env, O>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let need = Need { declared: size_of::<O>() as u64, learned: self.likely_draw(cx) };
        let shell = Parcel::<I>::holding(opened.id.clone(), opened.held);
        let mut label = shell.label(self.place.segment, need);
        label.entry.items = 1;
        out.produced.push(label.with(Box::new(Parked { node: Arc::clone(self), opened })));
    }

    /// Calls the user's function for the first item of `parcel`.
    fn open(
        &self,
        id: ItemId,
        item: I,
        (held, chain): (u64, u64),
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> Option<Opened<'env, O>> {
        let stage = self.place.stage;
        let mut set_up = SetUp::new(pages_touched);
        let opened = self.expand.open(item, &mut set_up);
        let took = out.lap(Where::stage(stage), 1, cx.clock.nanos());
        out.pages_of_states += set_up.pages;
        let took = cx.meter(stage).record(1, took, set_up.took);
        match opened {
            Ok(children) => Some(Opened { id, children, next_child: 0, held, chain, took }),
            Err(Opening::Failed(cause)) => {
                cx.meter(stage).time(1, took);
                cx.fail(stage, id, cause, &mut out.failed);
                None
            }
            Err(Opening::Broken(cause)) => {
                count(&cx.fates.cancelled, 1);
                let stage = cx.plan.stages[stage].name.clone();
                cx.break_run(Error::State { stage, cause });
                None
            }
        }
    }
}

/// Items that nothing was made of yet.
struct Unopened<'env, 'r, I, O> {
    node: Arc<ExpandNode<'env, 'r, I, O>>,
    parcel: Parcel<I>,
    needs: Vec<u64>,
}

impl<'env, 'r, I, O> Task<'r> for Unopened<'env, 'r, I, O>
where
    'env: 'r,
    I: Send + 'r,
    O: Send + 'r,
{
    fn run(
        self: Box<Self>,
        id: ItemId,
        _rest: Vec<(ItemId, BoxTask<'r>)>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let Self { node, parcel: Parcel { base, items, mut weights, chain }, needs } = *self;
        out.consumed.push(id);
        let most = cx.parcel_items();
        let begun_with = out.items;
        let watch = cx.watch(&base, node.place.segment, cx.meter(node.place.stage), out.at);
        let mut items = items.into_iter();
        let mut done = 0;
        while let Some((offset, item)) = items.next() {
            let own = weights.at(done).saturating_add(needs.get(done).copied().unwrap_or(0));
            done += 1;
            out.items += 1;
            let opened = node.open(base.sibling(offset.into()), item, (own, chain), cx, out);
            let drawn = opened.map(|opened| node.draw_or_park(opened, most, cx, out));
            let Some(next) = items.next_offset() else { return };
            let next = base.sibling(next.into());
            // What follows is younger: parked behind a parent that is not
            // exhausted, of no use after a failure that ends the run.
            let enough = out.items - begun_with >= most || watch.shares(&items);
            let go_on = matches!(drawn, None | Some(Drawn::Exhausted | Drawn::Failed));
            if cx.is_abandoned(&next) {
                count(&cx.fates.cancelled, items.len() as u64);
                return items.forget_all();
            }
            if !go_on || enough || out.failed.is_some() {
                let (items, weights) = (items.rest(), weights.split_off(done));
                return Arc::clone(&node).pass(
                    Parcel { base: next, items, weights, chain },
                    cx,
                    out,
                );
            }
        }
    }

    fn discard(self: Box<Self>) {
        self.parcel.items.forget_all();
    }
}

/// An item between two children.
struct Parked<'env, 'r, I, O> {
    node: Arc<ExpandNode<'env, 'r, I, O>>,
    opened: Opened<'env, O>,
}

impl<'env, 'r, I, O> Task<'r> for Parked<'env, 'r, I, O>
where
    'env: 'r,
    I: Send + 'r,
    O: Send + 'r,
{
    fn run(
        self: Box<Self>,
        id: ItemId,
        _rest: Vec<(ItemId, BoxTask<'r>)>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let Self { node, opened } = *self;
        out.consumed.push(id);
        node.draw_or_park(opened, cx.parcel_items(), cx, out);
    }
}

impl<O> Drop for Opened<'_, O> {
    fn drop(&mut self) {
        // The iterator is user code too; what its drop panics with ends here.
        forget_quietly(std::mem::replace(&mut self.children, Box::new(NoChildren)));
    }
}

/// Stands in for an iterator that was dropped.
struct NoChildren;

impl<O> Children<O> for NoChildren {
    fn take(&mut self, _most: usize, _watch: Watch<'_>, _out: &mut Vec<O>) -> Result<bool, Cause> {
        Ok(true)
    }
}
