//! One array of a file in the making: a stream, whose end may be the file's or a file
//! of its own.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use super::core::{Core, Spilled, TOLD, Tail};
use super::{BuildStep, core};
use crate::error::Error;
use crate::shared::checksum::Hasher;
use crate::shared::element::Spec;
use crate::shared::lists::BYTES;
use crate::shared::source::read_at;
use crate::shared::table::{Entry, Kind, place};

/// An array that is being written.
pub(super) struct Array {
    core: Core,
    /// Complete when the array is.
    entry: Entry,
    /// Bytes that were appended.
    bytes: u64,
    /// And of which somebody was told.
    told: u64,
    hasher: Hasher,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// The most bytes of it.
    limit: usize,
    out: Out,
}

/// Where the buffer is emptied into.
enum Out {
    /// It never was full.
    Nowhere,
    /// The end of the file, which nobody else writes to meanwhile.
    Tail(Tail),
    /// A file of its own.
    Spill(File),
}

impl Array {
    pub(super) fn new(core: &Core, section: &str, kind: Kind, part: u32, spec: Spec) -> Self {
        let entry = Entry {
            section: section.to_owned(),
            element: spec.name.to_owned(),
            kind,
            part,
            size: spec.size,
            align: spec.align,
            count: 0,
            offset: 0,
            checksum: 0,
        };
        let hasher = Hasher::new();
        let (core, limit) = (core.clone(), core.buffer_bytes());
        let (buffer, out) = (Vec::new(), Out::Nowhere);
        Self { core, entry, bytes: 0, told: 0, hasher, buffer, limit, out }
    }

    /// Elements that were appended.
    pub(super) fn count(&self) -> u64 {
        self.bytes / self.entry.size
    }

    /// Bytes that were appended.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn section(&self) -> &str {
        &self.entry.section
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Appends the bytes of whole elements.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.core.still_sound()?;
        self.bytes += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > self.limit {
            return self.append_beyond(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends what is more than the buffer has room for.
    #[cold]
    fn append_beyond(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while self.buffer.len() + bytes.len() > self.limit {
            let (fits, rest) = bytes.split_at(self.limit - self.buffer.len());
            self.buffer.extend_from_slice(fits);
            self.empty_buffer()?;
            bytes = rest;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn empty_buffer(&mut self) -> Result<(), Error> {
        if matches!(self.out, Out::Nowhere) {
            self.out = match self.core.take_tail() {
                Some(tail) => {
                    // How long it will be is not known; as it is longer than most, it
                    // is placed as a long one.
                    self.entry.offset = place(tail.end, u64::MAX);
                    Out::Tail(self.core.seek(tail, self.entry.offset)?)
                }
                None => Out::Spill(self.core.spill()?),
            };
        }
        let mut file = match &self.out {
            Out::Tail(tail) => &tail.file,
            Out::Spill(file) => file,
            Out::Nowhere => return Ok(()),
        };
        self.hasher.write(&self.buffer);
        self.core.attempt("write", || file.write_all(&self.buffer))?;
        self.buffer.clear();
        // The first time, and then now and then.
        if self.is_told() && (self.told == 0 || self.bytes - self.told >= TOLD) {
            self.told = self.bytes;
            self.core.tell(&self.entry.section, BuildStep::Write, self.bytes, None);
        }
        Ok(())
    }

    /// Whether it stands for its section: of a list the entries do, and a map is told of while
    /// it is merged.
    fn is_told(&self) -> bool {
        match self.entry.kind {
            Kind::MAP => false,
            Kind::BYTES | Kind::STRS => self.entry.part == BYTES,
            _ => true,
        }
    }

    /// Completes the array; it is in the file as soon as nobody else is at its end.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.core.still_sound()?;
        if !matches!(self.out, Out::Nowhere) {
            self.empty_buffer()?;
        }
        let count = self.count();
        let Self { core, mut entry, mut hasher, buffer, out, .. } = self;
        hasher.write(&buffer);
        entry.count = count;
        entry.checksum = hasher.finish();
        match out {
            Out::Tail(mut tail) => {
                tail.end = entry.offset + entry.bytes();
                core.give_back(tail, entry);
            }
            Out::Spill(file) => core.wait(entry, Spilled::File(file)),
            Out::Nowhere => core.wait(entry, Spilled::Memory(buffer)),
        }
        copy_waiting(&core)
    }
}

/// Copies the arrays that wait for the end of the file, unless somebody has it.
pub(super) fn copy_waiting(core: &Core) -> Result<(), Error> {
    while let Some((mut tail, mut entry, spilled)) = core.next_waiting() {
        entry.offset = place(tail.end, entry.bytes());
        tail = core.seek(tail, entry.offset)?;
        match spilled {
            Spilled::Memory(bytes) => {
                core.attempt("write", || (&tail.file).write_all(&bytes))?;
            }
            Spilled::File(file) => copy(core, &entry, &file, &tail.file)?,
        }
        tail.end = entry.offset + entry.bytes();
        core.give_back(tail, entry);
    }
    Ok(())
}

fn copy(core: &Core, entry: &Entry, from: &File, mut to: &File) -> Result<(), Error> {
    let all = entry.bytes();
    let mut buffer = vec![0; (core.buffer_bytes() as u64).min(all) as usize];
    let mut done = 0;
    while done < all {
        let length = (buffer.len() as u64).min(all - done);
        let piece = &mut buffer[..length as usize];
        core.attempt("write", || read_at(from, piece, done))?;
        core.attempt("write", || to.write_all(piece))?;
        let before = done;
        done += length;
        if done == all || done / TOLD > before / TOLD {
            core.tell(&entry.section, BuildStep::Copy, done, Some(all));
        }
    }
    Ok(())
}

impl core::Core {
    /// Puts the end of the file where an array is to begin.
    fn seek(&self, tail: Tail, offset: u64) -> Result<Tail, Error> {
        // A gap is a hole: it takes no room on the disk, and reads as zeros.
        self.attempt("write", || (&tail.file).seek(SeekFrom::Start(offset)).map(drop))?;
        Ok(tail)
    }
}
