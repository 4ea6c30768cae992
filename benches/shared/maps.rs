//! Look-ups by key.

use std::collections::HashMap;
use std::hash::BuildHasher;

use plimsoll::{SharedFile, SharedMap, Verify};
use xxhash_rust::xxh3::Xxh3Builder;

use crate::rounds::{Rival, Unit, compare};
use crate::scale::{Scale, random};

const SEED: u64 = 1 << 62;

/// Looks keys up, of which every second one is there; the sum of what is found.
fn look_up(keys: u64, count: u64, find: impl Fn(u64) -> Option<u32>) -> u64 {
    let key = |n: u64| random(SEED ^ (random(n) % keys)) ^ (n & 1);
    (0..count).filter_map(|n| find(key(n))).map(u64::from).sum()
}

fn hashed<S: BuildHasher + Default>(pairs: &[(u64, u32)]) -> HashMap<u64, u32, S> {
    pairs.iter().copied().collect()
}

/// The words of a text, whose letters are four of 256: keys that crowd.
fn word(n: u64) -> [u8; 21] {
    let (first, second) = (random(n), random(n ^ SEED));
    let letter = |at: usize| if at < 16 { first >> (2 * at) } else { second >> (2 * at - 32) };
    std::array::from_fn(|at| b"ACGT"[(letter(at) & 3) as usize])
}

/// Keys that are not spread evenly.
fn uneven(scale: &Scale) {
    let (keys, count) = (scale.part(5_000_000), scale.part(2_000_000));
    let packed = |n: u64| if n == 0 { u64::MAX } else { random(n) >> 22 };
    let far: SharedMap<u64, u32> = (0..keys).map(|n| (packed(n), n as u32)).collect();
    let words: SharedMap<[u8; 21], u32> = (0..keys).map(|n| (word(n), n as u32)).collect();
    let found = |find: &dyn Fn(u64) -> bool| {
        (0..count).filter(|n| find(random(SEED ^ n) % keys)).count() as u64
    };
    let rivals = vec![
        Rival::new("`binary_search`", || found(&|n| far.keys().binary_search(&packed(n)).is_ok())),
        Rival::new("**`SharedMap`**", || found(&|n| !far.get(&packed(n)).is_empty())),
    ];
    let title = format!("look-ups by key, {keys} packed words and one far off, time of one");
    compare(&title, Unit::Each(count), scale.rounds(9), rivals);
    let rivals = vec![
        Rival::new("`binary_search`", || found(&|n| words.keys().binary_search(&word(n)).is_ok())),
        Rival::new("**`SharedMap`**", || found(&|n| !words.get(&word(n)).is_empty())),
    ];
    let title = format!("look-ups by key, {keys} words of 21 letters of ACGT, time of one");
    compare(&title, Unit::Each(count), scale.rounds(9), rivals);
}

pub(crate) fn run(scale: &Scale) {
    even(scale);
    uneven(scale);
}

fn even(scale: &Scale) {
    let folder = scale.folder();
    let keys = scale.part(10_000_000);
    let count = scale.part(4_000_000);
    let mut pairs: Vec<(u64, u32)> =
        (0..keys).map(|n| (random(SEED ^ n), (n >> 1) as u32 + 1)).collect();

    let path = folder.path().join("map.plim");
    let file = SharedFile::create(&path).expect("a file can be made");
    file.map("map").and_then(|map| map.fill(pairs.iter().copied())).expect("there is room");
    file.finish().expect("there is room on the disk");
    let file = SharedFile::open_with(&path, Verify::Payload).expect("it is whole");
    let map: SharedMap<u64, u32> = file.get("map").expect("it is a map");

    let std = hashed::<std::hash::RandomState>(&pairs);
    let quick = hashed::<Xxh3Builder>(&pairs);
    pairs.sort_unstable();
    let sorted = |key: u64| {
        let at = pairs.binary_search_by_key(&key, |pair| pair.0).ok()?;
        Some(pairs[at].1)
    };
    let title = format!("look-ups by key, {keys} random keys, half of them found, time of one");
    let rivals = vec![
        Rival::new("`HashMap`", || look_up(keys, count, |key| std.get(&key).copied())),
        Rival::new("`HashMap`, xxh3", || look_up(keys, count, |key| quick.get(&key).copied())),
        Rival::new("`binary_search`", || look_up(keys, count, sorted)),
        Rival::new("**`SharedMap`, mapped**", || {
            look_up(keys, count, |key| map.get(&key).first().copied())
        }),
    ];
    compare(&title, Unit::Each(count), scale.rounds(9), rivals);
}
