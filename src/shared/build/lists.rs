//! Lists of byte strings and of texts in the making.

use std::fmt;

use super::array::Array;
use super::core::Core;
use crate::error::Error;
use crate::shared::element::Spec;
use crate::shared::lists::{BYTES, PLACES};
use crate::shared::table::Kind;

/// Writes a list of byte strings: see [`SharedFileWriter::bytes`](super::SharedFileWriter::bytes).
#[must_use = "a section that is not finished is an error of the file"]
pub struct BytesWriter {
    places: Array,
    bytes: Array,
    /// Bytes of the entries that are complete.
    ended: u64,
}

impl BytesWriter {
    pub(super) fn new(core: &Core, name: &str) -> Result<Self, Error> {
        Self::of_kind(core, name, Kind::BYTES)
    }

    fn of_kind(core: &Core, name: &str, kind: Kind) -> Result<Self, Error> {
        core.open(name)?;
        let mut places = Array::new(core, name, kind, PLACES, Spec::of::<u64>());
        places.append(bytemuck::bytes_of(&0_u64))?;
        let bytes = Array::new(core, name, kind, BYTES, Spec::of::<u8>());
        Ok(Self { places, bytes, ended: 0 })
    }

    /// Appends an entry.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn push(&mut self, entry: impl AsRef<[u8]>) -> Result<(), Error> {
        self.append(entry)?;
        self.end()
    }

    /// Appends a part of an entry, which may be larger than memory: all parts up to the next
    /// [`end`](Self::end) are one.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn append(&mut self, part: impl AsRef<[u8]>) -> Result<(), Error> {
        self.bytes.append(part.as_ref())
    }

    /// Ends the entry whose parts were appended; an empty one, if none were.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn end(&mut self) -> Result<(), Error> {
        self.ended = self.bytes.bytes();
        self.places.append(bytemuck::bytes_of(&self.ended))
    }

    /// Completes the list; returns the number of its entries.
    ///
    /// # Errors
    ///
    /// - As [`SliceWriter::push`](super::SliceWriter::push).
    /// - [`Error::SharedSection`] if an entry was begun and not [ended](Self::end).
    pub fn finish(self) -> Result<u64, Error> {
        let Self { places, bytes, ended } = self;
        if ended != bytes.bytes() {
            return Err(bytes.core().problem(bytes.section(), "its last entry was not ended"));
        }
        let (core, name) = (places.core().clone(), places.section().to_owned());
        let count = places.count() - 1;
        bytes.finish()?;
        places.finish()?;
        core.close(&name);
        Ok(count)
    }

    /// Appends entries and completes the list; returns the number of its entries.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn fill<B: AsRef<[u8]>>(
        mut self,
        entries: impl IntoIterator<Item = B>,
    ) -> Result<u64, Error> {
        entries.into_iter().try_for_each(|entry| self.push(entry))?;
        self.finish()
    }
}

impl fmt::Debug for BytesWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesWriter")
            .field("section", &self.places.section())
            .field("len", &(self.places.count() - 1))
            .finish_non_exhaustive()
    }
}

/// Writes a list of texts: see [`SharedFileWriter::strs`](super::SharedFileWriter::strs).
#[must_use = "a section that is not finished is an error of the file"]
pub struct StrsWriter(BytesWriter);

impl StrsWriter {
    pub(super) fn new(core: &Core, name: &str) -> Result<Self, Error> {
        BytesWriter::of_kind(core, name, Kind::STRS).map(Self)
    }

    /// Appends a text.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn push(&mut self, text: impl AsRef<str>) -> Result<(), Error> {
        self.0.push(text.as_ref())
    }

    /// Completes the list; returns the number of its texts.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn finish(self) -> Result<u64, Error> {
        self.0.finish()
    }

    /// Appends texts and completes the list; returns the number of its texts.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn fill<S: AsRef<str>>(mut self, texts: impl IntoIterator<Item = S>) -> Result<u64, Error> {
        texts.into_iter().try_for_each(|text| self.push(text))?;
        self.finish()
    }
}

impl fmt::Debug for StrsWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StrsWriter").field(&self.0).finish()
    }
}
