//! What the sections of a file in the making have in common.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::temporary;
use super::{BuildProgress, BuildStep};
use crate::error::Error;
use crate::fault::fallible;
use crate::shared::table::{Entry, HUGE_PAGE, MOST_ENTRIES, is_name};
use crate::sync::Mutex;

/// The most arrays that a section has.
const MOST_PARTS: u64 = 4;

/// Bytes between two tellings of how far a step has come.
pub(super) const TOLD: u64 = 16 << 20;

/// One for all sections of a file, which may be written by several threads. No lock is
/// held while something is written, or while code of the user runs.
#[derive(Clone)]
pub(super) struct Core {
    shared: Arc<Shared>,
    /// Bytes that a section may take.
    pub(super) budget: usize,
    pub(super) progress: Option<Arc<Progress>>,
}

pub(super) type Progress = dyn Fn(&BuildProgress<'_>) + Send + Sync;

struct Shared {
    path: PathBuf,
    /// Something could not be written, so what is in the file is not known.
    failed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// `None` while somebody writes to it.
    tail: Option<Tail>,
    /// Arrays that are in the file.
    entries: Vec<Entry>,
    /// Arrays that are complete, and not in the file.
    waiting: Vec<(Entry, Spilled)>,
    names: BTreeSet<String>,
    /// Sections that are not complete.
    open: BTreeSet<String>,
}

/// The file, and how long it is so far. Whoever has it may write.
pub(super) struct Tail {
    pub(super) file: File,
    pub(super) end: u64,
}

/// Where an array is that is not in the file yet.
pub(super) enum Spilled {
    Memory(Vec<u8>),
    File(File),
}

impl Core {
    pub(super) fn new(path: &Path, tail: Tail, budget: usize) -> Self {
        let state = State {
            tail: Some(tail),
            entries: Vec::new(),
            waiting: Vec::new(),
            names: BTreeSet::new(),
            open: BTreeSet::new(),
        };
        let (path, failed, state) = (path.to_path_buf(), AtomicBool::new(false), Mutex::new(state));
        Self { shared: Arc::new(Shared { path, failed, state }), budget, progress: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Bytes that an array gathers before they are written: a huge page, if the budget allows.
    /// The page cache keeps in one piece what it is given in one call (ext4, xfs), and maps it
    /// as one; written by 512 KiB, a table's look-ups took half as long again.
    pub(super) fn buffer_bytes(&self) -> usize {
        (self.budget / 16).clamp(4 << 10, HUGE_PAGE as usize)
    }

    /// Begins a section.
    pub(super) fn open(&self, name: &str) -> Result<(), Error> {
        let mut state = self.shared.state.lock();
        if !is_name(name) {
            return Err(self.problem(name, "a name has 1 to 64 bytes and no control characters"));
        }
        if state.names.len() as u64 >= MOST_ENTRIES / MOST_PARTS {
            return Err(self.problem(name, "a file has at most 16,384 sections"));
        }
        if !state.names.insert(name.to_owned()) {
            return Err(self.problem(name, "another has its name; give it one of its own"));
        }
        state.open.insert(name.to_owned());
        Ok(())
    }

    /// Ends a section.
    pub(super) fn close(&self, name: &str) {
        self.shared.state.lock().open.remove(name);
    }

    pub(super) fn problem(&self, section: &str, problem: &'static str) -> Error {
        let (path, section) = (self.shared.path.clone(), section.to_owned());
        Error::SharedSection { path, section, problem }
    }

    pub(super) fn take_tail(&self) -> Option<Tail> {
        self.shared.state.lock().tail.take()
    }

    /// Gives the end of the file back, with an array more in it.
    pub(super) fn give_back(&self, tail: Tail, entry: Entry) {
        let mut state = self.shared.state.lock();
        state.entries.push(entry);
        state.tail = Some(tail);
    }

    pub(super) fn wait(&self, entry: Entry, spilled: Spilled) {
        self.shared.state.lock().waiting.push((entry, spilled));
    }

    /// The array that is next to be copied, and the end of the file to do it.
    pub(super) fn next_waiting(&self) -> Option<(Tail, Entry, Spilled)> {
        let mut state = self.shared.state.lock();
        if state.waiting.is_empty() {
            return None;
        }
        let tail = state.tail.take()?;
        let (entry, spilled) = state.waiting.remove(0);
        Some((tail, entry, spilled))
    }

    pub(super) fn spill(&self) -> Result<File, Error> {
        self.attempt("make room beside", || {
            // One at a time: they have the same name while they have one.
            let _state = self.shared.state.lock();
            temporary::spill(&self.shared.path)
        })
    }

    /// The file and its arrays, if all sections are complete.
    pub(super) fn take_all(&self) -> Result<(Tail, Vec<Entry>), Error> {
        self.still_sound()?;
        let mut state = self.shared.state.lock();
        if let Some(open) = state.open.first() {
            return Err(self.problem(open, "it was not finished"));
        }
        match state.tail.take() {
            Some(tail) => Ok((tail, std::mem::take(&mut state.entries))),
            None => Err(self.problem("", "a writer was lost")),
        }
    }

    /// Does one step; none is done after one that failed.
    pub(super) fn attempt<R>(
        &self,
        action: &'static str,
        step: impl FnOnce() -> io::Result<R>,
    ) -> Result<R, Error> {
        self.still_sound()?;
        fallible(step).map_err(|source| {
            self.shared.failed.store(true, Ordering::Relaxed);
            self.io(action, source)
        })
    }

    #[inline]
    pub(super) fn still_sound(&self) -> Result<(), Error> {
        match self.shared.failed.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(self.is_lost()),
        }
    }

    #[cold]
    fn is_lost(&self) -> Error {
        self.io("write", io::Error::other("an earlier part could not be written"))
    }

    pub(super) fn io(&self, action: &'static str, source: io::Error) -> Error {
        Error::SharedIo { action, path: self.shared.path.clone(), source }
    }

    /// Tells how far a section has come.
    pub(super) fn tell(&self, section: &str, step: BuildStep, bytes: u64, of: Option<u64>) {
        if let Some(progress) = &self.progress {
            progress(&BuildProgress { section, step, bytes, of });
        }
    }
}
