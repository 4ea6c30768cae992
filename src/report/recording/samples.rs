//! What all threads of a run share, looked at again and again.

/// A run at one moment; or the most of each figure since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Nanoseconds since the run began.
    pub(crate) at: u64,
    /// Items aboard.
    pub(crate) aboard: u64,
    /// Bytes they hold.
    pub(crate) held: u64,
    /// Bytes of the line that were withheld.
    pub(crate) withheld: u64,
    /// Bytes the process held; none where it is not looked at.
    pub(crate) real: u64,
}

impl Sample {
    fn join(self, later: &Self) -> Self {
        Self {
            at: later.at,
            aboard: self.aboard.max(later.aboard),
            held: self.held.max(later.held),
            withheld: self.withheld.max(later.withheld),
            real: self.real.max(later.real),
        }
    }
}

/// Samples in the order of time. When there are too many, every two neighbours become
/// one and looks are half as frequent from then on.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    rows: Vec<Sample>,
    /// Items in each queue, row by row.
    queued: Vec<u64>,
    queues: usize,
    /// Nanoseconds between two looks.
    interval: u64,
    /// When the next is due.
    due: u64,
    /// The most bytes held and items aboard since the last row.
    most: (u64, u64),
}

/// Nanoseconds between the first looks.
const FIRST_INTERVAL: u64 = 100_000;
/// Rows at the most; an even number.
const ROWS: usize = 2_048;

impl Samples {
    pub(crate) fn new(queues: usize) -> Self {
        Self { queues, interval: FIRST_INTERVAL, ..Self::default() }
    }

    /// Sees that `aboard` items hold `held` bytes, which no row will tell less than.
    pub(crate) fn see(&mut self, held: u64, aboard: u64) {
        self.most = (self.most.0.max(held), self.most.1.max(aboard));
    }

    /// Whether a row is due.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.due
    }

    /// Adds a look, with the items in each queue.
    pub(crate) fn add(&mut self, sample: Sample, queued: impl Iterator<Item = u64>) {
        if self.rows.len() >= ROWS {
            self.coarsen();
        }
        self.see(sample.held, sample.aboard);
        let (held, aboard) = std::mem::take(&mut self.most);
        self.due = sample.at + self.interval;
        self.rows.push(Sample { held, aboard, ..sample });
        self.queued.extend(queued.take(self.queues));
    }

    fn coarsen(&mut self) {
        self.interval *= 2;
        self.rows = self.rows.chunks(2).map(|two| two[0].join(&two[two.len() - 1])).collect();
        let (queues, queued) = (self.queues.max(1), std::mem::take(&mut self.queued));
        for two in queued.chunks(2 * queues) {
            let (first, second) = two.split_at(queues.min(two.len()));
            let later = |queue: usize| second.get(queue).copied().unwrap_or(0);
            let most = first.iter().enumerate().map(|(queue, items)| (*items).max(later(queue)));
            self.queued.extend(most);
        }
    }

    pub(crate) fn rows(&self) -> &[Sample] {
        &self.rows
    }

    /// The items that were in the queue `index`, by row.
    pub(crate) fn queued(&self, index: usize) -> impl Iterator<Item = u64> {
        self.queued.chunks(self.queues.max(1)).filter_map(move |row| row.get(index).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(at: u64, held: u64) -> Sample {
        Sample { at, held, aboard: at, withheld: at / 2, real: 3 * at }
    }

    #[test]
    fn a_peak_between_two_looks_is_seen() {
        let mut samples = Samples::new(1);
        assert!(samples.is_due(0));
        samples.add(held(0, 5), [1].into_iter());
        samples.see(90, 1);
        samples.see(7, 2 * FIRST_INTERVAL);
        assert!(!samples.is_due(FIRST_INTERVAL - 1) && samples.is_due(FIRST_INTERVAL));
        samples.add(held(FIRST_INTERVAL, 7), [2].into_iter());
        samples.add(held(2 * FIRST_INTERVAL, 7), [3].into_iter());
        let told: Vec<_> = samples.rows().iter().map(|row| row.held).collect();
        assert_eq!(told, [5, 90, 7]);
        let told: Vec<_> = samples.rows().iter().map(|row| row.aboard).collect();
        assert_eq!(told, [0, 2 * FIRST_INTERVAL, 2 * FIRST_INTERVAL]);
    }

    #[test]
    fn however_long_a_run_is_its_peaks_are_kept() {
        let mut samples = Samples::new(2);
        let looks = 5 * ROWS as u64;
        for look in 0..looks {
            let peak = if look == 777 { 10 } else { 0 };
            samples.add(held(look * FIRST_INTERVAL, look % 3 + peak), [look, peak].into_iter());
        }
        let rows = samples.rows();
        assert!((ROWS / 2..=ROWS).contains(&rows.len()));
        assert!(rows.is_sorted_by_key(|row| row.at));
        let last = (looks - 1) * FIRST_INTERVAL;
        assert_eq!(rows.last().map(|row| (row.at, row.aboard)), Some((last, last)));
        assert_eq!(rows.iter().filter(|row| row.held >= 10).count(), 1);
        assert_eq!(samples.queued(0).count(), rows.len());
        assert!(samples.queued(0).is_sorted());
        assert_eq!(samples.queued(0).max(), Some(looks - 1));
        assert_eq!(samples.queued(1).sum::<u64>(), 10, "one row has the peak");
        assert!(!samples.is_due(last + 2 * FIRST_INTERVAL), "looks have become rarer");
    }
}
