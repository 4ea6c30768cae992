//! The only file of the crate with `unsafe`: pages of a file that are mapped into
//! this process (and whether somebody may write to them), and pages of the heap that
//! are given back to the system.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

use super::element::Content;
use super::header::HEADER_BYTES;
use super::read::Source;
use super::{Shared, Verify};
use crate::error::{Error, FormatProblem};
use crate::fault::fallible;

/// A mapped file, header and payload.
///
/// Invariant: the map covers the header, and nobody changes the file while it
/// lives, by the word of whoever made this value.
pub(super) struct Mapped {
    map: Mmap,
    /// Held open, because the system keeps writers away only that long.
    #[cfg(windows)]
    _file: File,
}

impl Mapped {
    /// Maps a file that nobody may write to, as far as can be found out.
    pub(super) fn sealed(source: &Source) -> Result<Self, Error> {
        let length = mapped_length(source)?;
        // A sealed memfd or a file under fs-verity: the kernel itself vouches
        // that it cannot change, and there is nothing left to check.
        if let Ok(map) = MmapOptions::new().len(length).map_if_safe(&source.file) {
            return Self::new(map, source);
        }
        refuse_writers(source)?;
        // SAFETY: The bytes must not change while they are mapped. The file is
        // a regular one that carries our header, and the writer of such files
        // never writes to one that has its name. No permission to write to
        // it is given to anybody, and, where the system can tell, nobody has it
        // open for writing from before. What is left, that its owner (or a
        // superuser) gives the permission and changes it in place, no program
        // can rule out; `Shared::open` says so and relies on nobody doing it,
        // as the loader of the system does for the libraries it maps.
        let map = fallible(|| unsafe { MmapOptions::new().len(length).map(&source.file) });
        let mapped = Self::new(map.map_err(|error| source.io("map", error))?, source)?;
        // Whoever changed the permissions meanwhile is found out here.
        refuse_writable(source)?;
        Ok(mapped)
    }

    fn new(map: Mmap, source: &Source) -> Result<Self, Error> {
        // The length was learned before mapping. A file that shrank in between
        // has pages in its map that end the process when they are read.
        source.recheck()?;
        Ok(Self {
            map,
            #[cfg(windows)]
            _file: source.file.try_clone().map_err(|error| source.io("open", error))?,
        })
    }

    /// The bytes after the header, aligned to [`HEADER_BYTES`].
    #[inline]
    pub(super) fn payload(&self) -> &[u8] {
        &self.map[HEADER_BYTES..]
    }

    /// Bytes that are mapped, the header's included.
    pub(super) fn size_bytes(&self) -> u64 {
        self.map.len() as u64
    }
}

impl<D: ?Sized + Content> Shared<D> {
    /// Maps a file without asking who may write to it.
    ///
    /// For files that [`open`](Self::open) refuses although they do not change:
    /// on a file system without permissions, or in a directory where they are
    /// set by a policy. The header is verified as always, the payload as
    /// `verify` says.
    ///
    /// # Safety
    ///
    /// From this call until the last clone of the returned value is dropped,
    /// nothing, in this process or another, on this machine or another that
    /// shares the file system, may change the bytes of the file or its length.
    /// To delete it, or to rename another file over it, is allowed.
    ///
    /// Otherwise the behaviour is undefined: the data is lent out as a `&D`,
    /// which the compiler takes for constant; and to read beyond the end of a
    /// file that was cut short ends the process (SIGBUS).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), without [`FormatProblem::Writable`] and
    /// [`FormatProblem::OpenForWriting`].
    pub unsafe fn map(path: impl AsRef<Path>, verify: Verify) -> Result<Self, Error> {
        let source = Source::open(path.as_ref(), &D::SPEC)?;
        let length = mapped_length(&source)?;
        // SAFETY: The caller promises that the file does not change while this
        // map lives; it lives in the returned value and its clones.
        let map = fallible(|| unsafe { MmapOptions::new().len(length).map(&source.file) });
        let map = map.map_err(|error| source.io("map", error))?;
        let mapped = Mapped::new(map, &source)?;
        Self::from_mapped(source, mapped, verify)
    }
}

/// The length of the file as a length in memory.
fn mapped_length(source: &Source) -> Result<usize, Error> {
    usize::try_from(source.bytes)
        .map_err(|_| source.io("map", std::io::ErrorKind::FileTooLarge.into()))
}

/// Refuses a file that somebody may write to.
fn refuse_writers(source: &Source) -> Result<(), Error> {
    refuse_writable(source)?;
    if is_being_written(&source.file) {
        return Err(source.problem(FormatProblem::OpenForWriting));
    }
    Ok(())
}

/// Refuses a file whose permissions let anybody write to it. Access control
/// lists need no look of their own: what they grant shows in the group's bits.
#[cfg(unix)]
fn refuse_writable(source: &Source) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;

    let mode = source.recheck()?.permissions().mode() & 0o7777;
    if mode & 0o222 == 0 { Ok(()) } else { Err(source.problem(FormatProblem::Writable { mode })) }
}

