//! What lies on the heap is declared as such.

use plimsoll::{Footprint, Stage};

fn main() {
    let words = vec![7u64];
    let _ = Stage::memory("look up", Footprint::table(&words)).map(|n: u64| n);
}
