//! What must hold of every file that is opened as a shared one, however damaged:
//! called with random ones by the tests below, and by the fuzz target.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use twox_hash::XxHash3_64;

use super::checksum::checksum;
use super::header::{HEADER_BYTES, Header, seal};
use super::section::Section;
use super::table::{self, ENTRY_BYTES, Entry};
use super::{Shared, SharedBytes, SharedFile, SharedMap, SharedStrs, Verify};
use crate::error::{Error, FormatProblem};

/// A file made of `data`: taken as it stands, or as edits of a sound file. It is
/// opened, and each of its sections taken as everything; whatever comes of it, nothing
/// panics, and what is refused is told with the path. The file stays at `path`.
pub(crate) fn file(path: &Path, data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let base = base(path);
    let mut bytes = if mode & 1 == 0 { data.to_vec() } else { edited(base, data) };
    // What does not bear right checksums is refused before it is looked at.
    if mode & 2 != 0 {
        reseal(&mut bytes, mode & 4 != 0, mode & 8 != 0);
    }
    plant(path, &bytes);
    let opened = open(path, SharedFile::open(path), &bytes);
    let loaded = open(path, SharedFile::load(path), &bytes);
    if let Some(loaded) = loaded {
        assert!(opened.is_some(), "what can be copied can be mapped");
        takes_all(&loaded);
    }
    if let Some(opened) = opened {
        // Verified only as it is asked for, so each has a file of its own.
        takes_all(&opened);
        takes_all(&SharedFile::open_with(path, Verify::Header).expect("it was opened before"));
    }
    if mode & 3 == 1 && differs(base, &bytes) {
        let eager = SharedFile::open_with(path, Verify::Payload);
        refused(path, &eager.expect_err("damage is noticed"));
    }
}

/// A sound file with a section of each kind.
fn base(path: &Path) -> &'static [u8] {
    static BASE: OnceLock<Vec<u8>> = OnceLock::new();
    BASE.get_or_init(|| {
        let path = path.with_extension("base");
        let written = || {
            let writer = SharedFile::create(&path)?;
            writer.slice("n")?.fill([1_u64, 2, 3, 4, 5, 6])?;
            writer.bytes("b")?.fill([&b"AC"[..], b"", b"GT\xff"])?;
            writer.strs("s")?.fill(["one", "zwölf", ""])?;
            writer.map("m")?.fill((0..40_u64).map(|n| ((n * n % 23) << 40, n)))?;
            writer.slice::<u32>("empty")?.finish()?;
            writer.finish()
        };
        written().expect("the directory can be written to");
        fs::read(&path).expect("it was written")
    })
}

/// A file after edits, each of four bytes: where (two), what, with which.
fn edited(base: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for edit in edits.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        match (edit[2] % 5, at < bytes.len()) {
            (0, true) => bytes[at] ^= edit[3],
            (1, true) => bytes.truncate(at),
            (2, _) => bytes.extend(std::iter::repeat_n(edit[3], at % 16)),
            (3, true) => bytes[at] = edit[3],
            // So that the table, at the end, is as near as the header.
            (4, _) if (1..=bytes.len()).contains(&at) => {
                let end = bytes.len();
                bytes[end - at] ^= edit[3];
            }
            _ => {}
        }
    }
    bytes
}

/// Corrects the checksum of the header; if asked for, before that the one of the table,
/// and before that those of the sections, as far as the header leads to a table.
fn reseal(bytes: &mut [u8], table: bool, sections: bool) {
    let Some(head) = bytes.first_chunk_mut::<HEADER_BYTES>() else { return };
    seal(head);
    let Ok(mut header) = Header::decode(bytes, bytes.len() as u64) else { return };
    let start = header.table as usize;
    if sections && let Ok(entries) = table::decode(&bytes[start..], header.table) {
        for (at, entry) in entries.iter().enumerate() {
            let sum = checksum(array(bytes, entry)).to_le_bytes();
            let field = start + at * ENTRY_BYTES + table::AT_CHECKSUM;
            bytes[field..field + sum.len()].copy_from_slice(&sum);
        }
    }
    if table {
        header.table_checksum = XxHash3_64::oneshot(&bytes[start..]);
        bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    }
}

fn array<'a>(bytes: &'a [u8], entry: &Entry) -> &'a [u8] {
    &bytes[entry.offset as usize..][..entry.bytes() as usize]
}

/// Whether the files differ in what is looked at, which gaps are not.
fn differs(base: &[u8], bytes: &[u8]) -> bool {
    let header = Header::decode(base, base.len() as u64).expect("the base is sound");
    let table = header.table as usize;
    let entries = table::decode(&base[table..], header.table).expect("the base is sound");
    let same = |range: std::ops::Range<usize>| base.get(range.clone()) == bytes.get(range);
    base.len() != bytes.len()
        || !same(0..HEADER_BYTES)
        || !same(table..base.len())
        || entries.iter().any(|entry| array(base, entry) != array(bytes, entry))
}

