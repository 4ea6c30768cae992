//! The only file of the crate with `unsafe`: pages of a file that are mapped into
//! this process (and whether somebody may write to them), references that keep what
//! they lead to alive, and pages of the heap that are given back to the system.
#![allow(unsafe_code)]

use std::fs::File;
#[cfg(target_os = "linux")]
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use memmap2::{Mmap, MmapOptions};

use super::element::Element;
use super::file::{self, SharedFile};
use super::keeper::Keeper;
use super::source::Source;
use super::{Shared, Verify};
use crate::error::{Error, FormatProblem};
use crate::fault::fallible;

/// The bytes of a whole file, header and table included, aligned to a page at least.
///
/// Invariant: they do not change while this value lives. For a mapped file that is
/// the word of whoever made the value; a copy on the heap is nobody else's.
pub(super) struct Memory {
    map: Mmap,
    kind: Kind,
    /// Held open, because the system keeps writers away only that long.
    #[cfg(windows)]
    _file: File,
}

/// What the pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file's, which the system can give up and read again.
    File,
    /// A file's that is kept in memory and nowhere else: a memfd, or one of a `tmpfs`.
    MemoryFile,
    /// This process's own.
    Copy,
}

impl Memory {
    /// Maps a file that nobody may write to, as far as can be found out.
    pub(super) fn checked(source: &Source) -> Result<Self, Error> {
        let length = source.length()?;
        // A sealed memfd or a file under fs-verity: the kernel itself vouches
        // that it cannot change, and there is nothing left to check.
        if let Ok(map) = MmapOptions::new().len(length).map_if_safe(&source.file) {
            return Self::mapped(map, source);
        }
        refuse_writers(source)?;
        // SAFETY: The bytes must not change while they are mapped. The file is
        // a regular one that carries our header, and the writer of such files
        // never writes to one that has its name. No permission to write to
        // it is given to anybody, and, where the system can tell, nobody has it
        // open for writing from before. What is left, that its owner (or a
        // superuser) gives the permission and changes it in place, no program
        // can rule out; `SharedFile` says so and relies on nobody doing it,
        // as the loader of the system does for the libraries it maps.
        let map = fallible(|| unsafe { MmapOptions::new().len(length).map(&source.file) });
        let mapped = Self::mapped(map.map_err(|error| source.io("map", error))?, source)?;
        // Whoever changed the permissions meanwhile is found out here.
        source.refuse_writable()?;
        Ok(mapped)
    }

    /// Copies a file to the heap.
    pub(super) fn copied(source: &Source) -> Result<Self, Error> {
        let length = source.length()?;
        // Not a `Vec`: pages of the system are aligned for every element, and those
        // that nothing is read into, as in most of a gap between sections, take no memory.
        let memory = fallible(|| MmapOptions::new().len(length).map_anon());
        let mut memory = memory.map_err(|error| source.io("find memory for", error))?;
        // Made for look-ups: fewer faults now, fewer misses of the TLB later. Where the
        // system does not have them, small pages do.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        source.read_into(&mut memory)?;
        let map = fallible(|| memory.make_read_only()).map_err(|error| source.io("read", error))?;
        Self::new(map, Kind::Copy, source)
    }

    /// Copies a file into memory that the kernel lets nobody change any more, and
    /// that other processes can map through the descriptor returned.
    #[cfg(target_os = "linux")]
    pub(super) fn sealed(source: &Source) -> Result<(Self, File), Error> {
        let length = source.length()?;
        let seal = || {
            let memory = fallible(new_memfd)?;
            fallible(|| memory.set_len(source.bytes))?;
            // SAFETY: The memory is new, and nobody else has the descriptor.
            let mut map = fallible(|| unsafe { MmapOptions::new().len(length).map_mut(&memory) })?;
            let read = source.read_into(&mut map);
            // Refused while it is mapped for writing.
            drop(map);
            fallible(|| seal_memfd(&memory))?;
            let map = fallible(|| {
                MmapOptions::new().len(length).map_if_safe(&memory).map_err(io::Error::other)
            })?;
            Ok((read, map, memory))
        };
        let (read, map, memory) = seal().map_err(|error| source.io("seal a copy of", error))?;
        read?;
        Ok((Self::new(map, Kind::MemoryFile, source)?, memory))
    }

