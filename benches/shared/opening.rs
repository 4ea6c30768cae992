//! What it takes to open a file, and to verify it.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::thread;

use plimsoll::{MIB, Shared, SharedFile, Verify};

use crate::common::cores;
use crate::raw;
use crate::rounds::{Rival, Unit, compare};
use crate::scale::{Scale, random};

/// Below the 16 MiB from which on a section is verified by several threads.
const SMALL: u64 = 15 * MIB;

/// Writes a file of so many sections of so many bytes.
fn write(path: PathBuf, sections: u64, bytes: u64) -> PathBuf {
    let piece: Vec<u64> = (0..MIB / 8).map(random).collect();
    let file = SharedFile::create(&path).expect("a file can be made");
    for section in 0..sections {
        let mut numbers = file.slice::<u64>(&section.to_string()).expect("the names are sound");
        for _ in 0..bytes / MIB {
            numbers.extend_from_slice(&piece).expect("there is room on the disk");
        }
        numbers.finish().expect("there is room on the disk");
    }
    file.finish().expect("there is room on the disk");
    path
}

fn open(path: &Path) -> SharedFile {
    SharedFile::open_with(path, Verify::Header).expect("it is whole")
}

/// Files of different sizes opened, unverified, and one number read.
pub(crate) fn open_table(scale: &Scale, gib: u64) {
    let folder = scale.folder();
    let large = scale.part(gib << 10).max(2);
    let name = |mib: u64| folder.path().join(format!("{mib}.plim"));
    let (small, large) = (write(name(1), 1, MIB), (write(name(large), 1, large * MIB), large));
    let first = |numbers: &Shared<[u64]>| black_box(numbers[0]);
    let shared = |path: &Path| first(&open(path).get("0").expect("it is an array"));
    let by_hand = |path: &Path| {
        let map = raw::map(path);
        black_box(map[4096]);
        random(0)
    };
    let rivals = vec![
        Rival::new(format!("memmap2 by hand, {} MiB", large.1), || by_hand(&large.0)),
        Rival::new("`SharedFile::open_with`, 1 MiB", || shared(&small)),
        Rival::new(format!("**`SharedFile::open_with`, {} MiB**", large.1), || shared(&large.0)),
    ];
    let rounds = if scale.quick { 1 } else { scale.rounds(301) };
    compare("to open a file, unverified, and read a number", Unit::Each(1), rounds, rivals);
}

/// All of a file verified, beside the same bytes only read. Its pages are in memory.
pub(crate) fn verify_table(scale: &Scale) {
    let folder = scale.folder();
    let sections = scale.part(1024).div_ceil(SMALL / MIB);
    let bytes = sections * SMALL;
    let whole = write(folder.path().join("whole.plim"), 1, bytes);
    let parts = write(folder.path().join("parts.plim"), sections, SMALL);
    let verify = |path: &Path| {
        open(path).verify().expect("it is whole");
        0
    };
    let read = |threads: usize| {
        let numbers: Shared<[u64]> = open(&whole).get("0").expect("it is an array");
        let add = |part: &[u64]| part.iter().fold(0, |sum: u64, number| sum ^ number);
        thread::scope(|scope| {
            let parts = numbers.chunks(numbers.len().div_ceil(threads));
            let sums: Vec<_> = parts.map(|part| scope.spawn(move || add(part))).collect();
            sums.into_iter().for_each(|sum| _ = black_box(sum.join().expect("it only adds")));
        });
        0
    };
    let rivals = vec![
        Rival::new("read, 1 thread", || read(1)),
        Rival::new("**verified**, 1 thread", || verify(&parts)),
        Rival::new(format!("read, {} threads", cores()), || read(cores())),
        Rival::new(format!("**verified**, {} threads", cores()), || verify(&whole)),
    ];
    let title = format!("to open a file of {} MiB and verify all of it", bytes / MIB);
    compare(&title, Unit::Rate(bytes), scale.rounds(15), rivals);
}
