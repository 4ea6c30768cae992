//! A run on the terminal, for some seconds: `cargo run --features progress --example progress`

use std::thread::sleep;
use std::time::Duration;

use plimsoll::{Budget, Footprint, MIB, Monitor, Pipeline, Progress, Stage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let nap = |millis| sleep(Duration::from_millis(millis));
    let parse = Stage::cpu("parse").map(move |n: u64| {
        nap(2);
        n
    });
    // Each call works with an eighth of what is there, so that few run at once.
    let screen = Stage::memory("screen", Footprint::per_item(|_| 12 * MIB)).map(move |n: u64| {
        nap(20);
        n
    });
    let pipeline = Pipeline::new(parse).then(screen).build(&Budget::new(100 * MIB, 8))?;

    let monitor = Monitor::new();
    let progress = Progress::watch(&monitor);
    let report = pipeline.job().monitor(&monitor).run(0..1_000, |n| {
        if n % 250 == 0 {
            progress.suspend(|| println!("{n} came out"));
        }
    })?;
    drop(progress);
    println!("{report}");
    Ok(())
}
