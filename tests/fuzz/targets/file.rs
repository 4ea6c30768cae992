//! A shared file: a byte that says what the others are, a file or edits of one.
#![no_main]

use std::sync::LazyLock;

static DIRECTORY: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    plimsoll::fuzzing::file(&DIRECTORY.path().join("a.plim"), data);
});
