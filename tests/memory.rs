//! Real memory: pipelines that use several times their budget if nothing holds them
//! back, in cgroups whose limit the kernel enforces by killing.
//!
//! `RUNS=20 cargo test --release --test memory` repeats every workload so often;
//! `cargo bench --bench memory` prints a table of the same.
#![cfg(target_os = "linux")]

#[path = "memory/cgroup.rs"]
mod cgroup;
#[path = "memory/child.rs"]
mod child;
mod common;
#[path = "memory/limits.rs"]
mod limits;
#[path = "memory/neighbour.rs"]
mod neighbour;
#[path = "memory/peer.rs"]
mod peer;
#[path = "memory/workloads.rs"]
mod workloads;

use std::env;

use child::{Ended, Order};
use common::eventually;
use limits::{BUDGETS, group};
use plimsoll::MIB;

/// What a report says of a run that has set the allocator.
#[cfg(target_env = "gnu")]
const GIVES_BACK: &str = "it was told to give blocks of 1.0 MiB and more back at once";

/// How often each workload is run on each budget.
fn runs() -> u64 {
    let runs = env::var("RUNS").unwrap_or("1".to_owned());
    runs.parse().expect("RUNS is a number")
}

/// Not a test of its own: what the processes do that the others start.
#[test]
fn child() {
    if child::is_child() {
        child::obey();
    }
}

/// Runs a workload on each budget in a cgroup of its own; what the last run told.
fn survives(task: &str) -> Option<String> {
    let mut text = None;
    for memory in BUDGETS {
        for run in 0..runs() {
            let group = group()?;
            let ended = Order { group: Some(&group), memory, ..Order::of(task) }.run();
            let told = format!(
                "{task}, budget {memory:?}, run {run}: {}, {:?} bytes at most in the cgroup",
                ended.status,
                group.peak()
            );
            assert_eq!((ended.killed(), group.kills()), (false, 0), "{told}");
            assert!(ended.status.success(), "{told}\n{}", ended.text);
            assert!(ended.number("anonymous") > Some(0), "{told}\n{}", ended.text);
            text = Some(ended.text);
        }
    }
    text
}

#[test]
fn an_expanding_stage_survives() {
    survives("expanding");
}

#[test]
fn a_heavy_tail_survives() {
    survives("heavy tail");
}

#[test]
fn an_explosion_survives() {
    survives("explosion");
}

#[test]
fn an_ordered_run_with_a_slow_first_item_survives() {
    survives("slow first");
}

#[test]
fn two_stages_with_models_survive() {
    survives("two models");
}

#[test]
fn blocks_of_all_sizes_survive() {
    survives("mixed");
}

#[test]
fn a_footprint_ten_times_too_small_survives() {
    let Some(report) = survives("understated") else { return };
    assert!(report.contains("items of expand look heavier than declared"), "{report}");
}

#[test]
fn a_footprint_ten_times_too_large_survives() {
    let Some(report) = survives("overstated") else { return };
    assert!(report.contains("of what was declared were never used: a call of expand"), "{report}");
}

/// Needs no cgroup: nothing but the pipeline itself holds it back.
#[test]
fn real_memory_stays_near_the_budget() {
    for run in 0..runs() {
        let ended = Order { memory: Some("256MiB"), ..Order::of("mixed") }.run();
        assert!(ended.status.success(), "run {run}: {}\n{}", ended.status, ended.text);
        let peak = ended.number("anonymous").expect("it was told") / MIB;
        assert!(peak <= 256 * 5 / 4, "run {run}: {peak} MiB\n{}", ended.text);
        assert!(peak >= 256 / 2, "run {run}: the work is too small to tell\n{}", ended.text);
    }
}

