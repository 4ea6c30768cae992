//! The machine's memory and cores, as far as this process may use them.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::thread;

use sysinfo::{MemoryRefreshKind, System};

use super::Override;
use super::cgroup::{self, Bound, Usage};
use super::size::{Amount, Percent};
use crate::error::Error;
use crate::units::{Bytes, KIB};

/// Where a budget is detected; tests bring a tree of files and numbers of their own.
#[derive(Debug)]
pub(super) struct Machine {
    /// Root of the file system that holds `proc` and `sys`.
    pub(super) root: PathBuf,
    /// Bytes of RAM, or why they are unknown.
    pub(super) ram: Result<u64, String>,
    /// The cores this process may use, or why they are unknown.
    pub(super) cores: Result<usize, String>,
}

/// The lowest memory limit that holds for this process.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    /// Bytes of the limit, or of one that is closer to being reached, that are
    /// not in use for good; when it was read.
    pub(super) headroom: Option<u64>,
    /// The number and where it was found.
    text: String,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Machine {
    /// The machine this process runs on.
    pub(super) fn this() -> Self {
        // `new_all` would look at every process, which takes a hundred times longer.
        let ram = System::new().map_err(|error| error.to_string()).and_then(|mut system| {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            match system.total_memory() {
                // What sysinfo gives where it could not read anything.
                0 => Err("the system does not tell its total memory".to_owned()),
                total => Ok(total),
            }
        });
        // The standard library also walks cgroup quotas and affinity masks.
        let cores = thread::available_parallelism();
        Self {
            root: PathBuf::from("/"),
            ram,
            cores: cores.map(usize::from).map_err(|error| error.to_string()),
        }
    }

    /// The lowest of the machine's RAM and every limit on this process's cgroups.
    /// Elsewhere than on Linux there are no cgroups and RAM is the limit.
    pub(super) fn limit(&self) -> Result<Limit, Error> {
        let memory_file = self.root.join("proc/meminfo");
        let total = match &self.ram {
            Ok(total) => *total,
            Err(error) => {
                let source = io::Error::other(error.clone());
                return Err(Error::LimitUnreadable { path: memory_file, source });
            }
        };
        let found = cgroup::read(&self.root)?;
        let mut bounds = found.limits;
        bounds.push(Bound {
            bytes: total,
            text: format!("{} RAM", Bytes(total)),
            usage: machine_usage(memory_file),
        });
        // Any of the limits may be the next to be reached: an ancestor shared with
        // others, or the machine itself. One that is unknown leaves all unknown.
        let headroom = bounds
            .iter()
            .map(|bound| Some(bound.bytes.saturating_sub(bound.usage.read()?)))
            .reduce(|one, other| Some(one?.min(other?)))
            .flatten();
        let lowest = bounds.into_iter().min_by_key(|bound| bound.bytes);
        let Bound { bytes, mut text, .. } = lowest.expect("the RAM is among the bounds");
        if let Some(note) = found.note {
            text = format!("{text}; {note}");
        }
        Ok(Limit { bytes, headroom, text })
    }

    /// The memory of a budget, and the limit if it could be detected.
    pub(super) fn memory(
        &self,
        asked: Option<Override<Amount<u64>>>,
    ) -> Result<(Override<u64>, Option<Limit>), Error> {
        let limit = self.limit();
        let (share, prefix) = match asked {
            // Who gives a number needs no limit, so none is insisted on.
            Some(Override { value: Amount::Exactly(value), origin }) => {
                let origin = match &limit {
                    Ok(limit) if value > limit.bytes => {
                        format!("{origin}, above the limit of {limit}")
                    }
                    Ok(_) => origin,
                    Err(Error::LimitUnreadable { path, source }) => {
                        format!("{origin}; the limit in {} is unknown: {source}", path.display())
                    }
                    Err(error) => format!("{origin}; {error}"),
                };
                return Ok((Override { value, origin }, limit.ok()));
            }
            Some(Override { value: Amount::Share(share), origin }) => (share, origin),
            Some(Override { value: Amount::Auto, origin }) => {
                (Percent::DEFAULT, format!("{origin}: 80 %"))
            }
            None => (Percent::DEFAULT, "80 %".to_owned()),
        };
        let limit = limit?;
        let origin = format!("{prefix} of {limit}");
        Ok((Override { value: share.of(limit.bytes), origin }, Some(limit)))
    }

    /// The cores of a budget.
    pub(super) fn cores(&self, asked: Option<Override<Amount<usize>>>) -> Override<usize> {
        let (available, source) = match &self.cores {
            Ok(available) => (*available, "available_parallelism".to_owned()),
            // The one number that is certainly right: this code runs on a core.
            Err(error) => (1, format!("available_parallelism failed: {error}")),
        };
        match asked {
            Some(Override { value: Amount::Exactly(value), origin }) => {
                let origin = match value > available {
                    true => format!("{origin}, above the {available} of {source}"),
                    false => origin,
                };
                Override { value, origin }
            }
            Some(Override { value: Amount::Share(share), origin }) => {
                let share = share.of(available as u64) as usize;
                Override {
                    value: share.max(1),
                    origin: format!("{origin} of {available}, {source}"),
                }
            }
            Some(Override { value: Amount::Auto, origin }) => {
                Override { value: available, origin: format!("{origin}: {source}") }
            }
            None => Override { value: available, origin: source },
        }
    }
}

/// Where the machine tells what of its memory the kernel cannot take back.
pub(super) fn machine_usage(memory_file: PathBuf) -> Usage {
    const FIELDS: [&str; 8] = [
        "Inactive(anon)",
        "Active(anon)",
        "Unevictable",
        "SUnreclaim",
        "KernelStack",
        "PageTables",
        "Percpu",
        "Hugetlb",
    ];
    Usage { file: memory_file, fields: &FIELDS, unit: KIB }
}
