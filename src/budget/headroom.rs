//! What the machine and the cgroups could still give to this process, read again and
//! again while a run is under way.

use std::path::Path;

use super::cgroup::{self, Usage};
use super::machine::machine_usage;
use crate::error::Error;

/// The limits that hold for this process and where their use is told.
#[derive(Debug)]
pub(crate) struct Headroom {
    bounds: Vec<(u64, Usage)>,
}

/// Kept free below a limit: a twentieth of it, but no more than 1 GiB. Others may take
/// some before the next look, and the kernel needs some for itself.
pub(crate) const MOST_MARGIN: u64 = 1 << 30;

impl Headroom {
    /// Finds the limits.
    pub(crate) fn open() -> Result<Self, Error> {
        Self::below(Path::new("/"))
    }

    pub(super) fn below(root: &Path) -> Result<Self, Error> {
        let cgroups = cgroup::read(root)?;
        let mut bounds: Vec<_> =
            cgroups.limits.into_iter().map(|bound| (bound.bytes, bound.usage)).collect();
        let memory_file = root.join("proc/meminfo");
        let total = Usage { fields: &["MemTotal"], ..machine_usage(memory_file.clone()) }.read();
        bounds.extend(total.map(|total| (total, machine_usage(memory_file))));
        Ok(Self { bounds })
    }

    /// Bytes that could still be given without touching the margin of any limit; of
    /// limits whose use is not told nothing is known. Some microseconds a limit.
    pub(crate) fn read(&self) -> Option<u64> {
        let room = |(limit, usage): &(u64, Usage)| {
            let margin = (limit / 20).min(MOST_MARGIN);
            Some(limit.saturating_sub(usage.read()?).saturating_sub(margin))
        };
        self.bounds.iter().filter_map(room).min()
    }
}
