//! What a run writes down about itself, if it is asked to: [`Recording`].
//!
//! What a thread did it writes in a track of its own, without a lock, at the very moments
//! at which it looks at the clock anyway. What all share is looked at under the run's lock,
//! by whoever takes a step when a look is due, and by the watch while calls last.

use super::run::Board;
use super::scheduler::{Nanos, Scheduler};
use crate::plan::Plan;
use crate::report::{Recording, Sample, Samples, Track, spans_for_each};

/// Guarded by the run's lock.
pub(super) struct Recorder {
    samples: Samples,
    /// Of threads that are done.
    tracks: Vec<Track>,
}

impl Recorder {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { samples: Samples::new(plan.segments.len()), tracks: Vec::new() }
    }

    fn look<T>(&mut self, scheduler: &Scheduler<T>, real: u64, now: Nanos) {
        self.see(scheduler);
        if self.samples.is_due(now) {
            self.add(scheduler, real, now);
        }
    }

    fn see<T>(&mut self, scheduler: &Scheduler<T>) {
        self.samples.see(scheduler.ledger().held(), scheduler.aboard());
    }

    fn add<T>(&mut self, scheduler: &Scheduler<T>, real: u64, now: Nanos) {
        let (ledger, aboard) = (scheduler.ledger(), scheduler.aboard());
        let (held, withheld) = (ledger.held(), ledger.tightened().min(ledger.line()));
        let sample = Sample { at: now, aboard, held, withheld, real };
        self.samples.add(sample, scheduler.queued());
    }

    fn finish(self, plan: &Plan) -> Recording {
        let Self { samples, mut tracks } = self;
        tracks.sort_by_key(|track| (track.thread.len(), track.thread.clone()));
        let starts = plan.segments.iter().map(|segment| segment.stages.start);
        let queues = starts.map(|stage| (stage < plan.stages.len()).then_some(stage)).collect();
        let segments = plan.stages.iter().map(|stage| &plan.segments[stage.segment]);
        let waiting = segments.map(|segment| segment.waits).collect();
        Recording { tracks, samples, queues, waiting, plan: plan.to_string() }
    }
}

impl Board<'_> {
    /// A look at the run as it is, if it is recorded and a look is due.
    pub(super) fn record(&mut self, now: Nanos) {
        if let Some(recorder) = &mut self.recorder {
            recorder.look(&self.scheduler, self.memory.real(), now);
        }
    }

    /// What a settlement brought is seen, however soon others change it, if the run is
    /// recorded.
    pub(super) fn record_peak(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.see(&self.scheduler);
        }
    }

    /// Where a thread that begins is to write what it does, if that is recorded.
    pub(super) fn begin_track(&self, plan: &Plan) -> Option<Track> {
        let most = || spans_for_each(plan.threads, plan.stages.len());
        self.recorder.as_ref().map(|_| Track::new(most()))
    }

    /// Takes what a thread wrote that is done.
    pub(super) fn end_track(&mut self, track: Option<Track>) {
        if let (Some(recorder), Some(mut track)) = (&mut self.recorder, track) {
            track.thread = std::thread::current().name().unwrap_or("caller").to_owned();
            recorder.tracks.push(track);
        }
    }

    /// What was recorded of the run, whose threads are done, with a last look.
    pub(super) fn end_recording(&mut self, plan: &Plan, now: Nanos) -> Option<Recording> {
        let mut recorder = self.recorder.take()?;
        recorder.add(&self.scheduler, self.memory.real(), now);
        Some(recorder.finish(plan))
    }
}
