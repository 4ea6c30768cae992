//! Predictions beside simulated runs of the pipelines they are about, and numbers that can
//! be worked out by hand.

use std::time::Duration;

use super::*;
use crate::cores::CoreTime;
use crate::pipeline::{Pipeline, PipelineBuilder};
use crate::table::{Extent, MemoryId, Pages, Table};
use crate::units::{GIB, MIB};
use crate::{Cause, Footprint, Stage, StageBuilder};

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

type Builder = PipelineBuilder<'static, u64, u64>;

/// A call that takes so many nanoseconds.
fn takes(clock: &VirtualClock, nanos: fn(u64) -> u64) -> impl Fn(u64) -> u64 + Send + use<> {
    let clock = clock.clone();
    move |item| {
        clock.pass(nanos(item));
        item
    }
}

/// A number that looks random.
fn mix(seed: u64) -> u64 {
    let a = seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 32)
}

/// The report of a simulated run.
fn run(build: fn(&VirtualClock) -> Builder, budget: &Budget, items: u64) -> Report {
    let clock = VirtualClock::new();
    let pipeline = build(&clock).build(budget).expect("it fits");
    let forecast = pipeline.job().simulate(0..items, drop, &clock, &Machine::TYPICAL);
    forecast.expect("nothing fails").report
}

/// How far the prediction of a run of `items` on `there` from a run of `seen` items on
/// `here` is off.
fn off(
    build: fn(&VirtualClock) -> Builder,
    (here, seen): (&Budget, u64),
    (there, items): (&Budget, u64),
) -> f64 {
    let prediction = run(build, here, seen).what_if_items(there, items).expect("it fits");
    let real = run(build, there, items);
    assert_eq!(prediction.items(), items);
    prediction.elapsed().as_secs_f64() / real.elapsed().as_secs_f64() - 1.0
}

fn even(clock: &VirtualClock) -> Builder {
    Pipeline::new(Stage::cpu("a").map(takes(clock, |_| 100 * US)))
        .then(Stage::memory("b", Footprint::none()).map(takes(clock, |_| 200 * US)))
}

/// Most of the time is in few items; a filter and a light stage.
fn uneven(clock: &VirtualClock) -> Builder {
    let tail = takes(clock, |item| 10 * US * (1 << (mix(item).trailing_zeros().min(9))));
    Pipeline::new(Stage::cpu("tail").map(tail).weigh(|_| 64))
        .then(
            Stage::cpu("filter").filter_map(|item: u64| (!item.is_multiple_of(3)).then_some(item)),
        )
        .then(Stage::memory("light", Footprint::none()).map(takes(clock, |_| 2 * US)))
}

fn families(clock: &VirtualClock) -> Builder {
    let drawn = clock.clone();
    let expand = Stage::cpu("expand").flat_map(move |item| {
        let clock = drawn.clone();
        (0..mix(item) % 40).map(move |child| {
            clock.pass(5 * US);
            40 * item + child
        })
    });
    Pipeline::new(expand)
        .then(Stage::memory("work", Footprint::none()).map(takes(clock, |_| 30 * US)))
}

fn batches(clock: &VirtualClock) -> Builder {
    let batch = clock.clone();
    let together = Stage::memory("together", Footprint::none()).map_batch(8, move |items| {
        batch.pass(40 * US * items.len() as u64);
        items
    });
    Pipeline::new(Stage::cpu("one").map(takes(clock, |_| 50 * US))).then(together)
}

fn size(item: u64) -> u64 {
    (8 + mix(item) % 56) * MIB
}

/// Large items, of which the larger take longer; the second stage waits.
fn blocks(clock: &VirtualClock) -> Builder {
    let grow = Stage::memory("grow", Footprint::per_item(|item| size(*item)));
    let wait = Stage::memory("wait", Footprint::none()).workers(16);
    Pipeline::new(
        grow.map(takes(clock, |item| size(item) / MIB * 10 * US)).weigh(|item| size(*item)),
    )
    .then(wait.map(takes(clock, |item| size(item) / MIB * 100 * US)))
    .largest_item(64 * MIB)
}

