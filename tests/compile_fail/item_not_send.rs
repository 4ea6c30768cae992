//! Items are carried from thread to thread.

use std::rc::Rc;

use plimsoll::{Pipeline, Stage};

fn main() {
    let share = Stage::cpu("share").map(|n: u64| Rc::new(n));
    let _ = Pipeline::new(share);
}
