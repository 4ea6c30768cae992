use super::*;
use crate::budget::Budget;
use crate::error::Error;
use crate::stage::{Footprint, Stage, StageSpec};
use crate::units::{Bytes, GIB, KIB, MIB};

const SETTINGS: Settings = Settings { ordered: false, window: 1_000, largest_item: None };

fn cpu(name: &str) -> StageSpec {
    Stage::cpu(name).map(|item: u64| item).spec
}

fn memory(name: &str, footprint: Footprint<'static, u64>) -> StageSpec {
    Stage::memory(name, footprint).map(|item: u64| item).spec
}

fn workers(plan: &Plan) -> Vec<usize> {
    plan.stages().iter().map(StagePlan::workers).collect()
}

#[test]
fn every_byte_of_the_budget_is_accounted_for() {
    let specs = [
        cpu("parse"),
        memory("screen", Footprint::per_worker(100 * MIB).and(Footprint::shared(200 * MIB))),
    ];
    let plan = plan(&Budget::new(GIB, 4), &specs, &SETTINGS).expect("it fits");
    // 1,024 MiB - 200 shared - 100 for the first worker leave 724; a quarter is
    // kept for items, so 5 more would fit, 3 are asked for.
    assert_eq!(workers(&plan), [4, 4]);
    assert_eq!(plan.line(), (1024 - 200 - 4 * 100) * MIB);
    assert_eq!(plan.reserve(), plan.line() / 2);
    assert_eq!((plan.threads(), plan.shared()), (5, 200 * MIB));
    assert_eq!((plan.memory(), plan.cores(), plan.window()), (GIB, 4, 1_000));
    let screen = &plan.stages()[1];
    assert_eq!((screen.name(), screen.kind()), ("screen", Kind::Memory));
    assert_eq!((screen.per_worker(), screen.shared()), (100 * MIB, 200 * MIB));
}

#[test]
fn two_of_the_largest_items_are_kept_if_they_are_more_than_a_quarter() {
    let specs = [memory("screen", Footprint::per_worker(100 * MIB))];
    let settings = Settings { largest_item: Some(300 * MIB), ..SETTINGS };
    let plan = plan(&Budget::new(1_000 * MIB, 8), &specs, &settings).expect("it fits");
    assert_eq!(workers(&plan), [4], "one, and what fits beside 600 MiB");
    assert_eq!((plan.line(), plan.reserve()), (600 * MIB, 300 * MIB));
}

#[test]
fn the_line_carries_at_least_one_item_and_its_output() {
    let least = |bytes| plan(&Budget::new(bytes, 1), &[cpu("a")], &SETTINGS);
    assert_eq!(least(32).expect("twice in and out").line(), 32);
    let error = least(31).expect_err("too little");
    assert!(matches!(error, Error::NoRoom { needed: 32, available: 31, .. }), "{error}");
}

#[test]
fn workers_stop_where_the_items_share_begins_and_the_reason_says_what_is_missing() {
    let specs = [memory("screen", Footprint::per_worker(300 * MIB))];
    let plan = plan(&Budget::new(GIB, 8), &specs, &SETTINGS).expect("two workers fit");
    assert_eq!(workers(&plan), [2]);
    let reason = plan.stages()[0].reason();
    // 724 MiB left after the first, 181 kept: one more fits. Seven more would take 2,100,
    // three quarters of 2,800.
    assert_eq!(
        reason,
        "limited by memory: 2 of 8 fit beside a quarter for items (see largest_item), 2.0 GiB more \
         would carry all workers of all stages (one for each core)"
    );
    let settings = Settings { largest_item: Some(181 * MIB), ..SETTINGS };
    let told = super::plan(&Budget::new(GIB, 8), &specs, &settings).expect("two workers fit");
    assert!(told.stages()[0].reason().starts_with("limited by memory: 2 of 8 fit, "), "{told}");
    let with = |memory: u64| super::plan(&Budget::new(memory, 8), &specs, &SETTINGS);
    let enough = GIB + (2_800 - 724) * MIB;
    assert_eq!(workers(&with(enough).expect("it fits")), [8], "it is as told");
    assert_eq!(workers(&with(enough - MIB).expect("it fits")), [7]);
}

