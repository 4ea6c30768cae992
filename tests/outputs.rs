//! Outputs that weigh more than one item may: what becomes of them is told by the README and
//! by the guide "Choosing footprints".

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::{adds_up, within};
use plimsoll::{Budget, Cause, Footprint, MIB, Pipeline, Stage};

/// Half of it is the reserve: the most for one item.
const LINE: u64 = 64 * MIB;
const LARGE: u64 = 100 * MIB;

/// Makes three items, the second of which is large; says how many were made.
fn make(calls: &AtomicU64) -> Stage<'_, u64, u64> {
    let make = Stage::cpu("make").map(|n: u64| {
        calls.fetch_add(1, Ordering::Relaxed);
        if n == 1 { LARGE } else { MIB }
    });
    make.weigh(|bytes| *bytes)
}

#[test]
fn what_one_item_may_not_weigh_is_refused_by_the_next_stage_once_it_is_made() {
    let body = || {
        for next in [Stage::cpu("next"), Stage::memory("next", Footprint::none())] {
            let calls = AtomicU64::new(0);
            let pipeline = Pipeline::new(make(&calls)).then(next.map(|bytes| bytes));
            let pipeline = pipeline.build(&Budget::new(LINE, 2).unmeasured()).expect("it fits");
            let (mut failures, mut delivered) = (Vec::new(), Vec::new());
            let job = pipeline.job().failures(|failure| failures.push(failure));
            let report = job.run(0..3, |bytes| delivered.push(bytes)).expect("they are collected");
            adds_up(&report);
            assert_eq!((delivered, calls.load(Ordering::Relaxed)), (vec![MIB, MIB], 3));
            let [failure] = &failures[..] else { panic!("{failures:?}") };
            assert_eq!((failure.stage(), failure.item().source_index()), ("next", 1));
            let Cause::TooLarge { needed: LARGE, allowed, .. } = failure.cause() else {
                panic!("{failure}")
            };
            assert_eq!(*allowed, LINE / 2);
        }
    };
    within(|| "a large output in the middle".to_owned(), body);
}

#[test]
fn of_the_last_stage_it_is_delivered_and_told() {
    let body = || {
        let calls = AtomicU64::new(0);
        let pipeline = Pipeline::new(make(&calls)).ordered();
        let pipeline = pipeline.build(&Budget::new(LINE, 2).unmeasured()).expect("it fits");
        let mut delivered = Vec::new();
        let report = pipeline.run(0..3, |bytes| delivered.push(bytes)).expect("nothing fails");
        assert_eq!(delivered, [MIB, LARGE, MIB]);
        assert!(report.peak_overweight() >= LARGE - LINE);
        let told = "outputs weighed up to 69.0 MiB more than was asked for them (peak_overweight)";
        assert!(report.to_string().contains(told), "{report}");
    };
    within(|| "a large output at the end".to_owned(), body);
}
