//! How much is done.

use std::path::PathBuf;

use tempfile::TempDir;

/// How much of the full work is done, and where its files are.
pub(crate) struct Scale {
    /// A look whether it runs.
    pub(crate) quick: bool,
    rounds: Option<usize>,
    folder: PathBuf,
}

impl Scale {
    pub(crate) fn new(quick: bool, rounds: Option<usize>, folder: Option<String>) -> Self {
        let folder = folder.map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
        Self { quick, rounds, folder }
    }

    /// So many, or a small part.
    pub(crate) fn part(&self, of: u64) -> u64 {
        if self.quick { of / 64 } else { of }
    }

    /// Rounds, unless told otherwise.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        if self.quick { 1 } else { self.rounds.unwrap_or(usual) }
    }

    /// A folder for the files of one table.
    pub(crate) fn folder(&self) -> TempDir {
        tempfile::tempdir_in(&self.folder).expect("a folder for the files can be made")
    }
}

/// The `n`-th of some numbers that look random (splitmix64; Steele, Lea and Flood, 2014).
pub(crate) fn random(n: u64) -> u64 {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
