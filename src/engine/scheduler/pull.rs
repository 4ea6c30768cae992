//! The source: when it is read, how much at once, and whether that takes a core.

use super::choose::book_step;
use super::{Choice, Live, Nanos, Scheduler, Settlement};
use crate::item::ItemId;
use crate::ledger::Account;
use crate::queue::Need;

/// A pull that lasts no longer does not wait for anything.
pub(super) const QUICK_PULL: Nanos = 500_000;
/// After so many quick pulls in a row the next one is taken to be quick, too, and counts as
/// work of a core. One that waits all the same idles that core until the next look at it.
pub(super) const QUICK_PULLS: u32 = 64;

/// The source as the scheduler sees it.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Source {
    pub(super) open: bool,
    pub(super) pulling: bool,
    /// A pull was refused memory.
    pub(super) hungry: bool,
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
}

impl Source {
    pub(super) fn new() -> Self {
        Self {
            open: true,
            pulling: false,
            hungry: false,
            read: 0,
            last_pull: 0,
            item_weight: 0,
            heft: 1.0,
            since: 0,
            computes: false,
            quick_pulls: 0,
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
        let most = self.parcel_items().min(self.source.last_pull * 2).min(room).max(1);
        let id = ItemId::new(self.source.read);
        let wanted = self.source.item_weight.saturating_mul(most);
        let guess = Need { declared: 0, learned: wanted }.times(self.source.heft);
        let oldest = self.frontier.is_empty();
        let step = book_step(&mut self.ledger, guess, oldest);
        self.source.hungry = step.is_err();
        let (step, since) = (step.ok()?, self.clock);
        let cargo = self.ledger.charge(0, Account::Common);
        let step = Some(step);
        let (items, segment, queued, begins_worker) = (0, 0, false, false);
        let live = Live { cargo, step, begins_worker, wanted, items, segment, queued, since };
        self.frontier.enter(id.clone(), live);
        self.source.pulling = true;
        self.source.since = self.clock;
        self.source.computes = self.source.quick_pulls >= QUICK_PULLS;
        self.computing += usize::from(self.source.computes);
        self.source.last_pull = most;
        Some(Choice::Pull { id, most })
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

    /// Takes what came of a pull: `read` items, and whether the source has more.
    pub(crate) fn settle_pull(
        &mut self,
        read: u64,
        exhausted: bool,
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
        self.source.open &= !exhausted;
        self.source.read += read;
        let weight = settlement.produced.iter().map(|parcel| parcel.weight).sum::<u64>();
        if let Some(each) = weight.checked_div(read) {
            let remembered = self.source.item_weight - self.source.item_weight / 8;
            self.source.item_weight = remembered.max(each);
        }
        self.exchange(settlement, dropped);
    }
}
