//! Errors and panics of the user's functions: wherever one strikes, it is told with
//! stage and item, the others go on, and the next run is clean.

mod common;

use common::{adds_up, within};
use plimsoll::{Budget, Cause, Error, Footprint, ItemId, MIB, Pipeline, Stage};

const ITEMS: u64 = 200;

/// Where a fault strikes, and how.
#[derive(Clone, Copy, Debug)]
struct Fault {
    stage: usize,
    item: u64,
    panics: bool,
    ordered: bool,
    cores: usize,
}

impl Fault {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for stage in 0..4 {
            for item in [0, ITEMS / 2, ITEMS - 1] {
                for bits in 0..8 {
                    let (panics, ordered) = (bits & 1 == 1, bits & 2 == 2);
                    let cores = if bits & 4 == 4 { 3 } else { 1 };
                    all.push(Self { stage, item, panics, ordered, cores });
                }
            }
        }
        all
    }

    /// The two fused stages, a memory stage with a state, a stage behind a flat_map.
    fn pipeline(self) -> Pipeline<'static, u64, u64> {
        let call = move |stage: usize, n: u64| match (stage, n) == (self.stage, self.item) {
            true if self.panics => panic!("planned: no {n}"),
            true => Err(format!("no {n}")),
            false => Ok(n),
        };
        let memory = Footprint::per_worker(100);
        let builder = Pipeline::new(Stage::cpu("stage 0").try_map(move |n| call(0, n)))
            .then(Stage::cpu("stage 1").try_map(move |n| call(1, n)))
            .then(Stage::memory("stage 2", memory).with_state(Vec::new).try_map(
                move |seen: &mut Vec<u64>, n| {
                    seen.push(n);
                    call(2, n)
                },
            ))
            .then(Stage::cpu("twins").flat_map(|n: u64| [n]))
            .then(Stage::cpu("stage 3").try_map(move |n| call(3, n)));
        let builder = if self.ordered { builder.ordered() } else { builder };
        builder.build(&Budget::new(MIB, self.cores)).expect("it fits")
    }

    fn message(self) -> String {
        let Self { stage, item, panics, .. } = self;
        let id = if stage == 3 { format!("{item}.0") } else { item.to_string() };
        let cause = if panics { "panicked: planned: no" } else { "no" };
        format!("stage \"stage {stage}\" failed on item {id}, counted from 0: {cause} {item}")
    }

    fn check(self) {
        let pipeline = self.pipeline();
        for _ in 0..2 {
            let mut outputs = Vec::new();
            let error = pipeline.run(0..ITEMS, |n| outputs.push(n)).expect_err("an item fails");
            adds_up(error.report());
            assert_eq!(error.to_string(), self.message());
            outputs.sort_unstable();
            let before: Vec<_> = (0..self.item).collect();
            assert_eq!(outputs[..before.len()], before);
            assert!(!self.ordered || outputs.len() == before.len());
            assert_eq!(error.report().failed(), 1);

            let (mut failures, mut outputs) = (Vec::new(), Vec::new());
            let job = pipeline.job().failures(|error| failures.push(error.to_string()));
            let report = job.run(0..ITEMS, |n| outputs.push(n)).expect("failures are collected");
            adds_up(&report);
            assert_eq!(failures, [self.message()]);
            outputs.sort_unstable();
            assert!(outputs.into_iter().eq((0..ITEMS).filter(|n| *n != self.item)));
            let healthy = pipeline.run(ITEMS..2 * ITEMS, drop).expect("no item fails");
            assert_eq!(healthy.delivered(), ITEMS);
        }
    }
}

#[test]
fn a_failure_anywhere_is_told_and_passes() {
    for fault in Fault::all() {
        within(|| format!("{fault:?}"), move || fault.check());
    }
}

type Small = Pipeline<'static, u64, u64>;

fn built(stage: Stage<'static, u64, u64>) -> Small {
    Pipeline::new(stage).ordered().build(&Budget::new(MIB, 2)).expect("it fits")
}

