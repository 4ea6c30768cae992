//! The source is read by whichever thread of the run comes along.

use std::rc::Rc;

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let double = Stage::cpu("double").map(|n: u64| 2 * n);
    let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1)).unwrap();
    let start = Rc::new(7);
    let _ = pipeline.run((0..9).map(move |n| n + *start), drop);
}
