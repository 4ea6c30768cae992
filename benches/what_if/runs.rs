//! One run of a load, as it is reported.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use plimsoll::{Budget, Footprint, Pipeline, Report, Stage};

use crate::blocks::{Block, Blocks, Second};
use crate::job::{Job, Sink};
use crate::loads::mix;

/// Memory workers of W4b.
const WAITERS: usize = 8;

pub(crate) fn job<J: Job>(job: &J, ordered: bool, budget: &Budget) -> Report {
    let first = Stage::cpu("first").map(|item| job.stage(0, item));
    let second = Stage::memory("second", Footprint::none()).map(|item| job.stage(1, item));
    let mut pipeline = Pipeline::new(first).then(second);
    if J::STAGES > 2 {
        pipeline = pipeline.then(Stage::cpu("third").map(|item| job.stage(2, item)));
    }
    if ordered {
        pipeline = pipeline.ordered();
    }
    let pipeline = pipeline.build(budget).expect("the plan fits");
    let mut sink = Sink::new(ordered);
    let report = pipeline.run(job.source(), |item| job.deliver(item, &mut sink));
    black_box(sink.outcome().checksum);
    report.expect("nothing fails")
}

/// Items whose look-ups wait for 1 to 15 ms; each worker is said to keep 100 MiB, which it
/// does not take, so that others who are busy on this machine change little.
pub(crate) fn naps(items: u64, budget: &Budget) -> Report {
    let nap = |item| {
        thread::sleep(Duration::from_micros(1_000 + mix(item) % 14_000));
        item
    };
    let wait =
        Stage::memory("wait", Footprint::per_worker(100 << 20)).workers(WAITERS).waits().map(nap);
    let pipeline = Pipeline::new(wait).build(&budget.clone().unmeasured()).expect("the plan fits");
    pipeline.run(0..items, |item| _ = black_box(item)).expect("nothing fails")
}

pub(crate) fn blocks(load: &Blocks, budget: &Budget) -> Report {
    let expand = Stage::memory("expand", Footprint::per_item(|item| load.size(*item)))
        .map(|item| load.expand(item))
        .weigh(Block::bytes);
    let reduce = match load.second {
        Second::Compute => Stage::cpu("reduce"),
        Second::Wait => Stage::memory("reduce", Footprint::none()).workers(WAITERS).waits(),
    };
    let pipeline = Pipeline::new(expand).then(reduce.map(|block| load.reduce(block)));
    let pipeline = pipeline.build(budget).expect("the plan fits");
    let mut sum = 0u64;
    let report = pipeline.run(0..load.items, |value| sum = sum.wrapping_add(value));
    black_box(sum);
    report.expect("nothing fails")
}
