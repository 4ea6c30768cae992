//! Stages whose calls wait: they hold no core.

mod common;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{eventually, within};
use plimsoll::{Budget, Footprint, KIB, MIB, Pipeline, Stage, StageBuilder};

const WORKERS: usize = 8;

#[test]
fn calls_that_wait_overlap_even_on_one_core() {
    let asks = || Stage::memory("ask", Footprint::none());
    let [unsaid, said] = [asks().workers(WORKERS), asks().waits().workers(WORKERS)];
    for (ask, how) in [(unsaid, "more workers than cores"), (said, "it says so")] {
        within(|| how.to_owned(), move || all_at_once(ask, 1));
    }
    let on_many = asks().waits().workers(WORKERS);
    within(|| "as many workers as cores".to_owned(), move || all_at_once(on_many, WORKERS));
}

/// All of its workers call at the same time.
fn all_at_once(ask: StageBuilder<'static, u64>, cores: usize) {
    let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ask = ask.map(|n: u64| {
        most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Or else it takes a second, so that the next item is not put into one parcel with others.
        let begun = Instant::now();
        while most.load(Ordering::SeqCst) < WORKERS && begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_micros(200));
        }
        under_way.fetch_sub(1, Ordering::SeqCst);
        n
    });
    let pipeline = Pipeline::new(ask).build(&Budget::new(MIB, cores)).expect("it fits");
    let report = pipeline.run(0..2 * WORKERS as u64, drop).expect("nothing fails");
    assert_eq!(report.delivered(), 2 * WORKERS as u64);
    assert_eq!(most.load(Ordering::SeqCst), WORKERS);
    assert!(report.stages()[0].waits());
}

#[test]
fn they_leave_the_cores_to_others() {
    within(
        || "no more of them than cores".to_owned(),
        || {
            let computed = AtomicU64::new(0);
            let compute = Stage::cpu("compute").map(|n: u64| {
                computed.fetch_add(1, Ordering::Relaxed);
                n
            });
            // As if what it waits for were made by others meanwhile.
            let ask = Stage::memory("ask", Footprint::none()).waits().workers(2).map(|n: u64| {
                assert!(eventually(|| computed.load(Ordering::Relaxed) >= 4));
                n
            });
            // So heavy that they do not come many at a time.
            let pipeline = Pipeline::new(compute).then(ask).weigh_source(|_| 80 * KIB);
            let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
            assert_eq!(pipeline.run(0..16, drop).expect("nothing fails").delivered(), 16);
        },
    );
}