/// One of ten is forty times as large, and takes as many times longer to make.
fn few_large(clock: &VirtualClock) -> Builder {
    let size = |item: u64| if mix(item).is_multiple_of(10) { 160 * MIB } else { 4 * MIB };
    let grow = Stage::memory("grow", Footprint::per_item(move |item| size(*item)));
    let (grows, waits) = (clock.clone(), clock.clone());
    let grow = grow.map(move |item| {
        grows.pass(size(item) / MIB * 500 * US);
        item
    });
    let wait = Stage::memory("wait", Footprint::none()).workers(8).map(move |item| {
        waits.pass(5 * MS + size(item) / MIB * 20 * US);
        item
    });
    Pipeline::new(grow.weigh(move |item| size(*item))).then(wait)
}

#[test]
fn one_core_tells_what_more_would_do() {
    let one = Budget::new(GIB, 1);
    for (build, items, most) in [
        (even as fn(&VirtualClock) -> Builder, 6_000, 0.03),
        (uneven, 60_000, 0.03),
        (families, 2_000, 0.03),
        (batches, 6_000, 0.03),
    ] {
        for cores in [1, 2, 4, 16] {
            let there = Budget::new(GIB, cores);
            let off = off(build, (&one, items), (&there, items));
            assert!(off.abs() < most, "{items} items, {cores} cores: {off}");
        }
    }
}

#[test]
fn much_memory_tells_what_less_would_do() {
    let much = Budget::new(4 * GIB, 4);
    for mebibytes in [2_048, 512, 256, 192, 128] {
        let there = Budget::new(mebibytes * MIB, 4);
        let off = off(blocks, (&much, 1_000), (&there, 1_000));
        assert!(off.abs() < 0.03, "{mebibytes} MiB: {off}");
    }
    let much = Budget::new(1_280 * MIB, 2);
    for mebibytes in [1_280, 640, 448, 328] {
        let there = Budget::new(mebibytes * MIB, 2);
        let off = off(few_large, (&much, 1_000), (&there, 1_000));
        assert!(off.abs() < 0.02, "{mebibytes} MiB: {off}");
    }
    let much = Budget::new(4 * GIB, 4);
    let tight = run(blocks, &Budget::new(128 * MIB, 4), 1_000);
    let off = tight.what_if(&much).expect("it fits").elapsed().as_secs_f64()
        / run(blocks, &much, 1_000).elapsed().as_secs_f64();
    assert!((off - 1.0).abs() < 0.05, "and the other way round: {off}");
}

#[test]
fn a_prediction_comes_to_what_is_worked_out_by_hand() {
    // 300 us an item, on 1 core and on 4, give or take what the machinery costs.
    let report = run(even, &Budget::new(GIB, 1), 1_000);
    for (cores, millis) in [(1, 300.0), (4, 75.0)] {
        let prediction = report.what_if(&Budget::new(GIB, cores)).expect("it fits");
        let part = prediction.elapsed().as_secs_f64() * 1e3 / millis;
        assert!((1.0..1.03).contains(&part), "{cores} cores: {part}");
        assert!((prediction.items_per_second() * prediction.elapsed().as_secs_f64()) > 999.0);
        assert!(prediction.bottleneck().is_some_and(|limit| limit.starts_with("the cores")));
    }
}

#[test]
fn a_stage_that_waits_goes_on_to_take_no_core() {
    let wait = |clock: &VirtualClock| {
        let stage = Stage::memory("wait", Footprint::none()).workers(8);
        Pipeline::new(stage.map(takes(clock, |_| 10 * MS)))
    };
    let report = run(wait, &Budget::new(GIB, 1), 160);
    let prediction = report.what_if(&Budget::new(GIB, 2)).expect("it fits");
    assert!(prediction.elapsed().abs_diff(Duration::from_millis(200)) < Duration::from_millis(2));
    // Nor where there are as many cores as it has workers, if it says so.
    for (says_so, millis) in [(true, 210.0), (false, 400.0)] {
        let report = run(if says_so { asks } else { holds }, &Budget::new(GIB, 1), 160);
        let on_eight = report.what_if(&Budget::new(GIB, 8)).expect("it fits");
        let off = on_eight.elapsed().as_secs_f64() * 1e3 / millis - 1.0;
        assert!(off.abs() < 0.1, "{says_so}: {on_eight}");
    }
}