    fn mapped(map: Mmap, source: &Source) -> Result<Self, Error> {
        // The length was learned before mapping. A file that shrank in between
        // has pages in its map that end the process when they are read.
        source.recheck()?;
        let kind = if is_memory(&source.file) { Kind::MemoryFile } else { Kind::File };
        Self::new(map, kind, source)
    }

    #[cfg_attr(not(windows), allow(clippy::unnecessary_wraps, reason = "fails on Windows"))]
    #[cfg_attr(not(windows), allow(unused_variables, reason = "needed on Windows"))]
    fn new(map: Mmap, kind: Kind, source: &Source) -> Result<Self, Error> {
        Ok(Self {
            map,
            kind,
            #[cfg(windows)]
            _file: source.file.try_clone().map_err(|error| source.io("open", error))?,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// For what is asked of the system about it.
    #[cfg(unix)]
    pub(super) fn map(&self) -> &Mmap {
        &self.map
    }

    /// Takes pages of a mapped file out of this process; they are read again when touched.
    #[cfg(unix)]
    pub(super) fn release(&self, offset: usize, length: usize) {
        if self.kind != Kind::Copy {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: What is mapped is a file, and nobody writes through the map, so what
            // is read later is the same. Advice that is refused changes nothing.
            let _ = unsafe { self.map.unchecked_advise_range(advice, offset, length) };
        }
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// A reference that keeps alive what it leads into: to follow it costs what it costs
/// to follow a `&D`, to clone it one count.
pub(super) struct View<D: ?Sized> {
    /// Invariant: what `keeper` would lend, as long as it is lent.
    data: NonNull<D>,
    keeper: Arc<dyn Keeper>,
}

impl<D: ?Sized + 'static> View<D> {
    /// The part of `keeper` that `find` finds.
    pub(super) fn new<K: Keeper, E>(
        keeper: Arc<K>,
        find: impl for<'a> FnOnce(&'a K) -> Result<&'a D, E>,
    ) -> Result<Self, E> {
        let data = NonNull::from(find(&keeper)?);
        Ok(Self { data, keeper })
    }
}

impl<D: ?Sized> View<D> {
    /// The file it leads into, if it is one.
    pub(super) fn file(&self) -> Option<&file::Inner> {
        self.keeper.file()
    }

    /// The same, kept alive.
    pub(super) fn owned_file(&self) -> Option<Arc<file::Inner>> {
        Arc::clone(&self.keeper).into_file()
    }
}

impl<D: ?Sized> Deref for View<D> {
    type Target = D;

    #[inline(always)]
    fn deref(&self) -> &D {
        // SAFETY: `find` was lent the keeper for as long as it would like, so it
        // found what is good for as long as the keeper is lent. The keeper is, since
        // then: it neither moves nor is dropped while we count as one of its
        // owners, and for the same reason nobody gets it to change it.
        unsafe { self.data.as_ref() }
    }
}

impl<D: ?Sized> Clone for View<D> {
    fn clone(&self) -> Self {
        Self { data: self.data, keeper: Arc::clone(&self.keeper) }
    }
}

// SAFETY: It lends `&D` and nothing else, as a `&D` would, which may be sent where `D`
// is `Sync`. The keeper, which the last view drops, is `Send` and `Sync` by its trait.
unsafe impl<D: ?Sized + Sync> Send for View<D> {}
// SAFETY: As above.
unsafe impl<D: ?Sized + Sync> Sync for View<D> {}

impl SharedFile {
    /// Maps a file without asking who may write to it.
    ///
    /// For files that [`open`](Self::open) refuses although they do not change:
    /// on a file system without permissions, or in a directory where they are
    /// set by a policy. Header and table are verified as always, the sections as
    /// `verify` says.
    ///
    /// # Safety
    ///
    /// From this call until the last clone of the returned value, and of every handle
    /// taken from it, is dropped, nothing, in this process or another, on this machine
    /// or another that shares the file system, may change the bytes of the file or its
    /// length. To delete it, or to rename another file over it, is allowed.
    ///
    /// Otherwise the behaviour is undefined: the data is lent out as a `&[T]`,
    /// which the compiler takes for constant; and to read beyond the end of a
    /// file that was cut short ends the process (SIGBUS).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), without [`FormatProblem::Writable`] and
    /// [`FormatProblem::OpenForWriting`].
    pub unsafe fn map(path: impl AsRef<Path>, verify: Verify) -> Result<Self, Error> {
        let source = Source::open(path.as_ref())?;
        let length = source.length()?;
        // SAFETY: The caller promises that the file does not change while this
        // map lives; it lives in the returned value and what is taken from it.
        let map = fallible(|| unsafe { MmapOptions::new().len(length).map(&source.file) });
        let map = map.map_err(|error| source.io("map", error))?;
        let memory = Memory::mapped(map, &source)?;
        Self::new(source, memory, verify)
    }
}

impl<T: Element> Shared<[T]> {
    /// Maps a file without asking who may write to it: see [`SharedFile::map`].
    ///
    /// # Safety
    ///
    /// That of [`SharedFile::map`].
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), without [`FormatProblem::Writable`] and
    /// [`FormatProblem::OpenForWriting`].
    pub unsafe fn map(path: impl AsRef<Path>, verify: Verify) -> Result<Self, Error> {
        // SAFETY: It is what the caller promises.
        Self::only_section(&unsafe { SharedFile::map(path, verify) }?)
    }
}

/// A new file that is nowhere but in memory, and may be sealed.
#[cfg(target_os = "linux")]
fn new_memfd() -> io::Result<File> {
    use std::os::fd::FromRawFd;

    let create = |more| {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | more;
        // SAFETY: The name is a C string.
        unsafe { libc::memfd_create(c"plimsoll".as_ptr(), flags) }
    };
    // Some systems insist that it can never be executed, older ones do not know that.
    let mut descriptor = create(libc::MFD_NOEXEC_SEAL);
    if descriptor < 0 {
        descriptor = create(0);
    }
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Has the kernel refuse every later change of a memfd, by anybody and for ever.
#[cfg(target_os = "linux")]
fn seal_memfd(memory: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: The command takes a number and touches no memory of ours.
    match unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the pages of a file are memory and nothing else, so that the system cannot
/// give them up.
#[cfg(target_os = "linux")]
fn is_memory(file: &File) -> bool {
    use std::os::fd::AsRawFd;

    let mut told = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: The system writes one `statfs` to the address, which is ours and large
    // enough; all zeros is a valid one, should it write nothing.
    let kind = unsafe {
        libc::fstatfs(file.as_raw_fd(), told.as_mut_ptr());
        told.assume_init().f_type
    };
    // Both have another type on every other platform.
    i128::from(kind) == i128::from(libc::TMPFS_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_file: &File) -> bool {
    false
}

/// Refuses a file that somebody may write to.
fn refuse_writers(source: &Source) -> Result<(), Error> {
    source.refuse_writable()?;
    if is_being_written(&source.file) {
        return Err(source.problem(FormatProblem::OpenForWriting));
    }
    Ok(())
}

/// Whether a process has the file open for writing, or mapped so; false where
/// the system cannot tell.
///
/// A process that starts another has, for the moment between `fork` and `exec`,
/// a double with copies of all its descriptors, one of which may be that of a
/// file just written. So the answer "yes" is heard out over half a
/// second before it is believed.
#[cfg(target_os = "linux")]
fn is_being_written(file: &File) -> bool {
    (0..10).all(|attempt| {
        if attempt > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1 << (attempt - 1)));
        }
        lease_is_refused(file)
    })
}

#[cfg(not(target_os = "linux"))]
fn is_being_written(_file: &File) -> bool {
    false
}

/// Asks for a read lease, which Linux grants only while nobody has the file
/// open for writing, and gives it back at once.
///
/// The lease is not kept: it would delay a writer by some seconds and tell us
/// by a signal, but would not stop him. No answer, as from a network file
/// system or for another user's file, is no refusal.
#[cfg(target_os = "linux")]
fn lease_is_refused(file: &File) -> bool {
    use std::os::fd::AsRawFd;

    // Missing in libc; the same number wherever Rust runs on Linux.
    const F_SETSIG: libc::c_int = 10;

    let descriptor = file.as_raw_fd();
    // SAFETY: These commands of fcntl take a number and touch no memory of
    // ours; `file` keeps the descriptor open. They act on this open file alone,
    // which nobody else knows. Should a writer come while we hold the lease,
    // the system sends a signal: SIGURG, which is ignored unless a handler was
    // asked for, in place of SIGIO, which would end the process.
    let refused = unsafe {
        libc::fcntl(descriptor, F_SETSIG, libc::SIGURG) == 0
            && libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_RDLCK) != 0
    };
    if refused {
        return std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock;
    }
    // SAFETY: As above. Where no lease is held this is refused and changes
    // nothing.
    unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK) };
    false
}

