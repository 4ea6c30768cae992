//! Every layout of cgroups as a tree of files.

use std::fs;

use super::{TOP, Tree, V2, at};
use crate::budget::Headroom;
use crate::units::{GIB, MIB};

const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
const UNLIMITED_V1: &str = "9223372036854771712\n";

#[test]
fn without_cgroups_ram_is_the_limit() {
    let tree = Tree::new("", V2);
    tree.expect(24 * GIB, "80 % of 24.0 GiB RAM");
    fs::remove_dir_all(tree.root.join("proc")).expect("it was made for this tree");
    tree.expect(24 * GIB, "80 % of 24.0 GiB RAM");
}

#[test]
fn v2_takes_the_lowest_of_all_ancestors() {
    let tree = Tree::new("0::/a/b/c\n", V2)
        .file(&at("a/b/c", "memory.max"), "max\n")
        .file(&at("a/b/c", "memory.high"), "max\n")
        .file(&at("a/b", "memory.max"), "536870912\n")
        .file(&at("a", "memory.max"), "1073741824\n");
    tree.expect(512 * MIB, "80 % of 512.0 MiB, memory.max of /a/b (cgroup v2)");
    // The controller's root has no limit files; a namespace's root does.
    let tree = tree.file(&at(".", "memory.max"), "268435456\n");
    tree.expect(256 * MIB, "80 % of 256.0 MiB, memory.max of / (cgroup v2)");
}

#[test]
fn v2_memory_high_counts() {
    Tree::new("0::/a\n", V2)
        .file(&at("a", "memory.max"), "1073741824\n")
        .file(&at("a", "memory.high"), "805306368\n")
        .file(&at("a", "memory.low"), "1\n")
        .expect(768 * MIB, "80 % of 768.0 MiB, memory.high of /a (cgroup v2)");
}

#[test]
fn v1_takes_the_lowest_of_all_ancestors_and_no_soft_limit() {
    let cgroup = "5:devices:/elsewhere\n4:memory:/a/b\n1:name=systemd:/x\n";
    let tree = Tree::new(cgroup, V1)
        .file(&at("memory/a/b", "memory.limit_in_bytes"), UNLIMITED_V1)
        .file(&at("memory/a/b", "memory.soft_limit_in_bytes"), "4096\n")
        .file(&at("memory/a", "memory.limit_in_bytes"), "536870912\n")
        .file(&at("memory", "memory.limit_in_bytes"), UNLIMITED_V1)
        .file(&at("memory/elsewhere", "memory.limit_in_bytes"), "4096\n");
    tree.expect(512 * MIB, "80 % of 512.0 MiB, memory.limit_in_bytes of /a (cgroup v1)");
}

#[test]
fn v1_unlimited_is_no_limit_for_every_page_size() {
    for unlimited in [i64::MAX as u64, 0x7fff_ffff_ffff_f000, 0x7fff_ffff_ffff_0000, u64::MAX] {
        let text = format!("{unlimited}\n");
        let mut tree =
            Tree::new("4:memory:/\n", V1).file(&at("memory", "memory.limit_in_bytes"), &text);
        tree.machine.ram = Ok(u64::MAX);
        tree.expect(u64::MAX, "80 % of 16777216.0 TiB RAM");
    }
}

#[test]
fn hybrid_reads_both_hierarchies() {
    let unified = "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let tree = Tree::new("4:memory:/a\n0::/b\n", &format!("{V1}{unified}"))
        .file(&at("memory/a", "memory.limit_in_bytes"), "536870912\n")
        .directory(&format!("{TOP}/unified/b"));
    tree.expect(512 * MIB, "80 % of 512.0 MiB, memory.limit_in_bytes of /a (cgroup v1)");
    // With the memory controller in version 1, an unmounted version 2 is no news.
    let tree = Tree::new("0::/b\n4:memory:/a\n", V1).directory(&at("memory/a", ""));
    tree.expect(24 * GIB, "80 % of 24.0 GiB RAM");
}

