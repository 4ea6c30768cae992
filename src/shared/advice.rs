//! What the system is told about how a section will be used.

use std::io;
use std::sync::atomic::Ordering;

use super::SharedFile;
use super::file::in_section;
use crate::error::Error;
use crate::fault::fallible;

/// How a section will be used, for [`SharedFile::advise`].
///
/// | advice | what the system does | pays |
/// |---|---|---|
/// | [`Normal`](Self::Normal) | a page that is missing is read with its neighbours | where the section fits in memory: after some look-ups much of it is there |
/// | [`Random`](Self::Random) | it is read alone | where the section does not fit, and look-ups go here and there: what is not asked for is neither read, nor does it push out what is. Where it fits it costs, as every single page is waited for |
/// | [`Sequential`](Self::Sequential) | more is read ahead, and pages that were read are the first to be given up | where a section is read once, from the beginning to the end |
/// | [`WillNeed`](Self::WillNeed) | it begins to read all of it, and nobody waits | where a section that fits will be used soon, and there is something else to do until then |
/// | [`HugePages`](Self::HugePages) | pages of 2 MiB are used where it can, some time later | for look-ups at random in large tables, which then miss the processor's cache of page addresses (TLB) less often. Copies on the heap have them without asking, and so do files that this crate wrote a moment ago, on file systems that keep large pages (ext4, xfs); for others only where the kernel was built for it, for sealed copies where it is set so |
///
/// Of data that is in memory already, all but `HugePages` change nothing. Next to these stand
/// [`prefault`](SharedFile::prefault), which waits until a section is there and in the page
/// tables, and [`pin`](SharedFile::pin), which keeps it there. `cargo bench --bench advice`
/// measures what each brings on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing special, which is where a section begins.
    #[default]
    Normal,
    /// Look-ups here and there.
    Random,
    /// It is read from the beginning to the end. A plan then counts a small part of
    /// it, unless a [floor](crate::Table::floor) is declared.
    Sequential,
    /// All of it will be used soon.
    WillNeed,
    /// Pages as large as can be.
    HugePages,
}

impl SharedFile {
    /// Tells the system how a section will be used; whether it takes such advice.
    ///
    /// `Random` and `Sequential` hold until other advice of these kinds or `Normal`, and in
    /// this process alone. Elsewhere than on Unix, for `HugePages` elsewhere than on
    /// Linux, and where the kernel does not know it, this does nothing and returns
    /// `false`.
    ///
    /// ```
    /// # fn main() -> Result<(), plimsoll::Error> {
    /// use plimsoll::{Advice, SharedFile};
    ///
    /// # let directory = std::env::temp_dir().join(format!("plimsoll-advice-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
    /// # let path = directory.join("genome.plim");
    /// # let writer = SharedFile::create(&path)?;
    /// # writer.slice("bases")?.fill(*b"ACGT")?;
    /// # writer.finish()?;
    /// let file = SharedFile::open(&path)?;
    /// let taken = file.advise("bases", Advice::Sequential)?;
    /// assert_eq!(taken, cfg!(unix));
    /// # std::fs::remove_dir_all(&directory).ok();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::SharedFormat`] if there is no such section.
    /// - [`Error::SharedIo`] if the system takes the advice and fails to follow it.
    pub fn advise(&self, section: &str, advice: Advice) -> Result<bool, Error> {
        let places = self.places(section);
        let places = places.map_err(|problem| self.problem(in_section(section, problem)))?;
        let mut taken = true;
        for at in places {
            match advice {
                Advice::Sequential => self.inner.in_order[at].store(true, Ordering::Relaxed),
                Advice::Normal | Advice::Random => {
                    self.inner.in_order[at].store(false, Ordering::Relaxed);
                }
                Advice::WillNeed | Advice::HugePages => {}
            }
            let entry = &self.inner.entries[at];
            let range = (entry.offset as usize, entry.bytes() as usize);
            taken &= match fallible(|| self.tell(advice, range)) {
                Ok(()) => true,
                Err(error) if is_unknown(&error) => false,
                Err(source) => {
                    let (action, path) = ("give advice on", self.path().to_path_buf());
                    return Err(Error::SharedIo { action, path, source });
                }
            };
        }
        Ok(taken)
    }

    #[cfg(unix)]
    fn tell(&self, advice: Advice, (offset, length): (usize, usize)) -> io::Result<()> {
        let advice = match advice {
            Advice::Normal => memmap2::Advice::Normal,
            Advice::Random => memmap2::Advice::Random,
            Advice::Sequential => memmap2::Advice::Sequential,
            Advice::WillNeed => memmap2::Advice::WillNeed,
            #[cfg(target_os = "linux")]
            Advice::HugePages => memmap2::Advice::HugePage,
            #[cfg(not(target_os = "linux"))]
            Advice::HugePages => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.inner.memory.map().advise_range(advice, offset, length)
    }

    #[cfg(not(unix))]
    fn tell(&self, _advice: Advice, _range: (usize, usize)) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Whether an error says that the system has no such thing.
pub(super) fn is_unknown(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}
