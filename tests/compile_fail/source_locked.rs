//! A lock is of one thread, the source is read by several.

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let length = Stage::cpu("length").map(|line: String| line.len());
    let pipeline = Pipeline::new(length).build(&Budget::new(MIB, 1)).unwrap();
    let _ = pipeline.try_run(std::io::stdin().lines(), drop);
}