/// Elsewhere the way the file was opened keeps writers away.
#[cfg(not(unix))]
fn refuse_writable(source: &Source) -> Result<(), Error> {
    source.recheck().map(drop)
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

/// Has glibc's allocator give blocks of `bytes` and more back to the system as soon
/// as they are freed, for this whole process and all its life; whether it will.
///
/// By default that allocator keeps freed blocks of up to 32 MiB for later: it starts at
/// 128 KiB, and each large block that is freed raises the bar. Kept pages are real
/// memory all the same. A run notices and has the allocator give them back
/// (see [`MemoryReport`](crate::MemoryReport)), but holds admission up until it has.
/// Where items are blocks of many MiB, call this once, at the beginning of `main`, with
/// [`MIB`](crate::MIB) or so: real memory then follows the ledger by itself.
///
/// The price: a block that large is fresh at each allocation, so its pages are
/// zeroed and mapped by the system again, about as long as writing them once more
/// takes. It is a setting of the process, not of a run, so the crate never makes it by
/// itself.
///
/// Does nothing, and says so by `false`, for `bytes` below 64 KiB (a map for each small
/// block would exhaust the process's) or above 32 MiB (what the allocator does anyway),
/// and where the system's allocator is not glibc's. An allocator of your own
/// (`#[global_allocator]`) does not heed it.
///
/// ```
/// let heeded = plimsoll::release_large_blocks(plimsoll::MIB);
/// assert_eq!(heeded, cfg!(all(target_os = "linux", target_env = "gnu")));
/// assert!(!plimsoll::release_large_blocks(plimsoll::GIB));
/// ```
pub fn release_large_blocks(bytes: u64) -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const SENSIBLE: std::ops::RangeInclusive<u64> = 64 << 10..=32 << 20;
        let fits = |bytes| SENSIBLE.contains(&bytes).then(|| libc::c_int::try_from(bytes).ok());
        let Some(bytes) = fits(bytes).flatten() else { return false };
        // SAFETY: It takes two numbers and sets one of the allocator's own, which
        // any thread may do at any time.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) == 1 }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        let _ = bytes;
        false
    }
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
        usage.and_then(|usage| u64::try_from(usage.ru_minflt).ok())
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn pages_are_counted_where_they_are_touched() {
        let before = pages_touched().expect("Linux tells");
        // Written, not zeroed: zeroed pages are mapped when they are first written. So
        // large that the allocator has no such block left from before.
        let block = vec![1u8; 48 << 20];
        let after = pages_touched().expect("Linux tells");
        assert!(block.iter().all(|byte| *byte == 1));
        let elsewhere = std::thread::spawn(pages_touched).join().unwrap().expect("Linux tells");
        assert!(after > before && elsewhere < after - before, "{before} {after} {elsewhere}");
    }

    fn written(directory: &Path) -> std::path::PathBuf {
        let path = directory.join("a.plim");
        Shared::<[u32]>::write(&path, &[1, 2, 3]).unwrap();
        path
    }

    #[test]
    #[cfg(unix)]
    fn a_writable_file_is_mapped_on_the_callers_word_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        for mode in [0o644, 0o464, 0o446] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            match Shared::<[u32]>::open(&path) {
                Err(Error::SharedFormat {
                    problem: FormatProblem::Writable { mode: found },
                    ..
                }) => {
                    assert_eq!(found, mode);
                }
                other => panic!("{other:?}"),
            }
            // SAFETY: The file is this test's own, which does not change it.
            let mapped = unsafe { Shared::<[u32]>::map(&path, Verify::Payload) }.unwrap();
            assert_eq!(*mapped, [1, 2, 3]);
            assert!(mapped.is_mapped());
        }
    }

    #[test]
    fn a_map_on_the_callers_word_that_is_refused_says_what_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let mut actions = Vec::new();
        let (_, mapped) = crate::fault::each_site(
            // SAFETY: The file is this test's own, which does not change it.
            || unsafe { Shared::<[u32]>::map(&path, Verify::Payload) },
            |_, outcome| match outcome {
                Err(Error::SharedIo { action, .. }) => actions.push(action),
                other => panic!("{other:?}"),
            },
        );
        assert_eq!(*mapped.unwrap(), [1, 2, 3]);
        assert_eq!(actions, ["open", "open", "open", "read", "map", "read"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_writer_from_before_the_seal_is_noticed_and_only_he() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        assert!(!is_being_written(&File::open(&path).unwrap()));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let writer = File::options().append(true).open(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).unwrap();
        let error = Shared::<[u32]>::open(&path).unwrap_err();
        assert!(
            matches!(error, Error::SharedFormat { problem: FormatProblem::OpenForWriting, .. }),
            "{error}"
        );
        drop(writer);
        assert_eq!(*Shared::<[u32]>::open(&path).unwrap(), [1, 2, 3]);
    }

    /// The kernel's word is taken before any look at permissions: a memfd has
    /// mode 0777.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_sealed_memfd_is_proven_and_an_unsealed_one_is_not() {
        use std::io::Write;
        use std::os::fd::{AsRawFd, FromRawFd};

        let directory = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(written(directory.path())).unwrap();
        // SAFETY: The name is a C string, and the descriptor, if there is one,
        // is new and nobody else's.
        let mut memory = unsafe {
            let descriptor = libc::memfd_create(c"plimsoll".as_ptr(), libc::MFD_ALLOW_SEALING);
            assert!(descriptor >= 0, "{}", std::io::Error::last_os_error());
            File::from_raw_fd(descriptor)
        };
        memory.write_all(&bytes).unwrap();
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let error = Shared::<[u32]>::open(&path).unwrap_err();
        assert!(
            matches!(error, Error::SharedFormat { problem: FormatProblem::Writable { .. }, .. }),
            "{error}"
        );
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
        // SAFETY: The command takes a number and touches no memory of ours.
        assert_eq!(unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
        assert_eq!(*Shared::<[u32]>::open(&path).unwrap(), [1, 2, 3]);
    }
}
