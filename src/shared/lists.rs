//! Lists of byte strings and of texts: one array of places, one of bytes.

use std::fmt;
use std::ops::{Index, Range};

use super::Shared;
use super::counted::joined;
use super::element::Spec;
use super::pages::View;
use super::section::{Parts, sealed::Take};
use super::table::Kind;
use crate::error::FormatProblem;
use crate::table::Table;

/// The part of the section with the places, one more than there are entries: each is
/// where an entry begins and the one before it ends.
pub(super) const PLACES: u32 = 0;
/// The part with the bytes.
pub(super) const BYTES: u32 = 1;

fn structure(problem: &'static str) -> FormatProblem {
    FormatProblem::Structure { problem }
}

/// A list of byte strings in a shared file, held once for all who use it.
///
/// Written by [`SharedFileWriter::bytes`](super::SharedFileWriter::bytes), or collected
/// on the heap:
///
/// ```
/// let list: plimsoll::SharedBytes = [&b"AC"[..], b"", b"GT"].into_iter().collect();
/// assert_eq!((list.len(), list.get(2), list.get(3)), (3, Some(&b"GT"[..]), None));
/// assert_eq!(&list[0], b"AC");
/// ```
#[derive(Clone)]
pub struct SharedBytes {
    pub(super) places: Shared<[u64]>,
    pub(super) bytes: Shared<[u8]>,
}

impl SharedBytes {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() - 1
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at a place; `None` if there is none, and, in a file that was not
    /// verified, if damage leads out of the list.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.bytes.get(self.range(at)?)
    }

    /// All entries in their order. In a damaged file that was not verified it ends
    /// before the first that leads out of the list.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map_while(|at| self.get(at))
    }

    /// Bytes of the list, its places included.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.places.size_bytes() + self.bytes.size_bytes()
    }

    fn range(&self, at: usize) -> Option<Range<usize>> {
        let [start, end] = *self.places.get(at..)?.first_chunk::<2>()?;
        Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    fn check(places: &[u64], bytes: &[u8]) -> Result<(), FormatProblem> {
        match (places.first(), places.last()) {
            (Some(0), Some(last)) if *last == bytes.len() as u64 => Ok(()),
            _ => Err(structure("the places are not those of the bytes")),
        }
    }

    fn from_parts(parts: &Parts<'_>) -> Result<Self, FormatProblem> {
        let list = Self { places: parts.slice(PLACES)?, bytes: parts.slice(BYTES)? };
        Self::check(&list.places, &list.bytes)?;
        Ok(list)
    }

    fn verify_places(&self) -> Result<(), FormatProblem> {
        match self.places.is_sorted() {
            true => Ok(()),
            false => Err(structure("an entry ends before it begins")),
        }
    }
}

impl Take for SharedBytes {
    #[allow(private_interfaces, reason = "the trait is sealed")]
    const KIND: Kind = Kind::BYTES;

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem> {
        Self::from_parts(parts)
    }

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn verify(&mut self, parts: &Parts<'_>) -> Result<(), FormatProblem> {
        parts.once(|| self.verify_places())
    }
}

/// # Panics
///
/// Where [`get`](SharedBytes::get) has none.
impl Index<usize> for SharedBytes {
    type Output = [u8];

    fn index(&self, at: usize) -> &[u8] {
        match self.get(at) {
            Some(entry) => entry,
            None => panic!("there is no entry {at} in a list of {}", self.len()),
        }
    }
}

impl<B: AsRef<[u8]>> FromIterator<B> for SharedBytes {
    fn from_iter<I: IntoIterator<Item = B>>(entries: I) -> Self {
        let (mut places, mut bytes) = (vec![0], Vec::new());
        for entry in entries {
            bytes.extend_from_slice(entry.as_ref());
            places.push(bytes.len() as u64);
        }
        Self { places: places.into(), bytes: bytes.into() }
    }
}

impl From<&SharedBytes> for Table {
    fn from(list: &SharedBytes) -> Self {
        let on_the_heap = list.bytes.path().is_none().then_some("a list");
        joined(on_the_heap, [(&list.places).into(), (&list.bytes).into()])
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBytes")
            .field("len", &self.len())
            .field("path", &self.bytes.path())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

/// A list of texts in a shared file, held once for all who use it.
///
/// Written by [`SharedFileWriter::strs`](super::SharedFileWriter::strs), or collected
/// on the heap:
///
/// ```
/// let names: plimsoll::SharedStrs = ["hydrogen", "helium"].into_iter().collect();
/// assert_eq!((names.len(), names.get(1), names.get(2)), (2, Some("helium"), None));
/// assert_eq!(&names[0], "hydrogen");
/// ```
#[derive(Clone)]
pub struct SharedStrs {
    pub(super) list: SharedBytes,
    /// All bytes as one text, if they were seen to be one. Else each entry is looked
    /// at when it is asked for.
    text: Option<View<str>>,
}

impl SharedStrs {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The entry at a place; `None` if there is none, and, in a file that was not
    /// verified, if damage leads out of the list or the entry is no text.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&str> {
        let range = self.list.range(at)?;
        match &self.text {
            Some(text) => text.get(range),
            None => str::from_utf8(self.list.bytes.get(range)?).ok(),
        }
    }

    /// All entries in their order. In a damaged file that was not verified it ends
    /// before the first that [`get`](Self::get) would not return.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map_while(|at| self.get(at))
    }

    /// Bytes of the list, its places included.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.list.size_bytes()
    }
}

impl Take for SharedStrs {
    #[allow(private_interfaces, reason = "the trait is sealed")]
    const KIND: Kind = Kind::STRS;

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn take(parts: &Parts<'_>) -> Result<Self, FormatProblem> {
        Ok(Self { list: SharedBytes::from_parts(parts)?, text: None })
    }

    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn verify(&mut self, parts: &Parts<'_>) -> Result<(), FormatProblem> {
        let text = parts.find_once(BYTES, &Spec::of::<u8>(), |bytes| {
            self.list.verify_places()?;
            let text = str::from_utf8(bytes).map_err(|_| structure("the bytes are no text"))?;
            let whole = |place: &u64| text.is_char_boundary(*place as usize);
            match self.list.places.iter().all(whole) {
                true => Ok(text),
                false => Err(structure("an entry ends within a letter")),
            }
        })?;
        self.text = Some(text);
        Ok(())
    }
}

/// # Panics
///
/// Where [`get`](SharedStrs::get) has none.
impl Index<usize> for SharedStrs {
    type Output = str;

    fn index(&self, at: usize) -> &str {
        match self.get(at) {
            Some(entry) => entry,
            None => panic!("there is no text {at} in a list of {}", self.len()),
        }
    }
}

impl<S: AsRef<str>> FromIterator<S> for SharedStrs {
    fn from_iter<I: IntoIterator<Item = S>>(entries: I) -> Self {
        let bytes = |entry: S| entry.as_ref().as_bytes().to_vec();
        Self { list: entries.into_iter().map(bytes).collect(), text: None }
    }
}

impl From<&SharedStrs> for Table {
    fn from(texts: &SharedStrs) -> Self {
        (&texts.list).into()
    }
}

impl fmt::Debug for SharedStrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStrs")
            .field("len", &self.len())
            .field("path", &self.list.bytes.path())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}
