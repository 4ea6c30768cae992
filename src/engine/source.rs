//! The source of a run: an iterator, read by one thread at a time.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::parcel::{BoxTask, Parcel, Port};
use super::scheduler::{Pulled, Reach, Settlement};
use crate::error::Error;
use crate::item::ItemId;
use crate::report::Where;
use crate::stage::{Quietly, Weigher, guard};
use crate::sync::{Figure, Mutex, Ordering};

/// The source of a run, its types forgotten.
pub(crate) trait Pull<'r>: Send + Sync {
    /// Reads items into the parcel `id`.
    fn pull(
        &self,
        id: ItemId,
        reach: Reach,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> Pulled;

    /// Takes over what the pull under way has read, if that is anything.
    fn take_over(&self) -> Option<Part<'_, 'r>>;

    /// What the iterator was asked for last: which item, and how many from that on.
    fn asked_for(&self) -> (u64, u64);
}

/// Items taken over from a pull.
pub(crate) struct Part<'a, 'r> {
    pub(crate) items: u64,
    /// Makes of them the parcel of an id.
    pub(crate) hand_on: HandOn<'a, 'r>,
}

type HandOn<'a, 'r> = Box<dyn FnOnce(ItemId, &Context<'r>, &mut Settlement<BoxTask<'r>>) + 'a>;

/// An iterator and where its items go.
pub(crate) struct Source<'r, It: Iterator> {
    items: Mutex<Quietly<It>>,
    kept: Mutex<Kept<It::Item>>,
    asked: Asked,
    weigher: Option<Weigher<'r, It::Item>>,
    /// Bytes of a recent heavy item.
    learned: Mutex<u64>,
    next: Arc<dyn Port<'r, It::Item> + 'r>,
}

/// What a pull has read and not handed on, while it asks for an item that it is not promised
/// and that may not come before these are worked on.
struct Kept<T> {
    /// The place of the first in the source.
    first: u64,
    items: Vec<T>,
}

/// What the iterator was asked for last: so many items from the first on; none where it is read
/// item by item, behind those that are [kept](Kept). The two figures are not of one moment to
/// those who look while it is quick, but they are while it blocks.
struct Asked {
    first: Figure,
    items: Figure,
}

impl Asked {
    fn note(&self, first: u64, items: usize) {
        // Relaxed: it is told to users, and nothing follows from it.
        self.first.store(first, Ordering::Relaxed);
        self.items.store(items as u64, Ordering::Relaxed);
    }

    fn note_one_by_one(&self) {
        self.items.store(0, Ordering::Relaxed);
    }
}

impl<'r, It: Iterator> Source<'r, It> {
    pub(crate) fn new(
        items: It,
        weigher: Option<Weigher<'r, It::Item>>,
        next: Arc<dyn Port<'r, It::Item> + 'r>,
    ) -> Self {
        Self {
            items: Mutex::new(Quietly::new(items)),
            kept: Mutex::new(Kept { first: 0, items: Vec::new() }),
            asked: Asked { first: Figure::new(0), items: Figure::new(1) },
            weigher,
            learned: Mutex::new(0),
            next,
        }
    }

    /// Reads what the iterator promises, and beyond that if `reach` allows it: into `items`
    /// the former, into `kept` the latter. Whether there are no more, and whether as many as
    /// wanted were promised.
    fn read(
        &self,
        first: u64,
        reach: Reach,
        cx: &Context<'r>,
        items: &mut Vec<It::Item>,
    ) -> (bool, bool) {
        let mut source = self.items.lock();
        let source = source.get_mut();
        let known = source.size_hint().0 as u64;
        if known > 1 && cx.source_promises.load(Ordering::Relaxed) == 0 {
            cx.source_promises.store(1, Ordering::Relaxed);
        }
        let weight = (*self.learned.lock()).max(size_of::<It::Item>() as u64);
        let most = cx.items_within(reach.most, weight);
        let promised = known >= most;
        let ended = if promised || !reach.unpromised {
            let reach = Reach { most: most.min(known.max(1)), ..reach };
            self.read_promised(source, first, reach, cx, items)
        } else {
            self.read_on(source, Reach { most, ..reach }, cx)
        };
        (ended, promised)
    }

