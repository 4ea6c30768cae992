//! What can go wrong, told with the stage, the item, the numbers and the way out.

mod format;
mod way_out;
mod words;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use format::FormatProblem;
pub use way_out::WayOut;

pub(crate) use self::words::unit_forgotten;
use self::words::{
    as_made, fewer_threads, larger_item, may_lock, no_directory, of_declaration, told, would_do,
};
use crate::item::ItemId;
use crate::units::{Bytes, apart};

/// Any error of a user's own code, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a user's function may fail with: whatever becomes a [`BoxError`]. That is any error that
/// is `Send + Sync`, and a text. A `Box<dyn Error>` is neither; let the function return
/// `Result<_, BoxError>`: `?` and `into` make that of the same errors.
///
/// ```
/// use plimsoll::{BoxError, Budget, MIB, Pipeline, Stage};
///
/// fn parse(text: &str) -> Result<u64, BoxError> {
///     let number: u64 = text.parse()?;
///     if number == 0 { Err("is zero".into()) } else { Ok(number) }
/// }
///
/// let pipeline = Pipeline::new(Stage::cpu("parse").try_map(parse)).build(&Budget::new(MIB, 1))?;
/// let failed = pipeline.run(["1", "0"], drop).unwrap_err();
/// assert!(failed.to_string().ends_with("counted from 0: is zero"));
/// # Ok::<(), plimsoll::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a stage, a state, a source or a sink",
    label = "its error is `{Self}`",
    note = "errors go from thread to thread: return `Result<_, plimsoll::BoxError>`, which is \
            `Box<dyn Error + Send + Sync>` and made by `?` as well"
)]
pub trait AnyError {
    /// The error, boxed.
    fn into_box(self) -> BoxError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> AnyError for E {
    fn into_box(self) -> BoxError {
        self.into()
    }
}

/// Everything this crate can refuse or fail at.
///
/// `Debug` prints what `Display` does, so that an error that leaves `main` reads well.
///
/// ```
/// use plimsoll::{Budget, Error, Footprint, GIB, Pipeline, Stage};
///
/// let screen = Stage::memory("screen", Footprint::per_worker(20 * GIB)).map(|n: u64| n);
/// match Pipeline::new(screen).build(&Budget::new(16 * GIB, 8)) {
///     Err(Error::NoRoom { stage, needed, available, enough, .. }) => {
///         assert_eq!((stage.as_str(), needed, available), ("screen", 20 * GIB, 16 * GIB));
///         assert!(enough.is_some_and(|bytes| bytes > 20 * GIB), "one item must fit, too");
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An environment variable is set to something that is not understood.
    #[error("{variable}={value:?}: {problem}; accepted: {accepted}")]
    Variable {
        /// The variable's name.
        variable: String,
        /// The value as it was set.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// The grammar of this variable.
        accepted: &'static str,
    },