#[test]
fn what_would_carry_all_is_true_for_several_stages_and_large_items() {
    let specs = [
        memory("a", Footprint::per_worker(100 * MIB)),
        memory("b", Footprint::per_worker(70 * MIB).and(Footprint::shared(50 * MIB))),
    ];
    for largest_item in [None, Some(MIB), Some(900 * MIB)] {
        let settings = Settings { largest_item, ..SETTINGS };
        let budget = Budget::new(2_100 * MIB, 16);
        let short = plan(&budget, &specs, &settings).expect("it fits");
        assert!(workers(&short).iter().all(|workers| *workers < 16), "{short}");
        let with = |memory| plan(&budget.with_memory(memory), &specs, &settings);
        // 15 more of either, and what is kept for items beside them.
        let further = 15 * 170 * MIB;
        let quarter = further.div_ceil(3);
        let items = largest_item.map_or(quarter, |bytes| quarter.min(17 * bytes).max(2 * bytes));
        let enough = (50 + 170) * MIB + further + items;
        let told = format!("{} more would carry all", Bytes(enough - budget.memory()));
        assert!(short.to_string().contains(&told), "{told}: {short}");
        assert_eq!(workers(&with(enough).expect("it fits")), [16, 16], "{short}");
        assert_ne!(workers(&with(enough - MIB).expect("it fits")), [16, 16], "{short}");
        // With one of the largest for each core and the oldest, whatever the budget, and if it has
        // more than enough.
        let enough = (50 + 170) * MIB + further + largest_item.map_or(items, |bytes| 17 * bytes);
        for memory in [short.memory(), enough + GIB] {
            let plan = with(memory).expect("it fits");
            assert_eq!(plan.enough_memory(), Some(enough), "{plan:#}");
        }
        assert_eq!(workers(&with(enough).expect("it fits")), [16, 16], "{short}");
        let beside = match largest_item {
            None => "a quarter for items of unknown size",
            Some(_) => "17 of the largest items",
        };
        let row = format!(
            "\nenough        {:>10}   the least memory that carries all workers asked for, beside \
             {beside}\n",
            Bytes(enough)
        );
        assert!(format!("{short:#}").contains(&row), "{row}: {short:#}");
    }
}

#[test]
fn what_carries_twice_the_workers_is_enough_whoever_else_comes_first() {
    let specs = [
        memory("a", Footprint::per_worker(100 * MIB)),
        memory("b", Footprint::per_worker(70 * MIB).and(Footprint::shared(50 * MIB))),
        StageSpec { workers: Some(3), ..memory("c", Footprint::per_worker(10 * MIB)) },
    ];
    for largest_item in [None, Some(MIB), Some(900 * MIB)] {
        let settings = Settings { largest_item, ..SETTINGS };
        let budget = Budget::new(2_100 * MIB, 16);
        let short = plan(&budget, &specs, &settings).expect("it fits");
        for (index, stage) in short.stages().iter().enumerate() {
            let Some((wanted, missing)) = stage.more else {
                assert_eq!(stage.workers(), stage.asked_workers());
                continue;
            };
            assert_eq!(wanted, stage.asked_workers().min(2 * stage.workers()));
            let with = |memory| plan(&budget.with_memory(memory), &specs, &settings);
            let enough = with(budget.memory() + missing).expect("it fits");
            assert!(enough.stages()[index].workers() >= wanted, "{wanted}: {enough}");
            // No more than a worker of each, and what is kept for items beside them, too much;
            // the small ones of "c" find room before their turn.
            let less = with(budget.memory() + missing - missing.min(240 * MIB)).expect("it fits");
            assert!(index == 2 || less.stages()[index].workers() < wanted, "{wanted}: {less}");
        }
        assert!(short.stages()[0].more.is_some(), "{short}");
    }
}

