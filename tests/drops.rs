//! Values are dropped once whatever the end of their run, and a drop that panics
//! aborts nothing.

mod common;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use common::{adds_up, alone, eventually, within};
use plimsoll::{Budget, CancelToken, Error, Footprint, MIB, Monitor, Pipeline, Snapshot, Stage};

/// A value of which every one that is made must be dropped once.
struct Counted(u64, Arc<AtomicI64>);

impl Counted {
    fn new(n: u64, alive: &Arc<AtomicI64>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(n, Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(self.1.fetch_sub(1, Ordering::SeqCst) > 0, "dropped twice");
    }
}

/// How a run is brought to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    Error,
    Panic,
    Token,
    Time,
    Sink,
    State,
    Source,
}

fn counted(
    end: End,
    alive: &Arc<AtomicI64>,
    token: &CancelToken,
) -> Pipeline<'static, u64, Counted> {
    let at = 700;
    let (makes, grows, pulls) = (Arc::clone(alive), Arc::clone(alive), token.clone());
    let models = Arc::clone(alive);
    let make = Stage::cpu("make").map(move |n| Counted::new(n, &makes));
    let fault = Stage::cpu("fault").try_map(move |value: Counted| match end {
        End::Error if value.0 == at => Err(format!("{at} fails")),
        End::Panic if value.0 == at => panic!("planned: {at} panics"),
        End::Token if value.0 == at => {
            pulls.cancel();
            Ok(value)
        }
        _ => Ok(value),
    });
    let two = Stage::cpu("two").flat_map(move |value: Counted| {
        let grows = Arc::clone(&grows);
        (0..2).map(move |_| Counted::new(value.0, &grows))
    });
    let late = AtomicU64::new(0);
    let batch = Stage::memory("batch", Footprint::per_worker(64))
        .try_with_state(move || {
            let fails = matches!(end, End::State) && late.fetch_add(1, Ordering::SeqCst) > 0;
            if fails { Err("no second model") } else { Ok(Counted::new(0, &models)) }
        })
        .map_batch(9, |_: &mut Counted, batch| {
            std::thread::yield_now();
            batch
        });
    let some = Stage::cpu("some")
        .filter_map(|value: Counted| (!value.0.is_multiple_of(3)).then_some(value));
    let pipeline = Pipeline::new(make).then(fault).then(two).then(batch).then(some);
    pipeline.build(&Budget::new(32 * 1024, 3)).expect("it fits")
}

#[test]
fn every_value_is_dropped_once_whatever_the_end() {
    let ends = [
        End::Whole,
        End::Error,
        End::Panic,
        End::Token,
        End::Time,
        End::Sink,
        End::State,
        End::Source,
    ];
    for (end, collect) in ends.into_iter().flat_map(|end| [(end, false), (end, true)]) {
        within(
            || format!("{end:?}, collect {collect}"),
            move || {
                let (alive, token) = (Arc::new(AtomicI64::new(0)), CancelToken::new());
                let pipeline = counted(end, &alive, &token);
                let items = if matches!(end, End::Time) { u64::MAX } else { 3_000 };
                let source = || {
                    (0..items).inspect(move |n| {
                        assert!(*n < 700 || !matches!(end, End::Source), "planned: no {n}");
                    })
                };
                let job = || {
                    let job = pipeline.job().cancel(&token);
                    let job = if collect { job.failures(drop) } else { job };
                    match end {
                        End::Time => job.time_limit(Duration::from_millis(20)),
                        _ => job,
                    }
                };
                let fails = matches!(end, End::Sink);
                let ended =
                    job().run(
                        source(),
                        |value: Counted| {
                            if fails && value.0 > 700 { Err("full") } else { Ok(()) }
                        },
                    );
                let report = ended.as_ref().unwrap_or_else(|error| error.report());
                adds_up(report);
                assert!(report.stages()[0].calls() <= report.read(), "{report}");
                assert_eq!(alive.load(Ordering::SeqCst), 0, "after a run");
                for taken in [0, 1, 500, usize::MAX] {
                    let stream = job().stream(source()).expect("threads");
                    let _ = stream.take(taken).count();
                    assert_eq!(alive.load(Ordering::SeqCst), 0, "after {taken} of a stream");
                }
            },
        );
    }
}

/// A value whose drop panics, and is told of.
struct Bomb(u64);

impl Bomb {
    fn number(&self) -> u64 {
        self.0
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("planned: bomb {}", self.0)
    }
}