/// Has the allocator give the pages back that it keeps for later; whether there is
/// an allocator that can be asked. It locks and walks all its heaps, which takes
/// some milliseconds for each 100 MiB, and whoever allocates meanwhile may wait.
pub(crate) fn trim_allocator() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: It takes a number, and locks all that it touches. It may be called
        // by any thread at any time.
        unsafe { libc::malloc_trim(0) };
        true
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

/// Sets from how many bytes on glibc's allocator takes a block from the system and gives
/// it back there, and that it keeps less than as much at the end of each of its heaps;
/// whether it heeds that. It does not adapt either by itself any more.
pub(super) fn set_release_threshold(bytes: u64) -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let Ok(bytes) = libc::c_int::try_from(bytes) else { return false };
        // SAFETY: Each takes two numbers and sets one of the allocator's own, which
        // any thread may do at any time.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) == 1
                && libc::mallopt(libc::M_TRIM_THRESHOLD, bytes) == 1
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        let _ = bytes;
        false
    }
}

/// Bytes that lie free in the heaps of glibc's allocator, given back or not, which are no
/// fewer than it keeps of them; zero where there is no such allocator. A C library older
/// than 2.33 tells no more than 4 GiB, and what exceeds a multiple of that. It locks and
/// walks all heaps, as a trim does, but touches no page of a free block.
pub(super) fn free_in_heaps() -> u64 {
    // A model checker must meet the same world twice.
    #[cfg(all(target_os = "linux", target_env = "gnu", not(any(loom, shuttle))))]
    {
        // SAFETY: It reads the name, which ends with a zero.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
        if found.is_null() {
            // SAFETY: It takes nothing, and locks all that it looks at.
            let told = unsafe { libc::mallinfo() }.fordblks;
            return u64::from(told.cast_unsigned());
        }
        // SAFETY: Whoever has a function of that name has it with this signature: the
        // name says so, the first version's (`mallinfo`) was kept for the other.
        let mallinfo2: extern "C" fn() -> libc::mallinfo2 = unsafe { std::mem::transmute(found) };
        mallinfo2().fordblks as u64
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu", not(any(loom, shuttle)))))]
    0
}

/// Pages that the calling thread was the first to touch since it began, file pages
/// included; `None` where the system does not tell. A fifth of a microsecond.
pub(crate) fn pages_touched() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: The system writes one `rusage` to the address, which is ours and
        // large enough; all zeros is a valid one, should it write nothing.
        let usage = unsafe {
            let told = libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
            (told == 0).then(|| usage.assume_init())
        };
        u64::try_from(usage?.ru_minflt).ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Processor time of the process since it began, the system's part included; `None`
/// where the system does not tell.
pub(crate) fn cpu_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        clock(libc::CLOCK_PROCESS_CPUTIME_ID)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// That of the calling thread, to the moment; what `/proc` tells is up to a tick old.
pub(crate) fn thread_cpu_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        clock(libc::CLOCK_THREAD_CPUTIME_ID)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(target_os = "linux")]
fn clock(which: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: The system writes one `timespec` to the address, which is ours.
    let told = unsafe { libc::clock_gettime(which, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (told == 0).then(|| Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests;