/// Eight workers that wait, then others that compute.
fn asks(clock: &VirtualClock) -> Builder {
    before_work(Stage::memory("ask", Footprint::none()).workers(8).waits(), clock)
}

/// The same without a word.
fn holds(clock: &VirtualClock) -> Builder {
    before_work(Stage::memory("ask", Footprint::none()).workers(8), clock)
}

fn before_work(first: StageBuilder<'static, u64>, clock: &VirtualClock) -> Builder {
    let work = Stage::cpu("work").map(takes(clock, |_| 10 * MS));
    Pipeline::new(first.map(takes(clock, |_| 10 * MS))).then(work)
}

#[test]
fn long_runs_go_on_as_the_simulated_part_does() {
    let one = Budget::new(GIB, 1);
    let report = run(even, &one, 500);
    let long = report.what_if_items(&Budget::new(GIB, 4), 10_000_000).expect("it fits");
    assert!(long.simulated() <= 500_000);
    let part = long.elapsed().as_secs_f64() / 750.0;
    assert!((1.0..1.03).contains(&part), "{part}");
    // Where the whole can be simulated, too.
    let there = Budget::new(GIB, 4);
    let off = off(families, (&one, 5_000), (&there, 20_000));
    assert!(off.abs() < 0.03, "{off}");
}

#[test]
fn what_happens_once_is_not_multiplied() {
    let slow = || std::thread::sleep(Duration::from_millis(200));
    let call = |(): &mut (), item: u64| {
        std::thread::sleep(Duration::from_millis(1));
        item
    };
    let stage = Stage::memory("model", Footprint::per_worker(MIB)).with_state(slow).map(call);
    let pipeline = Pipeline::new(stage).build(&Budget::new(GIB, 1)).expect("it fits");
    // Other tests may keep the cores busy: that is not left out.
    let report = with_core_time(&pipeline.run(0..40, drop).expect("nothing fails"), &[]);
    let busy = report.stages()[0].busy().as_secs_f64() / 40.0;
    let predict = |items| {
        let prediction = report.what_if_items(&Budget::new(GIB, 1), items).expect("it fits");
        prediction.elapsed().as_secs_f64()
    };
    let (few, many) = (predict(1_000), predict(3_000));
    assert!(few > 0.2 + 1_000.0 * busy && few < 0.5 + 1_100.0 * busy, "{few}");
    // Building it for each 40 would come to five times as much.
    assert!(((many - few) / (2_000.0 * busy) - 1.0).abs() < 0.3, "{few}, {many}, {busy}");
}

#[test]
fn each_worker_builds_its_state_and_the_first_may_be_cheap() {
    use std::sync::atomic::{AtomicBool, Ordering};

    const NAP: Duration = Duration::from_millis(200);
    let is_begun = AtomicBool::new(false);
    let load = || {
        if is_begun.swap(true, Ordering::Relaxed) {
            std::thread::sleep(NAP);
        }
    };
    let stage = Stage::memory("model", Footprint::per_worker(100 * MIB)).workers(4);
    let stage = stage.with_state(load).map(|(), item: u64| {
        std::thread::sleep(Duration::from_millis(2));
        item
    });
    let budget = |workers: u64| Budget::new(workers * 130 * MIB, 1).unmeasured();
    let pipeline = Pipeline::new(stage).build(&budget(2)).expect("it fits");
    let report = with_core_time(&pipeline.run(0..400, drop).expect("nothing fails"), &[]);
    let nap = report.stages()[0].set_up().as_secs_f64();
    let busy = report.stages()[0].busy().as_secs_f64();
    for workers in [1u32, 2, 4] {
        // The first works from the beginning, the others once they are set up.
        let expected = (busy + nap * f64::from(workers - 1)) / f64::from(workers);
        let prediction = report.what_if(&budget(workers.into())).expect("it fits");
        assert_eq!(prediction.plan().stages()[0].workers(), workers as usize);
        let part = prediction.elapsed().as_secs_f64() / expected;
        // One that is not built would be seen by 20 % at the least; others keep the cores busy.
        assert!((part - 1.0).abs() < 0.12, "{workers} workers: {part}");
    }
}

