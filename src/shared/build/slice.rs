//! A section of elements in the making.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use super::array::Array;
use super::core::Core;
use crate::error::Error;
use crate::shared::element::{Element, Spec};
use crate::shared::table::Kind;

/// Writes a section of elements: see [`SharedFileWriter::slice`](super::SharedFileWriter::slice).
#[must_use = "a section that is not finished is an error of the file"]
pub struct SliceWriter<T> {
    array: Array,
    elements: PhantomData<fn(T)>,
}

impl<T: Element> SliceWriter<T> {
    pub(super) fn new(core: &Core, name: &str) -> Result<Self, Error> {
        core.open(name)?;
        let array = Array::new(core, name, Kind::SLICE, 0, Spec::of::<T>());
        Ok(Self { array, elements: PhantomData })
    }

    /// Appends an element. Elements are gathered into pieces of up to 512 KiB, so to give
    /// them one by one is no waste.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] if the system refuses to take them, as when the disk
    /// is full. The file is lost then: every later call for it fails. So for all that
    /// is appended, and all that is finished.
    pub fn push(&mut self, element: &T) -> Result<(), Error> {
        self.extend_from_slice(std::slice::from_ref(element))
    }

    /// Appends elements.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn extend_from_slice(&mut self, elements: &[T]) -> Result<(), Error> {
        self.array.append(bytemuck::cast_slice(elements))
    }

    /// Completes the section; returns the number of its elements.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn finish(self) -> Result<u64, Error> {
        let (core, name) = (self.array.core().clone(), self.array.section().to_owned());
        let count = self.array.count();
        self.array.finish()?;
        core.close(&name);
        Ok(count)
    }

    /// Appends elements, values or references, and completes the section; returns the number of
    /// its elements. References alone do not say what the element is ("type annotations needed"):
    /// name it, `file.slice::<Row>("rows")?.fill(&rows)?`.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn fill<E: Borrow<T>>(
        mut self,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<u64, Error> {
        elements.into_iter().try_for_each(|element| self.push(element.borrow()))?;
        self.finish()
    }
}

impl<T> fmt::Debug for SliceWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceWriter")
            .field("section", &self.array.section())
            .field("len", &self.array.count())
            .finish_non_exhaustive()
    }
}
