//! The file that a writer writes to before it has its name, and who may write it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use crate::fault::fallible;

/// How the name ends of what a writer writes to.
const TEMPORARY: &str = ".tmp";
/// How the name ends that a file for what does not fit in memory has for a moment.
const SPILL: &str = ".spill";

/// Tries for the temporary file: each but the last was undone by somebody else who
/// cleaned up at the same moment.
const TRIES: u32 = 100;

/// A read-only file beside its target, which is removed unless it is renamed.
///
/// All writers of one target name it alike, and whoever is at work on it has it locked,
/// for as long as it has this name. So there is one writer at a time, and what one
/// that was killed has left is known for it by its missing lock.
pub(super) struct Temporary {
    path: PathBuf,
    /// Holds the lock; closed after the file is gone or renamed. Not the file written
    /// to, which must be closed before: a reader refuses a file that is open for
    /// writing.
    _lock: Option<File>,
    renamed: bool,
}

/// Why there is no temporary file.
pub(super) enum Refusal {
    /// Another writer is at work on it.
    Busy(PathBuf),
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Temporary {
    /// Creates the file, open for writing.
    pub(super) fn create(target: &Path) -> Result<(File, Self), Refusal> {
        let path = name_for(target, TEMPORARY);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // The mode governs later openings, not this one. So nobody but this
        // descriptor ever writes to the file, and the umask is honoured.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o444);
        for _ in 0..TRIES {
            match fallible(|| options.open(&path)) {
                Ok(file) => {
                    if let Some(lock) = lock_created(&path, &file)? {
                        fs::remove_file(name_for(target, SPILL)).ok();
                        return Ok((file, Self { path, _lock: lock, renamed: false }));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !remove_abandoned(&path)? {
                        break;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy(path))
    }

    pub(super) fn rename(mut self, target: &Path) -> io::Result<()> {
        fallible(|| fs::rename(&self.path, target))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // There is nobody to tell, and a file left behind does no harm.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Locks a file just created. There may be no lock to be had, as on some network file
/// systems: `Some(None)`. `None` if somebody took the file for abandoned in the moment
/// before, and it is gone.
#[cfg(unix)]
fn lock_created(path: &Path, file: &File) -> io::Result<Option<Option<File>>> {
    // The name, which is all that others can get at, is ours to remove until then.
    let opened = fallible(|| File::open(path));
    let lock = match opened {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            fs::remove_file(path).ok();
            return Err(error);
        }
    };
    match lock.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(_)) => Ok(Some(None)),
        Ok(()) => Ok(leads_to(path, file)?.then_some(Some(lock))),
    }
}

/// Whether a file that is in the way was left by a writer that is no more, and is now
/// removed or was by others.
#[cfg(unix)]
fn remove_abandoned(path: &Path) -> io::Result<bool> {
    let gone = |outcome: io::Result<()>| match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    };
    let file = match fallible(|| File::open(path)) {
        Ok(file) => file,
        Err(error) => return gone(Err(error)),
    };
    if file.try_lock().is_err() {
        return Ok(false);
    }
    // Only with its lock in hand can the name be known to be the abandoned file's.
    match leads_to(path, &file)? {
        true => gone(fallible(|| fs::remove_file(path))),
        false => Ok(true),
    }
}

/// Whether the path is that of the open file.
#[cfg(unix)]
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere a lock would keep the writer itself away: what is there is not known to be
/// abandoned.
#[cfg(not(unix))]
fn lock_created(_path: &Path, _file: &File) -> io::Result<Option<Option<File>>> {
    Ok(Some(None))
}

#[cfg(not(unix))]
fn remove_abandoned(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

/// A file for what does not fit in memory; it has no name any more when it is returned,
/// so it is gone with its descriptor.
///
/// Only the one writer of the target makes such files, and one at a time, so what has the
/// name was left by one that was killed. The next removes it when it begins, as it may
/// make no such file.
pub(super) fn spill(target: &Path) -> io::Result<File> {
    let path = name_for(target, SPILL);
    fs::remove_file(&path).ok();
    let mut options = OpenOptions::new();
    let file = fallible(|| options.read(true).write(true).create_new(true).open(&path))?;
    match fallible(|| fs::remove_file(&path)) {
        Ok(()) => Ok(file),
        Err(error) => {
            fs::remove_file(&path).ok();
            Err(error)
        }
    }
}

/// A name beside `target` that only it has. Of a fixed length, because names may be as
/// long as the system allows.
fn name_for(target: &Path, ending: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default();
    let tag = XxHash3_64::oneshot(name.as_encoded_bytes());
    directory_of(target).join(format!(".plimsoll-{tag:016x}{ending}"))
}

pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Brings the new name to the disk.
#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = fallible(|| File::open(directory_of(path)))?;
    match fallible(|| directory.sync_all()) {
        // Some network file systems do not know the operation on a directory.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

/// Elsewhere a directory cannot be opened, and the name is journalled.
#[cfg(not(unix))]
pub(super) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_bare_name_is_the_current_one() {
        assert_eq!(directory_of(Path::new("a.plim")), Path::new("."));
        assert_eq!(directory_of(Path::new("x/a.plim")), Path::new("x"));
        assert_eq!(directory_of(Path::new("/a.plim")), Path::new("/"));
    }

    #[test]
    #[cfg(unix)]
    fn what_is_in_the_way_is_removed_only_if_nobody_has_it_locked() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.plim");
        let path = name_for(&target, TEMPORARY);
        fs::write(&path, "left by one that was killed").unwrap();
        let Ok((_, first)) = Temporary::create(&target) else { panic!("it was abandoned") };
        assert_eq!(fs::read(&path).unwrap(), b"");
        match Temporary::create(&target) {
            Err(Refusal::Busy(other)) => assert_eq!(other, path),
            _ => panic!("the first is at work"),
        }
        drop(first);
        assert!(!path.exists());
        assert!(Temporary::create(&target).is_ok());
    }

    #[test]
    #[cfg(unix)]
    fn of_many_who_clean_up_one_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.plim");
        for _ in 0..50 {
            fs::write(name_for(&target, TEMPORARY), "abandoned").unwrap();
            let barrier = std::sync::Barrier::new(4);
            let made: Vec<_> = std::thread::scope(|scope| {
                let create = || {
                    barrier.wait();
                    let made = Temporary::create(&target).ok();
                    barrier.wait();
                    made
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(create)).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert!(made.len() <= 1, "{} have it", made.len());
            let mine = made.iter().all(|(file, own)| leads_to(&own.path, file).unwrap());
            assert!(mine, "the one who has it is written to under the name");
        }
    }
}
