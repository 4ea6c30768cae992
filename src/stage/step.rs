//! What a stage does to a parcel of items, whatever the verb.
//!
//! A verb is compiled into one loop over a parcel, so that a virtual call, a
//! `catch_unwind` and two clock readings are paid for each parcel and not for
//! each item.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use std::vec;

use super::items::{IntoItems, Items};
use super::watch::Watch;
use crate::error::{AnyError, BoxError, Cause};
use crate::sync::{Mutex, Stopwatch};

/// What came of a parcel.
#[derive(Debug)]
pub(crate) struct Yield<O> {
    pub(crate) items: Items<O>,
    pub(crate) filtered: u64,
    pub(crate) cancelled: u64,
    pub(crate) failures: Vec<(u32, Cause)>,
    /// The worker's state could not be built: the run cannot go on.
    pub(crate) broken: Option<Cause>,
    pub(crate) set_up: SetUp,
}

/// What went into building states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetUp {
    pub(crate) took: Duration,
    /// Pages that it was the first to touch, where that is told.
    pub(crate) pages: u64,
    count: PageCount,
}

impl SetUp {
    pub(crate) fn new(count: PageCount) -> Self {
        Self { took: Duration::ZERO, pages: 0, count }
    }
}

/// Tells how many pages the calling thread was the first to touch, if anything does.
pub(crate) type PageCount = fn() -> Option<u64>;

impl<O> Yield<O> {
    fn with_capacity(capacity: usize, pages: PageCount) -> Self {
        Self {
            items: Items::with_capacity(capacity),
            filtered: 0,
            cancelled: 0,
            failures: Vec::new(),
            broken: None,
            set_up: SetUp::new(pages),
        }
    }
}

/// A verb that makes at most one output of each input.
pub(crate) trait Step<I, O>: Send + Sync {
    /// Does it for `items`, one after the other. What is left of them is of no use any more,
    /// or to be shared.
    fn run(&self, items: &mut IntoItems<I>, watch: Watch<'_>) -> Yield<O>;
}

/// A verb that makes any number of outputs of an input.
pub(crate) trait Expand<'env, I, O>: Send + Sync {
    fn open(&self, item: I, set_up: &mut SetUp) -> Result<Box<dyn Children<O> + 'env>, Opening>;
}

/// Why an input could not be expanded.
#[derive(Debug)]
pub(crate) enum Opening {
    Failed(Cause),
    Broken(Cause),
}

/// The outputs still to come of one input.
pub(crate) trait Children<O>: Send {
    /// Appends up to `most` outputs; `Ok(true)` once there are no more.
    fn take(&mut self, most: usize, watch: Watch<'_>, out: &mut Vec<O>) -> Result<bool, Cause>;
}

/// What came of one item.
pub(crate) enum Fate<O> {
    Kept(O),
    Filtered,
    Failed(BoxError),
}

impl<O> Fate<O> {
    pub(super) fn from_result<E: AnyError>(result: Result<O, E>) -> Self {
        result.map_or_else(|error| Self::Failed(error.into_box()), Self::Kept)
    }

    pub(super) fn from_option(option: Option<O>) -> Self {
        option.map_or(Self::Filtered, Self::Kept)
    }
}

/// Builds the state of one worker.
pub(crate) type Init<'env, S> = dyn Fn() -> Result<S, BoxError> + Send + Sync + 'env;

/// The workers of a stage that are not at work, each by its state.
///
/// The scheduler lets at most as many calls run as there are workers, so at most
/// that many states are built, each on the thread that first needs it. A state
/// that saw a panic may be half-changed; it is dropped, and its worker begins anew.
pub(crate) struct Workers<'env, S> {
    idle: Mutex<Vec<S>>,
    init: std::sync::Arc<Init<'env, S>>,
}

impl<'env, S: Send> Workers<'env, S> {
    pub(crate) fn new(init: std::sync::Arc<Init<'env, S>>) -> Self {
        Self { idle: Mutex::new(Vec::new()), init }
    }

