//! The two ends of a run: the source that is read, the sink that is written.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, count};
use super::parcel::{BoxTask, Depot, Parcel, Port, Task};
use super::scheduler::{Nanos, Settlement};
use crate::error::{BoxError, Error};
use crate::item::ItemId;
use crate::queue::Need;
use crate::report::Where;
use crate::stage::{Lent, Quietly, Weigher, guard};
use crate::sync::Mutex;

/// The source of a run, its types forgotten.
pub(crate) trait Pull<'r>: Send + Sync {
    /// Reads up to `most` items into the parcel `id`; how many, and whether there
    /// are no more.
    fn pull(
        &self,
        id: ItemId,
        most: u64,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> (u64, bool);
}

/// A pull that has lasted this long is ended, so that what it has read can start.
const LONGEST_PULL: Nanos = 50_000;

/// An iterator and where its items go.
pub(crate) struct Source<'r, It: Iterator> {
    pub(crate) items: Mutex<Quietly<It>>,
    pub(crate) weigher: Option<Weigher<'r, It::Item>>,
    pub(crate) learned: Mutex<u64>,
    pub(crate) next: Arc<dyn Port<'r, It::Item> + 'r>,
}

impl<'r, It> Pull<'r> for Source<'r, It>
where
    It: Iterator + Send + 'r,
    It::Item: Send + 'r,
{
    fn pull(
        &self,
        id: ItemId,
        most: u64,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> (u64, bool) {
        out.consumed.push(id.clone());
        let mut items = Vec::new();
        let ended = guard(|| self.read(most, out.at, cx, &mut items));
        cx.source.record(
            items.len(),
            out.lap(Where::Source, items.len(), cx.clock.nanos()),
            Duration::ZERO,
        );
        let read = items.len() as u64;
        let ended = ended.unwrap_or_else(|cause| {
            let read = id.source_index() + read;
            cx.break_run(Error::Source { read, cause });
            true
        });
        if !items.is_empty() {
            let made = (id, items.into(), 0);
            // A weigher that panics is the first stage's failure: it is the first
            // to look at the item.
            let parcel = Parcel::weighed(made, self.weigher.as_ref(), 0, cx, &mut out.failed);
            *self.learned.lock() = parcel.heaviest();
            if !parcel.items.is_empty() {
                Arc::clone(&self.next).pass(parcel, cx, out);
            }
        }
        (read, ended)
    }
}

impl<It: Iterator> Source<'_, It> {
    /// Reads several items at once only where the iterator knows that it has
    /// them: one that does not may block on the next while the first ones wait.
    fn read(&self, most: u64, begun: Nanos, cx: &Context<'_>, items: &mut Vec<It::Item>) -> bool {
        let mut items_of = self.items.lock();
        let source = items_of.get_mut();
        let known = source.size_hint().0 as u64;
        let weight = (*self.learned.lock()).max(size_of::<It::Item>() as u64);
        let most = cx.items_within(most.min(known.max(1)), weight);
        items.reserve_exact(most as usize);
        // Looks at the clock after 1, 2, 4, ... items: a slow source is noticed at once, a
        // fast one hardly pays. A source that can stop the run is not read on once it has.
        let mut look = 1;
        while (items.len() as u64) < most && !cx.signals.is_stopped() {
            if items.len() as u64 == look {
                if cx.clock.nanos() > begun + LONGEST_PULL {
                    return false;
                }
                look *= 2;
            }
            let upto = if cx.has_token() { items.len() + 1 } else { look.min(most) as usize };
            source.by_ref().take(upto - items.len()).for_each(|item| items.push(item));
            if items.len() < upto {
                return true;
            }
        }
        false
    }
}

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
        let unwatched = cx.watch(&base, self.sink.segment, out.at).unwatched(items.len());
        let ended = guard(|| {
            let mut items = Lent::from(&mut items);
            while items.len() > 0 && !cx.signals.is_stopped() {
                for _ in 0..unwatched.min(items.len()) {
                    let Some(value) = items.next_value() else { break };
                    call(value).map_err(crate::error::Cause::Error)?;
                }
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
            count(&cx.fates.cancelled, 1);
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
