//! Failures on demand: the crate's own tests make the n-th call of the system fail.
//!
//! Elsewhere nothing of it is left: a step is just done.

/// Does a step that the system may refuse.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn fallible<R>(step: impl FnOnce() -> std::io::Result<R>) -> std::io::Result<R> {
    step()
}

#[cfg(test)]
pub(crate) use injection::{DIED, PLANNED, dying_at, each_site, fallible};

#[cfg(test)]
mod injection;
#[cfg(test)]
mod tests;
