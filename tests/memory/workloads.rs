//! Pipelines as a user would write them, each of which uses several times its budget
//! if nothing holds it back. Every run checks what it delivers.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plimsoll::{Budget, Footprint, KIB, MIB, Pipeline, Report, Stage};

use crate::common::mix;
use crate::neighbour;

/// Of the machines these tests are run on.
pub(crate) const PAGE: u64 = 4 * KIB;

pub(crate) type Workload = fn(&Budget) -> Report;

/// All that must survive in a cgroup.
pub(crate) const ALL: [(&str, Workload); 8] = [
    ("expanding", |budget| EXPANDING.run(budget)),
    ("heavy tail", |budget| HEAVY_TAIL.run(budget)),
    ("explosion", explosion),
    ("slow first", |budget| SLOW_FIRST.run(budget)),
    ("two models", two_models),
    ("mixed", |budget| MIXED.run(budget)),
    ("understated", |budget| UNDERSTATED.run(budget)),
    ("overstated", |budget| OVERSTATED.run(budget)),
];

/// Others that a process can be told to do.
const OTHERS: [(&str, Workload); 3] = [
    ("fits", |budget| FITS.run(budget)),
    ("kept, twice", |budget| {
        println!("{}", KEPT.run(budget));
        KEPT.run(budget)
    }),
    ("neighbour", neighbour::run),
];

pub(crate) fn named(name: &str) -> Workload {
    let mut all = ALL.iter().chain(&OTHERS);
    all.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no workload {name:?}")).1
}

/// Memory of which every page was written.
pub(crate) struct Block {
    bytes: Vec<u8>,
}

impl Block {
    pub(crate) fn new(item: u64, size: u64) -> Self {
        let mut bytes = vec![0; size as usize];
        bytes.chunks_mut(PAGE as usize).for_each(|page| page[0] = mark(item));
        Self { bytes }
    }

    /// Reads every page.
    pub(crate) fn sum(&self) -> u64 {
        self.bytes.chunks(PAGE as usize).map(|page| u64::from(page[0])).sum()
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Lets another thread free it, and waits until it has.
    fn free_on(self, other: &mpsc::Sender<(Self, mpsc::Sender<()>)>) {
        let (done, freed) = mpsc::channel();
        other.send((self, done)).expect("the other thread listens");
        freed.recv().expect("the other thread answers");
    }
}

fn mark(item: u64) -> u8 {
    1 + (item % 251) as u8
}

/// What [`Block::sum`] comes to.
fn expected(item: u64, size: u64) -> u64 {
    size.div_ceil(PAGE) * u64::from(mark(item))
}

/// Work that takes a while and no core, so that blocks pile up before it: a
/// millisecond for each MiB.
pub(crate) fn linger(size: u64) {
    thread::sleep(Duration::from_micros(size * 1_000 / MIB));
}

/// Sizes from `least` to below `least << doublings`, as many between one power of two
/// and the next as between any other two.
pub(crate) fn spread(item: u64, least: u64, doublings: u64) -> u64 {
    let low = least << (mix(1, item) % doublings);
    low + mix(2, item) % low
}

/// Items that become blocks, in completion or source order.
struct Expansion {
    items: u64,
    size: fn(u64) -> u64,
    /// What is told of a size: the truth, or not.
    declared: fn(u64) -> u64,
    largest: u64,
    window: u64,
    end: End,
}

/// Where blocks go.
#[derive(PartialEq)]
enum End {
    /// To a slower second stage.
    SlowStage,
    /// To a second stage that takes no longer than the first.
    Stage,
    /// To the sink, in order; the first item takes long.
    SlowFirst,
    /// To a slow sink, and another thread frees them.
    FreedElsewhere,
}

const EXPANDING: Expansion = Expansion {
    items: 80,
    size: |item| spread(item, 8 * MIB, 3),
    declared: |size| size,
    largest: 66 * MIB,
    window: 16_384,
    end: End::SlowStage,
};

const HEAVY_TAIL: Expansion = Expansion {
    items: 150,
    size: |item| match item % 15 {
        7 => 100 * MIB + mix(3, item) % (16 * MIB),
        _ => spread(item, MIB, 2),
    },
    largest: 120 * MIB,
    ..EXPANDING
};

const SLOW_FIRST: Expansion = Expansion {
    items: 200,
    size: |item| spread(item, 2 * MIB, 4),
    largest: 34 * MIB,
    end: End::SlowFirst,
    ..EXPANDING
};

/// A mix of blocks of all sizes.
const MIXED: Expansion = Expansion {
    items: 300,
    size: |item| spread(item, PAGE, 14),
    end: End::FreedElsewhere,
    ..EXPANDING
};

const UNDERSTATED: Expansion = Expansion { declared: |size| size / 10, ..EXPANDING };

const OVERSTATED: Expansion = Expansion {
    size: |item| spread(item, 2 * MIB, 3),
    declared: |size| size * 10,
    largest: 165 * MIB,
    ..EXPANDING
};

/// Blocks that glibc's allocator keeps when they are freed, all of them.
const KEPT: Expansion = Expansion {
    items: 60,
    size: |item| (4 + mix(1, item) % 28) * MIB,
    largest: 34 * MIB,
    ..EXPANDING
};

/// Holds less than half of the smaller budget, whatever the schedule: its time tells
/// what being measured costs.
const FITS: Expansion = Expansion {
    items: 4_000,
    size: |item| spread(item, 256 * KIB, 4),
    largest: 5 * MIB,
    window: 40,
    end: End::Stage,
    ..EXPANDING
};

impl Expansion {
    fn run(&self, budget: &Budget) -> Report {
        let &Self { items, size, declared, largest, window, ref end } = self;
        let slow_first = *end == End::SlowFirst;
        let footprint = Footprint::per_item(move |item: &u64| declared(size(*item)) + KIB);
        let expand = Stage::memory("expand", footprint)
            .map(move |item: u64| {
                if slow_first && item == 0 {
                    thread::sleep(Duration::from_millis(300));
                }
                Block::new(item, size(item))
            })
            .weigh(move |block| declared(block.size()) + KIB);
        let pipeline = Pipeline::new(expand).largest_item(largest).window(window);
        let mut sum = 0;
        let report = match end {
            End::Stage | End::SlowStage => {
                let read = if *end == End::Stage { read(|_| ()) } else { read(linger) };
                let pipeline = pipeline.then(read).build(budget).expect("it can be planned");
                pipeline.run(0..items, |part| sum += part)
            }
            End::SlowFirst => {
                let pipeline = pipeline.ordered().build(budget).expect("it can be planned");
                pipeline.run(0..items, |block| sum += block.sum())
            }
            End::FreedElsewhere => {
                let pipeline = pipeline.build(budget).expect("it can be planned");
                let (other, blocks) = mpsc::channel::<(Block, mpsc::Sender<()>)>();
                let free = move || {
                    for (block, done) in blocks {
                        drop(block);
                        done.send(()).expect("the sink waits");
                    }
                };
                let thread = thread::spawn(free);
                let report = pipeline.run(0..items, |block| {
                    sum += block.sum();
                    linger(block.size() / 3);
                    block.free_on(&other);
                });
                drop(other);
                thread.join().expect("it frees");
                report
            }
        };
        let report = report.expect("every item is expanded");
        assert_eq!(report.delivered(), items);
        assert_eq!(sum, (0..items).map(|item| expected(item, size(item))).sum::<u64>());
        report
    }
}

/// Readers of blocks that take as long as `pause` tells. They get ready as a model is
/// loaded: in the meantime blocks pile up.
pub(crate) fn read(pause: fn(u64)) -> Stage<'static, Block, u64> {
    let read = Stage::memory("read", Footprint::none()).workers(2);
    read.with_state(move || pause(300 * MIB)).map(move |(), block: Block| {
        pause(block.size());
        block.sum()
    })
}