#[test]
fn a_container_sees_its_branch_at_the_mount_point() {
    let branch = "35 31 0:32 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let tree = |own: &str| {
        Tree::new(&format!("4:memory:{own}\n"), branch)
            .file(&at("memory", "memory.limit_in_bytes"), "536870912\n")
            .file(&at("memory/inner", "memory.limit_in_bytes"), "268435456\n")
    };
    let limit = "80 % of 512.0 MiB, memory.limit_in_bytes of /docker/c1 (cgroup v1)";
    tree("/docker/c1").expect(512 * MIB, limit);
    let inner = "80 % of 256.0 MiB, memory.limit_in_bytes of /docker/c1/inner (cgroup v1)";
    tree("/docker/c1/inner").expect(256 * MIB, inner);
    // Not a neighbour whose name only starts alike.
    let note = "; the process's cgroup /docker/c12 is not seen below /sys/fs/cgroup/memory";
    tree("/docker/c12").expect(512 * MIB, &format!("{limit}{note}"));
}

#[test]
fn a_path_outside_of_the_mount_falls_back_to_what_is_seen() {
    let tree = |own: &str| {
        Tree::new(&format!("0::{own}\n"), V2)
            .file(&at(".", "memory.max"), "536870912\n")
            .file(&at("inner", "memory.max"), "268435456\n")
            // Whoever joins `..` reads this one, outside of the mount.
            .file("sys/fs/memory.max", "4096\n")
            .file("sys/fs/other/memory.max", "4096\n")
    };
    let note = |own: &str| format!("; the process's cgroup {own} is not seen below /sys/fs/cgroup");
    for own in ["/..", "/../other", "/../../a/../other", "/docker/c1"] {
        let origin = "80 % of 512.0 MiB, memory.max of / (cgroup v2)";
        tree(own).expect(512 * MIB, &format!("{origin}{}", note(own)));
    }
    for own in ["/../inner", "/docker/c1/inner"] {
        let origin = "80 % of 256.0 MiB, memory.max of /inner (cgroup v2)";
        tree(own).expect(256 * MIB, &format!("{origin}{}", note(own)));
    }
}

#[test]
fn the_mount_that_shows_most_ancestors_is_read() {
    let whole = "40 23 0:26 / /mnt/host rw - cgroup2 cgroup2 rw\n";
    let branch = "30 23 0:26 /a/b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    Tree::new("0::/a/b\n", &format!("{branch}{whole}"))
        .file(&at(".", "memory.max"), "1073741824\n")
        .file("mnt/host/a/b/memory.max", "1073741824\n")
        .file("mnt/host/a/memory.max", "536870912\n")
        .expect(512 * MIB, "80 % of 512.0 MiB, memory.max of /a (cgroup v2)");
}

#[test]
fn an_unmounted_hierarchy_is_noted() {
    let tree = Tree::new("0::/a\n", "");
    tree.expect(24 * GIB, "80 % of 24.0 GiB RAM; no memory cgroup is mounted");
}

#[test]
fn a_limit_above_the_ram_is_not_the_limit() {
    let tree = Tree::new("0::/a\n", V2).file(&at("a", "memory.max"), "1099511627776\n");
    tree.expect(24 * GIB, "80 % of 24.0 GiB RAM");
}

#[test]
fn what_cannot_be_read_is_not_unlimited() {
    let own = at("a", "memory.max");
    let tree = || Tree::new("0::/a\n", V2);
    tree().directory(&own).expect_unreadable(&own, "directory");
    for garbage in ["", "maximum\n", "-1\n", "1.5\n", "12 34\n", "99999999999999999999\n"] {
        tree().file(&own, garbage).expect_unreadable(&own, "is not a number of bytes");
    }
    let v1 = at("memory", "memory.limit_in_bytes");
    let tree = Tree::new("4:memory:/\n", V1).file(&v1, "max\n");
    tree.expect_unreadable(&v1, "is not a number of bytes");
    Tree::new("nonsense\n", V2).expect_unreadable("proc/self/cgroup", "nonsense");
    Tree::new("0::/\n", "nonsense\n").expect_unreadable("proc/self/mountinfo", "nonsense");
    let mut tree = Tree::new("0::/\n", V2);
    tree.machine.ram = Err("no answer".to_owned());
    tree.expect_unreadable("proc/meminfo", "no answer");
}

