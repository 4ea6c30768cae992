//! A map in the making.

use std::fmt;

use super::BuildStep;
use super::array::Array;
use super::core::{Core, TOLD};
use super::sort::Sorter;
use crate::error::Error;
use crate::shared::element::{Element, Spec};
use crate::shared::map::{KEYS, Key, MARKS, SIGNPOSTS, VALUES};
use crate::shared::signposts::{Builder, MARKED, Sample};
use crate::shared::table::Kind;

/// Writes a map: see [`SharedFileWriter::map`](super::SharedFileWriter::map).
///
/// It takes the pairs in any order. They are sorted in pieces of half a MiB, as they come, which
/// are merged. Those that fit half of the budget stay in memory until then; beyond that, they are
/// written aside in sorted runs, and merged at the end.
/// For that there must be room on the disk: as much again as the map takes, and once more
/// for each time that there are so many runs that they are merged in several passes
/// (with the budget of 64 MiB, from 16 GiB on).
#[must_use = "a section that is not finished is an error of the file"]
pub struct MapWriter<K, V> {
    core: Core,
    name: String,
    sorter: Sorter<K, V>,
    count: u64,
    prefixes: Sample,
}

impl<K: Key, V: Element> MapWriter<K, V> {
    pub(super) fn new(core: &Core, name: &str) -> Result<Self, Error> {
        core.open(name)?;
        let (core, name) = (core.clone(), name.to_owned());
        Ok(Self { core, name, sorter: Sorter::new(), count: 0, prefixes: Sample::default() })
    }

    /// Adds a value to those of a key.
    ///
    /// # Errors
    ///
    /// As [`SliceWriter::push`](super::SliceWriter::push).
    pub fn push(&mut self, key: K, value: V) -> Result<(), Error> {
        self.prefixes.add(key.prefix());
        self.count += 1;
        self.sorter.push(key, value, &self.core, &self.name)
    }

    /// Sorts and completes the map; returns the number of its values.
    ///
    /// # Errors
    ///
    /// - As [`SliceWriter::push`](super::SliceWriter::push).
    /// - [`Error::SharedSection`] if the keys' [prefixes](Key::prefix) do not follow their
    ///   order.
    pub fn finish(self) -> Result<u64, Error> {
        let Self { core, name, sorter, count, prefixes } = self;
        let array = |part, spec| Array::new(&core, &name, Kind::MAP, part, spec);
        let mut keys = array(KEYS, Spec::of::<K>());
        let mut values = array(VALUES, Spec::of::<V>());
        let mut posts = array(SIGNPOSTS, Spec::of::<u64>());
        let mut marks = array(MARKS, Spec::of::<u64>());

        if count > 0 {
            let mut post = |post| posts.append(bytemuck::bytes_of(&post));
            let mut builder = Builder::new(prefixes.segments(), &mut post)?;
            let (mut before, mut told) = (0, 0);
            let all = count * (size_of::<K>() + size_of::<V>()) as u64;
            sorter.finish(&core, &name, |key, value| {
                let prefix = key.prefix();
                if prefix < before {
                    return Err(core.problem(&name, "the keys' prefixes do not follow their order"));
                }
                before = prefix;
                builder.key(prefix, &mut post)?;
                if keys.count().is_multiple_of(MARKED as u64) {
                    marks.append(bytemuck::bytes_of(&prefix))?;
                }
                keys.append(bytemuck::bytes_of(&key))?;
                values.append(bytemuck::bytes_of(&value))?;
                let bytes = keys.bytes() + values.bytes();
                if bytes - told >= TOLD || bytes == all {
                    told = bytes;
                    core.tell(&name, BuildStep::Merge, bytes, Some(all));
                }
                Ok(())
            })?;
            builder.finish(&mut post)?;
        }
        keys.finish()?;
        values.finish()?;
        posts.finish()?;
        marks.finish()?;
        core.close(&name);
        Ok(count)
    }

    /// Adds pairs and completes the map; returns the number of its values.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub fn fill(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Result<u64, Error> {
        pairs.into_iter().try_for_each(|(key, value)| self.push(key, value))?;
        self.finish()
    }
}

impl<K: Key, V: Element> fmt::Debug for MapWriter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapWriter")
            .field("section", &self.name)
            .field("len", &self.count)
            .finish_non_exhaustive()
    }
}
