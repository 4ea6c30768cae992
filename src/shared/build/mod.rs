//! Writing shared files: a reader finds the old file or the whole new one, whatever
//! happens in between.

#[cfg(feature = "rkyv")]
mod archive;
mod array;
mod core;
mod lists;
mod map;
mod single;
mod slice;
mod sort;
mod temporary;

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use twox_hash::XxHash3_64;

pub use self::lists::{BytesWriter, StrsWriter};
pub use self::map::MapWriter;
pub use self::single::SharedWriter;
pub use self::slice::SliceWriter;

use self::core::{Core, Tail};
use self::temporary::{Refusal, Temporary, sync_directory};
use super::element::Element;
use super::header::{HEADER_BYTES, Header};
use super::map::Key;
use super::source::whole;
use super::table::Entry;
use crate::error::Error;
use crate::units::{Bytes, MIB};

/// Bytes of memory that a section takes while it is written, unless told otherwise.
const BUDGET: u64 = 64 * MIB;

/// Writes a [`SharedFile`](super::SharedFile), section by section or several at once,
/// each larger than memory if need be.
///
/// A section is begun by name, fed, and finished; its writer is a value of its own, so
/// several sections can be fed in turn, or by several threads:
///
/// ```
/// # fn main() -> Result<(), plimsoll::Error> {
/// use plimsoll::{Shared, SharedFile, SharedStrs};
///
/// # let directory = std::env::temp_dir().join(format!("plimsoll-build-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
/// # let path = directory.join("reads.plim");
/// let writer = SharedFile::create(&path)?;
/// let mut names = writer.strs("names")?;
/// let mut lengths = writer.slice::<u32>("lengths")?;
/// for (name, read) in [("r1", "ACGT"), ("r2", "AC")] {
///     names.push(name)?;
///     lengths.push(&(read.len() as u32))?;
/// }
/// names.finish()?;
/// lengths.finish()?;
/// writer.finish()?;
///
/// let file = SharedFile::open(&path)?;
/// let (names, lengths) = (file.get::<SharedStrs>("names")?, file.get::<Shared<[u32]>>("lengths")?);
/// assert_eq!((&names[1], lengths[1]), ("r2", 2));
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
///
/// Sections that are written one after the other go straight to the file. Of those
/// that are written at the same time one does; the others go to files without a name,
/// and are copied behind it when they are finished.
///
/// # What is promised
///
/// - The data goes to a new file `.plimsoll-*.tmp` in the directory of the
///   path. It is renamed to the path when it is whole and on the disk, so a
///   reader, a kill or a power cut finds the old file or the new one, never a part. A
///   writer that is dropped before leaves no trace.
/// - Processes that have the old file mapped keep the old data.
/// - One writer is at work on a path at a time; another is told so
///   ([`Error::SharedBusy`]) when it begins. (Where the file system has no locks, or
///   outside of Unix, a file left by a writer that was killed has to be deleted by hand.)
/// - The file is read-only from its first moment: mode 0444 less the umask.
/// - A writer that is killed leaves its temporary file behind. It does no harm; the next
///   writer of the path removes it.
#[must_use = "nothing is written to the path before `finish`"]
pub struct SharedFileWriter {
    core: Core,
    temporary: Temporary,
}

/// How far a file in the making has come; its `Display` is a line for people, as
/// `by id: merged 48.0 MiB of 64.0 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildProgress<'a> {
    /// The section that is worked at; empty, when all are done.
    pub section: &'a str,
    /// What is done with it.
    pub step: BuildStep,
    /// Bytes of it for which that was done so far.
    pub bytes: u64,
    /// Bytes of it for which that is to be done: not known while it is fed.
    pub of: Option<u64>,
}

impl fmt::Display for BuildProgress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, step, bytes, of } = *self;
        let done = match step {
            BuildStep::Write => "written",
            BuildStep::Sort => "sorted",
            BuildStep::Merge => "merged",
            BuildStep::Copy => "copied",
            BuildStep::Sync => return write!(f, "all of {} to the disk", Bytes(bytes)),
        };
        write!(f, "{section}: {done} {}", Bytes(bytes))?;
        of.map_or(Ok(()), |of| write!(f, " of {}", Bytes(of)))
    }
}

/// What is done with a section in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildStep {
    /// It is written as it is fed; told of slices and lists.
    Write,
    /// A sorted part of a map is written aside, as it is fed.
    Sort,
    /// Sorted parts of a map are merged. If there are very many, they are merged several times,
    /// each counted from the beginning.
    Merge,
    /// An array of it that was written aside is copied into the file, each counted from the
    /// beginning.
    Copy,
    /// The whole file is brought to the disk, which takes as long as the disk does; told when it
    /// begins.
    Sync,
}