/// The report, whatever it told of them before, with calls that had a core, and lacked one, for so many parts in ten of their time.
fn with_core_time(report: &Report, parts: &[(u64, u64)]) -> Report {
    let basis = report.basis.as_ref().and_then(|basis| basis.downcast_ref::<Basis>());
    let mut basis = basis.expect("it ran").clone();
    basis.stages.iter_mut().for_each(|stage| stage.cores = Default::default());
    for (stage, (had, lacked)) in basis.stages.iter_mut().zip(parts) {
        stage.cores.add(1, 10, Some((CoreTime { had: *had, lacked: *lacked }, 1.0)));
    }
    Report { basis: Some(Arc::new(basis)), ..report.clone() }
}

#[test]
fn time_without_a_core_is_left_out() {
    // 100 us and 200 us an item.
    let one = Budget::new(GIB, 1);
    let report = run(even, &one, 1_000);
    let predict = |report: &Report| report.what_if(&one).expect("it fits");
    assert!(predict(&report).to_string().contains(", what delayed them there included"));
    let quiet = predict(&with_core_time(&report, &[(10, 0), (10, 0)]));
    assert!(quiet.to_string().ends_with("as fast as they were in the run"), "{quiet}");
    assert!(quiet.elapsed().abs_diff(Duration::from_millis(300)) < Duration::from_millis(5));
    let busy = predict(&with_core_time(&report, &[(5, 5), (8, 2)]));
    let told = ", but for the 30 % of their time that they had no core";
    assert!(busy.to_string().ends_with(told), "{busy}");
    assert!(busy.elapsed().abs_diff(Duration::from_millis(210)) < Duration::from_millis(5));
}

#[test]
fn calls_of_stages_that_wait_share_the_cores_as_far_as_they_compute() {
    let wait = |clock: &VirtualClock| {
        let stage = Stage::memory("wait", Footprint::none()).workers(8);
        Pipeline::new(stage.map(takes(clock, |_| 10 * MS)))
    };
    let (two, four) = (Budget::new(GIB, 2), Budget::new(GIB, 4));
    let report = run(wait, &four, 160);
    // Eight at a time, each of which computes for half of its time, on four cores and on two:
    // 5 ms of 160 calls, on two cores at a time.
    let report = with_core_time(&report, &[(5, 0)]);
    for (budget, millis) in [(&four, 200), (&two, 400)] {
        let prediction = report.what_if(budget).expect("it fits");
        let off = prediction.elapsed().abs_diff(Duration::from_millis(millis));
        assert!(off < Duration::from_millis(25), "{prediction}");
    }
}

#[test]
fn what_does_not_fit_is_told_as_the_planner_tells_it() {
    let build = |clock: &VirtualClock| {
        let stage = Stage::memory("model", Footprint::per_worker(100 * MIB));
        Pipeline::new(stage.map(takes(clock, |_| MS)))
    };
    let report = run(build, &Budget::new(GIB, 2), 100);
    let small = Budget::new(64 * MIB, 2);
    let told = report.what_if(&small).expect_err("no worker fits");
    let planned = build(&VirtualClock::new()).plan(&small).expect_err("nor does it here");
    assert_eq!(told.to_string(), planned.to_string());
    assert!(matches!(told, Error::NoRoom { ref stage, .. } if stage == "model"), "{told}");
}

