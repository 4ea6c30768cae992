//! Calls that do not come back are told while they last: in the snapshot, in the report,
//! and, with the feature `tracing`, as warnings.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::{adds_up, eventually, within};
use plimsoll::{Budget, Footprint, KIB, MIB, Monitor, Pipeline, Snapshot, Stage, WaitsFor};

const SOON: Duration = Duration::from_millis(40);

/// A pipeline whose second stage works on item 3 until it is let go. Its calls need so much that
/// items move one by one: a parcel would be told by its first.
fn stuck_at_three(gate: mpsc::Receiver<()>) -> Pipeline<'static, u64, u64> {
    let gate = std::sync::Mutex::new(gate);
    let footprint = Footprint::per_item(|_: &u64| 200 * KIB);
    let slow = Stage::memory("slow", footprint).workers(1).map(move |n: u64| {
        if n == 3 {
            let gate = gate.lock().expect("no panic");
            gate.recv().expect("it is let go");
        }
        n
    });
    let stages = Pipeline::new(Stage::cpu("fast").map(|n: u64| n)).then(slow);
    stages.ordered().window(8).build(&Budget::new(MIB, 2)).expect("it fits")
}

fn stalled(monitor: &Monitor) -> Option<Snapshot> {
    monitor.snapshot().filter(|snapshot| {
        let others = snapshot.stages().first();
        !snapshot.stalls().is_empty() && others.is_some_and(|stage| stage.running() == 0)
    })
}

#[test]
fn a_call_that_does_not_come_back_is_told_while_it_lasts_and_afterwards() {
    within(
        || "a stall".to_owned(),
        || {
            let (release, gate) = mpsc::channel();
            let (pipeline, monitor) = (stuck_at_three(gate), Monitor::new());
            let report = std::thread::scope(|scope| {
                let run = scope
                    .spawn(|| pipeline.job().monitor(&monitor).stall_after(SOON).run(0..100, drop));
                assert!(eventually(|| stalled(&monitor).is_some()), "{:?}", monitor.snapshot());
                let snapshot = stalled(&monitor).expect("it is stalled for good");
                let stall = &snapshot.stalls()[0];
                assert_eq!((stall.stage(), stall.item().source_index()), ("slow", 3));
                assert!(stall.lasted() >= SOON && stall.holds() >= 200 * KIB, "{stall}");
                let text = stall.to_string();
                assert!(text.starts_with("slow has been at item 3 for 0."), "{text}");
                let slow = &snapshot.stages()[1];
                assert_eq!((slow.name(), slow.running(), slow.workers()), ("slow", 1, 1));
                assert_eq!(slow.waits_for(), WaitsFor::Nothing);
                assert!(snapshot.aboard() <= 8 && snapshot.held() <= snapshot.line());
                // By then it was told several times.
                let lasts = |it: Snapshot| it.stalls()[0].lasted() >= 5 * SOON;
                assert!(eventually(|| stalled(&monitor).is_some_and(lasts)));
                release.send(()).expect("the call waits");
                run.join().expect("the run does not panic").expect("nothing fails")
            });
            adds_up(&report);
            assert_eq!(report.stalls().len(), 1, "{report}");
            let stall = &report.stalls()[0];
            assert_eq!((stall.item().source_index(), stall.items()), (3, 1));
            assert!(stall.came_back() && stall.lasted() >= 5 * SOON, "its whole time: {report}");
            let text = report.to_string();
            assert!(text.contains("stalled  slow was at item 3 for "), "{text}");
            assert!(!text.contains("or more") && text.contains("; meanwhile "), "{text}");
            let last = monitor.snapshot().expect("the end is kept");
            assert_eq!((last.read(), last.aboard(), last.stalls().len()), (100, 0, 0));
        },
    );
}

