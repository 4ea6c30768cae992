//! Buffers that are used again count against the line while they lie idle.

use std::collections::HashSet;
use std::sync::Mutex;

use plimsoll::{Budget, Buffer, Buffers, Footprint, MIB, Pipeline, Stage};

const BLOCK: u64 = 1 << 16;

/// An item that grows to so many blocks and uses so many more, one at a time each.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Item {
    blocks: u64,
    scratch: u64,
}

/// What was seen in calls of the last stage.
#[derive(Debug, Default)]
struct Seen {
    /// Blocks that the item held, and those that lay idle meanwhile.
    calls: Vec<(u64, u64)>,
    /// Where the items were.
    places: HashSet<usize>,
}

/// Runs items on a line of so many blocks.
fn run(buffers: &Buffers<u8>, line: u64, items: &[Item]) -> Seen {
    let seen = Mutex::new(Seen::default());
    let need = |item: &Item| BLOCK * (item.blocks + item.scratch);
    let fill = Stage::memory("fill", Footprint::per_item(need))
        .map(|item: Item| {
            let mut block = buffers.take((BLOCK * item.blocks) as usize);
            block.resize((BLOCK * item.blocks) as usize, item.blocks as u8);
            let scratch = || buffers.take(BLOCK as usize);
            drop((0..item.scratch).map(|_| scratch()).collect::<Vec<_>>());
            block
        })
        .weigh(Buffer::bytes);
    let read = Stage::memory("read", Footprint::none()).map(|block: Buffer<u8>| {
        let held = block.bytes() / BLOCK;
        assert!(block.iter().all(|byte| u64::from(*byte) == held));
        let mut seen = seen.lock().unwrap();
        seen.calls.push((held, buffers.idle_bytes() / BLOCK));
        seen.places.insert(block.as_ptr() as usize);
        held
    });
    // Besides the blocks, what the items themselves weigh.
    let budget = Budget::new(BLOCK * line + 4096, 1).unmeasured();
    let pipeline = Pipeline::new(fill).then(read).ordered().largest_item(BLOCK * 5 + 1024);
    let pipeline = pipeline.buffers(buffers).build(&budget).unwrap();
    let mut sizes = Vec::new();
    pipeline.run(items.to_vec(), |size| sizes.push(size)).unwrap();
    assert_eq!(sizes, items.iter().map(|item| item.blocks).collect::<Vec<_>>());
    drop(pipeline);
    seen.into_inner().unwrap()
}

#[test]
fn one_buffer_is_enough_for_items_that_follow_each_other() {
    let buffers = Buffers::new();
    let seen = run(&buffers, 12, &[Item { blocks: 2, scratch: 0 }; 50]);
    assert!(seen.places.len() <= 4, "{} places for 50 items", seen.places.len());
    assert_eq!(buffers.idle_bytes(), 0, "the pipeline is gone");
}

#[test]
fn what_lies_idle_makes_room_for_what_is_granted() {
    let many = Item { blocks: 1, scratch: 4 };
    let large = Item { blocks: 4, scratch: 1 };
    let seen = run(&Buffers::new(), 6, &[many, large, many, many, large, large, many]);
    assert!(seen.calls.iter().all(|(held, idle)| held + idle <= 6), "{seen:?}");
    assert!(seen.calls.iter().any(|(_, idle)| *idle >= 4), "{seen:?}");
}

#[test]
fn a_pipeline_keeps_its_buffers_from_run_to_run() {
    let buffers = Buffers::<u8>::new();
    let fill = Stage::cpu("fill").map(|(): ()| drop([1, 2, 3].map(|size| buffers.take(size))));
    let pipeline = Pipeline::new(fill).buffers(&buffers).build(&Budget::new(MIB, 1)).unwrap();
    for _ in 0..2 {
        pipeline.run([()], |()| {}).unwrap();
        assert_eq!(buffers.idle_bytes(), 6);
    }
    buffers.clear();
    assert_eq!(buffers.idle_bytes(), 0);
}
