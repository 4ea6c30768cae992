//! What a run did, and does while it is under way, in figures.

mod memory;
mod snapshot;

use std::fmt;
use std::time::Duration;

pub use memory::MemoryReport;
pub use snapshot::{Monitor, Snapshot, StageSnapshot, Stall, WaitsFor};

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
    pub(crate) waited_real: Duration,
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

    /// Time workers were free, and a core was too, but nothing was there to do.
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

    /// The part of [`blocked_on_memory`](Self::blocked_on_memory) that the ledger alone
    /// would have spared: the line was tightened by real memory.
    #[must_use]
    pub fn blocked_on_real_memory(&self) -> Duration {
        self.waited_real
    }

    /// Time workers were free because every core of the budget was at work, for
    /// other stages or others of this one, or because the system had not yet
    /// brought a woken thread to a core.
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
            "memory   {} declared as kept by stages; items held {} of the line's {} at most, {} at once",
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
        write!(f, "{}", self.memory)?;
        match self.peak_resident {
            Some(bytes) => writeln!(
                f,
                "resident {} at most since the process was started, mapped files included",
                Bytes(bytes)
            )?,
            None => writeln!(f, "resident not told by this platform")?,
        }
        self.stalls.iter().try_for_each(|stall| writeln!(f, "stalled  {}", stall.told_later()))
    }

    fn fmt_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.stages.iter().map(|stage| stage.name.chars().count());
        // As wide as "(source)" at least.
        let wide = widths.max().unwrap_or(0).max(8);
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
        let rows =
            [("source", self.read, self.source_busy), ("sink", self.delivered, self.sink_busy)];
        for (end, calls, busy) in rows {
            let busy = busy.as_secs_f64();
            writeln!(
                f,
                "({end}){:1$}  {calls:>18}  {busy:>18.3}",
                "",
                wide.saturating_sub(end.len() + 2)
            )?;
        }
        match self.bottleneck() {
            Some(bottleneck) => writeln!(f, "\nlimited by {bottleneck}"),
            None => Ok(()),
        }
    }

    /// What the run was limited by, if the figures say so clearly: the cores, a stage (or
    /// the source, the sink) that was always busy, memory.
    #[must_use]
    pub fn bottleneck(&self) -> Option<String> {
        let computing: Duration = self.stages.iter().map(StageReport::worked).sum();
        if self.share(computing + self.sink_busy, self.cores) > 0.85 {
            let heaviest = self.stages.iter().max_by_key(|stage| stage.worked())?;
            let part = heaviest.worked().as_secs_f64() / computing.as_secs_f64();
            let (name, part) = (&heaviest.name, percent(part));
            return Some(format!("the cores; {name} takes {part} of their time"));
        }
        // Before memory: what piles up before a stage that is always busy fills any
        // memory, and more of it would not help.
        let (name, workers, busy) = self.tightest()?;
        let tightest = || match workers {
            1 => format!("{name}, busy {} of the time", percent(busy)),
            _ => format!("{name}: its {workers} workers were busy {} of the time", percent(busy)),
        };
        if busy > 0.9 {
            return Some(tightest());
        }
        let hungry = self.stages.iter().max_by_key(|stage| stage.waited_memory)?;
        let starved = self.share(hungry.waited_memory, hungry.workers);
        if starved > 0.25 {
            let (name, percent) = (&hungry.name, percent(starved));
            let real = if hungry.waited_real > hungry.waited_memory / 2 { "real " } else { "" };
            return Some(format!(
                "{real}memory: workers of {name} waited for it {percent} of the time"
            ));
        }
        (busy > 0.7).then(tightest)
    }

    /// Who was busy for the largest part of their time: name, workers, part.
    fn tightest(&self) -> Option<(&str, usize, f64)> {
        let stages =
            self.stages.iter().map(|stage| (stage.name.as_str(), stage.workers, stage.worked()));
        let ends = [("the source", 1, self.source_busy), ("the sink", 1, self.sink_busy)];
        let shares = stages
            .chain(ends)
            .map(|(name, workers, busy)| (name, workers, self.share(busy, workers)));
        shares.max_by(|a, b| a.2.total_cmp(&b.2))
    }

    /// The part that `time` is of what so many workers have.
    fn share(&self, time: Duration, workers: usize) -> f64 {
        let all = self.elapsed.as_secs_f64() * workers as f64;
        if all > 0.0 { time.as_secs_f64() / all } else { 0.0 }
    }
}

impl StageReport {
    /// Time its workers were at work.
    fn worked(&self) -> Duration {
        self.busy + self.set_up
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
    fn only_fates_that_occurred_are_told() {
        let report = Report { read: 5, delivered: 3, failed: 2, ..Report::default() };
        let text = report.to_string();
        assert!(text.starts_with("items    5 read = 3 delivered + 2 failed\n"), "{text}");
    }

    /// Two stages of two workers on two cores for ten seconds.
    fn ten_seconds(busy: [u64; 2], memory: u64, sink: u64) -> Report {
        let stage = |name: &str, busy| StageReport {
            name: name.to_owned(),
            workers: 2,
            busy: Duration::from_secs(busy),
            ..StageReport::default()
        };
        let mut stages = vec![stage("parse", busy[0]), stage("screen", busy[1])];
        stages[1].waited_memory = Duration::from_secs(memory);
        let sink_busy = Duration::from_secs(sink);
        Report {
            elapsed: Duration::from_secs(10),
            cores: 2,
            stages,
            sink_busy,
            ..Report::default()
        }
    }

    #[test]
    fn the_bottleneck_is_what_everybody_waited_for() {
        let told = |report: Report| report.bottleneck().unwrap_or_default();
        assert_eq!(told(ten_seconds([4, 16], 0, 0)), "the cores; screen takes 80 % of their time");
        assert_eq!(
            told(ten_seconds([4, 10], 10, 0)),
            "memory: workers of screen waited for it 50 % of the time"
        );
        let mut tight = ten_seconds([4, 10], 10, 0);
        tight.stages[1].waited_real = Duration::from_secs(6);
        assert_eq!(told(tight), "real memory: workers of screen waited for it 50 % of the time");
        assert_eq!(told(ten_seconds([1, 1], 0, 9)), "the sink, busy 90 % of the time");
        assert_eq!(told(ten_seconds([1, 1], 0, 0)), "");
        let mut full = ten_seconds([1, 10], 0, 0);
        full.stages[1].workers = 1;
        full.stages[0].waited_memory = Duration::from_secs(15);
        assert_eq!(told(full), "screen, busy 100 % of the time", "more memory would not help");
        let mut single = ten_seconds([1, 9], 0, 0);
        single.stages[1].workers = 1;
        assert_eq!(told(single), "screen, busy 90 % of the time");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some_memory() {
        assert!(peak_resident().is_some_and(|bytes| bytes > 1 << 20));
    }
}