#[test]
fn a_source_and_a_sink_that_block_are_told_by_their_names() {
    within(
        || "a source and a sink that block".to_owned(),
        || {
            let double = || Pipeline::new(Stage::cpu("double").map(|n: u64| 2 * n));
            let pipeline = double().build(&Budget::new(MIB, 2)).expect("it fits");
            let pause = || std::thread::sleep(5 * SOON);
            let source = (0..3).inspect(|n| {
                if *n == 2 {
                    pause()
                }
            });
            let report = pipeline.job().stall_after(SOON).run(source, drop).expect("it ends");
            let stall = &report.stalls()[0];
            assert_eq!(stall.stage(), "(source)", "{report}");
            assert_eq!((stall.item().source_index(), stall.items()), (2, 1), "{report}");
            assert!(stall.came_back() && stall.lasted() >= 5 * SOON, "{report}");
            let told = "meanwhile nothing else was under way";
            assert!(report.to_string().contains(told), "{report}");
            // So it is where it is not known how many there are, and they were quick so far.
            let source = (0..9_000).filter(|n| {
                if *n == 7_777 {
                    pause()
                }
                true
            });
            let report = pipeline.job().stall_after(SOON).run(source, drop).expect("it ends");
            let stall = &report.stalls()[0];
            assert_eq!((stall.item().source_index(), stall.items()), (7_777, 1), "{report}");
            let sink = |n| {
                if n == 2 {
                    pause()
                }
            };
            let report = pipeline.job().stall_after(SOON).run(0..3, sink).expect("it ends");
            let stall = &report.stalls()[0];
            assert_eq!(stall.stage(), "(sink)", "{report}");
            let first = stall.item().source_index();
            // What is made of item 1 is 2.
            assert!((first..first + stall.items()).contains(&1), "{report}");
            assert!(stall.came_back() && stall.lasted() >= 5 * SOON, "{report}");
            let quick = pipeline.run(0..3, drop).expect("it ends");
            assert!(quick.stalls().is_empty(), "half a minute is far away");
        },
    );
}

/// Items that are quick are handed over many at a time: which of them it is is not kept.
#[test]
fn of_items_that_came_together_the_first_is_told_and_how_many_they_are() {
    within(
        || "a stall among many items".to_owned(),
        || {
            let slow = Stage::cpu("slow").map(|n: u64| {
                if n == 5_000 {
                    std::thread::sleep(5 * SOON);
                }
                n
            });
            let pipeline = Pipeline::new(slow).build(&Budget::new(MIB, 1)).expect("it fits");
            let report = pipeline.job().stall_after(SOON).run(0..10_000, drop).expect("it ends");
            let stall = &report.stalls()[0];
            let (first, items) = (stall.item().source_index(), stall.items());
            assert!((first..first + items).contains(&5_000), "{report}");
            if items > 2 {
                let told = format!(
                    "slow was at item {first} or one of the {} that came with it",
                    items - 1
                );
                assert!(report.to_string().contains(&told), "{report}");
            }
        },
    );
}

#[test]
fn parcels_that_one_call_takes_are_one_stall() {
    within(
        || "a batch that stalls".to_owned(),
        || {
            let batch = Stage::memory("batch", Footprint::none()).workers(1);
            let batch = batch.map_batch(8, |items: Vec<u64>| {
                std::thread::sleep(5 * SOON);
                items
            });
            let pipeline = Pipeline::new(batch).build(&Budget::new(MIB, 2)).expect("it fits");
            let report = pipeline.job().stall_after(SOON).run(0..8, drop).expect("it ends");
            let items: u64 = report.stalls().iter().map(|stall| stall.items()).sum();
            assert_eq!(items, 8, "{report}");
            let calls = report.elapsed().as_millis() / (5 * SOON).as_millis();
            assert_eq!(report.stalls().len() as u128, calls, "{report}");
        },
    );
}

#[test]
fn a_stream_is_shown_too_and_its_consumer_is_its_sink() {
    within(
        || "a monitored stream".to_owned(),
        || {
            let pipeline = Pipeline::new(Stage::cpu("double").map(|n: u64| 2 * n))
                .ordered()
                .build(&Budget::new(MIB, 2))
                .expect("it fits");
            let monitor = Monitor::new();
            let job = pipeline.job().monitor(&monitor).stall_after(SOON);
            let mut stream = job.stream(0..50).expect("threads start");
            assert!(stream.next().is_some());
            // The consumer has the first parcel and does not come back for more.
            let seen = || monitor.snapshot().is_some_and(|seen| !seen.stalls().is_empty());
            assert!(eventually(seen));
            let snapshot = monitor.snapshot().expect("it was just there");
            assert_eq!(snapshot.stalls()[0].stage(), "(sink)");
            assert_eq!(stream.by_ref().count(), 49);
            let report = stream.report().expect("it has ended");
            assert_eq!(report.delivered(), 50);
            assert_eq!(monitor.snapshot().map(|last| last.aboard()), Some(0));
        },
    );
}

