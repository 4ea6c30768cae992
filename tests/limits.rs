//! Plans that are refused, and what a plan bounds while a run is under way: bytes,
//! items, calls, batches, states.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

use common::{adds_up, eventually, mix, within};
use plimsoll::{
    Budget, Cause, Error, Footprint, KIB, MIB, Pipeline, PipelineBuilder, Stage, StageBuilder,
};

fn stage(name: &str) -> StageBuilder<'static, u64> {
    Stage::cpu(name)
}

fn one(stage: Stage<'static, u64, u64>) -> PipelineBuilder<'static, u64, u64> {
    Pipeline::new(stage)
}

/// A memory stage of `bytes` for each worker.
fn model(name: &str, bytes: u64) -> StageBuilder<'static, u64> {
    Stage::memory(name, Footprint::per_worker(bytes))
}

/// The parts of a refusal for want of room.
fn no_room(ended: Result<Pipeline<'static, u64, u64>, Error>) -> (String, u64, u64) {
    let error = ended.expect_err("it does not fit");
    let text = error.to_string();
    let Error::NoRoom { stage, needed, available, enough, .. } = error else { panic!("{text}") };
    assert!(text.contains(&format!("stage {stage:?} does not fit")), "{text}");
    let would_do = enough.map(|bytes| format!("raise the budget (`{bytes}` would do)"));
    assert!(would_do.is_some_and(|told| text.contains(&told)), "{text}");
    (stage, needed, available)
}

#[test]
fn what_cannot_fit_is_refused_with_the_stage_and_the_bytes() {
    let budget = Budget::new(1_000, 2);
    let small = || one(stage("small").map(|n| n));
    let missing = no_room(small().then(model("large", 1_001).map(|n| n)).build(&budget));
    assert_eq!(missing, ("large".to_owned(), 1_001, 1_000));
    let second = model("b", 400).map(|n: u64| n);
    let missing = no_room(one(model("a", 700).map(|n| n)).then(second).build(&budget));
    assert_eq!(missing, ("b".to_owned(), 400, 300));
    let table = stage("t").footprint(Footprint::shared(5_000)).map(|n| n);
    assert_eq!(no_room(one(table).build(&budget)), ("t".to_owned(), 5_000, 1_000));
    let missing = no_room(small().largest_item(1_001).build(&budget));
    assert_eq!(missing, ("small".to_owned(), 1_001, 1_000));
    assert!(small().largest_item(1_000).build(&budget).is_ok());
    assert_eq!(no_room(small().build(&Budget::new(31, 1))), ("small".to_owned(), 32, 31));
    assert_eq!(small().build(&Budget::new(32, 1)).expect("it fits").plan().line(), 32);
}

#[test]
fn names_and_numbers_that_cannot_be_worked_with_are_refused() {
    let budget = Budget::new(MIB, 2);
    let clash = one(stage("look up").map(|n| n)).then(stage("Look-Up").map(|n: u64| n));
    let error = clash.build(&budget).expect_err("the names clash");
    assert!(
        matches!(&error, Error::NameClash { variable, .. } if variable == "LOOK_UP"),
        "{error}"
    );
    let error = one(stage("?!").map(|n| n)).build(&budget).expect_err("no letter");
    assert!(matches!(error, Error::StageName { position: 1, .. }));
    let plain = || one(stage("s").map(|n| n));
    let refused = [
        (plain().window(0).build(&budget), "the window"),
        (plain().largest_item(0).build(&budget), "the largest item"),
        (one(stage("s").workers(0).map(|n| n)).build(&budget), "the number of workers"),
        (one(stage("s").workers(1 << 20).map(|n| n)).build(&budget), "the number of workers"),
        (one(stage("s").map_batch(0, |batch| batch)).build(&budget), "the batch size"),
        (plain().build(&budget.clone().with_workers("s", 5_000)), "the number of workers"),
        (plain().build(&budget.clone().with_workers("s", 0)), "the number of workers"),
        (plain().build(&Budget::new(MIB, 1 << 20)), "the number of cores"),
    ];
    for (ended, wanted) in refused {
        let error = ended.expect_err(wanted);
        assert!(matches!(error, Error::Setting { what, .. } if what == wanted), "{error}");
    }
    for budget in [Budget::new(0, 1), Budget::new(1, 0)] {
        assert!(matches!(plain().build(&budget), Err(Error::ZeroBudget { .. })));
    }
}

