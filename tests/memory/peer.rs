//! What people write by hand: the expanding workload on threads and a channel, below a
//! byte semaphore. It counts every byte it holds, and is killed nevertheless, because
//! freed pages stay with the allocator. If it were not, these tests would prove nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;

use plimsoll::MIB;

use crate::workloads::{Block, linger, spread};

const PERMITS: u64 = 448 * MIB;
const ITEMS: u64 = 300;
const MAKERS: usize = 4;
const READERS: usize = 2;

/// Bytes that may be taken; a taker waits for what it lacks.
struct Semaphore {
    left: Mutex<u64>,
    more: Condvar,
}

impl Semaphore {
    fn take(&self, bytes: u64) {
        let left = self.left.lock().expect("nobody panics");
        let wait = self.more.wait_while(left, |left| *left < bytes);
        *wait.expect("nobody panics") -= bytes;
    }

    fn give(&self, bytes: u64) {
        *self.left.lock().expect("nobody panics") += bytes;
        self.more.notify_all();
    }
}

pub(crate) fn run() {
    let semaphore = Semaphore { left: Mutex::new(PERMITS), more: Condvar::new() };
    let (next, sum) = (AtomicU64::new(0), AtomicU64::new(0));
    let (full, blocks) = mpsc::channel::<Block>();
    let blocks = Mutex::new(blocks);
    let receive = || blocks.lock().expect("nobody panics").recv().ok();
    let read = || {
        while let Some(block) = receive() {
            linger(block.size());
            sum.fetch_add(block.sum(), Ordering::Relaxed);
            let size = block.size();
            drop(block);
            semaphore.give(size);
        }
    };
    let make = |full: mpsc::Sender<Block>| {
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= ITEMS {
                return;
            }
            let size = spread(item, 8 * MIB, 3);
            semaphore.take(size);
            full.send(Block::new(item, size)).expect("the readers listen");
        }
    };
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(read);
        }
        for _ in 0..MAKERS {
            let full = full.clone();
            scope.spawn(|| make(full));
        }
        drop(full);
    });
    assert!(sum.into_inner() > 0);
}
