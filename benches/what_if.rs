//! Predictions of `Report::what_if` beside real runs on the budgets that they are about.
//!
//! ```sh
//! cargo bench --bench what_if                 # every load
//! cargo bench --bench what_if -- W3 cross     # those whose name begins so
//! cargo bench --bench what_if -- --quick      # a fiftieth of the work, to see that it runs
//! cargo bench --bench what_if -- --rounds 9   # more rounds than five
//! cargo bench --bench what_if -- --reports    # and what the runs of the middle looked like
//! ```
//!
//! In each round every budget of a load is run once. The report of the median run on the first
//! budget predicts the others, whose medians it is held against: from one core to two, from
//! much memory to a half, a fourth and what carries two. A line more than 10 % off is marked.
//! The loads are those of `benches/peers.rs`. It wants a machine with two cores that has
//! nothing else to do.
//!
//! | file | one purpose |
//! |---|---|
//! | `cases` | which loads go from which budget to which |
//! | `runs` | one run of a load, as it is reported |

#[allow(dead_code, reason = "another bench uses the rest")]
#[path = "peers/blocks.rs"]
mod blocks;
#[path = "what_if/cases.rs"]
mod cases;
mod common;
#[allow(dead_code, reason = "another bench uses the rest")]
#[path = "peers/cross_reference.rs"]
mod cross_reference;
#[allow(dead_code, reason = "another bench uses the rest")]
#[path = "peers/job.rs"]
mod job;
#[allow(dead_code, reason = "another bench uses the rest")]
#[path = "peers/loads.rs"]
mod loads;
#[path = "what_if/runs.rs"]
mod runs;
#[path = "common/work.rs"]
mod work;

/// Those rooms of the example that its kernel is made of.
#[allow(dead_code, unused_imports)]
#[path = "../examples/cross_reference"]
mod example {
    pub(crate) mod answer;
    pub(crate) mod args;
    pub(crate) mod chemistry;
    pub(crate) mod index;
    pub(crate) mod split;
    pub(crate) mod store;
    pub(crate) mod unsplit;
}
// Where they look for each other.
use example::{answer, args, chemistry, index, split, store, unsplit};

use std::time::Instant;

use cases::Case;
use common::{median, take_flag, take_value, time};
use job::Scale;
use plimsoll::{Budget, Bytes, Report};

/// What is further off is marked.
const TOLERANCE: f64 = 0.1;

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says so; whoever else runs this wants to see that it works.
    let is_bench = take_flag(&mut names, "--bench");
    let quick = take_flag(&mut names, "--quick") || !is_bench;
    let reports = take_flag(&mut names, "--reports");
    let rounds = take_value(&mut names, "--rounds");
    let rounds = rounds.map_or(5, |rounds| rounds.parse().expect("a number of rounds"));
    let rounds = if quick { 1 } else { rounds };
    plimsoll::release_large_blocks(plimsoll::MIB);
    common::machine(quick);
    let scale = Scale { part: if quick { 50 } else { 1 }, loops: work::calibrate() };
    println!("\n| load | seen on | predicted for | predicted | measured | least..most | to it | |");
    println!("|---|---|---|--:|--:|--:|--:|---|");
    let (mut lines, mut far, mut slowest) = (0, 0, 0.0f64);
    for case in cases::all(scale) {
        if names.is_empty() || names.iter().any(|name| case.name.starts_with(name.as_str())) {
            let (all, off, took) = rows(&case, rounds, reports);
            (lines, far, slowest) = (lines + all, far + off, slowest.max(took));
        }
    }
    let within = 100.0 * TOLERANCE;
    println!("\n{} of {lines} predictions are within {within:.0} %.", lines - far);
    println!("The slowest prediction took {}.", time(slowest));
}

/// Prints the rows of a case; how many, how many of them are far off, and the nanoseconds
/// that the slowest prediction took.
fn rows(case: &Case, rounds: usize, reports: bool) -> (usize, usize, f64) {
    let mut runs: Vec<Vec<Report>> = case.budgets.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (budget, runs) in case.budgets.iter().zip(&mut runs) {
            runs.push((case.run)(budget));
        }
    }
    runs.iter_mut().for_each(|runs| runs.sort_by_key(Report::elapsed));
    let seen = &runs[0][rounds / 2];
    let (mut far, mut slowest) = (0, 0.0f64);
    for (budget, runs) in case.budgets.iter().zip(&runs) {
        let begun = Instant::now();
        let prediction = seen.what_if(budget).expect("it fits");
        slowest = slowest.max(begun.elapsed().as_nanos() as f64);
        let predicted = prediction.elapsed().as_nanos() as f64;
        let measured = runs.iter().map(|run| run.elapsed().as_nanos() as f64);
        let least = measured.clone().fold(f64::INFINITY, f64::min);
        let most = measured.clone().fold(0.0, f64::max);
        let measured = median(measured);
        let off = predicted / measured - 1.0;
        let is_far = off.abs() > TOLERANCE;
        far += usize::from(is_far);
        let mark = if is_far { "**beyond 10 %**" } else { "" };
        let (from, to) = (told(&case.budgets[0]), told(budget));
        print!("| {} | {from} | {to} | {} | {} | ", case.name, time(predicted), time(measured));
        println!("{}..{} | {:+.1} % | {mark} |", time(least), time(most), 100.0 * off);
        if reports {
            println!("\nmeasured:\n{}\npredicted:\n{prediction}\n", runs[rounds / 2]);
        }
    }
    (runs.len(), far, slowest)
}

fn told(budget: &Budget) -> String {
    let cores = if budget.cores() == 1 { "core" } else { "cores" };
    format!("{} {cores}, {}", budget.cores(), Bytes(budget.memory()))
}
