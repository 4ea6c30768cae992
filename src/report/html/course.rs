//! A figure over the time of a run, in equal parts.

use super::super::recording::{Recording, Sample, Where};

/// Parts at the most: about as many as a screen has points to tell them apart.
const PARTS: u64 = 480;

/// A run cut in equal parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) parts: usize,
    /// Nanoseconds in all, at least one.
    nanos: u64,
}

impl Course {
    /// Of a run of so many nanoseconds, no finer than what was recorded.
    pub(super) fn of(recording: &Recording, nanos: u64) -> Self {
        let nanos = nanos.max(1);
        let coarsest = recording.tracks.iter().map(|track| track.resolution()).max().unwrap_or(1);
        let parts = (nanos / coarsest).clamp(1, PARTS) as usize;
        Self { parts, nanos }
    }

    /// The part in which a moment is.
    fn part_at(&self, nanos: u64) -> usize {
        let part = u128::from(nanos) * self.parts as u128 / u128::from(self.nanos);
        (part as usize).min(self.parts - 1)
    }

    /// When a part begins.
    fn start_of(&self, part: usize) -> u64 {
        (u128::from(self.nanos) * part as u128 / self.parts as u128) as u64
    }

    /// How many threads were at each of `places`, in the mean of each part.
    pub(super) fn at_work(&self, recording: &Recording, places: &[Where]) -> Vec<Vec<f64>> {
        let mut work = vec![vec![0.0; self.parts]; places.len()];
        let width = self.nanos as f64 / self.parts as f64;
        for span in recording.tracks.iter().flat_map(|track| track.spans()) {
            let Some(row) = places.iter().position(|place| *place == span.place) else { continue };
            let end = span.begun + span.lasted;
            let parts = self.part_at(span.begun)..=self.part_at(end);
            for (part, work) in parts.clone().zip(&mut work[row][parts]) {
                let begun = span.begun.max(self.start_of(part));
                let ended = end.min(self.start_of(part + 1));
                *work += ended.saturating_sub(begun) as f64 / width;
            }
        }
        work
    }

    /// The most of a figure in each part, where `values` has it for each of `rows`: the most
    /// since the row before.
    pub(super) fn most(&self, rows: &[Sample], values: impl Iterator<Item = u64>) -> Vec<f64> {
        let mut most = vec![0.0_f64; self.parts];
        let mut from = 0;
        for (row, value) in rows.iter().zip(values) {
            let until = self.part_at(row.at);
            for part in &mut most[from..=until.max(from)] {
                *part = part.max(value as f64);
            }
            from = until.max(from);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::recording::Track;
    use super::*;

    #[test]
    fn work_is_cut_at_the_edges_of_parts() {
        let course = Course { parts: 4, nanos: 400 };
        let mut track = Track::new(10);
        track.add(Where::Stage(0), 1, 50, 250);
        track.add(Where::Sink, 1, 250, 400);
        let recording = Recording { tracks: vec![track], ..Recording::default() };
        let work = course.at_work(&recording, &[Where::Stage(0), Where::Sink]);
        assert_eq!(work, [[0.5, 1.0, 0.5, 0.0], [0.0, 0.0, 0.5, 1.0]]);
    }

    #[test]
    fn a_peak_fills_the_time_since_the_look_before() {
        let course = Course { parts: 4, nanos: 400 };
        let rows = [0, 150, 399].map(|at| Sample { at, ..Sample::default() });
        assert_eq!(course.most(&rows, [1, 9, 3].into_iter()), [9.0, 9.0, 3.0, 3.0]);
    }

    #[test]
    fn a_run_that_was_recorded_coarsely_has_few_parts() {
        let mut track = Track::new(10);
        for begun in 0..1_000 {
            track.add(Where::Sink, 1, 1_000 * begun, 1_000 * begun + 900);
        }
        let recording = Recording { tracks: vec![track], ..Recording::default() };
        let course = Course::of(&recording, 1_000_000);
        assert!((1..=10).contains(&course.parts), "{course:?}");
        assert_eq!(Course::of(&Recording::default(), 0).parts, 1);
    }
}
