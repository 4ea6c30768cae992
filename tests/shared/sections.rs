//! Files with several sections: what is written is read, by every way to write it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use plimsoll::{
    BuildStep, Error, FormatProblem, MIB, Shared, SharedBytes, SharedFile, SharedMap, SharedStrs,
    Verify,
};

use super::{names_in, place};

/// The problem of a section, without its name.
#[track_caller]
fn problem<S>(outcome: Result<S, Error>, section: &str) -> FormatProblem {
    match outcome.map(drop).expect_err("it is refused") {
        Error::SharedFormat { problem: FormatProblem::Section { name, problem }, .. } => {
            assert_eq!(name, section);
            *problem
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_kind_of_section_is_read_as_it_was_written() {
    let (_directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    assert_eq!(writer.slice("numbers").unwrap().fill([1_u64, 2, 3]).unwrap(), 3);
    assert_eq!(writer.bytes("blobs").unwrap().fill([&b"\xff"[..], b"", b"abc"]).unwrap(), 3);
    assert_eq!(writer.strs("names").unwrap().fill(["zwei", "", "é"]).unwrap(), 3);
    let pairs = [(9_u32, 1_i8), (2, 2), (9, 3)];
    assert_eq!(writer.map("map").unwrap().fill(pairs).unwrap(), 3);
    writer.slice::<[f32; 3]>("nothing").unwrap().finish().unwrap();
    writer.map::<u8, u8>("no keys").unwrap().finish().unwrap();
    writer.strs("no names").unwrap().finish().unwrap();
    writer.finish().unwrap();

    let check = |file: SharedFile| {
        assert_eq!(*file.get::<Shared<[u64]>>("numbers").unwrap(), [1, 2, 3]);
        let blobs: SharedBytes = file.get("blobs").unwrap();
        assert_eq!(blobs.iter().collect::<Vec<_>>(), [&b"\xff"[..], b"", b"abc"]);
        let names: SharedStrs = file.get("names").unwrap();
        assert_eq!(names.iter().collect::<Vec<_>>(), ["zwei", "", "é"]);
        assert_eq!((names.get(3), &names[2]), (None, "é"));
        let map: SharedMap<u32, i8> = file.get("map").unwrap();
        assert_eq!((map.get(&9), map.get(&2), map.get(&3)), (&[1, 3][..], &[2][..], &[][..]));
        assert!(file.get::<Shared<[[f32; 3]]>>("nothing").unwrap().is_empty());
        assert!(file.get::<SharedMap<u8, u8>>("no keys").unwrap().get(&0).is_empty());
        assert!(file.get::<SharedStrs>("no names").unwrap().is_empty());
        let sections: Vec<_> =
            file.sections().map(|section| (section.name, section.kind)).collect();
        assert_eq!(sections.len(), 7);
        assert_eq!(sections[..2], [("numbers", "a slice"), ("blobs", "a list of bytes")]);
    };
    for verify in [Verify::Auto, Verify::Header, Verify::FirstUse, Verify::Payload] {
        check(SharedFile::open_with(&path, verify).unwrap());
    }
    check(SharedFile::load(&path).unwrap());
    #[cfg(target_os = "linux")]
    check(SharedFile::seal(&path).unwrap());
}

#[test]
fn a_section_is_taken_only_as_what_it_is() {
    let (_directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    writer.slice("numbers").unwrap().fill([1_u64]).unwrap();
    writer.map("map").unwrap().fill([(1_u64, 2_u32)]).unwrap();
    writer.finish().unwrap();
    let file = SharedFile::open(&path).unwrap();

    let kind = |found, expected| FormatProblem::Kind { found, expected };
    let texts = file.get::<SharedStrs>("numbers");
    assert_eq!(problem(texts, "numbers"), kind("a slice", "a list of texts"));
    assert_eq!(problem(file.get::<Shared<[u64]>>("map"), "map"), kind("a map", "a slice"));
    let element = |what, found: &str, expected: &str| {
        let (found, expected) = (found.to_owned(), expected.to_owned());
        FormatProblem::Element { what, found, expected }
    };
    let signed = file.get::<Shared<[i64]>>("numbers");
    assert_eq!(problem(signed, "numbers"), element("type", "u64", "i64"));
    let other_key = file.get::<SharedMap<u32, u32>>("map");
    assert_eq!(problem(other_key, "map"), element("key type", "u64", "u32"));
    let other_value = file.get::<SharedMap<u64, u64>>("map");
    assert_eq!(problem(other_value, "map"), element("value type", "u32", "u64"));

    let absent = file.get::<Shared<[u64]>>("nmubers").unwrap_err().to_string();
    assert!(absent.ends_with("no section \"nmubers\"; its sections: map, numbers"), "{absent}");
    let whole = Shared::<[u64]>::open(&path).unwrap_err().to_string();
    assert!(whole.contains("no section \"data\""), "{whole}");
    assert!(whole.ends_with("map, numbers; take them by name, with SharedFile::open"), "{whole}");
}

#[test]
fn an_entry_is_appended_in_parts_and_has_to_be_ended() {
    let (_directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    let mut reads = writer.bytes("reads").unwrap();
    for part in ["AC", "", "GT"] {
        reads.append(part).unwrap();
    }
    reads.end().unwrap();
    reads.end().unwrap();
    reads.push("T").unwrap();
    assert_eq!(reads.finish().unwrap(), 3);
    let mut lost = writer.bytes("lost").unwrap();
    lost.append("A").unwrap();
    let error = lost.finish().unwrap_err().to_string();
    assert!(
        error.contains("\"lost\"") && error.ends_with("its last entry was not ended"),
        "{error}"
    );

    drop(writer);
    let writer = SharedFile::create(&path).unwrap();
    let mut reads = writer.bytes("reads").unwrap();
    reads.append("AC").unwrap();
    reads.append("GT").unwrap();
    reads.end().unwrap();
    reads.end().unwrap();
    reads.push("T").unwrap();
    reads.finish().unwrap();
    writer.finish().unwrap();
    let reads: SharedBytes = SharedFile::open(&path).unwrap().get("reads").unwrap();
    assert_eq!(reads.iter().collect::<Vec<_>>(), [&b"ACGT"[..], b"", b"T"]);
}

/// Its signposts would be misread.
#[test]
fn a_map_with_the_signposts_of_an_earlier_build_is_refused() {
    let (_directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    writer.map("map").unwrap().fill([(1_u64, 2_u64)]).unwrap();
    writer.finish().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let table = bytes.len() - 4 * 256;
    for entry in bytes[table..].chunks_exact_mut(256) {
        entry[192..196].copy_from_slice(&4_u32.to_le_bytes());
    }
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[table..]);
    bytes[40..48].copy_from_slice(&sum.to_le_bytes());
    let sum = xxhash_rust::xxh3::xxh3_64(&bytes[..4088]);
    bytes[4088..4096].copy_from_slice(&sum.to_le_bytes());
    super::plant(&path, &bytes);
    let file = SharedFile::open(&path).unwrap();
    let kind = FormatProblem::Kind { found: "a map of an earlier build", expected: "a map" };
    assert_eq!(problem(file.get::<SharedMap<u64, u64>>("map"), "map"), kind);
}

#[test]
fn sections_written_in_turn_are_those_written_one_by_one() {
    const ROWS: u64 = 200_000;
    let text = |n: u64| format!("row {}", n * n);
    let (directory, path) = place();
    let other = directory.path().join("in turn.plim");

    let writer = SharedFile::create(&path).unwrap().budget(MIB);
    writer.slice("numbers").unwrap().fill(0..ROWS).unwrap();
    writer.strs("texts").unwrap().fill((0..ROWS).map(text)).unwrap();
    writer.finish().unwrap();

    let steps = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&steps);
    let writer = SharedFile::create(&other).unwrap().budget(MIB).progress(move |progress| {
        told.lock().unwrap().push((progress.section.to_owned(), progress.step, progress.bytes));
    });
    let mut texts = writer.strs("texts").unwrap();
    let mut numbers = writer.slice("numbers").unwrap();
    for n in 0..ROWS {
        numbers.push(&n).unwrap();
        texts.push(text(n)).unwrap();
    }
    // Files for what does not fit have no name, however long they are there.
    assert_eq!(names_in(&directory).len(), 2);
    numbers.finish().unwrap();
    texts.finish().unwrap();
    writer.finish().unwrap();

    let (one, two) = (SharedFile::open(&path).unwrap(), SharedFile::open(&other).unwrap());
    let numbers = |file: &SharedFile| file.get::<Shared<[u64]>>("numbers").unwrap();
    assert!(*numbers(&one) == *numbers(&two));
    let texts = |file: &SharedFile| file.get::<SharedStrs>("texts").unwrap();
    assert!(texts(&one).iter().eq(texts(&two).iter()));
    assert_eq!(&texts(&two)[77], "row 5929");

    let steps = steps.lock().unwrap();
    for wanted in [BuildStep::Write, BuildStep::Copy, BuildStep::Sync] {
        assert!(steps.iter().any(|(_, step, _)| *step == wanted), "{wanted:?}");
    }
    let copied =
        steps.iter().filter(|(section, step, _)| section == "numbers" && *step == BuildStep::Copy);
    assert_eq!(copied.map(|(_, _, bytes)| *bytes).max(), Some(ROWS * 8));
}

#[test]
fn a_map_larger_than_its_budget_is_sorted_all_the_same() {
    // 128 KiB for 4.8 MB of pairs: many runs, merged in several passes.
    const PAIRS: u64 = 300_000;
    let pair = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 100_000, n);
    let (directory, path) = place();
    let merged = Arc::new(Mutex::new(0_usize));
    let told = Arc::clone(&merged);
    let writer = SharedFile::create(&path).unwrap().budget(1).progress(move |progress| {
        *told.lock().unwrap() += usize::from(progress.step == BuildStep::Merge);
    });
    assert_eq!(writer.map("map").unwrap().fill((0..PAIRS).map(pair)).unwrap(), PAIRS);
    writer.finish().unwrap();
    assert!(*merged.lock().unwrap() > 4);

    let mut model: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    (0..PAIRS).map(pair).for_each(|(key, value)| model.entry(key).or_default().push(value));
    let file = SharedFile::open_with(&path, Verify::Payload).unwrap();
    let map: SharedMap<u64, u64> = file.get("map").unwrap();
    for (key, values) in &model {
        assert_eq!(map.get(key), values, "values of one key stay in their order");
    }
    assert!(map.keys().is_sorted() && map.len() == PAIRS as usize);
    assert!(map.get(&100_001).is_empty());
    assert_eq!(names_in(&directory), ["table.plim"]);
}

/// Sorted by the second number, with a prefix that follows the first.
#[derive(Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Crooked(u32, u32);

impl plimsoll::Element for Crooked {
    const NAME: &'static str = "test.Crooked v1";
}

impl Ord for Crooked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.1.cmp(&other.1)
    }
}

impl PartialOrd for Crooked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl plimsoll::Key for Crooked {
    fn prefix(&self) -> u64 {
        self.0.into()
    }
}

#[test]
fn keys_whose_prefixes_do_not_follow_their_order_are_no_keys() {
    let (directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    let pairs = [(Crooked(1, 2), 0_u8), (Crooked(2, 1), 0)];
    match writer.map("map").unwrap().fill(pairs) {
        Err(Error::SharedSection { section, problem, .. }) => {
            assert_eq!((&*section, problem.contains("prefixes")), ("map", true));
        }
        other => panic!("{other:?}"),
    }
    writer.finish().unwrap_err();
    assert!(names_in(&directory).is_empty());
}

#[test]
fn large_sections_begin_where_huge_pages_do() {
    let (_directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    writer.slice("small").unwrap().fill([7_u8]).unwrap();
    writer.slice("large").unwrap().fill((0..1 << 20).map(|n: u32| n)).unwrap();
    writer.slice("last").unwrap().fill([8_u8]).unwrap();
    writer.finish().unwrap();
    let file = SharedFile::open(&path).unwrap();
    let (small, large): (Shared<[u8]>, Shared<[u32]>) =
        (file.get("small").unwrap(), file.get("large").unwrap());
    let apart = large.as_ptr().addr() - small.as_ptr().addr();
    assert_eq!((apart + 4096) % (2 << 20), 0, "{apart}");
    assert_eq!((large[77_777], file.get::<Shared<[u8]>>("last").unwrap()[0]), (77_777, 8));
}

#[test]
fn a_path_that_leads_nowhere_is_told_from_the_root() {
    let here = std::env::current_dir().expect("a test runs somewhere");
    let told = |outcome: Result<(), Error>| outcome.expect_err("there is none").to_string();
    let text = told(SharedFile::open("no-such.plim").map(drop));
    let place = here.join("no-such.plim").display().to_string();
    assert!(text.starts_with(&format!("cannot open {place}: ")), "{text}");
    let text = told(SharedFile::create("no-such-place/a.plim").map(drop));
    let place = here.join("no-such-place").display().to_string();
    assert!(text.starts_with(&format!("cannot create {place}")), "{text}");
    assert!(
        text.ends_with(&format!("; the directory {place} is missing: make it first")),
        "{text}"
    );
}

#[test]
fn what_cannot_be_a_file_is_told_with_its_section() {
    let (directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    let told = |outcome: Result<(), Error>, expected: &str| match outcome.unwrap_err() {
        Error::SharedSection { problem, .. } => assert!(problem.contains(expected), "{problem}"),
        other => panic!("{other}"),
    };
    let unfinished = writer.slice::<u8>("a").unwrap();
    for bad in ["", "a\n", &"n".repeat(65)] {
        told(writer.slice::<u8>(bad).map(drop), "1 to 64 bytes");
    }
    told(writer.strs("a").map(drop), "another has its name");
    drop(unfinished);
    told(writer.finish(), "it was not finished");
    assert!(names_in(&directory).is_empty());
}

#[test]
fn only_what_is_asked_for_is_verified_and_only_if_it_is() {
    let (directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    writer.slice("sound").unwrap().fill([1_u8]).unwrap();
    writer.slice("damaged").unwrap().fill([2_u8]).unwrap();
    writer.finish().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    assert_eq!(bytes[8192], 2);
    bytes[8192] = 3;
    let damaged = directory.path().join("damaged.plim");
    super::plant(&damaged, &bytes);

    let is_damage = |problem| matches!(problem, FormatProblem::PayloadChecksum { .. });
    let file = SharedFile::open(&damaged).unwrap();
    assert_eq!(*file.get::<Shared<[u8]>>("sound").unwrap(), [1]);
    assert!(is_damage(problem(file.get::<Shared<[u8]>>("damaged"), "damaged")));
    assert!(is_damage(problem(file.get::<Shared<[u8]>>("damaged"), "damaged")), "remembered");
    assert!(is_damage(problem(file.verify(), "damaged")));
    let eager = SharedFile::open_with(&damaged, Verify::Payload);
    assert!(is_damage(problem(eager, "damaged")));
    assert!(is_damage(problem(SharedFile::load(&damaged), "damaged")));
    let trusted = SharedFile::open_with(&damaged, Verify::Header).unwrap();
    assert_eq!(*trusted.get::<Shared<[u8]>>("damaged").unwrap(), [3]);
    assert!(is_damage(problem(trusted.verify(), "damaged")));
}

#[test]
fn every_flipped_byte_of_header_and_table_is_told() {
    let (directory, path) = place();
    let writer = SharedFile::create(&path).unwrap();
    writer.map("map").unwrap().fill([(1_u64, 2_u32)]).unwrap();
    writer.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    let table = whole.len() - 3 * 256;
    let damaged = directory.path().join("damaged.plim");
    for at in (0..4096).chain(table..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        super::plant(&damaged, &bytes);
        let Err(Error::SharedFormat { problem, .. }) = SharedFile::open(&damaged) else {
            panic!("byte {at}")
        };
        let expected = match at {
            0..8 => problem == FormatProblem::Magic,
            8..4096 => matches!(problem, FormatProblem::HeaderChecksum { .. }),
            _ => matches!(problem, FormatProblem::TableChecksum { .. }),
        };
        assert!(expected, "byte {at}: {problem}");
    }
}

#[test]
fn another_writer_of_the_path_is_told_and_may_come_later() {
    let (directory, path) = place();
    let first = SharedFile::create(&path).unwrap();
    for _ in 0..2 {
        match SharedFile::create(&path) {
            Err(Error::SharedBusy { path: told, temporary }) => {
                assert_eq!((told, temporary.exists()), (path.clone(), true));
            }
            other => panic!("{other:?}"),
        }
    }
    drop(SharedFile::create(directory.path().join("another.plim")).unwrap());
    first.slice("data").unwrap().fill([1_u8]).unwrap();
    first.finish().unwrap();
    Shared::<[u8]>::write(&path, &[2]).unwrap();
    assert_eq!(*Shared::<[u8]>::open(&path).unwrap(), [2]);
    assert_eq!(names_in(&directory), ["table.plim"]);
}

#[test]
fn progress_is_told_now_and_then_and_up_to_its_end() {
    const PAIRS: u64 = 6 << 20;
    let (_directory, path) = place();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let writer = SharedFile::create(&path).unwrap().budget(32 * MIB).progress(move |at| {
        assert!(at.of.is_none_or(|of| at.bytes <= of), "{at}");
        told.lock().unwrap().push(at.to_string());
    });
    writer.map("by id").unwrap().fill((0..PAIRS).map(|n| (n ^ 0x5555, n as u32))).unwrap();
    writer.strs("names").unwrap().fill((0..200_000).map(|n| format!("name {n:07}"))).unwrap();
    writer.finish().unwrap();
    let lines = lines.lock().unwrap();
    assert!(lines.contains(&"by id: merged 72.0 MiB of 72.0 MiB".to_owned()), "{lines:?}");
    assert!(lines.contains(&"names: written 2.0 MiB".to_owned()), "{lines:?}");
    let of = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((of("by id: merged"), of("by id: written"), of("names: written")), (5, 0, 1));
    assert!(of("by id: sorted") <= 6 && lines.len() < 20, "{lines:?}");
    assert!(lines.last().unwrap().starts_with("all of "), "{lines:?}");
}
