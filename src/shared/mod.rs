//! Large read-only data in a verified file, mapped once and shared by every
//! thread and every process.

mod element;
mod header;
mod pages;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod read;
mod write;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use element::{Content, Element};
pub use pages::release_large_blocks;
pub(crate) use pages::{pages_touched, trim_allocator};
pub use write::SharedWriter;

use self::pages::Mapped;
use self::read::Source;
use self::write::Writer;
use crate::error::Error;

/// Bytes of payload up to which [`Verify::Auto`] verifies it: 64 MiB, some ten
/// milliseconds of checksum.
pub const VERIFY_AUTO_BYTES: u64 = 64 << 20;

/// How much of a file is verified when it is opened. The header always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verify {
    /// The payload too if it has at most [`VERIFY_AUTO_BYTES`]. The default.
    #[default]
    Auto,
    /// The header alone: opening takes the same time for every size, and a
    /// damaged payload is not noticed.
    Header,
    /// The payload too, whatever its size. All of it is read, and so comes into
    /// memory.
    Payload,
}

/// Read-only data of type `D`, today `[T]`, held once for all who use it.
///
/// A `Shared<[T]>` is used like a `&[T]`. It comes from a file by
/// [`open`](Self::open), which maps it: the pages are read when they are
/// touched, held once for all processes of the machine, and given up under
/// memory pressure. Or it comes from the heap (`Shared::from(vec)`), for tests
/// and small data. Cloning copies a pointer; it can be sent to, and used by,
/// any thread.
///
/// ```
/// # fn main() -> Result<(), plimsoll::Error> {
/// use plimsoll::Shared;
///
/// # let directory = std::env::temp_dir().join(format!("plimsoll-shared-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
/// # let path = directory.join("primes.plim");
/// Shared::<[u64]>::write(&path, &[2, 3, 5, 7])?;
///
/// let primes: Shared<[u64]> = Shared::open(&path)?;
/// assert_eq!(primes.binary_search(&5), Ok(2));
///
/// let other = primes.clone();
/// let sum = std::thread::spawn(move || other.iter().sum::<u64>());
/// assert_eq!(sum.join().expect("the sum does not panic"), 17);
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
///
/// Every use as a slice checks length and alignment again: a few instructions,
/// which the compiler moves out of a loop where it can see through it. Where
/// that matters, take the slice once: `let rows: &[T] = &shared;`.
///
/// # What a mapped file relies on
///
/// Rust takes the contents of a `&[T]` for constant, and a file can be changed
/// by others. A file that is changed while it is mapped is undefined behaviour;
/// one that is cut short ends the process (SIGBUS). No operating system lets a
/// program rule this out for an ordinary file, so be clear about what stands
/// behind the safe [`open`](Self::open):
///
/// - **By construction.** Files of [`write`](Self::write) and [`SharedWriter`]
///   are never changed in place. A new version is a new file, renamed over the
///   old name; whoever has the old one mapped keeps it.
/// - **Checked.** The file is a regular one, its header is sound, its length is
///   the recorded one before and after mapping, its permissions let nobody
///   write to it (Unix), and no process has it open for writing from before
///   (Linux, where the file is ours to ask about: local file system and our own
///   file or a privileged process). On Windows the system keeps writers away
///   while it is mapped.
/// - **Proven.** A sealed memfd, or a file under fs-verity (Linux), cannot be
///   changed by anybody; such a file is recognised and taken as it is.
/// - **Relied upon.** For all other files: that nobody who could, its owner or a
///   superuser, makes the file writable again, or opens it past its
///   permissions, and changes it in place. Open files from those you would run
///   a program or load a library from: the system maps these on the same trust.
///
/// Where that trust is not given, [`load`](Self::load) copies the file into
/// memory and relies on nothing. Where a check stands in the way and you know
/// better, there is the unsafe [`map`](Self::map).
pub struct Shared<D: ?Sized> {
    inner: Arc<Inner<D>>,
}

struct Inner<D: ?Sized> {
    data: Data<D>,
    path: Option<PathBuf>,
}

enum Data<D: ?Sized> {
    Heap(Box<D>),
    Mapped(Mapped),
}

impl<D: ?Sized + Content> Shared<D> {
    /// Writes `data` to a new file at `path`, in place of what is there.
    ///
    /// Whoever opens the path finds what was there before or the whole new
    /// file, even after a power cut; [`SharedWriter`] tells the details and
    /// writes what is larger than memory.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`], as [`SharedWriter::create`] and
    /// [`SharedWriter::finish`].
    pub fn write(path: impl AsRef<Path>, data: &D) -> Result<(), Error> {
        let mut writer = Writer::create(path.as_ref(), D::SPEC)?;
        writer.append(data.bytes())?;
        writer.finish().map(drop)
    }

