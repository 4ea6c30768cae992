//! Calls that compute, where there may be more of them than cores: those of stages that wait,
//! which take no core of the budget, compute a little all the same.

/// The calls under way in virtual time. Those that want a core share the cores evenly, as an
/// operating system has them do.
#[derive(Debug)]
pub(super) struct Crowd {
    cores: f64,
    calls: Vec<Call>,
    /// By stage, for how long calls that came later held up its calls. When a call ends is
    /// settled when it begins, so the stage's next call pays for that.
    owed: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    stage: usize,
    until: u64,
    /// For which part of its time it computes.
    share: f64,
    /// How far it comes in a nanosecond, on average.
    speed: f64,
}

/// Among more calls one more or less matters little.
const MANY: usize = 16;

/// So close to what the cores can is close enough, and is reached in so many steps.
const CLOSE: f64 = 1.000_001;
const STEPS: usize = 32;

impl Crowd {
    pub(super) fn on(cores: usize, stages: usize) -> Self {
        Self { cores: cores as f64, calls: Vec::new(), owed: vec![0.0; stages] }
    }

    /// How long a call of `stage` takes that begins at `now`, would take `nanos` if it had a
    /// core whenever it wants one, and computes for a `share` of that.
    pub(super) fn call(&mut self, now: u64, nanos: f64, (stage, share): (usize, f64)) -> f64 {
        self.calls.retain(|call| call.until > now);
        let shares = self.calls.iter().map(|call| call.share).chain([share]);
        let parts = parts(shares, self.cores);
        let mut took = std::mem::take(&mut self.owed[stage]);
        if parts <= 1.0 {
            took += nanos;
        } else if self.calls.len() >= MANY {
            took += nanos / speed(share, parts);
        } else {
            let mut left: Vec<_> = self.calls.iter().map(|call| call.left(now)).collect();
            let before = ends(&left, self.cores);
            left.push((nanos, share));
            let ends = ends(&left, self.cores);
            for (call, (before, after)) in self.calls.iter().zip(before.iter().zip(&ends)) {
                self.owed[call.stage] += after - before;
            }
            took += ends[left.len() - 1];
        }
        if took > 0.0 {
            let speed = nanos / took;
            self.calls.push(Call { stage, until: now + took as u64, share, speed });
        }
        took
    }
}

impl Call {
    /// What is left of it at `now`, as it would take alone, and its share.
    fn left(self, now: u64) -> (f64, f64) {
        ((self.until - now) as f64 * self.speed, self.share)
    }
}

/// How far a call comes in a nanosecond that computes for a `share` of its time and has one of
/// so many parts of a core.
fn speed(share: f64, parts: f64) -> f64 {
    1.0 / (1.0 - share + share * parts)
}

/// Into how many parts each of `cores` is divided where calls compute for such `shares` of their
/// time if they have one: into so many that what is computed is what the cores can. The more
/// parts, the longer calls take, and the larger the part of that for which they want a core.
fn parts(shares: impl Iterator<Item = f64> + Clone, cores: f64) -> f64 {
    let mut parts = 1.0;
    // Newton's method: the sum is convex and falls, so from below the root is never passed.
    for _ in 0..STEPS {
        let (mut used, mut slope) = (0.0, 0.0);
        for share in shares.clone() {
            let uses = share * speed(share, parts);
            used += uses;
            slope += uses * uses;
        }
        if used <= cores * CLOSE {
            break;
        }
        parts += (used - cores) / slope;
    }
    parts
}

