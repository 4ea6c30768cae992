//! The real engine under random schedules of its threads: every lock, condition
//! variable, atomic and thread is a model checker's. The pipelines are random, too,
//! and each run is held to what a sequential run does.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release --target-dir target/shuttle --test schedules`
//!
//! `SCHEDULES` sets the number of schedules of each test (default 1,000).
#![cfg(shuttle)]

mod common;
mod equivalence_model;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::adds_up;
use equivalence_model::compare::{self, Piped};
use equivalence_model::{Case, Expected, SMALL, cases};
use plimsoll::{Budget, CancelToken, Error, Pipeline, Stage};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// A pipeline, as the dice of this schedule fell, and what comes of it.
fn throw() -> (Case, Piped, Expected) {
    common::hush();
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&thread_rng().gen_range(0..u64::MAX).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Default::default(), rng);
    let mut case = cases(&SMALL).new_tree(&mut runner).expect("no case is refused").current();
    let pipeline = loop {
        match case.build(&case.states()) {
            Ok(pipeline) => break pipeline,
            // So the budget is often the least that will do.
            Err(Error::NoRoom { .. }) => case.memory += case.memory.div_ceil(2),
            Err(Error::LargestItem { needed, .. }) => case.largest = Some(needed),
            Err(other) => panic!("{other}"),
        }
    };
    let expected = case.expected(pipeline.plan());
    see(&pipeline, &expected);
    (case, pipeline, expected)
}

/// Cases that were thrown; those with two outputs or more, with a failure, with
/// calls that wait.
static SEEN: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

fn see(pipeline: &Piped, expected: &Expected) {
    let (failures, outputs) = (expected.failures().len(), expected.outputs().len());
    let waits = pipeline.plan().threads() > pipeline.plan().cores() + 1;
    let kinds = [true, outputs > 1, failures > 0, waits];
    for (seen, count) in kinds.into_iter().zip(&SEEN) {
        count.fetch_add(usize::from(seen), Ordering::Relaxed);
    }
}

/// Says which case it was if the body fails.
struct Told<'a>(&'a Case);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:#?}", self.0);
        }
    }
}

fn schedules() -> usize {
    std::env::var("SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// Half of the schedules switch threads at random; the other half (PCT) run the
/// threads by priorities that change at a few points, which finds what takes one
/// thread being left behind for long: a lost wake-up, say.
fn explore(body: impl Fn(&Case, &Piped, &Expected) + Send + Sync + Copy + 'static) {
    let thrown = move || {
        // A case of which nothing is to be seen is not run, and the checker takes it for
        // a mistake if there is only one thread.
        let other = shuttle::thread::spawn(|| ());
        shuttle::thread::yield_now();
        other.join().expect("it does nothing");
        let (case, pipeline, expected) = throw();
        let told = Told(&case);
        body(told.0, &pipeline, &expected);
    };
    let half = schedules().div_ceil(2);
    let mut config = Config::new();
    // Making a case takes more than the checker gives a thread by itself.
    config.stack_size = 1 << 18;
    Runner::new(RandomScheduler::new(half), config.clone()).run(thrown);
    Runner::new(PctScheduler::new(3, half), config).run(thrown);
    // Easy cases alone would prove nothing.
    let [all, seen @ ..] = SEEN.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert!(seen.iter().all(|seen| *seen > all / 10), "of {all} only {seen:?}");
}

#[test]
fn a_run_is_what_a_sequential_run_is() {
    explore(|case, pipeline, expected| match thread_rng().gen_range(0..3) {
        0 => compare::collects(case, pipeline, expected),
        _ => compare::fails_fast(case, pipeline, expected),
    });
}

#[test]
fn a_stream_is_what_a_sequential_run_is_and_may_be_left_anywhere() {
    explore(|case, pipeline, expected| match thread_rng().gen_range(0..3) {
        0 => compare::streams(case, pipeline, expected),
        1 => compare::stream_fails_fast(case, pipeline, expected),
        _ => compare::leaves_early(case, pipeline, expected),
    });
}

/// Items enough for parcels of several, of which the rest goes to those who have nothing to
/// do, at whatever moment, in the middle of two stages that run in one go, too.
#[test]
fn what_is_shared_is_done_once_and_in_order() {
    const ITEMS: u64 = 20;
    let body = || {
        let (ordered, fails) = (thread_rng().gen_bool(0.5), thread_rng().gen_range(0..2 * ITEMS));
        let first = Stage::cpu("first").filter_map(|n: u64| (n % 5 != 3).then_some(n));
        let second =
            Stage::cpu("second").try_map(move |n| if n == fails { Err("it") } else { Ok(n) });
        let pipeline = Pipeline::new(first).then(second);
        let pipeline = if ordered { pipeline.ordered() } else { pipeline };
        let pipeline = pipeline.build(&Budget::new(100_000, 3)).expect("it fits");
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        let job = pipeline.job().failures(|failure| failed.push(failure.item().source_index()));
        let report = job.run(0..ITEMS, |n| made.push(n)).expect("failures are collected");
        adds_up(&report);
        let kept = (0..ITEMS).filter(|n| n % 5 != 3);
        let (lost, wanted): (Vec<_>, Vec<_>) = kept.partition(|n| *n == fails);
        assert_eq!(failed, lost);
        if !ordered {
            made.sort_unstable();
        }
        assert_eq!(made, wanted);
    };
    shuttle::check_random(body, schedules() / 4);
    shuttle::check_pct(body, schedules() / 4, 3);
}

#[test]
fn a_token_pulled_at_any_time_ends_the_run() {
    explore(|case, pipeline, expected| {
        if thread_rng().gen_bool(0.3) {
            return compare::cancels(case, pipeline, expected);
        }
        let token = CancelToken::new();
        let puller = token.clone();
        let pull = shuttle::thread::spawn(move || puller.cancel());
        let job = pipeline.job().failures(drop).cancel(&token);
        if thread_rng().gen_bool(0.5) {
            match job.run(case.source(), drop) {
                Ok(report) => adds_up(&report),
                Err(error) => {
                    assert!(error.is_cancelled(), "{error}");
                    adds_up(error.report());
                }
            }
        } else {
            let mut stream = job.stream(case.source()).expect("threads start");
            let error = stream.by_ref().find_map(Result::err);
            assert!(error.is_none_or(|error| error.is_cancelled()));
            adds_up(stream.report().expect("it has ended"));
        }
        pull.join().expect("cancelling does not panic");
    });
}