/// One item makes hundreds.
fn explosion(budget: &Budget) -> Report {
    const PARENTS: u64 = 3;
    const CHILDREN: u64 = 80;
    fn size(child: u64) -> u64 {
        // One in four is small.
        if child.is_multiple_of(4) {
            spread(child, MIB, 3)
        } else {
            8 * MIB + mix(3, child) % (8 * MIB)
        }
    }
    let one = Footprint::per_item(|_| 16 * MIB);
    let explode = Stage::memory("explode", one)
        .flat_map(|parent: u64| {
            let children = parent * CHILDREN..(parent + 1) * CHILDREN;
            children.map(|child| Block::new(child, size(child)))
        })
        .weigh(|block| block.size() + KIB);
    let pipeline = Pipeline::new(explode).then(read(linger)).largest_item(64 * MIB).build(budget);
    let pipeline = pipeline.expect("it can be planned");
    let mut sum = 0;
    let report = pipeline.run(0..PARENTS, |part| sum += part).expect("every item explodes");
    let all = PARENTS * CHILDREN;
    assert_eq!((report.expanded(), report.delivered()), (PARENTS, all));
    assert_eq!(sum, (0..all).map(|child| expected(child, size(child))).sum::<u64>());
    report
}

/// Two stages whose workers keep much, and whose calls need much, too.
fn two_models(budget: &Budget) -> Report {
    const ITEMS: u64 = 150;
    const MODEL: u64 = 40 * MIB;
    fn size(item: u64) -> u64 {
        spread(item, 4 * MIB, 2)
    }
    fn model() -> Block {
        Block::new(7, MODEL)
    }
    let footprint = Footprint::per_worker(MODEL);
    let prepare = Stage::memory(
        "prepare",
        footprint.and(Footprint::per_item(|item: &u64| size(*item) + KIB)),
    )
    .with_state(model)
    .map(|model, item| {
        assert_eq!(model.sum(), expected(7, MODEL));
        (item, Block::new(item, size(item)))
    })
    .weigh(|(_, block)| block.size() + KIB);
    // Works with as much again as its input holds.
    let again = Footprint::per_item(|(_, block): &(u64, Block)| block.size());
    let cross = Stage::memory("cross", Footprint::per_worker(MODEL).and(again))
        .with_state(model)
        .map(|model, (item, block): (u64, Block)| {
            let scratch = Block::new(item, block.size());
            linger(block.size());
            assert_eq!(model.sum(), expected(7, MODEL));
            block.sum() + scratch.sum()
        });
    let pipeline = Pipeline::new(prepare).then(cross).largest_item(36 * MIB).build(budget);
    let pipeline = pipeline.expect("it can be planned");
    let mut sum = 0;
    let report = pipeline.run(0..ITEMS, |part| sum += part).expect("every item is crossed");
    assert_eq!(report.delivered(), ITEMS);
    assert_eq!(sum, (0..ITEMS).map(|item| 2 * expected(item, size(item))).sum::<u64>());
    report
}
