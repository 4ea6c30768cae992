//! The memory limits of this process's cgroup and of all its ancestors.
//!
//! Every limit on the way up holds at the same time, so all are read. A file
//! that is not there is a controller that is not there: no limit at that level.
//! A file that is there and cannot be understood is an error: the limit is then
//! unknown, and unknown is not unlimited.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mounts::{self, Membership, Mount, Version};
use crate::error::Error;
use crate::fault::fallible;
use crate::units::Bytes;

/// The kernel writes "no limit" of version 1 as the largest `i64` rounded down
/// to a page; the bits below cover pages of every size.
const UNLIMITED_V1: u64 = i64::MAX as u64 & !0xf_ffff;

/// One of the limits that hold for this process.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) bytes: u64,
    /// The number and where it was found.
    pub(super) text: String,
    pub(super) usage: Usage,
}

/// Where it is told how much under a limit is in use and cannot be taken back. Page
/// cache is not in it, and so neither are mapped files, but for those that are locked.
///
/// Anonymous and shared pages stand in two lists of the kernel's, as long as they are not
/// locked; what is locked, whatever it is, in a third. So the three are all that cannot be
/// taken back, and nothing twice.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    pub(super) file: PathBuf,
    /// Lines of the file to add up.
    pub(super) fields: &'static [&'static str],
    /// Bytes that a unit of the file stands for.
    pub(super) unit: u64,
}

impl Usage {
    /// Bytes in use now, if told.
    pub(super) fn read(&self) -> Option<u64> {
        let text = fallible(|| fs::read_to_string(&self.file)).ok()?;
        sum(&text, self.fields).map(|units| units.saturating_mul(self.unit))
    }
}

/// What the cgroup files say.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    pub(super) limits: Vec<Bound>,
    /// What could not be looked at, for a reader who expects a limit.
    pub(super) note: Option<String>,
}

/// Reads every limit that holds for this process, `root` being the root of the
/// file system.
pub(super) fn read(root: &Path) -> Result<Cgroups, Error> {
    let memberships = parse(&root.join("proc/self/cgroup"), mounts::memberships)?;
    let mounts = parse(&root.join("proc/self/mountinfo"), mounts::mounts)?;
    let mut found = Cgroups::default();
    // On a hybrid machine the memory controller is in version 1.
    let with_memory = memberships.iter().find(|member| member.version == Version::V1);
    let with_memory = with_memory.or(memberships.first());
    for member in &memberships {
        match Place::of(member, &mounts, root)? {
            Some(place) => {
                place.read_upwards(&mut found.limits)?;
                found.note = found.note.or(place.note);
            }
            None if with_memory == Some(member) => {
                found.note = Some("no memory cgroup is mounted".to_owned());
            }
            None => {}
        }
    }
    Ok(found)
}

/// Reads a file of `/proc`; none at all is an empty one.
fn parse<T>(path: &Path, parser: fn(&str) -> io::Result<Vec<T>>) -> Result<Vec<T>, Error> {
    // Mount points of others need not be UTF-8. Nothing is lost for ours: a
    // cgroup of such a name is then not found below its mount, and noted.
    let text = match fallible(|| fs::read(path)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(path, source)),
    };
    parser(&text).map_err(|source| unreadable(path, source))
}

/// A cgroup of this process, found below a mount point.
#[derive(Debug)]
struct Place {
    version: Version,
    /// The mount point in the file system.
    top: PathBuf,
    /// The cgroup that is seen there, in parts.
    top_name: Vec<String>,
    /// From there to the process's cgroup, in parts.
    below: Vec<String>,
    note: Option<String>,
}

