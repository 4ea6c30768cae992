//! The checksum of a section: xxh3-64 of each block of 1 MiB, and xxh3-64 of these.
//!
//! One long xxh3 can be computed by one thread only. Blocks are independent, so all
//! cores can verify one section, and the writer still needs one pass and no more state.

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use twox_hash::XxHash3_64;

/// Bytes of a block. A part of the format.
const BLOCK: usize = 1 << 20;

/// From this many bytes on, more than one thread is worth its start.
const PARALLEL_BYTES: usize = 16 << 20;

/// Computes the checksum of what is given piece by piece.
pub(super) struct Hasher {
    block: XxHash3_64,
    filled: usize,
    digests: XxHash3_64,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self { block: XxHash3_64::new(), filled: 0, digests: XxHash3_64::new() }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == 0 && bytes.len() >= BLOCK {
                let (block, rest) = bytes.split_at(BLOCK);
                self.digests.write(&XxHash3_64::oneshot(block).to_le_bytes());
                bytes = rest;
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.block.write(part);
            self.filled += part.len();
            bytes = rest;
            if self.filled == BLOCK {
                self.end_block();
            }
        }
    }

    fn end_block(&mut self) {
        let block = std::mem::replace(&mut self.block, XxHash3_64::new());
        self.digests.write(&block.finish().to_le_bytes());
        self.filled = 0;
    }

    pub(super) fn finish(mut self) -> u64 {
        if self.filled > 0 {
            self.end_block();
        }
        self.digests.finish()
    }
}

/// The checksum of `bytes`, by as many threads as there are cores if they are many.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let threads = match bytes.len() {
        ..PARALLEL_BYTES => 1,
        many => thread::available_parallelism().map_or(1, usize::from).min(many / BLOCK),
    };
    checksum_by(threads, bytes)
}

fn checksum_by(threads: usize, bytes: &[u8]) -> u64 {
    let digests: Vec<_> = bytes.chunks(BLOCK).map(|_| AtomicU64::new(0)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(digest) = digests.get(at) else { return };
            let start = at * BLOCK;
            let block = &bytes[start..bytes.len().min(start + BLOCK)];
            digest.store(XxHash3_64::oneshot(block), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that is refused leaves its blocks to the others.
            let started = thread::Builder::new().spawn_scoped(scope, work);
            if started.is_err() {
                break;
            }
        }
        work();
    });
    let mut whole = XxHash3_64::new();
    digests.into_iter().for_each(|digest| whole.write(&digest.into_inner().to_le_bytes()));
    whole.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_threads_make_no_difference() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 77).map(|n| ((n * n) >> 7) as u8).collect();
        for length in [0, 1, 240, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, bytes.len()] {
            let bytes = &bytes[..length];
            let expected = checksum_by(1, bytes);
            assert_eq!(checksum_by(3, bytes), expected);
            assert_eq!(checksum(bytes), expected);
            for piece in [997, BLOCK - 1, BLOCK, 2 * BLOCK] {
                let mut hasher = Hasher::new();
                bytes.chunks(piece).for_each(|piece| hasher.write(piece));
                assert_eq!(hasher.finish(), expected, "{length} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn large_data_is_hashed_by_more_threads_alike() {
        let bytes = vec![7; PARALLEL_BYTES + 5];
        assert_eq!(checksum(&bytes), checksum_by(1, &bytes));
    }

    /// A part of the format: may never change.
    #[test]
    fn the_checksum_is_that_of_the_format() {
        assert_eq!(checksum(b""), XxHash3_64::oneshot(b""));
        let digest = XxHash3_64::oneshot(b"plimsoll").to_le_bytes();
        assert_eq!(checksum(b"plimsoll"), XxHash3_64::oneshot(&digest));
    }
}
