//! Whether simulated runs are sound: nothing is lost, what can be worked out by hand comes
//! out, and it does so each time.

use crate::engine::simulation::{Forecast, Machine, VirtualClock};
use crate::pipeline::{Pipeline, PipelineBuilder};
use crate::{Budget, Footprint, GIB, MIB, Stage};

const MS: u64 = 1_000_000;

/// Nothing costs anything but the calls.
const IDEAL: Machine = Machine {
    hold_own: 0,
    hold_other: 0,
    step: 0,
    pass: 0,
    lock_spin: 0,
    wake: 0,
    woken_after: 0,
    look: 0,
    spawn: 0,
};

/// A call that takes so many nanoseconds.
fn takes(clock: &VirtualClock, nanos: fn(u64) -> u64) -> impl Fn(u64) -> u64 + Send + use<> {
    let clock = clock.clone();
    move |item| {
        clock.pass(nanos(item));
        item
    }
}

/// The forecast of `items` items, and what was delivered when.
fn simulate(
    clock: &VirtualClock,
    pipeline: PipelineBuilder<'_, u64, u64>,
    (items, cores): (u64, usize),
    machine: &Machine,
) -> (Forecast, Vec<(u64, u64)>) {
    clock.set(0);
    let pipeline = pipeline.build(&Budget::new(GIB, cores)).expect("it fits");
    let mut out = Vec::new();
    let sink = |item| out.push((item, clock.now()));
    let forecast = pipeline.job().simulate(0..items, sink, clock, machine);
    let forecast = forecast.expect("nothing fails");
    let report = &forecast.report;
    assert!(report.peak_reserved() <= report.line() && report.peak_overweight() == 0);
    let spent = &forecast.costs.threads;
    let busy = spent.calls + spent.steps + spent.holding + spent.waiting + spent.waking;
    let all = report.elapsed().as_nanos() as u64 * report.threads() as u64;
    assert_eq!(busy + spent.idle, all, "all time is accounted for");
    (forecast, out)
}

fn elapsed(forecast: &Forecast) -> u64 {
    forecast.report.elapsed().as_nanos() as u64
}

#[test]
fn calls_are_shared_among_cores_and_nothing_else_takes_time() {
    let clock = VirtualClock::new();
    for (items, cores, wanted) in [(10, 1, 10), (8, 4, 2), (9, 4, 3), (3, 8, 1)] {
        let pipeline = Pipeline::new(Stage::cpu("a").map(takes(&clock, |_| MS)));
        let (forecast, out) = simulate(&clock, pipeline, (items, cores), &IDEAL);
        assert_eq!(out.len() as u64, items);
        assert_eq!(elapsed(&forecast), wanted * MS, "{items} items on {cores} cores");
    }
}

/// As `ItemTimes` tells.
#[test]
fn items_are_timed_together_as_long_as_two_of_them_take_less_than_a_millisecond() {
    let clock = VirtualClock::new();
    let together = |nanos: fn(u64) -> u64| {
        let pipeline = Pipeline::new(Stage::cpu("a").map(takes(&clock, nanos)));
        let (forecast, _) = simulate(&clock, pipeline, (10_000, 1), &IDEAL);
        forecast.report.stages()[0].item_times().expect("there were calls").together()
    };
    let light = together(|_| MS / 20);
    assert!((19.0..=20.0).contains(&light), "{light}");
    assert!((1.9..=2.0).contains(&together(|_| MS * 48 / 100)));
    assert_eq!(together(|_| MS * 52 / 100), 1.0);
}

#[test]
fn a_stage_that_waits_takes_no_core() {
    let clock = VirtualClock::new();
    let stage = Stage::memory("wait", Footprint::none()).workers(8);
    let pipeline = Pipeline::new(stage.map(takes(&clock, |_| MS)));
    let (forecast, _) = simulate(&clock, pipeline, (16, 1), &IDEAL);
    assert_eq!(elapsed(&forecast), 2 * MS, "eight at a time");
}

