//! What a budget makes of a machine, given as a tree of files, and of an environment.

mod layouts;
mod sites;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::units::{GIB, MIB};

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
const TOP: &str = "sys/fs/cgroup";

/// A machine of files in a temporary directory, with 24 GiB of RAM and 8 cores.
struct Tree {
    root: PathBuf,
    machine: Machine,
}

impl Tree {
    fn new(cgroup: &str, mountinfo: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plimsoll-budget-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let machine = Machine { root: root.clone(), ram: Ok(24 * GIB), cores: Ok(8) };
        Self { root, machine }
            .file("proc/self/cgroup", cgroup)
            .file("proc/self/mountinfo", mountinfo)
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("writable");
        fs::write(path, text).expect("writable");
        self
    }

    fn directory(self, path: &str) -> Self {
        fs::create_dir_all(self.root.join(path)).expect("writable");
        self
    }

    fn budget(&self, vars: &[(&str, &str)]) -> Result<Budget, Error> {
        Budget::from_vars(vars.iter().map(|(k, v)| (k.into(), v.into())), &self.machine)
    }

    #[track_caller]
    fn expect(&self, limit: u64, origin: &str) -> Budget {
        let budget = self.budget(&[]).expect("a budget");
        assert_eq!(budget.limit(), Some(limit), "{budget}");
        assert_eq!(budget.memory_origin(), origin);
        assert_eq!(budget.memory(), (u128::from(limit) * 4 / 5) as u64);
        budget
    }

    #[track_caller]
    fn expect_unreadable(&self, file: &str, why: &str) {
        let error = self.budget(&[]).unwrap_err();
        let Error::LimitUnreadable { path, source } = &error else { panic!("{error}") };
        assert_eq!(*path, self.root.join(file));
        assert!(source.to_string().contains(why), "{source}");
        // A size makes the limit needless, and the origin tells what was not read.
        let budget = self.budget(&[("PLIMSOLL_MEMORY", "1GiB")]).expect("a budget");
        assert_eq!((budget.memory(), budget.limit()), (GIB, None));
        let origin = budget.memory_origin();
        assert!(origin.starts_with("PLIMSOLL_MEMORY=1GiB; the limit in "), "{origin}");
        assert!(origin.contains(file) && origin.contains(why), "{origin}");
        for relative in ["auto", "50%"] {
            self.budget(&[("PLIMSOLL_MEMORY", relative)]).unwrap_err();
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Left behind in the temporary directory at worst.
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn at(level: &str, file: &str) -> String {
    format!("{TOP}/{level}/{file}")
}

#[test]
fn the_environment_corrects_what_was_detected() {
    let tree = Tree::new("0::/a\n", V2).file(&at("a", "memory.max"), "1073741824\n");
    let limit = "1.0 GiB, memory.max of /a (cgroup v2)";
    for (value, memory, origin) in [
        ("auto", GIB / 5 * 4 + 3, format!("PLIMSOLL_MEMORY=auto: 80 % of {limit}")),
        ("75%", 768 * MIB, format!("PLIMSOLL_MEMORY=75% of {limit}")),
        ("100%", GIB, format!("PLIMSOLL_MEMORY=100% of {limit}")),
        ("512MB", 512_000_000, "PLIMSOLL_MEMORY=512MB".to_owned()),
        ("2GiB", 2 * GIB, format!("PLIMSOLL_MEMORY=2GiB, above the limit of {limit}")),
    ] {
        let budget = tree.budget(&[("PLIMSOLL_MEMORY", value)]).expect("a budget");
        assert_eq!((budget.memory(), budget.memory_origin()), (memory, &*origin));
        assert_eq!(budget.limit(), Some(GIB));
    }
}

#[test]
fn cores_come_from_the_machine_or_the_environment() {
    let mut tree = Tree::new("", "");
    for (value, cores, origin) in [
        (None, 8, "available_parallelism"),
        (Some("auto"), 8, "PLIMSOLL_CORES=auto: available_parallelism"),
        (Some("50%"), 4, "PLIMSOLL_CORES=50% of 8, available_parallelism"),
        (Some("99.9%"), 7, "PLIMSOLL_CORES=99.9% of 8, available_parallelism"),
        (Some("1%"), 1, "PLIMSOLL_CORES=1% of 8, available_parallelism"),
        (Some("8"), 8, "PLIMSOLL_CORES=8"),
        (Some("64"), 64, "PLIMSOLL_CORES=64, above the 8 of available_parallelism"),
    ] {
        let vars: Vec<_> = value.map(|value| ("PLIMSOLL_CORES", value)).into_iter().collect();
        let budget = tree.budget(&vars).expect("a budget");
        assert_eq!((budget.cores(), budget.cores_origin()), (cores, origin));
    }
    tree.machine.cores = Err("no idea".to_owned());
    let budget = tree.budget(&[]).expect("a budget");
    assert_eq!(budget.cores_origin(), "available_parallelism failed: no idea");
    assert_eq!(budget.cores(), 1);
}

#[test]
fn overrides_are_found_by_stage_and_the_caller_wins() {
    let budget = Tree::new("", "")
        .budget(&[("PLIMSOLL_WORKERS_MY_STAGE", "3"), ("PLIMSOLL_FOOTPRINT_OTHER", "1MiB")])
        .expect("a budget");
    let workers = budget.workers_for("my-stage").expect("it was set");
    assert_eq!((workers.value, &*workers.origin), (3, "PLIMSOLL_WORKERS_MY_STAGE=3"));
    assert_eq!(budget.footprint_for("Other").expect("it was set").value, MIB);
    assert!(budget.workers_for("other").is_none() && budget.footprint_for("x").is_none());
    let names: Vec<_> = budget.override_names().collect();
    let expected =
        [("MY_STAGE", "PLIMSOLL_WORKERS_MY_STAGE=3"), ("OTHER", "PLIMSOLL_FOOTPRINT_OTHER=1MiB")];
    assert_eq!(names, expected);
    let budget = budget.with_workers("my stage", 5).with_footprint("my stage", 0);
    assert_eq!(budget.workers_for("my-stage").expect("it was set").value, 5);
    assert_eq!(budget.override_names().count(), 3);
    budget.validate().expect("a budget");
    let error = budget.with_workers("my stage", 0).validate().unwrap_err();
    assert!(matches!(error, Error::Setting { value: 0, .. }), "{error}");
}

#[test]
fn zeros_are_refused_with_their_origin() {
    let tree = Tree::new("0::/\n", V2).file(&at(".", "memory.max"), "0\n");
    let error = tree.budget(&[]).unwrap_err().to_string();
    assert!(error.contains("no memory (80 % of 0 B, memory.max of / (cgroup v2))"), "{error}");
    let error = Budget::new(1, 0).validate().unwrap_err().to_string();
    assert!(error.contains("no cores (given by the caller)"), "{error}");
    assert!(Budget::new(0, 1).validate().is_err());
    Budget::new(1, 1).validate().expect("a budget");
}

#[test]
fn stage_variables_have_only_letters_digits_and_underscores() {
    for (name, variable) in
        [("screen", "SCREEN"), ("Top-10 hits", "TOP_10_HITS"), ("é", "_"), ("ß", "_"), ("", "")]
    {
        assert_eq!(stage_variable(name), variable);
    }
}
