//! Whose turn it is at single moments, and what is left when there are no more.

use super::figures::{Run, stages};
use super::*;
use crate::engine::scheduler::pull::{QUICK_PULL, QUICK_PULLS};

#[test]
fn each_pull_may_take_twice_as_many_as_the_last_while_there_is_room() {
    let mut run = Run::new();
    run.scheduler.segments[0].nanos_per_item = 1.0;
    run.scheduler.segments[0].bound = 9;
    let mut most = Vec::new();
    for items in [1, 2, 1, 3] {
        let (id, allowed) = run.pull();
        run.read_into(&id, items, (items, 1));
        most.push(allowed);
    }
    assert_eq!(most, [1, 2, 4, 4], "eight aboard, of which four are there");
    assert_eq!((run.scheduler.read(), run.scheduler.aboard()), (7, 7));
    assert_eq!(run.scheduler.most_aboard(), 7);
}

#[test]
fn a_pull_asks_for_no_more_bytes_than_a_parcel_may_hold() {
    // That is 125: with the double of what was allowed the fourth would ask for 640.
    for (weight, heft, allowed) in
        [(80, 1.0, [1, 1, 1, 1]), (40, 1.0, [1, 2, 3, 3]), (40, 2.0, [1, 1, 1, 1])]
    {
        let mut run = Run::new();
        run.scheduler.segments[0].nanos_per_item = 1.0;
        run.scheduler.segments[0].bound = 9;
        run.scheduler.source.heft = heft;
        let most = allowed.map(|_| {
            let (id, most) = run.pull();
            run.read_into(&id, 1, (weight, 1));
            most
        });
        assert_eq!(most, allowed, "{weight} bytes, {heft} times");
    }
}

#[test]
fn the_source_is_read_while_there_is_a_core_and_room_in_the_first_queue() {
    let mut run = Run::new();
    run.read((1, 1));
    run.start();
    run.read((1, 1));
    run.start();
    assert!(run.idles() && !run.scheduler.has_work(0), "both cores are taken");
    let mut plan = stages();
    plan.segments[0].waits = true;
    let mut run = Run::of(&plan);
    for _ in 0..2 {
        run.read((1, 1));
        run.start();
    }
    run.read((1, 1));
    assert!(run.scheduler.has_work(0));
    run.read((1, 1));
    assert!(run.idles() && !run.scheduler.has_work(0), "two wait");
}

#[test]
fn a_source_that_was_quick_takes_a_core_until_it_is_seen_to_wait() {
    let mut run = Run::new();
    run.scheduler.source.quick_pulls = QUICK_PULLS - 1;
    run.read((1, 1));
    assert_eq!(run.scheduler.source.quick_pulls, QUICK_PULLS);
    run.start();
    let (id, _) = run.pull();
    assert_eq!(run.scheduler.computing, 2, "one runs, one is read");
    assert!(!run.scheduler.look_at_pull(QUICK_PULL - 1));
    assert!(run.scheduler.look_at_pull(QUICK_PULL) && !run.scheduler.look_at_pull(QUICK_PULL));
    assert_eq!(run.scheduler.computing, 1);
    run.now = QUICK_PULL;
    run.read_into(&id, 1, (1, 1));
    assert_eq!(run.scheduler.source.quick_pulls, 0, "it is not trusted again at once");
    run.start();
    assert!(run.idles(), "both cores are taken");
}

#[test]
fn a_pull_of_a_source_that_is_not_known_takes_no_core() {
    let mut run = Run::new();
    run.read((1, 1));
    run.start();
    run.pull();
    assert_eq!(run.scheduler.computing, 1);
    assert!(!run.scheduler.look_at_pull(Nanos::MAX), "so none is given back");
}

#[test]
fn a_worker_is_built_once() {
    let mut plan = stages();
    plan.segments[0].per_worker = 100;
    let mut run = Run::of(&plan);
    run.scheduler.observe(0, 5_000, 0);
    for kept in [100, 0] {
        run.read((1, 1));
        let begun = run.start();
        assert_eq!(run.scheduler.kept_from_now_on(&begun.1), kept, "by its first call");
        run.finish(begun);
        assert_eq!((run.scheduler.spare, run.scheduler.accounted()), (4_900, 100));
    }
}

#[test]
fn what_workers_keep_never_stops_a_segment() {
    let mut plan = stages();
    plan.segments.iter_mut().for_each(|segment| segment.per_worker = 100);
    let mut run = Run::of(&plan);
    run.scheduler.observe(0, 0, 0);
    run.read((1, 1));
    let first = run.start();
    let (second, _) = run.pull();
    run.pass(first, 0, (1, 1));
    assert_eq!(run.start().0, 1, "the first worker of all, although something is under way");
    run.read_into(&second, 1, (1, 1));
    run.pull();
    assert_eq!(run.start(), (0, second), "the worker that was built");
}

