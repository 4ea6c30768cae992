//! How long the system's allocator keeps what was freed: the user's say, and the engine's
//! where the user has none.

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use super::pages::{free_in_heaps, set_release_threshold};

/// From how many bytes on blocks are given back where the engine has to choose: from there
/// on the two system calls that a fresh block costs are little beside touching its pages,
/// and what every thread may still keep of smaller blocks is little beside the drift that
/// is tolerated (16 MiB at the least).
const THRESHOLD: u64 = 1 << 20;

/// Who has said how large blocks are kept. Changed only by who holds [`SETTING`], so that
/// the engine never overrules a user. Relaxed: it guards nothing but itself.
static SAID: AtomicU8 = AtomicU8::new(NOBODY);
static SETTING: Mutex<()> = Mutex::new(());
const NOBODY: u8 = 0;
const USER: u8 = 1;
const ENGINE: u8 = 2;

/// Has glibc's allocator give blocks of `bytes` and more back to the system as soon
/// as they are freed, for this whole process and all its life; whether it will.
///
/// By default that allocator keeps freed blocks of up to 32 MiB for later: it starts at
/// 128 KiB, and each large block that is freed raises the bar. Kept pages are real
/// memory all the same. A run that is held up by that (it has a part of its line
/// [withheld](crate#real-memory), and somebody waits for it) looks how much lies free with
/// the allocator. If that may be half of the excess or more, the run makes this call itself,
/// once in the life of the process and with a MiB, and says so
/// ([`MemoryReport::releases_blocks_from`](crate::MemoryReport::releases_blocks_from)).
/// Where items are blocks of many MiB, call it at the beginning of `main`, with
/// [`MIB`](crate::MIB) or so: then real memory follows the ledger from the start.
///
/// The price: a block that large is fresh at each allocation, so its pages are
/// zeroed and mapped by the system again, about as long as writing them once more
/// takes. It is a setting of the process, not of a run. A run leaves it alone if
///
/// - this function was called, whatever with: `32 * MIB` keeps what the allocator keeps
///   by default;
/// - the environment has the allocator's own say (`GLIBC_TUNABLES` with `mmap_threshold`,
///   `trim_threshold`, `top_pad` or `mmap_max`, or the variables `MALLOC_MMAP_THRESHOLD_`,
///   `MALLOC_TRIM_THRESHOLD_`, `MALLOC_TOP_PAD_`, `MALLOC_MMAP_MAX_`);
/// - its budget is [`unmeasured`](crate::Budget::unmeasured).
///
/// It cannot see whether the program has called `mallopt` itself.
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
    const SENSIBLE: std::ops::RangeInclusive<u64> = 64 << 10..=32 << 20;
    if !SENSIBLE.contains(&bytes) {
        return false;
    }
    let _one_at_a_time = SETTING.lock().unwrap_or_else(PoisonError::into_inner);
    SAID.store(USER, Ordering::Relaxed);
    set_release_threshold(bytes)
}

/// Has the allocator give large blocks back from now on, if nobody has said otherwise and
/// what lies free with it may be half of `drift` bytes: from how many bytes on, and how
/// many lie free, if that was done now. Once in the life of the process.
pub(crate) fn release_if_kept(drift: u64) -> Option<(u64, u64)> {
    if SAID.load(Ordering::Relaxed) != NOBODY {
        return None;
    }
    let free = free_in_heaps();
    if free < drift / 2 || free == 0 || is_tuned(|name| std::env::var_os(name)) {
        return None;
    }
    let _one_at_a_time = SETTING.lock().unwrap_or_else(PoisonError::into_inner);
    if SAID.load(Ordering::Relaxed) != NOBODY {
        return None;
    }
    SAID.store(ENGINE, Ordering::Relaxed);
    set_release_threshold(THRESHOLD).then_some((THRESHOLD, free))
}

/// Whether the calling thread is to [`release_end_of_heap`], once, at a moment when it holds
/// no lock.
pub(crate) fn keeps_end_of_heap() -> bool {
    SAID.load(Ordering::Relaxed) == ENGINE && !RELEASED.get()
}

thread_local! {
    static RELEASED: Cell<bool> = const { Cell::new(false) };
}

/// Has the allocator give back what it kept at the end of the calling thread's heap before it
/// was told to: a trim leaves that alone, whoever frees a block of more than 64 KiB does
/// not, and large blocks, which would, come from elsewhere now.
pub(crate) fn release_end_of_heap() {
    RELEASED.set(true);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(128 << 10)));
}

/// Whether the environment sets what decides how long glibc's allocator keeps blocks.
fn is_tuned(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    const OWN: [&str; 4] =
        ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_"];
    const TUNABLES: [&str; 4] = [
        "glibc.malloc.mmap_threshold=",
        "glibc.malloc.trim_threshold=",
        "glibc.malloc.top_pad=",
        "glibc.malloc.mmap_max=",
    ];
    let tunables = variable("GLIBC_TUNABLES").unwrap_or_default();
    let tunables = tunables.to_string_lossy();
    OWN.iter().any(|name| variable(name).is_some())
        || tunables.split(':').any(|one| TUNABLES.iter().any(|name| one.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_says_of_the_allocator_is_seen() {
        let tuned = |name: &'static str, value: &'static str| {
            is_tuned(move |asked| (asked == name).then(|| value.into()))
        };
        assert!(!is_tuned(|_| None));
        assert!(tuned("MALLOC_TRIM_THRESHOLD_", "") && tuned("MALLOC_MMAP_MAX_", "0"));
        assert!(!tuned("MALLOC_ARENA_MAX", "1"), "that is about something else");
        let tunables = |value| tuned("GLIBC_TUNABLES", value);
        assert!(tunables("glibc.malloc.mmap_threshold=1048576"));
        assert!(tunables("glibc.malloc.arena_max=1:glibc.malloc.top_pad=0"));
        assert!(!tunables("glibc.malloc.arena_max=1:glibc.rtld.nns=3"));
    }
}
