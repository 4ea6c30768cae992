//! A source whose items may be errors is run by `try_run`.

use std::io::{BufRead, BufReader, stdin};

use plimsoll::{Budget, MIB, Pipeline, Stage};

fn main() {
    let length = Stage::cpu("length").map(|line: String| line.len());
    let pipeline = Pipeline::new(length).build(&Budget::new(MIB, 1)).unwrap();
    let _ = pipeline.run(BufReader::new(stdin()).lines(), drop);
}
