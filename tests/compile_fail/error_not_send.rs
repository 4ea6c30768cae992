//! An error is carried from thread to thread.

use std::error::Error;

use plimsoll::Stage;

fn parse(text: &str) -> Result<u64, Box<dyn Error>> {
    Ok(text.parse()?)
}

fn main() {
    let _ = Stage::cpu("parse").try_map(|text: &str| parse(text));
}
