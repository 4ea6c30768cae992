//! Large read-only data in a verified file, mapped once and shared by every
//! thread and every process.
//!
//! # How it is built
//!
//! A file is a header, arrays, and a table of the arrays (`header`, `table`). An array
//! has elements of one type, told by name, size and alignment, and a checksum; that is
//! all the format knows. A *section*, what a user names and takes, is one array or a few
//! under one name, and its *kind* says what they mean: adding a kind adds no format.
//!
//! - **Reading** (`source` -> `pages` -> `file` -> `section`). `source` reads header and
//!   table, believing nothing; `pages` maps or copies the file, by one of the ways that
//!   [`SharedFile`] tells; `file` finds, types and verifies. A handle is a `View`: a
//!   pointer to the data and a count on the file, so that a look-up costs what it costs
//!   in a `Vec`. The cast from bytes is done once, when the section is taken.
//! - **Writing** (`build`). Every array is a stream. The first that outgrows its buffer
//!   takes the end of the file and writes there; others that are written at the same time
//!   go to spill files, and are copied behind it when they are done. A map is sorted
//!   in memory as far as the budget carries, then by merging sorted runs.
//! - **Verifying** (`verify`, `checksum`). Header and table always; a section by choice.
//! - **The heap** (`allocator`). How long the system's allocator keeps what was freed; here,
//!   because `pages` alone may ask it.
//! - **In memory** (`counted`, `advice`, `prefault`, `pin`). What a plan counts of a section,
//!   and what the system is told about it.
//!
//! What others taught: ranges that overlap or leave the file are refused by the table, not
//! by each reader (safetensors); sections are aligned to pages, so that nobody has to ask
//! what alignment an embedded archive needs; only what is used need be verified, which
//! users of archives that are validated as a whole wish for (rkyv); the type is named
//! by hand, because what compilers offer does not last as long as files do.

mod advice;
mod allocator;
#[cfg(feature = "rkyv")]
mod archive;
mod build;
mod checksum;
mod counted;
mod element;
mod file;
mod hand_over;
mod header;
mod keeper;
mod lists;
mod map;
mod pages;
mod pin;
mod prefault;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod rows;
mod section;
mod signposts;
mod source;
mod table;
mod verify;

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

pub use advice::Advice;
pub use allocator::release_large_blocks;
pub(crate) use allocator::{keeps_end_of_heap, release_end_of_heap, release_if_kept};
#[cfg(feature = "rkyv")]
pub use archive::{NamedArchive, SharedArchive};
pub use build::{
    BuildProgress, BuildStep, BytesWriter, MapWriter, SharedFileWriter, SharedWriter, SliceWriter,
    StrsWriter,
};
pub use element::Element;
pub use file::{SectionInfo, SharedFile};
pub use hand_over::HandOver;
pub use lists::{SharedBytes, SharedStrs};
pub use map::{Key, SharedMap};
pub(crate) use pages::{cpu_time, pages_touched, thread_cpu_time, trim_allocator};
pub use prefault::Prefault;
pub use rows::Rows;
pub(crate) use rows::sealed::Parts as RowsParts;
pub use section::Section;
pub use verify::{VERIFY_AUTO_BYTES, Verify};

use self::pages::View;
use self::sealed::IsSlice;
use crate::error::Error;

/// The section of a file that holds one array only.
const ONLY: &str = "data";

/// Read-only data of type `D`, a slice `[T]`, held once for all who use it.
///
/// A `Shared<[T]>` is used like a `&[T]`, and as fast. It is a section of a
/// [`SharedFile`], or the whole of a file with one array ([`open`](Self::open)): the
/// pages are read when they are touched, held once for all processes of the machine, and
/// given up under memory pressure. Or it comes from the heap (`Shared::from(vec)`), for
/// tests and small data. A clone is one more handle on the same data, which any thread may
/// use. The [guide](crate::guide::shared_tables) tells step by step how a table comes to be,
/// and when it is better not mapped.
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
/// A mapped file must not be changed in place: [`SharedFile`] tells what can be done
/// about that, and what each way costs.
pub struct Shared<D: IsSlice + ?Sized> {
    view: View<D>,
}

