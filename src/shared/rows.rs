//! Sections as rows: how many bytes a range of them takes, and where.

use std::ops::Range;

use super::element::Element;
use super::map::{Key, SharedMap};
#[cfg(unix)]
use super::pages::{Kind, Memory};
use super::{Shared, SharedBytes, SharedStrs};

/// A section of a [`SharedFile`](crate::SharedFile) that can be worked through in
/// [blocks](crate::Blocks) of rows: the elements of a slice, the values of a map in the
/// order of their keys, the entries of a list.
///
/// The trait is sealed. What is no such section is cut into blocks by
/// [`Blocks::by`](crate::Blocks::by).
pub trait Rows: sealed::Parts {}

impl<P: sealed::Parts> Rows for P {}

pub(crate) mod sealed {
    use super::Range;

    /// What the blocks need to know of a section.
    pub trait Parts {
        /// How many rows there are.
        fn rows(&self) -> usize;

        /// Bytes of all rows before one; of all there are, for the first that is not there.
        fn bytes_before(&self, row: usize) -> u64;

        /// Has the system begin to read rows.
        fn will_need(&self, rows: Range<usize>);

        /// Takes the pages of rows out of this process, if they are a file's.
        fn release(&self, rows: Range<usize>);
    }
}

impl<T: Element> Shared<[T]> {
    /// Tells `tell` where in its file some elements are, unless they are a copy.
    #[cfg(unix)]
    fn locate(&self, rows: Range<usize>, tell: impl FnOnce(&Memory, usize, usize)) {
        let (Some(file), Some(rows)) = (self.view.file(), self.get(rows)) else { return };
        let start = rows.as_ptr().addr().checked_sub(file.memory.as_ptr().addr());
        if let (Some(start), true) = (start, file.memory.kind() != Kind::Copy) {
            tell(&file.memory, start, size_of_val(rows));
        }
    }
}

impl<T: Element> sealed::Parts for Shared<[T]> {
    fn rows(&self) -> usize {
        self.len()
    }

    fn bytes_before(&self, row: usize) -> u64 {
        row as u64 * size_of::<T>() as u64
    }

    #[cfg_attr(not(unix), allow(unused_variables, reason = "there is no such advice"))]
    fn will_need(&self, rows: Range<usize>) {
        // Advice: where it is refused, the pages are read when they are touched.
        #[cfg(unix)]
        self.locate(rows, |memory, start, length| {
            let _ = memory.map().advise_range(memmap2::Advice::WillNeed, start, length);
        });
    }

    #[cfg_attr(not(unix), allow(unused_variables, reason = "there is no such advice"))]
    fn release(&self, rows: Range<usize>) {
        #[cfg(unix)]
        self.locate(rows, Memory::release);
    }
}

/// A row is a value, with its key. Of the signposts and marks, which lie in the order of the keys if
/// these are spread evenly, it has its share.
impl<K: Key, V: Element> sealed::Parts for SharedMap<K, V> {
    fn rows(&self) -> usize {
        self.len()
    }

    fn bytes_before(&self, row: usize) -> u64 {
        let signposts = u128::from(self.ways_bytes()) * row as u128;
        let share = signposts / self.len().max(1) as u128;
        self.keys.bytes_before(row) + self.values.bytes_before(row) + share as u64
    }

    fn will_need(&self, rows: Range<usize>) {
        self.keys.will_need(rows.clone());
        self.values.will_need(rows);
    }

    fn release(&self, rows: Range<usize>) {
        self.keys.release(rows.clone());
        self.values.release(rows);
        // Where keys crowd, those of these rows may be anywhere.
        self.signposts.release(0..self.signposts.len());
        self.marks.release(0..self.marks.len());
    }
}

impl SharedBytes {
    /// The bytes of some entries, as a range of all bytes.
    fn bytes_of(&self, rows: Range<usize>) -> Range<usize> {
        let place = |row: usize| self.places.get(row).map_or(0, |place| *place as usize);
        place(rows.start)..place(rows.end)
    }
}

impl sealed::Parts for SharedBytes {
    fn rows(&self) -> usize {
        self.len()
    }

    fn bytes_before(&self, row: usize) -> u64 {
        self.places.bytes_before(row) + self.bytes_of(0..row).end as u64
    }

    fn will_need(&self, rows: Range<usize>) {
        self.bytes.will_need(self.bytes_of(rows.clone()));
        self.places.will_need(rows);
    }

    fn release(&self, rows: Range<usize>) {
        self.bytes.release(self.bytes_of(rows.clone()));
        self.places.release(rows);
    }
}

impl sealed::Parts for SharedStrs {
    fn rows(&self) -> usize {
        self.len()
    }

    fn bytes_before(&self, row: usize) -> u64 {
        self.list.bytes_before(row)
    }

    fn will_need(&self, rows: Range<usize>) {
        self.list.will_need(rows);
    }

    fn release(&self, rows: Range<usize>) {
        self.list.release(rows);
    }
}

impl<S: sealed::Parts + ?Sized> sealed::Parts for &S {
    fn rows(&self) -> usize {
        (**self).rows()
    }

    fn bytes_before(&self, row: usize) -> u64 {
        (**self).bytes_before(row)
    }

    fn will_need(&self, rows: Range<usize>) {
        (**self).will_need(rows);
    }

    fn release(&self, rows: Range<usize>) {
        (**self).release(rows);
    }
}
