//! When it is the window that holds a run up: single moments.

use super::figures::{Run, stages};
use super::*;
use crate::engine::scheduler::window::Shut;
use crate::report::WaitsFor;

/// Two stages of two workers each that wait, in that order; so many items may be aboard.
fn run(window: u64, ordered: bool) -> Run {
    let mut plan = stages();
    plan.segments.iter_mut().for_each(|segment| segment.waits = true);
    (plan.window, plan.ordered) = (window, ordered);
    Run::of(&plan)
}

/// For how long it was shut of late, had the source more.
fn shut_after(run: &mut Run, time: Nanos) -> Shut {
    let before = run.scheduler.source.shut_lately;
    run.now += time;
    run.scheduler.advance_clock(run.now);
    let after = run.scheduler.source.shut_lately;
    Shut { all: after.all - before.all, in_turn: after.in_turn - before.in_turn }
}

#[test]
fn the_window_is_to_blame_while_it_is_full_and_a_worker_has_nothing_to_do() {
    let mut run = run(2, false);
    let never = Shut::default();
    run.read((1, 1));
    run.start();
    assert_eq!(shut_after(&mut run, 5), never, "there is room");
    run.read((1, 1));
    assert_eq!(shut_after(&mut run, 5), never, "one waits for a call that may start");
    run.start();
    assert_eq!(shut_after(&mut run, 5), never, "both workers are at work");
    run.pass((0, ItemId::new(0)), 0, (1, 1));
    assert_eq!(shut_after(&mut run, 5), never, "one waits for the second stage");
    run.start();
    assert_eq!(run.scheduler.inspect_source(), Some(WaitsFor::Window));
    assert_eq!(shut_after(&mut run, 5), Shut { all: 5, in_turn: 0 });
    run.scheduler.computing = 2;
    assert_eq!(shut_after(&mut run, 5), never, "no core is free to read it");
    run.scheduler.computing = 0;
    (run.scheduler.segments[0].built, run.scheduler.segments[0].per_worker) = (1, 10);
    run.scheduler.spare = 9;
    assert_eq!(shut_after(&mut run, 5), never, "the other worker has no room for what it keeps");
    run.scheduler.spare = 100;
    assert_eq!(shut_after(&mut run, 5).all, 5);
    run.scheduler.source.open = false;
    assert_eq!(shut_after(&mut run, 5), never, "there is no more");
}

#[test]
fn a_full_queue_is_to_blame_before_the_window_is() {
    let mut run = run(4, false);
    for _ in 0..4 {
        run.read((1, 1));
        if run.scheduler.segments[0].running < 2 {
            run.start();
        }
    }
    assert_eq!(run.scheduler.inspect_source(), Some(WaitsFor::Downstream));
    assert_eq!(shut_after(&mut run, 5), Shut::default());
}

#[test]
fn what_is_done_and_waits_for_its_turn_is_told_apart() {
    let mut run = run(4, true);
    run.scheduler.segments[1].workers = 4;
    for _ in 0..4 {
        run.read((1, 1));
        let begun = run.start();
        run.pass(begun, 0, (1, 1));
        assert_eq!(run.start().0, 1);
    }
    let turns = |run: &mut Run, done: u64| {
        run.pass((1, ItemId::new(done)), 0, (1, 1));
        shut_after(run, 5)
    };
    assert_eq!(turns(&mut run, 1), Shut { all: 5, in_turn: 0 }, "one of four waits");
    assert_eq!(turns(&mut run, 2), Shut { all: 5, in_turn: 5 }, "two do");
    assert_eq!(turns(&mut run, 0), Shut::default(), "the sink may take the oldest");
    assert_eq!(run.start().0, 2);
    assert_eq!(shut_after(&mut run, 5), Shut::default(), "the others wait for the sink");
}

#[test]
fn a_batch_that_the_window_is_too_small_for_waits_for_it() {
    let mut plan = stages();
    (plan.window, plan.segments[0].gather) = (2, Some(3));
    plan.segments[0].queue_bound = 6;
    let mut run = Run::of(&plan);
    run.read((1, 1));
    run.read((1, 1));
    assert_eq!(shut_after(&mut run, LINGER), Shut { all: LINGER, in_turn: 0 });
    assert_eq!(shut_after(&mut run, 5), Shut::default(), "it may start now");
}

#[test]
fn the_window_kept_nothing_out_where_the_source_had_no_more() {
    let mut run = run(1, false);
    let once = |run: &mut Run| {
        run.read((1, 1));
        let begun = run.start();
        shut_after(run, 5);
        run.finish(begun);
    };
    once(&mut run);
    assert_eq!(run.scheduler.shut(), Shut::default(), "it may have been all");
    once(&mut run);
    assert_eq!(run.scheduler.shut().all, 5);
    let (id, _) = run.pull();
    let ended = Pulled { read: 0, ended: true, promised: false };
    let mut nothing = Settlement { consumed: vec![id], ..Settlement::default() };
    run.scheduler.settle_pull(ended, run.now, &mut nothing, &mut Vec::new());
    assert_eq!(run.scheduler.shut().all, 5, "nothing followed");
    assert!(run.scheduler.is_over());
}
