//! How many instructions the crate takes for what it does most, held against what they
//! were: a regression shows whatever the machine and its load.
//!
//! ```sh
//! export RUSTFLAGS="--cfg steady"
//! cargo bench --bench instructions --target-dir target/steady             # compare
//! cargo bench --bench instructions --target-dir target/steady -- frontier # those so named
//! cargo bench --bench instructions --target-dir target/steady -- --save   # the new baseline
//! ```
//!
//! It needs valgrind, and says so and passes where there is none. Each kernel runs under
//! callgrind in a process of its own, once so many times and once twice as many: the
//! difference is what they take, without the start of a process. `--cfg steady` takes the
//! time out of it (see src/sync/mod.rs), so the same build takes the same instructions but
//! for some in ten thousand.
//!
//! The baseline, `instructions.txt` beside this file, names the toolchain it was counted
//! with. With the same, more than 3 % above it makes the exit status 1; with another the
//! change is told and not judged. What takes fewer is told, too: to be saved, so that it is
//! not lost again. To see where they go:
//!
//! ```sh
//! valgrind --tool=callgrind target/steady/release/deps/instructions-* --child frontier 9999
//! ```
//!
//! The library iai-callgrind (now gungraun) does as much and more, but wants a program of its
//! version installed beside it, which is more than a clean clone has.
//!
//! | file | one purpose |
//! |---|---|
//! | `kernels` | what is done, and how often |
//! | `callgrind` | a kernel under callgrind, and with which toolchain |
//! | `baseline` | the file, and how far off it we are |

#[path = "instructions/baseline.rs"]
mod baseline;
#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "instructions/kernels.rs"]
mod kernels;

/// Private rooms of the crate, built into this program, so that nothing of them need be
/// public. They import nothing above them: see ARCHITECTURE.md.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../src"]
mod rooms {
    pub(crate) mod frontier;
    pub(crate) mod item;
    pub(crate) mod ledger;
}
use rooms::item;

use baseline::{Baseline, Row};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == callgrind::CHILD) {
        return callgrind::be_child(&arguments[1..]);
    }
    arguments.retain(|argument| argument != "--bench");
    let save = arguments.iter().any(|argument| argument == "--save");
    arguments.retain(|argument| argument != "--save");
    if !cfg!(steady) {
        return println!("skipped: only a build with `--cfg steady` takes the same each time");
    }
    let Some(made_with) = callgrind::toolchain() else {
        return println!("skipped: there is no valgrind");
    };
    let chosen = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|start| name.starts_with(start.as_str()))
    };
    let old = Baseline::read();
    let rows = kernels::ALL.iter().filter(|kernel| chosen(kernel.name)).map(|kernel| {
        let count = callgrind::count(kernel);
        Row { name: kernel.name.to_owned(), count, unit: kernel.unit.to_owned() }
    });
    let new = Baseline { made_with, rows: rows.collect() };
    let is_good = old.compare(&new);
    if save {
        old.replaced_by(new).write();
    } else if !is_good {
        std::process::exit(1);
    }
}
