//! The figures of many runs: kills, real memory, time.

use crate::child::{Ended, Order};
use crate::limits::{BUDGETS, group};
use crate::workloads::ALL;
use plimsoll::MIB;

/// What one kind of run came to.
#[derive(Default)]
struct Row {
    runs: u64,
    kills: u64,
    failures: u64,
    /// Of the runs that lived, MiB.
    anonymous: Vec<u64>,
    /// What the cgroup saw, MiB, of all.
    cgroup: Vec<u64>,
    millis: Vec<u64>,
    budget: u64,
}

impl Row {
    fn add(&mut self, ended: &Ended, cgroup: Option<u64>) {
        self.runs += 1;
        self.cgroup.extend(cgroup.map(|bytes| bytes / MIB));
        if ended.killed() {
            self.kills += 1;
        } else if !ended.status.success() {
            self.failures += 1;
            println!("{}", ended.text);
        } else {
            // The peer has neither budget nor report.
            let number = |name| ended.number(name);
            self.anonymous.extend(number("anonymous").map(|bytes| bytes / MIB));
            self.millis.extend(number("micros").map(|micros| micros / 1_000));
            self.budget = number("budget").unwrap_or(0) / MIB;
        }
    }
}

/// The middle and the largest.
fn spread_of(values: &[u64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    match sorted.last() {
        Some(largest) => format!("{} / {largest}", sorted[sorted.len() / 2]),
        None => "-".to_owned(),
    }
}

fn print_row(name: &str, budget: &str, row: &Row) {
    let (anonymous, cgroup) = (spread_of(&row.anonymous), spread_of(&row.cgroup));
    let millis = spread_of(&row.millis);
    // Two digits after the point.
    let share = match (row.anonymous.iter().max(), row.budget) {
        (Some(most), 1..) => format!("{}.{:02}", most / row.budget, most * 100 / row.budget % 100),
        _ => "-".to_owned(),
    };
    println!(
        "| {name} | {budget} | {} | {} | {} | {anonymous} | {share} | {cgroup} | {millis} |",
        row.runs, row.kills, row.failures
    );
}

pub(crate) fn print(runs: u64) {
    println!(
        "\n| workload | budget | runs | killed | failed | anonymous, MiB | most / budget \
         | cgroup, MiB | ms |\n|---|---|---|---|---|---|---|---|---|"
    );
    for (task, _) in ALL {
        for memory in BUDGETS {
            print_in_cgroup(task, memory, runs);
        }
    }
    print_in_cgroup("peer", None, runs); // its 448 MiB are its own
    let mut row = Row::default();
    for _ in 0..runs {
        row.add(&Order { memory: Some("256MiB"), ..Order::of("mixed") }.run(), None);
    }
    print_row("mixed, no limit", "256MiB", &row);
    let [mut released, mut unmeasured] = [Row::default(), Row::default()];
    for _ in 0..runs {
        let order = Order { memory: Some("256MiB"), ..Order::of("mixed") };
        released.add(&Order { releases: Some(plimsoll::MIB), ..order }.run(), None);
        unmeasured.add(&Order { measured: false, ..order }.run(), None);
    }
    print_row("mixed, no limit, large blocks released", "256MiB", &released);
    print_row("mixed, no limit, unmeasured", "256MiB", &unmeasured);
    print_slowdown(runs);
    println!("\nA / B: median / largest. Anonymous: of the runs that lived.");
}

fn print_in_cgroup(task: &str, memory: Option<&str>, runs: u64) {
    let mut row = Row::default();
    for _ in 0..runs {
        let Some(group) = group() else { return };
        let ended = Order { group: Some(&group), memory, ..Order::of(task) }.run();
        row.add(&ended, group.peak());
    }
    print_row(task, memory.unwrap_or("auto"), &row);
}

/// What it costs that real memory is looked at, where all fits: runs in turn, so that
/// what else the machine does meets both.
fn print_slowdown(runs: u64) {
    let [mut measured, mut unmeasured] = [Row::default(), Row::default()];
    for _ in 0..runs {
        let Some(group) = group() else { return };
        let order = Order { group: Some(&group), memory: Some("448MiB"), ..Order::of("fits") };
        measured.add(&order.run(), group.peak());
        // Outside: without the budget's line and without the cgroup's.
        let free = Order { group: None, memory: Some("8GiB"), measured: false, ..order };
        unmeasured.add(&free.run(), None);
    }
    print_row("fits", "448MiB", &measured);
    print_row("fits, unmeasured, no limit", "8GiB", &unmeasured);
}
