//! Whether calls that compute had the cores that the budget counts on.

use std::fmt;
use std::time::Duration;

use super::{Report, StageReport, percent};
use crate::units::or_variable;

/// Beside less work than this a share says nothing.
const LEAST: Duration = Duration::from_millis(100);
const OTHERS: &str = "others had it";
/// A share below this is told: some calls wait for a page or a lock in every run.
const MOST: f64 = 0.8;

impl Report {
    /// The part of their time for which calls of stages that compute had a core, at the most:
    /// the processor time of the process over the time inside of such stages. `None` where the
    /// platform does not tell, and if no stage computed. A stage that
    /// [waits](StageReport::waits) by design is left out.
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

    /// Stages that do not wait by design.
    pub(super) fn that_compute(&self) -> impl Iterator<Item = &StageReport> {
        self.stages.iter().filter(|stage| !stage.waits)
    }

    /// Time inside of stages that compute.
    pub(super) fn computing(&self) -> Duration {
        self.that_compute().map(StageReport::worked).sum()
    }

    /// What calls did while they had no core, as far as it is known.
    fn what_they_did(&self) -> &'static str {
        let known = self.that_compute().filter_map(|stage| {
            let (had, lacked) = stage.on_core?;
            let busy = stage.busy.as_secs_f64();
            Some((busy * lacked, busy * (1.0 - had - lacked)))
        });
        let (lacked, stood) =
            known.fold((0.0, 0.0), |sum, stage| (sum.0 + stage.0, sum.1 + stage.1));
        // One of them is told alone where the other is next to nothing.
        match (lacked > 8.0 * stood, stood > 8.0 * lacked) {
            (true, false) => OTHERS,
            (false, true) => "they waited (disk, page faults, locks)",
            _ => "others had it or they waited (disk, page faults, locks)",
        }
    }

    /// Why more cores in the budget would not help, if they would not.
    pub(super) fn why_not_more_cores(&self) -> Option<String> {
        let share = self.lacked_cores();
        match (self.machine_cores.filter(|there| *there < self.cores), share) {
            (Some(there), _) => {
                let has = if there == 1 { "1 core".into() } else { format!("{there} cores") };
                Some(format!("the process may use {has}, fewer than the budget's {}", self.cores))
            }
            (None, Some(share)) => {
                Some(format!("{}, for the rest {}", had_a_core(share), self.what_they_did()))
            }
            (None, None) => None,
        }
    }

    /// Whether cores were there, and others had them for most of the time that calls had none.
    pub(super) fn others_had_the_cores(&self) -> bool {
        let few = self.machine_cores.is_some_and(|there| there < self.cores);
        !few && self.lacked_cores().is_some() && self.what_they_did() == OTHERS
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
        let (had, did) = (had_a_core(share), self.what_they_did());
        let few = self.machine_cores.filter(|there| *there < self.cores);
        let few = few.map(|there| format!(" ({there} are there for the budget's {})", self.cores));
        Some(format!("{had}{}; for the rest {did}", few.unwrap_or_default()))
    }
}

impl StageReport {
    /// What would help a stage on so many cores whose calls wait for most of their time.
    pub(super) fn what_waiting_takes(&self, cores: usize, by_variable: bool) -> Option<String> {
        let stood = self.stood_still().filter(|stood| *stood > 0.5)?;
        // So many would keep the cores busy, if what they wait for can be had so often at once,
        // which is to be tried step by step.
        let busy = (cores as f64 / (1.0 - stood).max(0.01)).round() as usize;
        let workers = busy.min(4 * cores.max(self.workers));
        if workers * 8 < self.workers * 9 {
            return None;
        }
        let (name, stood) = (&self.name, percent(stood));
        let variable = or_variable(by_variable, "WORKERS", name, workers);
        let (more, say) = match self.waits {
            true => ("more of them", ""),
            false => ("more workers, which hold no core,", "waits()."),
        };
        let whose = if self.in_one_go { " and of what runs in one go with it" } else { "" };
        Some(format!(
            "calls of {name}{whose} waited for {stood} of their time: if for a disk or a network, \
             {more} would help: {say}workers({workers}){variable}; if \
             for a lock that they share, they would not"
        ))
    }
}

fn had_a_core(share: f64) -> String {
    format!("calls had a core for only {} of their time", percent(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two stages on four cores: one computed for ten seconds, one waits by design.
    fn report(cpu_millis: u64, machine_cores: usize) -> Report {
        let stage = |name: &str, workers, busy| StageReport {
            name: name.to_owned(),
            workers,
            waits: workers > 4,
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
        let told = "\n         calls had a core for only 41 % of their time; for the rest others had it or \
                    they waited (disk, page faults, locks)\n";
        assert!(text.contains(told), "{text}");
        let mut page = Vec::new();
        lacked.write_html(&mut page).expect("memory takes all");
        let page = String::from_utf8(page).expect("it is text");
        assert!(
            page.contains(">Calls had a core for only 41 % of their time; for the rest others"),
            "{page}"
        );
        let few = report(4_100, 2).to_string();
        let told = "41 % of their time (2 are there for the budget's 4); for the rest others had";
        assert!(few.contains(told), "{few}");
        let mut known = report(4_100, 4);
        for (on_core, told) in [
            ((0.4, 0.58), "others had it"),
            ((0.4, 0.02), "they waited (disk, page faults, locks)"),
            ((0.4, 0.3), "others had it or they waited (disk, page faults, locks)"),
        ] {
            known.stages[0].on_core = Some(on_core);
            let told = format!("{}; for the rest {told}", had_a_core(0.41));
            assert_eq!(known.why_they_lacked(), Some(told));
        }
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
        short.stages[0].waits = true;
        assert_eq!(short.core_share(), None, "it has no more workers than cores, and waits");
        let mut brief = report(1, 4);
        brief.stages[0].busy = Duration::from_millis(99);
        assert_eq!(brief.why_they_lacked(), None, "{brief}");
    }
}
