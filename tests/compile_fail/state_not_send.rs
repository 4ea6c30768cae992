//! A worker's state is carried from thread to thread.

use std::rc::Rc;

use plimsoll::Stage;

fn main() {
    let _ = Stage::cpu("count").with_state(|| Rc::new(0u64)).map(|_, n: u64| n);
}
