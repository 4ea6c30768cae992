//! What a run was limited by, and what would help.

use std::time::Duration;

use super::{Report, StageReport, percent};
use crate::units::Bytes;

/// What a run was limited by.
enum Limit<'a> {
    /// The cores; the stage that takes most of their time, and what part.
    Cores(&'a StageReport, f64),
    /// A stage whose workers were busy for such a part of their time.
    Stage(&'a StageReport, f64),
    Source(f64),
    Sink(f64),
    /// A stage whose workers waited for memory for such a part of their time.
    Memory(&'a StageReport, f64),
}

impl Report {
    /// What the run was limited by, if the figures say so clearly: the cores, a stage (or
    /// the source, the sink) that was always busy, memory.
    #[must_use]
    pub fn bottleneck(&self) -> Option<String> {
        Some(match self.limit()? {
            Limit::Cores(heaviest, part) => {
                format!("the cores; {} takes {} of their time", heaviest.name, percent(part))
            }
            Limit::Stage(StageReport { name, workers: 1, .. }, busy) => {
                format!("{name}, busy {} of the time", percent(busy))
            }
            Limit::Stage(StageReport { name, workers, .. }, busy) => {
                format!("{name}: its {workers} workers were busy {} of the time", percent(busy))
            }
            Limit::Source(busy) => format!("the source, busy {} of the time", percent(busy)),
            Limit::Sink(busy) => format!("the sink, busy {} of the time", percent(busy)),
            Limit::Memory(hungry, starved) => {
                let real = if hungry.lacked_real_memory() { "real " } else { "" };
                let (name, starved) = (&hungry.name, percent(starved));
                format!("{real}memory: workers of {name} waited for it {starved} of the time")
            }
        })
    }

    /// What would help against the [`bottleneck`](Self::bottleneck), in the run's own
    /// numbers. If real memory passed the budget, or nothing limited the run, what should be
    /// declared, where something was declared much too small. `None` where there is neither.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
    ///
    /// let screen = Stage::memory("screen", Footprint::per_worker(100 * MIB))
    ///     .workers(8)
    ///     .map(|_| std::thread::sleep(Duration::from_millis(5)));
    /// // Nobody takes this budget, so it need not be there.
    /// let budget = Budget::new(300 * MIB, 8).unmeasured();
    /// let report = Pipeline::new(screen).build(&budget)?.run(0..40, drop)?;
    /// // screen is limited by memory: 2 of 8 workers fit; 200.0 MiB more would carry 4
    /// println!("{}", report.suggestion().unwrap_or_default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn suggestion(&self) -> Option<String> {
        match self.memory.what_to_declare() {
            Some(what) if self.memory.beyond > 0 => Some(what),
            what => self.limit().map(|limit| self.what_helps(&limit)).or(what),
        }
    }

    /// What would help against `limit`.
    fn what_helps(&self, limit: &Limit<'_>) -> String {
        match limit {
            Limit::Cores(heaviest, part) => {
                let (name, cores, part) = (&heaviest.name, self.cores, percent(*part));
                let of = if cores == 1 { "the core's time" } else { "their time" };
                let all = if cores == 1 { "1 core is".into() } else { format!("all {cores} are") };
                let waits = heaviest.what_waiting_takes(self.cores);
                let what = waits.unwrap_or_else(|| match self.why_not_more_cores() {
                    None => format!("more cores would help, or a quicker {name}"),
                    Some(why) => format!("a quicker {name} would help; {why}"),
                });
                format!(
                    "{name} is limited by cores: {all} at work, and it takes {part} of {of}; {what}"
                )
            }
            Limit::Stage(stage, _) => {
                let there = self.machine_cores.unwrap_or(self.cores);
                stage.what_more_workers_take(self.cores.min(there))
            }
            Limit::Source(_) => {
                "the source is the bottleneck: one thread reads at a time; what it \
                                 does beside reading could be a stage's, which has more workers"
                    .to_owned()
            }
            Limit::Sink(_) => "the sink is the bottleneck: one thread is in it at a time; what it \
                               does beside writing could be a stage's, which has more workers"
                .to_owned(),
            Limit::Memory(hungry, _) => self.what_spares_memory(hungry),
        }
    }

    fn limit(&self) -> Option<Limit<'_>> {
        let computing = self.computing();
        if self.share(computing + self.sink_busy, self.cores) > 0.85
            && let Some(heaviest) = self.that_compute().max_by_key(|stage| stage.worked())
        {
            let part = heaviest.worked().as_secs_f64() / computing.as_secs_f64();
            return Some(Limit::Cores(heaviest, part));
        }
        // Before memory: what piles up before a stage that is always busy fills any
        // memory, and more of it would not help.
        let (tightest, busy) = self.tightest()?;
        if busy > 0.9 {
            return Some(tightest);
        }
        let hungry = self.stages.iter().max_by_key(|stage| stage.waited_memory)?;
        let starved = self.share(hungry.waited_memory, hungry.workers);
        if starved > 0.25 {
            return Some(Limit::Memory(hungry, starved));
        }
        (busy > 0.7).then_some(tightest)
    }

    /// Who was busy for the largest part of their time, and what part.
    fn tightest(&self) -> Option<(Limit<'_>, f64)> {
        let stages = self.stages.iter().map(|stage| {
            let busy = self.share(stage.worked(), stage.workers);
            (Limit::Stage(stage, busy), busy)
        });
        let (source, sink) = (self.share(self.source_busy, 1), self.share(self.sink_busy, 1));
        let ends = [(Limit::Source(source), source), (Limit::Sink(sink), sink)];
        stages.chain(ends).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// What would spare the items of `hungry` their waiting for memory.
    fn what_spares_memory(&self, hungry: &StageReport) -> String {
        let (name, line) = (&hungry.name, Bytes(self.line));
        if hungry.lacked_real_memory() {
            let drift = Bytes(self.memory.peak_drift);
            return format!(
                "{name} is limited by real memory: {drift} of it were beyond what is declared; \
                 declare what is missing, or have the allocator keep less (release_large_blocks)"
            );
        }
        if let Some((light, touched, granted)) = self.memory.lighter_than_declared() {
            let (touched, granted) = (Bytes(touched), Bytes(granted));
            return format!(
                "{name} is limited by memory: the line is {line}; a call of {light} was granted \
                 {granted} and touched {touched} at most, so a smaller footprint would let more \
                 items aboard"
            );
        }
        format!(
            "{name} is limited by memory: its items wait for their part of the line, {line}; a \
             larger budget would let more of them aboard, or fewer workers of stages that keep much"
        )
    }

    /// The part that `time` is of what so many workers have.
    fn share(&self, time: Duration, workers: usize) -> f64 {
        let all = self.elapsed.as_secs_f64() * workers as f64;
        if all > 0.0 { time.as_secs_f64() / all } else { 0.0 }
    }
}

impl StageReport {
    /// Whether it waited for real memory rather than for the ledger.
    fn lacked_real_memory(&self) -> bool {
        self.waited_real > self.waited_memory / 2
    }

    /// What it would take for it to have more workers on `cores`.
    fn what_more_workers_take(&self, cores: usize) -> String {
        let Self { name, workers, asked, more, .. } = self;
        let has =
            if *workers == 1 { "its 1 worker".into() } else { format!("its {workers} workers") };
        if let Some((wanted, missing)) = more {
            let missing = Bytes(*missing);
            return format!(
                "{name} is limited by memory: {workers} of {asked} workers fit; {missing} more would \
                 carry {wanted}"
            );
        }
        let what = match (*workers < cores, self.what_waiting_takes(cores)) {
            (true, _) => format!(", which is all it asks for; the cores would carry {cores}"),
            (false, Some(waits)) => format!("; {waits}"),
            (false, None) => "; if its calls wait rather than compute, more would help".to_owned(),
        };
        format!("{name} is limited by {has}{what}")
    }
}

#[cfg(test)]
mod tests;
