//! What a plan tells people and programs, kept whole: each number with its reason.

#[path = "common/snapshot.rs"]
mod snapshot;

use plimsoll::{Budget, Footprint, GIB, MIB, Pipeline, PipelineBuilder, Stage};
use snapshot::assert_kept;

/// Stages that fuse, that are short of memory, that gather, that are told by the budget.
fn stages() -> PipelineBuilder<'static, u64, u64> {
    let parse = Stage::cpu("parse").map(|n: u64| n);
    let perceive = Stage::cpu("perceive").map(|n: u64| n).weigh(|_| 4_096);
    let embed = Footprint::per_worker(12 * GIB).and(Footprint::shared(20 * GIB));
    let embed = Stage::memory("embed", embed).map_batch(512, |batch: Vec<u64>| batch);
    let screen = Footprint::per_worker(GIB).and(Footprint::per_item(|_| 64 * MIB));
    let screen = Stage::memory("screen", screen).workers(100).map(|n: u64| n);
    Pipeline::new(parse).then(perceive).then(embed).then(screen).ordered()
}

/// One that no machine of the tests has.
fn budget() -> Budget {
    Budget::new(256 * GIB, 64).with_footprint("screen", 2 * GIB).with_workers("elsewhere", 3)
}

#[test]
fn a_plan_for_a_budget_this_machine_does_not_have() {
    let stages = stages();
    let plan = stages.plan(&budget()).expect("it fits");
    let built = stages.build(&budget()).expect("it fits");
    assert_eq!(plan.to_string(), built.plan().to_string(), "planning alone changes nothing");
    assert_kept("plan/table.txt", &plan.to_string());
    assert_kept("plan/everything.txt", &format!("{plan:#}"));
}

#[test]
fn every_figure_of_a_plan_is_told() {
    let plan = stages().plan(&budget()).expect("it fits");
    let embed = &plan.stages()[2];
    assert!(embed.workers() < embed.asked_workers(), "{plan}");
    assert_eq!(embed.asked_workers(), 64);
    assert_eq!(plan.stages()[3].asked_workers(), 100);
    assert_eq!(plan.notes().len(), 1, "{plan}");
    assert!(plan.notes()[0].contains("ELSEWHERE"), "{plan}");
}

#[test]
fn what_items_of_the_source_count_as_is_told() {
    let stages = || Pipeline::new(Stage::cpu("length").map(|line: String| line.len()));
    let budget = Budget::new(GIB, 2);
    let size = size_of::<String>();
    let plain = stages().plan(&budget).expect("it fits");
    let told = format!("\nsource                its items count as {size} B each, their own size");
    assert!(plain.to_string().contains(&told), "{plain}");
    assert!(format!("{plain:#}").contains(&format!("items: {size} B in (shallow)")), "{plain:#}");
    let weighed = stages().weigh_source(|line| line.capacity() as u64).plan(&budget);
    let weighed = weighed.expect("it fits");
    let told = "\nsource                its items are weighed (weigh_source)\n";
    assert!(weighed.to_string().contains(told), "{weighed}");
    assert!(format!("{weighed:#}").contains("items: in as weighed"), "{weighed:#}");
    let order = "\noutputs               as they are completed; in the order of the source by";
    assert!(plain.to_string().contains(order), "{plain}");
}

#[test]
#[cfg(feature = "serde")]
fn the_json_of_a_plan_keeps_its_names() {
    let plan = stages().plan(&budget()).expect("it fits");
    let text = serde_json::to_string_pretty(&plan).expect("a plan can be written");
    assert_kept("plan/plan.json", &(text + "\n"));
}