    /// Opens and maps a file written by [`write`](Self::write) or
    /// [`SharedWriter`], verified as [`Verify::Auto`] says.
    ///
    /// This function is safe on the condition, which it checks as far as can
    /// be, that the file is not changed in place: see
    /// [what a mapped file relies on](Self#what-a-mapped-file-relies-on).
    ///
    /// A file that is open for writing is tried again for half a second
    /// before it is refused.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedIo`] if the system refuses to open, read or map the file.
    /// - [`Error::SharedFormat`] if it is not what was asked for, is damaged, or
    ///   may change while it is mapped; the
    ///   [`FormatProblem`](crate::FormatProblem) says which.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, Verify::default())
    }

    /// As [`open`](Self::open), with a choice of how much is verified.
    ///
    /// ```
    /// # fn main() -> Result<(), plimsoll::Error> {
    /// use plimsoll::{Shared, Verify};
    ///
    /// # let directory = std::env::temp_dir().join(format!("plimsoll-with-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
    /// # let path = directory.join("genome.plim");
    /// # Shared::<[u8]>::write(&path, b"ACGT")?;
    /// let genome: Shared<[u8]> = Shared::open_with(&path, Verify::Payload)?;
    /// # assert_eq!(&*genome, b"ACGT");
    /// # std::fs::remove_dir_all(&directory).ok();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, verify: Verify) -> Result<Self, Error> {
        let source = Source::open(path.as_ref(), &D::SPEC)?;
        let mapped = Mapped::sealed(&source)?;
        Self::from_mapped(source, mapped, verify)
    }

    /// Copies a file into memory and verifies all of it.
    ///
    /// Relies on nothing: whatever happens to the file later, the copy stays.
    /// But the memory is this process's own, it cannot be given up under
    /// pressure, and the whole file is read at once.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedIo`] if the system refuses to open or read the file, or
    ///   there is no memory for it.
    /// - [`Error::SharedFormat`] if it is not what was asked for or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (path, data) = Source::open(path.as_ref(), &D::SPEC)?.copy()?;
        Ok(Self::new(Data::Heap(data), Some(path)))
    }

    fn from_mapped(source: Source, mapped: Mapped, verify: Verify) -> Result<Self, Error> {
        let payload = mapped.payload();
        let all = match verify {
            Verify::Auto => payload.len() as u64 <= VERIFY_AUTO_BYTES,
            Verify::Header => false,
            Verify::Payload => true,
        };
        if all {
            source.header.verify(payload).map_err(|problem| source.problem(problem))?;
        }
        Ok(Self::new(Data::Mapped(mapped), Some(source.path)))
    }

    fn new(data: Data<D>, path: Option<PathBuf>) -> Self {
        Self { inner: Arc::new(Inner { data, path }) }
    }

    /// The file this was opened or loaded from, as the path was given; `None`
    /// for data that never was in a file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// Bytes this holds: of a mapped file all of it, its header included; of
    /// data on the heap the data.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match &self.inner.data {
            Data::Heap(data) => size_of_val::<D>(data) as u64,
            Data::Mapped(mapped) => mapped.size_bytes(),
        }
    }

    /// Whether the data is a mapped file, whose pages the system can give up
    /// and read again, and not memory of this process.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        matches!(self.inner.data, Data::Mapped(_))
    }
}

impl<D: ?Sized + Content> Deref for Shared<D> {
    type Target = D;

    #[inline]
    fn deref(&self) -> &D {
        match &self.inner.data {
            Data::Heap(data) => data,
            Data::Mapped(mapped) => D::view(mapped.payload()),
        }
    }
}

/// Data on the heap, used like a file.
///
/// ```
/// use plimsoll::Shared;
///
/// let table = Shared::from(vec![1_u32, 2, 3]);
/// assert_eq!(table.len(), 3);
/// assert_eq!((table.is_mapped(), table.size_bytes()), (false, 12));
/// ```
impl<T: Element> From<Vec<T>> for Shared<[T]> {
    fn from(elements: Vec<T>) -> Self {
        Self::new(Data::Heap(elements.into_boxed_slice()), None)
    }
}

impl<D: ?Sized> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

/// Says what it is, not what is in it, which may be gigabytes.
impl<D: ?Sized + Content> fmt::Debug for Shared<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("element", &D::SPEC.name)
            .field("path", &self.path())
            .field("size_bytes", &self.size_bytes())
            .field("is_mapped", &self.is_mapped())
            .finish()
    }
}
