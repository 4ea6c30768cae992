//! Opening a shared file: everything that is found out before it is mapped.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::header::{self, HEADER_BYTES, Header};
use super::table::{self, ENTRY_BYTES, Entry};
use crate::error::{Error, FormatProblem};
use crate::fault::fallible;

/// An open file whose header and section table are sound.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Length of the file, and so of its mapping.
    pub(super) bytes: u64,
    pub(super) entries: Vec<Entry>,
    pub(super) identity: Identity,
}

/// What tells a file from every other: where it is kept, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Zero where the system does not tell, as is the inode.
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) length: u64,
    /// Covers the checksums of the sections.
    pub(super) checksum: u64,
}

impl Source {
    /// Opens a file and verifies header and table by reading them, which is safe for
    /// any file.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::SharedIo { action: "open", path: whole(path), source };
        // Asked before opening too, because opening a pipe waits for its writer.
        let metadata = fallible(|| fs::metadata(path)).map_err(io)?;
        regular(&metadata)
            .map_err(|problem| Error::SharedFormat { path: path.to_path_buf(), problem })?;
        let file = fallible(|| options().open(path)).map_err(io)?;
        Self::new(path.to_path_buf(), file)
    }

    /// As [`open`](Self::open), for a file that is open; `path` names it in errors.
    pub(super) fn new(path: PathBuf, file: File) -> Result<Self, Error> {
        let io = |action| {
            let path = path.clone();
            move |source| Error::SharedIo { action, path, source }
        };
        let format = |problem| Error::SharedFormat { path: path.clone(), problem };

        let metadata = fallible(|| file.metadata()).map_err(io("open"))?;
        regular(&metadata).map_err(format)?;
        let bytes = metadata.len();
        let mut head = vec![0; bytes.min(HEADER_BYTES as u64) as usize];
        fallible(|| read_at(&file, &mut head, 0)).map_err(io("read"))?;
        let header = Header::decode(&head, bytes).map_err(format)?;

        // The header bounds the number, and that the file is as long as it says.
        let mut table = vec![0; header.entries as usize * ENTRY_BYTES];
        fallible(|| read_at(&file, &mut table, header.table)).map_err(io("read"))?;
        let (found, recorded) = (XxHash3_64::oneshot(&table), header.table_checksum);
        if found != recorded {
            return Err(format(FormatProblem::TableChecksum { found, recorded }));
        }
        let entries = table::decode(&table, header.table).map_err(format)?;
        let checksum = head.first_chunk().map_or(0, header::own_checksum);
        let (device, inode) = place_of(&metadata);
        let identity = Identity { device, inode, length: bytes, checksum };
        Ok(Self { path, file, bytes, entries, identity })
    }

    /// The file's present state; an error if its length has changed.
    pub(super) fn recheck(&self) -> Result<Metadata, Error> {
        let metadata =
            fallible(|| self.file.metadata()).map_err(|source| self.io("read", source))?;
        if metadata.len() == self.bytes {
            return Ok(metadata);
        }
        let (found, recorded) = (metadata.len(), self.bytes);
        Err(self.problem(FormatProblem::Length { found, recorded }))
    }

    /// Reads what the file holds, but for the gaps between sections, into as many
    /// bytes as it has.
    pub(super) fn read_into(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let table = self.bytes - (self.entries.len() * ENTRY_BYTES) as u64;
        let sections = self.entries.iter().map(|entry| (entry.offset, entry.bytes()));
        let ends = [(0, HEADER_BYTES as u64), (table, self.bytes - table)];
        for (start, length) in ends.into_iter().chain(sections) {
            let place = &mut bytes[start as usize..][..length as usize];
            fallible(|| read_at(&self.file, place, start))
                .map_err(|source| self.io("read", source))?;
        }
        Ok(())
    }

    /// The length of the file as a length in memory.
    pub(super) fn length(&self) -> Result<usize, Error> {
        usize::try_from(self.bytes).map_err(|_| self.io("map", io::ErrorKind::FileTooLarge.into()))
    }

    /// Refuses a file whose permissions let anybody write to it. Access control
    /// lists need no look of their own: what they grant shows in the group's bits.
    #[cfg(unix)]
    pub(super) fn refuse_writable(&self) -> Result<(), Error> {
        use std::os::unix::fs::PermissionsExt;

        let mode = self.recheck()?.permissions().mode() & 0o7777;
        if mode & 0o222 == 0 { Ok(()) } else { Err(self.problem(FormatProblem::Writable { mode })) }
    }

    /// Elsewhere the way the file was opened keeps writers away.
    #[cfg(not(unix))]
    pub(super) fn refuse_writable(&self) -> Result<(), Error> {
        self.recheck().map(drop)
    }

    pub(super) fn io(&self, action: &'static str, source: io::Error) -> Error {
        Error::SharedIo { action, path: self.path.clone(), source }
    }

    pub(super) fn problem(&self, problem: FormatProblem) -> Error {
        Error::SharedFormat { path: self.path.clone(), problem }
    }
}

/// The path from the root, so that whoever reads an error sees where a file was looked for.
pub(super) fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// How files are opened for reading.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    // There the system itself keeps writers away while the file is open: others
    // may read, rename and delete it, not write. Refused if a writer has it open.
    #[cfg(windows)]
    {
        const FILE_SHARE_READ: u32 = 1;
        const FILE_SHARE_DELETE: u32 = 4;
        std::os::windows::fs::OpenOptionsExt::share_mode(
            &mut options,
            FILE_SHARE_READ | FILE_SHARE_DELETE,
        );
    }
    options
}

fn regular(metadata: &Metadata) -> Result<(), FormatProblem> {
    if metadata.is_file() {
        Ok(())
    } else {
        let found = if metadata.is_dir() { "directory" } else { "special file" };
        Err(FormatProblem::NotAFile { found })
    }
}

/// Device and inode.
#[cfg(unix)]
fn place_of(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn place_of(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Fills `bytes` from a place in the file. The file's own position, which an inherited
/// descriptor shares with other processes, is left alone.
#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}
