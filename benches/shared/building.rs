//! What it takes to write a file.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use plimsoll::{GIB, MIB, SharedFile, SharedFileWriter};

use crate::rounds::{Rival, Unit, compare};
use crate::scale::{Scale, random};

/// Writes a file by `fill`, to the disk.
fn shared(path: &Path, budget: u64, fill: impl FnOnce(&SharedFileWriter)) -> u64 {
    let file = SharedFile::create(path).expect("a file can be made").budget(budget);
    fill(&file);
    file.finish().expect("there is room on the disk");
    0
}

/// An array, to the disk, beside the same bytes written by hand.
fn arrays(scale: &Scale) {
    let folder = scale.folder();
    let path = folder.path().join("array.plim");
    let bytes = scale.part(GIB);
    let pieces = bytes / MIB;
    let piece: Vec<u64> = (0..MIB / 8).map(random).collect();
    let by_hand = || {
        let mut file = File::create(folder.path().join("array.raw")).expect("a file can be made");
        for _ in 0..pieces {
            let written = file.write_all(bytemuck::cast_slice(&piece));
            written.expect("there is room on the disk");
        }
        file.sync_all().expect("there is room on the disk");
        0
    };
    let in_pieces = |file: &SharedFileWriter| {
        let mut numbers = file.slice::<u64>("numbers").expect("the name is sound");
        for _ in 0..pieces {
            numbers.extend_from_slice(&piece).expect("there is room on the disk");
        }
        numbers.finish().expect("there is room on the disk");
    };
    let one_by_one = |file: &SharedFileWriter| {
        let numbers = file.slice::<u64>("numbers").expect("the name is sound");
        let all = (0..pieces).flat_map(|_| &piece);
        numbers.fill(all).expect("there is room on the disk");
    };
    let rivals = vec![
        Rival::new("`File`, 1 MiB a call", by_hand),
        Rival::new("**a slice**, 1 MiB a call", || shared(&path, 64 * MIB, in_pieces)),
        Rival::new("**a slice**, a number a call", || shared(&path, 64 * MIB, one_by_one)),
    ];
    let title = format!("to write {pieces} MiB and bring them to the disk");
    compare(&title, Unit::Rate(bytes), scale.rounds(5), rivals);
}

/// A map of random keys, sorted on the way.
fn maps(scale: &Scale) {
    let folder = scale.folder();
    let path = folder.path().join("map.plim");
    let pairs = scale.part(20_000_000);
    let fill = |file: &SharedFileWriter| {
        let map = file.map::<u64, u64>("map").expect("the name is sound");
        map.fill((0..pairs).map(|n| (random(n), n))).expect("there is room on the disk");
    };
    let in_memory = || {
        let mut all: Vec<(u64, u64)> = (0..pairs).map(|n| (random(n), n)).collect();
        all.sort_unstable();
        std::hint::black_box(&all);
        0
    };
    let rivals = vec![
        Rival::new("sorted in a `Vec`, never written", in_memory),
        Rival::new("**a map**, budget 1 GiB", || shared(&path, GIB, fill)),
        Rival::new("**a map**, budget 64 MiB", || shared(&path, 64 * MIB, fill)),
    ];
    let title = format!("to sort {pairs} pairs of 16 bytes and bring them to the disk");
    compare(&title, Unit::Rate(16 * pairs), scale.rounds(3), rivals);
}

pub(crate) fn run(scale: &Scale) {
    arrays(scale);
    maps(scale);
}
