//! What one stage did.

use std::time::Duration;

use super::{ItemTimes, percent};

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
    /// Whether its calls were taken to wait, and held no core.
    pub(crate) waits: bool,
    /// About twice as many workers as it had, if it asked for more, and the bytes beyond the
    /// budget that would carry them.
    pub(crate) more: Option<(usize, u64)>,
    /// Bytes declared for each worker, and for all together.
    pub(crate) per_worker: u64,
    pub(crate) shared: u64,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) busy: Duration,
    pub(crate) set_up: Duration,
    /// For which parts of the time of its calls they had a core, and wanted one.
    pub(crate) on_core: Option<(f64, f64)>,
    /// Whether it is one of several stages that run in one go.
    pub(crate) in_one_go: bool,
    /// Whether it is one of them, and not the first.
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

    /// Whether its calls were taken to wait, and held no core: it
    /// [says so](crate::StageBuilder::waits), or asked for more workers than there were cores.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
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

    /// The part of [`busy`](Self::busy) for which its calls computed, 0 to 1: had a core. For
    /// the rest they were [`ready`](Self::lacked_core) and others had it, or they waited: for
    /// the disk, a page, a lock, the network. Known on Linux, from a sample of the calls;
    /// `None` elsewhere, and of runs so short that fewer than eight were looked at. Stages that
    /// run in one go share it.
    ///
    /// ```
    /// use std::{thread::sleep, time::Duration};
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let nap = Stage::cpu("nap").map(|_| sleep(Duration::from_millis(20)));
    /// let report = Pipeline::new(nap).build(&Budget::new(MIB, 1))?.run(0..10, drop)?;
    /// # #[cfg(target_os = "linux")]
    /// assert!(report.stages()[0].computed().is_some_and(|part| part < 0.5), "{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn computed(&self) -> Option<f64> {
        self.on_core.map(|(had, _)| had)
    }

    /// The part of [`busy`](Self::busy) for which its calls were ready to run while other
    /// threads, of this process or others, had the cores, 0 to 1. Told like
    /// [`computed`](Self::computed).
    #[must_use]
    pub fn lacked_core(&self) -> Option<f64> {
        self.on_core.map(|(_, lacked)| lacked)
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
    /// what it needs, or, to the first stage, could not let the source be read.
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
    /// For which part of their time its calls neither had a core nor wanted one.
    pub(super) fn stood_still(&self) -> Option<f64> {
        self.on_core.map(|(had, lacked)| 1.0 - had - lacked)
    }

    /// For how long the cores were its calls': all of their time, or as far as they computed, if
    /// it says that they wait.
    pub(super) fn held_cores(&self) -> Duration {
        match (self.waits, self.on_core) {
            (false, _) => self.worked(),
            (true, Some((had, _))) => self.worked().mul_f64(had),
            (true, None) => Duration::ZERO,
        }
    }

    /// For which part of their time its calls computed, in a cell of a table.
    pub(super) fn told_computed(&self) -> String {
        self.computed().map_or("-".to_owned(), percent)
    }

    /// Time its workers were at work.
    pub(super) fn worked(&self) -> Duration {
        self.busy + self.set_up
    }
}
