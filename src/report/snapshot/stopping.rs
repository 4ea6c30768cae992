//! A run that ends early, and what it still waits for.

use std::fmt;
use std::time::Duration;

use super::{Snapshot, WaitsFor};

/// A run that ends early: nothing new is begun, calls of user code that are under way are waited
/// for, as nobody but they themselves can end them.
///
/// ```
/// use std::{thread, time::Duration};
/// use plimsoll::{Budget, MIB, Monitor, Pipeline, Stage};
///
/// let slow = Stage::cpu("slow").map(|_: u64| thread::sleep(Duration::from_millis(200)));
/// let pipeline = Pipeline::new(slow).build(&Budget::new(MIB, 1))?;
/// let monitor = Monitor::new();
/// let told = thread::scope(|scope| {
///     let job = pipeline.job().monitor(&monitor).time_limit(Duration::from_millis(20));
///     let run = scope.spawn(|| job.run(0..9, drop));
///     while !run.is_finished() {
///         if let Some(stopping) = monitor.snapshot().as_ref().and_then(|now| now.stopping()) {
///             return stopping.to_string();
///         }
///     }
///     panic!("it was not told");
/// });
/// // Such as "its time limit passed 0.1 s ago; it waits for slow".
/// assert!(told.starts_with("its time limit passed ") && told.ends_with("; it waits for slow"), "{told}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stopping {
    reason: StopReason,
    lasted: Duration,
    /// Who is still at work, and in how many calls.
    calls: Vec<(String, usize)>,
}

/// Why a run ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// Its token was pulled.
    Cancelled,
    /// Its time is up.
    TimeLimit,
    /// An item, the source, a sink or a worker's state failed. Items before one that failed are
    /// still worked on.
    Failed,
    /// Its stream was dropped.
    Dropped,
}

impl Stopping {
    /// Why the run ends early.
    #[must_use]
    pub fn reason(&self) -> StopReason {
        self.reason
    }

    /// How long ago that was.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.lasted
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancelled => "it was cancelled",
            Self::TimeLimit => "its time limit passed",
            Self::Failed => "it failed",
            Self::Dropped => "its stream was dropped",
        })
    }
}

/// Why, since when, and what it still waits for.
impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.1} s ago", self.reason, self.lasted.as_secs_f64())?;
        for (index, (name, calls)) in self.calls.iter().enumerate() {
            f.write_str(if index == 0 { "; it waits for " } else { ", " })?;
            match calls {
                1 => f.write_str(name)?,
                _ => write!(f, "{name} ({calls} calls)")?,
            }
        }
        Ok(())
    }
}

impl Snapshot {
    /// The run has been ending early for `lasted`.
    pub(crate) fn stop(&mut self, reason: StopReason, lasted: Duration) {
        let calls = self.under_way().map(|(name, calls)| (name.to_owned(), calls)).collect();
        self.stopping = Some(Stopping { reason, lasted, calls });
    }

    /// Who is at work, and in how many calls.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (&str, usize)> {
        let is_read = self.source_waits_for == Some(WaitsFor::Nothing);
        let stages = self.stages.iter().map(|stage| (stage.name.as_str(), stage.running));
        [("(source)", usize::from(is_read))].into_iter().chain(stages).filter(|it| it.1 > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::StageSnapshot;
    use super::*;

    #[test]
    fn it_tells_who_is_still_at_work() {
        let stage = |name: &str, running| StageSnapshot {
            name: name.to_owned(),
            running,
            ..StageSnapshot::default()
        };
        let stages = vec![stage("parse", 0), stage("embed", 2)];
        let source_waits_for = Some(WaitsFor::Nothing);
        let (expected, per_second) = (Some(10), 1.0);
        let limited_by = Some("the cores".to_owned());
        let mut snapshot = Snapshot {
            stages,
            source_waits_for,
            expected,
            per_second,
            limited_by,
            ..Snapshot::default()
        };
        assert!(snapshot.remaining().is_some() && snapshot.stopping().is_none());
        assert!(snapshot.to_string().ends_with("\nlimited by the cores"), "{snapshot}");
        snapshot.stop(StopReason::Cancelled, Duration::from_millis(1_400));
        let told = "it was cancelled 1.4 s ago; it waits for (source), embed (2 calls)";
        assert!(snapshot.to_string().ends_with(&format!("\nstopping: {told}")), "{snapshot}");
        assert_eq!(snapshot.bottleneck(), None, "nothing is to go faster any more");
        assert_eq!(snapshot.remaining(), None, "the rest is not done");

        let mut quiet = Snapshot::default();
        quiet.stop(StopReason::Dropped, Duration::ZERO);
        let told = quiet.stopping().map(ToString::to_string);
        assert_eq!(told.as_deref(), Some("its stream was dropped 0.0 s ago"));
    }
}