/// The failures of a run over 0..100, and its outputs.
fn collected(pipeline: &Small) -> (Vec<(ItemId, String)>, Vec<u64>) {
    let (mut failures, mut outputs) = (Vec::new(), Vec::new());
    let job = pipeline.job();
    let job =
        job.failures(|error| failures.push((error.item().clone(), error.cause().to_string())));
    adds_up(&job.run(0..100, |n| outputs.push(n)).expect("failures are collected"));
    failures.sort();
    (failures, outputs)
}

fn panic_at(place: u64, n: u64) -> u64 {
    assert_ne!(n, place, "planned");
    8
}

#[test]
fn weights_that_panic_fail_their_item() {
    within(
        || "weights that panic".to_owned(),
        || {
            let weigh = built(Stage::cpu("w").map(|n: u64| n).weigh(|n| panic_at(40, *n)));
            let footprint = Footprint::per_item(|n| panic_at(40, *n));
            let per_item = built(Stage::memory("p", footprint).map(|n: u64| n));
            let source = Pipeline::new(Stage::cpu("s").map(|n: u64| n))
                .ordered()
                .weigh_source(|n| panic_at(40, *n))
                .build(&Budget::new(MIB, 2))
                .expect("it fits");
            let each = [(weigh, "weigh"), (per_item, "per_item"), (source, "weigh_source")];
            for (pipeline, declaration) in each {
                let (failures, outputs) = collected(&pipeline);
                assert_eq!(failures.len(), 1);
                assert_eq!(failures[0].0, ItemId::new(40));
                let told = format!("panicked in `{declaration}`: ");
                assert!(failures[0].1.starts_with(&told) && failures[0].1.contains("planned"));
                assert!(outputs.into_iter().eq((0..100).filter(|n| *n != 40)));
                let error = pipeline.run(0..100, drop).expect_err("it is the first failure");
                assert_eq!(error.item().map(|item| item.item().clone()), Some(ItemId::new(40)));
            }
        },
    );
}

#[test]
fn states_that_cannot_be_built_end_the_run() {
    within(
        || "states that cannot be built".to_owned(),
        || {
            let state = |fails: bool| {
                move || -> Result<u64, &'static str> {
                    if fails { Err("no model") } else { panic!("planned: no model") }
                }
            };
            let mut stages: Vec<Stage<'static, u64, u64>> = Vec::new();
            for fails in [true, false] {
                let stage = || Stage::cpu("s").try_with_state(state(fails));
                stages.push(stage().map(|_, n| n));
                stages.push(stage().map_batch(7, |_, batch| batch));
                stages.push(stage().flat_map(|_, n| [n]));
            }
            for (place, stage) in stages.into_iter().enumerate() {
                let how = if place < 3 { "no model" } else { "panicked: planned: no model" };
                let pipeline = built(stage);
                for _ in 0..2 {
                    let mut failed = 0;
                    let error = pipeline.job().failures(|_| failed += 1).run(0..100, drop);
                    let error = error.expect_err("no policy gets over it");
                    adds_up(error.report());
                    let text = format!(
                        "stage \"s\": a worker's state could not be built (`with_state`): {how}"
                    );
                    assert_eq!((error.to_string(), failed), (text, 0));
                    assert!(matches!(error.error(), Error::State { .. }));
                    assert_eq!(error.report().delivered(), 0);
                }
            }
        },
    );
}

#[test]
fn a_state_that_saw_a_panic_is_not_used_again() {
    within(
        || "a state that saw a panic".to_owned(),
        || {
            let stage = Stage::cpu("s").with_state(|| false).map(|spoilt: &mut bool, n: u64| {
                assert!(!*spoilt, "a spoilt state is used again");
                *spoilt = n.is_multiple_of(10);
                assert!(!*spoilt, "planned: {n}");
                n
            });
            let (failures, outputs) = collected(&built(stage));
            assert!(failures.iter().map(|(id, _)| id.source_index()).eq((0..10).map(|n| n * 10)));
            assert_eq!(outputs.len(), 90);
        },
    );
}

