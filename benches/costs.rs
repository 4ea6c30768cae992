//! What the machinery costs where it does nothing else: a permit, a run, a step; and what it costs
//! to be told of a run.
//!
//! ```sh
//! cargo bench --bench costs             # medians of many rounds
//! cargo bench --bench costs -- --quick  # a few, to see that it runs
//! cargo bench --bench costs -- --rounds 7
//! ```
//!
//! Times, so only a quiet machine tells anything; benches/instructions.rs counts what a busy
//! one can, too.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plimsoll::{Budget, Footprint, GIB, KIB, MIB, Monitor, Pipeline, Stage};

mod common;
use common::{median, take_flag, take_value, time};

/// A private room of the crate, built into this program, so that nothing of it need be public.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../src"]
mod rooms {
    pub(crate) mod ledger;
}
use rooms::ledger::{Account, Ledger};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = take_flag(&mut arguments, "--bench");
    let quick = take_flag(&mut arguments, "--quick") || !is_bench;
    let rounds = take_value(&mut arguments, "--rounds").map(|rounds| rounds.parse());
    let rounds = rounds.transpose().expect("--rounds wants a number");
    let rounds = rounds.unwrap_or(if quick { 3 } else { 101 });
    common::machine(quick);
    println!("\n| | median | least..most |\n|---|--:|--:|");
    row("permit, acquired and released, each under an uncontended lock", rounds, permit);
    row("run of no items by 8 workers, from start to stop", rounds, run);
    row("run of 8,000 items by 8 workers, none of which does anything", rounds, full_run);
    row("one step of six of an item on its own: pulled, 4 calls, delivered", rounds, step);
    println!("\n| 10,000 items of 20 us, two stages, two cores | median | to one that is not |");
    println!("|---|--:|--:|");
    let rounds = rounds.min(31);
    for (what, watched) in [
        ("recorded", Watched { record: true, ..Watched::default() }),
        ("watched: a snapshot every 10 ms", Watched { snapshots: true, ..Watched::default() }),
        ("told of stalls", Watched { stalls: true, ..Watched::default() }),
    ] {
        pair(what, rounds, watched);
    }
}

/// What a run is asked to tell.
#[derive(Clone, Copy, Default)]
struct Watched {
    record: bool,
    snapshots: bool,
    stalls: bool,
}

/// Prints what runs take that are watched, and the median of what each takes to its neighbour
/// that is not: in turns, so that both see the same machine.
fn pair(what: &str, rounds: usize, watched: Watched) {
    let pairs: Vec<_> =
        (0..rounds).map(|_| (of_20_us(Watched::default()), of_20_us(watched))).collect();
    let ratio = median(pairs.iter().map(|(plain, told)| told / plain));
    let took = median(pairs.iter().map(|(_, told)| *told));
    println!("| {what} | {} | {:+.1} % |", time(took), 100.0 * (ratio - 1.0));
}

/// Nanoseconds of a run of items that compute for 20 us.
fn of_20_us(watched: Watched) -> f64 {
    const ITEMS: u64 = 10_000;
    let half = |n: u64| (0..40_000).fold(n, |sum, n| black_box(sum ^ n));
    let pipeline = Pipeline::new(Stage::cpu("first").map(half).weigh(|_| 8));
    let second = Stage::memory("second", Footprint::none()).map(half);
    let pipeline = pipeline.then(second).build(&Budget::new(GIB, 2)).expect("it fits");
    let monitor = Monitor::new();
    let job = pipeline.job();
    let job = if watched.record { job.record() } else { job };
    let job = if watched.snapshots { job.monitor(&monitor) } else { job };
    let job = if watched.stalls { job.stall_after(Duration::from_millis(50)) } else { job };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if watched.snapshots {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    black_box(monitor.snapshot());
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let nanos = each(1, || {
            let report = job.run(0..ITEMS, drop).expect("nothing fails");
            assert_eq!(report.delivered(), ITEMS);
        });
        over.store(true, Ordering::Relaxed);
        nanos
    })
}

/// Prints the median of what `round` says: nanoseconds.
fn row(what: &str, rounds: usize, round: fn() -> f64) {
    round();
    let nanos: Vec<f64> = (0..rounds).map(|_| round()).collect();
    let least = nanos.iter().copied().fold(f64::INFINITY, f64::min);
    let most = nanos.iter().copied().fold(0.0, f64::max);
    println!("| {what} | {} | {}..{} |", time(median(nanos)), time(least), time(most));
}

/// Nanoseconds for one of `times` of what `work` does.
fn each(times: u64, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_nanos() as f64 / times as f64
}

fn permit() -> f64 {
    const PERMITS: u64 = 100_000;
    let ledger = Mutex::new(Ledger::new(GIB, MIB));
    let acquire = |bytes| {
        let mut ledger = ledger.lock();
        let mut permit = ledger.charge(0, Account::Common);
        assert!(ledger.admit(&mut permit, bytes).is_ok());
        permit
    };
    each(PERMITS, || {
        for _ in 0..PERMITS {
            let permit = black_box(acquire(black_box(KIB)));
            ledger.lock().release(permit);
        }
    })
}

/// Of a pipeline that is there already: what is measured starts and joins its threads.
fn run_of(items: u64) -> f64 {
    let stage = Stage::cpu("stage").map(|n: u64| n + 1);
    let pipeline = Pipeline::new(stage).build(&Budget::new(GIB, 8)).expect("it fits");
    each(1, || {
        let report = pipeline.run(0..items, drop).expect("nothing fails");
        assert_eq!(report.delivered(), items);
    })
}

fn run() -> f64 {
    run_of(0)
}

fn full_run() -> f64 {
    run_of(8_000)
}

/// One core, and a source that does not know whether it has more: no parcels.
fn step() -> f64 {
    const ITEMS: u64 = 5_000;
    const STEPS: u64 = 6;
    let call = |name| Stage::memory(name, Footprint::per_item(|_| MIB)).map(|n: u64| n + 1);
    let calls = Pipeline::new(call("first")).then(call("second")).then(call("third"));
    let pipeline = calls.then(call("fourth")).build(&Budget::new(GIB, 1)).expect("it fits");
    each(ITEMS * STEPS, || {
        let source = (0..u64::MAX).take_while(|n| *n < ITEMS);
        let report = pipeline.run(source, drop).expect("nothing fails");
        assert_eq!(report.delivered(), ITEMS);
    })
}
