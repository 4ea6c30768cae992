//! What Linux tells: `/proc/self/statm` and `/proc/self/status`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fault::fallible;

/// Reads the process's anonymous and shared memory from files that are kept open.
#[derive(Debug)]
pub(crate) struct Gauge {
    statm: File,
    status: File,
    page: u64,
    /// Shared memory at the last survey; `statm` counts it among the files.
    shmem: AtomicU64,
}

impl Gauge {
    pub(crate) fn open() -> io::Result<Self> {
        let statm = fallible(|| File::open("/proc/self/statm"))?;
        let status = fallible(|| File::open("/proc/self/status"))?;
        let (page, shmem) = (page_size()?, AtomicU64::new(0));
        let gauge = Self { statm, status, page, shmem };
        gauge.survey()?;
        Ok(gauge)
    }

    /// Bytes of a page.
    pub(crate) fn page(&self) -> u64 {
        self.page
    }

    /// Bytes of anonymous memory now and of shared memory at the last survey. A
    /// microsecond.
    pub(crate) fn read(&self) -> io::Result<u64> {
        let (pages, _) = self.pages()?;
        // Relaxed: a figure of its own, a moment old anyway.
        let shmem = self.shmem.load(Ordering::Relaxed);
        Ok(pages.saturating_mul(self.page).saturating_add(shmem))
    }

    /// Bytes of mapped files, shared memory included.
    pub(crate) fn read_files(&self) -> io::Result<u64> {
        Ok(self.pages()?.1.saturating_mul(self.page))
    }

    fn pages(&self) -> io::Result<(u64, u64)> {
        let mut buffer = [0; 128];
        let length = fallible(|| self.statm.read_at(&mut buffer, 0))?;
        resident_pages(&buffer[..length])
    }

    /// Looks at shared memory anew. Five microseconds.
    pub(crate) fn survey(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let length = fallible(|| self.status.read_at(&mut buffer, 0))?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        // Kernels before 4.5 do not tell it apart.
        let shmem = field(&text, "RssShmem:").unwrap_or(0).saturating_mul(1024);
        self.shmem.store(shmem, Ordering::Relaxed);
        Ok(())
    }
}

/// Resident pages that belong to no file, and those that do, of a line
/// `size resident shared …`.
fn resident_pages(statm: &[u8]) -> io::Result<(u64, u64)> {
    let mut numbers = statm.split(|byte| *byte == b' ').skip(1).map(|digits| {
        let digits = str::from_utf8(digits).ok()?;
        digits.parse::<u64>().ok()
    });
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(resident), Some(shared)) => Ok((resident.saturating_sub(shared), shared)),
        _ => Err(invalid("/proc/self/statm")),
    }
}

/// The unit of `statm`, which the kernel tells every process at its start.
fn page_size() -> io::Result<u64> {
    /// Zero until it is known. Relaxed: whoever finds zero reads the same file again.
    static PAGE: AtomicU64 = AtomicU64::new(0);
    let known = PAGE.load(Ordering::Relaxed);
    if known > 0 {
        return Ok(known);
    }
    const PAGE_SIZE_ENTRY: usize = 6;
    let bytes = fallible(|| std::fs::read("/proc/self/auxv"))?;
    let (words, _) = bytes.as_chunks::<{ size_of::<usize>() }>();
    let mut words = words.iter().map(|word| usize::from_ne_bytes(*word));
    while let (Some(entry), Some(value)) = (words.next(), words.next()) {
        if entry == PAGE_SIZE_ENTRY {
            PAGE.store(value as u64, Ordering::Relaxed);
            return Ok(value as u64);
        }
    }
    Err(invalid("/proc/self/auxv"))
}

/// The number behind `name` in a file of `name number` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn invalid(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own: what other tests allocate and free meanwhile is no less.
    #[test]
    fn a_block_is_seen_when_it_is_touched_and_when_it_is_gone() {
        const ALONE: &str = "A_BLOCK_IS_SEEN";
        if std::env::var_os(ALONE).is_some() {
            return see_a_block();
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let test = format!("{module}::a_block_is_seen_when_it_is_touched_and_when_it_is_gone");
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let alone = command.args(["--exact", &test]).env(ALONE, "").output().unwrap();
        let told = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && told.contains("1 passed"), "{told}");
    }

    fn see_a_block() {
        const BLOCK: usize = 256 << 20;
        let gauge = Gauge::open().unwrap();
        let before = gauge.read().unwrap();
        let block = vec![1u8; BLOCK];
        let during = gauge.read().unwrap();
        assert_eq!(block[BLOCK / 2], 1);
        drop(block);
        let after = gauge.read().unwrap();
        let most = BLOCK as u64 / 10 * 9;
        assert!(during.saturating_sub(before) > most, "{before} {during}");
        assert!(during.saturating_sub(after) > most, "{during} {after}");
    }

    #[test]
    fn statm_that_is_not_understood_is_an_error() {
        assert_eq!(resident_pages(b"100 30 10 1 0 5 0\n").unwrap(), (20, 10));
        assert_eq!(resident_pages(b"100 10 30 1 0 5 0\n").unwrap(), (0, 30));
        for odd in [&b""[..], b"1", b"1 2", b"1 x 3", b"1 2 y"] {
            assert!(resident_pages(odd).is_err(), "{odd:?}");
        }
    }
}
