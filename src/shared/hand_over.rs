//! Handing an opened file to another process: where it is, and how it is known there.

use std::borrow::Cow;
#[cfg(unix)]
use std::ffi::OsString;
use std::fmt::{self, Write};
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

/// A line, whatever the path: what of it is no text, control characters and percent signs
/// are written as in addresses of web pages, `%` and two hexadecimal digits for each byte.
/// Elsewhere than on Unix, parts that are no text are lost.
impl fmt::Display for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, identity: Identity { device, inode, length, checksum } } = self;
        write!(f, "{MARK}:{device:x}:{inode:x}:{length:x}:{checksum:x}:")?;
        for chunk in bytes_of(path).utf8_chunks() {
            for letter in chunk.valid().chars() {
                match is_escaped(letter) {
                    true => escape(letter.encode_utf8(&mut [0; 4]).as_bytes(), f)?,
                    false => f.write_char(letter)?,
                }
            }
            escape(chunk.invalid(), f)?;
        }
        Ok(())
    }
}

/// What would end a line, or look like an escape.
fn is_escaped(letter: char) -> bool {
    letter == '%' || letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "%{byte:02x}"))
}

/// The path that was written so; `None` if none was.
fn read_path(text: &str) -> Option<PathBuf> {
    if text.is_empty() || text.contains(|letter| letter != '%' && is_escaped(letter)) {
        return None;
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    path_of(bytes)
}

#[cfg(unix)]
fn bytes_of(path: &Path) -> Cow<'_, [u8]> {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).into()
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    let path: OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes);
    Some(path.into())
}

/// Elsewhere a path is no bytes that one could tell.
#[cfg(not(unix))]
fn bytes_of(path: &Path) -> Cow<'_, [u8]> {
    path.to_string_lossy().into_owned().into_bytes().into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
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
            let path = read_path(parts.next()?)?;
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
        for wrong in ["/a\n", "/a%", "/a%4", "/a%4g", "/a%+4", "/a%é"] {
            format!("plimsoll:1:2:3:4:{wrong}").parse::<HandOver>().unwrap_err();
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_path_that_is_no_text_is_handed_over_to_the_byte() {
        use std::os::unix::ffi::OsStringExt;

        let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
        let identity = Identity { device: 1, inode: 2, length: 3, checksum: 4 };
        for (bytes, told) in [
            ("/größe 1.plim".as_bytes(), "/größe 1.plim"),
            (b"/gr\xf6\xdfe.plim", "/gr%f6%dfe.plim"),
            (b"/100%\n\xe2\x80.plim", "/100%25%0a%e2%80.plim"),
            ("/a\u{2028}b".as_bytes(), "/a%e2%80%a8b"),
        ] {
            let handed = HandOver { path: path(bytes), identity };
            let line = handed.to_string();
            assert_eq!(line, format!("plimsoll:1:2:3:4:{told}"));
            assert_eq!(line.parse::<HandOver>().unwrap(), handed);
        }
        // Every byte, and every pair.
        for first in 1..=u8::MAX {
            for second in 1..=u8::MAX {
                let handed = HandOver { path: path(&[b'/', first, second]), identity };
                let line = handed.to_string();
                assert_eq!((line.lines().count(), line.parse().ok()), (1, Some(handed)), "{line}");
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_whose_path_is_no_text_is_opened_by_its_line() {
        use std::os::unix::ffi::OsStringExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(OsString::from_vec(b"gr\xf6\xdfe.plim".to_vec()));
        crate::Shared::<[u64]>::write(&path, &[2, 3, 5]).unwrap();
        let line = SharedFile::open(&path).unwrap().hand_over().to_string();
        let handed: HandOver = line.parse().unwrap();
        assert_eq!(handed.path(), path);
        assert_eq!(*handed.open().unwrap().get::<crate::Shared<[u64]>>("data").unwrap(), [2, 3, 5]);
    }
}
