//! The source: when it is read, how much at once, and whether that takes a core.
//!
//! An iterator that promises the next item is read as far as a parcel goes. One that does
//! not may block on the next while the first ones wait, and even wait for what comes of
//! them. It is read on all the same while it is quick, but what it has read by then can be
//! taken over by another thread once the pull is *overdue* ([`Scheduler::split_pull`]).

use super::choose::book_step;
use super::window::Shut;
use super::{Choice, Live, Nanos, Scheduler, Settlement};
use crate::item::ItemId;
use crate::ledger::{Account, Refusal};
use crate::queue::Need;

/// A pull that lasts no longer does not wait for anything.
pub(super) const QUICK_PULL: Nanos = 500_000;
/// After so many quick pulls in a row the next one is taken to be quick, too, and counts as
/// work of a core. One that waits all the same idles that core until the next look at it.
pub(super) const QUICK_PULLS: u32 = 64;

/// A pull that has lasted this long is ended, so that what it has read can start. One that
/// cannot be ended, as it is blocked, is overdue. To a model checker it is some looks at the
/// clock.
pub(crate) const LONGEST_PULL: Nanos = if cfg!(any(loom, shuttle)) { 400_000 } else { 50_000 };

/// What a pull may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Items it may read at the most.
    pub(crate) most: u64,
    /// It reads no further after this.
    pub(crate) until: Nanos,
    /// It may go on to an item that it is not promised: somebody will look after it.
    pub(crate) unpromised: bool,
}

/// What came of a pull, beside parcels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// Items that it read and that were not taken over.
    pub(crate) read: u64,
    /// There are no more.
    pub(crate) ended: bool,
    /// The iterator promised as many as the pull was allowed to read.
    pub(crate) promised: bool,
}

/// The source as the scheduler sees it.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Source {
    pub(super) open: bool,
    pub(super) pulling: bool,
    /// Why a pull was refused memory, if it was.
    pub(super) hungry: Option<Refusal>,
    pub(super) read: u64,
    /// Items the last pull was allowed to take.
    pub(super) last_pull: u64,
    /// Learned bytes an item.
    pub(super) item_weight: u64,
    /// As a segment's.
    pub(super) heft: f64,
    /// When the last pull began.
    pub(super) since: Nanos,
    /// The pull under way takes a core.
    pub(super) computes: bool,
    /// Pulls in a row that did not wait.
    pub(super) quick_pulls: u32,
    /// The last pull had to do without a promise.
    pub(super) unpromised: bool,
    /// When what the pull under way has read is to be taken over, if it may have to be.
    pub(super) overdue_at: Option<Nanos>,
    /// For how long the window held the run up before the last item was read.
    pub(super) shut: Shut,
    /// And since then: there may have been nothing left to be read.
    pub(super) shut_lately: Shut,
}

impl Source {
    pub(super) fn new() -> Self {
        Self {
            open: true,
            pulling: false,
            hungry: None,
            read: 0,
            last_pull: 0,
            item_weight: 0,
            heft: 1.0,
            since: 0,
            computes: false,
            quick_pulls: 0,
            unpromised: false,
            overdue_at: None,
            shut: Shut::default(),
            shut_lately: Shut::default(),
        }
    }

    fn note_read(&mut self, items: u64) {
        self.read += items;
        if items > 0 {
            self.shut.take(&mut self.shut_lately);
        }
    }
}

impl<T> Scheduler<T> {
    pub(super) fn may_pull(&self) -> bool {
        self.source.open
            && !self.source.pulling
            && self.computing < self.cores
            && self.aboard < self.window
            && self.segments[0].queue.len() < self.segments[0].bound
    }