    /// Reads item by item, and keeps each where others can take it over.
    fn read_on(&self, source: &mut It, reach: Reach, cx: &Context<'r>) -> bool {
        self.asked.note_one_by_one();
        for _ in 0..reach.most {
            let Some(item) = source.next() else { return true };
            self.kept.lock().items.push(item);
            if cx.signals.is_stopped() || cx.clock.nanos() >= reach.until {
                break;
            }
        }
        false
    }

    /// Looks at the clock after 1, 2, 4, ... items: a slow source is noticed at once, a fast one
    /// hardly pays. A source that can stop the run is not read on once it has.
    fn read_promised(
        &self,
        source: &mut It,
        first: u64,
        reach: Reach,
        cx: &Context<'r>,
        items: &mut Vec<It::Item>,
    ) -> bool {
        items.reserve_exact(reach.most as usize);
        let mut look = 1;
        while (items.len() as u64) < reach.most && !cx.signals.is_stopped() {
            if items.len() as u64 == look {
                if cx.clock.nanos() >= reach.until {
                    return false;
                }
                look *= 2;
            }
            let upto = if cx.has_token() { items.len() + 1 } else { look.min(reach.most) as usize };
            self.asked.note(first + items.len() as u64, upto - items.len());
            items.extend(source.by_ref().take(upto - items.len()));
            if items.len() < upto {
                return true;
            }
        }
        false
    }

    fn hand_on(
        &self,
        id: ItemId,
        items: Vec<It::Item>,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) {
        let took = out.lap(Where::Source, items.len(), cx.clock.nanos());
        cx.source.record(items.len(), took, Duration::ZERO);
        if items.is_empty() {
            return;
        }
        // A weigher that panics is the first stage's failure: it is the first to look at
        // the item.
        let made = (id, items.into(), 0);
        let weigher = self.weigher.as_ref().map(|weigher| (weigher, "weigh_source"));
        let parcel = Parcel::weighed(made, weigher, 0, cx, &mut out.failed);
        *self.learned.lock() = parcel.heaviest();
        if self.weigher.is_some() {
            parcel.note_weight(&cx.source);
        }
        if !parcel.items.is_empty() {
            Arc::clone(&self.next).pass(parcel, cx, out);
        }
    }
}

impl<'r, It> Pull<'r> for Source<'r, It>
where
    It: Iterator + Send + 'r,
    It::Item: Send + 'r,
{
    fn pull(
        &self,
        mut id: ItemId,
        reach: Reach,
        cx: &Context<'r>,
        out: &mut Settlement<BoxTask<'r>>,
    ) -> Pulled {
        if reach.unpromised {
            self.kept.lock().first = id.source_index();
        }
        let mut items = Vec::new();
        let outcome = guard(|| self.read(id.source_index(), reach, cx, &mut items));
        if reach.unpromised {
            let mut kept = self.kept.lock();
            // From here on there is nothing to be taken over.
            items.append(&mut kept.items);
            id = ItemId::new(kept.first);
        }
        let read = items.len() as u64;
        let (ended, promised) = outcome.unwrap_or_else(|cause| {
            cx.break_run(Error::Source { read: id.source_index() + read, cause });
            (true, true)
        });
        out.consumed.push(id.clone());
        self.hand_on(id, items, cx, out);
        Pulled { read, ended, promised }
    }

    fn take_over(&self) -> Option<Part<'_, 'r>> {
        let mut kept = self.kept.lock();
        let items = std::mem::take(&mut kept.items);
        if items.is_empty() {
            return None;
        }
        let count = items.len() as u64;
        kept.first += count;
        let hand_on: HandOn<'_, 'r> = Box::new(move |id, cx, out| {
            out.consumed.push(id.clone());
            self.hand_on(id, items, cx, out);
        });
        Some(Part { items: count, hand_on })
    }

    fn asked_for(&self) -> (u64, u64) {
        let figure = |figure: &Figure| figure.load(Ordering::Relaxed);
        match (figure(&self.asked.first), figure(&self.asked.items)) {
            (_, 0) => {
                let kept = self.kept.lock();
                (kept.first + kept.items.len() as u64, 1)
            }
            asked => asked,
        }
    }
}
