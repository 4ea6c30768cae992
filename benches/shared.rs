//! Shared tables beside what people would use instead.
//!
//! ```sh
//! cargo bench --bench shared                    # every table
//! cargo bench --bench shared -- look-ups maps   # those whose name begins so
//! cargo bench --bench shared -- --quick         # a small part, to see that it runs
//! cargo bench --bench shared -- --rounds 51     # more rounds than a table asks for
//! cargo bench --bench shared -- --gib 2         # the file that is opened, 10 GiB if not told
//! cargo bench --bench shared -- --in /mnt/fast  # where files are made, and removed again
//! ```
//!
//! In each round every competitor runs once, in an order that rotates; they find the same or
//! the bench fails. What is mapped is in memory beforehand. It takes 11 GiB of disk and of
//! memory.
//!
//! | table | file |
//! |---|---|
//! | `look-ups`: in an array, by one thread and by all cores | `lookups` |
//! | `maps`: by key | `maps` |
//! | `open`: a large file, unverified | `opening` |
//! | `verify`: all of a file, beside only reading it | `opening` |
//! | `build`: arrays and maps, beside writing and sorting by hand | `building` |
//! | `start-up`: eight workers with one model | `start_up` |

#[path = "shared/building.rs"]
mod building;
mod common;
#[path = "shared/lookups.rs"]
mod lookups;
#[path = "shared/maps.rs"]
mod maps;
#[path = "shared/opening.rs"]
mod opening;
#[path = "shared/raw.rs"]
mod raw;
#[path = "shared/rounds.rs"]
mod rounds;
#[path = "shared/scale.rs"]
mod scale;
#[path = "shared/start_up.rs"]
mod start_up;

use common::{take_flag, take_value};
use scale::Scale;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == start_up::CHILD) {
        return start_up::be_child(&arguments[1..]);
    }
    // `cargo bench` says so; whoever else runs this wants to see that it works.
    let is_bench = take_flag(&mut arguments, "--bench");
    let quick = take_flag(&mut arguments, "--quick") || !is_bench;
    let rounds = take_value(&mut arguments, "--rounds");
    let rounds = rounds.map(|rounds| rounds.parse().expect("a number of rounds"));
    let gib = take_value(&mut arguments, "--gib").map(|gib| gib.parse().expect("a number of GiB"));
    let scale = Scale::new(quick, rounds, take_value(&mut arguments, "--in"));

    let tables: [(&str, &dyn Fn()); 6] = [
        ("look-ups", &|| lookups::run(&scale)),
        ("maps", &|| maps::run(&scale)),
        ("open", &|| opening::open_table(&scale, gib.unwrap_or(10))),
        ("verify", &|| opening::verify_table(&scale)),
        ("build", &|| building::run(&scale)),
        ("start-up", &|| start_up::run(&scale)),
    ];
    let chosen = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|start| name.starts_with(start.as_str()))
    };
    if !tables.iter().any(|(name, _)| chosen(name)) {
        let names = tables.map(|(name, _)| name);
        eprintln!("no table of that name; there are {}", names.join(", "));
        std::process::exit(2);
    }
    common::machine(quick);
    tables.iter().filter(|(name, _)| chosen(name)).for_each(|(_, run)| run());
}
