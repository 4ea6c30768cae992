//! Nested data in shared files, by the feature `rkyv`.
#![cfg(feature = "rkyv")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use plimsoll::{Error, FormatProblem, NamedArchive, Shared, SharedArchive, SharedFile, Verify};

#[derive(rkyv::Archive, rkyv::Serialize)]
struct Model {
    layers: Vec<Vec<f32>>,
    vocabulary: BTreeMap<String, u64>,
}

impl NamedArchive for Model {
    const NAME: &'static str = "test.Model v1";
}

#[derive(rkyv::Archive, rkyv::Serialize)]
struct Other {
    layers: Vec<Vec<f32>>,
    vocabulary: BTreeMap<String, u64>,
}

impl NamedArchive for Other {
    const NAME: &'static str = "test.Other v1";
}

fn write(path: &Path) {
    let layers = (0..50).map(|n| vec![n as f32; n]).collect();
    let vocabulary = (0..500).map(|n| (format!("word {n}"), n)).collect();
    let writer = SharedFile::create(path).unwrap();
    writer.slice("before").unwrap().fill([1_u8]).unwrap();
    writer.archive("model", &Model { layers, vocabulary }).unwrap();
    writer.finish().unwrap();
}

#[track_caller]
fn problem<S>(outcome: Result<S, Error>) -> FormatProblem {
    match outcome.map(drop).expect_err("it is refused") {
        Error::SharedFormat { problem: FormatProblem::Section { problem, .. }, .. } => *problem,
        other => panic!("{other}"),
    }
}

#[test]
fn what_was_archived_is_used_where_it_is_mapped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.plim");
    write(&path);
    for file in [SharedFile::open(&path).unwrap(), SharedFile::load(&path).unwrap()] {
        let model: SharedArchive<Model> = file.get("model").unwrap();
        let other = model.clone();
        drop((file, model));
        let last = std::thread::spawn(move || {
            assert_eq!(other.vocabulary.get("word 77").unwrap().to_native(), 77);
            other.layers[49].iter().map(|weight| weight.to_native()).sum::<f32>()
        });
        assert_eq!(last.join().unwrap(), 49.0 * 49.0);
    }
}

#[test]
fn an_archive_is_taken_only_as_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.plim");
    write(&path);
    let file = SharedFile::open(&path).unwrap();
    match problem(file.get::<SharedArchive<Other>>("model")) {
        FormatProblem::Element { what: "type", found, expected } => {
            assert!(found.ends_with(", test.Model v1"), "{found}");
            assert!(expected.ends_with(", test.Other v1"), "{expected}");
        }
        other => panic!("{other}"),
    }
    let kind = FormatProblem::Kind { found: "an archive", expected: "a slice" };
    assert_eq!(problem(file.get::<Shared<[u8]>>("model")), kind);
    let kind = FormatProblem::Kind { found: "a slice", expected: "an archive" };
    assert_eq!(problem(file.get::<SharedArchive<Model>>("before")), kind);
}

/// Also where nobody asks for checksums: safety depends on the validation.
#[test]
fn a_damaged_archive_is_refused_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.plim");
    write(&path);
    let whole = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged.plim");
    let mut refused = 0;
    let archive = 8192..whole.len() - 2 * 256;
    for at in archive.step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x81;
        fs::remove_file(&damaged).ok();
        fs::write(&damaged, &bytes).unwrap();
        let mut permissions = fs::metadata(&damaged).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&damaged, permissions).unwrap();
        let checked = SharedFile::open(&damaged).unwrap();
        let checked = checked.get::<SharedArchive<Model>>("model");
        let unchecked = SharedFile::open_with(&damaged, Verify::Header).unwrap();
        match unchecked.get::<SharedArchive<Model>>("model") {
            Ok(model) => {
                assert!(model.layers.iter().map(|layer| layer.len()).sum::<usize>() < 10_000);
                assert!(model.vocabulary.iter().count() < 10_000);
            }
            Err(error) => {
                assert!(matches!(problem(Err::<(), _>(error)), FormatProblem::Archive { .. }));
                refused += 1;
            }
        }
        // What the archive itself does not notice, the checksum does, but for gaps.
        let in_gap = at >= 8192 + archive_bytes(&path);
        assert!(checked.is_err() || in_gap, "byte {at}");
    }
    assert!(refused > 20, "{refused}");
}

fn archive_bytes(path: &Path) -> usize {
    let file = SharedFile::open(path).unwrap();
    let bytes = file.sections().find(|section| section.name == "model").unwrap().bytes;
    usize::try_from(bytes).unwrap()
}
