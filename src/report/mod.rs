//! What a run did, and does while it is under way, in figures.

mod advice;
mod cores;
mod display;
mod escape;
mod html;
#[cfg(feature = "serde")]
mod json;
mod memory;
mod recording;
mod snapshot;
#[cfg_attr(any(loom, shuttle, steady), allow(dead_code, reason = "nothing predicts there"))]
mod spread;
mod stage;
mod stamp;
mod times;
mod trace;
mod window;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

pub use memory::MemoryReport;
pub(crate) use recording::{Recording, Sample, Samples, Track, Where, spans_for_each};
pub(crate) use snapshot::Beside;
pub use snapshot::{Monitor, Snapshot, StageSnapshot, Stall, StopReason, Stopping, WaitsFor};
pub(crate) use spread::Spread;
pub use stage::StageReport;
pub(crate) use stamp::Stamp;
pub(crate) use times::Histogram;
pub use times::ItemTimes;

/// What a run did: every item's fate, every worker's time, the memory.
///
/// Items add up: [`read`](Self::read) + [`children`](Self::children) =
/// [`delivered`](Self::delivered) + [`filtered`](Self::filtered) +
/// [`failed`](Self::failed) + [`cancelled`](Self::cancelled) +
/// [`expanded`](Self::expanded).
///
/// # As text
///
/// Of three stages on four cores; a source of 3,000 items that pauses in the middle:
///
/// ```text
/// items    3000 read = 2391 delivered + 609 filtered
/// time     2.815 s on 5 threads, 0.861 s of cpu time, 1065.6 items read a second
/// memory   60.0 MiB declared as kept by stages; items held 7.1 MiB of the line's 36.0 MiB at most, 170 at once
/// real     70.0 MiB at most; 8.2 MiB of it beyond the ledger at most
/// resident 72.7 MiB at most since the process was started, mapped files included
///
/// stage     workers      calls  set-up s    busy s   computed  waited s:    input  downstream    memory      core
/// parse           4       3000     0.000     0.272       87 %               1.127       9.077     0.000     0.770
/// screen          2       3000     0.041     4.935        8 %               0.505       0.000     0.000     0.072
/// write           4       2391     0.000     0.052      100 %              10.651       0.000     0.000     0.430
/// (source)                3000               0.287
/// (sink)                  2391               0.002
///
/// an item         p50        p90        p99        max  timed
/// parse       79.9 us   104.4 us   401.4 us   827.1 us  alone
/// screen       1.7 ms     2.0 ms     2.2 ms     2.5 ms  alone
/// write       21.0 us    22.0 us    29.2 us   324.5 us  alone
///
/// limited by screen: its 2 workers were busy 88 % of the time
/// what helps: screen is limited by memory: 2 of 8 workers fit; 54.0 MiB more would carry 4
/// ```
///
/// | part | tells |
/// |---|---|
/// | `items` | what became of everything that was read or made; the fates add up. If items failed, a line `failed` tells in which stages, or that it was the sink |
/// | `time` | wall time, and what the whole process took of the processors: a third of a core here, of four. Below it, if so, that calls had a core for but a part of their time ([`core_share`](Self::core_share)) |
/// | `memory` | what the plan set aside for the stages, and how close items came to the line: far from it here, so nobody waited for memory |
/// | `real` | what the process really held, and what of it nobody declared; below it, if so, what was declared too small, or granted and never touched |
/// | `stage` | where the time of each stage's workers went. `screen` was busy, `parse` waited for it (downstream), `write` for its outputs (input): the waits of the others point at the narrow place. *Computed* ([`computed`](StageReport::computed)) is the part of the busy time for which calls had a core: 8 % here, so `screen` mostly waits inside of its calls, as for a disk. Therefore it [says so](crate::StageBuilder::waits) and asks for eight workers, though there are four cores: `waits().workers(8)`. `-`: not known; `"`: that above is of both, which run in one go |
/// | `an item` | percentiles ([`ItemTimes`]); *timed alone*: each is of a single call |
/// | `limited by` | [`bottleneck`](Self::bottleneck): what was at work all the time; else what the others waited for, memory or the [window](Self::waited_window). Where nothing stands out, `not clearly limited` and what came closest |
/// | `what helps` | [`suggestion`](Self::suggestion) |
///
/// [`write_html`](Self::write_html) writes a page of it, [`write_trace`](Self::write_trace) a
/// trace of a recorded run.
///
/// # JSON
///
/// With the feature `serde` a report can be serialized, and each part of it by itself. Fields
/// may be added in any release; those below keep their names and meanings until the next
/// breaking one. Numbers of bytes are whole, times are seconds. A field is named like the method
/// that tells the same, and its unit; where that has another name it is linked.
///
/// | field | tells |
/// |---|---|
/// | `read`, `children`, `delivered`, `filtered`, `failed`, `cancelled`, `expanded` | the items' fates |
/// | `elapsed_seconds`, `cpu_seconds` ([`cpu_time`](Self::cpu_time)) | the run's time, and the processor's, null where it is not told |
/// | `threads`, `cores`, `machine_cores` | threads of the run, cores of the budget, cores that the process may use or null |
/// | `core_share` | [`core_share`](Self::core_share), or null |
/// | `source_busy_seconds`, `sink_busy_seconds` | time inside of either |
/// | `window_items`, `waited_window_seconds`, `waited_turn_seconds` | [`window`](Self::window), [`waited_window`](Self::waited_window) and a part of it, [`waited_turn`](Self::waited_turn) |
/// | `sink_failed` | items that the sink failed on: one at the most, as that ends the run |
/// | `kept_bytes`, `tables_bytes`, `line_bytes` | what stages and tables keep, the part of it that is for tables, what items aboard may hold |
/// | `peak_reserved_bytes`, `peak_overweight_bytes`, `most_aboard` | the most that items held, weighed beyond that, and were |
/// | `peak_resident_bytes` | the process's, since it was started; null where it is not told |
/// | `notes` | [`notes`](Self::notes) |
/// | `limited_by`, `suggestion` | [`bottleneck`](Self::bottleneck) and [`suggestion`](Self::suggestion), in words, which may change; null where there is none |
/// | `memory` | [`MemoryReport`]: `why_not_measured`, `peak_real_bytes`, `peak_drift_bytes`, `beyond_budget_bytes`, `most_withheld_bytes`, `tightened_seconds` ([`tightened_for`](MemoryReport::tightened_for)), `system_short_seconds` ([`system_short_for`](MemoryReport::system_short_for)), `trims`, `trimmed_bytes`, `trim_seconds` ([`trim_time`](MemoryReport::trim_time)), `releases_blocks_from_bytes` or null, `never_used_bytes`; `heavier_than_declared`, `worker_heavier_than_declared` and `lighter_than_declared`, each null or `stage`, `touched_bytes`, `declared_bytes` |
/// | `stages` | [`StageReport`], from source to sink: `name`, `workers`, `asked_workers`, `waits` (its calls held no core), `calls`, `failed` (items, there), `fused` (runs in one go with the stage above), `busy_seconds`, `set_up_seconds`, `computed` and `lacked_core` (parts of `busy_seconds`, or null), `waited_input_seconds` ([`waited_for_input`](StageReport::waited_for_input)), `waited_downstream_seconds` ([`blocked_by_downstream`](StageReport::blocked_by_downstream)), `waited_memory_seconds` ([`blocked_on_memory`](StageReport::blocked_on_memory)), `waited_real_memory_seconds` (a part of it, [`blocked_on_real_memory`](StageReport::blocked_on_real_memory)), `waited_core_seconds` ([`waited_for_core`](StageReport::waited_for_core)); `item_times`, null if there was no call, or [`ItemTimes`]: `p50_seconds`, `p90_seconds`, `p99_seconds`, `max_seconds`, `together` |
/// | `stalls` | [`Stall`]: `stage`, `item`, `items`, `seconds` ([`lasted`](Stall::lasted)), `came_back`, `holds_bytes` |
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
    /// Cores that the process may use; of a real run, where the system tells.
    pub(crate) machine_cores: Option<usize>,
    pub(crate) source_busy: Duration,
    pub(crate) sink_busy: Duration,
    /// Items that the sink failed on.
    pub(crate) sink_failed: u64,
    /// Whether the budget was one that variables change, so that advice may name them.
    pub(crate) by_variable: bool,
    /// What stages keep, and tables.
    pub(crate) kept: u64,
    /// The part that is for tables.
    pub(crate) for_tables: u64,
    pub(crate) line: u64,
    /// The oldest item's part of the line.
    pub(crate) reserve: u64,
    /// The most that a step's items held and asked for.
    pub(crate) largest_step: u64,
    pub(crate) notes: Vec<String>,
    pub(crate) peak_reserved: u64,
    pub(crate) peak_overweight: u64,
    pub(crate) most_aboard: u64,
    /// Items that may be aboard.
    pub(crate) window: u64,
    pub(crate) waited_window: Duration,
    pub(crate) waited_turn: Duration,
    pub(crate) peak_resident: Option<u64>,
    pub(crate) memory: MemoryReport,
    pub(crate) stalls: Vec<Stall>,
    pub(crate) stages: Vec<StageReport>,
    pub(crate) recording: Option<Arc<Recording>>,
    /// Of a real run.
    pub(crate) stamp: Option<Stamp>,
    /// What predictions are made from: the engine's, whose types are not known here.
    pub(crate) basis: Option<Arc<dyn Any + Send + Sync>>,
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

    /// Items that failed: by error, by panic, or too large for the line; in a stage
    /// ([`StageReport::failed`] tells in which) or in the sink, which ends the run.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Items that were read or made and then dropped because the run was stopped.
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

    /// Threads that worked in the run; the watch is not one of them.
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

    /// What the plan noted ([`Plan::notes`](crate::Plan::notes)): variables that no stage heard,
    /// a table that the budget has no room for.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
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
    /// [`Job::stall_after`](crate::Job::stall_after): the first 16, each with its whole time if
    /// it [came back](Stall::came_back) before the run was over.
    ///
    /// ```
    /// use std::{thread::sleep, time::Duration};
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let stuck = Stage::cpu("stuck").map(|n: u64| sleep(Duration::from_millis(if n == 3 { 100 } else { 0 })));
    /// let pipeline = Pipeline::new(stuck).build(&Budget::new(MIB, 1))?;
    /// let report = pipeline.job().stall_after(Duration::from_millis(10)).run(0..5, drop)?;
    /// for stall in report.stalls() {
    ///     println!("{} was at item {} for {:?}", stall.stage(), stall.item(), stall.lasted());
    /// #     assert!(stall.stage() == "stuck" && stall.lasted() >= Duration::from_millis(10));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
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
