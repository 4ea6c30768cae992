//! How many instructions the crate takes for what it does most, held against what they
//! were: a regression shows whatever the machine and its load.
//!
//! ```sh
//! export RUSTC_WORKSPACE_WRAPPER=.ci/steady
//! cargo bench --bench instructions              # compare with the baseline
//! cargo bench --bench instructions -- frontier  # those whose name begins so
//! cargo bench --bench instructions -- --save    # the new baseline
//! ```
//!
//! It needs valgrind, and taskset of util-linux, and says so and passes where one is missing.
//! Each kernel runs under callgrind in a process of its own on one core, once so many times
//! and once twice as many: the difference is what they take, without the start of a process.
//! The wrapper builds the crate with `--cfg steady`, which takes the time out of a run (see
//! src/sync/mod.rs). What is left of chance is which thread does the work: on one core less
//! than one in a hundred, on two up to one in six.
//!
//! The baseline, `instructions.txt`, names the toolchain it was counted with. With the same,
//! more than 3 % above it makes the exit status 1; with another the change is told and not
//! judged. To see where the instructions of a kernel go, run the program that cargo names
//! under `valgrind --tool=callgrind`, with the arguments `--child frontier 9999`.
//!
//! The library iai-callgrind (now gungraun) does as much and more, but wants a program of
//! its own version installed beside it, and a clean clone has none.
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
    let save = arguments.iter().any(|argument| argument == "--save");
    arguments.retain(|argument| argument != "--save" && argument != "--bench");
    if !cfg!(steady) {
        return println!("skipped: built without `--cfg steady`; see benches/instructions.rs");
    }
    let Some(made_with) = callgrind::toolchain() else {
        return println!("skipped: there is no valgrind, or no taskset");
    };
    let chosen = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|start| name.starts_with(start.as_str()))
    };
    let old = Baseline::read();
    let rows = kernels::ALL.iter().filter(|kernel| chosen(kernel.name)).map(|kernel| {
        let count = callgrind::count(kernel, old.most(kernel.name, &made_with));
        Row { name: kernel.name.to_owned(), count, unit: kernel.unit.to_owned() }
    });
    let rows = rows.collect();
    let new = Baseline { made_with, rows };
    let is_good = old.compare(&new);
    if save {
        old.replaced_by(new).write();
    } else if !is_good {
        std::process::exit(1);
    }
}
