//! Buffers that are used again, so that their pages are touched for the first time once.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::sync::Mutex;

/// Buffers that stages fill and drop, kept to be filled again.
///
/// The first write to a fresh page costs the system a microsecond or two, which for
/// blocks of many MiB is often more than the work on them; a page that was touched
/// before costs nothing. An optional convenience: a stage [takes](Self::take) its buffer
/// here instead of making a `Vec`, and whoever drops it gives it back.
///
/// What lies idle here is charged to the runs of the pipelines that know these buffers
/// ([`PipelineBuilder::buffers`](crate::PipelineBuilder::buffers)): together with what
/// items are granted it never exceeds the line. Where a step is granted what lies idle,
/// buffers are given up before the step begins. So declare what a buffer holds like any
/// other memory; no admission waits for idle ones. When the last of those
/// pipelines is gone, nothing is kept any more.
///
/// A clone is a handle of the same buffers.
///
/// ```
/// use plimsoll::{Budget, Buffer, Buffers, Footprint, MIB, Pipeline, Stage};
///
/// let buffers = Buffers::new();
/// let expand = Stage::memory("expand", Footprint::per_item(|pages: &usize| 4096 * *pages as u64))
///     .map(|pages| {
///         let mut block = buffers.take(4096 * pages);
///         block.resize(4096 * pages, 1u8);
///         block
///     })
///     .weigh(Buffer::bytes);
/// let reduce = Stage::cpu("reduce").map(|block: Buffer<u8>| block.iter().map(|b| u64::from(*b)).sum());
///
/// let pipeline =
///     Pipeline::new(expand).then(reduce).buffers(&buffers).build(&Budget::new(64 * MIB, 2))?;
/// let mut sums: Vec<u64> = Vec::new();
/// pipeline.run([1, 3, 2], |sum| sums.push(sum))?;
/// sums.sort();
/// assert_eq!(sums, [4096, 8192, 12288]);
/// assert!(buffers.idle_bytes() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Buffers<T> {
    store: Arc<Store<T>>,
}

/// A `Vec` that is given back to its [`Buffers`], emptied, when it is dropped.
pub struct Buffer<T> {
    items: Vec<T>,
    store: Arc<Store<T>>,
}

struct Store<T>(Mutex<State<T>>);

struct State<T> {
    /// Empty, with what they can hold.
    idle: Vec<Vec<T>>,
    /// What they can hold together.
    idle_bytes: u64,
    /// Pipelines and runs that answer for what lies idle.
    keepers: usize,
}

impl<T> Buffers<T> {
    /// No buffers yet.
    #[must_use]
    pub fn new() -> Self {
        let state = State { idle: Vec::new(), idle_bytes: 0, keepers: 0 };
        Self { store: Arc::new(Store(Mutex::new(state))) }
    }

    /// An empty buffer with room for `items`, and for no more if it was used before: the
    /// smallest idle one that is large enough, cut to size, or else the largest, grown,
    /// or else a new one. It may grow like any `Vec`.
    ///
    /// # Panics
    ///
    /// Like [`Vec::with_capacity`], if so many are more than `isize::MAX` bytes.
    #[must_use]
    pub fn take(&self, items: usize) -> Buffer<T> {
        let mut found = self.store.0.lock().take(items).unwrap_or_default();
        // The allocator moves no bytes for either where a block has pages of its own: it
        // gives pages back, or adds some.
        if found.capacity() > items {
            found.shrink_to(items);
        } else {
            found.reserve_exact(items);
        }
        Buffer { items: found, store: Arc::clone(&self.store) }
    }

    /// Bytes of the buffers that lie idle.
    #[must_use]
    pub fn idle_bytes(&self) -> u64 {
        self.store.idle_bytes()
    }

    /// Gives up the buffers that lie idle.
    pub fn clear(&self) {
        self.store.keep_at_most(0);
    }

    pub(crate) fn pool<'a>(&self) -> Arc<dyn Pool + 'a>
    where
        T: Send + 'a,
    {
        Arc::clone(&self.store) as _
    }
}

