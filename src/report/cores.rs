//! Whether calls that compute had the cores that the budget counts on.

use std::fmt;
use std::time::Duration;

use super::{Report, StageReport, percent};

/// Beside less work than this a share says nothing.
const LEAST: Duration = Duration::from_millis(100);
/// A share below this is told: some calls wait for a page or a lock in every run.
const MOST: f64 = 0.8;

impl Report {
    /// The part of their time for which calls of stages that compute had a core, at the most:
    /// the processor time of the process over the time inside of such stages. `None` where the
    /// platform does not tell, and if no stage computed. A stage that asks for more workers than
    /// the budget has cores waits by design and is left out.
    ///
    /// Much less than one: other programs kept the cores busy, the budget has more cores than
    /// there are, or calls waited, for the disk, a page or each other. Then the report says so,
    /// and [`suggestion`](Self::suggestion) does not ask for more cores.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let nap = Stage::cpu("nap").map(|_| std::thread::sleep(Duration::from_millis(20)));
    /// let report = Pipeline::new(nap).build(&Budget::new(MIB, 1))?.run(0..10, drop)?;
    /// # #[cfg(target_os = "linux")]
    /// assert!(report.core_share().is_some_and(|share| share < 0.5), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn core_share(&self) -> Option<f64> {
        let (cpu_time, computing) = (self.cpu_time?, self.computing());
        let share = cpu_time.as_secs_f64() / computing.as_secs_f64();
        (!computing.is_zero()).then(|| share.min(1.0))
    }

    /// The share, if it is so small that it is told.
    fn lacked_cores(&self) -> Option<f64> {
        self.core_share().filter(|share| *share < MOST && self.computing() >= LEAST)
    }

    /// Time inside of stages that compute.
    fn computing(&self) -> Duration {
        let computes =
            self.stages.iter().filter(|stage| stage.workers.max(stage.asked) <= self.cores);
        computes.map(StageReport::worked).sum()
    }

    /// Why more cores in the budget would not help, if they would not.
    pub(super) fn why_not_more_cores(&self) -> Option<String> {
        let share = self.lacked_cores();
        match (self.machine_cores.filter(|there| *there < self.cores), share) {
            (Some(there), _) => {
                let has = if there == 1 { "1 core".into() } else { format!("{there} cores") };
                Some(format!("the process may use {has}, fewer than the budget's {}", self.cores))
            }
            (None, Some(share)) => Some(had_a_core(share)),
            (None, None) => None,
        }
    }

    /// A line of the report's text.
    pub(super) fn fmt_cores(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why_they_lacked() {
            Some(why) => writeln!(f, "         {why}"),
            None => Ok(()),
        }
    }

    /// In words that calls lacked cores, if they did.
    pub(super) fn why_they_lacked(&self) -> Option<String> {
        let share = self.lacked_cores()?;
        let waited = "or they waited (disk, page faults, locks)";
        let had = had_a_core(share);
        Some(match self.machine_cores.filter(|there| *there < self.cores) {
            Some(there) => {
                format!("{had}: there are {there} for the budget's {}, {waited}", self.cores)
            }
            None => format!("{had}: other programs had it, {waited}"),
        })
    }
}

fn had_a_core(share: f64) -> String {
    format!("calls had a core {} of their time", percent(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two stages on four cores: one computed for ten seconds, one has more workers than cores.
    fn report(cpu_millis: u64, machine_cores: usize) -> Report {
        let stage = |name: &str, workers, busy| StageReport {
            name: name.to_owned(),
            workers,
            busy: Duration::from_secs(busy),
            ..StageReport::default()
        };
        Report {
            elapsed: Duration::from_millis(2_600),
            cores: 4,
            machine_cores: Some(machine_cores),
            cpu_time: Some(Duration::from_millis(cpu_millis)),
            stages: vec![stage("parse", 4, 10), stage("fetch", 16, 30)],
            ..Report::default()
        }
    }

    #[test]
    fn what_calls_lacked_is_told_and_no_more_cores_are_asked_for() {
        let lacked = report(4_100, 4);
        assert_eq!(lacked.core_share(), Some(0.41));
        let text = lacked.to_string();
        let told = "\n         calls had a core 41 % of their time: other programs had it, or they \
                    waited (disk, page faults, locks)\n";
        assert!(text.contains(told), "{text}");
        let mut page = Vec::new();
        lacked.write_html(&mut page).expect("memory takes all");
        let page = String::from_utf8(page).expect("it is text");
        assert!(page.contains(">Calls had a core 41 % of their time: other programs"), "{page}");
        let few = report(4_100, 2).to_string();
        let told = "41 % of their time: there are 2 for the budget's 4, or they waited";
        assert!(few.contains(told), "{few}");
    }

    #[test]
    fn stages_that_wait_by_design_are_no_lack_of_cores() {
        let had = report(9_000, 4);
        assert_eq!(
            (had.core_share(), had.why_they_lacked()),
            (Some(0.9), None),
            "30 s are fetch's"
        );
        assert_eq!(had.why_not_more_cores(), None);
        assert_eq!(report(12_000, 4).core_share(), Some(1.0), "other threads compute, too");
        let unknown = Report { cpu_time: None, ..report(0, 4) };
        assert_eq!((unknown.core_share(), unknown.why_they_lacked()), (None, None));
        let mut short = report(1_000, 4);
        short.stages[0].asked = 5;
        assert_eq!(short.core_share(), None, "memory let it have four, it waits all the same");
        let mut brief = report(1, 4);
        brief.stages[0].busy = Duration::from_millis(99);
        assert_eq!(brief.why_they_lacked(), None, "{brief}");
    }
}
