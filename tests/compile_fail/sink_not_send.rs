//! The sink is called by whichever thread of the run comes along.

use std::io::Write;

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let double = Stage::cpu("double").map(|n: u64| 2 * n);
    let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1)).unwrap();
    let mut out = std::io::stdout().lock();
    let _ = pipeline.run(0..9, |n| writeln!(out, "{n}"));
}
