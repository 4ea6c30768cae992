//! What pipelines really hold in memory cgroups whose limit the kernel enforces by killing,
//! what becomes of a hand-written semaphore there, and what looking at real memory costs.
//!
//! ```sh
//! cargo bench --bench memory               # 20 runs of each, some minutes
//! cargo bench --bench memory -- --rounds 3
//! ```
//!
//! The workloads are those of `tests/memory.rs`, which says what must hold of them. Memory
//! cgroups are made below this process's own; where they cannot be, their rows are left out.

#[cfg(target_os = "linux")]
#[path = "memory/linux.rs"]
mod linux;

// Rooms of the tests, where they look for each other.
#[cfg(target_os = "linux")]
use linux::{cgroup, child, common, limits, neighbour, peer, workloads};

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
    #[cfg(not(target_os = "linux"))]
    println!("Real memory is looked at on Linux alone.");
}
