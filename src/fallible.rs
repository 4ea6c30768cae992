//! A source whose items may be errors: the first one ends it, and is kept.

use std::sync::Arc;

use crate::error::{AnyError, Cause, Error};
use crate::sync::Mutex;

/// The items of a fallible source before its first error, and where that will be.
pub(crate) fn until_error<It>(items: It) -> (UntilError<It>, Fault) {
    let fault = Fault::default();
    (UntilError { items, read: 0, ended: false, fault: fault.clone() }, fault)
}

/// What ended a source. It is looked at when the run is over: to the engine the source has
/// ended, so what was read before is done.
#[derive(Clone, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().take()
    }
}

pub(crate) struct UntilError<It> {
    items: It,
    read: u64,
    ended: bool,
    fault: Fault,
}

impl<I, E, It> Iterator for UntilError<It>
where
    It: Iterator<Item = Result<I, E>>,
    E: AnyError,
{
    type Item = I;

    fn next(&mut self) -> Option<I> {
        if self.ended {
            return None;
        }
        match self.items.next()? {
            Ok(item) => {
                self.read += 1;
                Some(item)
            }
            Err(error) => {
                self.ended = true;
                let cause = Cause::Error(error.into_box());
                *self.fault.0.lock() = Some(Error::Source { read: self.read, cause });
                None
            }
        }
    }

    /// That of the source, though an error may make it less: it tells what may be asked for
    /// without waiting, and what a monitor expects.
    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.ended { (0, Some(0)) } else { self.items.size_hint() }
    }
}
