//! An opened file, from which sections are taken.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use super::Verify;
use super::build::SharedFileWriter;
use super::checksum::checksum;
use super::hand_over::HandOver;
use super::keeper::Keeper;
use super::pages::{Kind, Memory};
use super::section::{Parts, Section};
use super::source::{Identity, Source};
use super::table::Entry;
use crate::error::{Error, FormatProblem};

/// A file of named, typed sections, mapped once for all who use it.
///
/// To open one takes the same whatever its size: its header and its section table are
/// read and verified, and it is mapped. [`get`](Self::get) then takes
/// sections from it by name: cheap handles, which any thread may use and which keep
/// the file mapped. [`create`](Self::create) begins a new file. All of it is told step by step
/// in the [guide](crate::guide::shared_tables).
///
/// ```
/// # fn main() -> Result<(), plimsoll::Error> {
/// use plimsoll::{Shared, SharedFile, SharedMap, SharedStrs};
///
/// # let directory = std::env::temp_dir().join(format!("plimsoll-file-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
/// # let path = directory.join("elements.plim");
/// let writer = SharedFile::create(&path)?;
/// writer.strs("names")?.fill(["hydrogen", "helium", "lithium"])?;
/// writer.slice("masses")?.fill([1.008_f64, 4.003, 6.94])?;
/// writer.map("by symbol")?.fill([(*b"Li", 2_u32), (*b"H ", 0), (*b"He", 1)])?;
/// writer.finish()?;
///
/// let file = SharedFile::open(&path)?;
/// let names: SharedStrs = file.get("names")?;
/// let masses: Shared<[f64]> = file.get("masses")?;
/// let by_symbol: SharedMap<[u8; 2], u32> = file.get("by symbol")?;
///
/// let [row] = by_symbol.get(b"He") else { panic!("there is one helium") };
/// assert_eq!((&names[*row as usize], masses[*row as usize]), ("helium", 4.003));
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
///
/// # Ways to open one, and what each relies on
///
/// Rust takes the contents of a `&[T]` for constant, and a file can be changed by
/// others. A file that is changed while it is mapped is undefined behaviour; one that
/// is cut short ends the process (SIGBUS). No operating system lets a program rule this
/// out for an ordinary file, so there are several ways:
///
/// | way | the data cannot change because | costs |
/// |---|---|---|
/// | [`open`](Self::open) | what can be checked is checked; for the rest, trust (below) | nothing; pages are shared by all processes, and given up under memory pressure |
/// | `open`, of a sealed memfd or a file under fs-verity | the kernel refuses every change, for ever | fs-verity: a file system that has it, and a check of each page that is read |
/// | [`seal`](Self::seal) (Linux) | it is a copy in a sealed memfd | one copy in memory for all processes it is handed to, which cannot be given up but to swap; all of it is read |
/// | [`load`](Self::load) | it is a copy of this process's own | a copy in memory for each process; all of it is read |
/// | `unsafe` [`map`](Self::map) | the caller says so | nothing |
///
/// What stands behind the safe `open`:
///
/// - **By construction.** A finished file is never changed in place by its writer. A
///   new version is a new file, renamed over the old name; whoever has the old one
///   mapped keeps it.
/// - **Checked.** The file is a regular one, its header is sound, its length is
///   the recorded one before and after mapping, its permissions let nobody
///   write to it (Unix), and no process has it open for writing from before
///   (Linux, where the file is ours to ask about: local file system and our own
///   file or a privileged process). On Windows the system keeps writers away
///   while it is mapped.
/// - **Proven.** A sealed memfd, or a file under fs-verity (Linux), cannot be
///   changed by anybody; such a file is recognised and taken as it is. Nothing else
///   proves it: a read-only mount may be writable elsewhere or be mounted again, a
///   lease delays a writer and does not stop one, and locks are advice.
/// - **Relied upon.** For all other files: that nobody who could, its owner or a
///   superuser, makes the file writable again, or opens it past its
///   permissions, and changes it in place. Open files from those you would run
///   a program or load a library from: the system maps these on the same trust.
///
/// # What of it is in memory
///
/// Of a mapped file, the pages that were touched, until the system has a better use for the
/// memory. [`Table`](crate::Table) tells how a budget keeps room for them,
/// [`advise`](Self::advise), [`prefault`](Self::prefault) and [`pin`](Self::pin) what can
/// be asked of the system, and [`Advice`](crate::Advice) when that pays.
#[derive(Clone)]
pub struct SharedFile {
    pub(super) inner: Arc<Inner>,
}

