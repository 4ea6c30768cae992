//! Calls that compute, where there may be more of them than cores: those of stages that wait,
//! which take no core of the budget, compute a little all the same.

/// The calls under way in virtual time. Those that want a core share the cores evenly, as an
/// operating system has them do.
///
/// When a call ends is settled when it begins, by who is under way then. What comes later changes
/// how far it would really have come: what it computed too much of is owed by its stage's next
/// call, what it computed too little of is spared that. So no more is computed in the long run
/// than the cores can, and no less.
#[derive(Debug)]
pub(super) struct Crowd {
    cores: f64,
    calls: Vec<Call>,
    /// Until when it is settled who owes what.
    at: u64,
    /// By stage, what its next call is to compute beside its own, or less; nanoseconds.
    owed: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    stage: usize,
    until: u64,
    /// For which part of its time it computes, had it a core whenever it wants one.
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
        Self { cores: cores as f64, calls: Vec::new(), at: 0, owed: vec![0.0; stages] }
    }

    /// How long a call of `stage` takes that begins at `now`, would take `nanos` if it had a
    /// core whenever it wants one, and computes for a `share` of that.
    pub(super) fn call(&mut self, now: u64, nanos: f64, (stage, share): (usize, f64)) -> f64 {
        self.settle(now);
        let computes = nanos * share;
        let owed = self.owed[stage].max(-computes);
        self.owed[stage] -= owed;
        let nanos = nanos + owed;
        let share = if nanos > 0.0 { (computes + owed) / nanos } else { 0.0 };
        let took = self.time_of(nanos, share, now);
        if took > 0.0 {
            let speed = nanos / took;
            self.calls.push(Call { stage, until: now + took as u64, share, speed });
        }
        took
    }

    /// How long one more call takes beside those under way.
    fn time_of(&self, nanos: f64, share: f64, now: u64) -> f64 {
        // A step does its calls at once, so that others may begin before the last one was settled.
        let others = self.calls.iter().filter(|call| call.until > now);
        let parts = parts(others.clone().map(|call| call.share).chain([share]), self.cores);
        if parts <= 1.0 {
            return nanos;
        }
        if self.calls.len() >= MANY {
            return nanos / speed(share, parts);
        }
        let others = others.map(|call| call.left(now));
        let mut left: Vec<_> = others.chain([(nanos, share)]).collect();
        end_of_last(&mut left, self.cores)
    }

    /// Settles until `now` how much more each call has computed than its part of the cores.
    fn settle(&mut self, now: u64) {
        while self.at < now {
            let parts = parts(self.calls.iter().map(|call| call.share), self.cores);
            let ends = self.calls.iter().map(|call| call.until);
            let next = ends.chain([now]).min().unwrap_or(now).max(self.at);
            let lasts = (next - self.at) as f64;
            for Call { stage, share, speed: promised, .. } in &self.calls {
                self.owed[*stage] += lasts * share * (promised - speed(*share, parts));
            }
            self.at = next;
            self.calls.retain(|call| call.until > next);
            if self.calls.is_empty() {
                self.at = now;
            }
        }
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

/// When the last of `calls` ends, that have so much left and such a share each.
fn end_of_last(calls: &mut Vec<(f64, f64)>, cores: f64) -> f64 {
    let mut now = 0.0;
    loop {
        let parts = parts(calls.iter().map(|(_, share)| *share), cores);
        let lasts = calls.iter().map(|(nanos, share)| nanos / speed(*share, parts));
        let next = lasts.fold(f64::INFINITY, f64::min);
        now += next;
        let last = calls.len() - 1;
        for (nanos, share) in calls.iter_mut() {
            *nanos -= next * speed(*share, parts);
        }
        let is_over = |nanos: f64| nanos <= 1e-9 * next;
        if is_over(calls[last].0) {
            return now;
        }
        calls.retain(|(nanos, _)| !is_over(*nanos));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: (usize, f64) = (0, 1.0);

    fn assert_near(took: f64, expected: f64) {
        assert!((took / expected - 1.0).abs() < 1e-3, "{took} for {expected}");
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
        // Of its ten it could have computed but five meanwhile, the long one what it did not.
        assert_near(crowd.call(2_000, 10.0, (1, 1.0)), 15.0);
        assert_near(crowd.call(2_100, 100.0, ALL), 95.0);
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
    fn calls_of_all_lengths_compute_as_much_as_the_cores_can() {
        for (workers, cores, share) in [(8, 1, 1.0), (8, 2, 1.0), (3, 2, 1.0), (12, 2, 0.4)] {
            let mut crowd = Crowd::on(cores, 1);
            let (mut free, mut done, mut seed) = (vec![0.0_f64; workers], 0.0, 1_u64);
            while free[0] < 1e10 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Most of 0.5 ms, every twentieth of 20.
                let nanos = if seed >> 32 < (1 << 32) / 20 { 2e7 } else { 5e5 };
                free[0] += crowd.call(free[0] as u64, nanos, (0, share));
                done += nanos * share;
                free.sort_by(f64::total_cmp);
            }
            let off = done / (1e10 * cores as f64) - 1.0;
            assert!(off.abs() < 0.05, "{workers} on {cores}: {off}");
        }
    }

    #[test]
    fn calls_that_are_over_take_no_core_from_those_of_another_step_that_began_before() {
        let mut crowd = Crowd::on(2, 1);
        // Two threads, each of which does five calls at once.
        for _ in 0..2 {
            (0..5).for_each(|call| assert_eq!(crowd.call(100 * call, 100.0, ALL), 100.0));
        }
    }

    #[test]
    fn among_very_many_all_are_taken_to_stay() {
        let mut crowd = Crowd::on(2, 1);
        let took = (0..40).map(|_| crowd.call(0, 100.0, ALL)).last();
        assert_near(took.expect("there were forty"), 2_000.0);
    }
}
