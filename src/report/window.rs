//! How far the bound on items aboard held a run up, and what would help.

use std::time::Duration;

use super::{Report, percent};
use crate::units::Count;

impl Report {
    /// Items that the plan let be aboard at once
    /// ([`PipelineBuilder::window`](crate::PipelineBuilder::window)).
    #[must_use]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Time for which nothing but the [window](Self::window) kept the source from being read: it
    /// was full, a worker of the first stage and a core were free, and nothing that was aboard
    /// waited for a stage or for memory. Where there was no more to be read it does not count.
    #[must_use]
    pub fn waited_window(&self) -> Duration {
        self.waited_window
    }

    /// The part of [`waited_window`](Self::waited_window) in which at least half of what was
    /// aboard was done and waited for the turn of an older item, as outputs are
    /// [ordered](crate::PipelineBuilder::ordered).
    #[must_use]
    pub fn waited_turn(&self) -> Duration {
        self.waited_turn
    }

    fn waited_for_turns(&self) -> bool {
        self.waited_turn > self.waited_window / 2
    }

    /// As what limits the run, having held it up for that `part` of the time.
    pub(super) fn told_window(&self, part: f64) -> String {
        let (items, part) = (Count(self.window, "item"), percent(part));
        let why = match self.waited_for_turns() {
            true => "most of what was aboard was done and waited for the turn of an older item",
            false => "workers had nothing to do",
        };
        format!("the window of {items}: for {part} of the time it was full and {why}")
    }

    /// What would help against it. `who` comes closest to a limit otherwise, and was at work for
    /// that `part` of the time. With as many times more items aboard they would have been at work
    /// all the time, if items were aboard no longer for it: so that is the least it takes.
    pub(super) fn what_fills_a_larger_window(&self, (who, part): (&str, f64)) -> String {
        let takes = match (self.window as f64 / part).ceil() {
            least if least.is_finite() => {
                format!("it takes window({least}) or more to keep {who} at work")
            }
            _ => "a larger window would help".to_owned(),
        };
        match self.waited_for_turns() {
            true => format!(
                "outputs are ordered, so one slow item holds up what is done behind it: {takes}, or \
                 a run without `ordered`"
            ),
            false => takes,
        }
    }
}
