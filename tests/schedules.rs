//! The real engine under random schedules of its threads: every lock, condition
//! variable, atomic and thread is a model checker's.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release --target-dir target/shuttle --test schedules`
//!
//! `SCHEDULES` sets the number of schedules of each test (default 1,000).
#![cfg(shuttle)]

use plimsoll::{Budget, CancelToken, Footprint, Pipeline, RunError, Stage};
use shuttle::rand::{Rng, thread_rng};

/// One pipeline, as the dice fell.
#[derive(Debug)]
struct Dice {
    cores: usize,
    workers: usize,
    ordered: bool,
    window: u64,
    items: u64,
    children: u64,
    batch: usize,
    /// Bytes that an item of the second stage works with.
    working: u64,
    spare: u64,
    fails_at: Option<u64>,
}

impl Dice {
    fn throw() -> Self {
        let mut rng = thread_rng();
        Self {
            cores: rng.gen_range(1..3),
            workers: rng.gen_range(1..4),
            ordered: rng.gen_bool(0.5),
            window: rng.gen_range(1..5),
            items: rng.gen_range(0..6),
            children: rng.gen_range(0..3),
            batch: rng.gen_range(1..4),
            working: rng.gen_range(0..200),
            spare: rng.gen_range(0..300),
            fails_at: rng.gen_bool(0.3).then(|| rng.gen_range(0..6)),
        }
    }

    fn pipeline(&self) -> Pipeline<'static, u64, u64> {
        let &Dice { children, working, fails_at, .. } = self;
        let check = Stage::cpu("check")
            .try_map(move |n: u64| if Some(n) == fails_at { Err("it is the one") } else { Ok(n) });
        let expand = Stage::memory("expand", Footprint::per_item(move |_| working))
            .workers(self.workers)
            .flat_map(move |n: u64| (0..children).map(move |child| 10 * n + child));
        let batch = Stage::memory("batch", Footprint::none())
            .workers(self.workers)
            .with_state(|| 0u64)
            .map_batch(self.batch, |calls, items: Vec<u64>| {
                *calls += 1;
                items.into_iter().map(|n| n + 1).collect()
            });
        let stages = Pipeline::new(check).then(expand).then(batch).window(self.window);
        let stages = if self.ordered { stages.ordered() } else { stages };
        // One item needs its own 8 bytes, what it works with, and its child's 8 + 8.
        let largest = working + 32;
        let budget = Budget::new(largest + self.spare, self.cores);
        stages.largest_item(largest).build(&budget).expect("it fits")
    }

    /// What a sequential run delivers, and whether it fails.
    fn expected(&self) -> (Vec<u64>, bool) {
        let fails = self.fails_at.is_some_and(|at| at < self.items);
        let end = if fails { self.fails_at.unwrap_or(0) } else { self.items };
        let outputs =
            (0..end).flat_map(|n| (0..self.children).map(move |child| 10 * n + child + 1));
        (outputs.collect(), fails)
    }

    fn check(&self, mut outputs: Vec<u64>, ended: Result<(), RunError>) {
        let (expected, fails) = self.expected();
        assert_eq!(ended.is_err(), fails, "{self:?}");
        if let Err(error) = ended {
            let item = error.item().expect("only an item fails").item().source_index();
            assert_eq!(Some(item), self.fails_at, "{self:?}");
        }
        if !self.ordered {
            outputs.sort_unstable();
        }
        assert_eq!(outputs, expected, "{self:?}");
    }
}

fn schedules() -> usize {
    std::env::var("SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// Half of the schedules switch threads at random; the other half (PCT) run the
/// threads by priorities that change at a few points, which finds what takes one
/// thread being left behind for long: a lost wake-up, say.
fn explore(body: impl Fn() + Send + Sync + Copy + 'static) {
    let half = schedules().div_ceil(2);
    shuttle::check_random(body, half);
    shuttle::check_pct(body, half, 3);
}

fn adds_up(report: &plimsoll::Report) {
    let fates = report.delivered() + report.filtered() + report.failed() + report.cancelled();
    assert_eq!(report.read() + report.children(), fates + report.expanded(), "{report}");
    assert!(report.peak_reserved() <= report.line(), "{report}");
}

#[test]
fn a_run_is_what_a_sequential_run_is() {
    let body = || {
        let dice = Dice::throw();
        let mut outputs = Vec::new();
        let ended = dice.pipeline().run(0..dice.items, |n| outputs.push(n));
        adds_up(ended.as_ref().unwrap_or_else(|error| error.report()));
        // Unordered, what is younger than a failure may be delivered before it.
        if !dice.ordered && ended.is_err() {
            let (expected, _) = dice.expected();
            let first = dice.fails_at.unwrap_or(0);
            outputs.retain(|n| (n - 1) / 10 < first);
            outputs.sort_unstable();
            assert_eq!(outputs, expected, "{dice:?}");
            return;
        }
        dice.check(outputs, ended.map(drop));
    };
    explore(body);
}

#[test]
fn a_stream_is_what_a_sequential_run_is_and_may_be_left_anywhere() {
    let body = || {
        let dice = Dice { fails_at: None, ..Dice::throw() };
        let taken = thread_rng().gen_range(0..12);
        let mut stream = dice.pipeline().stream(0..dice.items).expect("threads start");
        let outputs: Result<Vec<_>, _> = stream.by_ref().take(taken).collect();
        let outputs = outputs.expect("nothing fails");
        let (expected, _) = dice.expected();
        assert_eq!(outputs.len(), expected.len().min(taken), "{dice:?}");
        if dice.ordered {
            assert_eq!(outputs, expected[..outputs.len()], "{dice:?}");
        }
    };
    explore(body);
}

#[test]
fn a_token_pulled_at_any_time_ends_the_run() {
    let body = || {
        let dice = Dice { fails_at: None, ..Dice::throw() };
        let token = CancelToken::new();
        let puller = token.clone();
        let pull = shuttle::thread::spawn(move || puller.cancel());
        let ended = dice.pipeline().job().cancel(&token).run(0..dice.items, drop);
        pull.join().expect("cancelling does not panic");
        match ended {
            Ok(report) => adds_up(&report),
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                adds_up(error.report());
            }
        }
    };
    explore(body);
}