#[test]
fn a_window_that_holds_a_run_up_is_named_and_so_is_one_that_would_not() {
    let clock = VirtualClock::new();
    let told = |window, ordered: bool, nanos: fn(u64) -> u64, items| {
        let stage = Stage::cpu("s").waits().workers(16).map(takes(&clock, nanos));
        let pipeline = Pipeline::new(stage).window(window);
        let pipeline = if ordered { pipeline.ordered() } else { pipeline };
        let (Forecast { report, .. }, _) = simulate(&clock, pipeline, (items, 2), &IDEAL);
        let told = [report.bottleneck(), report.suggestion()].map(Option::unwrap_or_default);
        (told, report.elapsed())
    };
    let (small, slow) = told(4, false, |_| MS, 160);
    let limit =
        "the window of 4 items: for 98 % of the time it was full and workers had nothing to do";
    let helps = "it takes window(16) or more to keep the 16 workers of s at work";
    assert_eq!(small, [limit, helps]);
    let ([limit, _], quick) = told(16, false, |_| MS, 160);
    assert_eq!(
        (limit.as_str(), slow.as_nanos() / quick.as_nanos()),
        ("s: its 16 workers were busy 100 % of the time", 4)
    );
    // Nothing is left that it could keep out.
    let ([all, _], _) = told(4, false, |_| MS, 4);
    assert_eq!(all, "");
    let uneven: fn(u64) -> u64 = |item| if item % 50 == 0 { 40 * MS } else { MS };
    let ([limit, helps], _) = told(20, true, uneven, 1_000);
    assert!(limit.ends_with("was done and waited for the turn of an older item"), "{limit}");
    assert!(helps.starts_with("outputs are ordered, so one slow item holds up"), "{helps}");
}

#[test]
fn memory_bounds_how_many_calls_run() {
    let clock = VirtualClock::new();
    // A line of a GiB carries three in the common account, and the oldest on the reserve:
    // whoever becomes the oldest while it runs moves there.
    let footprint = Footprint::per_item(|_| 255 * MIB);
    let pipeline = Pipeline::new(Stage::memory("a", footprint).map(takes(&clock, |_| MS)));
    let pipeline = pipeline.largest_item(256 * MIB);
    let (forecast, _) = simulate(&clock, pipeline, (16, 16), &IDEAL);
    assert_eq!(elapsed(&forecast), 4 * MS, "four at a time");
    assert!(forecast.report.stages()[0].blocked_on_memory().as_nanos() > 0);
}

/// With the default reserve, half of the line is the oldest's. It must not lie idle while
/// the oldest, which began as one of many, is in a long call.
#[test]
fn a_run_that_memory_bounds_uses_all_of_the_line() {
    let clock = VirtualClock::new();
    let uneven = |item: u64| MS + item % 7 * MS / 10;
    for ordered in [false, true] {
        let footprint = Footprint::per_item(|_| 250 * MIB);
        let pipeline = Pipeline::new(Stage::memory("a", footprint).map(takes(&clock, uneven)));
        let pipeline = if ordered { pipeline.ordered() } else { pipeline };
        let (forecast, _) = simulate(&clock, pipeline, (400, 16), &IDEAL);
        let work: u64 = (0..400).map(uneven).sum();
        // Two in the common account, one on the reserve.
        let calls = work as f64 / elapsed(&forecast) as f64;
        assert!((2.9..=3.0).contains(&calls), "{calls} calls at a time, ordered: {ordered}");
    }
}

#[test]
fn what_a_sequential_run_delivers_is_delivered_in_order() {
    let clock = VirtualClock::new();
    let kept = |item: &u64| !item.is_multiple_of(3);
    let children = |item: u64| (0..item % 5).map(move |child| 10 * item + child);
    let (opens, works) = (clock.clone(), takes(&clock, |item| item * 7_919 % 50_000));
    let expand = Stage::cpu("expand").flat_map(move |item| {
        let clock = opens.clone();
        children(item).inspect(move |_| clock.pass(2_000))
    });
    let pipeline = Pipeline::new(expand)
        .then(Stage::cpu("filter").filter_map(move |item| kept(&item).then_some(item)))
        .then(Stage::memory("work", Footprint::none()).map(works))
        .ordered();
    let (forecast, out) = simulate(&clock, pipeline, (500, 7), &Machine::TYPICAL);
    let wanted: Vec<u64> = (0..500).flat_map(children).filter(kept).collect();
    assert_eq!(out.iter().map(|(item, _)| *item).collect::<Vec<_>>(), wanted);
    assert!(out.is_sorted_by_key(|(_, at)| *at), "time does not run backwards");
    let report = &forecast.report;
    assert_eq!((report.read(), report.expanded()), (500, 500));
    assert_eq!(report.children(), report.delivered() + report.filtered());
    let work: u64 = wanted.iter().map(|item| item * 7_919 % 50_000).sum();
    assert!(elapsed(&forecast) > work / 7);
}

