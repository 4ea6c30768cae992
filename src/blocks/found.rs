//! What the passes find, until they are done: in memory, or in a file when that is more.

use std::fs;
use std::path::{Path, PathBuf};

use super::{BlockError, Partial};
use crate::error::Error;
use crate::shared::{
    BytesWriter, MapWriter, SharedBytes, SharedFile, SharedFileWriter, SharedMap, Verify,
};
use crate::sync::{Figure, Ordering};

const PARTS: &str = "parts";
const BY_PLACE: &str = "by place";

/// Parts in the order in which they were found.
///
/// They are kept by their bytes, so that it is known what they take, and merged at the end.
pub(super) struct Found {
    /// Bytes that may be in memory.
    allowance: u64,
    directory: PathBuf,
    /// The parts in memory, one behind the other.
    bytes: Vec<u8>,
    /// For each its place and where it ends.
    ends: Vec<(u64, usize)>,
    file: Option<Spill>,
    /// Bytes that went to the file.
    pub(super) spilled: u64,
}

/// A file in the making with the parts as a list, and a map from places to their numbers.
/// The map keeps the order of the parts of one place.
struct Spill {
    path: PathBuf,
    writer: SharedFileWriter,
    parts: BytesWriter,
    by_place: MapWriter<u64, u64>,
    count: u64,
}

impl Found {
    pub(super) fn new(allowance: u64, directory: &Path) -> Self {
        let (directory, bytes, ends) = (directory.to_path_buf(), Vec::new(), Vec::new());
        Self { allowance, directory, bytes, ends, file: None, spilled: 0 }
    }

    pub(super) fn push(&mut self, place: u64, part: &impl Partial) -> Result<(), Error> {
        part.write(&mut self.bytes);
        self.ends.push((place, self.bytes.len()));
        let held = self.bytes.len() + size_of_val(&self.ends[..]);
        // A growing array has room for twice what it holds.
        if 2 * held as u64 > self.allowance { self.spill() } else { Ok(()) }
    }

    /// Writes what is in memory to the file.
    fn spill(&mut self) -> Result<(), Error> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Spill::create(&self.directory, self.allowance)?),
        };
        let mut start = 0;
        for (place, end) in self.ends.drain(..) {
            file.parts.push(&self.bytes[start..end])?;
            file.by_place.push(place, file.count)?;
            file.count += 1;
            start = end;
        }
        self.spilled += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Merges the parts of each place and gives them to `take`, by rising place.
    pub(super) fn merge<P: Partial>(
        mut self,
        take: impl FnMut(u64, P) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        if self.file.is_some() {
            self.spill()?;
        }
        let Self { bytes, ends, file, .. } = self;
        let Some(file) = file else {
            let starts = std::iter::once(0).chain(ends.iter().map(|(_, end)| *end));
            let ranges = starts.zip(&ends).map(|(start, (place, end))| (*place, start..*end));
            let mut parts: Vec<_> = ranges.collect();
            // Stable, so that the parts of a place stay in their order.
            parts.sort_by_key(|(place, _)| *place);
            let part = |at: usize| bytes.get(parts[at].1.clone());
            return merge(parts.len(), |at| parts[at].0, part, take);
        };
        let (list, by_place) = file.finish()?;
        let part = |at: usize| list.get(usize::try_from(by_place.values()[at]).ok()?);
        merge(by_place.len(), |at| by_place.keys()[at], part, take)
    }
}

/// Merges `count` parts, whose places do not fall.
fn merge<'a, P: Partial>(
    count: usize,
    place: impl Fn(usize) -> u64,
    part: impl Fn(usize) -> Option<&'a [u8]>,
    mut take: impl FnMut(u64, P) -> Result<(), BlockError>,
) -> Result<(), BlockError> {
    let read = |at: usize| {
        part(at).and_then(P::read).ok_or_else(|| BlockError::Unreadable { item: place(at) })
    };
    let mut at = 0;
    while at < count {
        let (item, mut merged) = (place(at), read(at)?);
        at += 1;
        while at < count && place(at) == item {
            merged.merge(read(at)?);
            at += 1;
        }
        take(item, merged)?;
    }
    Ok(())
}

impl Spill {
    fn create(directory: &Path, budget: u64) -> Result<Self, Error> {
        // Two runs of one process at the same time have a file each.
        static NEXT: Figure = Figure::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plimsoll-found-{}-{number}.plim", std::process::id());
        let path = directory.join(name);
        let writer = SharedFile::create(&path)?.budget(budget);
        let (parts, by_place) = (writer.bytes(PARTS)?, writer.map(BY_PLACE)?);
        Ok(Self { path, writer, parts, by_place, count: 0 })
    }

    /// The finished file, which has no name any more: it is gone when it is not used.
    fn finish(self) -> Result<(SharedBytes, SharedMap<u64, u64>), Error> {
        let Self { path, writer, parts, by_place, .. } = self;
        parts.finish()?;
        by_place.finish()?;
        writer.finish()?;
        let take = || {
            let file = SharedFile::open_with(&path, Verify::Header)?;
            Ok((file.get(PARTS)?, file.get(BY_PLACE)?))
        };
        let taken = take();
        // Where it cannot be removed it is as much in the way as any temporary file.
        let _ = fs::remove_file(&path);
        taken
    }
}