/// The file, unless it is refused, which has to be with its path.
fn open(path: &Path, outcome: Result<SharedFile, Error>, bytes: &[u8]) -> Option<SharedFile> {
    match outcome {
        Ok(file) => {
            assert_eq!(file.size_bytes(), bytes.len() as u64);
            Some(file)
        }
        Err(error) => {
            refused(path, &error);
            None
        }
    }
}

fn refused(path: &Path, error: &Error) -> FormatProblem {
    let Error::SharedFormat { path: named, problem } = error else { panic!("{error}") };
    assert_eq!(named, path);
    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    problem.clone()
}

fn takes_all(file: &SharedFile) {
    let names: Vec<String> = file.sections().map(|section| section.name.to_owned()).collect();
    let absent = "no such section".to_owned();
    for name in names.iter().chain([&absent]) {
        if let Some(slice) = take::<Shared<[u64]>>(file, name) {
            assert_eq!(slice.iter().count() as u64 * 8, slice.size_bytes());
        }
        if let Some(slice) = take::<Shared<[u8]>>(file, name) {
            assert_eq!(slice.len() as u64, slice.size_bytes());
        }
        take::<Shared<[[u16; 3]]>>(file, name);
        if let Some(list) = take::<SharedBytes>(file, name) {
            let found = (0..=list.len()).filter(|at| list.get(*at).is_some()).count();
            assert!(list.iter().count() <= found && found <= list.len());
        }
        if let Some(list) = take::<SharedStrs>(file, name) {
            let found = (0..=list.len()).filter(|at| list.get(*at).is_some()).count();
            assert!(list.iter().count() <= found && found <= list.len());
        }
        if let Some(map) = take::<SharedMap<u64, u64>>(file, name) {
            let others = [0, 1, u64::MAX];
            for key in map.keys().iter().chain(&others) {
                assert_eq!(map.get(key).len(), map.range(key).len().min(map.get(key).len()));
            }
        }
    }
}

fn take<S: Section>(file: &SharedFile, name: &str) -> Option<S> {
    match file.get(name) {
        Ok(section) => Some(section),
        Err(error) => {
            match refused(file.path(), &error) {
                FormatProblem::NoSection { name: named, .. } => assert_eq!(named, name),
                FormatProblem::Section { name: named, .. } => assert_eq!(named, name),
                other => panic!("{other}"),
            }
            None
        }
    }
}

/// A read-only file, as shared ones are.
fn plant(path: &Path, bytes: &[u8]) {
    // Not there is as good.
    drop(fs::remove_file(path));
    fs::write(path, bytes).expect("the directory can be written to");
    let mut permissions = fs::metadata(path).expect("it was written").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).expect("it is ours");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(data: &[u8]) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        file(&directory.path().join("a.plim"), data);
    }

    #[test]
    fn the_seeds_hold() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds/file");
        let seeds = fs::read_dir(folder).expect("there are seeds");
        let held = seeds.map(|seed| {
            check(&fs::read(seed.expect("a seed").path()).expect("a seed is a file"));
        });
        assert!(held.count() >= 3);
    }

    /// The oracle itself: what it takes for different is, and what it reseals is sound.
    #[test]
    fn a_resealed_file_is_sound() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a.plim");
        let base = base(&path);
        assert!(!differs(base, base) && differs(base, &base[1..]));
        let mut bytes = edited(base, &[0, 16, 0, 1]);
        assert!(differs(base, &bytes) && bytes[4096] == base[4096] ^ 1);
        reseal(&mut bytes, true, true);
        plant(&path, &bytes);
        let file = SharedFile::open_with(&path, Verify::Payload).expect("it is resealed");
        assert_eq!(file.get::<Shared<[u64]>>("n").expect("it is sound")[0], 0);
        assert!(bytes.len() + ENTRY_BYTES < usize::from(u16::MAX), "edits reach everything");
    }

    /// An edit of the header, the table, or anything.
    fn edit() -> impl Strategy<Value = Vec<u8>> {
        let what = prop_oneof![Just(0_u8), Just(4), any::<u8>()];
        let at =
            prop_oneof![0..60_u16, 0..2200_u16, any::<u16>(), (1..10_u16).prop_map(|n| n << 12)];
        let edit = (at, what, prop_oneof![Just(0), Just(1), any::<u8>()]);
        edit.prop_map(|(at, what, with)| [&at.to_le_bytes()[..], &[what, with]].concat())
    }

    proptest! {
        #[test]
        fn whatever_is_damaged_nothing_panics(
            mode in prop_oneof![Just(1_u8), Just(3_u8), Just(7), Just(15)],
            edits in prop::collection::vec(edit(), 0..4),
        ) {
            check(&[vec![mode], edits.concat()].concat());
        }

        #[test]
        fn every_other_file_is_refused_with_the_path(
            data in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            check(&[vec![0], data].concat());
        }
    }
}