#[test]
fn a_budgets_overrides_are_heard_or_refused() {
    let two = || one(model("a", 100).map(|n| n)).then(model("b", 100).map(|n: u64| n));
    let workers = |budget: &Budget| {
        let pipeline = two().build(budget).expect("it fits");
        [0, 1].map(|stage| pipeline.plan().stages()[stage].workers())
    };
    assert_eq!(workers(&Budget::new(MIB, 4)), [4, 4]);
    assert_eq!(workers(&Budget::new(MIB, 4).with_workers("a", 9)), [9, 4]);
    assert_eq!(workers(&Budget::new(1_000, 4).with_footprint("a", 300)), [2, 2]);
    let greedy = Budget::new(1_000, 4).with_workers("a", 9);
    assert_eq!(no_room(two().build(&greedy)).0, "a");
    let heavy = Budget::new(1_000, 4).with_footprint("b", 950);
    assert_eq!(no_room(two().build(&heavy)), ("b".to_owned(), 950, 900));
    let fused = one(stage("a").map(|n| n)).then(stage("b").workers(1).map(|n: u64| n));
    let plan = fused.build(&Budget::new(MIB, 4).with_workers("a", 3)).expect("it fits");
    assert_eq!([0, 1].map(|stage| plan.plan().stages()[stage].workers()), [3, 1]);
}

/// A demand comes before what others would merely like to have.
#[test]
fn a_demand_that_fits_is_met() {
    let greedy = model("greedy", 100).workers(16).map(|n: u64| n);
    let asked = one(model("asked", 100).map(|n| n)).then(greedy);
    let pipeline = asked.build(&Budget::new(1_200, 8).with_workers("asked", 6));
    let pipeline = pipeline.expect("6 of one and 1 of the other are 700 of 1,200 bytes");
    assert_eq!(pipeline.plan().stages()[0].workers(), 6);
}

#[test]
fn an_item_larger_than_the_reserve_fails_with_the_numbers() {
    within(
        || "too large".to_owned(),
        || {
            let flat = Stage::cpu("flat").flat_map(|n: u64| [n, n]);
            let exact = Pipeline::new(flat)
                .weigh_source(|n| if *n == 1 { 1_000 } else { 992 })
                .largest_item(1_000)
                .build(&Budget::new(MIB, 1))
                .expect("it fits");
            let plain = Stage::memory("m", Footprint::per_item(|n: &u64| 900 + n)).map(|n: u64| n);
            let heavy = Pipeline::new(plain)
                .weigh_source(|n| if *n == 1 { u64::MAX } else { 50 })
                .largest_item(1_000)
                .build(&Budget::new(MIB, 1))
                .expect("it fits");
            for (pipeline, wanted, children) in [(exact, 1_008, 2), (heavy, (1 << 48) + 901, 1)] {
                let mut causes = Vec::new();
                let job = pipeline.job().failures(|error| causes.push(error));
                let report = job.run(0..5u64, drop).expect("the others go on");
                adds_up(&report);
                assert_eq!((report.failed(), report.delivered()), (1, 4 * children));
                assert_eq!(causes[0].item().source_index(), 1);
                let Cause::TooLarge { needed, allowed, .. } = causes[0].cause() else {
                    panic!("{}", causes[0])
                };
                assert_eq!((*needed, *allowed), (wanted, 1_000));
                let error = pipeline.run(0..5u64, drop).expect_err("it is the first failure");
                assert!(error.to_string().contains("that one item may have"), "{error}");
            }
        },
    );
}

#[test]
fn the_smallest_budgets_and_the_largest_weights_are_got_over() {
    within(
        || "tiny budgets, huge weights".to_owned(),
        || {
            for bytes in 32..200 {
                let twice = |name| Stage::cpu(name).flat_map(|n: u64| [n, n]);
                let nested = Pipeline::new(twice("a")).then(twice("b"));
                let pipeline = nested.ordered().build(&Budget::new(bytes, 2)).expect("it fits");
                let report = pipeline.job().failures(drop).run(0..3, drop).expect("it goes on");
                adds_up(&report);
                assert_eq!(report.delivered() == 12, pipeline.plan().reserve() >= 24, "{bytes}");
            }
            let both = Barrier::new(2);
            let huge = Stage::cpu("huge")
                .map(|n: u64| {
                    if n < 2 {
                        both.wait();
                    }
                    n
                })
                .weigh(|_| u64::MAX);
            let pipeline = Pipeline::new(huge).ordered().build(&Budget::new(MIB, 2)).expect("fits");
            let report = pipeline.run((0..500).filter(|_| true), drop).expect("it goes on");
            assert_eq!(report.delivered(), 500);
            assert!(report.peak_overweight() > 1 << 47);
        },
    );
}

/// Counts what is going on at once, and the most of it.
#[derive(Default)]
struct Gauge(AtomicU64, AtomicU64);

impl Gauge {
    fn enter(&self, amount: u64) {
        let now = self.0.fetch_add(amount, Ordering::SeqCst) + amount;
        self.1.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::SeqCst);
    }

    fn most(&self) -> u64 {
        self.1.load(Ordering::SeqCst)
    }
}

