//! Who gets how many workers beyond the first.

use std::ops::Range;

use super::purse::Purse;
use crate::error::Error;
use crate::stage::StageSpec;
use crate::units::Bytes;

/// A segment while its workers are still counted.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) stages: Range<usize>,
    pub(super) per_worker: u64,
    pub(super) asked: usize,
    /// Whether calls wait and hold no core.
    pub(super) waits: bool,
    /// Who asked, if it must be granted in full.
    pub(super) demanded_by: Option<String>,
    pub(super) workers: usize,
    pub(super) reason: String,
}

/// Whom the budget is spent on, where it is spent on a stage.
pub(super) fn holder(spec: &StageSpec) -> String {
    format!("stage {:?}", spec.name)
}

/// Of the room that there is for mapped tables, further workers come before them with one part
/// in so many.
const BEFORE_TABLES: u64 = 8;

/// Bytes that further workers may keep before mapped tables get the rest of `room`, which is
/// what they want or what there is, if that is less.
///
/// A small part, because a table that is looked up everywhere is worth little if much of it is
/// missing; and the same for all budgets on which the tables fit beside it, so that no larger
/// one takes from a table what a smaller one had room for.
pub(super) fn before_tables(room: u64) -> u64 {
    room / BEFORE_TABLES
}

/// The workers of each draft, where tables have all of the `room` that they want, by the time
/// they come.
pub(super) fn early(drafts: &[Draft], specs: &[StageSpec], room: u64) -> Vec<usize> {
    let mut drafts = drafts.to_vec();
    add(&mut drafts, specs, &mut Purse::of(before_tables(room)), 0);
    drafts.iter().map(|draft| draft.workers).collect()
}

/// Hands out the workers that somebody demands; what is kept for items is out of their reach.
pub(super) fn add_demanded(
    drafts: &mut [Draft],
    specs: &[StageSpec],
    purse: &mut Purse,
    keep: u64,
) -> Result<(), Error> {
    add_to(drafts, specs, purse, keep, |draft| draft.demanded_by.is_some());
    for draft in drafts.iter().filter(|draft| draft.workers < draft.asked) {
        let missing = (draft.asked - draft.workers) as u64;
        let bytes = missing.saturating_mul(draft.per_worker);
        if let Some(origin) = &draft.demanded_by {
            let what = format!("{missing} more workers ({origin})");
            purse.take("items".to_owned(), keep.min(purse.left()));
            purse.expect(&specs[draft.stages.start].name, &what, bytes)?;
        }
    }
    Ok(())
}

/// Hands out workers beyond the first, one at a time, to whom lacks most, as long as the
/// purse has more than `keep`.
pub(super) fn add(drafts: &mut [Draft], specs: &[StageSpec], purse: &mut Purse, keep: u64) {
    add_to(drafts, specs, purse, keep, |_| true);
}

fn add_to(
    drafts: &mut [Draft],
    specs: &[StageSpec],
    purse: &mut Purse,
    keep: u64,
    whom: impl Fn(&Draft) -> bool,
) {
    loop {
        let fits = |draft: &&mut Draft| {
            whom(draft)
                && draft.workers < draft.asked
                && (draft.per_worker == 0 || purse.left().saturating_sub(keep) >= draft.per_worker)
        };
        // Compared by cross-multiplication: a / b < c / d is a * d < c * b.
        let lacking = drafts
            .iter_mut()
            .filter(fits)
            .min_by(|a, b| (a.workers * b.asked).cmp(&(b.workers * a.asked)));
        let Some(draft) = lacking else { break };
        draft.workers += 1;
        purse.take(holder(&specs[draft.stages.start]), draft.per_worker);
    }
}

/// Bytes that workers beyond the first keep, where each stage has as many as `workers` says.
pub(super) fn further(drafts: &[Draft], workers: impl Fn(usize, &Draft) -> usize) -> u64 {
    let further = |(at, draft): (usize, &Draft)| {
        draft.per_worker.saturating_mul(workers(at, draft) as u64 - 1)
    };
    drafts.iter().enumerate().map(further).fold(0, u64::saturating_add)
}

/// The most workers that `draft` may have when `one` gets the last of `wanted`, unless it got
/// more before tables did: who lacks most comes first, so no other has more than one worker
/// beyond the same part of what it asks for.
pub(super) fn workers_by_then(draft: &Draft, one: &Draft, wanted: usize) -> usize {
    match draft.demanded_by {
        Some(_) => draft.asked,
        None => draft.asked.min(draft.asked * (wanted - 1) / one.asked + 1),
    }
}

impl Draft {
    /// Where it has fewer workers than it asks for, says so, with the `short` bytes that would carry
    /// all; `by_quarter`, whether items of unknown size have a quarter meanwhile.
    pub(super) fn tell_what_is_missing(&mut self, short: u64, by_quarter: bool) {
        let Self { workers, asked, reason, .. } = self;
        if workers < asked {
            let beside = match by_quarter {
                true => " beside a quarter for items (see largest_item)",
                false => "",
            };
            *reason = format!(
                "limited by memory: {workers} of {asked} fit{beside}, {} more would carry all workers of \
                 all stages ({reason})",
                Bytes(short)
            );
        }
    }
}