#[test]
fn an_item_that_is_too_large_is_told() {
    let build = |clock: &VirtualClock| {
        let stage = Stage::memory("a", Footprint::per_item(|item| size(*item)));
        Pipeline::new(stage.map(takes(clock, |_| MS)))
    };
    let report = run(build, &Budget::new(GIB, 2), 500);
    let told = report.what_if(&Budget::new(100 * MIB, 2)).expect_err("63 MiB of 50");
    let Error::Item(item) = &told else { panic!("{told}") };
    assert!(matches!(item.cause(), Cause::TooLarge { .. }), "{told}");
}

#[test]
fn what_is_held_is_predicted() {
    let budget = Budget::new(512 * MIB, 4);
    let prediction =
        run(blocks, &Budget::new(4 * GIB, 4), 1_000).what_if(&budget).expect("it fits");
    let real = run(blocks, &budget, 1_000);
    assert!(prediction.peak_reserved() <= prediction.plan().line());
    let part = prediction.peak_reserved() as f64 / real.peak_reserved() as f64;
    assert!((part - 1.0).abs() < 0.1, "{part}");
    assert!(prediction.peak_bytes() <= budget.memory());
}

#[test]
fn a_run_that_read_nothing_predicts_nothing() {
    let report = run(even, &Budget::new(GIB, 1), 0);
    for report in [report, Report::default()] {
        let told = report.what_if(&Budget::new(GIB, 1)).expect_err("nothing to go by");
        assert!(matches!(told, Error::Setting { value: 0, .. }), "{told}");
    }
}

#[test]
fn a_prediction_reads_well() {
    let report = run(even, &Budget::new(GIB, 1), 1_000);
    let text = report.what_if_items(&Budget::new(GIB, 2), 1_000_000).expect("it fits").to_string();
    let lines: Vec<_> = text.lines().collect();
    let [first, limit, assumed, how] = lines[..] else { panic!("{text}") };
    assert!(first.starts_with("1000000 items in 15"), "{first}");
    assert!(
        first.contains("a second; ") && first.ends_with("of the budget's 1.0 GiB at most"),
        "{first}"
    );
    assert!(limit.starts_with("limited by the cores; b takes"), "{limit}");
    assert!(assumed.starts_with("calls are taken to be as fast as they were in the run"));
    assert!(how.ends_with("others go on like the second half of these)"), "{how}");
}

#[test]
fn a_prediction_repeats_what_its_plan_notes() {
    let build = |clock: &VirtualClock| {
        let memory = MemoryId::File { device: 1, inode: 1, length: 0, checksum: 0 };
        let pages = Pages::Reclaimable { in_order: false };
        let extents = vec![Extent { memory, bytes: 0..305 * MIB, pages }];
        let stage = Footprint::table(Table {
            name: "index".to_owned(),
            extents,
            floor: None,
            unverified: false,
        });
        let stage = Stage::memory("a", stage);
        Pipeline::new(stage.map(takes(clock, |_| MS)))
    };
    let report = run(build, &Budget::new(GIB, 2), 500);
    let fits = report.what_if(&Budget::new(GIB, 4)).expect("it fits").to_string();
    assert!(!fits.contains("note: "), "{fits}");
    let short = report.what_if(&Budget::new(330 * MIB, 4)).expect("it fits, but for the table");
    let [note] = short.plan().notes() else { panic!("{short}") };
    assert!(note.contains("57.5 MiB of it are not kept there"), "{note}");
    let text = short.to_string();
    assert!(text.contains(&format!("\nnote: {note}\ncalls are taken to be")), "{text}");
}

