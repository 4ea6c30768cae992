//! What a run shows while it is under way, to whoever monitors it.

mod common;

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use common::{eventually, within};
use plimsoll::{
    Budget, CancelToken, Footprint, MIB, Monitor, Pipeline, Snapshot, Stage, StageSnapshot,
    StopReason, WaitsFor,
};

const SOON: Duration = Duration::from_millis(40);

/// The run as seen when it has come to rest with what `wanted` asks for.
fn seen(monitor: &Monitor, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let shown = || monitor.snapshot().filter(|snapshot| wanted(snapshot));
    assert!(eventually(|| shown().is_some()), "{:?}", monitor.snapshot());
    shown().expect("nothing moves")
}

/// A stage of one worker that is let go at each item. Its items are so large that each goes
/// alone.
fn gated(name: &str, gate: mpsc::Receiver<()>) -> Stage<'static, u64, u64> {
    let gate = Mutex::new(gate);
    Stage::memory(name, Footprint::per_item(|_| MIB / 5)).workers(1).map(move |n: u64| {
        gate.lock().expect("no panic").recv().expect("it is let go");
        n
    })
}

#[test]
fn what_is_done_and_what_waits_for_whom_is_shown() {
    within(
        || "a gated run".to_owned(),
        || {
            let (go, gate) = mpsc::channel();
            let parse = Stage::memory("parse", Footprint::none()).workers(1).map(|n: u64| n);
            let pipeline = Pipeline::new(parse).then(gated("slow", gate));
            let pipeline = pipeline.window(6).build(&Budget::new(MIB, 4)).expect("it fits");
            let monitor = Monitor::new();
            std::thread::scope(|scope| {
                let run = scope.spawn(|| pipeline.job().monitor(&monitor).run(0..20, drop));
                go.send(()).expect("the run waits");
                go.send(()).expect("the run waits");
                let rests = |stage: &StageSnapshot| (stage.queued(), stage.running()) == (5, 1);
                let limit = "slow: its worker is at work, 5 items wait";
                let told = |it: &Snapshot| it.bottleneck().as_deref() == Some(limit);
                let full = |it: &Snapshot| it.finished() == 2 && rests(&it.stages()[1]) && told(it);
                let snapshot = seen(&monitor, full);
                assert_eq!((snapshot.read(), snapshot.expected()), (8, Some(20)));
                assert_eq!((snapshot.aboard(), snapshot.window()), (6, 6));
                assert_eq!((snapshot.delivered(), snapshot.has_ended()), (2, false));
                assert_eq!((snapshot.computing(), snapshot.cores()), (1, 4));
                assert_eq!(snapshot.source_waits_for(), Some(WaitsFor::Window));
                let [parse, slow, sink] = snapshot.stages() else { panic!("{snapshot}") };
                assert_eq!((parse.done(), parse.queued(), parse.running()), (8, 0, 0));
                assert_eq!((slow.done(), slow.queued(), slow.running()), (2, 5, 1));
                assert_eq!((sink.name(), sink.done()), ("(sink)", 2));
                assert!(snapshot.per_second() > 0.0 && snapshot.remaining().is_some());
                (0..18).for_each(|_| go.send(()).expect("the run waits"));
                run.join().expect("no panic").expect("nothing fails");
            });
            let last = monitor.snapshot().expect("its end is kept");
            assert!(last.has_ended() && last.bottleneck().is_none(), "{last}");
            assert_eq!((last.finished(), last.aboard(), last.delivered()), (20, 0, 20));
            assert_eq!(last.source_waits_for(), None);
        },
    );
}

