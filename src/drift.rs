//! How real memory tightens the line: the rules, without files, clocks or locks.
//!
//! *Drift* is what the process holds beyond what the ledger stands for: pages that
//! the allocator keeps, heap that nobody declared. What it takes is withheld from
//! the line until it is gone. The same goes for what other processes take of the
//! machine or the cgroup. Neither ever stops the oldest item, so a run always ends.

/// What was found at one look. All in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Anonymous and shared memory that the process has resident.
    pub(crate) real: u64,
    /// What the ledger of this run stands for: what its stages keep, what is booked.
    pub(crate) accounted: u64,
    /// What is none of this run's: ledgers of others, what was there before.
    pub(crate) elsewhere: u64,
    /// What the system could still give to this process, a margin kept.
    pub(crate) headroom: Option<u64>,
    /// The line of the run.
    pub(crate) line: u64,
    /// What of it is booked, overweight included.
    pub(crate) held: u64,
    /// What the next oldest may need, which is never held up.
    pub(crate) oldest: u64,
}

impl Look {
    /// Bytes that nobody's ledger stands for.
    pub(crate) fn drift(&self) -> u64 {
        self.real.saturating_sub(self.elsewhere).saturating_sub(self.accounted)
    }

    /// Bytes that were granted and are not there yet.
    fn outstanding(&self) -> u64 {
        self.accounted.saturating_add(self.elsewhere).saturating_sub(self.real)
    }

    /// Whether the oldest may come to need more than is left of `budget` while memory
    /// lies idle that nobody's ledger stands for. It is never held up, so it would
    /// take real memory beyond the budget.
    pub(crate) fn is_overfull(&self, budget: u64) -> bool {
        let held = self.real.saturating_sub(self.elsewhere).saturating_add(self.oldest);
        held > budget && self.drift() > 0
    }

    /// Whether the headroom keeps something from being admitted.
    pub(crate) fn is_squeezed(&self) -> bool {
        self.squeeze() > 0
    }

    /// How far the line must be tightened so that no more than the headroom is
    /// admitted.
    fn squeeze(&self) -> u64 {
        let Some(headroom) = self.headroom else { return 0 };
        let granted = self.outstanding().saturating_add(self.oldest);
        let room = self.line.saturating_sub(self.held);
        room.saturating_sub(headroom.saturating_sub(granted))
    }
}

/// The tightening in force.
///
/// It rises at once. It falls when there is less to withhold by a good part of the
/// tolerance, so that a measurement that trembles does not make it flap.
#[derive(Clone, Debug)]
pub(crate) struct Tightening {
    tolerance: u64,
    in_force: u64,
    drifting: bool,
}

/// Drift up to this is the price of any allocator.
const LEAST_TOLERANCE: u64 = 16 << 20;

/// What drift is let be in a run on `memory` bytes: a sixteenth of them, or 16 MiB.
pub(crate) fn tolerance(memory: u64) -> u64 {
    LEAST_TOLERANCE.max(memory / 16)
}

impl Tightening {
    /// For a run on `memory` bytes.
    pub(crate) fn new(memory: u64) -> Self {
        Self { tolerance: tolerance(memory), in_force: 0, drifting: false }
    }

    pub(crate) fn tolerance(&self) -> u64 {
        self.tolerance
    }

    /// Takes a look; the bytes to withhold from now on.
    pub(crate) fn take(&mut self, look: &Look) -> u64 {
        let step = self.tolerance / 4;
        let tolerated = if self.drifting { self.tolerance - step } else { self.tolerance };
        let beyond = look.drift().saturating_sub(tolerated);
        self.drifting = beyond > 0;
        let by_drift = if beyond > 0 { beyond.saturating_add(look.oldest) } else { 0 };
        let wanted = by_drift.max(look.squeeze());
        if wanted > self.in_force || wanted == 0 || wanted.saturating_add(step) <= self.in_force {
            self.in_force = wanted;
        }
        self.in_force
    }
}

/// Nanoseconds since the run began.
type Nanos = u64;

/// When the allocator is asked to give pages back, and what that brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trims {
    pub(crate) count: u64,
    pub(crate) freed: u64,
    pub(crate) took: Nanos,
    not_before: Nanos,
    pause: Nanos,
}

/// The shortest and the longest time between two trims.
const PAUSES: (Nanos, Nanos) = (2_000_000, 1_000_000_000);

impl Trims {
    pub(crate) fn may_begin(&self, now: Nanos) -> bool {
        now >= self.not_before
    }

    /// No other begins until this one is done.
    pub(crate) fn begin(&mut self) {
        self.not_before = Nanos::MAX;
    }

