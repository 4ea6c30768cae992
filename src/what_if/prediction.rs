//! What a run on another budget would come to.

use std::fmt;
use std::time::Duration;

use crate::engine::simulation::Forecast;
use crate::plan::Plan;
use crate::units::Bytes;

/// What a run on another budget would come to. Made by
/// [`Report::what_if`](crate::Report::what_if), which tells what is assumed.
///
/// ```text
/// 10000000 items in 2718.281 s, 3678.8 a second; 1.2 GiB of the budget's 4.0 GiB at most
/// limited by the cores; apply takes 61 % of their time
/// calls are taken to be as fast as they were in the run, but for the 12 % of their time that they had no core
/// (28571 items were simulated, the others go on like the second half of these)
/// ```
///
/// What its plan [notes](Plan::notes) is repeated there, a table that does not fit above all: it
/// would slow calls down, and is not predicted.
///
/// # JSON
///
/// With the feature `serde` a prediction can be serialized: `items`, `simulated_items`,
/// `elapsed_seconds`, `items_per_second`, `peak_bytes`, `peak_reserved_bytes`, `lacks_tables`,
/// `limited_by` (in words, or null), `lacked_core` (the part of their time that calls of the run
/// had no core, or null), `plan` ([`Plan`]). Fields may be added in any release; these keep their
/// names and meanings until the next breaking one.
#[derive(Clone, Debug)]
pub struct Prediction {
    plan: Plan,
    items: u64,
    simulated: u64,
    elapsed: Duration,
    held: u64,
    bottleneck: Option<String>,
    by_cores: bool,
    /// For which part of their time calls of the run were ready and had no core.
    lacked: Option<f64>,
}

impl Prediction {
    pub(super) fn new(
        forecast: Forecast,
        plan: Plan,
        (items, simulated): (u64, u64),
        elapsed: Duration,
        lacked: Option<f64>,
    ) -> Self {
        let Forecast { report, .. } = forecast;
        let (held, bottleneck) = (report.peak_reserved(), report.bottleneck());
        let by_cores = report.is_limited_by_cores();
        Self { plan, items, simulated, elapsed, held, bottleneck, by_cores, lacked }
    }

    /// How the pipeline would use the budget.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Items of the source.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Items that were simulated: all of them, or so many that the others can be taken to
    /// go on like the second half of these.
    #[must_use]
    pub fn simulated(&self) -> u64 {
        self.simulated
    }

    /// Wall time from the start of the run to its end, the building of workers' states
    /// included. Of a budget that [lacks room for tables](Self::lacks_tables) it is that of one
    /// that does not.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Items of the source a second, over the whole run.
    #[must_use]
    pub fn items_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.items as f64 / seconds } else { 0.0 }
    }

    /// The most that items aboard would be granted at once, bytes; never more than the
    /// plan's [`line`](Plan::line).
    #[must_use]
    pub fn peak_reserved(&self) -> u64 {
        self.held
    }

    /// The most memory that the run would stand for, bytes: what the plan sets aside for
    /// stages and tables, and what items are granted at once beside it. As declared: what
    /// [`Report::what_if`](crate::Report::what_if) assumes of real memory is said there.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.plan.memory() - self.plan.line() + self.held
    }

    /// What the run would be limited by, as [`Report::bottleneck`](crate::Report::bottleneck)
    /// tells it of one that was.
    #[must_use]
    pub fn bottleneck(&self) -> Option<&str> {
        self.bottleneck.as_deref()
    }

    /// The same, if it is not the cores.
    pub(super) fn other_limit(&self) -> Option<&str> {
        self.bottleneck().filter(|_| !self.by_cores)
    }

    /// For which part of their time calls of the run were ready and had no core, which is left
    /// out; `None` where that is not known.
    pub(super) fn lacked(&self) -> Option<f64> {
        self.lacked
    }

    /// Whether a table that is to stay in memory does not fit: look-ups would wait for the disk,
    /// which the [time](Self::elapsed) does not foresee.
    #[must_use]
    pub fn lacks_tables(&self) -> bool {
        self.plan.tables().iter().any(|table| table.missing() > 0)
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, simulated, .. } = self;
        let (seconds, rate) = (self.elapsed.as_secs_f64(), self.items_per_second());
        let (peak, memory) = (Bytes(self.peak_bytes()), Bytes(self.plan.memory()));
        write!(f, "{items} items in {seconds:.3} s, {rate:.1} a second; ")?;
        write!(f, "{peak} of the budget's {memory} at most")?;
        if let Some(bottleneck) = &self.bottleneck {
            write!(f, "\nlimited by {bottleneck}")?;
        }
        for note in self.plan.notes() {
            write!(f, "\nnote: {note}")?;
        }
        write!(f, "\ncalls are taken to be as fast as they were in the run")?;
        match self.lacked.map(|part| 100.0 * part) {
            None => write!(f, ", what delayed them there included")?,
            Some(percent) if percent < 1.0 => {}
            Some(percent) => {
                write!(f, ", but for the {percent:.0} % of their time that they had no core")?;
            }
        }
        if simulated < items {
            write!(
                f,
                "\n({simulated} items were simulated, the others go on like the second half of these)"
            )?;
        }
        Ok(())
    }
}
