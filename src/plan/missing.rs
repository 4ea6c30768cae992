//! What a budget is short of, once it is spent.

use super::Settings;
use super::planner::{at_work, enough_for};
use super::workers::{self, Draft, workers_by_then};
use crate::budget::Budget;
use crate::units::{MIB, rounded_up};

/// What is known when the first workers of all stages have theirs.
pub(super) struct Spent<'a> {
    pub(super) budget: &'a Budget,
    /// The most calls that may be at work at once.
    pub(super) calls: usize,
    pub(super) settings: &'a Settings,
    /// Bytes that were left then.
    pub(super) left: u64,
    /// The least that must be left.
    pub(super) least: u64,
    /// What tables want that need not have it.
    pub(super) for_tables: u64,
    /// The workers of each draft that come before these tables.
    pub(super) early: &'a [usize],
}

impl Spent<'_> {
    /// Bytes that carry so many workers of each draft, all tables and what is set aside.
    fn carries(&self, drafts: &[Draft], workers: impl Fn(usize, &Draft) -> usize) -> u64 {
        enough_for(self.beyond_first(drafts, workers), self.calls, self.settings)
    }

    /// What these workers keep beyond the first of each, and tables.
    fn beyond_first(&self, drafts: &[Draft], workers: impl Fn(usize, &Draft) -> usize) -> u64 {
        workers::further(drafts, workers).saturating_add(self.for_tables)
    }

    /// The least budget on which nothing is missing, unless nobody has so much: it carries all
    /// workers and tables, and beside them the largest items for all calls at once, where it is
    /// known how large they get. What is set aside for items can be much less, a quarter of little.
    pub(super) fn enough(&self, drafts: &[Draft]) -> Option<u64> {
        let all = |_: usize, draft: &Draft| draft.asked;
        let items = self.settings.largest_item.map_or(0, |bytes| at_work(bytes, self.calls));
        let at_work = self.beyond_first(drafts, all).saturating_add(items);
        let carries = self.carries(drafts, all).max(at_work).max(self.least);
        let enough = (self.budget.memory() - self.left).checked_add(carries)?;
        (enough < u64::MAX - MIB).then(|| rounded_up(enough))
    }

    /// Has each draft tell what all of them are short of together; for each that is short, about
    /// twice the workers that it has, and the bytes beyond the budget that would carry them.
    pub(super) fn tell(&self, drafts: &mut [Draft]) -> Vec<Option<(usize, u64)>> {
        let short = self.carries(drafts, |_, draft| draft.asked).saturating_sub(self.left);
        let twice = |one: &Draft| {
            let wanted = one.asked.min(2 * one.workers);
            let by_then =
                |at: usize, draft: &Draft| workers_by_then(draft, one, wanted).max(self.early[at]);
            (wanted, self.carries(drafts, by_then).saturating_sub(self.left))
        };
        let more = drafts.iter().map(|draft| (draft.workers < draft.asked).then(|| twice(draft)));
        let more = more.collect();
        let by_quarter = self.settings.largest_item.is_none();
        drafts.iter_mut().for_each(|draft| draft.tell_what_is_missing(short, by_quarter));
        more
    }
}