#[test]
fn a_flat_map_fails_at_its_call_or_midway() {
    within(
        || "a flat_map that fails".to_owned(),
        || {
            let call = built(Stage::cpu("f").flat_map(|n: u64| {
                assert_ne!(n, 40, "planned: the call");
                [n, n]
            }));
            let midway = built(Stage::cpu("f").flat_map(|n: u64| {
                (0..2).map(move |child| {
                    assert!(n != 40 || child == 0, "planned: midway");
                    n
                })
            }));
            let (failures, outputs) = collected(&call);
            assert_eq!((failures.len(), failures[0].0.clone()), (1, ItemId::new(40)));
            assert_eq!(outputs.len(), 198);
            let (failures, outputs) = collected(&midway);
            assert_eq!((failures.len(), failures[0].0.clone()), (1, ItemId::new(40).child(1)));
            assert_eq!((outputs.len(), outputs.iter().filter(|n| **n == 40).count()), (199, 1));
            for pipeline in [call, midway] {
                let mut outputs = Vec::new();
                let error = pipeline.run(0..100, |n| outputs.push(n)).expect_err("40 fails");
                assert_eq!(error.item().map(|item| item.item().source_index()), Some(40));
                assert!(outputs.len() == 80 + usize::from(outputs.contains(&40)));
            }
        },
    );
}

#[test]
fn a_batch_that_fails_or_has_the_wrong_length_fails_each_of_its_items() {
    within(
        || "a batch that fails".to_owned(),
        || {
            for (longer, panics) in [(false, false), (true, false), (false, true)] {
                let pipeline = built(Stage::cpu("b").map_batch(8, move |mut batch: Vec<u64>| {
                    if batch.contains(&40) {
                        assert!(!panics, "planned");
                        if longer { batch.push(0) } else { batch.clear() }
                    }
                    batch
                }));
                let (failures, outputs) = collected(&pipeline);
                assert!((1..=8).contains(&failures.len()) && outputs.len() == 100 - failures.len());
                let ids: Vec<_> = failures.iter().map(|(id, _)| id.source_index()).collect();
                assert!(ids.contains(&40) && ids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                let error = pipeline.run(0..100, drop).expect_err("a batch fails");
                let cause = error.item().expect("an item").cause();
                match panics {
                    true => assert!(matches!(cause, Cause::Panic { .. })),
                    false => assert!(matches!(cause, Cause::BatchLength { given: 1..=8, .. })),
                }
            }
        },
    );
}

#[test]
fn a_panic_without_a_message_is_told_as_such() {
    within(
        || "a panic without a message".to_owned(),
        || {
            let stage = built(Stage::cpu("s").map(|n: u64| {
                if n == 7 {
                    // The hook would print it; nothing but the payload matters here.
                    std::panic::resume_unwind(Box::new(n));
                }
                n
            }));
            let error = stage.run(0..9, drop).expect_err("7 fails");
            assert_eq!(
                error.to_string(),
                "stage \"s\" failed on item 7, counted from 0: panicked: (no message)"
            );
        },
    );
}

#[test]
fn the_first_failure_ends_an_endless_flat_map() {
    for cores in [1, 3] {
        within(
            || format!("an endless flat_map that fails, {cores} cores"),
            move || {
                let refuse = Stage::cpu("refuse").try_map(|n: u64| match n {
                    500 => Err("no 500"),
                    _ => Ok(n),
                });
                let endless = Pipeline::new(Stage::cpu("endless").flat_map(|n: u64| n..));
                let pipeline = endless.then(refuse).ordered().build(&Budget::new(MIB, cores));
                let mut outputs = Vec::new();
                let ended = pipeline.expect("it fits").run([0, 7], |n| outputs.push(n));
                let error = ended.expect_err("500 fails");
                assert_eq!(
                    error.to_string(),
                    "stage \"refuse\" failed on item 0.500, counted from 0: no 500"
                );
                assert!(outputs.into_iter().eq(0..500));
                adds_up(error.report());
            },
        );
    }
}
