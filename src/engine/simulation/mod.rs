//! A run in virtual time: as many cores and as much memory as one likes.
//!
//! Only threads, their lock, their bells and the clock are imitated. The plan is the
//! planner's, what is chosen and admitted is the scheduler's, parcels are cut, opened,
//! parked and weighed by the nodes of a real run. The stages are real stages,
//! too, whose functions do not compute but let time pass on a [`VirtualClock`]; so
//! whoever knows what items cost can build a pipeline that behaves like one that is yet
//! to be run, elsewhere.
//!
//! ```text
//! timeline ── what happens next ──> threads ── asks, settles ──> Scheduler (the real one)
//!                                      │  └── runs tasks ─────> nodes (the real ones)
//!                                      └── waits for ─────────> lock
//! ```
//!
//! | file | one purpose |
//! |---|---|
//! | `machine` | what locks, steps and wake-ups cost |
//! | `clock` | time that passes when it is told to |
//! | `timeline` | events by time |
//! | `lock` | who has the one lock, who spins for it, who sleeps for it |
//! | `threads` | what each thread does: the protocol of `engine/run.rs`, without threads |
//! | `forecast` | what came of it, and where the threads' time went |
//!
//! What a thread does between two events is done at once, at the time of the first: a
//! step that lasts a second of virtual time sees the run as it was when it began. The
//! same pipeline, source and machine give the same forecast, to the nanosecond.
//!
//! What is left out: cores are never short of threads that could run (a thread that looks
//! for work keeps no other from its core), caches and memory are as fast for many as for
//! few, and real memory is what is declared.

mod clock;
mod forecast;
mod lock;
mod machine;
#[cfg(test)]
mod tests;
mod threads;
mod timeline;

pub use clock::VirtualClock;
pub use forecast::{Costs, Forecast, ThreadTime};
pub use machine::Machine;
pub(crate) use threads::drive;
