//! A stage takes what the stage before it makes.

use plimsoll::{Pipeline, Stage};

fn main() {
    let count = Stage::cpu("count").map(|line: String| line.len());
    let shout = Stage::cpu("shout").map(|line: String| line.to_uppercase());
    let _ = Pipeline::new(count).then(shout);
}
