//! Steps of reading and writing shared files that the system refuses.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::{DIED, PLANNED, dying_at, each_site};
use crate::{Error, Shared, SharedFile, SharedMap, SharedStrs, Verify};

/// Open descriptors and maps of this process that lead below `directory`.
fn held_below(directory: &Path) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let open = descriptors.filter(|entry| {
        // One that was closed meanwhile, by another test, leads nowhere.
        let link = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
        link.is_some_and(|link| link.starts_with(directory))
    });
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let directory = directory.to_str().unwrap();
    open.count() + maps.lines().filter(|line| line.contains(directory)).count()
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What was tried, if it failed because the system was made to refuse it.
#[track_caller]
fn refused(error: Error, at: &Path) -> &'static str {
    let Error::SharedIo { action, path, source } = error else { panic!("{error}") };
    assert_eq!((path.as_path(), source.to_string()), (at, PLANNED.to_owned()));
    action
}

/// Refuses each step of `read` in turn; the steps by their names.
fn refusals(read: impl Fn(&Path) -> Result<Shared<[u64]>, Error>) -> Vec<&'static str> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.plim");
    Shared::<[u64]>::write(&path, &[1, 2, 3]).unwrap();
    let mut actions = Vec::new();
    let (_, table) = each_site(
        || read(&path),
        |_, outcome| {
            actions.push(refused(outcome.unwrap_err(), &path));
            assert_eq!(held_below(directory.path()), 0, "after {actions:?}");
            assert_eq!(*read(&path).unwrap(), [1, 2, 3]);
        },
    );
    assert_eq!(*table.unwrap(), [1, 2, 3]);
    assert_eq!(held_below(directory.path()), 0);
    actions
}

#[test]
fn a_table_that_cannot_be_read_leaves_nothing_behind() {
    let opened = refusals(|path| Shared::open(path));
    // Looked at, opened, looked at; header and table; the permissions before and after.
    let head = ["open", "open", "open", "read", "read"];
    assert_eq!(opened[..5], head);
    assert_eq!(opened[5..], ["read", "map", "read", "read"]);
    let loaded = refusals(|path| Shared::load(path));
    assert_eq!(loaded[..5], head);
    // Header, table and section once more; then it is made read-only.
    assert_eq!(loaded[5..], ["find memory for", "read", "read", "read", "read"]);
}

#[test]
fn a_copy_that_cannot_be_sealed_leaves_nothing_behind() {
    let actions = refusals(|path| {
        // What is refused is told as by `Shared::open`: without the section.
        SharedFile::seal(path)?.get("data")
    });
    assert_eq!(actions[..5], ["open", "open", "open", "read", "read"]);
    // Made, sized, mapped; filled; sealed and mapped; read as a file of its own.
    assert_eq!(actions[5..8], ["seal a copy of"; 3]);
    assert_eq!(actions[8..11], ["read"; 3]);
    assert_eq!(actions[11..13], ["seal a copy of"; 2]);
    assert_eq!(actions[13..], ["open", "read", "read"]);
}

#[test]
fn a_table_that_is_held_is_seen_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.plim");
    Shared::<[u64]>::write(&path, &[1, 2, 3]).unwrap();
    let _table = Shared::<[u64]>::open(&path).unwrap();
    let _file = fs::File::open(&path).unwrap();
    assert_eq!(held_below(directory.path()), 2);
}

#[test]
fn a_table_that_cannot_be_written_leaves_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.plim");
    Shared::<[u64]>::write(&path, &[0]).unwrap();
    let mut actions = Vec::new();
    let (_, written) = each_site(
        || Shared::<[u64]>::write(&path, &[1, 2]),
        |_, outcome| {
            let action = refused(outcome.unwrap_err(), &path);
            actions.push(action);
            assert_eq!(held_below(directory.path()), 0, "after {actions:?}");
            assert_eq!(names_in(directory.path()), ["a.plim"], "after {actions:?}");
            // Refused after the new file has its name, it is the new one.
            let renamed = action == "sync the directory of";
            let expected: &[u64] = if renamed { &[1, 2] } else { &[0] };
            assert_eq!(*Shared::<[u64]>::open(&path).unwrap(), *expected);
            Shared::<[u64]>::write(&path, &[0]).unwrap();
        },
    );
    written.unwrap();
    assert_eq!(*Shared::<[u64]>::open(&path).unwrap(), [1, 2]);
    assert_eq!(actions[..2], ["create", "create"]);
    let (sync, rest) = (["sync the directory of"; 2], &actions[2..]);
    let (writes, named) = rest.split_at(rest.iter().take_while(|name| **name == "write").count());
    assert!(writes.len() >= 5, "the payload, and the header in four steps: {actions:?}");
    assert_eq!(named[..2], ["bring to the disk", "give its name to"]);
    assert_eq!(named[2..], sync);
}