#[test]
fn a_partial_batch_is_begun_when_its_time_comes() {
    let clock = VirtualClock::new();
    let first = Stage::cpu("first").map(takes(&clock, |item| 5 * MS * item));
    let batch = clock.clone();
    let together = Stage::memory("together", Footprint::none()).map_batch(4, move |items| {
        batch.pass(MS);
        items
    });
    let (_, out) = simulate(&clock, Pipeline::new(first).then(together), (2, 2), &IDEAL);
    // The first waits 1 ms for company; for the second nobody else can come.
    assert_eq!(out, [(0, 2 * MS), (1, 6 * MS)]);
}

#[test]
fn nobody_overtakes_the_lock() {
    let clock = VirtualClock::new();
    let slow = Machine { hold_own: MS, hold_other: MS, ..IDEAL };
    let pipeline = Pipeline::new(Stage::cpu("a").map(takes(&clock, |_| MS)));
    let (forecast, _) = simulate(&clock, pipeline, (100, 64), &slow);
    assert!(forecast.costs.locks > 300, "a pull, a call and a delivery for each");
    assert!(elapsed(&forecast) >= forecast.costs.locks * MS);
}

#[test]
fn the_same_run_comes_out_the_same() {
    let clock = VirtualClock::new();
    let forecasts = [(); 2].map(|()| {
        let pipeline =
            Pipeline::new(Stage::cpu("a").map(takes(&clock, |item| item * 7_919 % 100_000)));
        let (forecast, out) = simulate(&clock, pipeline, (5_000, 48), &Machine::TYPICAL);
        let costs = forecast.costs;
        (elapsed(&forecast), costs.threads, (costs.steps, costs.locks, costs.wakes), out)
    });
    assert_eq!(forecasts[0], forecasts[1]);
}

/// Light items make large parcels; where heavy ones follow, many of them are in one. Taken
/// alone by whoever has the last parcel, this takes 40 ms. It would be 11 if a step knew of
/// those who have nothing to do since it began.
#[test]
fn what_is_left_of_a_heavy_parcel_is_shared_with_those_who_have_nothing_to_do() {
    let clock = VirtualClock::new();
    let cost = |item| if item < 4_000 { 1_000 } else { MS };
    let stages = || Stage::cpu("a").map(takes(&clock, cost));
    for ordered in [false, true] {
        let pipeline = Pipeline::new(stages());
        let pipeline = if ordered { pipeline.ordered() } else { pipeline };
        let (forecast, out) = simulate(&clock, pipeline, (4_040, 4), &Machine::TYPICAL);
        assert_eq!(out.len(), 4_040);
        assert!((11 * MS..28 * MS).contains(&elapsed(&forecast)), "{}", elapsed(&forecast));
    }
}

/// The requirement that parcels grow for with the cores that share the lock: with a
/// hundred microseconds each whatever the cores, this comes to 0.14.
#[test]
fn sixty_four_cores_are_at_work_at_twenty_microseconds_an_item() {
    let clock = VirtualClock::new();
    for ordered in [false, true] {
        let pipeline = Pipeline::new(Stage::cpu("a").map(takes(&clock, |_| 5_000)))
            .then(Stage::memory("b", Footprint::none()).map(takes(&clock, |_| 10_000)))
            .then(Stage::cpu("c").map(takes(&clock, |_| 5_000)));
        let pipeline = if ordered { pipeline.ordered() } else { pipeline };
        let (forecast, out) = simulate(&clock, pipeline, (320_000, 64), &Machine::TYPICAL);
        assert_eq!(out.len(), 320_000);
        let efficiency = forecast.efficiency();
        assert!((0.93..1.0).contains(&efficiency), "{efficiency}, ordered: {ordered}");
    }
}