#[test]
fn headroom_is_what_the_tightest_limit_has_left() {
    let stat = "anon 90\nshmem 20\nfile 400000000\ninactive_anon 70\nactive_anon 20\n\
        inactive_file 300000000\nunevictable 30\nslab_unreclaimable 3\n";
    let tree = Tree::new("0::/a/b\n", V2)
        .file(&at("a/b", "memory.max"), "1000000\n")
        .file(&at("a/b", "memory.stat"), stat)
        .file("proc/meminfo", "MemTotal: 1 kB\nActive(anon): 24 kB\nInactive(anon):    1000 kB\n");
    assert_eq!(
        tree.expect(1_000_000, "80 % of 976.6 KiB, memory.max of /a/b (cgroup v2)")
            .limit
            .expect("RAM is always one")
            .headroom,
        Some(1_000_000 - 123)
    );
    // An ancestor with a higher limit that others have filled.
    let tree = tree
        .file(&at("a", "memory.max"), "2000000\n")
        .file(&at("a", "memory.stat"), "inactive_anon 1999999\n");
    let budget = tree.budget(&[]).expect("nothing is malformed");
    assert!(budget.to_string().contains("headroom when read: 1 B"), "{budget}");
    // Overfull is zero, not a wrap; unknown is not told.
    let tree = tree.file(&at("a", "memory.stat"), "inactive_anon 3000000\n");
    assert_eq!(
        tree.budget(&[]).expect("nothing is malformed").limit.expect("RAM is always one").headroom,
        Some(0)
    );
    let tree = tree.file(&at("a", "memory.stat"), "file 1\n");
    assert_eq!(
        tree.budget(&[]).expect("nothing is malformed").limit.expect("RAM is always one").headroom,
        None
    );
    let v1 = Tree::new("4:memory:/\n", V1)
        .file(&at("memory", "memory.limit_in_bytes"), "1000\n")
        .file(
            &at("memory", "memory.stat"),
            "inactive_anon 1\ntotal_rss 90\ntotal_inactive_anon 60\ntotal_active_anon 40\n\
             total_unevictable 7\n",
        )
        .file("proc/meminfo", "Inactive(anon): 1 kB\n");
    assert_eq!(
        v1.budget(&[]).expect("nothing is malformed").limit.expect("RAM is always one").headroom,
        Some(893)
    );
}

#[test]
fn headroom_is_read_again_and_keeps_a_margin_of_every_limit() {
    let mebibytes = |anon: u64| format!("inactive_anon {}\nfile 999999999\n", anon * MIB);
    let tree = Tree::new("0::/a\n", V2)
        .file(&at("a", "memory.max"), &format!("{}\n", 100 * MIB))
        .file(&at("a", "memory.stat"), &mebibytes(40))
        .file("proc/meminfo", "MemTotal: 1048576 kB\nInactive(anon): 10 kB\n");
    let headroom = Headroom::below(&tree.root).expect("meminfo is there");
    assert_eq!(headroom.read(), Some(55 * MIB), "a twentieth of 100 MiB is kept");
    let tree = tree.file(&at("a", "memory.stat"), &mebibytes(94));
    assert_eq!(headroom.read(), Some(MIB));
    let tree = tree.file(&at("a", "memory.stat"), &mebibytes(97));
    assert_eq!(headroom.read(), Some(0));
    // Where the cgroup does not tell, the machine still does: 1 GiB, less all but 64 MiB
    // of it and a twentieth.
    let used = format!("MemTotal: 1048576 kB\nInactive(anon): {} kB\n", (1024 - 64) * 1024);
    let tree = tree.file(&at("a", "memory.stat"), "file 1\n").file("proc/meminfo", &used);
    let margin = GIB / 20;
    assert_eq!(headroom.read(), Some(64 * MIB - margin));
    drop(tree);
    assert_eq!(headroom.read(), None, "nothing is told any more");
    let large =
        Tree::new("", "").file("proc/meminfo", "MemTotal: 1073741824 kB\nInactive(anon): 0 kB\n");
    assert_eq!(
        Headroom::below(&large.root).expect("meminfo is there").read(),
        Some(1023 * GIB),
        "1 GiB at most"
    );
}