    /// A file that may hold a memory limit exists and could not be read or
    /// understood, so the limit is unknown, which is not the same as unlimited.
    #[error(
        "the memory limit in {} is unknown: {source}; \
         make the file readable or set PLIMSOLL_MEMORY to a number of bytes",
        path.display()
    )]
    LimitUnreadable {
        /// The file.
        path: PathBuf,
        /// Why it could not be read.
        source: io::Error,
    },

    /// The budget has no memory or no cores.
    #[error("the budget has no {what} ({origin}); a run needs at least one {unit}")]
    ZeroBudget {
        /// `"memory"` or `"cores"`.
        what: &'static str,
        /// Where the zero came from.
        origin: String,
        /// `"byte"` or `"core"`.
        unit: &'static str,
    },

    /// Two stages would be tuned by the same name.
    #[error(
        "stages {first:?} and {second:?} would both be tuned as {variable} (Budget::with_workers, \
         PLIMSOLL_WORKERS_{variable}, …); rename one"
    )]
    NameClash {
        /// The earlier stage.
        first: String,
        /// The later stage.
        second: String,
        /// The part of the variable's name that they share.
        variable: String,
    },

    /// A stage's name has no letter or digit to be tuned or reported by.
    #[error("stage number {position} is named {name:?}; a name needs a letter or a digit")]
    StageName {
        /// One-based place in the pipeline.
        position: usize,
        /// The name as given.
        name: String,
    },

    /// A number in the pipeline's description cannot be worked with.
    #[error("{what} of {whose} is {value}; {rule}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// The stage, or `"the pipeline"`.
        whose: String,
        /// The value as given.
        value: u64,
        /// What it must be.
        rule: &'static str,
    },

    /// The largest item that the pipeline declares
    /// ([`largest_item`](crate::PipelineBuilder::largest_item)) is smaller than every item that a
    /// stage is given, so that all of them would fail.
    #[error(
        "stage {stage:?} could be given no item: each takes {needed} B by the sizes of its types, and \
         `largest_item({declared})` lets in what takes {declared} B at the most; {}",
        larger_item(*declared, *needed)
    )]
    LargestItem {
        /// The first stage of that kind.
        stage: String,
        /// Bytes that the pipeline declares.
        declared: u64,
        /// Bytes that an item takes at the least, its own size (`size_of`); of a `flat_map` with
        /// that of one output.
        needed: u64,
    },

    /// The pipeline does not fit the budget.
    #[error(
        "stage {stage:?} does not fit: {} are needed for {what}, {} of the budget's {} are left for \
         that{}; {}lower what is declared or demanded{}",
        apart(*needed, *available)[0], apart(*needed, *available)[1], Bytes(*budget), told(held),
        would_do(*enough, *by_variable), unit_forgotten(*budget, *by_variable)
    )]
    NoRoom {
        /// The first stage that does not fit.
        stage: String,
        /// What the bytes are for.
        what: String,
        /// Bytes it needs.
        needed: u64,
        /// Bytes that are left for it; less than `needed`.
        available: u64,
        /// The whole budget, bytes.
        budget: u64,
        /// Who has the rest of it, the most first: a stage, a table or the items, each
        /// with its bytes. With `available` they are the budget.
        held: Vec<(String, u64)>,
        /// The least budget on which the pipeline could be planned, bytes, in whole MiB
        /// where it is that much; `None` if no budget would do. Items larger than what
        /// is left of it then fail.
        enough: Option<u64>,
        /// Whether the budget is one that variables change ([`Budget::from_env`](
        /// crate::Budget::from_env)).
        by_variable: bool,
    },

    /// An item failed and the pipeline's policy is to stop at the first failure.
    #[error(transparent)]
    Item(#[from] ItemError),

    /// The state of a worker could not be built.
    #[error("stage {stage:?}: a worker's state could not be built (`with_state`): {cause}")]
    State {
        /// The stage.
        stage: String,
        /// The error or panic of the user's function.
        #[source]
        cause: Cause,
    },

    /// The source panicked, or gave an error to a run that takes such
    /// ([`Pipeline::try_run`](crate::Pipeline::try_run)). What was read before an error is delivered
    /// first. A panic stops the run at once: items under way are
    /// [cancelled](crate::Report::cancelled), so fewer may have been delivered than were read.
    #[error("the source failed after {read} items: {cause}")]
    Source {
        /// Items read before: the index, counted from 0, of the one that could not be.
        read: u64,
        /// The error or panic.
        #[source]
        cause: Cause,
    },

    /// A sink (of outputs or of failures) failed or panicked.
    #[error("the {sink} failed on item {item}, counted from 0: {cause}")]
    Sink {
        /// `"sink"` or `"failure sink"`.
        sink: &'static str,
        /// The item it was given, counted from 0.
        item: ItemId,
        /// The error or panic of the user's function.
        #[source]
        cause: Cause,
    },

    /// The run's cancel token was pulled.
    #[error("the run was cancelled by its token")]
    Cancelled,

    /// The run's time was up.
    #[error("the run did not end within its time limit of {limit:?}")]
    TimeLimit {
        /// The time the run was given.
        limit: Duration,
    },

    /// The operating system refused a thread.
    #[error(
        "thread {index} of {threads} could not be started: {source}; {}",
        fewer_threads(*by_variable)
    )]
    Spawn {
        /// Zero-based number of the thread that was refused.
        index: usize,
        /// Threads the plan asks for.
        threads: usize,
        /// The system's reason.
        source: io::Error,
        /// Whether the budget is one that variables change.
        by_variable: bool,
    },

    /// An operation on a shared file failed in the operating system.
    #[error("cannot {action} {}: {source}{}", path.display(), no_directory(action, path, source))]
    SharedIo {
        /// What was tried: `"open"`, `"write"`, …
        action: &'static str,
        /// The file. Of one that could not be opened or created this is the whole path, whatever was
        /// given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// The system refused to keep a shared file in memory.
    #[error(
        "cannot pin the {} of {}: {source}; {}go without the pin, or raise the limit (`ulimit -l`)",
        Bytes(*bytes), path.display(), may_lock(*allowed)
    )]
    SharedPin {
        /// The file.
        path: PathBuf,
        /// Bytes of the file.
        bytes: u64,
        /// Bytes that this process may lock in all (`RLIMIT_MEMLOCK`), if there is such a
        /// limit and the system tells it.
        allowed: Option<u64>,
        /// The system's reason.
        source: io::Error,
    },

    /// Somebody else is building the file at this moment.
    #[error(
        "{} is being built by another writer, which writes to {}; wait for it to finish, or build \
         to another path (on Unix what a killed writer left is noticed and removed by the next \
         one; elsewhere, and on file systems without locks, delete it once its writer is gone)",
        path.display(), temporary.display()
    )]
    SharedBusy {
        /// The file.
        path: PathBuf,
        /// What the other writer writes to.
        temporary: PathBuf,
    },

    /// A section of a shared file cannot be written.
    #[error("section {section:?} of {} cannot be written: {problem}", path.display())]
    SharedSection {
        /// The file.
        path: PathBuf,
        /// The section.
        section: String,
        /// Why not.
        problem: &'static str,
    },

    /// A text is not that of a file that was handed over.
    #[error("{text:?} hands no file over; it must be what `HandOver` was printed as")]
    HandOver {
        /// The text.
        text: String,
    },

    /// A file is not the shared file it was opened as.
    #[error("{} is not usable as shared data: {problem}", path.display())]
    SharedFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FormatProblem,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One item failed in one stage.
