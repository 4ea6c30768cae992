//! Where a run's outputs go: to a function that the workers call, or to a consumer outside.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, count};
use super::parcel::{BoxTask, Depot, Parcel, Port, Task};
use super::scheduler::Settlement;
use crate::error::{BoxError, Cause, Error};
use crate::item::ItemId;
use crate::queue::Need;
use crate::report::Where;
use crate::stage::{Lent, Quietly, guard};
use crate::sync::{Mutex, Ordering};

/// A sink that the workers call.
pub(crate) struct Sink<K> {
    pub(crate) sink: Mutex<Quietly<K>>,
    pub(crate) segment: usize,
}

impl<'r, O, K> Port<'r, O> for Sink<K>
where
    O: Send + 'r,
    K: FnMut(O) -> Result<(), BoxError> + Send + 'r,
{
    fn pass(
        self: Arc<Self>,
        parcel: Parcel<O>,
        _cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let label = parcel.label(self.segment, Need::default());
        out.produced.push(label.with(Box::new(Delivery { sink: self, parcel })));
    }
}

struct Delivery<K, O> {
    sink: Arc<Sink<K>>,
    parcel: Parcel<O>,
}

impl<'r, O, K> Task<'r> for Delivery<K, O>
where
    O: Send + 'r,
    K: FnMut(O) -> Result<(), BoxError> + Send + 'r,
{
    fn run(
        self: Box<Self>,
        id: ItemId,
        _rest: Vec<(ItemId, BoxTask<'r>)>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        out.consumed.push(id);
        let Parcel { base, items, .. } = self.parcel;
        out.items += items.len() as u64;
        let mut items = items.into_iter();
        // The sink is one worker's at a time; the lock is never waited for.
        let mut sink = self.sink.sink.lock();
        let call = sink.get_mut();
        let unwatched = cx.watch(&base, self.sink.segment, &cx.sink, out.at).unwatched(items.len());
        let ended = guard(|| {
            let mut items = Lent::from(&mut items);
            while items.len() > 0 && !cx.signals.is_stopped() {
                items.next_values(unwatched).try_for_each(&mut *call).map_err(Cause::Error)?;
            }
            Ok(())
        });
        drop(sink);
        let failure = ended.and_then(|result| result).err();
        let delivered = items.taken() - usize::from(failure.is_some());
        cx.sink.record(
            delivered,
            out.lap(Where::Sink, delivered, cx.clock.nanos()),
            Duration::ZERO,
        );
        count(&cx.fates.delivered, delivered as u64);
        count(&cx.fates.cancelled, items.len() as u64);
        if let Some(cause) = failure {
            let item = base.sibling(items.last_offset().into());
            count(&cx.fates.failed, 1);
            cx.sink.failed.fetch_add(1, Ordering::Relaxed);
            cx.break_run(Error::Sink { sink: "sink", item, cause });
        }
        items.forget_all();
    }

    fn discard(self: Box<Self>) {
        self.parcel.items.forget_all();
    }
}

/// A sink that a consumer outside the run's threads takes from.
pub(crate) struct Outlet<O> {
    pub(crate) depot: Depot<O>,
    pub(crate) segment: usize,
}

impl<'r, O: Send + 'r> Port<'r, O> for Outlet<O> {
    fn pass(
        self: Arc<Self>,
        parcel: Parcel<O>,
        _cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let label = parcel.label(self.segment, Need::default());
        let task = Waiting { outlet: Arc::clone(&self), id: label.id.clone() };
        self.depot.put(parcel);
        out.produced.push(label.with(Box::new(task)));
    }
}

/// Stands for a parcel that waits in an [`Outlet`].
struct Waiting<O> {
    outlet: Arc<Outlet<O>>,
    id: ItemId,
}

impl<'r, O: Send + 'r> Task<'r> for Waiting<O> {
    fn run(
        self: Box<Self>,
        _id: ItemId,
        _rest: Vec<(ItemId, BoxTask<'r>)>,
        _cx: &Context<'r>,
        _out: &mut Settlement<BoxTask<'r>>,
    ) {
        unreachable!("only the consumer serves an outlet");
    }
}

impl<O> Drop for Waiting<O> {
    fn drop(&mut self) {
        if let Some(parcel) = self.outlet.depot.take(&self.id) {
            parcel.items.forget_all();
        }
    }
}