    /// A worker's state, built if there is none yet; what that takes is added to `set_up`.
    fn take(&self, set_up: &mut SetUp) -> Result<S, Cause> {
        // The guard is gone before `init`, which is user code, is called.
        let idle = self.idle.lock().pop();
        idle.map_or_else(
            || {
                // What has no size keeps nothing, as where a stage has no state at all.
                let count = set_up.count;
                let pages = || if size_of::<S>() > 0 { count() } else { None };
                let before = pages();
                let begun = Stopwatch::now();
                let built = guard(|| (self.init)());
                set_up.took += begun.elapsed();
                let touched = pages().zip(before);
                set_up.pages += touched.map_or(0, |(after, before)| after.saturating_sub(before));
                built?.map_err(Cause::Error)
            },
            Ok,
        )
    }

    fn put_back(&self, state: S) {
        self.idle.lock().push(state);
    }
}

impl<S> Drop for Workers<'_, S> {
    fn drop(&mut self) {
        forget_each(std::mem::take(self.idle.get_mut()).into_iter());
    }
}

/// A value that a loop over items has to itself and gives back however it ends, by a
/// panic of user code, too. What is nobody else's can be kept in registers; a field
/// that others might look at is written to memory for each item, which costs more than
/// a small item does.
pub(crate) struct Lent<'a, T: Default> {
    home: &'a mut T,
    value: T,
}

impl<'a, T: Default> From<&'a mut T> for Lent<'a, T> {
    #[inline]
    fn from(home: &'a mut T) -> Self {
        let value = std::mem::take(home);
        Self { home, value }
    }
}

impl<T: Default> Deref for Lent<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Default> DerefMut for Lent<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Default> Drop for Lent<'_, T> {
    #[inline]
    fn drop(&mut self) {
        *self.home = std::mem::take(&mut self.value);
    }
}

/// Runs user code; a panic becomes its cause.
pub(crate) fn guard<R>(run: impl FnOnce() -> R) -> Result<R, Cause> {
    // Unwind safety: whatever the closure may have left half-changed (a worker's
    // state, an iterator) is dropped by the caller and never looked at again.
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let cause = Cause::from_panic(payload.as_ref());
        forget_quietly(payload);
        cause
    })
}

/// Drops user values; a panic of theirs ends here.
pub(crate) fn forget_quietly<T>(value: T) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) else { return };
    // A payload whose drop panics again is leaked: there is nowhere left to tell.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

/// A user value whose drop is guarded, wherever it stands: its panic would otherwise
/// unwind through the drops of its neighbours, and the next panic there aborts.
pub(crate) struct Quietly<T>(Option<T>);

impl<T> Quietly<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn get(&self) -> &T {
        self.0.as_ref().expect("only drop takes the value")
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("only drop takes the value")
    }
}

impl<T> Drop for Quietly<T> {
    fn drop(&mut self) {
        forget_quietly(self.0.take());
    }
}

/// `map`, `try_map` and `filter_map`.
pub(crate) struct Each<'env, S, L> {
    pub(crate) workers: Workers<'env, S>,
    pub(crate) verb: std::sync::Arc<Quietly<L>>,
}

impl<I, O, S: Send, L: Loop<S, I, O>> Step<I, O> for Each<'_, S, L> {
    fn run(&self, items: &mut IntoItems<I>, watch: Watch<'_>) -> Yield<O> {
        let mut out = Yield::with_capacity(items.len(), watch.pages);
        while items.len() > 0 && !watch.is_abandoned() {
            let mut state = match self.workers.take(&mut out.set_up) {
                Ok(state) => state,
                Err(cause) => {
                    out.broken = Some(cause);
                    break;
                }
            };
            match guard(|| self.verb.get().run(&mut state, items, &mut out, watch)) {
                Ok(()) => {
                    self.workers.put_back(state);
                    break;
                }
                Err(cause) => {
                    out.failures.push((items.last_offset(), cause));
                    forget_quietly(state);
                    if watch.fail_fast {
                        break;
                    }
                }
            }
        }
        out
    }
}