/// A file whose sections are written in turn, so that there are files without a name,
/// and a map that is sorted in parts.
fn build(path: &Path, round: u64) -> Result<(), Error> {
    const ROWS: u64 = 6_000;
    let writer = SharedFile::create(path)?.budget(1);
    let mut numbers = writer.slice("numbers")?;
    let mut texts = writer.strs("texts")?;
    let mut map = writer.map("map")?;
    for row in 0..ROWS {
        numbers.push(&round)?;
        texts.push(round.to_string())?;
        map.push(row.wrapping_mul(round << 40 | 1), round)?;
    }
    map.finish()?;
    numbers.finish()?;
    texts.finish()?;
    writer.finish()
}

/// The round of a file that is whole.
fn round_of(path: &Path) -> u64 {
    let file = SharedFile::open_with(path, Verify::Payload).unwrap();
    let numbers: Shared<[u64]> = file.get("numbers").unwrap();
    let (texts, map): (SharedStrs, SharedMap<u64, u64>) =
        (file.get("texts").unwrap(), file.get("map").unwrap());
    let round = numbers[0];
    assert!(numbers.iter().chain(map.values()).all(|other| *other == round));
    assert!(texts.iter().all(|text| text == round.to_string()));
    assert_eq!((numbers.len(), texts.len(), map.len()), (6_000, 6_000, 6_000));
    round
}

const SITE: &str = "PLIMSOLL_TEST_DIES_AT";
const PLACE: &str = "PLIMSOLL_TEST_DIES_IN";

#[test]
fn a_builder_that_dies_at_its_appointed_step() {
    let Ok(site) = std::env::var(SITE) else { return };
    let place = std::env::var_os(PLACE).unwrap();
    dying_at(site.parse().unwrap(), || build(place.as_ref(), 2)).unwrap();
}

/// Whether a builder that is to die at a step has as many.
fn dies_at(site: usize, path: &Path) -> bool {
    let died = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fault::tests::files::a_builder_that_dies_at_its_appointed_step"])
        .env(SITE, site.to_string())
        .env(PLACE, path)
        .output()
        .unwrap();
    assert!(died.status.success() || died.status.code() == Some(DIED), "{died:?}");
    !died.status.success()
}

#[test]
fn the_next_writer_removes_all_that_is_left_whatever_it_needs_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.plim");
    let mut left = std::collections::BTreeSet::new();
    for site in 0.. {
        let died = dies_at(site, &path);
        let ending = |name: &String| name.rsplit('.').next().map(str::to_owned);
        left.extend(names_in(directory.path()).iter().filter_map(ending));
        // It writes to the one file, where the other made room beside.
        Shared::<[u64]>::write(&path, &[0]).unwrap();
        assert_eq!(names_in(directory.path()), ["a.plim"], "after one that died at {site}");
        if !died {
            break;
        }
    }
    assert!(left.iter().eq(["plim", "spill", "tmp"]), "{left:?}");
}

#[test]
fn a_file_is_the_old_or_the_new_one_at_whatever_step_its_builder_dies() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.plim");
    // What the steps are, and that each refusal is told and leaves the old file.
    build(&path, 1).unwrap();
    let (steps, _) = each_site(
        || build(&path, 1),
        |_, outcome| {
            refused(outcome.unwrap_err(), &path);
            assert_eq!(names_in(directory.path()), ["a.plim"]);
        },
    );
    assert!(steps > 50, "{steps}");
    let mut newest = 1;
    // What was left by the one before is cleaned up, in some steps more.
    let mut dies_at = |site: usize| {
        let died = dies_at(site, &path);
        let round = round_of(&path);
        assert!(round >= newest, "once it is the new one, it stays so");
        newest = round;
        died
    };
    let survived = (0..2 * steps).find(|site| !dies_at(*site));
    assert!(survived >= Some(steps), "{survived:?} of {steps}");
    assert_eq!((newest, names_in(directory.path())), (2, vec!["a.plim".to_owned()]));
}