/// What all clones and handles share.
pub(super) struct Inner {
    pub(super) memory: Arc<Memory>,
    path: PathBuf,
    pub(super) entries: Vec<Entry>,
    /// For each entry, what its checksum said, once it was looked at.
    sound: Vec<OnceLock<Result<(), FormatProblem>>>,
    /// For the first entry of each section, what was found when it was first looked at
    /// whether it is what its kind promises, by the type that tells it.
    seen: Vec<OnceLock<Box<dyn Any + Send + Sync>>>,
    pub(super) verify: Verify,
    pub(super) identity: Identity,
    pub(super) pinned: AtomicBool,
    /// For each entry, whether it was advised that it is read in order.
    pub(super) in_order: Vec<AtomicBool>,
    /// A file without a path: open for as long as it may be handed over.
    held: Option<File>,
}

impl SharedFile {
    /// Begins a file that will be at `path`, in place of what is there now.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedIo`] if `path` names a directory, or the system refuses a
    ///   new file in the directory of `path`.
    /// - [`Error::SharedBusy`] if another writer is at work on the same path.
    pub fn create(path: impl AsRef<Path>) -> Result<SharedFileWriter, Error> {
        SharedFileWriter::create(path.as_ref())
    }

    /// Opens and maps a file; a section is verified as [`Verify::Auto`] says.
    ///
    /// This function is safe on the condition, which it checks as far as can be, that
    /// the file is not changed in place: see
    /// [what each way relies on](Self#ways-to-open-one-and-what-each-relies-on).
    ///
    /// A file that is open for writing is tried again for half a second
    /// before it is refused.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedIo`] if the system refuses to open, read or map the file.
    /// - [`Error::SharedFormat`] if it is no shared file, is damaged, or may change while
    ///   it is mapped; the [`FormatProblem`] says which.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, Verify::default())
    }

    /// As [`open`](Self::open), with a choice of how much is verified, and when.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, verify: Verify) -> Result<Self, Error> {
        Self::map_checked(Source::open(path.as_ref())?, verify)
    }

    /// As [`open_with`](Self::open_with), for a file that is open already, as one that
    /// was inherited: a sealed memfd that the parent process gave this one for its
    /// standard input, say.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_file(file: File, verify: Verify) -> Result<Self, Error> {
        Self::map_checked(Source::new(PathBuf::from("(an open file)"), file)?, verify)
    }

    /// Copies a file into memory of this process, and verifies all of it.
    ///
    /// Relies on nothing: whatever happens to the file later, the copy stays.
    /// But the memory is this process's own, it cannot be given up under
    /// pressure, and the whole file is read at once.
    ///
    /// # Errors
    ///
    /// - [`Error::SharedIo`] if the system refuses to open or read the file, or
    ///   there is no memory for it.
    /// - [`Error::SharedFormat`] if it is no shared file or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(path.as_ref(), Verify::Payload)
    }

    pub(super) fn load_with(path: &Path, verify: Verify) -> Result<Self, Error> {
        let source = Source::open(path)?;
        let memory = Memory::copied(&source)?;
        Self::new(source, memory, verify)
    }

    /// Copies a file into memory that the kernel lets nobody change any more (a sealed
    /// memfd), and verifies all of it.
    ///
    /// Relies on nothing, as [`load`](Self::load), and can be
    /// [handed over](Self::hand_over): the processes share the one copy. It counts as
    /// shared memory (`shmem`) of the cgroup of whoever made it.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    #[cfg(target_os = "linux")]
    pub fn seal(path: impl AsRef<Path>) -> Result<Self, Error> {
        let source = Source::open(path.as_ref())?;
        let (memory, held) = Memory::sealed(&source)?;
        // Another file from here on, with a place of its own.
        let copy = Source::new(source.path, held)?;
        Self::holding(copy, memory, Verify::Payload, true)
    }

    pub(super) fn map_checked(source: Source, verify: Verify) -> Result<Self, Error> {
        let memory = Memory::checked(&source)?;
        Self::new(source, memory, verify)
    }

    pub(super) fn new(source: Source, memory: Memory, verify: Verify) -> Result<Self, Error> {
        Self::holding(source, memory, verify, false)
    }

    fn holding(source: Source, memory: Memory, verify: Verify, held: bool) -> Result<Self, Error> {
        let Source { path, entries, identity, file, .. } = source;
        let sound = entries.iter().map(|_| OnceLock::new()).collect();
        let seen = entries.iter().map(|_| OnceLock::new()).collect();
        let in_order = entries.iter().map(|_| AtomicBool::new(false)).collect();
        let (pinned, held) = (AtomicBool::new(false), held.then_some(file));
        let memory = Arc::new(memory);
        let inner =
            Inner { memory, path, entries, sound, seen, verify, identity, pinned, in_order, held };
        let file = Self { inner: Arc::new(inner) };
        if verify == Verify::Payload {
            file.verify()?;
        }
        Ok(file)
    }

    /// Takes a section.
    ///
    /// What it is taken as must be what it was written as, to the name, size and
    /// alignment of its elements.
    ///
    /// # Errors
    ///
    /// [`Error::SharedFormat`] if there is no such section, if it is of another kind or
    /// type, or if it is verified and found to be damaged.
    pub fn get<S: Section>(&self, name: &str) -> Result<S, Error> {
        self.take(name).map_err(|problem| self.inner.problem(in_section(name, problem)))
    }

    /// As [`get`](Self::get), with the bare problem.
    pub(super) fn take<S: Section>(&self, name: &str) -> Result<S, FormatProblem> {
        let inner = &*self.inner;
        let places = self.places(name)?;
        let entries: Vec<_> = places.iter().map(|at| &inner.entries[*at]).collect();
        if let Some(other) = entries.iter().find(|entry| entry.kind != S::KIND) {
            let (found, expected) = (other.kind.name(), S::KIND.name());
            return Err(FormatProblem::Kind { found, expected });
        }
        let bytes = entries.iter().map(|entry| entry.bytes()).sum();
        let parts = Parts { file: self, first: places[0], entries };
        let mut section = S::take(&parts)?;
        if inner.verify.when_asked_for(bytes) {
            places.iter().try_for_each(|at| inner.verify_array(*at))?;
            section.verify(&parts)?;
        }
        Ok(section)
    }

    /// Which entries are the arrays of a section: one at the least.
    pub(super) fn places(&self, name: &str) -> Result<Vec<usize>, FormatProblem> {
        let entries = &self.inner.entries;
        let places: Vec<_> = (0..entries.len()).filter(|at| entries[*at].section == name).collect();
        if !places.is_empty() {
            return Ok(places);
        }
        let mut names: Vec<_> = self.sections().map(|section| section.name).collect();
        names.sort_unstable();
        Err(FormatProblem::NoSection { name: name.to_owned(), sections: names.join(", ") })
    }

    /// Verifies the checksums of all sections, whatever was chosen when the file was
    /// opened. All of it is read; what was verified before is not read again. (What the kind
    /// of a section promises, as that the keys of a map are sorted, can be seen only when it is
    /// taken as what it is: that happens once, when it is first taken.)
    ///
    /// # Errors
    ///
    /// [`Error::SharedFormat`] if a section is damaged.
    pub fn verify(&self) -> Result<(), Error> {
        for (at, entry) in self.inner.entries.iter().enumerate() {
            let outcome = self.inner.verify_array(at);
            outcome.map_err(|problem| self.problem(in_section(&entry.section, problem)))?;
        }
        Ok(())
    }

    /// The sections there are, in the order of the file.
    ///
    /// ```
    /// # fn main() -> Result<(), plimsoll::Error> {
    /// # let directory = std::env::temp_dir().join(format!("plimsoll-sections-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
    /// # let path = directory.join("elements.plim");
    /// use plimsoll::SharedFile;
    ///
    /// let writer = SharedFile::create(&path)?;
    /// writer.strs("names")?.fill(["hydrogen", "helium"])?;
    /// writer.slice("masses")?.fill([1.008_f64, 4.003])?;
    /// writer.finish()?;
    ///
    /// let file = SharedFile::open(&path)?;
    /// let names: Vec<_> = file.sections().map(|section| section.name).collect();
    /// assert_eq!(names, ["names", "masses"]);
    /// file.verify()?; // all of it, now
    /// # std::fs::remove_dir_all(&directory).ok();
    /// # Ok(())
    /// # }
    /// ```
    pub fn sections(&self) -> impl Iterator<Item = SectionInfo<'_>> {
        let entries = &self.inner.entries;
        let first =
            |at: usize| !entries[..at].iter().any(|before| before.section == entries[at].section);
        (0..entries.len()).filter(move |at| first(*at)).map(|at| {
            let entry = &entries[at];
            let of_it = entries[at..].iter().filter(|other| other.section == entry.section);
            let bytes = of_it.map(Entry::bytes).sum();
            SectionInfo { name: &entry.section, kind: entry.kind.name(), bytes }
        })
    }

    /// The file this was opened or loaded from, as the path was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.inner.memory.len() as u64
    }

    /// Whether this is a mapped file, and no copy of this process's own.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.inner.is_mapped()
    }

    /// What another process needs to open this very file, by [`HandOver::open`].
    ///
    /// The path must lead there, too; for a [sealed](Self::seal) copy it leads to this
    /// process (`/proc/<id>/fd/<number>`), which must have the file, or something taken
    /// from it, until the other has opened it, and be allowed to look at: another process
    /// of the same user is.
    #[must_use]
    pub fn hand_over(&self) -> HandOver {
        let Inner { path, identity, .. } = &*self.inner;
        #[cfg(target_os = "linux")]
        if let Some(held) = &self.inner.held {
            let number = std::os::fd::AsRawFd::as_raw_fd(held);
            let path = format!("/proc/{}/fd/{number}", std::process::id());
            return HandOver::new(path.as_ref(), *identity);
        }
        HandOver::new(path, *identity)
    }

    /// A descriptor of a [sealed](Self::seal) copy, to be inherited by a process that
    /// takes it up by [`from_file`](Self::from_file); `None` for any other file.
    ///
    /// # Errors
    ///
    /// [`Error::SharedIo`] if the system refuses one more descriptor.
    pub fn sealed_file(&self) -> Result<Option<File>, Error> {
        let copy = self.inner.held.as_ref().map(File::try_clone).transpose();
        let path = self.path().to_path_buf();
        copy.map_err(|source| Error::SharedIo { action: "open", path, source })
    }

    pub(super) fn keeper(&self) -> Arc<Inner> {
        Arc::clone(&self.inner)
    }

    pub(super) fn problem(&self, problem: FormatProblem) -> Error {
        self.inner.problem(problem)
    }
}

