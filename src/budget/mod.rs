//! How much memory and how many cores a run may use, and who said so.

mod cgroup;
mod env;
mod headroom;
mod machine;
mod mounts;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod size;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use self::env::Settings;
pub(crate) use self::headroom::{Headroom, MOST_MARGIN};
use self::machine::{Limit, Machine};
use crate::error::Error;
use crate::units::{Bytes, stage_variable};

/// The memory and the cores that a run may use.
///
/// [`from_env`](Self::from_env) detects them and lets the environment correct
/// them; [`new`](Self::new) takes them as given. Either way the budget knows
/// where each number came from, and prints it:
///
/// ```
/// use plimsoll::{Budget, GIB, MIB};
///
/// let budget = Budget::new(8 * GIB, 6).with_workers("screen", 2).with_footprint("screen", 256 * MIB);
/// assert_eq!(
///     budget.to_string(),
///     "memory: 8.0 GiB (given by the caller)\n\
///      cores: 6 (given by the caller)\n\
///      workers of SCREEN: 2 (given by the caller)\n\
///      footprint of SCREEN: 256.0 MiB (given by the caller)"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    memory: Override<u64>,
    cores: Override<usize>,
    limit: Option<Limit>,
    workers: Overrides<usize>,
    footprints: Overrides<u64>,
    measure: Measure,
    /// Whether the environment was asked, so that advice may name its variables.
    hears_variables: bool,
}

/// Against what real memory a run holds its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// All that the process holds: the budget is the process's.
    Process,
    /// What the process holds beyond what it held when the run began: the budget is
    /// the run's.
    Growth,
    /// None: the ledger alone counts.
    Nothing,
}

/// A number and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Override<T> {
    pub(crate) value: T,
    /// `"PLIMSOLL_WORKERS_SCREEN=4"`, `"given by the caller"`, …
    pub(crate) origin: String,
}

/// By the stage's [`stage_variable`].
type Overrides<T> = BTreeMap<String, Override<T>>;

impl<T> Override<T> {
    fn given(value: T) -> Self {
        Self { value, origin: "given by the caller".to_owned() }
    }
}

impl Budget {
    /// A budget of `memory` bytes and `cores` cores. Nothing is detected and no
    /// environment variable is read.
    ///
    /// A budget with a zero in it can be made; no pipeline can be built on it.
    ///
    /// ```
    /// use plimsoll::{Budget, GIB};
    ///
    /// let budget = Budget::new(8 * GIB, 6);
    /// assert_eq!((budget.memory(), budget.cores()), (8 << 30, 6));
    /// assert_eq!(budget.limit(), None);
    /// ```
    #[must_use]
    pub fn new(memory: u64, cores: usize) -> Self {
        Self {
            memory: Override::given(memory),
            cores: Override::given(cores),
            limit: None,
            workers: BTreeMap::new(),
            footprints: BTreeMap::new(),
            measure: Measure::Growth,
            hears_variables: false,
        }
    }

