//! What must hold of every environment and every tree of cgroup files, however
//! odd: called with random ones by the tests below, and by the fuzz targets.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::Budget;
use super::cgroup;
use super::machine::Machine;
use crate::error::Error;
use crate::units::GIB;

const RAM: u64 = 24 * GIB;
const CORES: usize = 8;

fn machine(root: &Path) -> Machine {
    Machine { root: root.to_owned(), ram: Ok(RAM), cores: Ok(CORES) }
}

/// An environment, one `NAME=value` a line: a budget that uses every variable of
/// ours, or an error that names one.
pub(crate) fn variables(data: &[u8]) {
    let vars: Vec<(OsString, OsString)> = data.split(|byte| *byte == b'\n').map(variable).collect();
    let ours: Vec<(String, String)> = vars
        .iter()
        .map(|(name, value)| (lossy(name), lossy(value)))
        .filter(|(name, _)| name.starts_with("PLIMSOLL_"))
        .collect();
    let nowhere = machine(Path::new("/nonexistent"));
    match Budget::from_vars(vars.into_iter(), &nowhere) {
        Ok(budget) => {
            understood(&budget, &ours);
            prints_what_reads_the_same(&budget, &nowhere);
        }
        Err(Error::Variable { variable, value, problem, accepted }) => {
            assert!(ours.contains(&(variable, value)), "an error names a variable as it is set");
            assert!(!problem.is_empty() && !accepted.is_empty());
        }
        // A share so small that nothing is left.
        Err(Error::ZeroBudget { origin, .. }) => {
            assert!(origin.starts_with("PLIMSOLL_MEMORY="), "{origin}");
        }
        Err(other) => panic!("{other}"),
    }
}

#[cfg(unix)]
fn variable(line: &[u8]) -> (OsString, OsString) {
    use std::os::unix::ffi::OsStringExt;

    let end = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
    let value = line.get(end + 1..).unwrap_or_default();
    (OsString::from_vec(line[..end].to_vec()), OsString::from_vec(value.to_vec()))
}

#[cfg(not(unix))]
fn variable(line: &[u8]) -> (OsString, OsString) {
    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once('=').unwrap_or((&line, ""));
    (name.into(), value.into())
}

fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// No variable of ours was passed over, and what it says is finite.
fn understood(budget: &Budget, ours: &[(String, String)]) {
    let names: BTreeSet<_> = ours.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), ours.len(), "set twice");
    let told = budget.to_string();
    for (name, value) in ours {
        assert!(told.contains(&format!("{name}={value}")), "{name} is not in\n{told}");
    }
    assert!(budget.memory() > 0 && budget.cores() > 0, "{told}");
    assert_eq!(budget.limit(), Some(RAM));
    let given = |name: &str| ours.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    match given("PLIMSOLL_MEMORY") {
        Some(value) if value == "auto" => assert_eq!(budget.memory(), RAM / 5 * 4),
        Some(value) if value.ends_with('%') => assert!(budget.memory() <= RAM),
        Some(value) => about(value, budget.memory()),
        None => assert_eq!(budget.memory(), RAM / 5 * 4),
    }
    for (name, value) in ours {
        if let Some(stage) = name.strip_prefix("PLIMSOLL_FOOTPRINT_") {
            about(value, budget.footprints[stage].value);
        }
    }
    match given("PLIMSOLL_CORES") {
        Some(value) if value == "auto" => assert_eq!(budget.cores(), CORES),
        Some(value) if value.ends_with('%') => assert!(budget.cores() <= CORES),
        Some(value) => about(value, budget.cores() as u64),
        None => assert_eq!(budget.cores(), CORES),
    }
}

/// A size is what floating point makes of it, up to rounding.
fn about(value: &str, found: u64) {
    let end = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
    let unit = value[end..].to_ascii_lowercase();
    let base: f64 = if unit.ends_with("ib") { 1024.0 } else { 1000.0 };
    let power = "bkmgt".find(unit.chars().next().unwrap_or('b')).expect("a unit that was accepted");
    let number: f64 = value[..end].parse().expect("a number that was accepted");
    let (expected, found) = (number * base.powi(power as i32), found as f64);
    assert!((expected - found).abs() <= 1.0 + expected * 1e-9, "{value} was read as {found}");
}

