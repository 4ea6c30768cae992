//! Several processes: one copy in memory, files handed over, builders that are killed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use plimsoll::{Error, FormatProblem, HandOver, Shared, SharedFile, SharedMap, SharedStrs, Verify};

use super::{names_in, place};

const TASK: &str = "PLIMSOLL_TEST_SECTIONS_TASK";
const GIVEN: &str = "PLIMSOLL_TEST_SECTIONS_GIVEN";

/// Rows of what the builder builds; some MiB.
const ROWS: u64 = 100_000;

fn command(task: &str, given: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = "processes::in_another_process_with_sections";
    command.args(["--exact", test, "--nocapture"]).env(TASK, task).env(GIVEN, given);
    command.stdout(Stdio::piped());
    command
}

#[test]
fn in_another_process_with_sections() {
    let Ok(task) = std::env::var(TASK) else { return };
    let given = std::env::var(GIVEN).unwrap();
    match &*task {
        "build" => {
            // Bounded, should nobody be left to end it.
            for round in 1..=1_000 {
                build(given.as_ref(), round).unwrap();
            }
        }
        #[cfg(target_os = "linux")]
        "build within a budget" => {
            let before = most_resident();
            build_map(given.as_ref());
            println!("\nsum={}", most_resident() - before);
        }
        "sum" => {
            let file = given.parse::<HandOver>().unwrap().open().unwrap();
            tell_sum(&file.get("numbers").unwrap());
        }
        #[cfg(unix)]
        "sum of standard input" => {
            use std::os::fd::AsFd;
            let descriptor = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
            let file = SharedFile::from_file(descriptor.into(), Verify::Header).unwrap();
            tell_sum(&file.get("numbers").unwrap());
        }
        other => panic!("{other}"),
    }
}

/// 1 MiB of budget for 24 MiB of map.
fn build_map(path: &Path) {
    let writer = SharedFile::create(path).unwrap().budget(1 << 20);
    let pairs = (0..1_500_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n));
    writer.map("map").unwrap().fill(pairs).unwrap();
    writer.finish().unwrap();
}

/// The most bytes this process ever had resident.
#[cfg(target_os = "linux")]
fn most_resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

#[test]
#[cfg(target_os = "linux")]
fn a_map_is_built_within_its_budget() {
    let (_directory, path) = place();
    let mut child = command("build within a budget", &path).spawn().unwrap();
    let more = sum_of(&mut child);
    assert!(child.wait().unwrap().success());
    // The budget, and what the allocator and the stack take.
    assert!(more < 4 << 20, "{more} bytes more than before");
    let map: SharedMap<u64, u64> = SharedFile::open(&path).unwrap().get("map").unwrap();
    assert_eq!((map.len(), map.get(&0)), (1_500_000, &[0][..]));
}

/// Tells the sum of all, and then waits for a line, the data still mapped.
fn tell_sum(numbers: &Shared<[u64]>) {
    println!("\nsum={}", numbers.iter().sum::<u64>());
    std::io::stdout().flush().unwrap();
    drop(std::io::stdin().read_line(&mut String::new()));
    assert!(!numbers.is_empty());
}

/// What the child tells. Its standard output is left open: it may still want to write.
fn sum_of(child: &mut Child) -> u64 {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.find_map(|line| line.unwrap().strip_prefix("sum=").map(str::to_owned));
    std::thread::spawn(move || lines.for_each(drop));
    told.expect("the child tells its sum").parse().unwrap()
}

fn with_numbers(path: &Path, numbers: u64) -> u64 {
    let writer = SharedFile::create(path).unwrap();
    writer.slice("numbers").unwrap().fill(0..numbers).unwrap();
    writer.finish().unwrap();
    (0..numbers).sum()
}

/// A field of `/proc/<pid>/smaps_rollup`, bytes.
#[cfg(target_os = "linux")]
fn field(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).trim().parse::<u64>().unwrap() << 10
}

/// Starts some that sum, and returns them with what they wait for.
fn summing(count: usize, handed: &HandOver, expected: u64) -> Vec<(Child, ChildStdin)> {
    let start = |_| {
        let mut child = command("sum", handed.to_string()).stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        assert_eq!(sum_of(&mut child), expected);
        (child, stdin)
    };
    (0..count).map(start).collect()
}

