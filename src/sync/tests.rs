//! What an item costs in locks and wake-ups, whatever the machine and its load.

use std::time::{Duration, Instant};

use super::counted::{Counts, counted};
use super::{Condvar, Mutex, MutexGuard, scope, spawn, spawn_scoped};
use crate::budget::Budget;
use crate::pipeline::{Pipeline, PipelineBuilder};
use crate::stage::{Footprint, Stage};
use crate::units::{KIB, MIB};

#[test]
fn locks_sleeps_and_wakes_are_counted() {
    let (value, bell) = (Mutex::new(0), Condvar::default());
    let ((), counts) = counted(|| {
        let mut guard = value.lock();
        MutexGuard::unlocked(&mut guard, || ());
        assert!(bell.wait_until(&mut guard, Instant::now()).timed_out());
        bell.notify_one();
    });
    assert_eq!(counts, Counts { locks: 3, sleeps: 1, wakes: 0 });
}

#[test]
fn threads_count_for_whoever_started_them() {
    let (asleep, bell) = (Mutex::new(false), Condvar::default());
    let lock_one = || drop(Mutex::new(0).lock());
    let ((), counts) = counted(|| {
        spawn("spawned".to_owned(), lock_one).expect("it starts").join().expect("no panic");
        scope(|scope| {
            let sleep = || {
                let mut guard = asleep.lock();
                *guard = true;
                while *guard {
                    bell.wait(&mut guard);
                }
            };
            spawn_scoped(scope, "scoped".to_owned(), sleep).expect("it starts");
            let mut woken = false;
            while !woken {
                std::thread::yield_now();
                woken = std::mem::take(&mut *asleep.lock());
            }
            bell.notify_all();
        });
    });
    assert_eq!((counts.sleeps, counts.wakes), (1, 1));
    assert!(counts.locks >= 4, "{counts:?}");
    assert_eq!(counted(|| ()).1, Counts { locks: 0, sleeps: 0, wakes: 0 });
}

/// Three stages that do next to nothing.
fn trivial() -> PipelineBuilder<'static, u64, u64> {
    let first = Stage::cpu("first").map(|n: u64| n.wrapping_mul(3));
    let second = Stage::memory("second", Footprint::shared(KIB)).map(|n: u64| n ^ 5);
    let third = Stage::cpu("third").map(|n: u64| n.rotate_left(7));
    Pipeline::new(first).then(second).then(third)
}

/// A look at real memory is taken by time, not by item, so none is taken here.
fn planned<'env>(pipeline: PipelineBuilder<'env, u64, u64>) -> Pipeline<'env, u64, u64> {
    pipeline.build(&Budget::new(256 * MIB, 2).unmeasured()).expect("it fits")
}

#[test]
fn small_items_share_locks_and_wake_ups() {
    const ITEMS: u64 = 1_000_000;
    let run = |pipeline: Pipeline<'_, u64, u64>| {
        pipeline.run(0..ITEMS, drop).expect("nothing fails").delivered()
    };
    let drain = |pipeline: Pipeline<'static, u64, u64>| {
        pipeline.stream(0..ITEMS).expect("threads start").count() as u64
    };
    for (what, (delivered, counts)) in [
        ("unordered", counted(|| run(planned(trivial())))),
        ("ordered", counted(|| run(planned(trivial().ordered())))),
        ("stream", counted(|| drain(planned(trivial().ordered())))),
    ] {
        assert_eq!(delivered, ITEMS);
        // A parcel holds 8,192 items at the most.
        assert!(counts.locks > ITEMS / 8_192, "{what}: not all is counted: {counts:?}");
        assert!(counts.locks < ITEMS / 20, "{what}: {counts:?}");
        assert!(counts.sleeps + counts.wakes < ITEMS / 200, "{what}: {counts:?}");
    }
    // A source that promises nothing is read on as long as it is quick: to each of its items
    // belongs a lock that nobody else wants, but no parcel.
    let unpromised = (0..).take_while(|n| *n < ITEMS);
    let run = || planned(trivial()).run(unpromised, drop).expect("nothing fails").delivered();
    let (delivered, counts) = counted(run);
    assert_eq!(delivered, ITEMS);
    assert!(counts.locks < ITEMS + ITEMS / 5, "{counts:?}");
    assert!(counts.sleeps + counts.wakes < ITEMS / 50, "{counts:?}");
}

#[test]
fn a_large_item_takes_a_handful_of_locks() {
    const ITEMS: u64 = 300;
    let work = |n: u64| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(200) {}
        n
    };
    let first = Stage::cpu("first").map(work).weigh(|_| KIB);
    let second = Stage::memory("second", Footprint::per_item(|_| KIB)).map(work);
    let pipeline = planned(Pipeline::new(first).then(second));
    let (report, counts) = counted(|| pipeline.run(0..ITEMS, drop).expect("nothing fails"));
    assert_eq!(report.delivered(), ITEMS);
    // It is pulled, called twice and delivered; each of the four takes the scheduler's
    // lock, and a lock that nobody else wants for each thing it touches.
    assert!((4 * ITEMS..20 * ITEMS).contains(&counts.locks), "{counts:?}");
    assert!(counts.sleeps + counts.wakes < 4 * ITEMS, "{counts:?}");
}
