//! Placeholder while the example is being written.
fn main() {}
