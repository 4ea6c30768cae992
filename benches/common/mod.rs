//! What the benches have in common: what machine this is, medians, how times are told.

use std::fs;
use std::thread::available_parallelism;

pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Says what machine this is, and how busy.
pub(crate) fn machine(quick: bool) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let (_, model) = model.unwrap_or(("", "cpu unknown"));
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    println!(
        "{} cores, {model}, Linux {}, load before the first run {load}.",
        cores(),
        kernel.trim()
    );
    if quick {
        println!("\nA quick look: these figures say nothing.");
    }
}

pub(crate) fn median(all: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.into_iter().collect();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    if all.len() % 2 == 1 { all[middle] } else { (all[middle - 1] + all[middle]) / 2.0 }
}

pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.2} ns"),
        ..1e6 => format!("{:.1} us", nanos / 1e3),
        ..1e9 => format!("{:.1} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

/// Takes a flag off the arguments; whether it was there.
pub(crate) fn take_flag(arguments: &mut Vec<String>, flag: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != flag);
    arguments.len() < before
}

/// Takes a flag and what follows it off the arguments.
pub(crate) fn take_value(arguments: &mut Vec<String>, flag: &str) -> Option<String> {
    let place = arguments.iter().position(|argument| argument == flag)?;
    arguments.remove(place);
    assert!(place < arguments.len(), "{flag} wants a value");
    Some(arguments.remove(place))
}