/// Every number, printed in full, is a value that gives the same number.
fn prints_what_reads_the_same(budget: &Budget, machine: &Machine) {
    let mut vars = vec![
        ("PLIMSOLL_MEMORY".to_owned(), format!("{}B", budget.memory())),
        ("PLIMSOLL_CORES".to_owned(), budget.cores().to_string()),
    ];
    for (stage, given) in &budget.workers {
        vars.push((format!("PLIMSOLL_WORKERS_{stage}"), given.value.to_string()));
    }
    for (stage, given) in &budget.footprints {
        vars.push((format!("PLIMSOLL_FOOTPRINT_{stage}"), format!("{}B", given.value)));
    }
    let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into()));
    let again = Budget::from_vars(vars, machine).expect("plain numbers are understood");
    assert_eq!((again.memory(), again.cores()), (budget.memory(), budget.cores()));
    let values = |budget: &Budget| -> (Vec<_>, Vec<_>) {
        let workers = budget.workers.iter().map(|(stage, given)| (stage.clone(), given.value));
        let footprints =
            budget.footprints.iter().map(|(stage, given)| (stage.clone(), given.value));
        (workers.collect(), footprints.collect())
    };
    assert_eq!(values(&again), values(budget));
}

/// Where the limit files of [`cgroups`] are, in the order of its sections.
const LIMIT_FILES: [&str; 8] = [
    "sys/fs/cgroup/a/b/memory.max",
    "sys/fs/cgroup/a/b/memory.high",
    "sys/fs/cgroup/a/memory.max",
    "sys/fs/cgroup/a/memory.high",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/a/b/memory.stat",
    "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
    "sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// What parts the sections of [`cgroups`].
const PART: &str = "--\n";

/// `/proc/self/cgroup`, `/proc/self/mountinfo` and limit files, parted by lines of
/// `--`: limits that are written in the files, or an error that names one. `root`
/// is an empty directory, or was `root` of an earlier call.
pub(crate) fn cgroups(root: &Path, data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut sections = text.split(PART);
    let files = ["proc/self/cgroup", "proc/self/mountinfo"].into_iter().chain(LIMIT_FILES);
    if !root.join("proc").exists() {
        let directories = files.clone().filter_map(|file| Path::new(file).parent());
        directories.for_each(|directory| {
            fs::create_dir_all(root.join(directory)).expect("the root can be written to");
        });
    }
    for file in files {
        plant(&root.join(file), sections.next());
    }
    // A mount point may lead out of the tree (`\056` is a point), to files that are
    // not the test's.
    let mounted = text.split(PART).nth(1).unwrap_or_default();
    if mounted.contains("..") || (mounted.contains('\\') && mounted.contains("56")) {
        return;
    }
    let machine = machine(root);
    let bounds = match cgroup::read(root) {
        Ok(found) => found.limits,
        Err(error) => {
            names_a_file(&error, root);
            assert!(machine.limit().is_err(), "unknown is not unlimited");
            return;
        }
    };
    let mut lowest = RAM;
    for bound in &bounds {
        let written = text.split(PART).any(|section| section.trim_end().parse() == Ok(bound.bytes));
        assert!(written, "{} is written nowhere", bound.text);
        assert!(bound.text.contains("memory."), "{}", bound.text);
        lowest = lowest.min(bound.bytes);
    }
    let limit = machine.limit().expect("it was read before");
    assert_eq!(limit.bytes, lowest);
    assert!(limit.headroom.is_none_or(|headroom| headroom <= RAM));
    if let (Some("0::/a/b\n"), Some(MOUNT)) = (text.split(PART).next(), text.split(PART).nth(1)) {
        all_are_read(root, &bounds);
    }
}

const MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

/// In the plain layout: each limit of the process's cgroup and those above it.
fn all_are_read(root: &Path, bounds: &[cgroup::Bound]) {
    let mut wanted = Vec::new();
    for file in &LIMIT_FILES[..5] {
        if let Ok(text) = fs::read_to_string(root.join(file))
            && text.trim_end() != "max"
        {
            wanted.push(text.trim_end().parse::<u64>().expect("another text is an error"));
        }
    }
    let found: Vec<_> = bounds.iter().map(|bound| bound.bytes).collect();
    assert_eq!(found, wanted);
}

fn plant(path: &Path, text: Option<&str>) {
    match text {
        Some(text) => fs::write(path, text).expect("the root can be written to"),
        // Not there is what is wanted.
        None => drop(fs::remove_file(path)),
    }
}

fn names_a_file(error: &Error, root: &Path) {
    let Error::LimitUnreadable { path, source } = error else { panic!("{error}") };
    assert!(path.starts_with(root), "{error}");
    assert!(!source.to_string().is_empty());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The files that the fuzz targets start from.
    fn seeds(kind: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds").join(kind);
        let entries = fs::read_dir(folder).expect("there are seeds");
        entries
            .map(|entry| fs::read(entry.expect("a seed").path()).expect("a seed is a file"))
            .collect()
    }

    #[test]
    fn the_seeds_hold() {
        let (variable_seeds, cgroup_seeds) = (seeds("variables"), seeds("cgroups"));
        assert!(variable_seeds.len() >= 3 && cgroup_seeds.len() >= 3);
        variable_seeds.iter().for_each(|seed| variables(seed));
        let root = tempfile::tempdir().expect("a temporary directory");
        cgroup_seeds.iter().for_each(|seed| cgroups(root.path(), seed));
    }

    /// Values close to the grammar, and some far from it.
    const VALUE: &str = "auto|[0-9]{1,4}|[0-9]{1,21}|[0-9]{1,3}(\\.[0-9]{0,3})?%|\
        [0-9]{0,3}(\\.[0-9]{1,16})?([KMGT]?(i?B)|[kmgt]?(i?b))|\\PC{0,4}";
    const NAME: &str = "(PLIMSOLL_(MEMORY|CORES|WORKERS_[A-Z0-9_]{0,3}|FOOTPRINT_[A-Za-z_]{0,3}|\
        [A-Z]{0,2}))|PLIMSOLL|[a-z]{0,3}";
    const LIMIT: &str = "(max|[0-9]{1,12}|9223372036854771712|[0-9]{18,21}|-1|\\PC{0,4})\n?";

    /// A line of `/proc/self/mountinfo`, most often a sound one.
    const MOUNTED: &str = "3[0-9] 23 0:26 /(a)? /sys/fs/cgroup(/memory)? rw (shared:1 )?- \
        (cgroup2 cgroup2 rw|cgroup cgroup rw,(memory|cpu)|tmpfs tmpfs rw|[a-z]{0,5})\n";

    proptest! {
        #[test]
        fn every_environment_is_understood_or_refused(
            lines in prop::collection::vec((NAME, VALUE), 0..4)
        ) {
            let lines: Vec<_> =
                lines.iter().map(|(name, value)| format!("{name}={value}")).collect();
            variables(lines.join("\n").as_bytes());
        }

        #[test]
        fn every_byte_is_a_part_of_some_environment(data in prop::collection::vec(any::<u8>(), 0..40)) {
            variables(&[b"PLIMSOLL_MEMORY=".as_slice(), &data].concat());
        }

    }

    #[test]
    fn every_tree_of_cgroups_is_understood_or_refused() {
        let root = tempfile::tempdir().expect("a temporary directory");
        proptest!(|(
            member in "0::/a/b\n|(0:|[1-9]:(memory|cpu)):(/([ab]|\\.\\.)){0,3}\n|\\PC{0,8}",
            mounted in prop_oneof![Just(MOUNT.to_owned()), MOUNTED, "\\PC{0,8}"],
            limits in prop::collection::vec(LIMIT, 0..9),
        )| {
            let sections: Vec<_> = [member, mounted].into_iter().chain(limits).collect();
            cgroups(root.path(), sections.join(PART).as_bytes());
        });
    }
}