#[test]
fn an_item_that_was_taken_apart_is_finished_with_its_last_child() {
    within(
        || "a gated flat_map".to_owned(),
        || {
            let (go, gate) = mpsc::channel();
            let split = Stage::memory("split", Footprint::none()).workers(1);
            let split = split.flat_map(|n: u64| [n; 3]);
            let pipeline = Pipeline::new(split).then(gated("slow", gate));
            let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
            let monitor = Monitor::new();
            std::thread::scope(|scope| {
                let job = pipeline.job().monitor(&monitor).failures(drop);
                let run = scope.spawn(move || job.run((0..4).filter(|n| *n < 4), drop));
                (0..4).for_each(|_| go.send(()).expect("the run waits"));
                let snapshot = seen(&monitor, |it| it.stages()[1].done() == 4);
                assert_eq!((snapshot.finished(), snapshot.expected()), (1, None));
                (4..12).for_each(|_| go.send(()).expect("the run waits"));
                run.join().expect("no panic").expect("nothing fails");
            });
            assert_eq!(monitor.snapshot().map(|last| last.finished()), Some(4));
        },
    );
}

#[test]
fn a_stream_that_nobody_reads_waits_for_its_consumer() {
    within(
        || "a stream".to_owned(),
        || {
            let double = Stage::cpu("double").map(|n: u64| 2 * n);
            let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1)).expect("it fits");
            let monitor = Monitor::new();
            let stream = pipeline.job().monitor(&monitor).stream(0..).expect("threads start");
            let sink = |it: &Snapshot| it.stages()[1].waits_for() == WaitsFor::Consumer;
            let limit = "the consumer, who has not asked for more";
            let told = |it: &Snapshot| it.bottleneck().as_deref() == Some(limit);
            seen(&monitor, |it| sink(it) && it.computing() == 0 && told(it));
            drop(stream);
            assert!(monitor.snapshot().is_some_and(|last| last.has_ended()));
        },
    );
}

#[test]
fn a_source_that_blocks_is_what_everybody_waits_for() {
    within(
        || "a blocked source".to_owned(),
        || {
            let (items, source) = mpsc::channel::<u64>();
            let pipeline = Pipeline::new(Stage::cpu("double").map(|n: u64| 2 * n));
            let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
            let monitor = Monitor::new();
            std::thread::scope(|scope| {
                let run = scope.spawn(|| pipeline.job().monitor(&monitor).run(source, drop));
                let snapshot = seen(&monitor, |it| it.bottleneck().is_some());
                let limit = "the source, which everybody waits for";
                assert_eq!(snapshot.bottleneck().as_deref(), Some(limit), "{snapshot}");
                drop(items);
                run.join().expect("no panic").expect("nothing fails");
            });
        },
    );
}

/// Calls of user code that are under way when a run is to stop are waited for: by then its bars
/// must not stand still.
#[test]
fn a_run_that_is_to_stop_is_shown_until_its_calls_are_back() {
    within(
        || "runs that are to stop".to_owned(),
        || {
            // A source that blocks is waited for, too; so is a call, whoever stops the run.
            for reason in [StopReason::Cancelled, StopReason::TimeLimit] {
                let (items, source) = mpsc::channel::<u64>();
                let pipeline = Pipeline::new(Stage::cpu("double").map(|n: u64| 2 * n));
                let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
                let (monitor, token) = (Monitor::new(), CancelToken::new());
                let job = pipeline.job().monitor(&monitor).stall_after(SOON);
                let job = match reason {
                    StopReason::TimeLimit => job.time_limit(SOON),
                    _ => job.cancel(&token),
                };
                std::thread::scope(|scope| {
                    let run = scope.spawn(|| job.run(source, drop));
                    seen(&monitor, |it| it.source_waits_for() == Some(WaitsFor::Nothing));
                    if reason == StopReason::Cancelled {
                        token.cancel();
                    }
                    let lasts = |it: &Snapshot, time| {
                        it.stopping().is_some_and(|it| it.lasted() >= time)
                            && it.stalls().first().is_some_and(|stall| stall.lasted() >= time)
                    };
                    let first = seen(&monitor, |it| lasts(it, SOON));
                    let later = seen(&monitor, |it| lasts(it, 8 * SOON));
                    assert!(later.elapsed() > first.elapsed(), "{later}");
                    assert_eq!(later.stopping().map(|it| it.reason()), Some(reason), "{later}");
                    assert!(later.to_string().ends_with("; it waits for (source)"), "{later}");
                    let stall = later.stalls()[0].to_string();
                    assert!(stall.ends_with("; the run is to stop and waits for it"), "{stall}");
                    drop(items);
                    run.join().expect("no panic").expect_err("it was stopped");
                });
                let last = monitor.snapshot().expect("its end is kept");
                assert!(last.has_ended() && last.stopping().is_none(), "{last}");
            }
        },
    );
}

