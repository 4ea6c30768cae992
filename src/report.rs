//! What a run did, in figures.

use std::fmt;
use std::time::Duration;

use crate::units::Bytes;

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
    pub(crate) threads: usize,
    pub(crate) kept: u64,
    pub(crate) line: u64,
    pub(crate) peak_reserved: u64,
    pub(crate) peak_overweight: u64,
    pub(crate) most_aboard: u64,
    pub(crate) peak_resident: Option<u64>,
    pub(crate) stages: Vec<StageReport>,
}

/// What one stage did.
///
/// The four waits, the busy and the set-up time of a stage's workers, and a little
/// for moving items about, add up to its workers times the elapsed time. Stages that
/// run in one go with the stage above share its waits.
#[derive(Clone, Debug, Default)]
pub struct StageReport {
    pub(crate) name: String,
    pub(crate) workers: usize,
    pub(crate) calls: u64,
    pub(crate) busy: Duration,
    pub(crate) set_up: Duration,
    pub(crate) fused: bool,
    pub(crate) waited_input: Duration,
    pub(crate) waited_downstream: Duration,
    pub(crate) waited_memory: Duration,
    pub(crate) waited_core: Duration,
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

    /// Threads the run had, the caller's included where it took part.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
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

    /// The stages, from source to sink.
    #[must_use]
    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }
}

impl StageReport {
    /// The stage's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls that could run at once.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Items the stage was called with.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Time inside the stage's function, all workers together.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// Time that went into building the states of its workers.
    #[must_use]
    pub fn set_up(&self) -> Duration {
        self.set_up
    }

    /// Time workers were free because nothing was there to do.
    #[must_use]
    pub fn waited_for_input(&self) -> Duration {
        self.waited_input
    }

    /// Time workers were free because the stage below had enough to do.
    #[must_use]
    pub fn blocked_by_downstream(&self) -> Duration {
        self.waited_downstream
    }

    /// Time workers were free because the ledger could not grant the next item
    /// what it needs.
    #[must_use]
    pub fn blocked_on_memory(&self) -> Duration {
        self.waited_memory
    }

    /// Time workers were free although there was work, because every core was
    /// taken by other stages.
    #[must_use]
    pub fn waited_for_core(&self) -> Duration {
        self.waited_core
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "items    {} read", self.read)?;
        if self.children > 0 {
            write!(f, " + {} made by flat_map", self.children)?;
        }
        write!(f, " = {} delivered", self.delivered)?;
        for (count, fate) in [
            (self.filtered, "filtered"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.expanded, "taken apart"),
        ] {
            if count > 0 {
                write!(f, " + {count} {fate}")?;
            }
        }
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f)?;
        write!(f, "time     {seconds:.3} s on {} threads", self.threads)?;
        if seconds > 0.0 {
            write!(f, ", {:.1} items read a second", self.read as f64 / seconds)?;
        }
        writeln!(f)?;
        self.fmt_memory(f)?;
        writeln!(f)?;
        self.fmt_stages(f)
    }
}

impl Report {
    fn fmt_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "memory   {} kept by stages; items held {} of the line's {} at most, {} items at once",
            Bytes(self.kept),
            Bytes(self.peak_reserved),
            Bytes(self.line),
            self.most_aboard
        )?;
        if self.peak_overweight > 0 {
            writeln!(
                f,
                "         outputs outweighed what was declared for them by up to {}",
                Bytes(self.peak_overweight)
            )?;
        }
        match self.peak_resident {
            Some(bytes) => writeln!(f, "resident {} at most, of the whole process", Bytes(bytes)),
            None => writeln!(f, "resident not told by this platform"),
        }
    }

    fn fmt_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.stages.iter().map(|stage| stage.name.chars().count());
        let wide = widths.max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:wide$}  {:>7}  {:>9}  {:>8}  {:>8}  waited s: {:>8}  {:>10}  {:>8}  {:>8}",
            "stage",
            "workers",
            "calls",
            "set-up s",
            "busy s",
            "input",
            "downstream",
            "memory",
            "core"
        )?;
        for stage in &self.stages {
            let StageReport { name, workers, calls, .. } = stage;
            let (set_up, busy) = (stage.set_up.as_secs_f64(), stage.busy.as_secs_f64());
            write!(f, "{name:wide$}  {workers:>7}  {calls:>9}  {set_up:>8.3}  {busy:>8.3}")?;
            if stage.fused {
                writeln!(f, "  (runs in one go with the stage above)")?;
                continue;
            }
            writeln!(
                f,
                "            {:>8.3}  {:>10.3}  {:>8.3}  {:>8.3}",
                stage.waited_input.as_secs_f64(),
                stage.waited_downstream.as_secs_f64(),
                stage.waited_memory.as_secs_f64(),
                stage.waited_core.as_secs_f64()
            )?;
        }
        Ok(())
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
    fn only_fates_that_occurred_are_told() {
        let report = Report { read: 5, delivered: 3, failed: 2, ..Report::default() };
        let text = report.to_string();
        assert!(text.starts_with("items    5 read = 3 delivered + 2 failed\n"), "{text}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some_memory() {
        assert!(peak_resident().is_some_and(|bytes| bytes > 1 << 20));
    }
}