#[test]
fn calls_that_wait_have_room_for_the_largest_item_each() {
    let waits = |workers| StageSpec {
        waits: true,
        workers: Some(workers),
        ..memory("ask", Footprint::none())
    };
    let big = memory("big", Footprint::per_worker(MIB).and(Footprint::shared(12 * MIB)));
    let on = |memory: u64, workers, largest_item| {
        let settings = Settings { largest_item, ..SETTINGS };
        plan(&Budget::new(memory, 2), &[waits(workers), big.clone()], &settings).expect("it fits")
    };
    for (workers, largest) in [(2, 400 * KIB), (64, 400 * KIB), (1_000, MIB)] {
        let enough = on(256 * MIB, workers, Some(largest)).enough_memory().expect("it is little");
        // Two cores, the oldest; twelve that are shared, two workers.
        let items = (workers as u64 + 2 + 1) * largest;
        assert_eq!(enough, crate::units::rounded_up(14 * MIB + items));
        let plan = on(enough, workers, Some(largest));
        assert!(plan.line() >= items && plan.line() < items + MIB, "{plan}");
        // So much is set aside where it is no more than a quarter.
        let roomy = on(5 * enough, workers, Some(largest));
        assert_eq!(roomy.spare(), roomy.line() - items, "{roomy:#}");
    }
    let unknown = [2, 64].map(|workers| on(256 * MIB, workers, None).enough_memory());
    assert_eq!(unknown, [Some(15 * MIB); 2], "nothing is known of items");
}

#[test]
fn scarce_memory_is_shared_by_need_and_not_by_position() {
    let heavy = Footprint::per_worker(100 * MIB);
    let specs = [memory("first", heavy), memory("second", Footprint::per_worker(100 * MIB))];
    let plan = plan(&Budget::new(700 * MIB, 8), &specs, &SETTINGS).expect("it fits");
    assert_eq!(workers(&plan), [3, 2], "600 MiB, less what is kept for items");
}

#[test]
fn whoever_asks_for_more_gets_more_in_proportion() {
    let asks = |name, workers| StageSpec {
        workers: Some(workers),
        ..memory(name, Footprint::per_worker(100 * MIB))
    };
    let specs = [asks("four", 4), asks("twelve", 12)];
    // 800 MiB are left beside the first workers: six more, and 200 MiB for items.
    let plan = plan(&Budget::new(1_000 * MIB, 2), &specs, &SETTINGS).expect("it fits");
    assert_eq!(workers(&plan), [2, 6]);
}