/// What a verb does to item after item, until they are through, are of no use any more or
/// to be shared, or one panics.
pub(crate) trait Loop<S, I, O>: Send + Sync {
    fn run(&self, state: &mut S, items: &mut IntoItems<I>, out: &mut Yield<O>, watch: Watch<'_>);
}

/// Every item is kept: `map`.
pub(crate) struct Mapped<F>(pub(crate) F);

impl<S, I, O, F: Fn(&mut S, I) -> O + Send + Sync> Loop<S, I, O> for Mapped<F> {
    fn run(&self, state: &mut S, items: &mut IntoItems<I>, out: &mut Yield<O>, watch: Watch<'_>) {
        if !out.items.continues(items) {
            return sort(|state, item| Fate::Kept((self.0)(state, item)), state, items, out, watch);
        }
        let mut items = Lent::from(items);
        let unwatched = watch.unwatched(items.len());
        while items.len() > 0 && !watch.is_abandoned() {
            out.items.extend_dense(items.next_values(unwatched).map(|item| (self.0)(state, item)));
            if watch.shares(&items) {
                break;
            }
        }
    }
}

/// The function says what becomes of the item: `try_map` and `filter_map`.
pub(crate) struct Sorted<F>(pub(crate) F);

impl<S, I, O, F: Fn(&mut S, I) -> Fate<O> + Send + Sync> Loop<S, I, O> for Sorted<F> {
    fn run(&self, state: &mut S, items: &mut IntoItems<I>, out: &mut Yield<O>, watch: Watch<'_>) {
        sort(&self.0, state, items, out, watch);
    }
}

fn sort<S, I, O>(
    call: impl Fn(&mut S, I) -> Fate<O>,
    state: &mut S,
    items: &mut IntoItems<I>,
    out: &mut Yield<O>,
    watch: Watch<'_>,
) {
    let mut is_dense = out.items.continues(items);
    let mut items = Lent::from(items);
    let mut made = Lent::from(&mut out.items);
    let stretch = watch.stretch(items.len());
    while items.len() > 0 && !watch.shares(&items) {
        for _ in 0..stretch {
            if watch.is_abandoned() {
                return;
            }
            let Some(value) = items.next_value() else { return };
            match call(state, value) {
                Fate::Kept(value) if is_dense => made.push_dense(value),
                Fate::Kept(value) => made.push(items.last_offset(), value),
                Fate::Filtered => {
                    is_dense = false;
                    out.filtered += 1;
                }
                Fate::Failed(error) => {
                    is_dense = false;
                    out.failures.push((items.last_offset(), Cause::Error(error)));
                    if watch.fail_fast {
                        return;
                    }
                }
            }
        }
    }
}

/// `map_batch`.
pub(crate) struct Batched<'env, S, F> {
    pub(crate) workers: Workers<'env, S>,
    pub(crate) most: usize,
    pub(crate) call: std::sync::Arc<Quietly<F>>,
}

impl<I, O, S, F> Step<I, O> for Batched<'_, S, F>
where
    S: Send,
    F: Fn(&mut S, Vec<I>) -> Vec<O> + Send + Sync,
{
    fn run(&self, items: &mut IntoItems<I>, watch: Watch<'_>) -> Yield<O> {
        let mut out = Yield::with_capacity(items.len(), watch.pages);
        while items.len() > 0 && !watch.is_abandoned() {
            let (offsets, batch): (Vec<u32>, Vec<I>) = items.by_ref().take(self.most).unzip();
            match self.call_once(batch, &mut out.set_up) {
                Ok(values) => {
                    let numbered = offsets.into_iter().zip(values);
                    numbered.for_each(|(offset, value)| out.items.push(offset, value));
                }
                Err(Opening::Broken(cause)) => {
                    out.cancelled += offsets.len() as u64;
                    out.broken = Some(cause);
                    break;
                }
                Err(Opening::Failed(cause)) => {
                    out.failures
                        .extend(offsets.into_iter().map(|offset| (offset, copy_of(&cause))));
                    if watch.fail_fast {
                        break;
                    }
                }
            }
        }
        out
    }
}

