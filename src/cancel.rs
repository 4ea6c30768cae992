//! Stopping a run from outside.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::signal::Signals;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Stops runs from anywhere: another thread, a signal handler's thread, a stage.
///
/// Clones are the same token. A token once pulled stays pulled: a run that is
/// given it later ends at once.
///
/// ```
/// use plimsoll::{Budget, CancelToken, MIB, Pipeline, Stage};
///
/// let token = CancelToken::new();
/// let stop_at_ten = Stage::cpu("count").map(|n: u64| {
///     if n == 10 {
///         token.cancel();
///     }
///     n
/// });
/// let pipeline = Pipeline::new(stop_at_ten).build(&Budget::new(MIB, 1))?;
/// let stopped = pipeline.job().cancel(&token).run(0.., drop).unwrap_err();
/// assert!(stopped.is_cancelled());
/// assert!(stopped.report().read() > 10);
/// # Ok::<(), plimsoll::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    pulled: AtomicBool,
    runs: Mutex<Vec<Weak<Signals>>>,
}

impl CancelToken {
    /// A token that has not been pulled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pulls the token: every run that has it stops as soon as the calls of user
    /// code that are under way return.
    pub fn cancel(&self) {
        // The flag is set before the list is read, and `attach` reads the flag
        // after it wrote to the list: one of the two sees the other.
        self.inner.pulled.store(true, Ordering::SeqCst);
        let runs = std::mem::take(&mut *self.inner.runs.lock());
        runs.iter().filter_map(Weak::upgrade).for_each(|run| run.cancel());
    }

    /// Whether the token has been pulled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.pulled.load(Ordering::SeqCst)
    }

    /// Has a run stopped when the token is pulled, at once if it already is.
    pub(crate) fn attach(&self, run: &Arc<Signals>) {
        let mut runs = self.inner.runs.lock();
        runs.retain(|run| run.strong_count() > 0);
        runs.push(Arc::downgrade(run));
        drop(runs);
        if self.is_cancelled() {
            run.cancel();
        }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_attached_before_and_after_the_pull_are_stopped_and_gone_ones_forgotten() {
        let token = CancelToken::new();
        let (early, late) = (Arc::new(Signals::default()), Arc::new(Signals::default()));
        token.attach(&Arc::new(Signals::default()));
        token.attach(&early);
        assert_eq!(token.inner.runs.lock().len(), 1, "the one that ended is forgotten");
        token.clone().cancel();
        token.attach(&late);
        assert!(early.is_cancelled() && late.is_cancelled());
    }
}
