//! Each error says the same where outputs cannot be carried from thread to thread.

use std::rc::Rc;

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let share = Stage::cpu("share").map(|n: u64| Rc::new(n));
    let count = Stage::cpu("count").map(|n: Rc<u64>| *n);
    let pipeline = Pipeline::new(share).then(count).ordered().build(&Budget::new(MIB, 1)).unwrap();
    let _ = pipeline.run(0..9, drop);
}