#[test]
fn a_run_that_failed_is_shown_until_what_came_before_is_done() {
    within(
        || "a run that fails".to_owned(),
        || {
            let (go, gate) = mpsc::channel::<()>();
            let gate = Mutex::new(gate);
            let stage = Stage::memory("slow", Footprint::per_item(|_| MIB / 5)).workers(2);
            let stage = stage.try_map(move |n: u64| match n {
                0 => gate.lock().expect("no panic").recv().map_err(|error| error.to_string()),
                _ => Err("planned".to_owned()),
            });
            let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 2)).expect("it fits");
            let monitor = Monitor::new();
            std::thread::scope(|scope| {
                let run = scope.spawn(|| pipeline.job().monitor(&monitor).run(0..2, drop));
                let told = seen(&monitor, |it| it.stopping().is_some());
                let text = told.stopping().expect("it was just seen").to_string();
                assert!(text.starts_with("it failed "), "{text}");
                assert!(text.ends_with(" s ago; it waits for slow"), "{text}");
                go.send(()).expect("the run waits");
                run.join().expect("no panic").expect_err("item 1 failed");
            });
        },
    );
}

#[test]
fn a_stream_that_was_dropped_is_shown_until_its_calls_are_back() {
    within(
        || "a dropped stream".to_owned(),
        || {
            let (go, gate) = mpsc::channel();
            let pipeline = Pipeline::new(gated("slow", gate)).build(&Budget::new(MIB, 1));
            let (pipeline, monitor) = (pipeline.expect("it fits"), Monitor::new());
            let stream = pipeline.job().monitor(&monitor).stream(0..9).expect("threads start");
            seen(&monitor, |it| it.stages()[0].running() == 1);
            std::thread::scope(|scope| {
                scope.spawn(|| drop(stream));
                let told = seen(&monitor, |it| it.stopping().is_some());
                let reason = told.stopping().map(|stopping| stopping.reason());
                assert_eq!(reason, Some(StopReason::Dropped), "{told}");
                go.send(()).expect("the run waits");
            });
            assert!(monitor.snapshot().is_some_and(|last| last.has_ended()));
        },
    );
}

/// Every field by its name, of one that is stalled and of one that has ended.
#[test]
#[cfg(feature = "serde")]
fn the_json_of_a_snapshot_keeps_its_names() {
    let pipeline = Pipeline::new(Stage::cpu("double").map(|n: u64| 2 * n));
    let pipeline = pipeline.build(&Budget::new(MIB, 2).unmeasured()).expect("it fits");
    let monitor = Monitor::new();
    pipeline.job().monitor(&monitor).run(0..10, drop).expect("nothing fails");
    let snapshot = monitor.snapshot().expect("its end is kept");
    let mut value = serde_json::to_value(&snapshot).expect("it can be written");
    let told = |name: &str| value[name].as_f64().expect("a number");
    assert_eq!(told("elapsed_seconds"), snapshot.elapsed().as_secs_f64());
    assert_eq!(told("finished_per_second"), snapshot.per_second());
    // What depends on the machine.
    value["elapsed_seconds"] = 0.into();
    value["finished_per_second"] = 0.into();
    value["remaining_seconds"] = 0.into();
    for stage in value["stages"].as_array_mut().expect("a list") {
        stage["per_second"] = 0.into();
    }
    let text = serde_json::to_string_pretty(&value).expect("it can be written");
    snapshot::assert_kept("monitor/ended.json", &(text + "\n"));
}

#[cfg(feature = "serde")]
#[path = "common/snapshot.rs"]
mod snapshot;
