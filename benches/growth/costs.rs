//! What locks, steps and wake-ups cost on this machine.
//!
//! Items so heavy that a parcel holds one each pay for a pull, three steps and a delivery: on
//! one core what it costs with the scheduler in its own cache, on two what it costs when
//! that goes to and fro. The second is found by simulating the same run until it takes as
//! long.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll::simulation::{Machine, VirtualClock};
use plimsoll::{Budget, Footprint, GIB, MIB, Pipeline, Stage};

/// A budget of 1 GiB makes parcels of 128 MiB at the most, and has room for six of these
/// beside the oldest.
const HEAVY: u64 = 80 * MIB;

/// Turns with the lock that an item takes alone: the pull, three stages, the sink.
const TURNS: u64 = 5;

pub(crate) fn measure(quick: bool) -> Machine {
    let items = if quick { 2_000 } else { 200_000 };
    let rounds = if quick { 1 } else { 7 };
    let (wake, woken_after) = sleepers(if quick { 20 } else { 1_000 });
    let mut machine = Machine {
        hold_own: 0,
        hold_other: 0,
        step: 0,
        pass: hand_over(if quick { 1_000 } else { 1_000_000 }),
        lock_spin: lock_spin(),
        wake,
        woken_after,
        look: each(10_000, spin_loop),
        spawn: median(if quick { 9 } else { 101 }, spawn),
    };
    let alone = median(rounds, || one_by_one(1, items)) / TURNS;
    machine.hold_own = decides(items, &machine).min(alone);
    machine.step = alone - machine.hold_own;
    machine.hold_other = machine.hold_own;
    let shared = median(rounds, || one_by_one(2, items));
    // Bisection: the longer the lock is held, the longer an item takes.
    let (mut least, mut most) = (machine.hold_own, 20_000);
    while most - least > 5 {
        machine.hold_other = least + (most - least) / 2;
        let longer = simulated(2, items.min(20_000), &machine).0 > shared;
        if longer { most = machine.hold_other } else { least = machine.hold_other }
    }
    machine
}

pub(crate) fn print(machine: &Machine) {
    println!("\n### costs: nanoseconds on this machine\n\n{machine:#?}");
}

/// Nanoseconds an item that goes alone takes in a real run.
fn one_by_one(cores: usize, items: u64) -> u64 {
    let begun = Instant::now();
    let map = |item: u64| black_box(item);
    let pipeline = Pipeline::new(Stage::cpu("a").map(map))
        .then(Stage::memory("b", Footprint::none()).map(map))
        .then(Stage::cpu("c").map(map))
        .weigh_source(|_| HEAVY)
        .build(&Budget::new(GIB, cores).unmeasured())
        .expect("it fits");
    pipeline.run(0..items, |item| _ = black_box(item)).expect("nothing fails");
    begun.elapsed().as_nanos() as u64 / items
}

/// The same, simulated: nanoseconds an item, and real nanoseconds that one turn with the
/// scheduler takes.
fn simulated(cores: usize, items: u64, machine: &Machine) -> (u64, u64) {
    let pipeline = Pipeline::new(Stage::cpu("a").map(|item: u64| item))
        .then(Stage::memory("b", Footprint::none()).map(|item: u64| item))
        .then(Stage::cpu("c").map(|item: u64| item))
        .weigh_source(|_| HEAVY)
        .build(&Budget::new(GIB, cores))
        .expect("it fits");
    let clock = VirtualClock::new();
    let forecast = pipeline.job().simulate(0..items, drop, &clock, machine);
    let forecast = forecast.expect("nothing fails");
    let costs = forecast.costs;
    let turn = costs.deciding.as_nanos() as u64 / costs.locks;
    (forecast.report.elapsed().as_nanos() as u64 / items, turn)
}

/// What one turn with the scheduler takes with warm caches, the reading of the clock that
/// measures it taken off.
fn decides(items: u64, machine: &Machine) -> u64 {
    let clock = each(10_000, || _ = black_box(Instant::now()));
    let machine = Machine { hold_own: 300, hold_other: 300, step: 300, ..*machine };
    simulated(1, items, &machine).1.saturating_sub(clock)
}

/// What it costs to wake a sleeper: the waker, and until the sleeper runs.
fn sleepers(rounds: usize) -> (u64, u64) {
    let (rings, bell) = (Mutex::new(0usize), Condvar::new());
    let begun = Instant::now();
    let woken_at = AtomicU64::new(0);
    let (mut waking, mut sleeping) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=rounds {
                let mut seen = rings.lock().expect("nobody panics");
                while *seen < round {
                    seen = bell.wait(seen).expect("nobody panics");
                }
                drop(seen);
                woken_at.store(begun.elapsed().as_nanos() as u64, Ordering::Release);
            }
        });
        for _ in 0..rounds {
            // Long enough for it to be asleep.
            thread::sleep(Duration::from_micros(200));
            *rings.lock().expect("nobody panics") += 1;
            woken_at.store(0, Ordering::Release);
            let rung = begun.elapsed().as_nanos() as u64;
            bell.notify_one();
            waking.push(begun.elapsed().as_nanos() as u64 - rung);
            let woken = loop {
                match woken_at.load(Ordering::Acquire) {
                    0 => spin_loop(),
                    at => break at,
                }
            };
            sleeping.push(woken.saturating_sub(rung));
        }
    });
    (middle(waking), middle(sleeping))
}

/// From one core's write to another's that was waiting for it.
fn hand_over(rounds: u64) -> u64 {
    let turn = AtomicU64::new(0);
    let begun = Instant::now();
    let play = |mine: u64| {
        for round in 0..rounds {
            while turn.load(Ordering::Acquire) != 2 * round + mine {
                spin_loop();
            }
            turn.store(2 * round + mine + 1, Ordering::Release);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| play(1));
        play(0);
    });
    begun.elapsed().as_nanos() as u64 / (2 * rounds)
}

/// What it costs to start a thread, for the one that starts it.
fn spawn() -> u64 {
    let begun = Instant::now();
    let started = thread::spawn(|| ());
    let took = begun.elapsed().as_nanos() as u64;
    started.join().expect("it does nothing");
    took
}

/// How long `parking_lot` spins: 2, 4 and 8 pauses, then it yields seven times.
fn lock_spin() -> u64 {
    each(1_000, || {
        (0..14).for_each(|_| spin_loop());
        (0..7).for_each(|_| thread::yield_now());
    })
}

/// The least of some tries to do `deed` so often, for each.
fn each(rounds: u64, mut deed: impl FnMut()) -> u64 {
    let tries = (0..10).map(|_| {
        let begun = Instant::now();
        (0..rounds).for_each(|_| deed());
        begun.elapsed().as_nanos() as u64 / rounds
    });
    tries.min().expect("there were tries")
}

fn median(rounds: usize, measure: impl FnMut() -> u64) -> u64 {
    middle(std::iter::repeat_with(measure).take(rounds).collect())
}

fn middle(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all[all.len() / 2]
}
