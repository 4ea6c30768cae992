//! What shared files are refused for.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::{Error, FormatProblem};
use crate::{HandOver, Shared, SharedBytes, SharedFile, SharedStrs, Verify};

/// All variants of `FormatProblem`: see `VARIANTS`.
pub(super) const PROBLEMS: [&str; 19] = [
    "TooShort",
    "Magic",
    "HeaderChecksum",
    "Version",
    "Endianness",
    "Element",
    "Length",
    "TableChecksum",
    "Table",
    "NoSection",
    "Kind",
    "Structure",
    "Archive",
    "Section",
    "AnotherFile",
    "NotAFile",
    "Writable",
    "OpenForWriting",
    "PayloadChecksum",
];

/// The variant's name, and that of the problem within.
pub(super) fn names(problem: &FormatProblem) -> Vec<&'static str> {
    let name = match problem {
        FormatProblem::TooShort { .. } => "TooShort",
        FormatProblem::Magic => "Magic",
        FormatProblem::HeaderChecksum { .. } => "HeaderChecksum",
        FormatProblem::Version { .. } => "Version",
        FormatProblem::Endianness { .. } => "Endianness",
        FormatProblem::Element { .. } => "Element",
        FormatProblem::Length { .. } => "Length",
        FormatProblem::TableChecksum { .. } => "TableChecksum",
        FormatProblem::Table { .. } => "Table",
        FormatProblem::NoSection { .. } => "NoSection",
        FormatProblem::Kind { .. } => "Kind",
        FormatProblem::Structure { .. } => "Structure",
        FormatProblem::Archive { .. } => "Archive",
        FormatProblem::Section { problem, .. } => {
            return [vec!["Section"], names(problem)].concat();
        }
        FormatProblem::AnotherFile { .. } => "AnotherFile",
        FormatProblem::NotAFile { .. } => "NotAFile",
        FormatProblem::Writable { .. } => "Writable",
        FormatProblem::OpenForWriting => "OpenForWriting",
        FormatProblem::PayloadChecksum { .. } => "PayloadChecksum",
    };
    vec![name]
}

/// All that a folder without files brings about.
pub(super) fn all(folder: &Path) -> Vec<Error> {
    let mut errors = of_writers(&folder.join("table.plim"));
    errors.extend(of_requests(folder));
    errors.extend(of_bytes(folder));
    errors.extend(of_permissions(folder));
    errors
}

/// Writes the file that the others go by.
fn of_writers(path: &Path) -> Vec<Error> {
    let writer = SharedFile::create(path).expect("it can be begun");
    let busy = SharedFile::create(path).expect_err("there is one");
    writer.slice("lengths").and_then(|slice| slice.fill([4_u64, 5])).expect("it can be written");
    let Err(taken) = writer.slice::<u64>("lengths") else { panic!("the name is taken") };
    writer.finish().expect("it can be finished");
    let nowhere = path.with_file_name("none").join("table.plim");
    vec![busy, taken, SharedFile::create(nowhere).expect_err("there is no such directory")]
}

/// What cannot be had of a sound file, or of none.
fn of_requests(folder: &Path) -> Vec<Error> {
    let file = SharedFile::open(folder.join("table.plim")).expect("it is there");
    let refused = |error: Option<Error>| error.expect("it is refused");
    let line = file.hand_over().to_string();
    let mut parts: Vec<_> = line.split(':').collect();
    parts[3] = "1000";
    let another: HandOver = parts.join(":").parse().expect("it is a line");
    vec![
        SharedFile::open(folder.join("missing.plim")).expect_err("there is none"),
        refused(file.get::<Shared<[u64]>>("weights").err()),
        refused(file.get::<Shared<[u32]>>("lengths").err()),
        refused(file.get::<SharedStrs>("lengths").err()),
        SharedFile::open(folder).expect_err("a directory is no file"),
        "nonsense".parse::<HandOver>().expect_err("it is none"),
        another.open().expect_err("its length is another"),
    ]
}

/// A copy of the file with other bytes, that nobody may write to.
fn changed(folder: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let path = folder.join(name);
    let mut bytes = fs::read(folder.join("table.plim")).expect("it is there");
    change(&mut bytes);
    fs::write(&path, bytes).expect("it can be written");
    set_mode(&path, 0o444);
    path
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Puts the checksums of table and header right, as a faulty writer would: see the formats
/// in `shared/header.rs` and `shared/table.rs`.
fn sealed(bytes: &mut [u8]) {
    let table = table_of(bytes);
    let checksum = XxHash3_64::oneshot(&bytes[table..]).to_le_bytes();
    bytes[40..48].copy_from_slice(&checksum);
    let checksum = XxHash3_64::oneshot(&bytes[..4_088]).to_le_bytes();
    bytes[4_088..4_096].copy_from_slice(&checksum);
}

/// Where the section table begins.
fn table_of(bytes: &[u8]) -> usize {
    u64::from_le_bytes(*bytes[24..].first_chunk().expect("a header")) as usize
}

/// Files whose bytes are not what they should be.
fn of_bytes(folder: &Path) -> Vec<Error> {
    let opened = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = changed(folder, name, change);
        SharedFile::open_with(path, Verify::Payload).expect_err("it is not usable")
    };
    let put = |at: usize, byte: u8| {
        move |bytes: &mut Vec<u8>| {
            bytes[at] = byte;
            sealed(bytes);
        }
    };
    let incomplete = changed(folder, "incomplete.plim", |bytes| {
        // The slice is told to be a list, which has a second array.
        let kind = table_of(bytes) + 192;
        bytes[kind] = 2;
        sealed(bytes);
    });
    let incomplete = SharedFile::open(incomplete).expect("that is seen later");
    vec![
        opened("empty.plim", &|bytes| bytes.clear()),
        opened("foreign.plim", &|bytes| bytes[0] = b'#'),
        opened("cut.plim", &|bytes| bytes.truncate(4_100)),
        opened("flipped.plim", &|bytes| bytes[100] ^= 1),
        opened("damaged.plim", &|bytes| bytes[4_096] ^= 1),
        opened("newer.plim", &put(8, 3)),
        // 1 is little, 2 is big.
        opened("other.plim", &put(12, if cfg!(target_endian = "little") { 2 } else { 1 })),
        opened("table.plim.flipped", &|bytes| *bytes.last_mut().expect("a table") ^= 1),
        opened("senseless.plim", &put(32, 3)),
        incomplete.get::<SharedBytes>("lengths").expect_err("a part is missing"),
    ]
}

/// Files that may change.
fn of_permissions(folder: &Path) -> Vec<Error> {
    let open = changed(folder, "open.plim", |_| ());
    set_mode(&open, 0o644);
    let written = changed(folder, "written.plim", |_| ());
    set_mode(&written, 0o644);
    let _writer = OpenOptions::new().append(true).open(&written).expect("it is ours");
    set_mode(&written, 0o444);
    vec![
        SharedFile::open(&open).expect_err("it may change"),
        SharedFile::open(&written).expect_err("it may change"),
    ]
}