impl Inner {
    /// The bytes of an array.
    pub(super) fn array(&self, entry: &Entry) -> &[u8] {
        entry.of(&self.memory)
    }

    /// Verifies the checksum of an array, once.
    fn verify_array(&self, at: usize) -> Result<(), FormatProblem> {
        let look = || {
            let entry = &self.entries[at];
            let (found, recorded) = (checksum(self.array(entry)), entry.checksum);
            match found == recorded {
                true => Ok(()),
                false => Err(FormatProblem::PayloadChecksum { found, recorded }),
            }
        };
        self.sound[at].get_or_init(look).clone()
    }

    /// Whether the checksum of an array was found to be right.
    pub(super) fn was_verified(&self, at: usize) -> bool {
        self.sound[at].get().is_some_and(Result::is_ok)
    }

    /// What `look` finds in the section whose first entry this is. It looks once for each
    /// `P`, or again each time for all but the first type that asks: there is hardly another.
    pub(super) fn once<P: Clone + Send + Sync + 'static>(
        &self,
        first: usize,
        look: impl Fn() -> Result<P, FormatProblem>,
    ) -> Result<P, FormatProblem> {
        let seen = self.seen[first].get_or_init(|| Box::new(look()));
        match seen.downcast_ref::<Result<P, FormatProblem>>() {
            Some(found) => found.clone(),
            None => look(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.memory.kind() != Kind::Copy
    }

    fn problem(&self, problem: FormatProblem) -> Error {
        Error::SharedFormat { path: self.path.clone(), problem }
    }
}

impl Keeper for Inner {
    fn file(&self) -> Option<&Inner> {
        Some(self)
    }

    fn into_file(self: Arc<Self>) -> Option<Arc<Inner>> {
        Some(self)
    }
}

/// A problem of a section, told with its name unless it tells it.
pub(super) fn in_section(name: &str, problem: FormatProblem) -> FormatProblem {
    match problem {
        FormatProblem::NoSection { .. } => problem,
        _ => FormatProblem::Section { name: name.to_owned(), problem: Box::new(problem) },
    }
}

/// What a file says of one of its sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is, in words: `"a slice"`, `"a map"`, …
    pub kind: &'static str,
    /// Bytes of its data.
    pub bytes: u64,
}

impl fmt::Debug for SharedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFile")
            .field("path", &self.path())
            .field("size_bytes", &self.size_bytes())
            .field("is_mapped", &self.is_mapped())
            .field("sections", &self.sections().collect::<Vec<_>>())
            .finish()
    }
}
