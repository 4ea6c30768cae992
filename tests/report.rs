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
    let times: Vec<_> = report.stages().iter().filter_map(StageReport::item_times).collect();
    for (times, least) in times.iter().zip([1, 2].map(Duration::from_millis)) {
        // A percentile is that of a class of times.
        assert!(times.p50() >= least - least / 32 && times.p99() <= times.max(), "{report}");
        assert_eq!(times.together(), 1.0, "{report}");
    }
    let state = &report.stages()[1];
    assert!(state.set_up() >= Duration::from_millis(20), "{report}");
    assert!(state.busy() >= Duration::from_millis(200), "{report}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_stage_whose_calls_wait_is_told_so_and_what_helps() {
    // A stage for itself: what runs in one go is looked at as one.
    let fetch = Stage::memory("fetch", Footprint::none()).workers(2).map(nap(20));
    let pipeline = Pipeline::new(fetch).build(&Budget::new(MIB, 2)).expect("it fits");
    let report = pipeline.run(0..40, drop).expect("nothing fails");
    let fetch = &report.stages()[0];
    assert!(fetch.computed().is_some_and(|part| part < 0.3), "{report}");
    assert!(fetch.lacked_core().is_some_and(|part| part < 0.5), "{report}");
    let told = report.bottleneck().expect("both workers are always busy");
    assert!(told.starts_with("fetch: its calls hold the cores and waited for "), "{told}");
    let told = report.suggestion().expect("it knows");
    assert!(
        told.contains(" would help: waits().workers(8); if for a lock"),
        "no variable is heard: {told}"
    );

    let fetch = Stage::memory("fetch", Footprint::none()).waits().workers(8).map(nap(20));
    let pipeline = Pipeline::new(fetch).build(&Budget::new(MIB, 16)).expect("it fits");
    let report = pipeline.run(0..80, drop).expect("nothing fails");
    assert!(report.stages()[0].waits() && report.core_share().is_none(), "{report}");
    let told = report.bottleneck().expect("its workers are always busy");
    assert!(told.starts_with("fetch: its 8 workers were busy "), "no core is held: {told}");
    let told = report.suggestion().expect("it knows");
    assert!(told.contains(" more of them would help: workers("), "{told}");
}

#[test]
#[cfg(target_os = "linux")]
fn short_calls_are_known_to_compute_too() {
    // Of 20 us, by threads that wait for work most of the time.
    let spin = |n: u64| {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_micros(20) {}
        n
    };
    let pipeline = Pipeline::new(Stage::cpu("spin").map(spin));
    let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
    let source = (0..6_000).inspect(|n| {
        if n % 20 == 0 {
            sleep(Duration::from_micros(200))
        }
    });
    let report = pipeline.run(source, drop).expect("nothing fails");
    let stage = &report.stages()[0];
    let (computed, lacked) = (stage.computed(), stage.lacked_core());
    let known = computed.zip(lacked).expect("it is known");
    // Whatever else runs here: it never waits for anything but a core.
    assert!(known.0 + known.1 > 0.8, "{known:?} {report}");
}

#[test]
fn what_the_plan_noted_is_told_again_by_the_report() {
    let load = Stage::cpu("load").footprint(Footprint::per_item(|_: &u64| MIB)).map(|n| n);
    let pipeline = Pipeline::new(load).then(Stage::memory("rank", Footprint::none()).map(|n| n));
    let pipeline = pipeline.build(&Budget::new(64 * MIB, 1)).expect("it fits");
    let report = pipeline.run(0..3, drop).expect("nothing fails");
    let [note] = report.notes() else { panic!("outputs of load are not weighed: {report}") };
    assert_eq!(report.notes(), pipeline.plan().notes());
    assert!(report.to_string().contains(&format!("\nnote     {note}\n")), "{report}");
}

