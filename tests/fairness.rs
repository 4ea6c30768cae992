//! A large item under an endless stream of small ones, with real threads. What is
//! bounded is the number of younger items that are begun first (none in the stage
//! where it waits), not the time it takes.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use common::within;
use plimsoll::{Budget, Footprint, KIB, MIB, Pipeline, Stage};

/// The large item's place in the source.
const LARGE: u64 = 100;
const WORKERS: usize = 3;
/// As much as the reserve and the common account are each.
const HALF: u64 = 10_000;
/// What the large item works with: it fits only beside hardly anything else.
const MUCH: u64 = HALF - 100;

/// Opened when the large item's call begins.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    /// A younger item was called while the large one was kept waiting.
    passed: AtomicBool,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().expect("nobody panics") = true;
        self.opened.notify_all();
    }

    /// The large item was admitted before a younger one, so its call is about to
    /// begin, whatever the threads do.
    fn wait(&self) {
        let open = self.open.lock().expect("nobody panics");
        let patience = Duration::from_secs(15);
        let (open, _) =
            self.opened.wait_timeout_while(open, patience, |open| !*open).expect("nobody panics");
        self.passed.fetch_or(!*open, Ordering::SeqCst);
    }
}

/// `prepare`, by one worker and so in order, then `work`, by several, where one item
/// is large.
fn pipeline(gate: &Arc<Gate>, ordered: bool) -> Pipeline<'static, u64, u64> {
    let gate = Arc::clone(gate);
    let prepare = Stage::memory("prepare", Footprint::none()).workers(1).map(|n: u64| n);
    let bytes = |n: &u64| if *n == LARGE { MUCH } else { 500 };
    let work = Stage::memory("work", Footprint::per_item(bytes)).workers(WORKERS).map(move |n| {
        match n {
            LARGE => gate.open(),
            n if n > LARGE => gate.wait(),
            _ => {}
        }
        n
    });
    let stages = Pipeline::new(prepare).then(work).window(64);
    let stages = if ordered { stages.ordered() } else { stages };
    stages.largest_item(HALF).build(&Budget::new(2 * HALF, 2)).expect("it fits")
}

#[test]
fn nobody_younger_passes_a_large_item() {
    for ordered in [false, true] {
        within(
            || "the large item is kept waiting".to_owned(),
            move || {
                let gate = Arc::<Gate>::default();
                let stream = pipeline(&gate, ordered).stream(0..).expect("threads start");
                let outputs = stream.map(|output| output.expect("nothing fails"));
                let before: Vec<_> = outputs.take_while(|n| *n != LARGE).collect();
                assert!(!gate.passed.load(Ordering::SeqCst), "a younger item went first");
                let younger = before.iter().any(|n| *n > LARGE);
                assert!(!ordered || (before.len() == LARGE as usize && !younger));
            },
        );
    }
}

/// The oldest item is at work until those behind it have filled what there is for
/// those who wait their turn: the window, or the line. It still gets through.
#[test]
fn the_oldest_passes_a_full_reorder_buffer() {
    // Outputs of 1,000 bytes, which move in pairs: nine have room in the common account, so
    // at least eight get there, or as many as the window has.
    for (window, fits) in [(6, 5), (1_000, 8)] {
        within(
            || "the oldest item is stuck".to_owned(),
            move || {
                let done = Arc::new(AtomicU64::new(0));
                let count = Arc::clone(&done);
                let bytes = |n: &u64| if *n == 0 { MUCH } else { 900 };
                let work = Stage::memory("work", Footprint::per_item(bytes)).workers(WORKERS).map(
                    move |n: u64| {
                        if n == 0 {
                            let full = || count.load(Ordering::SeqCst) >= fits;
                            assert!(common::eventually(full), "the buffer is not filled");
                        }
                        count.fetch_add(1, Ordering::SeqCst);
                        n
                    },
                );
                let pipeline = Pipeline::new(work.weigh(|n| if *n == 0 { MUCH } else { 1_000 }))
                    .ordered()
                    .window(window)
                    .largest_item(HALF)
                    .build(&Budget::new(2 * HALF, 2))
                    .expect("it fits");
                let outputs = pipeline.stream(0..).expect("threads start").take(50);
                let outputs: Result<Vec<_>, _> = outputs.collect();
                let wanted: Vec<_> = (0..50).collect();
                assert_eq!(outputs.expect("nothing fails"), wanted);
            },
        );
    }
}

/// Children of a `flat_map`; how many of them are not dropped yet is counted.
struct Children<'a>(u64, &'a AtomicUsize);

impl Iterator for Children<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.checked_sub(1)?;
        Some(self.0)
    }
}

impl Drop for Children<'_> {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Items move together, but those behind one that is parked wait for it.
#[test]
fn no_more_items_are_taken_apart_at_once_than_there_are_workers() {
    let (live, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let split = Stage::cpu("split").flat_map(|_: u64| {
        most.fetch_max(live.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Children(20, &live)
    });
    // So heavy that a parcel holds two.
    let split = Pipeline::new(split.weigh(|_| 50 * KIB));
    let pipeline = split.build(&Budget::new(MIB, 2)).expect("it fits");
    let report = pipeline.run(0..5_000, drop).expect("nothing fails");
    assert_eq!(report.delivered(), 100_000);
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 8, "{most} at once");
}

/// Light items make large parcels, so the heavy ones behind them are all in one or two; who
/// has such a parcel shares what is left of it.
#[test]
fn nobody_keeps_heavy_items_from_those_who_have_nothing_to_do() {
    const LIGHT: u64 = 4_000;
    const HEAVY: u64 = 40;
    // Fifty and more of the light ones make a parcel, but not so many that it is looked at
    // only every so often whether others would help.
    let spin = || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(20) {}
    };
    for ordered in [false, true] {
        let callers = Mutex::new(HashMap::<ThreadId, u64>::new());
        let work = Stage::cpu("work").map(|n: u64| {
            if n < LIGHT {
                spin();
            } else {
                std::thread::sleep(Duration::from_millis(5));
                let mut callers = callers.lock().expect("nobody panics");
                *callers.entry(std::thread::current().id()).or_default() += 1;
            }
            n
        });
        let pipeline = Pipeline::new(work);
        let pipeline = if ordered { pipeline.ordered() } else { pipeline };
        let pipeline = pipeline.build(&Budget::new(64 * MIB, 4)).expect("it fits");
        let report = pipeline.run(0..LIGHT + HEAVY, drop).expect("nothing fails");
        assert_eq!(report.delivered(), LIGHT + HEAVY);
        drop(pipeline);
        let callers = callers.into_inner().expect("nobody panics");
        assert!(callers.len() > 1, "one thread had all of them: {callers:?}");
        let most = callers.values().max().expect("somebody called");
        assert!(*most <= HEAVY / 2 + 2, "one thread had most of them: {callers:?}");
    }
}
