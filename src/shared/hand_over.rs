//! Handing an opened file to another process: where it is, and how it is known there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Verify;
use super::file::SharedFile;
use super::source::{Identity, Source};
use crate::error::{Error, FormatProblem};

/// What another process needs to open the same file: its path, and what tells it from
/// every other that may have that path by then.
///
/// It is a line of text, to be passed on in an argument, a variable or a pipe:
///
/// ```
/// # fn main() -> Result<(), plimsoll::Error> {
/// use plimsoll::{HandOver, Shared, SharedFile};
///
/// # let directory = std::env::temp_dir().join(format!("plimsoll-hand-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
/// # let path = directory.join("primes.plim");
/// # let writer = SharedFile::create(&path)?;
/// # writer.slice("primes")?.fill([2_u64, 3, 5])?;
/// # writer.finish()?;
/// let file = SharedFile::open(&path)?;
/// let line = file.hand_over().to_string();
///
/// // In the other process:
/// let handed: HandOver = line.parse().expect("the line is whole");
/// let primes: Shared<[u64]> = handed.open()?.get("primes")?;
/// assert_eq!(primes[2], 5);
/// # std::fs::remove_dir_all(&directory).ok();
/// # Ok(())
/// # }
/// ```
///
/// The data is not read again: that file system, inode, length and the checksum of the
/// header are the same says that the file is the one that the first process opened,
/// and verified as it saw fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    path: PathBuf,
    identity: Identity,
}

/// What a line of text begins with that is one.
const MARK: &str = "plimsoll";

impl HandOver {
    pub(super) fn new(path: &Path, identity: Identity) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Self { path, identity }
    }

    /// Opens the file that was handed over.
    ///
    /// # Errors
    ///
    /// - As [`SharedFile::open`].
    /// - [`Error::SharedFormat`] with [`FormatProblem::AnotherFile`] if another file
    ///   is at the path now, as when it was built anew.
    pub fn open(&self) -> Result<SharedFile, Error> {
        let source = Source::open(&self.path)?;
        let (found, expected) = (source.identity, self.identity);
        let parts = [
            ("device", found.device, expected.device),
            ("inode", found.inode, expected.inode),
            ("length", found.length, expected.length),
            ("header checksum", found.checksum, expected.checksum),
        ];
        for (what, found, expected) in parts {
            if found != expected {
                let problem = FormatProblem::AnotherFile { what, found, expected };
                return Err(source.problem(problem));
            }
        }
        SharedFile::map_checked(source, Verify::Header)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A line, if the path is one. Parts of a path that are no text are lost.
impl fmt::Display for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, identity: Identity { device, inode, length, checksum } } = self;
        write!(f, "{MARK}:{device:x}:{inode:x}:{length:x}:{checksum:x}:{}", path.display())
    }
}

impl FromStr for HandOver {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::HandOver`] if the text is none.
    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let mut parts = text.splitn(6, ':');
            if parts.next() != Some(MARK) {
                return None;
            }
            let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
            let (device, inode, length, checksum) = (number()?, number()?, number()?, number()?);
            let path = parts.next().filter(|path| !path.is_empty())?.into();
            Some(Self { path, identity: Identity { device, inode, length, checksum } })
        };
        read().ok_or_else(|| Error::HandOver { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let identity = Identity { device: 1, inode: u64::MAX, length: 4096, checksum: 0xabc };
        let path = "/a b/c:d.plim".into();
        let handed = HandOver { path, identity };
        let line = handed.to_string();
        assert_eq!(line, "plimsoll:1:ffffffffffffffff:1000:abc:/a b/c:d.plim");
        assert_eq!(line.parse::<HandOver>().unwrap(), handed);
        for cut in 0..line.len() - "/a b/c:d.plim".len() {
            let error = line[..cut].parse::<HandOver>().unwrap_err();
            assert!(matches!(error, Error::HandOver { .. }), "{error}");
        }
        for wrong in ["", "plimsoll:1:2:3:4:", "plimsoll:1:2:3:x:/a", "x:1:2:3:4:/a"] {
            wrong.parse::<HandOver>().unwrap_err();
        }
    }
}
