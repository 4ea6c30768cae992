//! This test binary, run again as a process of its own that does one task, perhaps in
//! a cgroup, and tells what memory it really used.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use plimsoll::Budget;

use crate::cgroup::Group;
use crate::common::adds_up;
use crate::{neighbour, peer, workloads};

/// What the process is to do; none for the process that runs the tests.
const TASK: &str = "MEMORY_TEST_TASK";
/// The file by which it goes into its cgroup.
const ENTRANCE: &str = "MEMORY_TEST_ENTRANCE";
/// Set if real memory is not to be looked at.
const UNMEASURED: &str = "MEMORY_TEST_UNMEASURED";
/// From how many bytes on the allocator is told to give blocks back.
const RELEASES: &str = "MEMORY_TEST_RELEASES";

/// The same on every machine; more than the machine has only makes more threads.
const CORES: &str = "4";

/// Longer than any task takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process to be started.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) task: &'a str,
    pub(crate) group: Option<&'a Group>,
    /// `PLIMSOLL_MEMORY`; if none, the budget follows from the limit.
    pub(crate) memory: Option<&'a str>,
    pub(crate) measured: bool,
    /// From how many bytes on the allocator is told to give blocks back, if it is.
    pub(crate) releases: Option<u64>,
    /// `GLIBC_TUNABLES`.
    pub(crate) tunables: Option<&'a str>,
}

/// A process under way; killed if it is dropped.
pub(crate) struct Running(Child);

/// What became of a process.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// All it printed.
    pub(crate) text: String,
}

impl<'a> Order<'a> {
    pub(crate) fn of(task: &'a str) -> Self {
        Self { task, group: None, memory: None, measured: true, releases: None, tunables: None }
    }

    pub(crate) fn start(self) -> Running {
        let mut command = Command::new(env::current_exe().expect("a test knows its own file"));
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            // The allocator is the system's as it comes, and the budget's variables ours.
            if ["PLIMSOLL_", "MALLOC_", "GLIBC_TUNABLES"].iter().any(|its| text.starts_with(its)) {
                command.env_remove(name);
            }
        }
        command.args(["child", "--exact", "--nocapture"]).env(TASK, self.task);
        command.env("PLIMSOLL_CORES", CORES);
        if let Some(memory) = self.memory {
            command.env("PLIMSOLL_MEMORY", memory);
        }
        if let Some(group) = self.group {
            command.env(ENTRANCE, group.entrance());
        }
        if !self.measured {
            command.env(UNMEASURED, "1");
        }
        if let Some(least) = self.releases {
            command.env(RELEASES, least.to_string());
        }
        if let Some(tunables) = self.tunables {
            command.env("GLIBC_TUNABLES", tunables);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().expect("a child can be started"))
    }

    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }
}

impl Running {
    /// Whether it is still there.
    pub(crate) fn lives(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_none()
    }

    /// Closes its input, which tells it that nothing more will happen.
    pub(crate) fn close_input(&mut self) {
        self.0.stdin.take();
    }

    /// Waits for its end. What it prints fits in the pipes.
    pub(crate) fn end(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "a child hangs for {PATIENCE:?}");
            thread::sleep(Duration::from_millis(2));
        };
        let mut text = String::new();
        let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
        out.expect("it is piped").read_to_string(&mut text).expect("a child prints text");
        err.expect("it is piped").read_to_string(&mut text).expect("a child prints text");
        Ended { status, text }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ended {
    /// Whether the kernel ended it.
    pub(crate) fn killed(&self) -> bool {
        const SIGKILL: i32 = 9;
        self.status.signal() == Some(SIGKILL)
    }

    /// A number that it told, if it got so far.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let line = self.text.lines().find_map(|line| line.split_once("told: "))?.1;
        let word = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        word.parse().ok()
    }
}

/// Whether this process was started to do a task.
pub(crate) fn is_child() -> bool {
    env::var_os(TASK).is_some()
}

/// Does what the process was started for, if this is one of those.
pub(crate) fn obey() {
    let Ok(task) = env::var(TASK) else { return };
    if let Some(entrance) = env::var_os(ENTRANCE) {
        fs::write(entrance, process::id().to_string()).expect("the cgroup can be entered");
    }
    if let Ok(least) = env::var(RELEASES) {
        let least = least.parse().expect("it is a number of bytes");
        assert!(plimsoll::release_large_blocks(least), "the allocator is glibc's");
    }
    let (report, peak) = with_peak(|| match &*task {
        "nothing" => None,
        "hog" => {
            neighbour::hog();
            None
        }
        "peer" => {
            peer::run();
            None
        }
        task => Some(workloads::named(task)(&budget())),
    });
    let mut told = format!("told: anonymous={peak} highwater={}", high_water());
    if let Some(report) = report {
        adds_up(&report);
        let (bytes, time) = (budget().memory(), report.elapsed().as_micros());
        let drift = report.memory().peak_drift();
        told = format!("{told} drift={drift} budget={bytes} micros={time}\n{report}");
    }
    println!("\n{told}");
}

fn budget() -> Budget {
    let budget = Budget::from_env().expect("the budget is known");
    match env::var_os(UNMEASURED) {
        None => budget,
        Some(_) => budget.unmeasured(),
    }
}

/// Does `work`, and looks each millisecond at the bytes of this process that are not
/// backed by a file; no work here makes shared memory.
fn with_peak<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let (peak, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            let statm = fs::File::open("/proc/self/statm").expect("Linux has it");
            while !over.load(Ordering::Acquire) {
                peak.fetch_max(anonymous(&statm), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
        // The sampler must end if the work panics, too.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Release);
        result
    });
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    (result, peak.into_inner())
}

/// Resident pages but those of files: what a cgroup cannot take back.
fn anonymous(statm: &fs::File) -> u64 {
    let mut text = [0; 128];
    let read = statm.read_at(&mut text, 0).expect("it can be read again");
    let text = std::str::from_utf8(&text[..read]).expect("it is text");
    let mut fields = text.split(' ').map(|field| field.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (fields.nth(1).unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared) * workloads::PAGE
}

/// The most that was ever resident, files included: bytes.
fn high_water() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("Linux tells it") * 1024
}
