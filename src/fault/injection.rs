//! The n-th fallible step of a thread, made to fail.

use std::cell::Cell;
use std::io;

/// The message of a failure that was asked for.
pub(crate) const PLANNED: &str = "planned: the system refuses";

/// More than any operation has.
const MOST_SITES: usize = 1_000;

thread_local! {
    /// Steps to be done before the one that fails; of this thread alone, so that
    /// tests do not meet.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    /// Whether the process ends at that step, instead.
    static DIES: Cell<bool> = const { Cell::new(false) };
}

/// What a process ends with that was to die.
pub(crate) const DIED: i32 = 77;

pub(crate) fn fallible<R>(step: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    let left = LEFT.get();
    LEFT.set(left.and_then(|left| left.checked_sub(1)));
    if left == Some(0) && DIES.get() {
        // Nothing is dropped and nothing cleaned up, as if it were killed.
        std::process::exit(DIED);
    }
    if left == Some(0) { Err(io::Error::other(PLANNED)) } else { step() }
}

/// Does `operation`, and ends the process in place of its step number `site`, counted
/// from 0.
pub(crate) fn dying_at<R>(site: usize, operation: impl FnOnce() -> R) -> R {
    LEFT.set(Some(site));
    DIES.set(true);
    let outcome = operation();
    LEFT.set(None);
    DIES.set(false);
    outcome
}

/// Does `operation` with its first step failing, then with its second, and so on,
/// until there is no such step: how many there are, and what came of the last.
/// `refused` judges what came of each of the others.
pub(crate) fn each_site<R>(
    mut operation: impl FnMut() -> R,
    mut refused: impl FnMut(usize, R),
) -> (usize, R) {
    for site in 0..MOST_SITES {
        LEFT.set(Some(site));
        let outcome = operation();
        if LEFT.take().is_some() {
            return (site, outcome);
        }
        refused(site, outcome);
    }
    panic!("an operation has more than {MOST_SITES} sites")
}
