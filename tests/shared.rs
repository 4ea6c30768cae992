//! Shared files from the outside: every kind of damage, several processes,
//! writers that race and writers that are killed.

#[path = "shared/processes.rs"]
mod processes;
#[path = "shared/sections.rs"]
mod sections;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use plimsoll::{Element, Error, FormatProblem, Shared, SharedWriter, Verify};
use tempfile::TempDir;

const HEADER: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Row {
    key: u64,
    start: u32,
    length: u32,
}

impl Element for Row {
    const NAME: &'static str = "test.Row v1";
}

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(4096))]
struct Page([u8; 4096]);

impl Element for Page {
    const NAME: &'static str = "test.Page v1";
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.plim");
    (directory, path)
}

/// A read-only file of these bytes, as a copy of a shared file would be.
fn plant(path: &Path, bytes: &[u8]) {
    let mut temporary = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    temporary.write_all(bytes).unwrap();
    let mut permissions = temporary.as_file().metadata().unwrap().permissions();
    permissions.set_readonly(true);
    temporary.as_file().set_permissions(permissions).unwrap();
    drop(temporary.persist(path).unwrap());
}

fn problem<T>(outcome: Result<Shared<[T]>, Error>) -> FormatProblem {
    match outcome.expect_err("the file is not usable") {
        Error::SharedFormat { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

fn names_in(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn round_trip<T: Element + PartialEq + std::fmt::Debug>(elements: &[T]) {
    let (_directory, path) = place();
    Shared::<[T]>::write(&path, elements).unwrap();
    for verify in [Verify::Auto, Verify::Header, Verify::FirstUse, Verify::Payload] {
        let opened = Shared::<[T]>::open_with(&path, verify).unwrap();
        assert_eq!(&*opened, elements);
        assert_eq!(opened.path(), Some(&*path));
        assert_eq!(opened.size_bytes(), size_of_val(elements) as u64);
        assert!(opened.is_mapped());
    }
    let loaded = Shared::<[T]>::load(&path).unwrap();
    assert_eq!(&*loaded, elements);
    assert_eq!((loaded.is_mapped(), loaded.size_bytes()), (false, size_of_val(elements) as u64));
}

#[test]
fn what_was_written_is_read() {
    round_trip::<u8>(b"ACGT!");
    round_trip::<u64>(&[0, 1, u64::MAX]);
    round_trip::<i128>(&[-1, 7]);
    round_trip::<[f32; 3]>(&[[1.0, 2.0, 3.0], [0.5; 3]]);
    round_trip(&[Row { key: 1, start: 2, length: 3 }; 1000]);
    round_trip::<u64>(&[]);
    round_trip::<Row>(&[]);
    round_trip(&(0..1_000_000_u32).collect::<Vec<_>>());
}

#[test]
fn elements_as_large_as_a_page_are_aligned_to_it() {
    let (_directory, path) = place();
    Shared::<[Page]>::write(&path, &[Page([1; 4096]), Page([2; 4096])]).unwrap();
    let pages = Shared::<[Page]>::open(&path).unwrap();
    assert_eq!(pages.as_ptr().addr() % 4096, 0);
    assert_eq!((pages[0].0[0], pages[1].0[4095], pages.len()), (1, 2, 2));
    let copy = Shared::<[Page]>::load(&path).unwrap();
    assert_eq!((copy.as_ptr().addr() % 4096, copy[1].0[0]), (0, 2));
}

#[test]
fn pieces_make_the_file_that_one_piece_makes() {
    let (directory, path) = place();
    let elements: Vec<u64> = (0..100_000).map(|n| n * 7).collect();
    Shared::<[u64]>::write(&path, &elements).unwrap();
    let pieces = directory.path().join("pieces.plim");
    let mut writer = SharedWriter::<u64>::create(&pieces).unwrap();
    let (singly, rest) = elements.split_at(1000);
    singly.iter().for_each(|one| writer.extend_from_slice(&[*one]).unwrap());
    rest.chunks(33_333).for_each(|piece| writer.extend_from_slice(piece).unwrap());
    assert_eq!(writer.finish().unwrap(), 100_000);
    assert!(fs::read(&path).unwrap() == fs::read(&pieces).unwrap());
}

#[test]
fn a_clone_is_the_same_memory_and_outlives_the_file() {
    fn assert_sendable<T: Send + Sync + Clone + 'static>(_: &T) {}

    let (directory, path) = place();
    Shared::<[u64]>::write(&path, &[1, 2, 3]).unwrap();
    let first = Shared::<[u64]>::open(&path).unwrap();
    assert_sendable(&first);
    let second = first.clone();
    assert_eq!(first.as_ptr(), second.as_ptr());
    drop((first, directory));
    assert_eq!(*second, [1, 2, 3]);
    let text = format!("{second:?}");
    assert!(text.contains("u64") && text.contains("size_bytes: 24"), "{text}");
}

#[test]
fn another_type_is_refused_by_name() {
    let (_directory, path) = place();
    Shared::<[u64]>::write(&path, &[1, 2]).unwrap();
    let differs = |expected: &str| FormatProblem::Element {
        what: "type",
        found: "u64".to_owned(),
        expected: expected.to_owned(),
    };
    assert_eq!(problem(Shared::<[i64]>::open(&path)), differs("i64"));
    assert_eq!(problem(Shared::<[f64]>::open(&path)), differs("f64"));
    assert_eq!(problem(Shared::<[[u32; 2]]>::open(&path)), differs("[u32; 2]"));
    assert_eq!(problem(Shared::<[[u64; 1]]>::open(&path)), differs("[u64; 1]"));
    assert_eq!(problem(Shared::<[Row]>::load(&path)), differs("test.Row v1"));
}

#[test]
fn a_row_of_another_size_is_refused_though_its_name_is_the_same() {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Grown([u64; 3]);
    impl Element for Grown {
        const NAME: &'static str = Row::NAME;
    }
    let (_directory, path) = place();
    Shared::write(&path, &[Row { key: 1, start: 2, length: 3 }; 3][..]).unwrap();
    let (found, expected) = ("16".to_owned(), "24".to_owned());
    let size = FormatProblem::Element { what: "size", found, expected };
    assert_eq!(problem(Shared::<[Grown]>::open(&path)), size);
}

#[test]
fn every_truncation_is_noticed() {
    let (directory, path) = place();
    Shared::<[u64]>::write(&path, &[3; 4]).unwrap();
    let whole = fs::read(&path).unwrap();
    let cut = directory.path().join("cut.plim");
    let mut file = fs::File::create(&cut).unwrap();
    file.write_all(&whole).unwrap();
    for length in (0..whole.len()).rev() {
        file.set_len(length as u64).unwrap();
        let (found, recorded) = (length as u64, whole.len() as u64);
        let expected = if length < HEADER {
            FormatProblem::TooShort { length: found, header: HEADER as u64 }
        } else {
            FormatProblem::Length { found, recorded }
        };
        assert_eq!(problem(Shared::<[u64]>::open(&cut)), expected);
        assert_eq!(problem(Shared::<[u64]>::load(&cut)), expected);
    }
    let grown = [&*whole, &[0; 8]].concat();
    plant(&cut, &grown);
    let recorded = whole.len() as u64;
    let expected = FormatProblem::Length { found: recorded + 8, recorded };
    assert_eq!(problem(Shared::<[u64]>::open(&cut)), expected);
}

#[test]
fn every_flipped_bit_of_the_payload_is_noticed_when_it_is_verified() {
    let (directory, path) = place();
    Shared::<[u64]>::write(&path, &[1, 2, 3]).unwrap();
    let whole = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged.plim");
    for bit in HEADER * 8..(HEADER + 24) * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        plant(&damaged, &bytes);
        for outcome in [
            Shared::<[u64]>::open(&damaged),
            Shared::open_with(&damaged, Verify::Payload),
            Shared::load(&damaged),
        ] {
            assert!(matches!(problem(outcome), FormatProblem::PayloadChecksum { .. }));
        }
        let trusted = Shared::<[u64]>::open_with(&damaged, Verify::Header).unwrap();
        assert_ne!(*trusted, [1, 2, 3]);
    }
}

#[test]
fn what_is_no_shared_file_is_told_as_what_it_is() {
    let (directory, path) = place();
    let missing = Shared::<[u64]>::open(&path).unwrap_err();
    match &missing {
        Error::SharedIo { action: "open", source, .. } => {
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other}"),
    }
    assert!(missing.to_string().contains("table.plim"), "{missing}");

    plant(&path, b"");
    let empty = FormatProblem::TooShort { length: 0, header: 4096 };
    assert_eq!(problem(Shared::<[u64]>::open(&path)), empty);
    plant(&path, b"name,mass\n");
    assert_eq!(problem(Shared::<[u64]>::open(&path)), FormatProblem::Magic);
    plant(&path, &[0; 10_000]);
    assert_eq!(problem(Shared::<[u64]>::open(&path)), FormatProblem::Magic);
    let folder = FormatProblem::NotAFile { found: "directory" };
    assert_eq!(problem(Shared::<[u64]>::open(directory.path())), folder);
    #[cfg(unix)]
    {
        let device = FormatProblem::NotAFile { found: "special file" };
        assert_eq!(problem(Shared::<[u64]>::open("/dev/zero")), device);
    }
}

#[test]
fn a_writer_that_does_not_finish_leaves_no_trace() {
    let (directory, path) = place();
    Shared::<[u64]>::write(&path, &[1]).unwrap();
    let mut writer = SharedWriter::<u64>::create(&path).unwrap();
    writer.extend_from_slice(&[9; 100_000]).unwrap();
    assert_eq!(names_in(&directory).len(), 2);
    drop(writer);
    assert_eq!(names_in(&directory), ["table.plim"]);
    assert_eq!(*Shared::<[u64]>::open(&path).unwrap(), [1]);

    // A directory takes the place while the writer is at work.
    let taken = directory.path().join("taken.plim");
    let writer = SharedWriter::<u64>::create(&taken).unwrap();
    fs::create_dir(&taken).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, Error::SharedIo { action: "give its name to", .. }), "{error}");
    assert_eq!(names_in(&directory).len(), 2);
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_is_written() {
    let (directory, path) = place();
    for bad in [Path::new(""), Path::new("/"), directory.path(), &path.join("below.plim")] {
        let error = SharedWriter::<u64>::create(bad).unwrap_err();
        assert!(matches!(error, Error::SharedIo { action: "create", .. }), "{error}");
    }
    assert!(names_in(&directory).is_empty());
}

#[test]
#[cfg(unix)]
fn the_file_is_read_only() {
    use std::os::unix::fs::PermissionsExt;

    let (_directory, path) = place();
    Shared::<[u64]>::write(&path, &[1]).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    // The umask may take more away.
    assert_eq!((mode & 0o222, mode & 0o400), (0, 0o400));
}

#[test]
fn a_reader_keeps_what_it_opened_while_the_file_is_rebuilt() {
    let (directory, path) = place();
    Shared::<[u64]>::write(&path, &[0; 5000]).unwrap();
    let mut readers = Vec::new();
    for round in 1..20_u64 {
        readers.push((round - 1, Shared::<[u64]>::open(&path).unwrap()));
        Shared::<[u64]>::write(&path, &vec![round; 5000 - round as usize]).unwrap();
    }
    for (round, reader) in readers {
        assert_eq!(reader.len(), 5000 - round as usize);
        assert!(reader.iter().all(|value| *value == round));
    }
    assert_eq!(names_in(&directory), ["table.plim"]);
}

#[test]
fn of_racing_writers_one_wins_whole_and_the_others_are_told() {
    let (directory, path) = place();
    Shared::<[u64]>::write(&path, &[0; 10]).unwrap();
    std::thread::scope(|scope| {
        for writer in 1..=4_u64 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..25 {
                    match Shared::<[u64]>::write(path, &vec![writer; 10 + writer as usize]) {
                        Ok(()) => {}
                        Err(Error::SharedBusy { path: told, .. }) => assert_eq!(told, *path),
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        for _ in 0..200 {
            let seen = Shared::<[u64]>::open(&path).unwrap();
            assert_eq!(seen.len() as u64, 10 + seen[0]);
            assert!(seen.iter().all(|value| *value == seen[0]));
        }
    });
    assert_eq!(names_in(&directory), ["table.plim"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_descriptor_from_before_the_seal_is_noticed() {
    let (_directory, path) = place();
    Shared::<[u64]>::write(&path, &[1, 2]).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut writer = fs::File::create(&path).unwrap();
    writer.write_all(&bytes).unwrap();
    let mut permissions = writer.metadata().unwrap().permissions();
    permissions.set_readonly(true);
    writer.set_permissions(permissions).unwrap();
    assert_eq!(problem(Shared::<[u64]>::open(&path)), FormatProblem::OpenForWriting);
    // Copied, it may change as it likes.
    let copy = Shared::<[u64]>::load(&path).unwrap();
    writer.seek(SeekFrom::Start(HEADER as u64)).unwrap();
    writer.write_all(&[0xff; 16]).unwrap();
    assert_eq!(*copy, [1, 2]);
}

// What other processes do: this program again, with one test and a task for it.

const TASK: &str = "PLIMSOLL_TEST_SHARED_TASK";
const TASK_PATH: &str = "PLIMSOLL_TEST_SHARED_PATH";

fn start(task: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_another_process", "--nocapture"])
        .env(TASK, task)
        .env(TASK_PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn in_another_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let path = PathBuf::from(std::env::var_os(TASK_PATH).unwrap());
    match &*task {
        "sum" => {
            let table = Shared::<[u64]>::open(&path).unwrap();
            println!("the sum is {};", table.iter().sum::<u64>());
        }
        "rewrite" => {
            // Bounded, should nobody be left to end it.
            for round in 1..=10_000 {
                Shared::<[u64]>::write(&path, &vec![round; 200_000]).unwrap();
            }
        }
        other => panic!("{other}"),
    }
}

#[test]
fn processes_share_one_file() {
    let (_directory, path) = place();
    Shared::<[u64]>::write(&path, &(0..100_000).collect::<Vec<_>>()).unwrap();
    let table = Shared::<[u64]>::open(&path).unwrap();
    let expected = format!("the sum is {};", table.iter().sum::<u64>());
    let children: Vec<_> = (0..3).map(|_| start("sum", &path)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(&expected), "{text}");
    }
}

#[test]
fn a_killed_writer_harms_nobody() {
    let (_directory, path) = place();
    for _ in 0..5 {
        Shared::<[u64]>::write(&path, &[0; 200_000]).unwrap();
        let mut child = start("rewrite", &path);
        // Killed when it has written at least once, at no chosen moment.
        while Shared::<[u64]>::open(&path).unwrap()[0] == 0 {
            assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let table = Shared::<[u64]>::open_with(&path, Verify::Payload).unwrap();
        assert_eq!(table.len(), 200_000);
        assert!(table.iter().all(|value| *value == table[0]));
    }
}
