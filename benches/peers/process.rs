//! One run in a process of its own, and what it took.

use std::fs;
use std::process::Command;
use std::time::Instant;

use cpu_time::ProcessTime;

use crate::job::{Outcome, Scale, Setting};
use crate::tables;

/// The first argument of a process that is to run one competitor.
pub(crate) const CHILD: &str = "--child";

/// What a run took.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) wall_nanos: f64,
    pub(crate) cpu_nanos: f64,
    pub(crate) resident_kib: f64,
    pub(crate) outcome: Outcome,
}

/// Runs a competitor in a new process.
pub(crate) fn run(table: usize, rival: usize, by: Setting, scale: Scale) -> Sample {
    let arguments = [table as u64, rival as u64, by.chunk, by.threads, scale.part, scale.loops];
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    command.arg(CHILD).args(arguments.map(|number| number.to_string()));
    let output = command.output().expect("a process can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "competitor {rival} of table {table}: {error}");
    let text = String::from_utf8(output.stdout).expect("numbers");
    let mut words = text.split_whitespace();
    let mut word = || words.next().expect("six numbers").to_owned();
    let checksum = word().parse().expect("a number");
    let mut number = || word().parse::<f64>().expect("a number");
    let (wall_nanos, cpu_nanos, resident_kib) = (number(), number(), number());
    let (live, byte_nanos) = (number() as u64, number());
    let outcome = Outcome { checksum, live, byte_nanos };
    Sample { wall_nanos, cpu_nanos, resident_kib, outcome }
}

/// Is that process: a little of the work first, so that pools and pages are there, then
/// the whole.
pub(crate) fn be_child(arguments: &[String]) {
    let numbers = arguments.iter().map(|number| number.parse::<u64>().expect("a number"));
    let numbers: Vec<u64> = numbers.collect();
    let [table, rival, chunk, threads, part, loops] = numbers[..] else { panic!("six numbers") };
    let by = Setting { chunk, threads };
    let play = |part| {
        let table = tables::all(Scale { part, loops }).swap_remove(table as usize);
        let run = &table.rivals[rival as usize].run;
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        let outcome = run(by);
        (outcome, wall.elapsed().as_nanos(), cpu.elapsed().as_nanos())
    };
    play(50 * part);
    let (Outcome { checksum, live, byte_nanos }, wall, cpu) = play(part);
    println!("{checksum} {wall} {cpu} {} {live} {byte_nanos}", peak_kib());
}

/// The most that this process ever had resident, where the system tells.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
