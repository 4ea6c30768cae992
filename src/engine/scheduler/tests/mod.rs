//! Every schedule of small pipelines: the real scheduler, driven through all
//! orders in which threads may ask for work and finish it.
//!
//! The search visits each reachable state once and checks that it is not stuck,
//! that the line holds, and at every end that each item met its fate and no byte is
//! lost. A move hands out work or takes it back, of which there is a limited
//! amount; so if no state without a move is anything but an end, every run ends.
//!
//! `model` holds the pipelines, `real` the scheduler as it is, `naive` schemes that
//! do not work: the search must find where they are stuck, or it would prove nothing.
//! `fairness` asks how long the others may go first, `workers` how many begin at once.
//! What no search looks at: `figures` are measured and told, `turns` are single moments,
//! `window` tells when that holds a run up.

mod fairness;
mod figures;
mod model;
mod naive;
mod real;
mod turns;
mod window;
mod workers;

use std::collections::HashSet;
use std::fmt::Debug;

use self::model::{Case, Item, Task, Verb, Work};
use super::*;

/// What comes of a pull that read as many items as it was promised, and may read more.
fn pulled(read: u64) -> Pulled {
    Pulled { read, ended: false, promised: true }
}

/// What a search explores.
trait Scheme: Clone + Debug {
    /// The states that one move of a thread leads to.
    fn moves(&self) -> Vec<Self>;
    /// The states that others may bring about at this moment. No progress may hang
    /// on them: a state that has only these is stuck.
    fn disturbances(&self) -> Vec<Self> {
        Vec::new()
    }
    /// Threads at work.
    fn busy(&self) -> usize;
    /// Whether `id` waits to be started in `segment`.
    fn waits(&self, id: &ItemId, segment: usize) -> bool;
    /// What is wrong with this state in itself.
    fn fault(&self) -> Option<String> {
        None
    }
    fn is_done(&self) -> bool;
    fn check_end(&self);
    /// All that tells this state from others.
    fn description(&self) -> String;
}

/// Visits every reachable state; how many there are, or one that is stuck.
fn search<S: Scheme>(start: S) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        if let Some(fault) = state.fault() {
            return Err(format!("{fault}: {state:#?}"));
        }
        let mut next = state.moves();
        if next.is_empty() {
            if !state.is_done() {
                return Err(format!("stuck: {state:#?}"));
            }
            state.check_end();
        }
        next.append(&mut state.disturbances());
        next.retain(|state| seen.insert(state.description()));
        open.append(&mut next);
    }
    Ok(seen.len())
}

/// Searches one of each `thin` cases, or with `LONG_SEARCH` set, all.
fn search_all(cases: &[Case], thin: usize) {
    let thin = if std::env::var_os("LONG_SEARCH").is_some() { 1 } else { thin };
    let (mut states, mut searched) = (0, 0);
    for case in cases.iter().step_by(thin) {
        let found = search(case.start());
        states += found.unwrap_or_else(|stuck| panic!("{case:?}\n{stuck}"));
        searched += 1;
    }
    println!("{states} states of {searched} cases");
    assert!(states > 40 * searched, "too small to prove anything: {states}");
}

/// Items for `map -> flat_map -> map`: the number of children, and the weight of each.
fn families(pattern: &[(u64, u64)]) -> Vec<Item> {
    let item = |&(children, child): &(u64, u64)| {
        let flat = Verb::Flat { works: 1, children, child };
        let verbs =
            vec![Verb::Map { works: 2, output: 2 }, flat, Verb::Map { works: 2, output: 2 }];
        Item { source: 1, verbs }
    };
    pattern.iter().map(item).collect()
}

/// Items for `map -> flat_map -> flat_map -> map`: the number of children, that of
/// each child's, and the weight of each of those.
fn clans(pattern: &[(u64, u64, u64)]) -> Vec<Item> {
    let item = |&(children, grandchildren, weight): &(u64, u64, u64)| {
        let verbs = vec![
            Verb::Map { works: 2, output: 2 },
            Verb::Flat { works: 1, children, child: 1 },
            Verb::Flat { works: 1, children: grandchildren, child: weight },
            Verb::Map { works: 1, output: 1 },
        ];
        Item { source: 1, verbs }
    };
    pattern.iter().map(item).collect()
}

/// Each case in completion order and in input order.
fn both_orders(cases: Vec<Case>) -> Vec<Case> {
    let orders = |case: Case| [false, true].map(|ordered| Case { ordered, ..case.clone() });
    cases.into_iter().flat_map(orders).collect()
}

/// Every combination of `cases` and `values`.
fn vary<V>(cases: Vec<Case>, values: &[V], set: impl Fn(&mut Case, &V)) -> Vec<Case> {
    let mut varied = Vec::with_capacity(cases.len() * values.len());
    for case in cases {
        for value in values {
            let mut case = case.clone();
            set(&mut case, value);
            varied.push(case);
        }
    }
    varied
}

/// `map -> flat_map -> map` in both orders, with some patterns of children.
fn usual_cases() -> Vec<Case> {
    let patterns: [&[(u64, u64)]; 5] = [
        &[(1, 1), (1, 1)],
        &[(2, 1), (2, 3)],
        &[(0, 1), (2, 2)],
        &[(2, 3), (0, 1), (1, 1)],
        &[(2, 1), (1, 4)],
    ];
    both_orders(patterns.iter().map(|pattern| Case::new(families(pattern))).collect())
}