impl SharedFileWriter {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let begin = || {
            if path.file_name().is_none() || path.is_dir() {
                let problem = "it does not name a file";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem).into());
            }
            Temporary::create(path)
        };
        match begin() {
            Ok((file, temporary)) => {
                // The header is known at the end; until then its place is a hole,
                // which no reader takes for a header.
                let tail = Tail { file, end: HEADER_BYTES as u64 };
                Ok(Self { core: Core::new(path, tail, BUDGET as usize), temporary })
            }
            Err(Refusal::Busy(temporary)) => {
                Err(Error::SharedBusy { path: path.to_path_buf(), temporary })
            }
            Err(Refusal::Io(source)) => {
                Err(Error::SharedIo { action: "create", path: whole(path), source })
            }
        }
    }

    /// Bytes of memory that each section may take while it is written, 64 MiB unless
    /// told; for the sections begun from now on. Less than 128 KiB is taken as that.
    ///
    /// Only maps make use of it: what does not fit is sorted in parts, which are written
    /// aside and merged. That takes room on the disk rather than time.
    pub fn budget(mut self, bytes: u64) -> Self {
        self.core.budget = usize::try_from(bytes).unwrap_or(usize::MAX).max(128 << 10);
        self
    }

    /// Has `tell` told how the work goes: for the sections begun from now on, when a step
    /// begins or ends and every 16 MiB between. It is called by the threads that write, by
    /// several at once if several do.
    pub fn progress(mut self, tell: impl Fn(&BuildProgress<'_>) + Send + Sync + 'static) -> Self {
        self.core.progress = Some(Arc::new(tell));
        self
    }

    /// Begins a section of elements, to be taken as a [`Shared`](super::Shared) slice.
    ///
    /// # Errors
    ///
    /// [`Error::SharedSection`] if the name is taken, empty, longer than 64 bytes or has
    /// control characters in it. So for the other kinds of section.
    pub fn slice<T: Element>(&self, name: &str) -> Result<SliceWriter<T>, Error> {
        SliceWriter::new(&self.core, name)
    }

    /// Begins a list of byte strings, to be taken as [`SharedBytes`](super::SharedBytes).
    ///
    /// # Errors
    ///
    /// As [`slice`](Self::slice).
    pub fn bytes(&self, name: &str) -> Result<BytesWriter, Error> {
        BytesWriter::new(&self.core, name)
    }

    /// Begins a list of texts, to be taken as [`SharedStrs`](super::SharedStrs).
    ///
    /// # Errors
    ///
    /// As [`slice`](Self::slice).
    pub fn strs(&self, name: &str) -> Result<StrsWriter, Error> {
        StrsWriter::new(&self.core, name)
    }

    /// Begins a map, to be taken as a [`SharedMap`](super::SharedMap). It sorts what it
    /// is given.
    ///
    /// # Errors
    ///
    /// As [`slice`](Self::slice).
    pub fn map<K: Key, V: Element>(&self, name: &str) -> Result<MapWriter<K, V>, Error> {
        MapWriter::new(&self.core, name)
    }

    /// Completes the file, brings it to the disk and gives it its name.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedSection`] if a section was begun and not finished.
    /// - [`Error::SharedIo`] if a step is refused. What was at the path before is
    ///   there still, with one exception: an error from `sync the directory of`
    ///   comes after the new file has its name, and says that a power cut may
    ///   bring the old one back.
    pub fn finish(self) -> Result<(), Error> {
        let Self { core, temporary } = self;
        array::copy_waiting(&core)?;
        let (tail, entries) = core.take_all()?;
        write_ends(&core, &tail, &entries)?;
        core.tell("", BuildStep::Sync, tail.end, Some(tail.end));
        core.attempt("bring to the disk", || tail.file.sync_all())?;
        // Closed before it has its name: a reader refuses a file that is open
        // for writing.
        drop(tail);
        let path = core.path();
        temporary.rename(path).map_err(|error| core.io("give its name to", error))?;
        sync_directory(path).map_err(|error| core.io("sync the directory of", error))
    }
}

/// Writes the table behind the last array, and then the header.
fn write_ends(core: &Core, tail: &Tail, entries: &[Entry]) -> Result<(), Error> {
    let table = entries.iter().map(Entry::encode).collect::<Vec<_>>().concat();
    let header = Header {
        table: tail.end.next_multiple_of(64),
        entries: entries.len() as u64,
        table_checksum: XxHash3_64::oneshot(&table),
    };
    let write = |mut file: &File, at, bytes: &[u8]| {
        core.attempt("write", || file.seek(SeekFrom::Start(at)).map(drop))?;
        core.attempt("write", || file.write_all(bytes))
    };
    write(&tail.file, header.table, &table)?;
    write(&tail.file, 0, &header.encode())
}

impl fmt::Debug for SharedFileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFileWriter").field("path", &self.core.path()).finish_non_exhaustive()
    }
}
