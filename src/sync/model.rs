//! The locks, threads and clock of a model checker, in the shape of the real ones.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

pub(crate) use super::steady::Clock;
#[cfg(loom)]
use loom as checker;
#[cfg(shuttle)]
use shuttle as checker;

pub(crate) use checker::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use checker::thread::JoinHandle;
// loom has no scoped threads; its models start their own.
#[cfg(shuttle)]
pub(crate) use shuttle::thread::{Scope, ScopedJoinHandle, scope};
#[cfg(loom)]
pub(crate) use std::thread::{Scope, ScopedJoinHandle, scope};

/// Looking again before parking is only more of the same to a checker.
pub(crate) const SPINS: u32 = 0;

/// Looks that the watch of a run takes: as it never waits here, it would look for ever.
/// None for loom, to which a thread more is a world more.
pub(crate) const WATCH_ROUNDS: u64 = if cfg!(loom) { 0 } else { 3 };

pub(crate) fn spawn(
    _name: String,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Ok(checker::thread::spawn(work))
}

pub(crate) fn spawn_scoped<'scope>(
    scope: &'scope Scope<'scope, '_>,
    _name: String,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, ()>> {
    Ok(scope.spawn(work))
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(checker::sync::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    /// `None` only inside `unlocked` and while a condvar has it.
    guard: Option<checker::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, guard: Some(self.raw()) }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn raw(&self) -> checker::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<'a, T> MutexGuard<'a, T> {
    pub(crate) fn unlocked<R>(guard: &mut Self, run: impl FnOnce() -> R) -> R {
        /// Locks again, also when `run` unwinds.
        struct Relock<'g, 'a, T>(&'g mut MutexGuard<'a, T>);

        impl<T> Drop for Relock<'_, '_, T> {
            fn drop(&mut self) {
                self.0.guard = Some(self.0.lock.raw());
            }
        }

        guard.guard = None;
        let _relock = Relock(guard);
        run()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_deref().expect("it is locked outside `unlocked`")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_deref_mut().expect("it is locked outside `unlocked`")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(checker::sync::Condvar);

pub(crate) struct TimedOut;

impl TimedOut {
    pub(crate) fn timed_out(&self) -> bool {
        true
    }
}

impl Condvar {
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.guard.take().expect("it is locked outside `unlocked`");
        let held = self.0.wait(held).unwrap_or_else(|poisoned| poisoned.into_inner());
        guard.guard = Some(held);
    }

    /// Time is not modelled: every wait with an end may end at once.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _until: Instant) -> TimedOut {
        MutexGuard::unlocked(guard, checker::thread::yield_now);
        TimedOut
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Stands still: what it measures would differ from one run of the same schedule to the
/// next.
pub(crate) struct Stopwatch;

impl Stopwatch {
    pub(crate) fn now() -> Self {
        Self
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}