impl<T> Buffer<T> {
    /// Bytes that it can hold: what it weighs, whether they are used or not.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        bytes_of(&self.items)
    }

    /// The items, to keep: nothing is given back.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<T> {
        std::mem::take(&mut self.items)
    }
}

fn bytes_of<T>(items: &Vec<T>) -> u64 {
    (items.capacity() as u64).saturating_mul(size_of::<T>() as u64)
}

impl<T> State<T> {
    fn take(&mut self, items: usize) -> Option<Vec<T>> {
        let capacities = || self.idle.iter().map(Vec::capacity).enumerate();
        let enough = capacities().filter(|(_, capacity)| *capacity >= items);
        let best = enough.min_by_key(|(_, capacity)| *capacity);
        let best = best.or_else(|| capacities().max_by_key(|(_, capacity)| *capacity));
        let (place, _) = best?;
        let found = self.idle.swap_remove(place);
        self.idle_bytes -= bytes_of(&found);
        Some(found)
    }
}

/// Buffers of whatever type, as the runs know them that answer for them.
pub(crate) trait Pool: Send + Sync {
    /// Bytes that lie idle.
    fn idle_bytes(&self) -> u64;
    /// Gives up what is more than `bytes`, and perhaps some more.
    fn keep_at_most(&self, bytes: u64);
    /// One more answers for what lies idle, or one less: without any, nothing is kept.
    fn count_keeper(&self, joins: bool);
}

impl<T: Send> Pool for Store<T> {
    fn idle_bytes(&self) -> u64 {
        Self::idle_bytes(self)
    }

    fn keep_at_most(&self, bytes: u64) {
        Self::keep_at_most(self, bytes);
    }

    fn count_keeper(&self, joins: bool) {
        let mut state = self.0.lock();
        state.keepers = if joins { state.keepers + 1 } else { state.keepers - 1 };
        let is_kept = state.keepers > 0;
        drop(state);
        if !is_kept {
            self.keep_at_most(0);
        }
    }
}

impl<T> Store<T> {
    fn idle_bytes(&self) -> u64 {
        self.0.lock().idle_bytes
    }

    fn keep_at_most(&self, bytes: u64) {
        let mut given_up = Vec::new();
        let mut state = self.0.lock();
        while state.idle_bytes > bytes {
            // The smallest: it is the least use to whoever comes next.
            given_up.extend(state.take(0));
        }
        drop(state);
        // Freed here, without the lock.
        drop(given_up);
    }

    /// Keeps `items`, if anybody answers for them.
    fn put(&self, items: Vec<T>) {
        let bytes = bytes_of(&items);
        let mut state = self.0.lock();
        if bytes > 0 && state.keepers > 0 {
            state.idle_bytes += bytes;
            state.idle.push(items);
        } else {
            drop(state);
            drop(items);
        }
    }
}

/// The buffers that a pipeline or a run answers for.
#[derive(Default)]
pub(crate) struct Pools<'a>(Vec<Arc<dyn Pool + 'a>>);

impl<'a> Pools<'a> {
    pub(crate) fn join(&mut self, pool: Arc<dyn Pool + 'a>) {
        let is_known = self.0.iter().any(|known| Arc::ptr_eq(known, &pool));
        if !is_known {
            pool.count_keeper(true);
            self.0.push(pool);
        }
    }

    pub(crate) fn idle_bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, pool| sum.saturating_add(pool.idle_bytes()))
    }

    /// Gives up what is more than `bytes` in all.
    pub(crate) fn keep_at_most(&self, mut bytes: u64) {
        for pool in &self.0 {
            pool.keep_at_most(bytes);
            bytes = bytes.saturating_sub(pool.idle_bytes());
        }
    }
}

impl Clone for Pools<'_> {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        self.0.iter().for_each(|pool| clone.join(Arc::clone(pool)));
        clone
    }
}

impl Drop for Pools<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|pool| pool.count_keeper(false));
    }
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Buffers<T> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store) }
    }
}

