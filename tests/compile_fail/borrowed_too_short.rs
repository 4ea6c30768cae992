//! What a stage borrows outlives its pipeline.

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let pipeline = {
        let words = vec!["load", "line"];
        let look_up = Stage::cpu("look up").map(|n: usize| words[n % words.len()].len());
        Pipeline::new(look_up).build(&Budget::new(MIB, 1)).unwrap()
    };
    let _ = pipeline.run(0..9, drop);
}