#[test]
fn no_schedule_is_stuck_and_none_crosses_the_line() {
    let cases = vary(usual_cases(), &[1, 2], |case, workers| case.workers = *workers);
    let cases = vary(cases, &[0, 1, 3, 6], |case, spare| case.spare = *spare);
    let cases = vary(cases, &[1, 4], |case, bound| case.queue_bound = *bound);
    search_all(&vary(cases, &[None, Some(2)], |case, gather| case.gather = *gather), 3);
}

#[test]
fn two_flat_maps_in_a_row_are_not_stuck() {
    let patterns: [&[(u64, u64, u64)]; 3] =
        [&[(2, 2, 1), (1, 1, 1)], &[(1, 2, 3), (2, 1, 1)], &[(2, 0, 1), (0, 2, 1), (2, 1, 2)]];
    let cases = patterns.iter().map(|pattern| Case::new(clans(pattern))).collect();
    let cases = vary(both_orders(cases), &[1, 2], |case, workers| case.workers = *workers);
    search_all(&vary(cases, &[0, 2, 5], |case, spare| case.spare = *spare), 5);
}

#[test]
fn a_run_that_is_stopped_anywhere_ends_and_loses_nothing() {
    let mut cases = usual_cases();
    cases.push(Case::new(clans(&[(2, 2, 1), (1, 1, 1)])));
    let cases = vary(cases, &[0, 3], |case, spare| case.spare = *spare);
    let cases = vary(cases, &[1, 2], |case, workers| case.workers = *workers);
    let cases = vary(cases, &[false, true], |case, outside| {
        (case.outside_sink, case.may_stop) = (*outside, true);
    });
    search_all(&cases, 7);
}

#[test]
fn what_is_taken_over_from_a_blocked_source_is_not_lost_and_stops_nobody() {
    let cases = vary(usual_cases(), &[1, 2], |case, workers| case.workers = *workers);
    let cases = vary(cases, &[0, 1, 4], |case, spare| {
        (case.spare, case.blocks) = (*spare, true);
    });
    search_all(&vary(cases, &[false, true], |case, may_stop| case.may_stop = *may_stop), 3);
}

#[test]
fn what_is_older_than_a_failure_is_delivered() {
    let id = ItemId::new;
    let fails: [&[(ItemId, usize)]; 6] = [
        &[(id(0), 0)],
        &[(id(1), 1)],
        // A child fails that is not the last, and a grandchild in the sink's place.
        &[(id(0).child(0), 2)],
        &[(id(0).child(1).child(0), 3)],
        // An iterator fails midway.
        &[(id(1).child(1), 1)],
        // The younger may be the first to fail.
        &[(id(1), 0), (id(0).child(1), 1), (id(1).child(0), 2)],
    ];
    let clan = Case { may_stop: true, ..Case::new(clans(&[(2, 2, 1), (2, 1, 2)])) };
    let cases = vary(both_orders(vec![clan]), &fails, |case, fails| case.fails = fails.to_vec());
    search_all(&vary(cases, &[0, 4], |case, spare| case.spare = *spare), 5);
}

#[test]
fn stages_that_wait_and_guesses_that_are_too_large_stop_nobody() {
    let cases = vary(usual_cases(), &[1, 2], |case, workers| case.workers = *workers);
    let cases = vary(cases, &[0, 3], |case, spare| case.spare = *spare);
    let waiting = [Some(0), Some(1), Some(2)];
    let waiting =
        vary(cases.clone(), &waiting, |case, waits| (case.cores, case.waits) = (1, *waits));
    search_all(&waiting, 2);
    // A little too large, and larger than the whole line.
    search_all(&vary(cases, &[1, 1_000], |case, believed| case.believed = *believed), 2);
}

#[test]
fn whatever_real_memory_is_found_to_be_stops_nobody() {
    let patterns: [&[(u64, u64)]; 3] = [&[(2, 3)], &[(1, 1), (1, 2)], &[(0, 1), (2, 1)]];
    let cases = both_orders(patterns.map(|pattern| Case::new(families(pattern))).into());
    let cases = vary(cases, &[2, 1], |case, workers| case.workers = *workers);
    let cases = vary(cases, &[6, 1], |case, spare| (case.spare, case.unsettled) = (*spare, true));
    search_all(&cases, 6);
}

#[test]
#[should_panic(expected = "the reserve is smaller than a step of the oldest")]
fn a_reserve_one_unit_too_small_is_noticed() {
    let case = Case::new(families(&[(2, 1), (2, 3)]));
    assert!(search(case.start()).is_ok());
    let reserve = case.reserve - 1;
    let _ = search(Case { reserve, ..case }.start());
}

#[test]
fn a_queue_that_nobody_may_enter_is_found_to_be_stuck() {
    let case = Case { queue_bound: 0, ..Case::new(families(&[(1, 1)])) };
    assert!(search(case.start()).is_err_and(|stuck| stuck.starts_with("stuck")));
}
