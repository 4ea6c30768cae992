//! Sorting more pairs than memory holds: sorted runs in a file, merged.
//!
//! In memory, too, it is sorted by merging: of the buffer, each piece that fits the processor's
//! cache is sorted as soon as it is full, and a run is the pieces merged into the file. To sort
//! the buffer as a whole needs half as much memory again, fresh for each run, and its pages
//! cost more than the merging.
//!
//! Pairs with one key stay in the order in which they came: pieces are sorted stably, and
//! of equal keys that of the earlier piece or run goes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;

use super::BuildStep;
use super::core::{Core, TOLD};
use crate::error::Error;
use crate::shared::element::Element;
use crate::shared::map::Key;
use crate::shared::source::read_at;

/// Bytes read of a run at a time, if the budget allows; the disk is slow with less.
const GOOD_BLOCK: usize = 64 << 10;

/// And at the most: of more, what was read first has left the processor's cache before it is
/// merged.
const MOST_BLOCK: usize = 256 << 10;

/// Bytes of the pairs that are sorted at once, at the most.
const PIECE: usize = 512 << 10;

/// Pairs in the making of a map.
pub(super) struct Sorter<K, V> {
    pairs: Vec<(K, V)>,
    /// How many of them are in sorted pieces, of [`piece`](Self::piece) pairs each.
    sorted: usize,
    /// Runs, in the order in which their pairs came.
    runs: Vec<Range<u64>>,
    file: Option<File>,
    /// Bytes of the file.
    end: u64,
}

impl<K: Key, V: Element> Sorter<K, V> {
    const PAIR_BYTES: usize = size_of::<K>() + size_of::<V>();

    pub(super) fn new() -> Self {
        Self { pairs: Vec::new(), sorted: 0, runs: Vec::new(), file: None, end: 0 }
    }

    /// Pairs that are sorted at once.
    fn piece(core: &Core) -> usize {
        (PIECE.min(core.budget / 8) / size_of::<(K, V)>()).max(1)
    }

    pub(super) fn push(&mut self, key: K, value: V, core: &Core, name: &str) -> Result<(), Error> {
        // The rest is for arrays that are written, and to sort a piece.
        let most = (core.budget / 2 / size_of::<(K, V)>()).max(2);
        if self.pairs.len() == most {
            self.write_run(core, name)?;
        } else if self.pairs.len() - self.sorted == Self::piece(core) {
            self.sort_piece();
        }
        if self.pairs.len() == self.pairs.capacity() {
            // Never more than `most`, which doubling would not know.
            let more = self.pairs.len().max(64).min(most - self.pairs.len());
            self.pairs.reserve_exact(more);
        }
        self.pairs.push((key, value));
        Ok(())
    }

    /// Sorts the piece that is not sorted yet, the last.
    fn sort_piece(&mut self) {
        self.pairs[self.sorted..].sort_by_key(|(key, _)| *key);
        self.sorted = self.pairs.len();
    }

    /// Gives all pairs that are in memory to `each`, sorted.
    fn merge_pieces(
        &mut self,
        core: &Core,
        each: impl FnMut(K, V) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.sort_piece();
        self.sorted = 0;
        merge(self.pairs.chunks(Self::piece(core)).map(<[_]>::iter), each)
    }

    fn write_run(&mut self, core: &Core, name: &str) -> Result<(), Error> {
        if self.file.is_none() {
            self.file = Some(core.spill()?);
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let mut run = RunWriter::new(core, &file, self.end);
        self.merge_pieces(core, |key, value| run.push(&key, &value))?;
        let run = run.finish()?;
        self.pairs.clear();
        self.file = Some(file);
        self.end = run.end;
        self.runs.push(run.clone());
        if run.start == 0 || run.start / TOLD < run.end / TOLD {
            core.tell(name, BuildStep::Sort, self.end, None);
        }
        Ok(())
    }

    /// Gives all pairs to `each`, sorted.
    pub(super) fn finish(
        mut self,
        core: &Core,
        name: &str,
        each: impl FnMut(K, V) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.runs.is_empty() {
            return self.merge_pieces(core, each);
        }
        if !self.pairs.is_empty() {
            self.write_run(core, name)?;
        }
        self.pairs = Vec::new();
        let Some(file) = &self.file else { return Ok(()) };
        let (mut runs, mut end) = (self.runs, self.end);
        let for_blocks = core.budget / 2;
        let fan_in = (for_blocks / GOOD_BLOCK).max(2);
        while runs.len() > fan_in {
            let (mut merged, before) = (Vec::new(), end);
            for group in runs.chunks(fan_in) {
                let mut run = RunWriter::new(core, file, end);
                let readers = RunReader::of_all(core, file, group, for_blocks / fan_in);
                merge(readers, |key: K, value: V| run.push(&key, &value))?;
                let run = run.finish()?;
                end = run.end;
                merged.push(run);
                core.tell(name, BuildStep::Merge, end - before, Some(self.end));
            }
            runs = merged;
        }
        merge(RunReader::of_all(core, file, &runs, for_blocks / runs.len()), each)
    }
}

/// Writes a run behind all others.
struct RunWriter<'a> {
    core: &'a Core,
    file: &'a File,
    start: u64,
    end: u64,
    buffer: Vec<u8>,
    /// The most bytes of it, but for a pair.
    limit: usize,
}