#[test]
fn footprints_of_items_bound_the_calls_at_once() {
    for largest in [None, Some(KIB + 8)] {
        within(
            || format!("declared bytes, largest {largest:?}"),
            move || {
                let bytes = |n: &u64| mix(3, *n) % KIB;
                let gauge = Gauge::default();
                let footprint = Footprint::per_item(bytes);
                let work = Stage::memory("work", footprint).workers(16).map(|n: u64| {
                    gauge.enter(bytes(&n));
                    std::thread::sleep(Duration::from_micros(300));
                    gauge.leave(bytes(&n));
                });
                let builder = Pipeline::new(work);
                let builder = match largest {
                    Some(bytes) => builder.largest_item(bytes),
                    None => builder,
                };
                let pipeline = builder.build(&Budget::new(3 * KIB, 2)).expect("it fits");
                let report = pipeline.run(0..500, drop).expect("no item is too large");
                assert_eq!(report.delivered(), 500);
                adds_up(&report);
                let most = gauge.most();
                assert!(most <= report.peak_reserved() && most > KIB, "{most} at once\n{report}");
            },
        );
    }
}

/// Notes that two calls have one state at a time.
struct Private(AtomicBool);

#[test]
fn a_worker_has_one_state_for_all_its_calls_and_one_call_at_a_time() {
    within(
        || "states of workers".to_owned(),
        || {
            let (built, calls) = (AtomicUsize::new(0), Gauge::default());
            let stage = Stage::memory("s", Footprint::per_worker(10)).workers(5).with_state(|| {
                built.fetch_add(1, Ordering::SeqCst);
                Private(AtomicBool::new(false))
            });
            let stage = stage.map(|state: &mut Private, n: u64| {
                assert!(!state.0.swap(true, Ordering::SeqCst), "one state, two calls");
                calls.enter(1);
                std::thread::sleep(Duration::from_micros(200));
                calls.leave(1);
                state.0.store(false, Ordering::SeqCst);
                n
            });
            let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 2)).expect("it fits");
            for _ in 0..3 {
                built.store(0, Ordering::SeqCst);
                assert_eq!(pipeline.run(0..300, drop).expect("nothing fails").delivered(), 300);
                assert!((1..=5).contains(&built.load(Ordering::SeqCst)), "each run has its own");
                assert!(calls.most() <= 5);
            }
        },
    );
}

#[test]
fn cores_bound_the_calls_that_compute() {
    within(
        || "calls that compute".to_owned(),
        || {
            let calls = Gauge::default();
            let work = |n: u64| {
                calls.enter(1);
                std::thread::sleep(Duration::from_micros(100));
                calls.leave(1);
                n
            };
            let pipeline = Pipeline::new(Stage::cpu("a").map(work))
                .then(Stage::memory("b", Footprint::none()).map(work))
                .then(Stage::cpu("c").map_batch(3, |batch| batch.into_iter().map(work).collect()))
                .build(&Budget::new(MIB, 3))
                .expect("it fits");
            assert_eq!(pipeline.run(0..500, drop).expect("nothing fails").delivered(), 500);
            assert!(calls.most() <= 3, "{} calls computed on 3 cores", calls.most());
        },
    );
}

#[test]
fn batches_are_no_larger_than_asked_and_not_tiny_under_load() {
    for (most, cores) in [(1, 1), (8, 1), (64, 3), (usize::MAX, 2)] {
        within(
            || format!("batches of {most} on {cores} cores"),
            move || {
                let sizes = Mutex::new(Vec::new());
                let batch = Stage::cpu("batch").map_batch(most, |batch: Vec<u64>| {
                    assert!(batch.is_sorted(), "oldest first");
                    sizes.lock().expect("no panic").push(batch.len());
                    std::thread::sleep(Duration::from_micros(100));
                    batch
                });
                let pipeline = Pipeline::new(Stage::cpu("n").map(|n: u64| n)).then(batch);
                let pipeline = pipeline.build(&Budget::new(MIB, cores)).expect("it fits");
                let report = pipeline.run(0..4_000, drop).expect("nothing fails");
                assert_eq!((report.delivered(), report.stages()[1].calls()), (4_000, 4_000));
                let sizes = std::mem::take(&mut *sizes.lock().expect("no panic"));
                assert!(sizes.iter().all(|size| (1..=most).contains(size)));
                let mean = 4_000 / sizes.len();
                assert!(mean >= most.min(64) / 2, "a mean of {mean} items");
            },
        );
    }
}

