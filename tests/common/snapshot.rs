//! Texts that are kept in files and compared with what is said now.

use std::fs;
use std::path::Path;

/// Compares `text` with the file at `path` below `tests`, whose lines it must be. With the
/// variable `UPDATE` set the file is rewritten instead: read the change before you keep it.
pub(crate) fn assert_kept(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, text).expect("the file can be written");
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let mut lines = kept.lines().zip(text.lines()).enumerate();
    let differs = lines.find(|(_, (kept, now))| kept != now);
    assert!(
        kept == text,
        "{path} is not what is said now, from line {} on; set UPDATE=1 to rewrite it. Now:\n{text}",
        differs.map_or(kept.lines().count().min(text.lines().count()), |(line, _)| line) + 1
    );
}