#[test]
fn a_consumer_gets_the_next_output_when_it_is_done_with_the_last() {
    let mut run = Run::new();
    run.scheduler.outside_sink = true;
    run.read((5, 5));
    run.read((5, 5));
    assert!(!run.scheduler.has_output() && run.scheduler.choose_output(0).is_none());
    for segment in [0, 1, 0, 1] {
        let begun = run.start();
        assert_eq!(begun.0, segment);
        run.pass(begun, 0, (5, 5));
    }
    assert!(run.scheduler.has_output());
    assert_eq!(run.scheduler.choose_output(0), Some((ItemId::new(0), ())));
    assert!(!run.scheduler.has_output(), "one at a time");
    run.finish((2, ItemId::new(0)));
    assert!(run.scheduler.has_output());
}

#[test]
fn a_deadline_ends_the_run_when_it_is_reached() {
    let mut scheduler = Scheduler::<()>::new(&stages(), false, Some(100));
    assert_eq!(scheduler.next_alarm(), Some(100));
    let Choice::Pull { id, .. } = scheduler.choose(99) else { panic!("there is time left") };
    assert!(matches!(scheduler.choose(100), Choice::Over));
    assert_eq!(scheduler.halted(), Some(Halt::TimeLimit));
    let (mut out, mut dropped) = (Run::made(&id, 0, 3, (5, 5)), Vec::new());
    scheduler.settle_pull(pulled(3), 101, &mut out, &mut dropped);
    assert_eq!((dropped.len(), scheduler.cancelled(), scheduler.aboard()), (1, 3, 0));
    assert_eq!(scheduler.ledger().held(), 0);
}

#[test]
fn what_waits_when_the_time_is_over_is_dropped_at_the_end() {
    let mut scheduler = Scheduler::<()>::new(&stages(), false, Some(100));
    let Choice::Pull { id, .. } = scheduler.choose(99) else { panic!("there is time left") };
    let (mut out, mut dropped) = (Run::made(&id, 0, 3, (5, 5)), Vec::new());
    scheduler.settle_pull(pulled(3), 99, &mut out, &mut dropped);
    scheduler.drop_rest(&mut dropped);
    assert!(dropped.is_empty(), "the run goes on");
    assert!(matches!(scheduler.choose(100), Choice::Over));
    scheduler.drop_rest(&mut dropped);
    assert_eq!((dropped.len(), scheduler.cancelled()), (1, 3));
    assert_eq!(scheduler.ledger().held(), 0);
}

#[test]
fn what_waits_is_dropped_and_counted_when_the_run_is_stopped() {
    let mut run = Run::new();
    let (id, _) = run.pull();
    run.read_into(&id, 3, (5, 5));
    let (id, _) = run.pull();
    run.read_into(&id, 2, (5, 5));
    let mut dropped = Vec::new();
    run.scheduler.halt(Halt::Broken, &mut dropped);
    run.scheduler.halt(Halt::Cancelled, &mut dropped);
    assert_eq!((dropped.len(), run.scheduler.cancelled(), run.scheduler.aboard()), (2, 5, 0));
    assert_eq!((run.scheduler.halted(), run.scheduler.most_aboard()), (Some(Halt::Broken), 5));
}

#[test]
fn no_more_calls_compute_than_there_are_cores_whatever_their_age() {
    let mut run = Run::new();
    for _ in 0..3 {
        run.read((1, 1));
    }
    let first = run.start();
    run.start();
    run.pass(first, 0, (1, 1));
    // The oldest waits for the second stage, the third for the first.
    run.scheduler.segments[1].running = 2;
    assert_eq!(run.start(), (0, ItemId::new(2)));
    run.scheduler.segments[1].running = 0;
    assert!(run.idles() && !run.scheduler.has_work(0), "both cores are taken");
}

#[test]
fn nothing_behind_the_first_failure_in_order_is_of_use() {
    for fails in [[2, 0], [0, 2]] {
        let mut plan = stages();
        plan.cores = 3;
        plan.segments[0].workers = 3;
        let mut run = Run::of(&plan);
        for _ in 0..3 {
            run.read((1, 1));
        }
        let begun = [run.start(), run.start(), run.start()];
        let mut dropped = Vec::new();
        for index in fails {
            let id = ItemId::new(index);
            let mut out = Settlement {
                consumed: vec![id.clone()],
                failed: Some(id),
                items: 1,
                ..Settlement::default()
            };
            run.scheduler.settle(0, 0, 0, &mut out, &mut dropped);
        }
        run.pass(begun[1].clone(), 0, (1, 1));
        assert!(run.scheduler.is_over() && dropped.is_empty(), "{fails:?}");
        assert_eq!((run.scheduler.cancelled(), run.scheduler.aboard()), (1, 0), "{fails:?}");
    }
}
