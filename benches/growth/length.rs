//! Real runs of more and more items: the time an item takes and the memory they all take
//! should not grow.

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use plimsoll::{Budget, Footprint, Pipeline, Stage};

pub(crate) fn table(quick: bool) {
    println!("\n### length: trivial items through three stages, on this machine\n");
    println!("| items | ns an item | in order | most aboard | peak MiB so far |");
    println!("|--:|--:|--:|--:|--:|");
    let most = if quick { 6 } else { 8 };
    for power in 4..=most {
        let items = 10u64.pow(power);
        // Short runs are repeated, as they are soon over.
        let rounds = 10u64.pow(6u32.saturating_sub(power)).max(1);
        let (unordered, aboard) = run(items, rounds, false);
        let (ordered, aboard_ordered) = run(items, rounds, true);
        let aboard = aboard.max(aboard_ordered);
        let peak = peak_kib() as f64 / 1_024.0;
        println!("| 10^{power} | {unordered:.2} | {ordered:.2} | {aboard} | {peak:.1} |");
    }
}

/// Nanoseconds an item, and the most items aboard.
fn run(items: u64, rounds: u64, ordered: bool) -> (f64, u64) {
    let budget = Budget::from_env().expect("the machine can be read");
    let (mut nanos, mut aboard) = (0, 0);
    for _ in 0..rounds {
        let mut pipeline = Pipeline::new(Stage::cpu("a").map(|n: u64| n.wrapping_mul(0x9e37_79b9)))
            .then(Stage::memory("b", Footprint::none()).map(|n: u64| n ^ (n >> 17)))
            .then(Stage::cpu("c").map(|n: u64| n.wrapping_add(n >> 32)));
        if ordered {
            pipeline = pipeline.ordered();
        }
        let pipeline = pipeline.build(&budget).expect("it fits");
        let mut sum = 0u64;
        let begun = Instant::now();
        let report = pipeline.run(0..items, |n| sum = sum.wrapping_add(n)).expect("nothing fails");
        nanos += begun.elapsed().as_nanos();
        assert_eq!(report.delivered(), items);
        black_box(sum);
        aboard = aboard.max(report.most_aboard());
    }
    (nanos as f64 / (items * rounds) as f64, aboard)
}

/// The most that this process ever had resident, where the system tells.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
