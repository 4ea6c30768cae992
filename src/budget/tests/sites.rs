//! Files of the machine that the system refuses to show, one after the other.

use super::*;
use crate::fault::{PLANNED, each_site};

/// A limit file that was refused, below the root; or nothing, where only the headroom
/// is unknown.
fn refused(tree: &Tree, outcome: Result<Budget, Error>) -> Option<String> {
    match outcome {
        Ok(budget) => {
            let limit = budget.limit.expect("the limit is known");
            assert_eq!((limit.bytes, limit.headroom), (GIB, None));
            None
        }
        Err(Error::LimitUnreadable { path, source }) => {
            assert_eq!(source.to_string(), PLANNED);
            let below = path.strip_prefix(&tree.root).expect("it is a file of the tree");
            Some(below.to_str().expect("a plain name").to_owned())
        }
        Err(error) => panic!("{error}"),
    }
}

/// Descriptors that are open below the root of a tree.
#[cfg(target_os = "linux")]
fn open_below(tree: &Tree) -> usize {
    let descriptors = fs::read_dir("/proc/self/fd").expect("Linux has it");
    let links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.starts_with(&tree.root)).count()
}

fn grouped() -> Tree {
    let stat = "inactive_anon 1048576\n";
    Tree::new("0::/a\n", V2)
        .file(&at("a", "memory.max"), "1073741824\n")
        .file(&at("a", "memory.stat"), stat)
        .file("proc/meminfo", "Inactive(anon): 1024 kB\n")
}

#[test]
fn a_file_that_is_refused_is_named_unless_only_the_headroom_needs_it() {
    let tree = grouped();
    let mut files = Vec::new();
    let (_, budget) = each_site(
        || tree.budget(&[]),
        |_, outcome| {
            files.push(refused(&tree, outcome));
            #[cfg(target_os = "linux")]
            assert_eq!(open_below(&tree), 0);
            tree.expect(GIB, "80 % of 1.0 GiB, memory.max of /a (cgroup v2)");
        },
    );
    assert_eq!(budget.expect("the last time nothing is refused").limit(), Some(GIB));
    let named: Vec<_> = files.iter().map(|file| file.as_deref().unwrap_or("")).collect();
    let expected = [
        "proc/self/cgroup",
        "proc/self/mountinfo",
        "sys/fs/cgroup/a",
        "sys/fs/cgroup/a/memory.max",
        "sys/fs/cgroup/a/memory.high",
        "sys/fs/cgroup/memory.max",
        "sys/fs/cgroup/memory.high",
        "", // memory.stat
        "", // meminfo
    ];
    assert_eq!(named, expected);
}

#[test]
fn a_size_that_is_given_needs_none_of_the_files() {
    let tree = grouped();
    let given = [("PLIMSOLL_MEMORY", "1MiB")];
    let (sites, last) = each_site(
        || tree.budget(&given),
        |_, outcome| assert_eq!(outcome.expect("the size is given").memory(), MIB),
    );
    assert_eq!((sites, last.expect("the last time nothing is refused").limit()), (9, Some(GIB)));
}
