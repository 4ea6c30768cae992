//! Items and stages, and what of them is the same for all competitors.

use std::collections::BTreeMap;

/// How much of the full work is done, and how fast this machine spins.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// One over so much.
    pub(crate) part: u64,
    /// Loops of `work::spin` that take a microsecond.
    pub(crate) loops: u64,
}

/// What a competitor is set to by hand. Zeros where there is nothing to set.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setting {
    /// Items in a chunk.
    pub(crate) chunk: u64,
    /// Threads of each stage, a decimal digit each.
    pub(crate) threads: u64,
}

impl Setting {
    pub(crate) fn threads_of(self, stage: usize, stages: usize) -> u64 {
        self.threads / 10u64.pow((stages - 1 - stage) as u32) % 10
    }
}

/// What a run comes to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) checksum: u64,
    /// The most bytes that blocks held at once.
    pub(crate) live: u64,
    /// Bytes of each block times the nanoseconds that its stages take.
    pub(crate) byte_nanos: f64,
}

/// Items that go through stages.
pub(crate) trait Job: Sync {
    type Item: Clone + Send + 'static;
    const STAGES: usize;
    /// Whether an item is worth no thought: many are under way at once.
    const SMALL: bool;

    fn items(&self) -> u64;
    fn item(&self, index: u64) -> Self::Item;
    fn stage(&self, stage: usize, item: Self::Item) -> Self::Item;
    fn deliver(&self, item: Self::Item, sink: &mut Sink);

    fn source(&self) -> impl Iterator<Item = Self::Item> + Send {
        (0..self.items()).map(|index| self.item(index))
    }

    /// All stages, one after the other.
    fn work(&self, item: Self::Item) -> Self::Item {
        (0..Self::STAGES).fold(item, |item, stage| self.stage(stage, item))
    }
}

/// A job whose source does not know how many items it has.
pub(crate) struct Unpromised<J>(pub(crate) J);

impl<J: Job> Job for Unpromised<J> {
    type Item = J::Item;
    const STAGES: usize = J::STAGES;
    const SMALL: bool = J::SMALL;

    fn items(&self) -> u64 {
        self.0.items()
    }

    fn item(&self, index: u64) -> Self::Item {
        self.0.item(index)
    }

    fn stage(&self, stage: usize, item: Self::Item) -> Self::Item {
        self.0.stage(stage, item)
    }

    fn deliver(&self, item: Self::Item, sink: &mut Sink) {
        self.0.deliver(item, sink);
    }

    fn source(&self) -> impl Iterator<Item = Self::Item> + Send {
        // No bound from below is left, and nothing is filtered.
        self.0.source().filter(|_| true)
    }
}

/// A job in chunks, as people make them by hand.
pub(crate) struct Chunked<J: 'static>(pub(crate) &'static J, pub(crate) u64);

impl<J: Job> Job for Chunked<J> {
    type Item = Vec<J::Item>;
    const STAGES: usize = J::STAGES;
    const SMALL: bool = false;

    fn items(&self) -> u64 {
        self.0.items().div_ceil(self.1)
    }

    fn item(&self, index: u64) -> Self::Item {
        let first = index * self.1;
        let end = (first + self.1).min(self.0.items());
        (first..end).map(|index| self.0.item(index)).collect()
    }

    fn stage(&self, stage: usize, items: Self::Item) -> Self::Item {
        // Collects in place.
        items.into_iter().map(|item| self.0.stage(stage, item)).collect()
    }

    fn deliver(&self, items: Self::Item, sink: &mut Sink) {
        items.into_iter().for_each(|item| self.0.deliver(item, sink));
    }
}

/// Sums up what is delivered; in order, so that the order shows.
#[derive(Clone, Copy)]
pub(crate) struct Sink {
    ordered: bool,
    sum: u64,
}

impl Sink {
    pub(crate) fn new(ordered: bool) -> Self {
        Self { ordered, sum: 0 }
    }

    pub(crate) fn take(&mut self, value: u64) {
        let before = if self.ordered { self.sum.rotate_left(1) } else { self.sum };
        self.sum = before.wrapping_add(value);
    }

    /// With what another took, where order does not matter.
    pub(crate) fn join(mut self, other: Self) -> Self {
        assert!(!self.ordered, "parts of an ordered sum do not add up");
        self.sum = self.sum.wrapping_add(other.sum);
        self
    }

    pub(crate) fn outcome(self) -> Outcome {
        Outcome { checksum: self.sum, ..Outcome::default() }
    }
}

/// Delivers what comes: at once, or in order where that is asked for.
pub(crate) struct Delivery<'a, J: Job> {
    job: &'a J,
    sink: Sink,
    next: u64,
    early: BTreeMap<u64, J::Item>,
}

impl<'a, J: Job> Delivery<'a, J> {
    pub(crate) fn new(job: &'a J, ordered: bool) -> Self {
        Self { job, sink: Sink::new(ordered), next: 0, early: BTreeMap::new() }
    }

    pub(crate) fn put(&mut self, index: u64, item: J::Item) {
        if self.sink.ordered && index != self.next {
            self.early.insert(index, item);
            return;
        }
        self.job.deliver(item, &mut self.sink);
        self.next += 1;
        while self.sink.ordered
            && let Some(item) = self.early.remove(&self.next)
        {
            self.job.deliver(item, &mut self.sink);
            self.next += 1;
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        self.sink.outcome()
    }
}
