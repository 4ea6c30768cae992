//! A stream may outlive the call that made it, so its pipeline must not borrow.

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let words = vec!["load", "line"];
    let look_up = Stage::cpu("look up").map(|n: usize| words[n % words.len()].len());
    let pipeline = Pipeline::new(look_up).build(&Budget::new(MIB, 1)).unwrap();
    let _ = pipeline.stream(0..9);
}
