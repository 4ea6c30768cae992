//! Sorting more pairs than memory holds: sorted runs in a file, merged.
//!
//! Pairs with one key stay in the order in which they came: runs are sorted stably, and
//! of equal keys that of the earlier run goes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;

use super::BuildStep;
use super::core::Core;
use crate::error::Error;
use crate::shared::element::Element;
use crate::shared::map::Key;
use crate::shared::source::read_at;

/// Bytes read of a run at a time, if the budget allows; the disk is slow with less.
const GOOD_BLOCK: usize = 64 << 10;

/// Pairs in the making of a map.
pub(super) struct Sorter<K, V> {
    pairs: Vec<(K, V)>,
    /// Runs, in the order in which their pairs came.
    runs: Vec<Range<u64>>,
    file: Option<File>,
    /// Bytes of the file.
    end: u64,
}

impl<K: Key, V: Element> Sorter<K, V> {
    const PAIR_BYTES: usize = size_of::<K>() + size_of::<V>();

    pub(super) fn new() -> Self {
        Self { pairs: Vec::new(), runs: Vec::new(), file: None, end: 0 }
    }

    pub(super) fn push(&mut self, key: K, value: V, core: &Core, name: &str) -> Result<(), Error> {
        // Sorting needs up to as much again, so half of the budget is for pairs.
        let most = (core.budget / 2 / size_of::<(K, V)>()).max(2);
        if self.pairs.len() == most {
            self.write_run(core, name)?;
        }
        if self.pairs.len() == self.pairs.capacity() {
            // Never more than `most`, which doubling would not know.
            let more = self.pairs.len().max(64).min(most - self.pairs.len());
            self.pairs.reserve_exact(more);
        }
        self.pairs.push((key, value));
        Ok(())
    }

    fn write_run(&mut self, core: &Core, name: &str) -> Result<(), Error> {
        self.pairs.sort_by_key(|(key, _)| *key);
        if self.file.is_none() {
            self.file = Some(core.spill()?);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let mut run = RunWriter::new(core, file, self.end);
        self.pairs.drain(..).try_for_each(|(key, value)| run.push(&key, &value))?;
        let run = run.finish()?;
        self.end = run.end;
        self.runs.push(run);
        core.tell(name, BuildStep::Sort, self.end);
        Ok(())
    }

    /// Gives all pairs to `each`, sorted.
    pub(super) fn finish(
        mut self,
        core: &Core,
        name: &str,
        mut each: impl FnMut(K, V) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.runs.is_empty() {
            self.pairs.sort_by_key(|(key, _)| *key);
            return self.pairs.into_iter().try_for_each(|(key, value)| each(key, value));
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
            let mut merged = Vec::new();
            for group in runs.chunks(fan_in) {
                let mut run = RunWriter::new(core, file, end);
                merge(core, file, group, for_blocks / fan_in, |key: K, value: V| {
                    run.push(&key, &value)
                })?;
                let run = run.finish()?;
                end = run.end;
                merged.push(run);
                core.tell(name, BuildStep::Merge, end - self.end);
            }
            runs = merged;
        }
        merge(core, file, &runs, for_blocks / runs.len(), each)
    }
}

/// Writes a run behind all others.
struct RunWriter<'a> {
    core: &'a Core,
    file: &'a File,
    start: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl<'a> RunWriter<'a> {
    fn new(core: &'a Core, file: &'a File, start: u64) -> Self {
        Self { core, file, start, end: start, buffer: Vec::new() }
    }

    fn push<K: Key, V: Element>(&mut self, key: &K, value: &V) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytemuck::bytes_of(key));
        self.buffer.extend_from_slice(bytemuck::bytes_of(value));
        if self.buffer.len() >= self.core.buffer_bytes() { self.empty_buffer() } else { Ok(()) }
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

impl RunReader<'_> {
    fn next<K: Key, V: Element>(&mut self) -> Result<Option<(K, V)>, Error> {
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

/// Gives the pairs of all runs to `each`, sorted, reading `block` bytes of a run at a time.
fn merge<K: Key, V: Element>(
    core: &Core,
    file: &File,
    runs: &[Range<u64>],
    block: usize,
    mut each: impl FnMut(K, V) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut readers = Vec::with_capacity(runs.len());
    let mut values = Vec::with_capacity(runs.len());
    let mut heads = BinaryHeap::with_capacity(runs.len());
    for run in runs {
        let (left, buffer) = (run.clone(), Vec::new());
        let mut reader = RunReader { core, file, left, block, buffer, at: 0 };
        if let Some((key, value)) = reader.next::<K, V>()? {
            heads.push(Reverse((key, readers.len())));
            values.push(value);
            readers.push(reader);
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((key, run)) = *head;
        each(key, values[run])?;
        match readers[run].next()? {
            Some((key, value)) => {
                values[run] = value;
                head.0.0 = key;
            }
            None => drop(PeekMut::pop(head)),
        }
    }
    Ok(())
}
