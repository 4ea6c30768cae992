//! How fast a run goes of late.

use std::time::Duration;

use super::Snapshot;

/// What is further back than this counts for a third at the most.
const MEMORY: Duration = Duration::from_secs(3);

/// Follows the snapshots of a run: an exponentially weighted mean of what was done between
/// two of them, for the run and for each stage. Early in a run, when there is little to be
/// weighed, it is divided by the weight so far, so that it does not begin near zero.
#[derive(Debug, Default)]
pub(super) struct Rates {
    at: Duration,
    weight: f64,
    /// The run's, then each stage's.
    each: Vec<Rate>,
}

#[derive(Clone, Debug, Default)]
struct Rate {
    done: u64,
    mean: f64,
}

impl Rates {
    /// Takes `snapshot` in and fills in its rates.
    pub(super) fn follow(&mut self, snapshot: &mut Snapshot) {
        let done = [snapshot.finished].into_iter();
        let done: Vec<u64> = done.chain(snapshot.stages.iter().map(|stage| stage.done)).collect();
        if snapshot.elapsed < self.at || done.len() != self.each.len() {
            // Another run.
            *self = Self { each: vec![Rate::default(); done.len()], ..Self::default() };
        }
        let seconds = (snapshot.elapsed - self.at).as_secs_f64();
        let part = 1.0 - (-seconds / MEMORY.as_secs_f64()).exp();
        self.at = snapshot.elapsed;
        self.weight += part * (1.0 - self.weight);
        for (rate, done) in self.each.iter_mut().zip(&done) {
            let more = done.saturating_sub(std::mem::replace(&mut rate.done, *done));
            let latest = if seconds > 0.0 { more as f64 / seconds } else { 0.0 };
            rate.mean += part * (latest - rate.mean);
        }
        let whole = snapshot.elapsed.as_secs_f64();
        let per_second = |rate: &Rate| match snapshot.ended {
            true if whole > 0.0 => rate.done as f64 / whole,
            false if self.weight > 0.0 => rate.mean / self.weight,
            _ => 0.0,
        };
        let mut rates = self.each.iter().map(per_second);
        snapshot.per_second = rates.next().unwrap_or(0.0);
        for (stage, rate) in snapshot.stages.iter_mut().zip(rates) {
            stage.per_second = rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rates: &mut Rates, seconds: f64, finished: u64, ended: bool) -> f64 {
        let elapsed = Duration::from_secs_f64(seconds);
        let mut snapshot = Snapshot { elapsed, finished, ended, ..Snapshot::default() };
        rates.follow(&mut snapshot);
        snapshot.per_second
    }

    #[test]
    fn a_steady_rate_is_told_from_the_first_look_on() {
        let mut rates = Rates::default();
        assert_eq!(shown(&mut rates, 0.0, 0, false), 0.0);
        for look in 1..100_u32 {
            let seconds = f64::from(look) * 0.05;
            let told = shown(&mut rates, seconds, u64::from(look) * 5, false);
            assert!((told - 100.0).abs() < 1e-6, "{told} after {seconds} s");
        }
    }

    #[test]
    fn what_was_long_ago_is_forgotten_and_the_end_tells_the_whole() {
        let mut rates = Rates::default();
        shown(&mut rates, 10.0, 1_000, false);
        let slower = shown(&mut rates, 13.0, 1_000, false);
        // A third is left of the hundred a second, less what there was to be forgotten.
        assert!((30.0..40.0).contains(&slower), "{slower}");
        assert!(shown(&mut rates, 43.0, 1_000, false) < 0.01);
        assert_eq!(shown(&mut rates, 50.0, 1_000, true), 20.0);
    }

    #[test]
    fn a_new_run_begins_anew() {
        let mut rates = Rates::default();
        shown(&mut rates, 10.0, 1_000, true);
        let told = shown(&mut rates, 1.0, 7, false);
        assert!((told - 7.0).abs() < 1e-6, "{told}");
    }
}
