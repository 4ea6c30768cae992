//! Random pipelines against a sequential interpretation of the same stages.
//!
//! `EQUIVALENCE_CASES` asks for another number of cases, `EQUIVALENCE_SEED` for others.

mod common;
mod equivalence_model;

use std::sync::atomic::{AtomicU64, Ordering};

use common::within;
use equivalence_model::compare::{
    cancels, collects, fails_fast, leaves_early, stream_fails_fast, streams,
};
use equivalence_model::{Case, Expected, LARGE, cases};
use plimsoll::Error;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn any_pipeline_equals_its_sequential_interpretation() {
    let count = number("EQUIVALENCE_CASES", 400) as u32;
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("EQUIVALENCE_SEED", 1).to_le_bytes());
    let config = Config {
        cases: count,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let result = TestRunner::new_with_rng(config, rng).run(&cases(&LARGE), |case| {
        let told = format!("{case:#?}");
        within(|| told, move || check(&case));
        Ok(())
    });
    if let Err(problem) = result {
        panic!("{problem}");
    }
    // A generator that makes only easy cases would prove nothing.
    for (kind, seen) in ["whole", "too large", "panicked", "refused", "no room"].iter().zip(&SEEN) {
        assert!(seen.load(Ordering::SeqCst) > u64::from(count) / 40, "few cases are {kind}");
    }
}

/// Cases without a failure, and with one of each kind.
static SEEN: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

fn see(expected: &Expected) {
    let failures = expected.failures();
    let with = |text: &str| failures.iter().any(|(.., cause)| cause.contains(text));
    let whole = failures.is_empty() && !expected.events.is_empty();
    let kinds = [whole, with("needs"), with("panicked"), with("refused")];
    for (seen, count) in kinds.into_iter().zip(&SEEN) {
        count.fetch_add(u64::from(seen), Ordering::SeqCst);
    }
}

fn check(case: &Case) {
    let built = case.states();
    let (pipeline, expected) = match case.build(&built) {
        Ok(pipeline) => {
            let expected = case.expected(pipeline.plan());
            see(&expected);
            (pipeline, expected)
        }
        Err(Error::NoRoom { stage, needed, available, budget, .. }) => {
            assert!(needed > available && available <= budget && budget == case.memory);
            assert!(stage.starts_with("stage "), "{stage}");
            SEEN[4].fetch_add(1, Ordering::SeqCst);
            let roomier = Case { memory: case.memory * 2, ..case.clone() };
            return check(&roomier);
        }
        Err(Error::LargestItem { declared, needed, .. }) => {
            assert!(needed > declared && case.largest == Some(declared));
            return check(&Case { largest: Some(needed), ..case.clone() });
        }
        Err(other) => panic!("{other}"),
    };
    for _ in 0..2 {
        built.iter().for_each(|count| count.store(0, Ordering::SeqCst));
        collects(case, &pipeline, &expected);
        for (index, count) in built.iter().enumerate() {
            let most = pipeline.plan().stages()[index].workers() as u64 + expected.panics;
            assert!(count.load(Ordering::SeqCst) <= most, "states of stage {index}");
        }
    }
    fails_fast(case, &pipeline, &expected);
    streams(case, &pipeline, &expected);
    stream_fails_fast(case, &pipeline, &expected);
    leaves_early(case, &pipeline, &expected);
    cancels(case, &pipeline, &expected);
    collects(case, &pipeline, &expected);
}
