//! `/proc/self/cgroup`, `/proc/self/mountinfo` and limit files, parted by `--`.
#![no_main]

use std::sync::LazyLock;

/// One tree for all inputs: to make directories takes longer than to read them.
static ROOT: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| plimsoll::fuzzing::cgroups(ROOT.path(), data));
