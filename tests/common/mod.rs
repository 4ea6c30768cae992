//! What the outside tests share: a watchdog, quiet panics, a process of one's own.

#![allow(dead_code, reason = "each test binary uses a part of it")]

#[cfg(feature = "tracing")]
pub(crate) mod ear;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::{Once, mpsc};
use std::time::{Duration, Instant};

use plimsoll::Report;

/// Longer than any body here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says that this process runs one test alone.
const ALONE: &str = "OUTSIDE_TEST_ALONE";

/// Runs `body` on a thread of its own. A body that hangs aborts the process, told
/// by `what`: a hung thread could neither be joined nor left behind.
pub(crate) fn within<R: Send + 'static>(
    what: impl FnOnce() -> String,
    body: impl FnOnce() -> R + Send + 'static,
) -> R {
    hush();
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(catch_unwind(AssertUnwindSafe(body)));
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(ended) => {
            let _ = thread.join();
            ended.unwrap_or_else(|panic| resume_unwind(panic))
        }
        Err(_) => {
            eprintln!("hangs for {PATIENCE:?}: {}", what());
            std::process::abort();
        }
    }
}

/// Keeps planned panics out of the output: those whose message says so.
pub(crate) fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload_as_str().is_some_and(|text| text.starts_with("planned")) {
                loud(info);
            }
        }));
    });
}

/// Runs `body` in a process of its own, for what is counted for a whole process or
/// may abort it. `name` is the path of the calling test.
pub(crate) fn alone(name: &str, body: impl FnOnce() + Send + 'static) {
    if std::env::var_os(ALONE).is_some() {
        return within(|| name.to_owned(), body);
    }
    let program = std::env::current_exe().expect("a test has a path");
    let child = Command::new(program)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("a test can be started");
    let told = String::from_utf8_lossy(&child.stdout);
    let cried = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{name} alone: {}\n{told}\n{cried}", child.status);
    assert!(told.contains("1 passed"), "{name} is not the path of a test:\n{told}");
}

/// Every item has exactly one fate.
pub(crate) fn adds_up(report: &Report) {
    assert_eq!(
        report.read() + report.children(),
        report.delivered()
            + report.filtered()
            + report.failed()
            + report.cancelled()
            + report.expanded(),
        "{report}"
    );
    assert!(report.peak_reserved() <= report.line(), "{report}");
}

/// Waits for what another thread brings about; whether it came.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE / 2 {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    holds()
}

/// Threads of this process that belong to a run.
#[cfg(target_os = "linux")]
pub(crate) fn run_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("linux tells threads");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("plimsoll")).count()
}

/// A well-mixed number that depends on both.
pub(crate) fn mix(salt: u64, key: u64) -> u64 {
    let mut bits = key.wrapping_add(salt.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
