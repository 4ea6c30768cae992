//! What locks, steps and wake-ups cost.

/// The costs of a machine, nanoseconds, beside what the stages cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Under the lock, for settling one step and choosing the next, if this thread had
    /// the lock last.
    pub hold_own: u64,
    /// The same if another had it, whose caches have the scheduler's state.
    pub hold_other: u64,
    /// Of a step, without the lock and beside the calls: what parcels are made of.
    pub step: u64,
    /// From the release of the lock to a thread that spins for it.
    pub pass: u64,
    /// A thread that spins so long for the lock goes to sleep.
    pub lock_spin: u64,
    /// To wake a sleeper, for the waker.
    pub wake: u64,
    /// From then until the sleeper runs.
    pub woken_after: u64,
    /// One look of a thread that looks for work before it parks.
    pub look: u64,
    /// To start a thread.
    pub spawn: u64,
}

impl Machine {
    /// As `cargo bench --bench growth -- costs` measured them on two cores of a server: four
    /// turns take 1.9 us on one core, 6 us where both take turns.
    pub const TYPICAL: Self = Self {
        hold_own: 300,
        hold_other: 1_350,
        step: 175,
        pass: 150,
        lock_spin: 3_000,
        wake: 6_000,
        woken_after: 14_000,
        look: 25,
        spawn: 20_000,
    };
}