/// Outputs weigh what nobody declared. When that is known, no more calls go at once than
/// their outputs fit.
#[test]
fn what_outputs_weighed_of_late_is_asked_for_ahead() {
    for flat in [false, true] {
        within(
            || format!("outputs that weigh, flat {flat}"),
            move || {
                let stage = Stage::memory("grow", Footprint::none()).workers(8);
                let pause = || std::thread::sleep(Duration::from_millis(2));
                let stage = match flat {
                    false => stage.map(move |n: u64| {
                        pause();
                        n
                    }),
                    true => stage
                        .flat_map(move |n: u64| (0..3).inspect(move |_| pause()).map(move |_| n)),
                };
                let pipeline = Pipeline::new(stage.weigh(|_| 300 * KIB));
                let pipeline = pipeline.build(&Budget::new(2 * MIB, 2)).expect("it fits");
                let delivered = AtomicU64::new(0);
                let first = || eventually(|| delivered.load(Ordering::SeqCst) > 0);
                let source = (0..40).filter(|n| *n == 0 || first());
                let sink = |_| {
                    std::thread::sleep(Duration::from_millis(3));
                    delivered.fetch_add(1, Ordering::SeqCst);
                };
                let report = pipeline.run(source, sink).expect("nothing fails");
                adds_up(&report);
                assert_eq!(report.peak_overweight(), 0, "{report}");
            },
        );
    }
}

/// Where the time goes of a run on one core.
#[derive(Clone, Copy, Debug)]
enum Slow {
    Source,
    Stage,
    Batch,
    Sink,
}

/// How many items the source was asked for, at the most, before the slow place was
/// called again; the stage, if it is the source.
fn most_at_once(slow: Slow, items: u64, pause: Duration) -> u64 {
    let (ahead, most) = (AtomicU64::new(0), AtomicU64::new(0));
    let wait = || {
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    };
    let note = || most.fetch_max(ahead.swap(0, Ordering::SeqCst), Ordering::SeqCst);
    let call = || {
        note();
        wait();
    };
    let stage = match slow {
        Slow::Stage => Stage::cpu("s").map(|n: u64| {
            call();
            n
        }),
        Slow::Batch => Stage::cpu("s").map_batch(4, |batch: Vec<u64>| {
            call();
            batch
        }),
        Slow::Sink => Stage::cpu("s").map(|n: u64| n),
        Slow::Source => Stage::cpu("s").map(|n: u64| {
            note();
            n
        }),
    };
    let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 1)).expect("it fits");
    let source = (0..items).inspect(|_| {
        ahead.fetch_add(1, Ordering::SeqCst);
        if let Slow::Source = slow {
            wait();
        }
    });
    let sink = |_| {
        if let Slow::Sink = slow {
            call();
        }
    };
    assert_eq!(pipeline.run(source, sink).expect("nothing fails").delivered(), items);
    most.load(Ordering::SeqCst)
}

#[test]
fn items_that_cost_little_move_together_and_others_alone() {
    within(
        || "parcels".to_owned(),
        || {
            let together = most_at_once(Slow::Stage, 300_000, Duration::ZERO);
            assert!(together > 64, "{together} at once");
            for slow in [Slow::Source, Slow::Stage, Slow::Batch, Slow::Sink] {
                let alone = most_at_once(slow, 100, Duration::from_millis(2));
                assert!(alone < 12, "{slow:?}: {alone} at once");
            }
        },
    );
}

#[test]
fn the_window_bounds_the_items_aboard() {
    for (ordered, window) in [(false, 1), (true, 1), (false, 4), (true, 4)] {
        within(
            || format!("a window of {window}, ordered {ordered}"),
            move || {
                let aboard = Gauge::default();
                let (read, gate) = (AtomicU64::new(0), Barrier::new(2));
                let stage = Stage::cpu("s").map(|n: u64| {
                    // One item is held up for a while, the others may go by.
                    if n == 5 {
                        gate.wait();
                    }
                    n
                });
                let builder = Pipeline::new(stage).window(window);
                let builder = if ordered { builder.ordered() } else { builder };
                let pipeline = builder.build(&Budget::new(MIB, 3)).expect("it fits");
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        assert!(eventually(|| read.load(Ordering::SeqCst) >= 6));
                        std::thread::sleep(Duration::from_millis(30));
                        let ahead = read.load(Ordering::SeqCst);
                        gate.wait();
                        assert!(!ordered || ahead <= 5 + window, "{ahead} items are read");
                    });
                    let source = (0..2_000).inspect(|_| {
                        read.fetch_add(1, Ordering::SeqCst);
                        aboard.enter(1);
                    });
                    let report = pipeline.run(source, |_| aboard.leave(1)).expect("nothing fails");
                    assert_eq!(report.delivered(), 2_000);
                    assert!(report.most_aboard() <= window);
                });
                assert!(aboard.most() <= window, "{} aboard", aboard.most());
            },
        );
    }
}
