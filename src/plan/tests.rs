use super::*;
use crate::budget::Budget;
use crate::error::Error;
use crate::stage::{Footprint, Stage, StageSpec};
use crate::units::{GIB, MIB};

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
    assert_eq!(plan.threads(), 5);
}

#[test]
fn workers_stop_where_the_items_share_begins_and_the_reason_says_what_is_missing() {
    let specs = [memory("screen", Footprint::per_worker(300 * MIB))];
    let plan = plan(&Budget::new(GIB, 8), &specs, &SETTINGS).expect("two workers fit");
    assert_eq!(workers(&plan), [2]);
    let reason = plan.stages()[0].reason();
    // 724 MiB left after the first, 181 kept: one more fits, 243 MiB are free.
    assert_eq!(
        reason,
        "limited by memory: 2 of 8 fit, 1.5 GiB more would carry all (one for each core)"
    );
}

#[test]
fn scarce_memory_is_shared_by_need_and_not_by_position() {
    let heavy = Footprint::per_worker(100 * MIB);
    let specs = [memory("first", heavy), memory("second", Footprint::per_worker(100 * MIB))];
    let plan = plan(&Budget::new(700 * MIB, 8), &specs, &SETTINGS).expect("it fits");
    assert_eq!(workers(&plan), [3, 2], "600 MiB, less what is kept for items");
}

#[test]
fn what_cannot_fit_is_named_with_the_missing_bytes() {
    let specs = [cpu("parse"), memory("screen", Footprint::per_worker(3 * GIB))];
    let error = plan(&Budget::new(GIB, 2), &specs, &SETTINGS).expect_err("it cannot fit");
    let text = error.to_string();
    assert!(matches!(error, Error::NoRoom { needed, available, .. }
        if (needed, available) == (3 * GIB, GIB)));
    for part in ["\"screen\"", "3.0 GiB are needed for its first worker", "2.0 GiB are missing"] {
        assert!(text.contains(part), "{text}");
    }
    let settings = Settings { largest_item: Some(2 * GIB), ..SETTINGS };
    let error = plan(&Budget::new(GIB, 2), &[cpu("parse")], &settings).expect_err("nor this");
    assert!(error.to_string().contains("one item, the largest that is declared"), "{error}");
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
        "window         1000   items aboard at the most; outputs in the source's order",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    assert!(
        text.contains("no stage of this pipeline is tuned as ELSEWHERE (given by the caller)"),
        "{text}"
    );
}