impl<T> fmt::Debug for Buffers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("idle_bytes", &self.idle_bytes()).finish_non_exhaustive()
    }
}

impl<T> Deref for Buffer<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.items
    }
}

impl<T> AsRef<Vec<T>> for Buffer<T> {
    fn as_ref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> AsMut<Vec<T>> for Buffer<T> {
    fn as_mut(&mut self) -> &mut Vec<T> {
        &mut self.items
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let mut items = std::mem::take(&mut self.items);
        items.clear();
        self.store.put(items);
    }
}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept<'a, T: Send + 'a>(buffers: &Buffers<T>) -> Pools<'a> {
        let mut pools = Pools::default();
        pools.join(buffers.pool());
        pools
    }

    #[test]
    fn a_buffer_is_used_again_and_cut_or_grown_to_size() {
        let buffers = Buffers::<u64>::new();
        let pools = kept(&buffers);
        let mut block = buffers.take(1000);
        block.extend(0..1000);
        let place = block.as_ptr();
        drop(block);
        assert_eq!(buffers.idle_bytes(), 8000);
        let again = buffers.take(1000);
        assert_eq!((again.as_ptr(), again.len(), again.bytes()), (place, 0, 8000));
        assert_eq!(buffers.idle_bytes(), 0);
        drop(again);
        assert_eq!(buffers.take(10).bytes(), 80, "cut to size");
        assert_eq!(pools.idle_bytes(), 80);
        assert_eq!(buffers.take(500).bytes(), 4000, "grown");
    }

    #[test]
    fn the_smallest_that_is_large_enough_is_taken_or_else_the_largest() {
        let buffers = Buffers::<u8>::new();
        let _pools = kept(&buffers);
        drop([buffers.take(30), buffers.take(10), buffers.take(20)]);
        let idle = |taken: &Buffer<u8>| buffers.idle_bytes() + taken.bytes();
        let cut = buffers.take(15);
        assert_eq!(idle(&cut), 30 + 10 + 15);
        let grown = buffers.take(40);
        assert_eq!(idle(&grown), 10 + 40);
    }

    #[test]
    fn the_smallest_are_given_up_first_and_all_where_nobody_answers_for_them() {
        let (buffers, others) = (Buffers::<u8>::new(), Buffers::<u16>::new());
        drop(buffers.take(10));
        assert_eq!(buffers.idle_bytes(), 0, "nobody answers for it");
        let mut pools = kept(&buffers);
        pools.join(others.pool());
        pools.join(others.pool());
        drop((buffers.take(30), buffers.take(10), others.take(20), buffers.take(0)));
        assert_eq!(pools.idle_bytes(), 80);
        pools.keep_at_most(75);
        assert_eq!((buffers.idle_bytes(), others.idle_bytes()), (40, 0));
        pools.keep_at_most(39);
        assert_eq!(buffers.idle_bytes(), 30);
        let clone = pools.clone();
        drop(pools);
        assert_eq!(buffers.idle_bytes(), 30);
        drop(clone);
        assert_eq!(buffers.idle_bytes(), 0);
    }

    #[test]
    fn what_is_taken_out_is_not_given_back() {
        let buffers = Buffers::<u8>::new();
        let _pools = kept(&buffers);
        let mut block = buffers.take(3);
        block.extend([1, 2, 3]);
        assert_eq!(block.into_vec(), [1, 2, 3]);
        assert_eq!(buffers.idle_bytes(), 0);
    }

    #[test]
    fn items_without_a_size_and_items_that_are_dropped_are_fine() {
        let units = Buffers::<()>::new();
        let _units = kept(&units);
        let mut some = units.take(5);
        some.resize(5, ());
        drop(some);
        assert_eq!(units.idle_bytes(), 0);
        let counted = Arc::new(());
        let handles = Buffers::new();
        let _handles = kept(&handles);
        let mut block = handles.take(2);
        block.resize(2, Arc::clone(&counted));
        drop(block);
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