/// What a run is written by, at the most: it is still in the processor's cache then. Nobody
/// looks up in runs.
const RUN_BUFFER: usize = 512 << 10;

impl<'a> RunWriter<'a> {
    fn new(core: &'a Core, file: &'a File, start: u64) -> Self {
        let limit = core.buffer_bytes().min(RUN_BUFFER);
        Self { core, file, start, end: start, buffer: Vec::new(), limit }
    }

    fn push<K: Key, V: Element>(&mut self, key: &K, value: &V) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytemuck::bytes_of(key));
        self.buffer.extend_from_slice(bytemuck::bytes_of(value));
        if self.buffer.len() >= self.limit { self.empty_buffer() } else { Ok(()) }
    }

    fn empty_buffer(&mut self) -> Result<(), Error> {
        let mut file = self.file;
        self.core.attempt("write", || {
            file.seek(SeekFrom::Start(self.end))?;
            file.write_all(&self.buffer)
        })?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Range<u64>, Error> {
        self.empty_buffer()?;
        Ok(self.start..self.end)
    }
}

/// Reads a run.
struct RunReader<'a> {
    core: &'a Core,
    file: &'a File,
    /// What is not read yet.
    left: Range<u64>,
    block: usize,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> RunReader<'a> {
    /// A reader for each run, which reads `block` bytes of it at a time.
    fn of_all(
        core: &'a Core,
        file: &'a File,
        runs: &[Range<u64>],
        block: usize,
    ) -> impl Iterator<Item = Self> {
        runs.iter().map(move |run| {
            let (left, buffer) = (run.clone(), Vec::new());
            Self { core, file, left, block: block.min(MOST_BLOCK), buffer, at: 0 }
        })
    }
}

/// Pairs that are sorted, given one by one.
trait Sorted<K, V> {
    fn next_pair(&mut self) -> Result<Option<(K, V)>, Error>;
}

impl<K: Key, V: Element> Sorted<K, V> for std::slice::Iter<'_, (K, V)> {
    fn next_pair(&mut self) -> Result<Option<(K, V)>, Error> {
        Ok(self.next().copied())
    }
}

impl<K: Key, V: Element> Sorted<K, V> for RunReader<'_> {
    fn next_pair(&mut self) -> Result<Option<(K, V)>, Error> {
        let pair = Sorter::<K, V>::PAIR_BYTES;
        if self.at == self.buffer.len() {
            if self.left.is_empty() {
                return Ok(None);
            }
            let whole = (self.block / pair).max(1) * pair;
            let length = (self.left.end - self.left.start).min(whole as u64);
            self.buffer.resize(length as usize, 0);
            let (start, buffer) = (self.left.start, &mut self.buffer);
            self.core.attempt("write", || read_at(self.file, buffer, start))?;
            self.left.start += length;
            self.at = 0;
        }
        let (key, value) = self.buffer[self.at..][..pair].split_at(size_of::<K>());
        self.at += pair;
        Ok(Some((bytemuck::pod_read_unaligned(key), bytemuck::pod_read_unaligned(value))))
    }
}

/// Gives all pairs to `each`, sorted; of equal keys those of the earlier part first.
fn merge<K: Key, V: Element, S: Sorted<K, V>>(
    sorted: impl Iterator<Item = S>,
    mut each: impl FnMut(K, V) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut parts, mut values, mut heads) = (Vec::new(), Vec::new(), BinaryHeap::new());
    for mut part in sorted {
        if let Some((key, value)) = part.next_pair()? {
            heads.push(Reverse((key, parts.len())));
            values.push(value);
            parts.push(part);
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((key, part)) = *head;
        each(key, values[part])?;
        match parts[part].next_pair()? {
            Some((key, value)) => {
                values[part] = value;
                head.0.0 = key;
            }
            None => drop(PeekMut::pop(head)),
        }
    }
    Ok(())
}