impl Place {
    /// Finds the directory of a cgroup, or nothing if its hierarchy is not mounted.
    fn of(member: &Membership, mounts: &[Mount], root: &Path) -> Result<Option<Self>, Error> {
        let path = parts(&member.path);
        let fitting = || mounts.iter().filter(|mount| mount.version == member.version);
        // Several mounts may show the cgroup; the highest shows most ancestors.
        let exact = fitting()
            .filter_map(|mount| Some((mount, below(&parts(&mount.root), &path)?)))
            .max_by_key(|(_, below)| below.len());
        let Some(mount) = exact.as_ref().map(|(mount, _)| *mount).or_else(|| fitting().next())
        else {
            return Ok(None);
        };
        let place = |below: Vec<String>| Self {
            version: member.version,
            top: root.join(mount.point.trim_start_matches('/')),
            top_name: parts(&mount.root),
            below,
            note: None,
        };
        if let Some((_, below)) = exact {
            let place = place(below);
            if place.is_directory()? {
                return Ok(Some(place));
            }
        }
        // The path is told from a namespace that the mount does not show, as in a
        // container that sees only its own branch. Its end may still be there; if
        // not, the mount point is the branch. The JVM does the same.
        let seen_from = path.iter().rposition(|part| part == "..").map_or(0, |last| last + 1);
        let mut nearest = place(Vec::new());
        for start in seen_from..path.len() {
            let candidate = place(path[start..].to_vec());
            if candidate.is_directory()? {
                nearest = candidate;
                break;
            }
        }
        let (own, point) = (&member.path, &mount.point);
        nearest.note = Some(format!("the process's cgroup {own} is not seen below {point}"));
        Ok(Some(nearest))
    }

    fn is_directory(&self) -> Result<bool, Error> {
        let directory = self.directory(self.below.len());
        match fallible(|| fs::metadata(&directory)) {
            Ok(found) => Ok(found.is_dir()),
            Err(source) if absent(&source) => Ok(false),
            Err(source) => Err(unreadable(&directory, source)),
        }
    }

    /// The directory `depth` levels below the mount point.
    fn directory(&self, depth: usize) -> PathBuf {
        let mut directory = self.top.clone();
        directory.extend(&self.below[..depth]);
        directory
    }

    fn read_upwards(&self, limits: &mut Vec<Bound>) -> Result<(), Error> {
        let (files, version): (&[&str], _) = match self.version {
            Version::V1 => (&["memory.limit_in_bytes"], "v1"),
            Version::V2 => (&["memory.max", "memory.high"], "v2"),
        };
        for depth in (0..=self.below.len()).rev() {
            let directory = self.directory(depth);
            let name = [&self.top_name[..], &self.below[..depth]].concat().join("/");
            for file in files {
                let Some(bytes) = self.limit(&directory.join(file))? else {
                    continue;
                };
                let size = Bytes(bytes);
                let text = format!("{size}, {file} of /{name} (cgroup {version})");
                limits.push(Bound { bytes, text, usage: self.usage(&directory) });
            }
        }
        Ok(())
    }

    /// The number in a limit file; nothing if there is no file or no limit.
    fn limit(&self, file: &Path) -> Result<Option<u64>, Error> {
        let text = match fallible(|| fs::read_to_string(file)) {
            Ok(text) => text,
            Err(source) if absent(&source) => return Ok(None),
            Err(source) => return Err(unreadable(file, source)),
        };
        let text = text.trim_end();
        if self.version == Version::V2 && text == "max" {
            return Ok(None);
        }
        let bytes: u64 = text.parse().map_err(|error| {
            let message = format!("{text:?} is not a number of bytes: {error}");
            unreadable(file, io::Error::new(io::ErrorKind::InvalidData, message))
        })?;
        let unlimited = self.version == Version::V1 && bytes >= UNLIMITED_V1;
        Ok((!unlimited).then_some(bytes))
    }

    fn usage(&self, directory: &Path) -> Usage {
        let fields: &[&str] = match self.version {
            // It does not tell kernel memory apart.
            Version::V1 => &["total_inactive_anon", "total_active_anon", "total_unevictable"],
            Version::V2 => &[
                "inactive_anon",
                "active_anon",
                "unevictable",
                "slab_unreclaimable",
                "kernel_stack",
                "pagetables",
                "percpu",
            ],
        };
        Usage { file: directory.join("memory.stat"), fields, unit: 1 }
    }
}

/// Adds up the named fields of a file of `name number` lines. Older kernels lack
/// some; without the first there is no sum.
fn sum(text: &str, fields: &[&str]) -> Option<u64> {
    let value = |field: &&str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(*field)?.strip_prefix([' ', ':']));
        line?.split_whitespace().next()?.parse::<u64>().ok()
    };
    let first = value(fields.first()?)?;
    Some(fields[1..].iter().filter_map(value).fold(first, u64::saturating_add))
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The way from `root` down to `path`, if there is one.
fn below(root: &[String], path: &[String]) -> Option<Vec<String>> {
    let below = path.strip_prefix(root)?;
    // A path that starts with `..` lies beside the namespace's root, not below it.
    (!below.iter().any(|part| part == "..")).then(|| below.to_vec())
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::LimitUnreadable { path: path.to_owned(), source }
}
