//! Plimsoll beside what people would use instead.
//!
//! ```sh
//! cargo bench --bench peers                 # every table
//! cargo bench --bench peers -- W1 W4b       # those whose name begins so
//! cargo bench --bench peers -- --quick      # a fiftieth of the work, to see that it runs
//! cargo bench --bench peers -- --rounds 21  # more rounds than the table asks for
//! ```
//!
//! In each round every competitor runs once, in an order that rotates, each in a process
//! of its own, so that its cpu time and its peak memory are its own too. What is tuned by
//! hand (chunks, threads a stage) is searched first and the best is kept. Checksums of
//! what was delivered are compared with the sequential loop's.
//!
//! | file | one purpose |
//! |---|---|
//! | `job` | items and stages, and what of them is the same for all competitors |
//! | `loads` | the jobs of W1, W2, W3, W6 and W7 |
//! | `rivals` | a job done by each peer, as its users would write it |
//! | `ours` | a job done by Plimsoll |
//! | `blocks`, `block_rivals` | W4 and W4b: items that grow to many MiB |
//! | `timely` | a job done by a dataflow, which wants another shape |
//! | `cross_reference` | W5, by the code of the example of that name |
//! | `tables` | which competitors and bounds make up a table |
//! | `process` | one run in a process of its own, and what it took |
//! | `runner` | rounds, and the search for the best setting |
//! | `print` | the tables as markdown |

#[path = "peers/block_rivals.rs"]
mod block_rivals;
#[path = "peers/blocks.rs"]
mod blocks;
mod common;
#[allow(dead_code, reason = "another bench uses the rest")]
#[path = "peers/cross_reference.rs"]
mod cross_reference;
#[path = "peers/job.rs"]
mod job;
#[path = "peers/loads.rs"]
mod loads;
#[path = "peers/ours.rs"]
mod ours;
#[path = "peers/print.rs"]
mod print;
#[path = "peers/process.rs"]
mod process;
#[path = "peers/rivals.rs"]
mod rivals;
#[path = "peers/runner.rs"]
mod runner;
#[path = "peers/tables.rs"]
mod tables;
#[path = "peers/timely.rs"]
mod timely;
#[path = "common/work.rs"]
mod work;

/// Those rooms of the example that W5 is made of.
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

use common::{take_flag, take_value};
use job::Scale;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == process::CHILD) {
        return process::be_child(&arguments[1..]);
    }
    // `cargo bench` says so; whoever else runs this wants to see that it works.
    let is_bench = take_flag(&mut arguments, "--bench");
    let quick = take_flag(&mut arguments, "--quick") || !is_bench;
    let rounds = take_value(&mut arguments, "--rounds");
    let rounds = rounds.map(|rounds| rounds.parse().expect("a number of rounds"));
    let scale = Scale { part: if quick { 50 } else { 1 }, loops: work::calibrate() };
    let chosen = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|start| name.starts_with(start.as_str()))
    };
    let tables = tables::all(scale);
    if !tables.iter().any(|table| chosen(table.name)) {
        let names: Vec<_> = tables.iter().map(|table| table.name).collect();
        eprintln!("no table of that name; there are {}", names.join(", "));
        std::process::exit(2);
    }
    common::machine(quick);
    let mut all = Vec::new();
    for (index, table) in tables.iter().enumerate().filter(|(_, table)| chosen(table.name)) {
        let rounds = if quick { 1 } else { rounds.unwrap_or(table.rounds) };
        let rows = runner::run(index, table, scale, rounds);
        print::table(table, &rows);
        all.push((table, rows));
    }
    print::summary(&all);
}
