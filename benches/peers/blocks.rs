//! W4 and W4b: items that grow to blocks of many MiB, and a second stage that is slower
//! than the first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use cpu_time::ThreadTime;
use plimsoll::{Buffer, Buffers};

use crate::job::{Outcome, Scale};
use crate::loads::mix;

pub(crate) const MIB: u64 = 1 << 20;

/// Bytes of all blocks there are, and the most there ever were.
static LIVE: AtomicU64 = AtomicU64::new(0);
static MOST: AtomicU64 = AtomicU64::new(0);

/// Memory of which every word was written.
pub(crate) struct Block<W: Words = Vec<u64>> {
    words: W,
}

/// Where the words of a block are.
pub(crate) trait Words: AsRef<Vec<u64>> + AsMut<Vec<u64>> {}

impl Words for Vec<u64> {}

impl Words for Buffer<u64> {}

impl<W: Words> Block<W> {
    /// Fills `words`, which are empty and have room for `bytes`.
    fn new(mut words: W, item: u64, bytes: u64) -> Self {
        let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        MOST.fetch_max(live, Ordering::Relaxed);
        words.as_mut().extend((0..bytes / 8).map(|place| place.wrapping_mul(item | 1)));
        Self { words }
    }

    pub(crate) fn bytes(&self) -> u64 {
        8 * self.words.as_ref().len() as u64
    }

    fn digest(&self) -> u64 {
        let step = |sum: u64, word: &u64| (sum ^ word).wrapping_mul(0x5851_f42d_4c95_7f2d);
        self.words.as_ref().iter().fold(0, step)
    }
}

impl<W: Words> Drop for Block<W> {
    fn drop(&mut self) {
        LIVE.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// What the second stage does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Second {
    /// Reads the block several times.
    Compute,
    /// Reads a bit of it and waits, as for a disk.
    Wait,
}

/// The whole load, within `budget` bytes.
#[derive(Clone, Copy)]
pub(crate) struct Blocks {
    pub(crate) items: u64,
    pub(crate) second: Second,
    pub(crate) budget: u64,
}

const READS: u64 = 3;
const WAIT: Duration = Duration::from_millis(5);

impl Blocks {
    pub(crate) fn new(scale: Scale, second: Second, budget: u64) -> Self {
        Self { items: (200 / scale.part).max(2), second, budget }
    }

    /// Bytes that the item grows to.
    pub(crate) fn size(&self, item: u64) -> u64 {
        match self.second {
            Second::Compute => (8 + mix(item) % 56) * MIB,
            Second::Wait if mix(item).is_multiple_of(10) => 160 * MIB,
            Second::Wait => 4 * MIB,
        }
    }

    /// What the largest item may grow to.
    pub(crate) fn largest(&self) -> u64 {
        if self.second == Second::Wait { 160 * MIB } else { 64 * MIB }
    }

    /// The first stage.
    pub(crate) fn expand(&self, item: u64) -> Block {
        let bytes = self.size(item);
        Block::new(Vec::with_capacity(bytes as usize / 8), item, bytes)
    }

    /// The same in a buffer that may have been used before.
    pub(crate) fn expand_in(&self, buffers: &Buffers<u64>, item: u64) -> Block<Buffer<u64>> {
        let bytes = self.size(item);
        Block::new(buffers.take(bytes as usize / 8), item, bytes)
    }

    /// The second stage.
    pub(crate) fn reduce<W: Words>(&self, block: Block<W>) -> u64 {
        if self.second == Second::Compute {
            return (0..READS).fold(0, |sum, read| sum ^ block.digest().rotate_left(read as u32));
        }
        thread::sleep(WAIT);
        block.words.as_ref().iter().step_by(512).sum()
    }

    pub(crate) fn outcome(&self, checksum: u64) -> Outcome {
        Outcome { checksum, live: MOST.load(Ordering::Relaxed), byte_nanos: 0.0 }
    }

    /// One item after the other, and how long each has to hold its bytes: told by cpu
    /// time, of which others who are busy on this machine take nothing.
    pub(crate) fn sequential(&self) -> Outcome {
        let (mut sum, mut byte_nanos) = (0u64, 0.0);
        let waits = if self.second == Second::Wait { WAIT } else { Duration::ZERO };
        for item in 0..self.items {
            let begun = ThreadTime::now();
            sum = sum.wrapping_add(self.reduce(self.expand(item)));
            byte_nanos += self.size(item) as f64 * (begun.elapsed() + waits).as_nanos() as f64;
        }
        Outcome { byte_nanos, ..self.outcome(sum) }
    }
}
