//! A table is lent to what declares it.

use plimsoll::{Footprint, Shared, Stage};

fn main() {
    let rows = Shared::from(vec![7u64]);
    let _ = Stage::memory("look up", Footprint::table(rows)).map(|n: u64| n);
}
