//! What the sink fills is the sink's while the run lasts, and its own afterwards.

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let double = Stage::cpu("double").map(|n: u64| 2 * n);
    let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1)).unwrap();
    let mut numbers = Vec::new();
    let job = pipeline.job().failures(|failure| numbers.push(failure.item().source_index()));
    numbers.clear();
    let _ = job.run(0..9, drop);
}
