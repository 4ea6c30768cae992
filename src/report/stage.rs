//! What one stage did.

use std::time::Duration;

use super::ItemTimes;

/// What one stage did.
///
/// The four waits, the busy and the set-up time of a stage's workers, and a little
/// for moving items about, add up to its workers times the elapsed time. Stages that
/// run in one go with the stage above share its waits.
///
/// ```
/// use std::{thread::sleep, time::Duration};
/// use plimsoll::{Budget, MIB, Pipeline, Stage};
///
/// let quick = Stage::cpu("quick").map(|n: u64| n).weigh(|_| 8);
/// let slow = Stage::cpu("slow").map(|_| sleep(Duration::from_millis(2)));
/// let pipeline = Pipeline::new(quick).then(slow).build(&Budget::new(MIB, 1))?;
/// let report = pipeline.run(0..20, drop)?;
/// let [quick, slow] = report.stages() else { panic!("there are two") };
/// assert_eq!((quick.calls(), slow.calls()), (20, 20));
/// assert!(slow.busy() >= Duration::from_millis(40) && quick.busy() < slow.busy());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StageReport {
    pub(crate) name: String,
    pub(crate) workers: usize,
    /// Workers it asked for.
    pub(crate) asked: usize,
    /// About twice as many workers as it had, if it asked for more, and the bytes beyond the
    /// budget that would carry them.
    pub(crate) more: Option<(usize, u64)>,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) busy: Duration,
    pub(crate) set_up: Duration,
    pub(crate) fused: bool,
    pub(crate) times: Option<ItemTimes>,
    pub(crate) waited_input: Duration,
    pub(crate) waited_downstream: Duration,
    pub(crate) waited_memory: Duration,
    pub(crate) waited_real: Duration,
    pub(crate) waited_core: Duration,
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

    /// Workers it asked for: more than it had, if memory was short.
    #[must_use]
    pub fn asked_workers(&self) -> usize {
        self.asked
    }

    /// Items the stage was called with.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Items that failed there: by error, by panic, or because the stage had no room for one so
    /// large.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let parse = Stage::cpu("parse").try_map(|word: &str| word.parse::<u32>());
    /// let pipeline = Pipeline::new(parse).build(&Budget::new(MIB, 1))?;
    /// let report = pipeline.job().failures(drop).run("7 x 9 y".split(' '), drop)?;
    /// assert_eq!((report.failed(), report.stages()[0].failed()), (2, 2));
    /// assert!(report.to_string().contains("failed   2 in parse"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
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

    /// How long its items took; `None` if there was no call.
    #[must_use]
    pub fn item_times(&self) -> Option<&ItemTimes> {
        self.times.as_ref()
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

impl StageReport {
    /// Time its workers were at work.
    pub(super) fn worked(&self) -> Duration {
        self.busy + self.set_up
    }
}
