//! Opening a shared file: everything that is found out before it is mapped.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::element::Spec;
use super::element::sealed::Stored;
use super::header::{HEADER_BYTES, Header};
use crate::error::{Error, FormatProblem};
use crate::fault::fallible;

/// An open file whose header is sound and agrees with the type asked for.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Length of the file, and so of its mapping.
    pub(super) bytes: u64,
    pub(super) header: Header,
}

impl Source {
    /// Opens and verifies the header by reading it, which is safe for any file.
    pub(super) fn open(path: &Path, spec: &Spec) -> Result<Self, Error> {
        let path = path.to_path_buf();
        let io = |action| {
            let path = path.clone();
            move |source| Error::SharedIo { action, path, source }
        };
        let format = |problem| Error::SharedFormat { path: path.clone(), problem };

        // Asked before opening too, because opening a pipe waits for its writer.
        regular(&fallible(|| fs::metadata(&path)).map_err(io("open"))?).map_err(format)?;
        let mut file = fallible(|| options().open(&path)).map_err(io("open"))?;
        let metadata = fallible(|| file.metadata()).map_err(io("open"))?;
        regular(&metadata).map_err(format)?;

        let mut head = Vec::with_capacity(HEADER_BYTES);
        let limit = HEADER_BYTES as u64;
        fallible(|| file.by_ref().take(limit).read_to_end(&mut head)).map_err(io("read"))?;
        let bytes = metadata.len();
        let header = Header::decode(&head, bytes, spec).map_err(format)?;
        Ok(Self { path, file, bytes, header })
    }

    /// The file's present state; an error if its length has changed.
    pub(super) fn recheck(&self) -> Result<Metadata, Error> {
        let metadata =
            fallible(|| self.file.metadata()).map_err(|source| self.io("read", source))?;
        if metadata.len() == self.bytes {
            return Ok(metadata);
        }
        let header = HEADER_BYTES as u64;
        Err(self.problem(FormatProblem::Length {
            found: metadata.len().saturating_sub(header),
            recorded: self.bytes - header,
        }))
    }

    /// Copies the payload to the heap and verifies it there.
    pub(super) fn copy<D: ?Sized + Stored>(mut self) -> Result<(PathBuf, Box<D>), Error> {
        let count = usize::try_from(self.header.count).ok();
        let Some(mut data) = count.and_then(|count| D::zeroed(count).ok()) else {
            return Err(self.io("find memory for", io::ErrorKind::OutOfMemory.into()));
        };
        if let Err(source) = fallible(|| self.file.read_exact(data.bytes_mut())) {
            return Err(self.io("read", source));
        }
        self.header.verify(data.bytes()).map_err(|problem| self.problem(problem))?;
        Ok((self.path, data))
    }

    pub(super) fn io(&self, action: &'static str, source: io::Error) -> Error {
        Error::SharedIo { action, path: self.path.clone(), source }
    }

    pub(super) fn problem(&self, problem: FormatProblem) -> Error {
        Error::SharedFormat { path: self.path.clone(), problem }
    }
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
