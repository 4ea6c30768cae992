//! One run of a load, as it is reported.

use std::hint::black_box;

use plimsoll::{Budget, Footprint, Pipeline, Report, Stage};

use crate::blocks::{Block, Blocks, Second};
use crate::job::{Job, Sink};

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

pub(crate) fn blocks(load: &Blocks, budget: &Budget) -> Report {
    let expand = Stage::memory("expand", Footprint::per_item(|item| load.size(*item)))
        .map(|item| load.expand(item))
        .weigh(Block::bytes);
    let reduce = match load.second {
        Second::Compute => Stage::cpu("reduce"),
        Second::Wait => Stage::memory("reduce", Footprint::none()).workers(WAITERS),
    };
    let pipeline = Pipeline::new(expand).then(reduce.map(|block| load.reduce(block)));
    let pipeline = pipeline.largest_item(load.largest()).build(budget).expect("the plan fits");
    let mut sum = 0u64;
    let report = pipeline.run(0..load.items, |value| sum = sum.wrapping_add(value));
    black_box(sum);
    report.expect("nothing fails")
}