#[derive(Debug, thiserror::Error)]
#[error("stage {stage:?} failed on item {item}, counted from 0: {cause}")]
pub struct ItemError {
    pub(crate) stage: String,
    pub(crate) item: ItemId,
    #[source]
    pub(crate) cause: Cause,
}

impl ItemError {
    /// The name of the stage.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// The item, by its place in the order of the source, counted from 0: where items are
    /// lines, item 77 is line 78. Where a source leaves lines out or makes one item of several,
    /// carry the line's number in the item or its error.
    #[must_use]
    pub fn item(&self) -> &ItemId {
        &self.item
    }

    /// Why it failed.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }
}

/// Why an item, a state or a sink failed.
///
/// ```
/// use plimsoll::{Budget, Cause, Footprint, MIB, Pipeline, Stage};
///
/// let double = Stage::cpu("double")
///     .footprint(Footprint::per_item(|n: &u64| *n))
///     .map(|n: u64| u8::try_from(2 * n).expect("it is small"));
/// let pipeline = Pipeline::new(double).ordered().build(&Budget::new(MIB, 1))?;
/// let mut failures = Vec::new();
/// pipeline.job().failures(|failure| failures.push(failure)).run([1, 200, 5 << 20], drop)?;
/// failures.sort_by_key(|failure| failure.item().source_index());
/// let [panicked, too_large] = &failures[..] else { panic!("{failures:?}") };
/// assert!(matches!(panicked.cause(), Cause::Panic { message, .. } if message.contains("it is small")));
/// assert!(matches!(too_large.cause(), Cause::TooLarge { allowed, .. } if *allowed < MIB));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The user's function returned an error.
    #[error(transparent)]
    Error(BoxError),

    /// The user's function panicked.
    #[error("panicked{}: {message}", of_declaration(*declaration))]
    Panic {
        /// Which declaration's function it was, `"per_item"`, `"weigh"` or `"weigh_source"`;
        /// `None` if it was the stage's own function, or that of a state, a source, a sink.
        declaration: Option<&'static str>,
        /// The panic's message; `"(no message)"` if the payload is not text.
        message: String,
    },

    /// The item needs more memory than any item may have, so it could never be
    /// admitted to the stage that is named. If it is an output of the stage before that is
    /// too heavy ([`Stage::weigh`](crate::Stage::weigh)), it has been made already.
    #[error(
        "needs {}, more than the {} that one item may have{}; {way_out}, or split the item",
        apart(*needed, *allowed)[0], apart(*needed, *allowed)[1],
        as_made(*weighs, *needed, maker.as_deref())
    )]
    TooLarge {
        /// Bytes needed: what it weighs, what its step works with, and what the
        /// items it was made of still hold.
        needed: u64,
        /// The most that one item may need: the plan's reserve.
        allowed: u64,
        /// What of it the item itself weighs.
        weighs: u64,
        /// The stage that made the item; `None` if that was the source.
        maker: Option<String>,
        /// What would let it through.
        way_out: WayOut,
    },

    /// A batch function returned another number of outputs than it was given
    /// inputs.
    #[error(
        "the batch function was given {given} items and returned {returned}; it must return one for each"
    )]
    BatchLength {
        /// Inputs.
        given: usize,
        /// Outputs.
        returned: usize,
    },
}

impl Cause {
    /// The cause told by a caught panic's payload.
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        let message = text.unwrap_or_else(|| "(no message)".to_owned());
        Self::Panic { declaration: None, message }
    }

    /// The same cause, found in the function of a `declaration`.
    pub(crate) fn within(self, declaration: &'static str) -> Self {
        match self {
            Self::Panic { message, .. } => Self::Panic { declaration: Some(declaration), message },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;