fn end(children: Vec<(Child, ChildStdin)>) {
    for (mut child, stdin) in children {
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn many_processes_hold_one_copy() {
    const BYTES: u64 = 64 << 20;
    const PROCESSES: u64 = 4;
    let (_directory, path) = place();
    let expected = with_numbers(&path, BYTES / 8);
    let mapped = SharedFile::open(&path).unwrap();
    let sealed = SharedFile::seal(&path).unwrap();
    // Pages of a mapped file count as file, those of a memfd as shared memory.
    for (file, field_of) in [(mapped, "Pss_File"), (sealed, "Pss_Shmem")] {
        let children = summing(PROCESSES as usize, &file.hand_over(), expected);
        let sum = |name| children.iter().map(|(child, _)| field(child.id(), name)).sum::<u64>();
        let (resident, proportional) = (sum("Rss"), sum(field_of));
        assert!(resident >= PROCESSES * BYTES, "each has touched all: {resident}");
        // Programs and libraries are shared as well, and small.
        assert!(proportional < BYTES + (16 << 20), "{field_of}: {proportional}");
        end(children);
    }
}

#[test]
fn a_file_that_was_replaced_is_not_the_one_handed_over() {
    let (directory, path) = place();
    with_numbers(&path, 1000);
    let file = SharedFile::open(&path).unwrap();
    let handed: HandOver = file.hand_over().to_string().parse().unwrap();
    assert_eq!((handed.path(), handed.open().is_ok()), (&*path, true));

    // The old file is kept, so that its inode is not used again.
    fs::hard_link(&path, directory.path().join("kept.plim")).unwrap();
    with_numbers(&path, 1000);
    let Err(Error::SharedFormat { problem: FormatProblem::AnotherFile { what, .. }, .. }) =
        handed.open()
    else {
        panic!("it is another file")
    };
    assert_eq!(what, "inode");
    assert_eq!(file.get::<Shared<[u64]>>("numbers").unwrap().len(), 1000);
}

#[test]
#[cfg(target_os = "linux")]
fn a_sealed_copy_is_inherited_as_standard_input() {
    let (_directory, path) = place();
    let expected = with_numbers(&path, 1000);
    let sealed = SharedFile::seal(&path).unwrap();
    let copy = sealed.sealed_file().unwrap().expect("it is sealed");
    fs::remove_file(&path).unwrap();
    let mut child = command("sum of standard input", "").stdin(copy).spawn().unwrap();
    assert_eq!(sum_of(&mut child), expected);
    assert!(child.wait().unwrap().success());
    assert!(SharedFile::from_file(fs::File::open("/dev/null").unwrap(), Verify::Auto).is_err());
}

/// A file with a section of each kind, all told by `round`. The budget is so small
/// that texts and pairs go to files without a name first.
fn build(path: &Path, round: u64) -> Result<(), Error> {
    let writer = SharedFile::create(path)?.budget(1);
    let mut numbers = writer.slice("numbers")?;
    let mut texts = writer.strs("texts")?;
    let mut map = writer.map("map")?;
    for row in 0..ROWS {
        numbers.push(&(row + round))?;
        texts.push(format!("{round}"))?;
        map.push(row.wrapping_mul(round | 1 << 40), round)?;
    }
    map.finish()?;
    texts.finish()?;
    numbers.finish()?;
    writer.finish()
}

/// The round by which the file was built, all of it.
fn round_of(path: &Path) -> u64 {
    let file = SharedFile::open_with(path, Verify::Payload).unwrap();
    let numbers: Shared<[u64]> = file.get("numbers").unwrap();
    let texts: SharedStrs = file.get("texts").unwrap();
    let map: SharedMap<u64, u64> = file.get("map").unwrap();
    let round = numbers[0];
    assert!(numbers.iter().copied().eq(round..round + ROWS));
    assert_eq!((texts.len() as u64, map.len() as u64), (ROWS, ROWS));
    assert!(texts.iter().all(|text| text == round.to_string()));
    assert!(map.values().iter().all(|value| *value == round));
    round
}

#[test]
fn a_builder_killed_at_any_moment_leaves_the_old_file_or_the_new() {
    let (directory, path) = place();
    build(&path, 0).unwrap();
    for moment in 0..12 {
        let mut child = command("build", &path).spawn().unwrap();
        // From the moment it begins, moments that sweep over what it does.
        let begun = || names_in(&directory).len() > 1 || child_has_ended(&mut child);
        wait_until(begun);
        std::thread::sleep(Duration::from_millis(moment * 23));
        child.kill().unwrap();
        child.wait().unwrap();
        round_of(&path);
        let known = |name: &String| name == "table.plim" || name.starts_with(".plimsoll-");
        assert!(names_in(&directory).iter().all(known));
    }
    // The next one cleans up.
    build(&path, 5_000).unwrap();
    assert_eq!((round_of(&path), names_in(&directory).len()), (5_000, 1));
}

fn child_has_ended(child: &mut Child) -> bool {
    assert!(child.try_wait().unwrap().is_none(), "the builder ended by itself");
    false
}

fn wait_until(mut there: impl FnMut() -> bool) {
    while !there() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn of_two_building_processes_one_is_told() {
    let (directory, path) = place();
    // It panics if it is the one that is told.
    let mut child = command("build", &path).stderr(Stdio::null()).spawn().unwrap();
    let told = (0..10_000).any(|_| match SharedFile::create(&path) {
        Err(Error::SharedBusy { .. }) => true,
        Ok(_) => {
            // The child is told instead, and ends by that; or it has not begun.
            std::thread::sleep(Duration::from_millis(1));
            child.try_wait().unwrap().is_some_and(|status| !status.success())
        }
        Err(other) => panic!("{other}"),
    });
    assert!(told);
    child.kill().ok();
    child.wait().unwrap();
    build(&path, 7).unwrap();
    assert_eq!((round_of(&path), names_in(&directory).len()), (7, 1));
}

#[test]
fn readers_keep_what_they_have_while_the_file_is_rebuilt() {
    let (_directory, path) = place();
    let path: PathBuf = path;
    let rows = |file: &SharedFile| file.get::<Shared<[u64]>>("numbers").unwrap();
    let mut readers = Vec::new();
    for numbers in 1..12 {
        with_numbers(&path, numbers);
        readers.push((numbers, SharedFile::open(&path).unwrap()));
    }
    for (numbers, reader) in &readers {
        assert!(rows(reader).iter().copied().eq(0..*numbers));
    }
}
