//! What a run tells while it is under way, to whoever listens: the feature `tracing`.
//! Without it every function here is empty.

use crate::report::Stall;

#[cfg(feature = "tracing")]
mod told {
    use super::Stall;
    use crate::units::Bytes;

    pub(crate) fn stall(stall: &Stall) {
        let seconds = stall.lasted.as_secs_f64();
        tracing::warn!(
            target: "plimsoll",
            stage = %stall.stage, item = %stall.item, seconds, holds = stall.holds,
            "a call does not come back: {stall}"
        );
    }

    pub(crate) fn tightened(withheld: u64, real: u64) {
        tracing::debug!(
            target: "plimsoll", withheld, real,
            "{} of the line are withheld, the process holds {}", Bytes(withheld), Bytes(real)
        );
    }

    pub(crate) fn trimmed(before: u64, after: u64) {
        let (from, to) = (Bytes(before), Bytes(after));
        tracing::debug!(target: "plimsoll", before, after, "the allocator was trimmed: {from} to {to}");
    }

    pub(crate) fn lost_sight(why: &str) {
        tracing::warn!(target: "plimsoll", "real memory is not looked at any more: {why}");
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use super::Stall;

    pub(crate) fn stall(_stall: &Stall) {}

    pub(crate) fn tightened(_withheld: u64, _real: u64) {}

    pub(crate) fn trimmed(_before: u64, _after: u64) {}

    pub(crate) fn lost_sight(_why: &str) {}
}

pub(crate) use told::{lost_sight, stall, tightened, trimmed};