fn plain(stage: Stage<'static, u64, u64>) -> Pipeline<'static, u64, u64> {
    Pipeline::new(stage).ordered().build(&Budget::new(MIB, 2)).expect("it fits")
}

fn bombs(stage: Stage<'static, u64, Bomb>) -> Pipeline<'static, u64, Bomb> {
    Pipeline::new(stage).ordered().build(&Budget::new(MIB, 2)).expect("it fits")
}

#[test]
fn values_whose_drop_panics_abort_nothing() {
    alone("values_whose_drop_panics_abort_nothing", || {
        let family = plain(Stage::cpu("family").flat_map(|n| Source(n, Bomb(n))));
        assert_eq!(family.run(0..29, drop).expect("it ends").delivered(), 29 * 29 - 29 * 28 / 2);
        let token = CancelToken::new();
        let pull = token.clone();
        let pipeline = bombs(Stage::cpu("make").map(move |n| {
            if n == 5_000 {
                pull.cancel();
            }
            Bomb(n)
        }));
        let ended = pipeline.job().cancel(&token).run(0..100_000, std::mem::forget);
        adds_up(ended.expect_err("it is cancelled").report());
        let mut stream = pipeline.stream(0..).expect("threads");
        std::mem::forget(stream.next());
        drop(stream);
        let error = pipeline.run(0..100, drop).expect_err("the sink's drop panics");
        assert!(error.to_string().ends_with("panicked: planned: bomb 0"), "{error}");
    });
}

/// Endless children of a `flat_map`, and a drop that panics.
struct Children(u64, #[allow(dead_code, reason = "it is dropped")] Bomb);

impl Iterator for Children {
    type Item = Bomb;

    fn next(&mut self) -> Option<Bomb> {
        self.0 += 1;
        Some(Bomb(self.0))
    }
}

/// What waits for each kind of stage, and iterators that are parked, when the run is
/// stopped by the first call of the last stage.
#[test]
fn what_waits_for_a_stage_may_panic_when_it_is_dropped() {
    alone("what_waits_for_a_stage_may_panic_when_it_is_dropped", || {
        for kind in ["map", "map_batch", "flat_map", "children"] {
            let (token, monitor) = (CancelToken::new(), Monitor::new());
            let stop = || {
                let waits = |it: Snapshot| it.stages().iter().rev().any(|it| it.queued() > 1);
                assert!(eventually(|| monitor.snapshot().is_some_and(waits)), "{kind}");
                token.cancel();
            };
            let make = match kind {
                "children" => Stage::cpu("make").flat_map(|n| Children(0, Bomb(n))),
                _ => Stage::memory("make", Footprint::none()).map(Bomb),
            };
            let slow = Stage::memory("slow", Footprint::none()).workers(1);
            let slow = match kind {
                "map_batch" => slow.map_batch(2, |batch: Vec<Bomb>| {
                    stop();
                    batch.into_iter().map(std::mem::forget).collect()
                }),
                "flat_map" => slow.flat_map(|bomb: Bomb| {
                    stop();
                    [std::mem::forget(bomb)]
                }),
                _ => slow.map(|bomb: Bomb| {
                    stop();
                    std::mem::forget(bomb)
                }),
            };
            let pipeline = Pipeline::new(make).then(slow).window(64);
            let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
            let job = pipeline.job().cancel(&token).monitor(&monitor);
            let error = job.run(0.., drop).expect_err("it is cancelled");
            assert!(matches!(error.error(), Error::Cancelled), "{kind}: {error}");
            adds_up(error.report());
        }
    });
}

/// Twenty-nine numbers, and a drop that panics.
struct Source(u64, #[allow(dead_code, reason = "it is dropped")] Bomb);

impl Iterator for Source {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 += 1;
        (self.0 < 30).then_some(self.0)
    }
}

#[test]
fn ends_and_states_whose_drop_panics_abort_nothing() {
    alone("ends_and_states_whose_drop_panics_abort_nothing", || {
        let state = || Stage::memory("m", Footprint::none()).workers(4).with_state(|| Bomb(0));
        let pipeline = plain(state().map(|_, n| n));
        assert_eq!(pipeline.run(Source(0, Bomb(1)), drop).expect("it ends").delivered(), 29);
        let bomb = Bomb(2);
        let report =
            pipeline.run(0..9, move |_| assert_eq!(Bomb::number(&bomb), 2)).expect("it ends");
        assert_eq!(report.delivered(), 9);
        assert_eq!(pipeline.stream(Source(0, Bomb(3))).expect("threads").count(), 29);
        let (bomb, mut failed) = (Bomb(4), 0);
        let fails = plain(state().map(|_, n| {
            assert!(n != 4, "planned");
            n
        }));
        let job = fails.job().failures(|_| failed += bomb.0);
        assert_eq!(job.run(0..9, drop).expect("failures are collected").delivered(), 8);
        std::mem::forget(bomb);
        let batch = Stage::cpu("s").try_with_state(|| Err::<(), _>("no state"));
        let pipeline = Pipeline::new(Stage::cpu("make").map(Bomb))
            .then(batch.map_batch(2, |(), batch: Vec<Bomb>| batch))
            .build(&Budget::new(MIB, 1))
            .expect("it fits");
        assert!(pipeline.run(0..5, std::mem::forget).is_err());
    });
}

/// Several values at once: what one drop's panic unwinds must not meet another's.
#[test]
fn all_ends_of_a_run_may_panic_when_they_are_dropped() {
    alone("all_ends_of_a_run_may_panic_when_they_are_dropped", || {
        let state = Stage::memory("m", Footprint::none()).workers(2).with_state(|| Bomb(0));
        let pipeline = plain(state.map(|_, n| n));
        let (sink, failures) = (Bomb(1), Bomb(2));
        let job = pipeline.job().failures(move |_| assert_eq!(failures.number(), 2));
        let ended = job.run(Source(0, Bomb(3)), move |_| assert_eq!(sink.number(), 1));
        assert_eq!(ended.expect("the run itself is whole").delivered(), 29);
        let failures = Bomb(2);
        let job = pipeline.job().failures(move |_| assert_eq!(failures.number(), 2));
        let mut stream = job.stream(Source(0, Bomb(3))).expect("threads");
        assert!(stream.next().is_some());
        drop(stream);
    });
}

/// A stream may outlive its pipeline; then the run drops what the functions captured.
#[test]
fn functions_whose_captures_panic_when_dropped_abort_nothing() {
    alone("functions_whose_captures_panic_when_dropped_abort_nothing", || {
        let bombs: [Bomb; 6] = std::array::from_fn(|n| Bomb(n as u64));
        let [call, state, weight, need, batch, source] = bombs;
        let first = Stage::cpu("first")
            .with_state(move || state.number())
            .flat_map(move |_, n: u64| [n + call.number()])
            .weigh(move |_| weight.number());
        let second = Stage::memory("second", Footprint::per_item(move |_| need.number()))
            .map_batch(3, move |numbers| {
                assert_eq!(batch.number(), 4);
                numbers
            });
        let pipeline = Pipeline::new(first)
            .then(second)
            .weigh_source(move |_| source.number())
            .build(&Budget::new(MIB, 2))
            .expect("it fits");
        let mut stream = pipeline.stream(0..).expect("threads");
        drop(pipeline);
        assert!(stream.next().is_some());
        drop(stream);
    });
}

/// An error that panics when it is dropped.
#[derive(Debug)]
struct Sharp(Option<&'static str>);

impl std::fmt::Display for Sharp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sharp")
    }
}

impl std::error::Error for Sharp {}

impl Drop for Sharp {
    fn drop(&mut self) {
        assert!(self.0.is_none(), "planned: sharp");
    }
}

#[test]
fn errors_whose_drop_panics_end_the_run_like_others() {
    alone("errors_whose_drop_panics_end_the_run_like_others", || {
        for _ in 0..20 {
            let both = Barrier::new(2);
            let state = Stage::memory("m", Footprint::none()).workers(2).try_with_state(|| {
                both.wait();
                Err::<(), _>(Sharp(Some("two fail at once")))
            });
            let pipeline = Pipeline::new(state.map(|(), n: u64| n));
            let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
            let error = pipeline.run((0..2).filter(|_| true), drop).expect_err("no state");
            assert_eq!(
                error.to_string(),
                "stage \"m\": a worker's state could not be built (`with_state`): sharp"
            );
            adds_up(error.report());
            std::mem::forget(error);
        }
        let refuse = Stage::cpu("refuse").try_map(|n: u64| match n {
            100.. => Err(Sharp(Some("all fail"))),
            _ => Ok(n),
        });
        let pipeline = plain(refuse);
        let error = pipeline.run(0..300, drop).expect_err("100 fails");
        assert_eq!(error.item().map(|item| item.item().source_index()), Some(100));
        std::mem::forget(error);
        let error =
            pipeline.run(0..300, |n| if n > 90 { Err(Sharp(Some("full"))) } else { Ok(()) });
        std::mem::forget(error.expect_err("the sink fails"));
    });
}
