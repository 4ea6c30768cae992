//! Two processes in one cgroup: a pipeline, and a hog that takes most of the memory for
//! a while.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use plimsoll::{Budget, Footprint, KIB, MIB, Pipeline, Report, Stage};

use crate::workloads::{Block, linger, read, spread};

/// What the hog takes.
pub(crate) const HOG: u64 = 350 * MIB;

/// Takes memory as a growing process does, over half a second or more; keeps it for a
/// second.
pub(crate) fn hog() {
    let grow = |piece| {
        thread::sleep(Duration::from_millis(2));
        Block::new(piece, MIB)
    };
    let held: Vec<_> = (0..HOG / MIB).map(grow).collect();
    thread::sleep(Duration::from_secs(1));
    assert!(held.iter().map(Block::sum).sum::<u64>() > 0);
}

/// A pipeline that always has as much aboard as it may, until its input is closed: that
/// says that the hog is gone. A few items later it ends.
pub(crate) fn run(budget: &Budget) -> Report {
    const MORE: u64 = 60;
    fn size(item: u64) -> u64 {
        spread(item, 4 * MIB, 2)
    }
    let alone = AtomicBool::new(false);
    let expand = Stage::memory("expand", Footprint::per_item(|item: &u64| size(*item) + KIB))
        .map(|item: u64| Block::new(item, size(item)))
        .weigh(|block| block.size() + KIB);
    let pipeline = Pipeline::new(expand).then(read(linger)).largest_item(20 * MIB).build(budget);
    let pipeline = pipeline.expect("it can be planned");
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::stdin().read(&mut [0]);
            alone.store(true, Ordering::Release);
        });
        let (mut items, mut more) = (0, MORE);
        let source = std::iter::from_fn(|| {
            if alone.load(Ordering::Acquire) {
                more = u64::checked_sub(more, 1)?;
            }
            items += 1;
            Some(items)
        });
        let mut delivered = 0;
        let report = pipeline.run(source, |_| delivered += 1).expect("every item is expanded");
        assert_eq!((report.delivered(), report.read()), (delivered, delivered));
        assert!(delivered >= MORE);
        report
    })
}
