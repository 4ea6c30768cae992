//! What machine this is, and how busy.

use std::fs;
use std::thread::available_parallelism;

/// Says so.
pub(crate) fn print(quick: bool) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let (_, model) = model.unwrap_or(("", "cpu unknown"));
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    println!(
        "{} cores, {model}, Linux {}, load before the first run {load}.",
        available_parallelism().map_or(1, usize::from),
        kernel.trim()
    );
    if quick {
        println!("\nA quick look: these figures say nothing.");
    }
}