    /// A budget of what this process may use, corrected by the environment.
    ///
    /// Memory is 80 % of the limit: the lowest of the machine's RAM and, on Linux,
    /// `memory.max`, `memory.high` (cgroup v2) and `memory.limit_in_bytes` (v1) of
    /// the process's cgroup and of every ancestor that is mounted. The rest is for
    /// what no stage declares: the allocator's slack, stacks, small change.
    /// Cores are those of [`std::thread::available_parallelism`].
    ///
    /// These variables are read, and any other whose name starts with `PLIMSOLL_`
    /// is refused:
    ///
    /// | variable | accepted | default |
    /// |---|---|---|
    /// | `PLIMSOLL_MEMORY` | `auto`, a share of the limit (`75%`), bytes (`1073741824`), a size (`8GiB`, `1.5GiB`, `512MB`) | `auto`: 80 % of the limit |
    /// | `PLIMSOLL_CORES` | `auto`, a share of the available cores (`50%`; at least one), a number (`6`) | `auto`: all that are available |
    /// | `PLIMSOLL_WORKERS_<STAGE>` | a number of workers (`4`) | the plan decides |
    /// | `PLIMSOLL_FOOTPRINT_<STAGE>` | bytes of each worker, as a number or a size; zero is accepted | what the stage declares |
    ///
    /// `<STAGE>` is the stage's name in upper case, with `_` for every character
    /// but `A`-`Z` and `0`-`9`. The guide on [variables](crate::guide::variables) tells how
    /// numbers are written, shows every error as it is printed, and what to set where.
    /// A number given by the environment may exceed the limit; the budget then says so.
    ///
    /// # Errors
    ///
    /// - [`Error::Variable`]: a variable is empty, malformed, out of range, not
    ///   Unicode, set twice, or unknown.
    /// - [`Error::LimitUnreadable`]: a file that may hold a limit exists and cannot
    ///   be read or understood, and `PLIMSOLL_MEMORY` does not give a size.
    /// - [`Error::ZeroBudget`]: the limit, or the asked share of it, comes to zero.
    ///
    /// ```
    /// use plimsoll::Budget;
    ///
    /// let budget = Budget::from_env()?;
    /// assert!(budget.memory() > 0 && budget.cores() > 0);
    /// println!("{budget}");
    /// # Ok::<(), plimsoll::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(std::env::vars_os(), &Machine::this())
    }

    fn from_vars(
        vars: impl Iterator<Item = (OsString, OsString)>,
        machine: &Machine,
    ) -> Result<Self, Error> {
        let settings = Settings::read(vars)?;
        let (memory, limit) = machine.memory(settings.memory)?;
        let budget = Self {
            memory,
            cores: machine.cores(settings.cores),
            limit,
            workers: settings.workers,
            footprints: settings.footprints,
            measure: Measure::Process,
            hears_variables: true,
        };
        budget.validate()?;
        Ok(budget)
    }

    /// Gives a stage `workers` workers, as `PLIMSOLL_WORKERS_<STAGE>` does.
    ///
    /// Replaces what the environment said. The stage is found by its name as the
    /// variable would spell it, so `"my-stage"` and `"MY_STAGE"` are the same. Zero
    /// is refused when a pipeline is built.
    ///
    /// ```
    /// use plimsoll::Budget;
    ///
    /// let budget = Budget::new(1 << 30, 4).with_workers("screen", 2);
    /// assert!(budget.to_string().contains("workers of SCREEN: 2"));
    /// ```
    #[must_use]
    pub fn with_workers(mut self, stage: &str, workers: usize) -> Self {
        self.workers.insert(stage_variable(stage), Override::given(workers));
        self
    }

    /// Counts `bytes` for each worker of a stage, as `PLIMSOLL_FOOTPRINT_<STAGE>`
    /// does, instead of what the stage declares.
    ///
    /// Replaces what the environment said. The stage is found as by
    /// [`with_workers`](Self::with_workers).
    ///
    /// ```
    /// use plimsoll::{Budget, MIB};
    ///
    /// let budget = Budget::new(1 << 30, 4).with_footprint("screen", 256 * MIB);
    /// assert!(budget.to_string().contains("footprint of SCREEN: 256.0 MiB"));
    /// ```
    #[must_use]
    pub fn with_footprint(mut self, stage: &str, bytes: u64) -> Self {
        self.footprints.insert(stage_variable(stage), Override::given(bytes));
        self
    }

    /// Has runs go by the ledger alone: by what stages and items declare. By default a
    /// run holds its line against [real memory](crate#real-memory) too.
    ///
    /// Choose this where other parts of the same process take and free much memory
    /// on their own account during a run, which would then look like the run's. Such a run
    /// leaves the allocator alone, too: others may set it for the whole process
    /// ([`release_large_blocks`](crate::release_large_blocks) tells when, and other ways to
    /// prevent it).
    ///
    /// ```
    /// use plimsoll::{Budget, GIB};
    ///
    /// let budget = Budget::new(8 * GIB, 6).unmeasured();
    /// assert!(budget.to_string().contains("real memory: not looked at"));
    /// ```
    #[must_use]
    pub fn unmeasured(mut self) -> Self {
        self.measure = Measure::Nothing;
        self
    }

    /// The same with another memory, for the planner to try.
    pub(crate) fn with_memory(&self, memory: u64) -> Self {
        let memory = Override { value: memory, ..self.memory.clone() };
        Self { memory, ..self.clone() }
    }

    /// What is left when `bytes` are spent on `what`.
    pub(crate) fn less(&self, bytes: u64, what: &str) -> Self {
        let Override { value, origin } = &self.memory;
        let origin = format!("{} less {} for {what} ({origin})", Bytes(*value), Bytes(bytes));
        let memory = Override { value: value.saturating_sub(bytes), origin };
        Self { memory, ..self.clone() }
    }

    /// Whether a variable would change it.
    pub(crate) fn hears_variables(&self) -> bool {
        self.hears_variables
    }

    /// Against what a run holds the budget.
    pub(crate) fn measure(&self) -> Measure {
        self.measure
    }

    /// The memory of a run, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory.value
    }

    /// The cores of a run: how many threads may compute at the same time.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores.value
    }

    /// The memory limit that was detected, in bytes, before any margin was kept;
    /// none if nothing was detected.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.limit.as_ref().map(|limit| limit.bytes)
    }

    /// The limit, in bytes, and where it was found.
    pub(crate) fn limit_found(&self) -> Option<(u64, String)> {
        self.limit.as_ref().map(|limit| (limit.bytes, limit.to_string()))
    }

    /// Where [`memory`](Self::memory) came from.
    pub(crate) fn memory_origin(&self) -> &str {
        &self.memory.origin
    }

    /// Where [`cores`](Self::cores) came from.
    pub(crate) fn cores_origin(&self) -> &str {
        &self.cores.origin
    }

    /// The number of workers that a stage of this name is to have.
    pub(crate) fn workers_for(&self, stage: &str) -> Option<&Override<usize>> {
        self.workers.get(&stage_variable(stage))
    }

    /// The bytes that one worker of a stage of this name is to be counted with.
    pub(crate) fn footprint_for(&self, stage: &str) -> Option<&Override<u64>> {
        self.footprints.get(&stage_variable(stage))
    }

    /// The [`stage_variable`] and the origin of every override, so that a plan
    /// can tell of those that name none of its stages.
    pub(crate) fn override_names(&self) -> impl Iterator<Item = (&str, &str)> {
        let workers = self.workers.iter().map(|(stage, given)| (&**stage, &*given.origin));
        let footprints = self.footprints.iter().map(|(stage, given)| (&**stage, &*given.origin));
        workers.chain(footprints)
    }

    /// Refuses a budget that no run could have: every number that must not be
    /// zero is checked here.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let zero = |what, unit, origin: &str| {
            Err(Error::ZeroBudget { what, origin: origin.to_owned(), unit })
        };
        if self.memory() == 0 {
            return zero("memory", "byte", self.memory_origin());
        }
        if self.cores() == 0 {
            return zero("cores", "core", self.cores_origin());
        }
        if let Some((stage, _)) = self.workers.iter().find(|(_, given)| given.value == 0) {
            return Err(Error::Setting {
                what: "the number of workers",
                whose: stage.clone(),
                value: 0,
                rule: "a stage needs at least one worker",
            });
        }
        Ok(())
    }
}

/// One line for each number, with where it came from; no newline at the end.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory: {} ({})", Bytes(self.memory()), self.memory_origin())?;
        write!(f, "\ncores: {} ({})", self.cores(), self.cores_origin())?;
        if let Some(limit) = &self.limit {
            write!(f, "\nlimit: {limit}")?;
            if let Some(headroom) = limit.headroom {
                // Not "free": page cache is in use and yet can be had.
                write!(f, "\nheadroom when read: {} (limit - unreclaimable)", Bytes(headroom))?;
            }
        }
        if self.measure == Measure::Nothing {
            write!(f, "\nreal memory: not looked at (unmeasured)")?;
        }
        for (stage, Override { value, origin }) in &self.workers {
            write!(f, "\nworkers of {stage}: {value} ({origin})")?;
        }
        for (stage, Override { value, origin }) in &self.footprints {
            write!(f, "\nfootprint of {stage}: {} ({origin})", Bytes(*value))?;
        }
        Ok(())
    }
}
