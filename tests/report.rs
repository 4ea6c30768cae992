//! What a report tells of real runs: times that add up, the bottleneck by its name.

use std::thread::sleep;
use std::time::Duration;

use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage, StageReport};

fn waits(stage: &StageReport) -> Duration {
    stage.waited_for_input()
        + stage.blocked_by_downstream()
        + stage.blocked_on_memory()
        + stage.waited_for_core()
}

fn nap(millis: u64) -> impl Fn(u64) -> u64 + Send + Sync {
    move |n| {
        sleep(Duration::from_millis(millis));
        n
    }
}

#[test]
fn the_time_of_every_worker_is_accounted_for() {
    let build = || sleep(Duration::from_millis(20));
    let napping = nap(2);
    let state = Stage::memory("state", Footprint::none()).workers(1).with_state(build);
    let stages = Pipeline::new(Stage::cpu("first").map(nap(1)).weigh(|_| 8));
    let pipeline =
        stages.then(state.map(|(), n| napping(n))).build(&Budget::new(MIB, 2)).expect("it fits");
    let report = pipeline.run(0..100, drop).expect("nothing fails");
    for stage in report.stages() {
        let told = (stage.busy() + stage.set_up() + waits(stage)).as_secs_f64();
        let all = report.elapsed().as_secs_f64() * stage.workers() as f64;
        // What is missing went into moving items about.
        assert!((0.7 * all..1.01 * all).contains(&told), "{told} s of {all} s: {report}");
    }
    let state = &report.stages()[1];
    assert!(state.set_up() >= Duration::from_millis(20), "{report}");
    assert!(state.busy() >= Duration::from_millis(200), "{report}");
}

#[test]
fn the_bottleneck_is_named() {
    let told = |stage: Stage<'static, u64, u64>, source: u64, sink: u64| {
        let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 3)).expect("it fits");
        let source = (0..40).inspect(move |_| sleep(Duration::from_millis(source)));
        let report = pipeline.run(source, |_| sleep(Duration::from_millis(sink)));
        let report = report.expect("nothing fails");
        report.bottleneck().unwrap_or_else(|| panic!("it is not told: {report}"))
    };
    let single = || Stage::memory("single", Footprint::none()).workers(1);
    assert!(told(single().map(nap(10)), 0, 0).starts_with("single, busy "));
    assert!(told(single().map(|n| n), 10, 0).starts_with("the source, busy "));
    assert!(told(single().map(|n| n), 0, 10).starts_with("the sink, busy "));
    // Half of the line is common: one call at a time, and the oldest's.
    let greedy = Stage::memory("greedy", Footprint::per_item(|_| MIB / 2 - 64));
    assert!(told(greedy.map(nap(10)), 0, 0).starts_with("memory: workers of greedy waited"));
}