#[test]
fn what_cannot_fit_is_named_with_the_missing_bytes() {
    let specs = [cpu("parse"), memory("screen", Footprint::per_worker(3 * GIB))];
    let error = plan(&Budget::new(GIB, 2), &specs, &SETTINGS).expect_err("it cannot fit");
    let text = error.to_string();
    assert!(matches!(error, Error::NoRoom { needed, available, .. }
        if (needed, available) == (3 * GIB, GIB)));
    for part in ["\"screen\"", "3.0 GiB are needed for its first worker", "(`3073 * MIB` would do)"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(plan(&Budget::new(3_073 * MIB, 2), &specs, &SETTINGS).is_ok(), "it is as told");
    let close = plan(&Budget::new(3 * GIB - 8, 2), &specs, &SETTINGS).expect_err("8 B are missing");
    let told = "3221225472 B are needed for its first worker, 3221225464 B of the budget's 3.0 GiB";
    assert!(close.to_string().contains(told), "{close}");
    let demanded = Budget::new(600 * MIB, 2).with_workers("a", 9);
    let specs = [memory("a", Footprint::per_worker(100 * MIB))];
    let error = plan(&demanded, &specs, &SETTINGS).expect_err("400 MiB and more are missing");
    let Error::NoRoom { enough: Some(enough), .. } = error else { panic!("{error}") };
    let met = plan(&demanded.with_memory(enough), &specs, &SETTINGS).expect("it is as told");
    assert_eq!(workers(&met), [9]);
    assert!(plan(&demanded.with_memory(enough - MIB), &specs, &SETTINGS).is_err());
    let settings = Settings { largest_item: Some(2 * GIB), ..SETTINGS };
    let error = plan(&Budget::new(GIB, 2), &[cpu("parse")], &settings).expect_err("nor this");
    assert!(error.to_string().contains("for the largest item, as"), "{error}");
}

#[test]
fn a_refusal_tells_who_has_the_rest_of_the_budget() {
    let heavy = |name, bytes| memory(name, Footprint::per_worker(bytes));
    let names = ["a", "b", "c", "d", "e"];
    let specs: Vec<_> = names.into_iter().zip(1..).map(|(name, n)| heavy(name, n * MIB)).collect();
    let demanded = Budget::new(40 * MIB, 1).with_workers("e", 9);
    let error = plan(&demanded, &specs, &SETTINGS).expect_err("40 MiB and more are missing");
    let Error::NoRoom { held, available, budget, .. } = &error else { panic!("{error}") };
    // 25 MiB are left beside the first workers, of which a quarter is kept; three more of 5
    // MiB fit.
    assert_eq!(held[0], ("stage \"e\"".to_owned(), 20 * MIB));
    assert_eq!(held[1], ("items".to_owned(), 25 * MIB / 4));
    assert_eq!(held.iter().map(|(_, bytes)| bytes).sum::<u64>() + available, *budget);
    let rest = "(the rest: stage \"e\" 20.0 MiB, items 6.2 MiB, stage \"d\" 4.0 MiB, stage \"c\" \
                3.0 MiB, 2 others 3.0 MiB)";
    assert!(error.to_string().contains(rest), "{error}");
    let first = plan(&Budget::new(MIB, 1), &specs[1..], &SETTINGS).expect_err("2 MiB are needed");
    assert!(matches!(&first, Error::NoRoom { held, .. } if held.is_empty()), "{first}");
    assert!(!first.to_string().contains("the rest"), "{first}");
    let specs = [heavy("a", u64::MAX), heavy("b", 1)];
    let never = plan(&Budget::new(MIB, 1), &specs, &SETTINGS).expect_err("nobody has so much");
    assert!(
        never.to_string().ends_with("; no budget would do: lower what is declared or demanded")
    );
}

#[test]
fn a_demand_of_the_budget_is_met_or_refused_but_never_bent() {
    let specs = || [memory("screen", Footprint::per_worker(100 * MIB))];
    let budget = || Budget::new(GIB, 2);
    let met = plan(&budget().with_workers("screen", 6), &specs(), &SETTINGS).expect("6 fit");
    assert_eq!(workers(&met), [6]);
    assert_eq!(met.threads(), 2 + 1 + 6, "more workers than cores are taken to wait");
    let refused = plan(&budget().with_workers("screen", 60), &specs(), &SETTINGS);
    assert!(matches!(refused, Err(Error::NoRoom { .. })), "{refused:?}");
    let lighter = budget().with_workers("screen", 60).with_footprint("screen", MIB);
    assert_eq!(workers(&plan(&lighter, &specs(), &SETTINGS).expect("60 MiB fit")), [60]);
}

#[test]
fn adjacent_cpu_stages_share_a_queue_unless_the_ledger_stands_between() {
    let weighed = Stage::cpu("b").map(|item: u64| item).weigh(|_| 1).spec;
    let flat = Stage::cpu("d").flat_map(|item: u64| Some(item)).spec;
    let specs = [cpu("a"), weighed, cpu("c"), flat, cpu("e"), cpu("f")];
    let plan = plan(&Budget::new(GIB, 2), &specs, &SETTINGS).expect("it fits");
    let segments: Vec<_> = plan.stages.iter().map(|stage| stage.segment).collect();
    assert_eq!(segments, [0, 0, 1, 2, 3, 3]);
    assert_eq!(plan.segments.len(), 5, "and the sink's");
}

#[test]
fn a_demand_comes_before_what_others_would_like() {
    let heavy = |name| memory(name, Footprint::per_worker(100 * MIB));
    let demand = |workers| {
        let budget = Budget::new(700 * MIB, 8).with_workers("second", workers);
        plan(&budget, &[heavy("first"), heavy("second")], &SETTINGS)
    };
    // 500 MiB are left beside the first workers, of which 125 are kept.
    assert_eq!(workers(&demand(4).expect("three more fit")), [1, 4]);
    let error = demand(6).expect_err("five more do not");
    assert!(
        matches!(error, Error::NoRoom { needed, available, budget, .. }
            if (needed, available, budget) == (200 * MIB, 75 * MIB, 700 * MIB)),
        "{error}"
    );
}

#[test]
fn stages_that_run_in_one_go_have_their_workers_together() {
    let budget = Budget::new(GIB, 2).with_footprint("a", MIB).with_footprint("b", 2 * MIB);
    let specs = || [cpu("a"), cpu("b")];
    let together = plan(&budget.clone().with_workers("b", 2), &specs(), &SETTINGS).expect("fits");
    assert_eq!((together.segments.len(), together.line()), (2, GIB - 2 * 3 * MIB));
    let reasons: Vec<_> = together.stages().iter().map(StagePlan::reason).collect();
    assert_eq!(reasons, ["given by the caller", "runs in one go with a"]);
    let apart = plan(&budget.with_workers("b", 3), &specs(), &SETTINGS).expect("fits");
    assert_eq!((workers(&apart), apart.segments.len()), (vec![2, 3], 3));
}

#[test]
fn what_gathers_or_is_counted_stands_alone() {
    let gathers = || StageSpec { gather: Some(100), ..cpu("b") };
    let counts = || StageSpec { counts_items: true, ..cpu("b") };
    for (specs, apart) in [
        ([cpu("a"), cpu("b"), cpu("c")], [0, 0, 0]),
        ([cpu("a"), gathers(), cpu("c")], [0, 1, 2]),
        ([cpu("a"), counts(), cpu("c")], [0, 1, 1]),
        ([cpu("a"), memory("b", Footprint::per_worker(0)), cpu("c")], [0, 1, 2]),
    ] {
        let plan = plan(&Budget::new(GIB, 2), &specs, &SETTINGS).expect("it fits");
        assert_eq!(plan.stages.iter().map(|stage| stage.segment).collect::<Vec<_>>(), apart);
    }
}

#[test]
fn queues_feed_every_worker_and_hold_two_batches() {
    let specs = [
        memory("a", Footprint::per_worker(0)),
        StageSpec { workers: Some(6), ..memory("b", Footprint::per_worker(0)) },
        StageSpec { gather: Some(100), ..cpu("c") },
    ];
    let queues = |ordered| {
        let settings = Settings { ordered, ..SETTINGS };
        let plan = plan(&Budget::new(GIB, 2), &specs, &settings).expect("it fits");
        let queue = |segment: &SegmentPlan| (segment.queue_bound, segment.waits, segment.gather);
        plan.segments.iter().map(queue).collect::<Vec<_>>()
    };
    let inner = [(8, false, None), (24, true, None), (200, false, Some(100))];
    assert_eq!(queues(false), [&inner[..], &[(8, false, None)]].concat());
    assert_eq!(queues(true), [&inner[..], &[(1_000, false, None)]].concat());
}

#[test]
fn what_is_counted_is_told() {
    let mut specs = [cpu("a"), cpu("b"), cpu("c"), cpu("d")];
    for (spec, counts) in specs.iter_mut().zip([(false, false), (true, false), (false, true)]) {
        (spec.counts_items, spec.weighs_outputs) = counts;
    }
    (specs[3].counts_items, specs[3].weighs_outputs) = (true, true);
    let plan = plan(&Budget::new(GIB, 2), &specs, &SETTINGS).expect("it fits");
    let counted: Vec<_> = plan.stages.iter().map(StagePlan::counted).collect();
    assert_eq!(counted, ["-", "call", "output", "call+output"]);
}

#[test]
fn nobody_has_more_than_4096_cores_or_workers() {
    let cores = |cores| plan(&Budget::new(GIB, cores), &[cpu("a")], &SETTINGS);
    assert_eq!(cores(4_096).expect("as many as may be").threads(), 4_097);
    assert!(matches!(cores(4_097), Err(Error::Setting { value: 4_097, .. })));
    let workers =
        |workers| plan(&Budget::new(GIB, 1).with_workers("a", workers), &[cpu("a")], &SETTINGS);
    assert_eq!(workers(4_096).expect("as many as may be").threads(), 1 + 1 + 4_096);
    assert!(matches!(workers(4_097), Err(Error::Setting { value: 4_097, .. })));
}

#[test]
fn names_and_settings_that_cannot_work_are_refused() {
    let budget = Budget::new(GIB, 2);
    let clash = plan(&budget, &[cpu("top-k"), cpu("TOP K")], &SETTINGS);
    assert!(matches!(clash, Err(Error::NameClash { variable, .. }) if variable == "TOP_K"));
    let nameless = plan(&budget, &[cpu("?")], &SETTINGS);
    assert!(matches!(nameless, Err(Error::StageName { position: 1, .. })));
    let mut idle = cpu("a");
    idle.workers = Some(0);
    assert!(matches!(plan(&budget, &[idle], &SETTINGS), Err(Error::Setting { .. })));
    let mut empty = cpu("a");
    empty.gather = Some(0);
    assert!(matches!(plan(&budget, &[empty], &SETTINGS), Err(Error::Setting { .. })));
    let shut = Settings { window: 0, ..SETTINGS };
    assert!(matches!(plan(&budget, &[cpu("a")], &shut), Err(Error::Setting { .. })));
    let weightless = Settings { largest_item: Some(0), ..SETTINGS };
    assert!(matches!(plan(&budget, &[cpu("a")], &weightless), Err(Error::Setting { .. })));
    let nothing = plan(&Budget::new(0, 2), &[cpu("a")], &SETTINGS);
    assert!(matches!(nothing, Err(Error::ZeroBudget { what: "memory", .. })));
}

#[test]
fn the_table_can_be_checked_by_hand() {
    let budget = Budget::new(GIB, 2).with_workers("elsewhere", 3);
    let specs = [cpu("parse"), memory("screen", Footprint::per_worker(100 * MIB))];
    let settings = Settings { ordered: true, largest_item: Some(8 * MIB), ..SETTINGS };
    let text = plan(&budget, &specs, &settings).expect("it fits").to_string();
    for line in [
        "memory      1.0 GiB   given by the caller",
        "stage   kind    workers       each     shared     in all  counted      queue  why so many",
        "screen  memory        2  100.0 MiB        0 B  200.0 MiB  -                8  one for each",
        "stages    200.0 MiB   all that they keep",
        "line      824.0 MiB   the rest: what items aboard may hold",
        "reserve     8.0 MiB   the oldest item's part of the line",
        "window         1000   items aboard at the most\n",
        "source                its items count as 8 B each, their own size (weigh_source tells",
        "outputs               in the order of the source\n",
        "threads           3   2 for the cores, 1 for the source; one more watches\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    assert!(
        text.contains(
            "no stage of this pipeline is tuned as ELSEWHERE (given by the caller); there are PARSE, \
             SCREEN\n"
        ),
        "{text}"
    );
}

#[test]
fn the_default_window_grows_with_the_cores() {
    let windows = [1, 2, 64].map(default_window);
    assert_eq!(windows, [16_384, 16_384, 524_288]);
}

#[test]
fn who_says_that_it_waits_holds_no_core_on_any_machine() {
    let waits = |name, bytes| StageSpec {
        waits: true,
        workers: Some(8),
        ..memory(name, Footprint::per_worker(bytes))
    };
    for (cores, workers, memory) in [(2, 8, GIB), (64, 8, GIB), (4, 3, 40 * MIB)] {
        let plan = plan(&Budget::new(memory, cores), &[waits("ask", 10 * MIB)], &SETTINGS);
        let plan = plan.expect("it fits");
        let stage = &plan.stages()[0];
        assert_eq!((stage.workers(), stage.waits()), (workers, true), "{cores} cores");
        assert_eq!(plan.threads(), cores + 1 + workers, "each of its workers has a thread");
        assert!(stage.reason().contains("; its calls wait and hold no core"), "{}", stage.reason());
    }
    let unsaid = StageSpec { waits: false, ..waits("ask", 10 * MIB) };
    let on = |memory, cores| {
        let plan = plan(&Budget::new(memory, cores), std::slice::from_ref(&unsaid), &SETTINGS);
        plan.expect("it fits").stages()[0].waits()
    };
    assert!(on(GIB, 2) && !on(GIB, 8) && on(40 * MIB, 4), "it asks for more than there are cores");
    let apart = [cpu("parse"), StageSpec { waits: true, ..cpu("fetch") }];
    let apart = plan(&Budget::new(GIB, 2), &apart, &SETTINGS).expect("it fits");
    assert_eq!(
        apart.segments.iter().map(|segment| segment.waits).collect::<Vec<_>>(),
        [false, true, false]
    );
}
