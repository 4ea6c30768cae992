//! What can be taken from a file, and how its arrays become one.

use super::Shared;
use super::element::{Element, Spec};
use super::file::SharedFile;
use super::pages::View;
use super::table::{Entry, Kind};
use crate::error::FormatProblem;

/// What a section can be taken as, by [`SharedFile::get`]: a [`Shared`] slice, a list
/// of bytes or texts, a map.
///
/// The trait is sealed: later releases may add kinds of data, other crates cannot.
pub trait Section: sealed::Take {}

impl<S: sealed::Take> Section for S {}

pub(super) mod sealed {
    use super::{FormatProblem, Kind, Parts};

    /// How a section is put together of its arrays.
    pub trait Take: Sized {
        /// The kind that files record.
        #[allow(private_interfaces, reason = "the trait is sealed")]
        const KIND: Kind;

        /// Puts it together, in a time that does not depend on its size.
        #[allow(private_interfaces, reason = "the trait is sealed")]
        fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem>;

        /// Whether the data is what its kind promises: all of it is read.
        fn verify(&mut self) -> Result<(), FormatProblem>;
    }
}

/// The arrays of one section.
pub(super) struct Parts<'a> {
    pub(super) file: &'a SharedFile,
    pub(super) entries: Vec<&'a Entry>,
}

impl Parts<'_> {
    fn entry(&self, part: u32) -> Result<&Entry, FormatProblem> {
        let entry = self.entries.iter().find(|entry| entry.part == part);
        entry.copied().ok_or(FormatProblem::Structure { problem: "one is missing" })
    }

    /// An array as a slice.
    pub(super) fn slice<T: Element>(&self, part: u32) -> Result<Shared<[T]>, FormatProblem> {
        let entry = self.entry(part)?;
        entry.verify_element(&Spec::of::<T>())?;
        let view = View::new(self.file.keeper(), |file| {
            let problem = |_| FormatProblem::Structure { problem: "one is not aligned" };
            bytemuck::try_cast_slice(file.array(entry)).map_err(problem)
        })?;
        Ok(view.into())
    }

    /// What `find` finds in the bytes of an array whose element is told by `spec`.
    #[cfg(feature = "rkyv")]
    pub(super) fn find<D: ?Sized + 'static>(
        &self,
        spec: &Spec,
        find: impl for<'a> FnOnce(&'a [u8]) -> Result<&'a D, FormatProblem>,
    ) -> Result<View<D>, FormatProblem> {
        let entry = self.entry(0)?;
        entry.verify_element(spec)?;
        View::new(self.file.keeper(), |file| find(file.array(entry)))
    }
}

impl<T: Element> sealed::Take for Shared<[T]> {
    #[allow(private_interfaces, reason = "the trait is sealed")]
    const KIND: Kind = Kind::SLICE;

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem> {
        parts.slice(0)
    }

    fn verify(&mut self) -> Result<(), FormatProblem> {
        Ok(())
    }
}