mod sealed {
    /// What is in a `Shared`. There is nothing but slices; the bound is there for what the
    /// compiler says of one that was forgotten.
    #[diagnostic::on_unimplemented(
        message = "a `Shared` holds a slice, and `{Self}` is none",
        label = "not a slice: say `Shared<[{Self}]>`"
    )]
    pub trait IsSlice {}

    #[diagnostic::do_not_recommend]
    impl<T> IsSlice for [T] {}
}

impl<T: Element> Shared<[T]> {
    /// Writes `data` to a new file at `path`, in place of what is there: one with a single
    /// section, of the name `data`.
    ///
    /// Whoever opens the path finds what was there before or the whole new
    /// file, even after a power cut; [`SharedFileWriter`] tells the details, and
    /// [`SharedWriter`] writes what is larger than memory.
    ///
    /// # Errors
    ///
    /// As [`SharedWriter::create`] and [`SharedWriter::finish`].
    pub fn write(path: impl AsRef<Path>, data: &[T]) -> Result<(), Error> {
        let mut writer = SharedWriter::create(path)?;
        writer.extend_from_slice(data)?;
        writer.finish().map(drop)
    }

    /// Opens and maps a file written by [`write`](Self::write) or
    /// [`SharedWriter`], verified as [`Verify::Auto`] says.
    ///
    /// # Errors
    ///
    /// As [`SharedFile::open`] and [`SharedFile::get`].
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
        // What is eager for a file is as early for its one section, which says whose
        // damage it is.
        let verify = if verify == Verify::Payload { Verify::FirstUse } else { verify };
        Self::only_section(&SharedFile::open_with(path, verify)?)
    }

    /// Copies a file into memory and verifies all of it: see [`SharedFile::load`].
    ///
    /// # Errors
    ///
    /// As [`SharedFile::load`] and [`SharedFile::get`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::only_section(&SharedFile::load_with(path.as_ref(), Verify::FirstUse)?)
    }

    fn only_section(file: &SharedFile) -> Result<Self, Error> {
        file.take(ONLY).map_err(|problem| file.problem(problem))
    }
}

impl<D: IsSlice + ?Sized> Shared<D> {
    /// The file this is a section of, as its path was given; `None` for data that never
    /// was in a file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.view.file().map(file::Inner::path)
    }

    /// The file this is a section of, to [pin](SharedFile::pin), say; `None` for data
    /// that never was in a file.
    #[must_use]
    pub fn file(&self) -> Option<SharedFile> {
        self.view.owned_file().map(|inner| SharedFile { inner })
    }

    /// Bytes of the data.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        size_of_val::<D>(self) as u64
    }

    /// Whether the data is in a mapped file, whose pages the system can give up
    /// and read again, and not memory of this process.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.view.file().is_some_and(file::Inner::is_mapped)
    }
}

impl<D: IsSlice + ?Sized> Deref for Shared<D> {
    type Target = D;

    #[inline(always)]
    fn deref(&self) -> &D {
        &self.view
    }
}

impl<D: IsSlice + ?Sized> From<View<D>> for Shared<D> {
    fn from(view: View<D>) -> Self {
        Self { view }
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
        let keeper = Arc::new(elements.into_boxed_slice());
        let Ok(view) = View::new(keeper, |elements| Ok::<_, Infallible>(&**elements));
        Self { view }
    }
}

impl<D: IsSlice + ?Sized> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self { view: self.view.clone() }
    }
}

/// Says what it is, not what is in it, which may be gigabytes.
impl<D: IsSlice + ?Sized> fmt::Debug for Shared<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("data", &std::any::type_name::<D>())
            .field("path", &self.path())
            .field("size_bytes", &self.size_bytes())
            .field("is_mapped", &self.is_mapped())
            .finish()
    }
}