#[test]
fn a_table_says_what_fits_and_where_more_cores_end() {
    let build = |clock: &VirtualClock| {
        let read = Stage::memory("read", Footprint::none()).workers(1).map(takes(clock, |_| MS));
        let model = Stage::memory("model", Footprint::per_worker(400 * MIB));
        Pipeline::new(read.weigh(|_| 8)).then(model.map(takes(clock, |_| 6 * MS)))
    };
    let report = run(build, &Budget::new(GIB, 1), 400);
    let table = report.what_if_table(&[1, 2, 4, 16], &[256 * MIB, GIB, 8 * GIB], 5_000);
    let table = table.expect("items were read");
    let told = |cores, memory| table.get(cores, memory).expect("it was asked for");
    assert!(matches!(told(1, 256 * MIB), Err(Error::NoRoom { .. })));
    let two = told(16, GIB).expect("two workers fit").elapsed();
    assert!((14_500..16_000).contains(&two.as_millis()), "{two:?}");
    assert!(table.get(3, GIB).is_none() && table.get(1, MIB).is_none());
    assert_eq!(table.iter().filter(|(.., told)| told.is_ok()).count(), 8);
    let text = table.to_string();
    let heads = "cores       256.0 MiB         1.0 GiB         8.0 GiB\n    1    does not fit ";
    assert!(text.starts_with(heads), "{text}");
    // Two workers of the model keep up with four cores, and with any more.
    let end = "with 16 cores and 8.0 GiB limited by read, busy ";
    assert!(text.lines().last().is_some_and(|last| last.starts_with(end)), "{text}");
}

#[test]
fn a_table_says_that_more_cores_end_where_the_window_does() {
    let build =
        |clock: &VirtualClock| Pipeline::new(Stage::cpu("a").map(takes(clock, |_| MS))).window(3);
    let report = run(build, &Budget::new(GIB, 1), 400);
    let text = report.what_if_table(&[1, 2, 8], &[GIB], 400).expect("items were read").to_string();
    let end = "with 8 cores and 1.0 GiB limited by the window of 3 items: for 99 % of the time";
    assert!(text.lines().last().is_some_and(|last| last.starts_with(end)), "{text}");
}

#[test]
fn a_budget_without_room_for_a_table_is_marked() {
    let build = |clock: &VirtualClock| {
        let extents = vec![Extent {
            memory: MemoryId::File { device: 0, inode: 1, length: 2, checksum: 3 },
            bytes: 0..300 * MIB,
            pages: Pages::Reclaimable { in_order: false },
        }];
        let table = Footprint::table(Table {
            name: "t".to_owned(),
            extents,
            floor: None,
            unverified: false,
        });
        Pipeline::new(Stage::memory("look up", table).map(takes(clock, |_| MS)))
    };
    let report = run(build, &Budget::new(GIB, 1), 100);
    let table = report.what_if_table(&[1], &[100 * MIB, GIB], 100).expect("items were read");
    let lacks = |(.., told): (usize, u64, Result<&Prediction, &Error>)| {
        told.expect("it fits, if not whole").lacks_tables()
    };
    assert_eq!(table.iter().map(lacks).collect::<Vec<_>>(), [true, false]);
    let text = table.to_string();
    let cells: Vec<_> = text.split_whitespace().skip(5).take(6).collect();
    assert_eq!(cells, ["1", "0.1", "s", "*", "0.1", "s"], "{text}");
    assert!(text.contains("\n* a table does not fit; look-ups that wait for the disk"), "{text}");
}

#[test]
#[cfg(feature = "serde")]
fn a_prediction_is_json() {
    let report = run(even, &Budget::new(GIB, 1), 1_000);
    let prediction = report.what_if(&Budget::new(GIB, 2)).expect("it fits");
    let told = serde_json::to_value(&prediction).expect("it can be written");
    let names: Vec<_> = told.as_object().expect("it has fields").keys().cloned().collect();
    let wanted = [
        "elapsed_seconds",
        "items",
        "items_per_second",
        "lacked_core",
        "lacks_tables",
        "limited_by",
        "peak_bytes",
        "peak_reserved_bytes",
        "plan",
        "simulated_items",
    ];
    assert_eq!(names, wanted);
    assert_eq!((&told["items"], &told["plan"]["cores"]), (&1_000.into(), &2.into()));
}