/// What the allocator keeps is all that real memory has beyond the ledger here.
#[test]
#[cfg(target_env = "gnu")]
fn real_memory_stays_below_the_budget_where_large_blocks_are_released() {
    for run in 0..runs() {
        let order = Order { memory: Some("256MiB"), releases: Some(MIB), ..Order::of("mixed") };
        let ended = order.run();
        assert!(ended.status.success(), "run {run}: {}\n{}", ended.status, ended.text);
        let peak = ended.number("anonymous").expect("it was told") / MIB;
        assert!((64..=256).contains(&peak), "run {run}: {peak} MiB\n{}", ended.text);
    }
}

/// What the allocator keeps holds the run up, until the run has it keep no more. What it kept
/// by then goes, but for holes between smaller blocks, which are used again: a second run
/// finds little of it, where it would find most of the budget (108 MiB and more).
#[test]
#[cfg(target_env = "gnu")]
fn a_run_that_kept_blocks_hold_up_has_them_given_back_from_then_on() {
    for run in 0..runs() {
        let ended = Order { memory: Some("128MiB"), ..Order::of("kept, twice") }.run();
        let told = format!("run {run}: {}\n{}", ended.status, ended.text);
        assert!(ended.status.success(), "{told}");
        assert_eq!(ended.text.matches(GIVES_BACK).count(), 1, "once in a process: {told}");
        let (first, second) = ended.text.split_once("told: ").expect("it told its end");
        assert!(first.contains(GIVES_BACK) && !second.contains(GIVES_BACK), "{told}");
        let drift = ended.number("drift").expect("it was told") / MIB;
        assert!(drift < 64, "{drift} MiB of drift in the second run: {told}");
    }
}

/// A setting of the process is its owner's, if that has chosen. The memory shows that these
/// runs would have had reason to change it.
#[test]
#[cfg(target_env = "gnu")]
fn who_has_set_the_allocator_is_not_overruled() {
    let tuned = |tunables| Order { tunables: Some(tunables), ..Order::of("kept, twice") };
    let orders = [
        Order { releases: Some(32 * MIB), ..Order::of("kept, twice") },
        tuned("glibc.malloc.arena_max=8:glibc.malloc.mmap_threshold=33554432"),
    ];
    for order in orders {
        let ended = Order { memory: Some("128MiB"), ..order }.run();
        let told = format!("{}\n{}", ended.status, ended.text);
        assert!(ended.status.success() && ended.text.contains(" of the allocator gave "), "{told}");
        assert!(!ended.text.contains(GIVES_BACK), "{told}");
    }
    let unmeasured = Order { measured: false, memory: Some("128MiB"), ..Order::of("kept, twice") };
    let ended = unmeasured.run();
    assert!(ended.status.success() && !ended.text.contains(GIVES_BACK), "{}", ended.text);
    assert!(ended.number("anonymous") > Some(160 * MIB), "{}", ended.text);
}

/// Without this the tests above would pass where nothing is ever killed.
#[test]
fn the_same_by_hand_is_killed() {
    let Some(group) = group() else { return };
    let ended = Order { group: Some(&group), ..Order::of("peer") }.run();
    assert!(ended.killed(), "{}\n{}", ended.status, ended.text);
    assert_eq!(group.kills(), 1);
}

#[test]
fn memory_that_another_process_takes_is_waited_for() {
    for run in 0..runs() {
        let Some(group) = group() else { return };
        let order = Order { group: Some(&group), memory: Some("300MiB"), ..Order::of("neighbour") };
        let mut pipeline = order.start();
        assert!(eventually(|| group.usage() > 250 * MIB), "the pipeline fills its budget");
        let hog = Order { group: Some(&group), ..Order::of("hog") }.run();
        let lived = pipeline.lives();
        pipeline.close_input();
        let ended = pipeline.end();
        let told = |which: &Ended| format!("run {run}: {}\n{}", which.status, which.text);
        assert_eq!(group.kills(), 0, "{}{}", told(&ended), told(&hog));
        assert!(hog.number("anonymous") >= Some(neighbour::HOG), "{}", told(&hog));
        assert!(lived && ended.status.success(), "{}", told(&ended));
    }
}
