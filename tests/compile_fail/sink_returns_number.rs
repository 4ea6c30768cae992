//! A sink returns nothing, or a result of nothing.

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let double = Stage::cpu("double").map(|n: u64| 2 * n);
    let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1)).unwrap();
    let _ = pipeline.run(0..9, |n| n + 1);
}