#[test]
fn a_report_keeps_sixteen_stalls_and_a_snapshot_all() {
    within(
        || "many stalls".to_owned(),
        || {
            const CALLS: usize = 20;
            let monitor = Monitor::new();
            let stage = Stage::memory("slow", Footprint::none()).workers(CALLS).map(|n: u64| {
                // By then each was told.
                let last = |it: Snapshot| it.stalls().get(CALLS - 1).map(|last| last.lasted());
                let told = || monitor.snapshot().and_then(last) >= Some(2 * SOON);
                assert!(eventually(told), "{:?}", monitor.snapshot());
                n
            });
            let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 2)).expect("it fits");
            let job = pipeline.job().monitor(&monitor).stall_after(SOON);
            let report = job.run(0..CALLS as u64, drop).expect("nothing fails");
            adds_up(&report);
            assert_eq!(report.stalls().len(), 16, "{report}");
        },
    );
}

/// The watch has nothing else to look at here.
#[test]
fn a_stall_of_an_unmeasured_run_that_nobody_monitors_is_told_in_time() {
    within(
        || "a stall that only the report tells".to_owned(),
        || {
            let pause = |n: u64| {
                std::thread::sleep(Duration::from_millis(750));
                n
            };
            let budget = Budget::new(MIB, 1).unmeasured();
            let pipeline = Pipeline::new(Stage::cpu("slow").map(pause)).build(&budget);
            let pipeline = pipeline.expect("it fits");
            let job = pipeline.job().stall_after(Duration::from_millis(250));
            let report = job.run(0..1, drop).expect("nothing fails");
            assert_eq!(report.stalls().len(), 1, "{report}");
        },
    );
}

/// Warnings reach whoever listens.
#[cfg(feature = "tracing")]
mod told {
    use tracing::Level;

    use super::*;
    use crate::common::ear::Ear;

    #[test]
    fn a_stall_is_a_warning_and_again_when_its_time_has_doubled() {
        within(
            || "a warning".to_owned(),
            || {
                let ear = Ear::listening();
                let (release, gate) = mpsc::channel();
                let pipeline = stuck_at_three(gate);
                let warnings = || {
                    let of_ours = |line: &(Level, String)| {
                        line.0 == Level::WARN && line.1.contains("item=3 ")
                    };
                    ear.heard().into_iter().filter(of_ours).collect::<Vec<_>>()
                };
                std::thread::scope(|scope| {
                    let job = pipeline.job().stall_after(SOON);
                    // So that the call begins a while after the run. How many items there
                    // are is not known, so each goes alone.
                    let source = (0..100).filter(|n| {
                        if *n == 1 {
                            std::thread::sleep(12 * SOON);
                        }
                        true
                    });
                    let run = scope.spawn(|| job.run(source, drop));
                    assert!(eventually(|| warnings().len() >= 3));
                    release.send(()).expect("the call waits");
                    run.join().expect("the run does not panic").expect("nothing fails");
                });
                let seconds = |line: &(Level, String)| {
                    let (_, behind) = line.1.split_once("seconds=").expect("it is told");
                    behind.split(' ').next().and_then(|text| text.parse().ok()).expect("a number")
                };
                let lasted: Vec<f64> = warnings().iter().map(seconds).collect();
                let mut pairs = lasted.iter().zip(&lasted[1..]);
                assert!(pairs.all(|(one, next)| next / one >= 2.0), "{lasted:?}");
                let back = |line: &(Level, String)| {
                    line.1.contains("a call came back: slow was at item 3 for")
                };
                assert!(ear.heard().iter().any(back), "{:?}", ear.heard());
                let (level, text) = warnings().swap_remove(0);
                assert_eq!(level, Level::WARN);
                assert!(text.contains("stage=slow") && text.contains("holds="), "{text}");
            },
        );
    }
}