#[test]
fn every_figure_of_a_run_is_told() {
    let split = Stage::memory("split", Footprint::per_worker(1_000)).workers(1);
    let halve = Stage::cpu("halve").filter_map(|n: u64| n.is_multiple_of(2).then_some(n / 2));
    let check = |n: u64| if n == 3 { Err("three") } else { Ok(n) };
    let pipeline = Pipeline::new(split.flat_map(|n: u64| [n; 4]))
        .then(halve)
        .then(Stage::cpu("check").try_map(check))
        .build(&Budget::new(MIB, 2))
        .expect("it fits");
    let (pause, mut failures) = (Duration::from_millis(2), 0);
    let source = (0..10).inspect(|_| sleep(pause));
    let job = pipeline.job().failures(|_| failures += 1);
    let report = job.run(source, |_| sleep(pause)).expect("failures are collected");
    assert_eq!((report.read(), report.children(), report.expanded()), (10, 40, 10));
    assert_eq!((report.filtered(), report.failed(), report.delivered()), (20, 4, 16));
    assert_eq!((report.cancelled(), failures), (0, 4));
    let plan = pipeline.plan();
    assert_eq!((report.threads(), report.line()), (plan.threads(), plan.line()));
    assert!(report.source_busy() >= 10 * pause && report.sink_busy() >= 16 * pause, "{report}");
    assert!(report.elapsed() >= 16 * pause, "the sink takes one at a time");
    assert!((1..=50).contains(&report.most_aboard()) && report.peak_reserved() > 0, "{report}");
    let calls: Vec<_> = report.stages().iter().map(StageReport::calls).collect();
    assert_eq!(calls, [10, 40, 20]);
    let failed: Vec<_> = report.stages().iter().map(StageReport::failed).collect();
    assert_eq!(failed, [0, 0, 4]);
    assert!(report.to_string().contains("\nfailed   4 in check\n"), "{report}");
    let text = report.to_string();
    assert!(text.contains("memory   1000 B declared as kept"), "{report}");
    assert_eq!(text.matches("(runs in one go with the stage above)").count(), 1, "{report}");
    #[cfg(target_os = "linux")]
    assert!(report.peak_resident() > Some(MIB), "{report}");
}

#[test]
fn an_item_of_a_flat_map_takes_what_its_draws_take() {
    let parts = |n: u64| (0..3).inspect(move |_| sleep(Duration::from_millis(n)));
    let split = Stage::cpu("split").flat_map(parts);
    let pipeline = Pipeline::new(split).build(&Budget::new(MIB, 2)).expect("it fits");
    let report = pipeline.run([1, 5], drop).expect("nothing fails");
    let times = report.stages()[0].item_times().expect("there were calls");
    let (short, long) = (Duration::from_millis(3), Duration::from_millis(15));
    assert!(times.p50() >= short - short / 32 && times.max() >= long, "{report}");
    assert_eq!(times.together(), 1.0, "{report}");
    #[cfg(target_os = "linux")]
    assert!(report.cpu_time().is_some_and(|time| time > Duration::ZERO), "{report}");
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
    let spin = |n: u64| {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(5) {}
        n
    };
    assert!(told(Stage::cpu("wide").map(spin), 0, 0).starts_with("the cores; wide takes 100 %"));
    #[cfg(target_os = "linux")]
    {
        let held = told(Stage::cpu("wide").map(nap(10)), 0, 0);
        assert!(held.starts_with("wide: its calls hold the cores and waited for "), "{held}");
    }
    assert!(told(single().map(|n| n), 10, 0).starts_with("the source, busy "));
    assert!(told(single().map(|n| n), 0, 10).starts_with("the sink, busy "));
    // Half of the line is common: one call at a time, and the oldest's.
    let greedy = Stage::memory("greedy", Footprint::per_item(|_| MIB / 2 - 64));
    assert!(told(greedy.map(nap(10)), 0, 0).starts_with("memory: workers of greedy waited"));
}
