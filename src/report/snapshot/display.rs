//! A snapshot in words.

use std::fmt;

use super::{Snapshot, StageSnapshot, WaitsFor};
use crate::units::Bytes;

impl WaitsFor {
    /// While it waits.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Nothing => "all its workers are at work",
            Self::Input => "it waits for input",
            Self::Downstream => "the stage below has enough to do",
            Self::Memory => "it waits for memory",
            Self::RealMemory => "it waits for real memory",
            Self::Core => "it waits for a core",
            Self::Turn => "an older item's turn comes first",
            Self::Consumer => "the consumer has not asked for more",
            Self::Window => "the window is full",
        }
    }

    /// When the run is over.
    pub(super) fn told_later(self) -> &'static str {
        match self {
            Self::Nothing => "all its workers were at work",
            Self::Input => "it waited for input",
            Self::Downstream => "the stage below had enough to do",
            Self::Memory => "it waited for memory",
            Self::RealMemory => "it waited for real memory",
            Self::Core => "it waited for a core",
            Self::Turn => "an older item's turn came first",
            Self::Consumer => "the consumer had not asked for more",
            Self::Window => "the window was full",
        }
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.told())
    }
}

/// One line for the run, one for each stage, and what holds it up or it still waits for; no
/// newline at the end.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(f, "{seconds:.1} s: {} read", self.read)?;
        if let Some(expected) = self.expected {
            write!(f, " of {expected}")?;
        }
        write!(f, ", {} done with, {}", self.finished, PerSecond(self.per_second))?;
        let (held, line) = (Bytes(self.held), Bytes(self.line));
        write!(f, "; {} aboard", self.aboard)?;
        if self.source_waits_for == Some(WaitsFor::Window) {
            write!(f, ", as many as the window lets")?;
        }
        write!(f, ", holding {held} of {line}")?;
        if self.withheld > 0 {
            write!(f, " ({} withheld)", Bytes(self.withheld))?;
        }
        if let Some(real) = self.real {
            write!(f, ", {} real", Bytes(real))?;
        }
        self.stages.iter().enumerate().try_for_each(|(index, stage)| {
            write!(f, "\n{stage}")?;
            match (stage.waits_for, self.stages.get(index + 1)) {
                (WaitsFor::Nothing, _) => Ok(()),
                (WaitsFor::Downstream, Some(below)) => {
                    write!(f, "; {} has enough to do", below.name)
                }
                (waits_for, _) => write!(f, "; {waits_for}"),
            }
        })?;
        self.stalls.iter().try_for_each(|stall| write!(f, "\nstalled: {stall}"))?;
        match (&self.stopping, self.bottleneck()) {
            (Some(stopping), _) => write!(f, "\nstopping: {stopping}"),
            (None, Some(told)) => write!(f, "\nlimited by {told}"),
            (None, None) => Ok(()),
        }
    }
}

/// What it has done and has to do, on one line; what it waits for is not told.
impl fmt::Display for StageSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, workers, running, queued, done, .. } = self;
        write!(f, "{name}: {running} of {workers} workers busy, {queued} queued, {done} done, ")?;
        write!(f, "{}, {}", PerSecond(self.per_second), Bytes(self.holds))
    }
}

/// A rate that is told to a tenth where that says something.
pub(super) struct PerSecond(pub(super) f64);

impl fmt::Display for PerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.0 < 100.0 { 1 } else { 0 };
        write!(f, "{:.decimals$} a second", self.0)
    }
}
