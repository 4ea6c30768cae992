//! How the time of an item passes: by computing, or by a clock that is told.

use std::cell::Cell;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use plimsoll::simulation::VirtualClock;

use crate::work::spin;

thread_local! {
    /// What the last loops on this thread came to.
    static LAST: Cell<u64> = const { Cell::new(0) };
}

/// What lets the time of an item pass.
#[derive(Clone)]
pub(crate) enum Pace {
    /// By arithmetic, so many loops a microsecond.
    Real { loops: u64 },
    /// A wait lasts longer by `late` nanoseconds than was asked for.
    Virtual { clock: VirtualClock, late: u64 },
}

impl Pace {
    /// Lets `nanos` pass that a core computes; gives `value` back.
    #[inline]
    pub(crate) fn compute(&self, nanos: u64, value: u64) -> u64 {
        match self {
            Self::Real { loops } => {
                // A core would begin the next item's loops before this one's are done, and
                // light items would take less than they are said to.
                let nothing = LAST.get() & black_box(0);
                let mixed = spin(nanos * loops / 1_000, value + nothing);
                LAST.set(mixed);
                // Whoever wants the value must wait for the loops.
                value + (mixed & black_box(0))
            }
            Self::Virtual { clock, .. } => {
                clock.pass(nanos);
                value
            }
        }
    }

    /// Lets `nanos` pass that a core need not compute.
    pub(crate) fn wait(&self, nanos: u64, value: u64) -> u64 {
        match self {
            Self::Real { .. } => thread::sleep(Duration::from_nanos(nanos)),
            Self::Virtual { clock, late } => clock.pass(nanos + late),
        }
        value
    }
}

/// How much longer than asked for a sleep of 2 ms lasts, nanoseconds.
pub(crate) fn oversleep() -> u64 {
    let asked = Duration::from_millis(2);
    let late = (0..20).map(|_| {
        let begun = Instant::now();
        thread::sleep(asked);
        (begun.elapsed() - asked).as_nanos() as u64
    });
    late.min().expect("there were tries")
}

/// A number that looks random.
pub(crate) fn mix(seed: u64) -> u64 {
    let a = (seed.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 32)
}