impl<S: Send, F> Batched<'_, S, F> {
    fn call_once<I, O>(&self, batch: Vec<I>, set_up: &mut SetUp) -> Result<Vec<O>, Opening>
    where
        F: Fn(&mut S, Vec<I>) -> Vec<O>,
    {
        let given = batch.len();
        let mut state = match self.workers.take(set_up) {
            Ok(state) => state,
            Err(cause) => {
                forget_each(batch.into_iter());
                return Err(Opening::Broken(cause));
            }
        };
        match guard(|| (self.call.get())(&mut state, batch)) {
            Ok(values) => {
                self.workers.put_back(state);
                let returned = values.len();
                if returned == given {
                    return Ok(values);
                }
                forget_each(values.into_iter());
                Err(Opening::Failed(Cause::BatchLength { given, returned }))
            }
            Err(cause) => {
                forget_quietly(state);
                Err(Opening::Failed(cause))
            }
        }
    }
}

/// The cause of a whole batch, told again for each of its items.
fn copy_of(cause: &Cause) -> Cause {
    match cause {
        Cause::BatchLength { given, returned } => {
            Cause::BatchLength { given: *given, returned: *returned }
        }
        Cause::Panic { declaration, message } => {
            Cause::Panic { declaration: *declaration, message: message.clone() }
        }
        other => Cause::Error(other.to_string().into()),
    }
}

/// `flat_map`.
pub(crate) struct Flat<'env, S, F> {
    pub(crate) workers: Workers<'env, S>,
    pub(crate) call: std::sync::Arc<Quietly<F>>,
}

impl<'env, I, O, S, F, It> Expand<'env, I, O> for Flat<'env, S, F>
where
    S: Send,
    F: Fn(&mut S, I) -> It + Send + Sync,
    It: IntoIterator<Item = O>,
    It::IntoIter: Send + 'env,
{
    fn open(&self, item: I, set_up: &mut SetUp) -> Result<Box<dyn Children<O> + 'env>, Opening> {
        let mut state = match self.workers.take(set_up) {
            Ok(state) => state,
            Err(cause) => {
                forget_quietly(item);
                return Err(Opening::Broken(cause));
            }
        };
        match guard(|| (self.call.get())(&mut state, item).into_iter()) {
            Ok(children) => {
                self.workers.put_back(state);
                Ok(Box::new(Rest(children)))
            }
            Err(cause) => {
                forget_quietly(state);
                Err(Opening::Failed(cause))
            }
        }
    }
}

/// The rest of a user's iterator.
struct Rest<It>(It);

impl<O, It: Iterator<Item = O> + Send> Children<O> for Rest<It> {
    fn take(&mut self, most: usize, watch: Watch<'_>, out: &mut Vec<O>) -> Result<bool, Cause> {
        let stretch = watch.stretch(most);
        guard(|| {
            out.reserve(self.0.size_hint().0.min(most));
            // Each draw gets somewhere, however long it was before it began.
            while out.len() < most && (out.is_empty() || !watch.is_waited_for()) {
                for _ in 0..stretch.min(most - out.len()) {
                    if watch.is_abandoned() {
                        return false;
                    }
                    match self.0.next() {
                        Some(child) => out.push(child),
                        None => return true,
                    }
                }
            }
            false
        })
    }
}

/// Drops each value by itself, so that one that panics does not take the others'
/// drops along.
pub(crate) fn forget_each<T>(values: vec::IntoIter<T>) {
    if std::mem::needs_drop::<T>() {
        values.for_each(forget_quietly);
    }
}
