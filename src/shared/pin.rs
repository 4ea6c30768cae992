//! Keeping a file in memory.

use std::sync::atomic::Ordering;

use super::SharedFile;
use crate::error::Error;
use crate::fault::fallible;

impl SharedFile {
    /// Reads all of the file and keeps it in memory for as long as it is mapped: look-ups never
    /// wait for the disk, and no other use of the memory can push its pages out. A copy
    /// ([`load`](Self::load), [`seal`](Self::seal)) is kept from being swapped out.
    ///
    /// It pays for look-ups that must not wait, and on machines where others would push
    /// the pages out. Nobody gets the memory back while the file is pinned, so it counts
    /// in full in every plan made from then on that [declares](crate::Footprint::table) a
    /// section of it. Where it is only the first look-ups that must not wait,
    /// [`prefault`](Self::prefault) does.
    ///
    /// It returns when all is read. Data that need not be pinned belongs in another file.
    ///
    /// # Errors
    ///
    /// [`Error::SharedPin`] if the system refuses, most often because a process may lock
    /// only so much (on Linux 8 MiB by default). The file is as usable as before.
    pub fn pin(&self) -> Result<(), Error> {
        let lock = || {
            #[cfg(unix)]
            return self.inner.memory.map().lock();
            #[cfg(not(unix))]
            return Err(std::io::ErrorKind::Unsupported.into());
        };
        fallible(lock).map_err(|source| {
            // What was locked before the refusal.
            #[cfg(unix)]
            let _ = self.inner.memory.map().unlock();
            let (path, bytes) = (self.path().to_path_buf(), self.size_bytes());
            Error::SharedPin { path, bytes, allowed: may_lock(), source }
        })?;
        self.inner.pinned.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it was [pinned](Self::pin).
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.inner.pinned.load(Ordering::Relaxed)
    }
}

/// Bytes that this process may lock in all.
#[cfg(target_os = "linux")]
fn may_lock() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn may_lock() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{PLANNED, each_site};
    use crate::shared::{Advice, Shared};

    #[test]
    fn what_the_system_refuses_is_told_and_leaves_the_file_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.plim");
        Shared::<[u32]>::write(&path, &[1, 2, 3]).unwrap();
        let file = SharedFile::open(&path).unwrap();
        let mut refused = Vec::new();
        let operations = || {
            file.advise("data", Advice::Random)?;
            file.prefault(["data"])?.wait()?;
            file.pin()
        };
        let (_, last) = each_site(operations, |_, outcome| {
            assert!(!file.is_pinned());
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains(PLANNED), "{error}");
            refused.push(match error {
                Error::SharedIo { action, .. } => action,
                Error::SharedPin { bytes, .. } if bytes == file.size_bytes() => "pin",
                other => panic!("{other}"),
            });
        });
        assert_eq!(refused, ["give advice on", "start a thread to read", "pin"]);
        assert_eq!(file.is_pinned(), last.is_ok(), "the system may refuse it, too: {last:?}");
        assert_eq!(*file.get::<Shared<[u32]>>("data").unwrap(), [1, 2, 3]);
    }
}
