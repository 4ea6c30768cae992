//! Calls that compute, where there may be more of them than cores: those of stages that wait,
//! which take no core of the budget, compute a little all the same.

/// The calls under way in virtual time.
#[derive(Debug)]
pub(super) struct Crowd {
    cores: f64,
    /// Until when each lasts, and for which part of its time it computes.
    calls: Vec<(u64, f64)>,
}

impl Crowd {
    pub(super) fn on(cores: usize) -> Self {
        Self { cores: cores as f64, calls: Vec::new() }
    }

    /// How long a call takes that begins at `now`, would take `nanos` if it had a core
    /// whenever it wants one, and computes for a `share` of that. While more want a core than
    /// there are, each has its part of them; as many as at the call's beginning are taken to
    /// be there until its end.
    pub(super) fn call(&mut self, now: u64, nanos: f64, share: f64) -> f64 {
        self.calls.retain(|(until, _)| *until > now);
        let wanted = share + self.calls.iter().map(|(_, share)| share).sum::<f64>();
        let each = (wanted / self.cores).max(1.0);
        let took = nanos * (1.0 - share + share * each);
        self.calls.push((now + took as u64, share));
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_a_core_takes_as_long_as_alone_and_more_than_there_are_share_them() {
        let mut crowd = Crowd::on(2);
        assert_eq!([0, 0].map(|now| crowd.call(now, 100.0, 1.0)), [100.0; 2]);
        // The third of three on two cores; a half of the fourth waits.
        assert_eq!(crowd.call(0, 100.0, 1.0), 150.0);
        assert_eq!(crowd.call(0, 100.0, 0.5), 50.0 + 50.0 * 3.5 / 2.0);
        // Those that are over are gone; who waits takes nothing.
        assert_eq!(crowd.call(1_000, 100.0, 0.0), 100.0);
        assert_eq!(crowd.call(1_000, 100.0, 1.0), 100.0);
    }
}
