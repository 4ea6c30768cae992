//! What a run was seen to do while it lasted: what [`Job::record`](crate::Job::record)
//! asks for.
//!
//! A run of any length is kept whole within a bound: when a table is full, its entries
//! are merged and its resolution halved. Each thread writes down what it did in a
//! [`Track`] of its own; what all of them share is looked at in [`Samples`], under the
//! run's lock.

mod samples;
mod track;

use std::fmt;

pub(crate) use samples::{Sample, Samples};
pub(crate) use track::{Track, Where};

/// A run's recording.
#[derive(Default)]
pub(crate) struct Recording {
    /// By thread.
    pub(crate) tracks: Vec<Track>,
    pub(crate) samples: Samples,
    /// The stage that begins each queue's segment; the sink's, last, has none.
    pub(crate) queues: Vec<Option<usize>>,
    /// Stages whose calls wait rather than compute, so they take no core.
    pub(crate) waiting: Vec<bool>,
    /// The plan, as it was printed.
    pub(crate) plan: String,
}

/// Spans that all tracks of a run keep together, 32 bytes each; and one of them at the
/// most.
const SPANS: usize = 256 << 10;
const TRACK_SPANS: usize = 8 << 10;

/// Spans that one of so many threads keeps of so many stages: several of each at least.
pub(crate) fn spans_for_each(threads: usize, stages: usize) -> usize {
    (SPANS / threads.max(1)).clamp(4 * (stages + 2), TRACK_SPANS.max(4 * (stages + 2)))
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans: usize = self.tracks.iter().map(Track::len).sum();
        f.debug_struct("Recording")
            .field("threads", &self.tracks.len())
            .field("spans", &spans)
            .field("samples", &self.samples.rows().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_threads_there_are_each_keeps_a_few_spans_of_each_stage() {
        assert_eq!(spans_for_each(3, 4), TRACK_SPANS);
        assert_eq!(spans_for_each(256, 4), 1_024);
        assert_eq!(spans_for_each(1 << 20, 4), 24);
        assert_eq!(spans_for_each(1, 1 << 20), 4 * ((1 << 20) + 2));
    }
}
