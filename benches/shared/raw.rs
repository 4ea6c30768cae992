//! A mapped file as one would have it without this crate.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file of this program's own.
#[allow(unsafe_code, reason = "the competitor that is to be beaten needs it")]
pub(crate) fn map(path: &Path) -> Mmap {
    let file = File::open(path).expect("the file was written");
    // SAFETY: The file is in a folder that this program has made for itself, and it writes to
    // no file of its own that is complete.
    unsafe { Mmap::map(&file) }.expect("the file can be mapped")
}
