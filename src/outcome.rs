//! How a run ends: what a sink may return, what a failed run tells.

use std::fmt;
use std::time::Duration;

use crate::error::{AnyError, BoxError, Error, ItemError};
use crate::report::Report;
use crate::units::Brief;

/// What a sink may return: nothing, or a result of nothing.
///
/// ```
/// use std::io::Write;
/// use plimsoll::{Budget, Error, MIB, Pipeline, Stage};
///
/// let square = Stage::cpu("square").map(|n: u64| n * n);
/// let pipeline = Pipeline::new(square).ordered().build(&Budget::new(MIB, 1))?;
/// let mut room = [0; 6]; // a file on a disk that is nearly full
/// let mut file = &mut room[..];
/// let stopped = pipeline.run(0..100, |n| writeln!(file, "{n}")).unwrap_err();
/// assert!(matches!(stopped.error(), Error::Sink { item, .. } if item.source_index() == 3));
/// assert_eq!(&room, b"0\n1\n4\n");
/// # Ok::<(), plimsoll::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a sink returns `()` or `Result<(), E>`, not `{Self}`",
    note = "end the closure's last expression with `;` to return nothing"
)]
pub trait SinkResult {
    /// The result that it stands for.
    ///
    /// # Errors
    ///
    /// The sink's own.
    fn into_result(self) -> Result<(), BoxError>;
}

impl SinkResult for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: AnyError> SinkResult for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(AnyError::into_box)
    }
}

/// A run that ended early: why, and what was done until then.
///
/// `Display`, and `Debug` too, tell the reason, and of a run that was stopped from outside, by a
/// token or the time limit, how far it came. The [`report`](Self::report) tells all of it.
///
/// ```
/// use plimsoll::{Budget, MIB, Pipeline, Stage};
///
/// let parse = Stage::cpu("parse").try_map(|text: &str| text.parse::<u64>());
/// let pipeline = Pipeline::new(parse).ordered().build(&Budget::new(MIB, 2))?;
/// let mut sum = 0;
/// let failed = pipeline.run(["1", "2", "three", "4"], |n| sum += n).unwrap_err();
/// let item = failed.item().expect("an item ended it");
/// assert_eq!((item.stage(), item.item().source_index()), ("parse", 2));
/// assert_eq!((failed.report().delivered(), sum), (2, 3), "what comes before it");
/// # Ok::<(), plimsoll::Error>(())
/// ```
pub struct RunError(Box<(Error, Report)>);

impl RunError {
    pub(crate) fn new(error: Error, report: Report) -> Self {
        Self(Box::new((error, report)))
    }

    /// Why the run ended.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.0
    }

    /// What was done until then. Its items add up like those of a whole run.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.0.1
    }

    /// The reason and the report, to keep.
    #[must_use]
    pub fn into_parts(self) -> (Error, Report) {
        *self.0
    }

    /// The item that ended the run, if it was one.
    #[must_use]
    pub fn item(&self) -> Option<&ItemError> {
        match self.error() {
            Error::Item(error) => Some(error),
            _ => None,
        }
    }

    /// Whether a cancel token ended the run.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.error(), Error::Cancelled)
    }

    /// Whether the time limit ended the run.
    #[must_use]
    pub fn is_out_of_time(&self) -> bool {
        matches!(self.error(), Error::TimeLimit { .. })
    }
}

/// A run that ends so long after its time limit waited for a call.
const LATE: Duration = Duration::from_millis(100);

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (error, report) = &*self.0;
        write!(f, "{error}")?;
        match error {
            Error::TimeLimit { limit } => {
                let late = report.elapsed().saturating_sub(*limit);
                if late >= LATE {
                    write!(
                        f,
                        ", but {} later, when the last call under way had returned",
                        Brief(late)
                    )?;
                }
            }
            Error::Cancelled => {}
            _ => return Ok(()),
        }
        let (read, delivered) = (report.read(), report.delivered());
        write!(f, "; items read: {read}, outputs delivered: {delivered}")
    }
}

impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.error())
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        error.0.0
    }
}
