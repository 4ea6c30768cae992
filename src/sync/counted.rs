//! The real locks, counted: what the crate's own tests run on, to see how many locks are
//! taken and how many threads are woken for an item. Elsewhere nothing of it is left.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::WaitTimeoutResult;

/// What a thread and those it started did.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    locks: AtomicU64,
    sleeps: AtomicU64,
    wakes: AtomicU64,
}

/// A tally, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Locks that were taken, again after a sleep included.
    pub(crate) locks: u64,
    /// Times a thread went to sleep on a condvar.
    pub(crate) sleeps: u64,
    /// Sleepers that were woken by another thread.
    pub(crate) wakes: u64,
}

thread_local! {
    /// Of this thread and those it starts alone, so that tests do not meet.
    static TALLY: RefCell<Arc<Tally>> = RefCell::default();
}

/// Does `work`; what it returned, and what it and the threads that it started did.
pub(crate) fn counted<R>(work: impl FnOnce() -> R) -> (R, Counts) {
    let tally = Arc::<Tally>::default();
    let before = TALLY.replace(Arc::clone(&tally));
    let done = work();
    TALLY.set(before);
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let Tally { locks, sleeps, wakes } = &*tally;
    (done, Counts { locks: get(locks), sleeps: get(sleeps), wakes: get(wakes) })
}

/// `work` as a thread that this one starts is to do it.
pub(super) fn handed_on<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let tally = TALLY.with_borrow(Arc::clone);
    move || {
        TALLY.set(tally);
        work()
    }
}

fn count(counter: fn(&Tally) -> &AtomicU64, by: usize) {
    // A thread that ends has no tally any more.
    let _ =
        TALLY.try_with(|tally| counter(&tally.borrow()).fetch_add(by as u64, Ordering::Relaxed));
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(parking_lot::MutexGuard<'a, T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        count(|tally| &tally.locks, 1);
        MutexGuard(self.0.lock())
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T> MutexGuard<'_, T> {
    pub(crate) fn unlocked<R>(guard: &mut Self, run: impl FnOnce() -> R) -> R {
        count(|tally| &tally.locks, 1);
        parking_lot::MutexGuard::unlocked(&mut guard.0, run)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(parking_lot::Condvar);

impl Condvar {
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        asleep(|| self.0.wait(&mut guard.0));
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        until: Instant,
    ) -> WaitTimeoutResult {
        asleep(|| self.0.wait_until(&mut guard.0, until))
    }

    pub(crate) fn notify_one(&self) {
        count(|tally| &tally.wakes, self.0.notify_one().into());
    }

    pub(crate) fn notify_all(&self) {
        count(|tally| &tally.wakes, self.0.notify_all());
    }
}

fn asleep<R>(wait: impl FnOnce() -> R) -> R {
    count(|tally| &tally.sleeps, 1);
    let woken = wait();
    count(|tally| &tally.locks, 1);
    woken
}
