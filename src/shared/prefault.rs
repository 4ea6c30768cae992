//! Bringing sections into memory in the background.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use super::SharedFile;
use super::file::{Inner, in_section};
use crate::error::Error;
use crate::fault::fallible;

/// Bytes that are brought in at a time: after so many it may be ended, and so many are
/// read ahead.
const PIECE: usize = 4 << 20;

/// Sections on their way into memory, brought there by a thread of their own. Made by
/// [`SharedFile::prefault`].
///
/// To drop it ends the work, and waits for the 4 MiB under way. What was brought in stays, as
/// long as the system has no better use for the memory.
#[must_use = "the work ends when this is dropped"]
pub struct Prefault {
    work: Arc<Work>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

struct Work {
    file: Arc<Inner>,
    ranges: Vec<Range<usize>>,
    done: AtomicU64,
    ended: AtomicBool,
}

impl SharedFile {
    /// Begins to bring sections into memory, in the order given, by a thread in the
    /// background, so that later look-ups wait neither for the disk nor for the
    /// page tables.
    ///
    /// It pays for data that fits in memory and will be looked up at random: to
    /// read it as a whole takes as long as the disk needs for its bytes, while look-ups bring
    /// in one page at a time. Where the data does not fit, what came first is gone
    /// when the last comes.
    ///
    /// ```
    /// # fn main() -> Result<(), plimsoll::Error> {
    /// use plimsoll::{SharedFile, SharedMap};
    ///
    /// # let directory = std::env::temp_dir().join(format!("plimsoll-fault-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
    /// # let path = directory.join("index.plim");
    /// # let writer = SharedFile::create(&path)?;
    /// # writer.map("index")?.fill([(1_u64, 2_u32)])?;
    /// # writer.finish()?;
    /// let file = SharedFile::open(&path)?;
    /// let prefault = file.prefault(["index"])?;
    /// // Meanwhile: compile templates, read parameters, …
    /// println!("{} of {} bytes are there", prefault.done(), prefault.total());
    /// prefault.wait()?;
    /// # std::fs::remove_dir_all(&directory).ok();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// All sections are `file.prefault(file.sections().map(|section| section.name))`.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedFormat`] if there is no such section.
    /// - [`Error::SharedIo`] if the system refuses a thread.
    pub fn prefault<'a>(
        &self,
        sections: impl IntoIterator<Item = &'a str>,
    ) -> Result<Prefault, Error> {
        let mut ranges = Vec::new();
        for section in sections {
            let places = self.places(section);
            let places = places.map_err(|problem| self.problem(in_section(section, problem)))?;
            let range = |at: usize| {
                let entry = &self.inner.entries[at];
                entry.offset as usize..(entry.offset + entry.bytes()) as usize
            };
            ranges.extend(places.into_iter().map(range));
        }
        let (file, done, ended) = (self.keeper(), AtomicU64::new(0), AtomicBool::new(false));
        let work = Arc::new(Work { file, ranges, done, ended });
        let its = Arc::clone(&work);
        let thread = Builder::new().name("prefault".to_owned());
        let run = move || its.run(|piece| its.populate(piece));
        let thread = fallible(|| thread.spawn(run)).map_err(|source| {
            let (action, path) = ("start a thread to read", self.path().to_path_buf());
            Error::SharedIo { action, path, source }
        })?;
        Ok(Prefault { work, thread: Some(thread) })
    }
}

