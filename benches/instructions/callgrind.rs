//! A kernel under callgrind.

use std::process::Command;

use crate::kernels::{self, Kernel};

/// The first argument of a process that is to run one kernel.
pub(crate) const CHILD: &str = "--child";

/// The least of so many tries counts: in some, load lets two threads pass the work to and
/// fro, in most one does it all.
const TRIES: usize = 3;

/// So many more for a kernel that seems to have got worse: of a real regression no try is
/// free, and under load chance has spoilt three of three.
const SECOND_TRIES: usize = 12;

/// Instructions of `kernel` for one of its unit. More than `expected` is not believed at once.
pub(crate) fn count(kernel: &Kernel, expected: f64) -> f64 {
    let [mut once, mut twice] = [u64::MAX; 2];
    let mut count = f64::INFINITY;
    for attempt in 0..TRIES + SECOND_TRIES {
        if attempt >= TRIES && count <= expected {
            break;
        }
        once = once.min(total(kernel.name, kernel.times));
        twice = twice.min(total(kernel.name, 2 * kernel.times));
        assert!(once < twice, "{}: more work took no more instructions", kernel.name);
        count = (twice - once) as f64 / kernel.times as f64;
    }
    count
}

/// All instructions of a process that runs a kernel.
fn total(kernel: &str, times: u64) -> u64 {
    let program = std::env::current_exe().expect("this program has a file");
    // On one core: with two, whoever is woken may be faster than who woke it, and takes over
    // what that would have done. How often, goes by what else the machine does.
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &a_core(), "valgrind"]);
    // Threads take turns, and malloc is the same for all of them.
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--fair-sched=try"]);
    command.env("MALLOC_ARENA_MAX", "1");
    command.arg(program).args([CHILD, kernel, &times.to_string()]);
    let output = command.output().expect("taskset is there");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kernel} failed: {told}");
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.unwrap_or_else(|| panic!("callgrind tells no total: {told}"));
    number.trim().parse().expect("a number")
}

/// The first core that this process may run on.
fn a_core() -> String {
    let told = told("taskset", &["--cpu-list", "--pid", &std::process::id().to_string()]);
    let told = told.expect("taskset tells the cores of a process");
    let list = told.rsplit(' ').next().unwrap_or_default();
    list.split([',', '-']).next().unwrap_or_default().to_owned()
}

/// Is that process.
pub(crate) fn be_child(arguments: &[String]) {
    let [name, times] = arguments else { panic!("the name of a kernel and how often") };
    let kernel = kernels::ALL.iter().find(|kernel| kernel.name == *name);
    let kernel = kernel.unwrap_or_else(|| panic!("there is no kernel {name:?}"));
    (kernel.run)(times.parse().expect("a number of times"));
}

/// What decides how many instructions the same source takes; `None` without valgrind or
/// taskset.
pub(crate) fn toolchain() -> Option<String> {
    told("taskset", &["--version"])?;
    let valgrind = told("valgrind", &["--version"])?;
    let rustc = std::env::var("RUSTC").unwrap_or("rustc".to_owned());
    let rustc = told(&rustc, &["--version"]).unwrap_or("rustc unknown".to_owned());
    let libc = told("getconf", &["GNU_LIBC_VERSION"]).unwrap_or("libc unknown".to_owned());
    let vectors = if has_avx2() { "avx2" } else { "no avx2" };
    let target = std::env::consts::ARCH;
    Some(format!("{rustc}, {target}, {vectors}, {libc}, {valgrind}"))
}

/// Checksums and copies are done otherwise with it.
fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// What a program prints.
fn told(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
