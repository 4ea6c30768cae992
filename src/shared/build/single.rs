//! The writer of a file with one array.

use std::fmt;
use std::path::Path;

use super::{SharedFileWriter, SliceWriter};
use crate::error::Error;
use crate::shared::ONLY;
use crate::shared::element::Element;

/// Writes a file with one array piece by piece, for data that is larger than memory.
///
/// What is at hand in one piece is written by [`Shared::write`](crate::Shared::write);
/// what has more than one section by a [`SharedFileWriter`], which also tells what is
/// promised.
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
///     writer.push(&(n * n))?;
/// }
/// assert_eq!(writer.finish()?, 1_000);
///
/// let squares: Shared<[u64]> = Shared::open(&path)?;
/// assert_eq!(squares[30], 900);
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is written to the path before `finish`"]
pub struct SharedWriter<T> {
    elements: SliceWriter<T>,
    file: SharedFileWriter,
}

impl<T: Element> SharedWriter<T> {
    /// Begins a file that will be at `path`, in place of what is there now.
    ///
    /// # Errors
    ///
    /// As [`SharedFile::create`](crate::SharedFile::create).
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = SharedFileWriter::create(path.as_ref())?;
        Ok(Self { elements: file.slice(ONLY)?, file })
    }

    /// Appends an element. Elements are gathered into pieces of up to 512 KiB, so to give
    /// them one by one is no waste.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] if the system refuses to take them, as when the disk
    /// is full. The writer is of no use then: every later call fails.
    pub fn push(&mut self, element: &T) -> Result<(), Error> {
        self.elements.push(element)
    }

    /// Appends elements.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn extend_from_slice(&mut self, elements: &[T]) -> Result<(), Error> {
        self.elements.extend_from_slice(elements)
    }

    /// Completes the file, brings it to the disk and gives it its name; returns
    /// the number of elements.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] as [`SharedFileWriter::finish`].
    pub fn finish(self) -> Result<u64, Error> {
        let count = self.elements.finish()?;
        self.file.finish()?;
        Ok(count)
    }
}

impl<T> fmt::Debug for SharedWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWriter")
            .field("file", &self.file)
            .field("elements", &self.elements)
            .finish()
    }
}
