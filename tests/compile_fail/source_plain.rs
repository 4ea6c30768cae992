//! A source whose items cannot be errors is run by `run`.

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let double = Stage::cpu("double").map(|n: u64| 2 * n);
    let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1)).unwrap();
    let _ = pipeline.try_run(0..9u64, drop);
}
