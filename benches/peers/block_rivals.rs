//! Blocks under a budget, by each peer and by Plimsoll.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use plimsoll::{Budget, Buffers, Footprint, Pipeline, Stage};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::blocks::{Block, Blocks, Second, Words};
use crate::common::cores;
use crate::job::{Outcome, Setting};

/// Memory workers of W4b.
const WAITERS: usize = 8;

/// Threads that each do both stages of an item: as many as the budget carries of the
/// largest, and cores where stages compute.
pub(crate) fn fused(load: &Blocks) -> Outcome {
    let (next, sum) = (AtomicU64::new(0), AtomicU64::new(0));
    let fit = usize::try_from(load.budget / load.largest()).expect("few");
    let threads = if load.second == Second::Wait { fit } else { cores().min(fit) };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= load.items {
                        return;
                    }
                    sum.fetch_add(load.reduce(load.expand(item)), Ordering::Relaxed);
                }
            });
        }
    });
    load.outcome(sum.into_inner())
}

/// The same, on rayon's threads.
pub(crate) fn rayon(load: &Blocks) -> Outcome {
    let each = |item| load.reduce(load.expand(item));
    let sum = (0..load.items).into_par_iter().map(each).reduce(|| 0, u64::wrapping_add);
    load.outcome(sum)
}

/// Channels, and as many tokens as the budget carries of the largest item.
pub(crate) fn tokens(load: &Blocks, by: Setting) -> Outcome {
    let tokens = (load.budget / load.largest()).min(load.items) as usize;
    let (give, take) = bounded(tokens);
    (0..tokens).for_each(|_| give.send(()).expect("there is room"));
    let take = |_| take.recv().expect("open");
    staged(load, by, take, |_| give.send(()).expect("open"))
}

/// Channels, and a semaphore that counts bytes.
pub(crate) fn permits(load: &Blocks, by: Setting) -> Outcome {
    let (left, more) = (Mutex::new(load.budget), Condvar::new());
    let take = |bytes| {
        let left = left.lock().expect("nobody panics");
        *more.wait_while(left, |left| *left < bytes).expect("nobody panics") -= bytes;
    };
    let give = |bytes| {
        *left.lock().expect("nobody panics") += bytes;
        more.notify_all();
    };
    staged(load, by, take, give)
}

/// Threads for each stage; `take` and `give` hold them to the budget.
fn staged(
    load: &Blocks,
    by: Setting,
    take: impl Fn(u64) + Sync,
    give: impl Fn(u64) + Sync,
) -> Outcome {
    let (items, sum) = (AtomicU64::new(0), AtomicU64::new(0));
    let (made, blocks) = unbounded();
    let expand = |made: Sender<Block>| {
        loop {
            let item = items.fetch_add(1, Ordering::Relaxed);
            if item >= load.items {
                return;
            }
            take(load.size(item));
            made.send(load.expand(item)).expect("open");
        }
    };
    let reduce = |blocks: Receiver<Block>| {
        for block in blocks {
            let bytes = block.bytes();
            sum.fetch_add(load.reduce(block), Ordering::Relaxed);
            give(bytes);
        }
    };
    thread::scope(|scope| {
        for _ in 0..by.threads_of(1, 2) {
            let blocks = blocks.clone();
            scope.spawn(|| reduce(blocks));
        }
        for _ in 0..by.threads_of(0, 2) {
            let made = made.clone();
            scope.spawn(|| expand(made));
        }
        drop(made);
    });
    load.outcome(sum.into_inner())
}

/// Plimsoll; `tidy` asks the allocator for freed memory back, as its README advises.
pub(crate) fn plimsoll(load: &Blocks, tidy: bool) -> Outcome {
    if tidy {
        plimsoll::release_large_blocks(plimsoll::MIB);
    }
    staged_by_plimsoll(load, &Buffers::new(), |item| load.expand(item))
}

/// Plimsoll, with blocks that are used again.
pub(crate) fn plimsoll_again(load: &Blocks) -> Outcome {
    let buffers = Buffers::new();
    staged_by_plimsoll(load, &buffers, |item| load.expand_in(&buffers, item))
}

fn staged_by_plimsoll<W: Words + Send>(
    load: &Blocks,
    buffers: &Buffers<u64>,
    expand: impl Fn(u64) -> Block<W> + Sync,
) -> Outcome {
    let budget = Budget::new(load.budget, cores());
    let expand = Stage::memory("expand", Footprint::per_item(|item| load.size(*item)))
        .map(&expand)
        .weigh(Block::bytes);
    let reduce = match load.second {
        Second::Compute => Stage::cpu("reduce"),
        Second::Wait => Stage::memory("reduce", Footprint::none()).workers(WAITERS).waits(),
    };
    let reduce = reduce.map(|block| load.reduce(block));
    let pipeline = Pipeline::new(expand).then(reduce).buffers(buffers);
    let pipeline = pipeline.build(&budget).expect("the plan fits");
    let mut sum = 0u64;
    let take = |value| sum = sum.wrapping_add(value);
    pipeline.run(0..load.items, take).expect("nothing fails");
    load.outcome(sum)
}
