//! A memory cgroup with a limit, made for a test and removed after it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

/// Set where a test without a cgroup would prove nothing: skipping is then a failure.
const REQUIRED: &str = "REQUIRE_CGROUPS";

/// The files of a version that are used here. Swap is limited, too, or it would
/// save a process that breaks its limit.
struct Files {
    limit: &'static str,
    /// Written after the limit; not there on kernels that do not count swap.
    swap: (&'static str, fn(u64) -> u64),
    usage: &'static str,
    peak: &'static str,
    events: &'static str,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    swap: ("memory.memsw.limit_in_bytes", |limit| limit), // memory and swap together
    usage: "memory.usage_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
};

const V2: Files = Files {
    limit: "memory.max",
    swap: ("memory.swap.max", |_| 0),
    usage: "memory.current",
    peak: "memory.peak",
    events: "memory.events",
};

/// A cgroup; removed when dropped, so its processes must have been waited for.
pub(crate) struct Group {
    path: PathBuf,
    files: &'static Files,
}

impl Group {
    /// A new cgroup in which `limit` bytes may be used.
    pub(crate) fn new(limit: u64) -> io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let (parent, files) = ground()?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("plimsoll-memory-{}-{number}", process::id()));
        fs::create_dir(&path).map_err(|error| told(&path, &error))?;
        let group = Self { path, files };
        group.write(files.limit, limit)?;
        let (swap, allowed) = files.swap;
        if group.path.join(swap).exists() {
            group.write(swap, allowed(limit))?;
        }
        Ok(group)
    }

    fn write(&self, file: &str, value: u64) -> io::Result<()> {
        let path = self.path.join(file);
        fs::write(&path, value.to_string()).map_err(|error| told(&path, &error))
    }

    /// A process that writes its id here is inside.
    pub(crate) fn entrance(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.path.join(file)).ok()?.trim().parse().ok()
    }

    /// Bytes in use now.
    pub(crate) fn usage(&self) -> u64 {
        self.number(self.files.usage).expect("a cgroup tells what it uses")
    }

    /// The most that was in use, kernel memory and page cache included; version 2
    /// tells it since Linux 5.19.
    pub(crate) fn peak(&self) -> Option<u64> {
        self.number(self.files.peak)
    }

    /// How many processes were killed for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let path = self.path.join(self.files.events);
        let text = fs::read_to_string(&path).expect("a cgroup tells its events");
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|kills| kills.parse().ok()).expect("Linux counts kills since 4.13")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What a killed process held is given back a little after it was waited for.
        let begun = Instant::now();
        while let Err(error) = fs::remove_dir(&self.path) {
            if begun.elapsed() > Duration::from_secs(2) {
                eprintln!("{} is left behind: {error}", self.path.display());
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Where a cgroup can be made: never above this process's own, so that whatever limits
/// this process limits the tests as well.
fn ground() -> io::Result<(PathBuf, &'static Files)> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let member = fs::read_to_string("/proc/self/cgroup")?;
    let mounted = |kind: &str, option: &str| {
        let mut rows = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let row = rows.find(|row| row[2] == kind && row[3].split(',').any(|o| o == option))?;
        Some(PathBuf::from(row[1]))
    };
    let own = |mount: &Path, start: &str| {
        let line = member.lines().find(|line| line.contains(start));
        let path = line.and_then(|line| line.splitn(3, ':').nth(2)).unwrap_or("");
        // A container may see its own cgroup as the root of the mount.
        let inside = mount.join(path.trim_start_matches('/'));
        if inside.is_dir() { inside } else { mount.to_owned() }
    };
    if let Some(mount) = mounted("cgroup", "memory") {
        return Ok((own(&mount, ":memory:"), &V1));
    }
    let mount = mounted("cgroup2", "rw").ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "no memory cgroup is mounted to be written")
    })?;
    // A v2 group with processes in it cannot hand controllers down, so the new one
    // goes beside this process's own.
    let own = own(&mount, "0::");
    let beside = if own == mount { None } else { own.parent().map(Path::to_owned) };
    Ok((beside.unwrap_or(own), &V2))
}

/// Says why a test is skipped, or fails it where it must not be.
pub(crate) fn skipped(reason: &str) {
    assert!(env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {reason}");
    eprintln!("skipped: {reason}");
}