    pub(super) fn pull(&mut self) -> Option<Choice<T>> {
        let room = self.window - self.aboard;
        let few = self.parcel_items().min(self.source.last_pull * 2).min(room);
        // No more than it may read: what is asked for beyond that may never be free at once.
        let each = Need { declared: 0, learned: self.source.item_weight }.times(self.source.heft);
        let most = few.min(self.parcel_bytes / each.wanted().max(1)).max(1);
        let until = self.clock + LONGEST_PULL;
        // A source that was slow is likely to be slow again: its items are best handed on
        // one by one.
        let unpromised = self.source.unpromised && self.source.quick_pulls > 0 && most > 1;
        let id = ItemId::new(self.source.read);
        let wanted = self.source.item_weight.saturating_mul(most);
        let need = Need { declared: 0, learned: wanted };
        let guess = need.times(self.source.heft);
        let oldest = self.frontier.is_empty();
        let step = book_step(&mut self.ledger, guess, oldest);
        self.source.hungry = step.as_ref().err().copied();
        let (step, since) = (step.ok()?, self.clock);
        let cargo = self.ledger.charge(0, Account::Common);
        let step = Some(step);
        let (items, segment, queued, begins_worker) = (0, 0, false, false);
        let live = Live { cargo, step, begins_worker, need, items, segment, queued, since };
        self.frontier.enter(id.clone(), live);
        self.source.pulling = true;
        self.source.since = self.clock;
        self.source.computes = self.source.quick_pulls >= QUICK_PULLS;
        self.computing += usize::from(self.source.computes);
        self.source.last_pull = most;
        self.source.overdue_at = unpromised.then_some(until);
        Some(Choice::Pull { id, reach: Reach { most, until, unpromised } })
    }

    /// Whether the pull under way should be back, and may have read something.
    pub(crate) fn is_pull_overdue(&self, now: Nanos) -> bool {
        self.source.overdue_at.is_some_and(|due| now >= due)
    }

    /// An overdue pull had read nothing; what it reads from now on it does not keep.
    pub(crate) fn excuse_pull(&mut self) {
        self.source.overdue_at = None;
    }

    /// Takes over the first `items` that the pull under way has read, as a parcel in the
    /// making of that id; the pull goes on behind them. What was granted stays with the parcel:
    /// the pull ends with the next item. That is granted what items weigh if there is room, and
    /// is overweight otherwise: it cannot be refused any more.
    pub(crate) fn split_pull(&mut self, items: u64) -> ItemId {
        self.excuse_pull();
        let id = ItemId::new(self.source.read);
        self.source.note_read(items);
        // They are aboard from now on: the next pull may begin before their parcel is made.
        self.aboard += items;
        let part = self.frontier.get_mut(&id).expect("a pull is under way");
        part.items = items;
        let since = part.since;
        let cargo = self.ledger.charge(0, Account::Common);
        let mut step = self.ledger.charge(0, Account::Common);
        let room = self.ledger.admit(&mut step, self.source.item_weight);
        let learned = room.map_or(0, |()| self.source.item_weight);
        let need = Need { declared: 0, learned };
        let (step, items, segment, queued, begins_worker) = (Some(step), 0, 0, false, false);
        let live = Live { cargo, step, begins_worker, need, items, segment, queued, since };
        self.frontier.enter(ItemId::new(self.source.read), live);
        id
    }

    /// Takes what came of `items` that were taken over from a pull.
    pub(crate) fn settle_part(
        &mut self,
        items: u64,
        now: Nanos,
        settlement: &mut Settlement<T>,
        dropped: &mut Vec<T>,
    ) {
        self.advance_clock(now);
        self.learn_weight(items, settlement);
        self.exchange(settlement, dropped);
    }

    fn learn_weight(&mut self, items: u64, settlement: &Settlement<T>) {
        if let Some(each) = settlement.weight().checked_div(items) {
            let remembered = self.source.item_weight - self.source.item_weight / 8;
            self.source.item_weight = remembered.max(each);
        }
    }

    /// Looks at a pull under way: one that lasts waits rather than computes, so it takes
    /// no core from now on. Whether that gave a core back.
    pub(crate) fn look_at_pull(&mut self, now: Nanos) -> bool {
        let lasts = now.saturating_sub(self.source.since) >= QUICK_PULL;
        let gives_back = lasts && std::mem::take(&mut self.source.computes);
        if gives_back {
            self.advance_clock(now);
            self.computing -= 1;
        }
        gives_back
    }

    /// Takes what came of a pull.
    pub(crate) fn settle_pull(
        &mut self,
        pulled: Pulled,
        now: Nanos,
        settlement: &mut Settlement<T>,
        dropped: &mut Vec<T>,
    ) {
        self.advance_clock(now);
        self.source.pulling = false;
        let is_quick = now.saturating_sub(self.source.since) < QUICK_PULL;
        let quick_pulls = self.source.quick_pulls.saturating_add(1);
        self.source.quick_pulls = if is_quick { quick_pulls } else { 0 };
        self.computing -= usize::from(std::mem::take(&mut self.source.computes));
        self.source.open &= !pulled.ended;
        self.source.note_read(pulled.read);
        self.source.unpromised = !pulled.promised;
        self.excuse_pull();
        self.learn_weight(pulled.read, settlement);
        self.exchange(settlement, dropped);
    }
}