    /// A trim that `took` so long brought `freed` of `drift` bytes. The next waits
    /// four times as long, so that trimming takes a fifth of one core at most, and
    /// twice as long as the last one did where it brought little.
    pub(crate) fn done(&mut self, now: Nanos, took: Nanos, freed: u64, drift: u64) {
        self.count += 1;
        self.freed += freed;
        self.took += took;
        let poor = freed < drift / 4;
        let pause = if poor { self.pause.saturating_mul(2) } else { 0 };
        self.pause = pause.max(took.saturating_mul(4)).clamp(PAUSES.0, PAUSES.1);
        self.not_before = now.saturating_add(self.pause);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::MIB;

    fn look(real: u64, accounted: u64) -> Look {
        let line = 400 * MIB;
        Look { real: real * MIB, accounted: accounted * MIB, line, ..Look::default() }
    }

    #[test]
    fn drift_beyond_the_tolerance_is_withheld_with_what_the_oldest_may_need() {
        let mut tightening = Tightening::new(512 * MIB);
        assert_eq!(tightening.tolerance(), 32 * MIB);
        assert_eq!(tightening.take(&look(132, 100)), 0);
        assert_eq!(tightening.take(&look(142, 100)), 10 * MIB);
        let larger = Look { oldest: 50 * MIB, ..look(142, 100) };
        assert_eq!(tightening.take(&larger), (10 + 8 + 50) * MIB);
        assert_eq!(tightening.take(&Look { elsewhere: 100 * MIB, ..look(232, 100) }), 8 * MIB);
        assert_eq!(Tightening::new(MIB).tolerance(), 16 * MIB);
    }

    #[test]
    fn a_trembling_measurement_does_not_make_it_flap() {
        let mut tightening = Tightening::new(512 * MIB);
        let force: Vec<_> = [133, 131, 133, 131, 125, 123, 131, 133]
            .map(|real| tightening.take(&look(real, 100)) / MIB)
            .into();
        assert_eq!(force, [1, 7, 9, 9, 1, 0, 0, 1]);
    }

    #[test]
    fn no_more_is_admitted_than_the_system_can_give() {
        let mut tightening = Tightening::new(512 * MIB);
        let held = Look { held: 100 * MIB, ..look(60, 100) };
        // 40 of the 100 that are granted are still to be touched.
        let roomy = Look { headroom: Some(400 * MIB), ..held };
        assert_eq!(tightening.take(&roomy), 0);
        let scarce = Look { headroom: Some(100 * MIB), ..held };
        assert_eq!(tightening.take(&scarce), (300 - 60) * MIB);
        let none = Look { headroom: Some(0), ..held };
        assert_eq!(tightening.take(&none), 300 * MIB);
        assert_eq!(tightening.take(&roomy), 0, "it resumes by itself");
    }

    #[test]
    fn the_budget_is_overfull_where_the_next_oldest_would_not_fit_beside_drift() {
        let budget = 512 * MIB;
        let full = Look { oldest: 112 * MIB, ..look(400, 300) };
        assert!(!full.is_overfull(budget), "just as much as there is");
        assert!(full.is_overfull(budget - 1));
        assert!(!Look { elsewhere: 1, ..full }.is_overfull(budget - 1), "that is not the run's");
        let accounted = Look { oldest: 200 * MIB, ..look(400, 400) };
        assert!(!accounted.is_overfull(budget), "there is nothing to trim");
    }

    #[test]
    fn the_headroom_squeezes_when_it_is_less_than_the_lines_room() {
        let roomy = Look { headroom: Some(400 * MIB), ..look(100, 100) };
        assert!(!roomy.is_squeezed() && !look(100, 100).is_squeezed());
        assert!(Look { headroom: Some(400 * MIB - 1), ..roomy }.is_squeezed());
        assert!(Look { oldest: 1, ..roomy }.is_squeezed());
    }

    #[test]
    fn trims_that_bring_little_are_made_less_often() {
        let mut trims = Trims::default();
        assert!(trims.may_begin(0));
        trims.begin();
        assert!(!trims.may_begin(u64::MAX - 1));
        trims.done(100, 2_000_000, 90, 100);
        assert!(!trims.may_begin(8_000_099) && trims.may_begin(8_000_100));
        for _ in 0..10 {
            trims.done(0, 1_000, 0, 100);
        }
        assert!(!trims.may_begin(999_999_999) && trims.may_begin(1_000_000_000));
        trims.done(0, 1_000, 25, 100);
        assert!(trims.may_begin(2_000_000), "a quarter is not little");
        assert_eq!((trims.count, trims.freed, trims.took), (12, 115, 2_011_000));
    }

    proptest! {
        /// Whatever was seen before: what is withheld is never less than what the
        /// last look asks for, less what is tolerated, and nothing is withheld of a
        /// process that holds no more than it accounts for.
        #[test]
        fn what_is_withheld_follows_the_last_look(
            looks in prop::collection::vec((0..600u64, 0..400u64, 0..100u64), 1..20),
        ) {
            let mut tightening = Tightening::new(512 * MIB);
            for (real, accounted, oldest) in looks {
                let look = Look { oldest: oldest * MIB, ..look(real, accounted) };
                let force = tightening.take(&look);
                prop_assert!(force >= look.drift().saturating_sub(tightening.tolerance()));
                if look.drift() == 0 {
                    prop_assert_eq!(force, 0);
                }
                prop_assert!(force <= look.drift() + look.oldest + tightening.tolerance() / 4);
            }
        }
    }
}
