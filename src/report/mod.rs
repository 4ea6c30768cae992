//! What a run did, and does while it is under way, in figures.

mod advice;
mod display;
mod escape;
mod memory;
mod recording;
mod snapshot;
mod stage;
mod times;
mod trace;

use std::sync::Arc;
use std::time::Duration;

pub use memory::MemoryReport;
pub(crate) use recording::{Recording, Sample, Samples, Track, Where, spans_for_each};
pub use snapshot::{Monitor, Snapshot, StageSnapshot, Stall, WaitsFor};
pub use stage::StageReport;
pub(crate) use times::Histogram;
pub use times::ItemTimes;

/// What a run did: every item's fate, every worker's time, the memory.
///
/// Items add up: [`read`](Self::read) + [`children`](Self::children) =
/// [`delivered`](Self::delivered) + [`filtered`](Self::filtered) +
/// [`failed`](Self::failed) + [`cancelled`](Self::cancelled) +
/// [`expanded`](Self::expanded).
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(crate) read: u64,
    pub(crate) children: u64,
    pub(crate) delivered: u64,
    pub(crate) filtered: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) expanded: u64,
    pub(crate) elapsed: Duration,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) threads: usize,
    pub(crate) cores: usize,
    pub(crate) source_busy: Duration,
    pub(crate) sink_busy: Duration,
    pub(crate) kept: u64,
    pub(crate) line: u64,
    pub(crate) peak_reserved: u64,
    pub(crate) peak_overweight: u64,
    pub(crate) most_aboard: u64,
    pub(crate) peak_resident: Option<u64>,
    pub(crate) memory: MemoryReport,
    pub(crate) stalls: Vec<Stall>,
    pub(crate) stages: Vec<StageReport>,
    pub(crate) recording: Option<Arc<Recording>>,
}

impl Report {
    /// Items read from the source.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Items made by `flat_map` stages.
    #[must_use]
    pub fn children(&self) -> u64 {
        self.children
    }

    /// Items the sink took.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Items a `filter_map` made nothing of.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        self.filtered
    }

    /// Items that failed: by error, by panic, or too large for the line.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Items that were read or made and then dropped because the run was stopped; the one
    /// that a sink failed on is among them.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.cancelled
    }

    /// Items that a `flat_map` took apart to the end.
    #[must_use]
    pub fn expanded(&self) -> u64 {
        self.expanded
    }

    /// Wall time from the start of the run to its end.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Processor time of the whole process from the start of the run to its end, all
    /// threads together, the system's part included; `None` where the platform does not
    /// tell. Far less than [`elapsed`](Self::elapsed) times the cores: they were idle. More
    /// than the stages were [`busy`](StageReport::busy): so much went into other threads of
    /// the process, or into moving items about. Less: calls waited, for disks or for
    /// a core that others had.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        self.cpu_time
    }

    /// Threads the run had, the caller's included where it took part.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Time inside the source, waiting for its next items included.
    #[must_use]
    pub fn source_busy(&self) -> Duration {
        self.source_busy
    }

    /// Time inside the sink; zero for a stream, whose consumer is not measured.
    #[must_use]
    pub fn sink_busy(&self) -> Duration {
        self.sink_busy
    }

    /// The most that items aboard were granted at once, bytes; never more than
    /// [`line`](Self::line).
    #[must_use]
    pub fn peak_reserved(&self) -> u64 {
        self.peak_reserved
    }

    /// Bytes the plan let items aboard hold together.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The most that items weighed, at once, beyond what they had been granted,
    /// bytes: outputs that turned out heavier than anything declared for them.
    #[must_use]
    pub fn peak_overweight(&self) -> u64 {
        self.peak_overweight
    }

    /// The most items that were aboard at once.
    #[must_use]
    pub fn most_aboard(&self) -> u64 {
        self.most_aboard
    }

    /// The highest resident memory of the process since it was started, mapped
    /// files included, bytes; `None` where the platform does not tell.
    #[must_use]
    pub fn peak_resident(&self) -> Option<u64> {
        self.peak_resident
    }

    /// What real memory was seen to do, and what followed from it.
    #[must_use]
    pub fn memory(&self) -> &MemoryReport {
        &self.memory
    }

    /// Calls of user code that did not come back for longer than
    /// [`Job::stall_after`](crate::Job::stall_after): the first 16, each as last told.
    #[must_use]
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }

    /// The stages, from source to sink.
    #[must_use]
    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }
}

/// The highest resident memory of this process so far, bytes.
pub(crate) fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some_memory() {
        assert!(peak_resident().is_some_and(|bytes| bytes > 1 << 20));
    }
}