/// When each of `calls`, that have so much left and such a share, ends.
fn ends(calls: &[(f64, f64)], cores: f64) -> Vec<f64> {
    let (mut now, mut ends) = (0.0, vec![0.0; calls.len()]);
    let mut left: Vec<_> = calls.iter().copied().enumerate().collect();
    while !left.is_empty() {
        let parts = parts(left.iter().map(|(_, (_, share))| *share), cores);
        let lasts = left.iter().map(|(_, (nanos, share))| nanos / speed(*share, parts));
        let next = lasts.fold(f64::INFINITY, f64::min);
        now += next;
        left.retain_mut(|(place, (nanos, share))| {
            *nanos -= next * speed(*share, parts);
            let is_over = *nanos <= 1e-9 * next;
            if is_over {
                ends[*place] = now;
            }
            !is_over
        });
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (usize, f64) = (0, 1.0);

    fn assert_near(took: f64, expected: f64) {
        assert!((took / expected - 1.0).abs() < 1e-4, "{took} for {expected}");
    }

    #[test]
    fn who_finds_a_core_takes_as_long_as_alone_and_more_than_there_are_share_them() {
        let mut crowd = Crowd::on(2, 1);
        assert_eq!([0, 0].map(|now| crowd.call(now, 100.0, ALL)), [100.0; 2]);
        // The third of three on two cores.
        assert_near(crowd.call(0, 100.0, ALL), 150.0);
        // Those that are over are gone; who waits takes nothing.
        let mut crowd = Crowd::on(2, 1);
        assert_eq!(crowd.call(1_000, 100.0, (0, 0.0)), 100.0);
        assert_eq!([0, 0].map(|_| crowd.call(1_000, 100.0, ALL)), [100.0; 2]);
        assert_eq!(crowd.call(1_000, 100.0, (0, 0.0)), 100.0);
        // A fourth that waits for half of its time: of each core there are so many parts that
        // 3 / parts + 0.5 / (0.5 + 0.5 * parts) = 2.
        let mut crowd = Crowd::on(2, 2);
        assert_near((0..3).map(|_| crowd.call(0, 1e6, ALL)).sum(), 3.5e6);
        let parts = (1.0 + 7.0_f64.sqrt()) / 2.0;
        assert_near(crowd.call(0, 100.0, (1, 0.5)), 50.0 + 50.0 * parts);
    }

    #[test]
    fn a_long_call_is_held_up_for_as_long_as_others_are_there() {
        let mut crowd = Crowd::on(1, 2);
        assert_eq!(crowd.call(0, 10.0, (1, 1.0)), 10.0);
        // Both for 20, then alone. The short one would have ended at 10.
        assert_near(crowd.call(0, 1_000.0, ALL), 1_010.0);
        // It pays for the ten.
        assert_near(crowd.call(2_000, 10.0, (1, 1.0)), 20.0);
        assert_eq!(crowd.call(3_000, 10.0, (1, 1.0)), 10.0);
    }

    #[test]
    fn no_more_is_computed_than_the_cores_can() {
        // Two stages on one core, each with a call under way at any time: it is one after the
        // other in the end, however long the calls of each are.
        for long in [1.0, 7.0, 40.0] {
            let mut crowd = Crowd::on(1, 2);
            let (mut free, mut done) = ([0.0_f64; 2], 0.0);
            while free[0].min(free[1]) < 100_000.0 {
                let stage = usize::from(free[1] < free[0]);
                let nanos = 100.0 * [1.0, long][stage];
                free[stage] += crowd.call(free[stage] as u64, nanos, (stage, 1.0));
                done += nanos;
            }
            let off = done / free[0].max(free[1]) - 1.0;
            assert!(off.abs() < 0.05, "{long}: {off}");
        }
    }

    #[test]
    fn who_waits_and_computes_a_little_cannot_compute_more_than_the_cores_either() {
        // Each waits for 3 ms and computes for 1: as many at once as on so many cores are to be
        // full, and more, so that 4 ms of four calls and more are computed in as many.
        for (workers, cores) in [(8, 1), (8, 2), (15, 1), (15, 3), (60, 2), (60, 7)] {
            let mut crowd = Crowd::on(cores, 1);
            let mut free = vec![0.0_f64; workers];
            let mut calls = 0;
            while free[0] < 1e9 {
                free[0] += crowd.call(free[0] as u64, 4e6, (0, 0.25));
                free.sort_by(f64::total_cmp);
                calls += 1;
            }
            let each = 1e9 / f64::from(calls);
            let off = each / (1e6 / cores as f64) - 1.0;
            assert!(off.abs() < 0.05, "{workers} on {cores}: {off}");
        }
    }

    #[test]
    fn among_very_many_all_are_taken_to_stay() {
        let mut crowd = Crowd::on(2, 1);
        let took = (0..40).map(|_| crowd.call(0, 100.0, ALL)).last();
        assert_near(took.expect("there were forty"), 2_000.0);
    }
}
