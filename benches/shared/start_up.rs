//! Eight workers that get ready to use one model, in a process of their own.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use plimsoll::{GIB, Shared, SharedWriter};

use crate::rounds::{Rival, Unit, compare};
use crate::scale::{Scale, random};

/// The first argument of a process that is to start workers.
pub(crate) const CHILD: &str = "--child";

const WORKERS: u64 = 8;
const CLONED: &str = "parsed, a clone for each";
const HELD: &str = "parsed, behind an `Arc`";
const LOADED: &str = "`Shared`, loaded";
const MAPPED: &str = "**`Shared`, mapped**";
const WAYS: [&str; 4] = [CLONED, HELD, LOADED, MAPPED];

/// Writes the model as text, a number a line, and as a shared file.
fn write(folder: &Path, numbers: u64) {
    let text = File::create(folder.join("model.txt")).expect("a file can be made");
    let mut text = BufWriter::with_capacity(1 << 20, text);
    let mut shared = SharedWriter::create(folder.join("model.plim")).expect("a file can be made");
    for n in 0..numbers {
        let number = random(n) as u32 as f32 / 4_294_967_296.0;
        writeln!(text, "{number}").expect("there is room on the disk");
        shared.push(&number).expect("there is room on the disk");
    }
    text.flush().expect("there is room on the disk");
    shared.finish().expect("there is room on the disk");
}

fn parse(folder: &Path) -> Vec<f32> {
    let text = File::open(folder.join("model.txt")).expect("the file was written");
    let (mut text, mut line) = (BufReader::with_capacity(1 << 20, text), String::new());
    let mut numbers = Vec::new();
    while text.read_line(&mut line).expect("it is text") > 0 {
        numbers.push(line.trim_end().parse().expect("a number a line"));
        line.clear();
    }
    numbers
}

/// What became of a start: what the workers answered, and KiB that were the process's own
/// when all had a model.
type Started = (f32, u64);

/// Starts the workers, each with a model of its own, and has each answer some questions.
fn start<M: Deref<Target = [f32]> + Send>(model: impl Fn() -> M + Sync) -> Started {
    let answer = |worker: u64| {
        let model = model();
        let ask = |n| model[(random(n) % model.len() as u64) as usize];
        let sum = (worker << 20..(worker << 20) + 1_000).map(ask).sum::<f32>();
        (model, sum)
    };
    let answer = &answer;
    thread::scope(|scope| {
        let start = |worker| scope.spawn(move || answer(worker));
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        let ready = workers.into_iter().map(|worker| worker.join().expect("it only adds"));
        let ready: Vec<_> = ready.collect();
        (ready.iter().map(|(_, sum)| sum).sum(), own_kib())
    })
}

/// A model that all workers have through one pointer.
struct Held(Arc<Vec<f32>>);

impl Deref for Held {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

/// Is a process with eight workers: tells how long they took, and what became of it.
pub(crate) fn be_child(arguments: &[String]) {
    let [way, folder] = arguments else { panic!("a way and a folder") };
    let folder = Path::new(folder);
    let path = folder.join("model.plim");
    let started = Instant::now();
    let (answer, own) = match way.as_str() {
        MAPPED => start(|| Shared::<[f32]>::open(&path).expect("it is whole")),
        LOADED => {
            let loaded: Shared<[f32]> = Shared::load(&path).expect("it is whole");
            start(|| loaded.clone())
        }
        HELD => {
            let parsed = Arc::new(parse(folder));
            start(|| Held(Arc::clone(&parsed)))
        }
        _ => {
            let parsed = parse(folder);
            start(|| parsed.clone())
        }
    };
    println!("{} {} {own}", started.elapsed().as_nanos(), answer.to_bits());
}

/// KiB of memory that this process alone has, where the system tells.
fn own_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A process that starts its workers in one way.
fn spawn(way: &str, folder: &Path) -> [u64; 3] {
    let program = std::env::current_exe().expect("this program has a file");
    let output = Command::new(program).args([CHILD, way]).arg(folder).output();
    let output = output.expect("a process can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{way}: {error}");
    let text = String::from_utf8(output.stdout).expect("numbers");
    let numbers = text.split_whitespace().map(|word| word.parse().expect("a number"));
    numbers.collect::<Vec<_>>().try_into().expect("three numbers")
}

pub(crate) fn run(scale: &Scale) {
    let folder = scale.folder();
    write(folder.path(), scale.part(GIB / 4));
    let own = Cell::new([0; WAYS.len()]);
    let rivals = WAYS.iter().enumerate().map(|(at, way)| {
        let (folder, own) = (folder.path(), &own);
        Rival::timed(*way, move || {
            let [nanos, answer, kib] = spawn(way, folder);
            let mut all = own.get();
            all[at] = kib;
            own.set(all);
            (nanos as f64, answer)
        })
    });
    let title = format!("{WORKERS} workers ready with a model of {} MiB", scale.part(1024));
    compare(&title, Unit::Each(1), scale.rounds(3), rivals.collect());
    println!("\nMemory of the process's own when all are ready:");
    for (way, kib) in WAYS.iter().zip(own.get()) {
        println!("- {way}: {} MiB", kib >> 10);
    }
}