impl Prefault {
    /// Bytes that are in memory so far.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.work.done.load(Ordering::Relaxed)
    }

    /// Bytes of the sections.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.work.ranges.iter().map(|range| range.len() as u64).sum()
    }

    /// Whether there is nothing left to do, be it that all is there or that it failed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until all is there.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] if the system could not read the file. A look-up there would
    /// end the process (SIGBUS). Linux from 5.14 on tells; elsewhere the reading
    /// itself ends it.
    pub fn wait(mut self) -> Result<(), Error> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Prefault {
    fn drop(&mut self) {
        self.work.ended.store(true, Ordering::Relaxed);
        // Whoever wants to know whether it failed waits.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Work {
    /// Brings all in, each piece by `populate` or, where the system has no such thing, by
    /// reading.
    fn run(&self, populate: impl Fn(&Range<usize>) -> io::Result<()>) -> Result<(), Error> {
        let pieces = |range: &Range<usize>| {
            let end = range.end;
            range.clone().step_by(PIECE).map(move |start| start..end.min(start + PIECE))
        };
        let mut pieces = self.ranges.iter().flat_map(pieces).peekable();
        while let Some(piece) = pieces.next() {
            if self.ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Some(next) = pieces.peek() {
                self.begin(next);
            }
            match fallible(|| populate(&piece)) {
                Err(error) if super::advice::is_unknown(&error) => self.touch(&piece),
                outcome => outcome.map_err(|source| {
                    let (action, path) = ("read", self.file.path().to_path_buf());
                    Error::SharedIo { action, path, source }
                })?,
            }
            self.done.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Has a piece read while another is brought in. A map that was advised to expect
    /// look-ups at random would else be read page by page.
    fn begin(&self, piece: &Range<usize>) {
        // Of no consequence if it is refused.
        #[cfg(unix)]
        let _ = self.map().advise_range(memmap2::Advice::WillNeed, piece.start, piece.len());
        #[cfg(not(unix))]
        let _ = piece;
    }

    /// Has the system bring a piece into memory and into the page tables.
    #[cfg(target_os = "linux")]
    fn populate(&self, piece: &Range<usize>) -> io::Result<()> {
        self.map().advise_range(memmap2::Advice::PopulateRead, piece.start, piece.len())
    }

    #[cfg(not(target_os = "linux"))]
    fn populate(&self, _piece: &Range<usize>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Brings a piece in by reading a byte of every page.
    fn touch(&self, piece: &Range<usize>) {
        const PAGE: usize = 4096;
        for byte in self.file.memory[piece.clone()].iter().step_by(PAGE) {
            std::hint::black_box(*byte);
        }
    }

    #[cfg(unix)]
    fn map(&self) -> &memmap2::Mmap {
        self.file.memory.map()
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
pub(super) mod tests {
    use super::*;
    use crate::Shared;

    /// Work on the file's only array.
    fn work_on(file: &SharedFile) -> Work {
        let [entry] = &file.inner.entries[..] else { panic!("it has one array") };
        let range = entry.offset as usize..(entry.offset + entry.bytes()) as usize;
        let (done, ended) = (AtomicU64::new(0), AtomicBool::new(false));
        Work { file: file.keeper(), ranges: std::iter::once(range).collect(), done, ended }
    }

    /// Bytes of a file that this process's page tables lead to.
    pub(in crate::shared) fn in_page_tables(file: &SharedFile) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (_, its) = maps.split_once(file.path().to_str().unwrap()).expect("it is mapped");
        let line = its.lines().find(|line| line.starts_with("Rss:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    #[test]
    fn a_system_that_cannot_populate_has_every_page_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.plim");
        // Two pieces and a bit, so that both a whole one and the last are read.
        let values = vec![7_u64; 2 * PIECE / 8 + 1_000];
        Shared::<[u64]>::write(&path, &values).unwrap();
        let bytes = 8 * values.len() as u64;
        // What Linux before 5.14 says, and what others do.
        for kind in [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported] {
            let file = SharedFile::open_with(&path, crate::Verify::Header).unwrap();
            assert!(in_page_tables(&file) < bytes / 2, "nothing is read when it is opened");
            let work = work_on(&file);
            work.run(|_| Err(kind.into())).unwrap();
            assert_eq!(work.done.into_inner(), bytes);
            assert!(in_page_tables(&file) >= bytes, "{} of {bytes}", in_page_tables(&file));
        }
        // Any other refusal is told.
        let file = SharedFile::open(&path).unwrap();
        let error =
            work_on(&file).run(|_| Err(io::ErrorKind::PermissionDenied.into())).unwrap_err();
        assert!(matches!(error, Error::SharedIo { action: "read", .. }), "{error}");
    }
}
