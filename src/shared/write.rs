//! The writer of shared files: a reader finds the old file or the whole new
//! one, whatever happens in between.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::element::sealed::Stored;
use super::element::{Element, Spec};
use super::header::{HEADER_BYTES, Header};
use crate::error::Error;
use crate::fault::fallible;

/// Elements given one by one are written in pieces of this many bytes.
const BUFFER_BYTES: usize = 1 << 18;

/// Names tried for the temporary file. A name has 64 random bits, so the first
/// is free; the bound is there because every loop has one.
const NAME_TRIES: u32 = 8;

/// Writes a shared file piece by piece, for data that is larger than memory.
///
/// Nothing is seen at the path before [`finish`](Self::finish); a writer that
/// is dropped before leaves no trace. What is at hand in one piece is written
/// by [`Shared::write`](super::Shared::write).
///
/// ```
/// # fn main() -> Result<(), plimsoll::Error> {
/// use plimsoll::{Shared, SharedWriter};
///
/// # let directory = std::env::temp_dir().join(format!("plimsoll-writer-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
/// # let path = directory.join("squares.plim");
/// let mut writer = SharedWriter::create(&path)?;
/// for n in 0..1_000_u64 {
///     writer.extend_from_slice(&[n * n])?;
/// }
/// assert_eq!(writer.finish()?, 1_000);
///
/// let squares: Shared<[u64]> = Shared::open(&path)?;
/// assert_eq!(squares[30], 900);
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
///
/// # What is promised
///
/// - The data goes to a new file `.plimsoll-*.tmp` in the directory of the
///   path. It is renamed to the path when it is whole and on the disk, so a
///   reader, or a power cut, finds the old file or the new one, never a part.
/// - Processes that have the old file mapped keep the old data.
/// - Of writers that race to one path, the last to finish wins, whole.
/// - The file is read-only from its first moment: mode 0444 less the umask.
/// - A process that is killed leaves its temporary file behind. It does no
///   harm and may be deleted when no writer is at work.
#[must_use = "nothing is written to the path before `finish`"]
pub struct SharedWriter<T> {
    writer: Writer,
    elements: PhantomData<fn(T)>,
}

impl<T: Element> SharedWriter<T> {
    /// Begins a file that will be at `path`, in place of what is there now.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] if `path` names a directory, or the system refuses a
    /// new file in the directory of `path`.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let writer = Writer::create(path.as_ref(), <[T]>::SPEC)?;
        Ok(Self { writer, elements: PhantomData })
    }

    /// Appends elements. They are collected into pieces of 256 KiB, so to give
    /// them one by one is no waste.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] if the system refuses to take them, as when the disk
    /// is full. The writer is of no use then: every later call fails.
    pub fn extend_from_slice(&mut self, elements: &[T]) -> Result<(), Error> {
        self.writer.append(elements.bytes())
    }

    /// Completes the file, brings it to the disk and gives it its name; returns
    /// the number of elements.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] if a step is refused. What was at the path before is
    /// there still, with one exception: an error from `sync the directory of`
    /// comes after the new file has its name, and says that a power cut may
    /// bring the old one back.
    pub fn finish(self) -> Result<u64, Error> {
        self.writer.finish()
    }
}

impl<T> fmt::Debug for SharedWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWriter")
            .field("element", &self.writer.spec.name)
            .field("path", &self.writer.path)
            .field("payload_bytes", &self.writer.payload_bytes)
            .finish_non_exhaustive()
    }
}

/// A shared file in the making, whatever its elements are.
pub(super) struct Writer {
    // Closed before the file is removed, which some systems insist on: fields
    // are dropped in this order.
    out: BufWriter<File>,
    temporary: Temporary,
    path: PathBuf,
    spec: Spec,
    // Large, so in a box.
    hasher: Box<XxHash3_64>,
    payload_bytes: u64,
    failed: bool,
}

impl Writer {
    pub(super) fn create(path: &Path, spec: Spec) -> Result<Self, Error> {
        let begin = || {
            if path.file_name().is_none() || path.is_dir() {
                let problem = "it does not name a file";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            let (file, temporary) = Temporary::create(path)?;
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
            // The header is known at the end; until then its place is a hole,
            // which no reader takes for a header.
            fallible(|| out.seek(SeekFrom::Start(HEADER_BYTES as u64)))?;
            Ok((out, temporary))
        };
        let path = path.to_path_buf();
        match begin() {
            Ok((out, temporary)) => {
                let hasher = Box::new(XxHash3_64::new());
                Ok(Self { out, temporary, path, spec, hasher, payload_bytes: 0, failed: false })
            }
            Err(source) => Err(Error::SharedIo { action: "create", path, source }),
        }
    }

    /// Appends the bytes of whole elements.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.attempt("write", |writer| writer.out.write_all(bytes))?;
        self.hasher.write(bytes);
        self.payload_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Gives the finished file its name; returns the number of elements.
    pub(super) fn finish(mut self) -> Result<u64, Error> {
        let count = self.payload_bytes / self.spec.size;
        let head = Header { count, checksum: self.hasher.finish() }.encode(&self.spec);
        self.attempt("write", |writer| {
            fallible(|| writer.out.seek(SeekFrom::Start(0)))?;
            fallible(|| writer.out.write_all(&head))?;
            fallible(|| writer.out.flush())
        })?;
        self.attempt("bring to the disk", |writer| writer.out.get_ref().sync_all())?;

        let Self { out, temporary, path, .. } = self;
        // Closed before it has its name: a reader refuses a file that is open
        // for writing.
        drop(out);
        let named = temporary.rename(&path).map_err(|source| ("give its name to", source));
        named
            .and_then(|()| {
                sync_directory(&path).map_err(|source| ("sync the directory of", source))
            })
            .map_err(|(action, source)| Error::SharedIo { action, path, source })?;
        Ok(count)
    }

    /// Does one step; none is done after one that failed, because what is in
    /// the file then is not known.
    fn attempt(
        &mut self,
        action: &'static str,
        step: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> Result<(), Error> {
        let outcome = if self.failed {
            Err(io::Error::other("an earlier part could not be written"))
        } else {
            fallible(|| step(self))
        };
        outcome.map_err(|source| {
            self.failed = true;
            Error::SharedIo { action, path: self.path.clone(), source }
        })
    }
}

/// A file that is removed unless it is renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    /// Creates a new, read-only file beside `target`, open for writing.
    fn create(target: &Path) -> io::Result<(File, Self)> {
        let directory = directory_of(target);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // The mode governs later openings, not this one. So nobody but this
        // descriptor ever writes to the file, and the umask is honoured.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o444);
        let mut tries = 0;
        loop {
            // Random, not counted: processes in containers that share a
            // directory have the same process ids.
            let tag = RandomState::new().build_hasher().finish();
            let path = directory.join(format!(".plimsoll-{tag:016x}.tmp"));
            tries += 1;
            match fallible(|| options.open(&path)) {
                Ok(file) => return Ok((file, Self { path, renamed: false })),
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && tries < NAME_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
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

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Brings the new name to the disk.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = fallible(|| File::open(directory_of(path)))?;
    match fallible(|| directory.sync_all()) {
        // Some network file systems do not know the operation on a directory.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

/// Elsewhere a directory cannot be opened, and the name is journalled.
#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
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
    fn a_writer_that_failed_once_never_finishes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.plim");
        let mut writer = SharedWriter::<u64>::create(&path).unwrap();
        writer.writer.attempt("write", |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        writer.extend_from_slice(&[1]).unwrap_err();
        writer.finish().unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
