//! Workers whose states are not built yet: how many may begin before it is known what
//! one really takes.

use super::pulled;
use crate::budget::Budget;
use crate::engine::scheduler::*;
use crate::plan::{Settings, plan};
use crate::queue::{Entry, Need};
use crate::report::WaitsFor;
use crate::stage::{Footprint, Stage};

/// A scheduler of one stage with four workers of `per_worker` bytes, and eight items
/// that wait for it.
fn waiting(per_worker: u64) -> Scheduler<()> {
    let footprint = Footprint::per_worker(per_worker);
    let spec = Stage::memory("model", footprint).workers(4).map(|(): ()| ()).spec;
    let settings = Settings { ordered: false, window: 64, largest_item: None };
    let plan = plan(&Budget::new(1_000_000, 8), &[spec], &settings).expect("it fits");
    assert_eq!(plan.segments[0].workers, 4);
    let mut scheduler = Scheduler::new(&plan, false, None);
    for index in 0..8 {
        let Choice::Pull { id, .. } = scheduler.pull().expect("the source is open") else {
            panic!("a pull is a pull")
        };
        let entry = Entry { items: 1, need: Need::default(), task: () };
        let made = Produced { id: id.clone(), segment: 0, weight: 1, entry };
        let mut out =
            Settlement { consumed: vec![id], produced: vec![made], ..Settlement::default() };
        scheduler.settle_pull(
            Pulled { ended: index == 7, ..pulled(1) },
            0,
            &mut out,
            &mut Vec::new(),
        );
    }
    scheduler
}

/// Starts as many calls as may start.
fn start_all(scheduler: &mut Scheduler<()>) -> Vec<ItemId> {
    let mut started = Vec::new();
    while let Choice::Run { first: (id, ()), .. } = scheduler.choose(0) {
        started.push(id);
    }
    started
}

fn finish(scheduler: &mut Scheduler<()>, id: ItemId) {
    let mut out = Settlement { consumed: vec![id], items: 1, ..Settlement::default() };
    scheduler.settle(0, 0, 0, &mut out, &mut Vec::new());
}

fn end(mut scheduler: Scheduler<()>, mut running: Vec<ItemId>) {
    while let Some(id) = running.pop() {
        finish(&mut scheduler, id);
        running.append(&mut start_all(&mut scheduler));
    }
    assert!(scheduler.is_over());
    assert_eq!(scheduler.ledger().held(), 0);
}

#[test]
fn the_first_is_a_scout_where_ten_times_as_much_would_not_fit() {
    let mut scheduler = waiting(1_000);
    scheduler.observe(0, 20_999, 0);
    let mut running = start_all(&mut scheduler);
    assert_eq!(running.len(), 1);
    assert!(!scheduler.has_work(0), "nobody is woken for what may not start");
    let state = scheduler.inspect()[0];
    assert_eq!((state.running, state.waits_for), (1, WaitsFor::RealMemory));
    let kept = 1_000;
    assert_eq!(scheduler.accounted(), kept + 8, "what is built and what waits");
    finish(&mut scheduler, running.remove(0));
    assert!(scheduler.has_work(0));
    let running = start_all(&mut scheduler);
    assert_eq!(running.len(), 4, "now it is known");
    end(scheduler, running);
}

#[test]
fn all_begin_at_once_where_even_ten_times_as_much_would_fit() {
    let mut scheduler = waiting(1_000);
    scheduler.observe(0, 43_000, 0);
    let running = start_all(&mut scheduler);
    assert_eq!(running.len(), 4);
    end(scheduler, running);
    let mut unmeasured = waiting(1_000);
    let running = start_all(&mut unmeasured);
    assert_eq!(running.len(), 4);
    end(unmeasured, running);
}

#[test]
fn no_further_worker_begins_while_real_memory_has_no_room_for_it() {
    let mut scheduler = waiting(1_000);
    scheduler.observe(0, 0, 0);
    let mut running = start_all(&mut scheduler);
    assert_eq!(running.len(), 1, "one always may");
    finish(&mut scheduler, running.remove(0));
    let mut running = start_all(&mut scheduler);
    assert_eq!(running.len(), 1, "it is the one that was built");
    assert!(scheduler.observe(0, 1_999, 0), "room was made");
    running.append(&mut start_all(&mut scheduler));
    assert_eq!(running.len(), 2, "one more fits, the next would not");
    assert!(!scheduler.observe(0, 0, 0));
    end(scheduler, running);
}
