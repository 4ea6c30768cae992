//! What a run was limited by, and what would help.

use std::time::Duration;

use super::memory::is_much_less;
use super::{Report, StageReport, percent};
use crate::units::{Bytes, InCode, InVariable, MIB, or_variable};

/// Of shorter runs nothing is told that is not clear.
const NOTEWORTHY: Duration = Duration::from_millis(100);

/// What a run was limited by.
enum Limit<'a> {
    /// The cores; the stage that takes most of their time, and what part.
    Cores(&'a StageReport, f64),
    /// The cores again, held by a stage whose calls wait for such a part of their time.
    Held(&'a StageReport, f64),
    /// A stage whose workers were busy for such a part of their time.
    Stage(&'a StageReport, f64),
    Source(f64),
    Sink(f64),
    /// A stage whose workers waited for memory for such a part of their time.
    Memory(&'a StageReport, f64),
    /// The bound on items aboard, which alone kept the source from being read for such a part of
    /// the time.
    Window(f64),
}

impl Limit<'_> {
    /// Who would be busy, where that is somebody.
    fn who(&self) -> Option<String> {
        match self {
            Limit::Source(_) => Some("the source".to_owned()),
            Limit::Sink(_) => Some("the sink".to_owned()),
            Limit::Stage(StageReport { name, workers: 1, .. }, _) => Some(name.clone()),
            Limit::Stage(StageReport { name, workers, .. }, _) => {
                Some(format!("the {workers} workers of {name}"))
            }
            Limit::Cores(..) | Limit::Held(..) | Limit::Memory(..) | Limit::Window(_) => None,
        }
    }
}

impl Report {
    /// What the run was limited by, if the figures say so clearly: the cores, a stage (or
    /// the source, the sink) that was always busy, memory, the [window](Self::waited_window).
    #[must_use]
    pub fn bottleneck(&self) -> Option<String> {
        Some(match self.limit()? {
            Limit::Cores(heaviest, part) => {
                format!("the cores; {} takes {} of their time", heaviest.name, percent(part))
            }
            Limit::Held(StageReport { name, .. }, stood) => {
                let cores = if self.cores == 1 { "the core" } else { "the cores" };
                let stood = percent(stood);
                format!("{name}: its calls hold {cores} and waited for {stood} of their time")
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
            Limit::Window(part) => self.told_window(part),
        })
    }

    /// Whether it was limited by the cores.
    #[cfg_attr(any(loom, shuttle, steady), allow(dead_code, reason = "nothing predicts there"))]
    pub(crate) fn is_limited_by_cores(&self) -> bool {
        matches!(self.limit(), Some(Limit::Cores(..) | Limit::Held(..)))
    }

    /// Where nothing limited a run of some length clearly, what came closest.
    pub(super) fn what_came_closest(&self) -> Option<String> {
        if self.limit().is_some() || self.elapsed < NOTEWORTHY {
            return None;
        }
        let (tightest, busy) = self.tightest()?;
        let (cores, tightest) = (percent(self.cores_at_work().min(1.0)), tightest.who()?);
        let busy = percent(busy);
        Some(format!(
            "calls held the cores for {cores} of the time, {tightest} had work for {busy}"
        ))
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
        match self.memory.what_to_declare(self.by_variable, self.reserve) {
            Some(what) if self.memory.beyond > 0 => Some(what),
            what => self.limit().map(|limit| self.what_helps(&limit)).or(what),
        }
    }

    /// What would help against `limit`.
    fn what_helps(&self, limit: &Limit<'_>) -> String {
        match limit {
            Limit::Cores(stage, _) if stage.waits => self.what_computes_all_the_same(stage),
            Limit::Cores(StageReport { name, .. }, _) => match self.why_not_more_cores() {
                None => format!("more cores would help, or a quicker {name}"),
                Some(why) if self.others_had_the_cores() => {
                    format!("a machine with less else to do, or a quicker {name}; {why}")
                }
                Some(why) => format!("a quicker {name} would help; {why}"),
            },
            Limit::Held(stage, _) => {
                stage.what_waiting_takes(self.cores, self.by_variable).unwrap_or_default()
            }
            Limit::Stage(stage, _) => {
                let there = self.machine_cores.unwrap_or(self.cores);
                let spares = stage.more.and_then(|_| {
                    self.what_declares_too_much().or_else(|| self.whose_workers_lie_idle())
                });
                spares.unwrap_or_else(|| {
                    stage.what_more_workers_take(self.cores.min(there), self.by_variable)
                })
            }
            Limit::Source(_) => self.what_an_end_takes("source", "reads", self.source_busy),
            Limit::Sink(_) => self.what_an_end_takes("sink", "writes", self.sink_busy),
            Limit::Memory(hungry, _) => self.what_spares_memory(hungry),
            Limit::Window(_) => {
                let (tightest, busy) = self
                    .tightest()
                    .and_then(|(it, busy)| Some((it.who()?, busy)))
                    .unwrap_or_default();
                let at_work = self.cores_at_work();
                let closest =
                    if at_work > busy { ("the cores", at_work) } else { (&*tightest, busy) };
                self.what_fills_a_larger_window(closest)
            }
        }
    }

    /// What would help where the cores are taken by a stage that said that it waits.
    fn what_computes_all_the_same(&self, stage: &StageReport) -> String {
        let StageReport { name, workers, .. } = stage;
        let wants = 1.0 - stage.stood_still().unwrap_or(0.0);
        let cores = if self.cores == 1 { "1 core".into() } else { format!("{} cores", self.cores) };
        let no_use = match wants > 0.5 {
            true => "one for each core, without waits(), would be as fast",
            false => "more of them would not help",
        };
        format!(
            "more cores would help, or a quicker {name}: its calls compute or are ready to for {} of \
             their time, and its {workers} workers have {cores}; {no_use}",
            percent(wants)
        )
    }

    /// What would help where the source or the sink, which `does` what it is there for, was
    /// `busy` all the time.
    fn what_an_end_takes(&self, end: &str, does: &str, busy: Duration) -> String {
        // All threads of the process together computed for so much less that it waited.
        match self.cpu_time.filter(|cpu_time| *cpu_time < busy / 2) {
            Some(cpu_time) => format!(
                "the {end} {does} as fast as its device, network or peer lets it: it waited for {} \
                 of that time at the least; stages and cores would not help",
                percent(1.0 - cpu_time.as_secs_f64() / busy.as_secs_f64())
            ),
            None => format!(
                "one thread at a time is in the {end}: what it does beside what must be done there \
                 could be a stage's, which has more workers"
            ),
        }
    }

    fn limit(&self) -> Option<Limit<'_>> {
        let (held, at_work) = (self.held_cores(), self.cores_at_work());
        let heaviest = self.stages.iter().max_by_key(|stage| stage.held_cores());
        let cores = heaviest.map(|stage| match stage.stood_still().filter(|stood| *stood > 0.5) {
            Some(stood) if !stage.waits => Limit::Held(stage, stood),
            _ => Limit::Cores(stage, stage.held_cores().as_secs_f64() / held.as_secs_f64()),
        });
        if at_work > 0.85 {
            return cores;
        }
        // Before memory: what piles up before a stage that is always busy fills any
        // memory, and more of it would not help.
        let (tightest, busy) = self.tightest()?;
        if busy > 0.9 {
            return Some(tightest);
        }
        let hungry = self.stages.iter().max_by_key(|stage| stage.waited_memory)?;
        let starved = self.share(hungry.waited_memory, hungry.workers);
        // At such times nobody waits for memory, so neither explains the other.
        let shut = self.share(self.waited_window, 1);
        if shut > starved.max(0.25) {
            return Some(Limit::Window(shut));
        }
        if starved > 0.25 {
            return Some(Limit::Memory(hungry, starved));
        }
        // Where others keep the cores busy, threads that are woken come to them late.
        if at_work > 0.5 && self.waited_for_cores() > 0.5 {
            return cores;
        }
        match tightest {
            // As many workers as cores: these are what they had.
            Limit::Stage(stage, _) if busy > 0.5 && !stage.waits && stage.workers >= self.cores => {
                cores
            }
            _ => (busy > 0.5).then_some(tightest),
        }
    }

    /// For how long the cores were calls' of stages.
    fn held_cores(&self) -> Duration {
        self.stages.iter().map(StageReport::held_cores).sum()
    }

    /// The part of the cores' time for which calls held them.
    fn cores_at_work(&self) -> f64 {
        self.share(self.held_cores() + self.sink_busy, self.cores)
    }

    /// The part of all that free workers waited for that was a core.
    fn waited_for_cores(&self) -> f64 {
        let waits = self.stages.iter().filter(|stage| !stage.fused).map(|stage| {
            let others = stage.waited_input + stage.waited_downstream + stage.waited_memory;
            (stage.waited_core.as_secs_f64(), others.as_secs_f64())
        });
        let (core, others) = waits.fold((0.0, 0.0), |sum, wait| (sum.0 + wait.0, sum.1 + wait.1));
        if core > 0.0 { core / (core + others) } else { 0.0 }
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
            let what = self.memory.what_to_declare(self.by_variable, self.reserve);
            let missing = "declare what is missing, or have the allocator keep less \
                           (release_large_blocks)";
            return format!(
                "{name} is limited by real memory: {drift} of it were beyond what is declared; {}",
                what.as_deref().unwrap_or(missing)
            );
        }
        let spares = self.what_declares_too_much().or_else(|| self.whose_workers_lie_idle());
        if let Some(what) = spares.or_else(|| self.what_reserves_too_much()) {
            return what;
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
            "{name} is limited by memory: its items wait for their part of the line, {line}; {}{}",
            self.what_lets_more_aboard(),
            self.whose_workers_keep_much().unwrap_or_default()
        )
    }

    /// How much larger a budget would let more items aboard: with a number where the line has no
    /// room for what all calls may need at once, and what needed most was surely one item.
    fn what_lets_more_aboard(&self) -> String {
        let waiting = self.stages.iter().filter(|stage| stage.waits && !stage.fused);
        let calls = waiting.map(|stage| stage.workers).fold(self.cores, usize::saturating_add);
        let needed = self.largest_step.saturating_mul(calls as u64);
        // Several light items go together within such a part of the line, and in a larger one more.
        let together = self.reserve.min(self.line.saturating_sub(self.reserve)) / 4;
        match needed.checked_sub(self.line) {
            Some(more) if more > 0 && self.largest_step > together => format!(
                "{} more would let all {calls} calls that may be at work at once have as much as the \
                 one that needed most, {}",
                Bytes(more),
                Bytes(self.largest_step)
            ),
            _ => "a larger budget would let more of them aboard".to_owned(),
        }
    }

    /// A stage whose workers keep so much that fewer of them would leave items notably more.
    fn whose_workers_keep_much(&self) -> Option<String> {
        let further = |stage: &StageReport| {
            stage.per_worker.saturating_mul(stage.workers.saturating_sub(1) as u64)
        };
        let stage = self.stages.iter().max_by_key(|stage| further(stage))?;
        let (name, each) = (&stage.name, Bytes(stage.per_worker));
        (further(stage) > 0 && further(stage) >= self.line / 4).then(|| {
            format!("; fewer workers of {name}, which keep {each} each, would leave them more")
        })
    }

    /// A stage that certainly declares far too much: a part of it is more than all that the
    /// process ever held.
    fn what_declares_too_much(&self) -> Option<String> {
        let real = self.memory.peak_real?;
        let part = |stage: &StageReport| stage.per_worker.max(stage.shared);
        let stages = self.stages.iter().filter(|stage| is_much_less(real, part(stage)));
        let stage = stages.max_by_key(|stage| part(stage))?;
        let (name, declared, enough) = (&stage.name, part(stage), real.div_ceil(MIB) * MIB);
        let (what, for_each) = match stage.per_worker == declared {
            true => ("per_worker", " for each worker"),
            false => ("shared", ""),
        };
        let mut told = format!(
            "{name} declares {}{for_each}, and the process never held more than {}, mapped files \
             aside: declare less, {what}({}) at the most",
            Bytes(declared),
            Bytes(real),
            InCode(enough)
        );
        if stage.per_worker == declared {
            told += &or_variable(self.by_variable, "FOOTPRINT", name, InVariable(enough));
        }
        Some(told)
    }

    /// A stage whose workers were declared to keep much, and touched little when they began.
    fn whose_workers_lie_idle(&self) -> Option<String> {
        let (name, touched, declared) = self.memory.light_worker.as_ref()?;
        if !is_much_less(*touched, *declared) {
            return None;
        }
        let (touched, declared) = (Bytes(*touched), Bytes(*declared));
        Some(format!(
            "{name} declares {declared} for a worker and its call, and the first call of one, which \
             builds what it keeps, touched {touched}: if it keeps no more, declare less (per_worker), \
             and the rest is for items and workers"
        ))
    }

    /// A reserve that is far larger than all that any item needed.
    fn what_reserves_too_much(&self) -> Option<String> {
        let (reserve, largest) = (self.reserve, self.largest_step);
        if !is_much_less(largest, reserve) || reserve < self.line / 4 {
            return None;
        }
        let enough = largest.div_ceil(MIB) * MIB;
        Some(format!(
            "{} of the line's {} are kept for the oldest item, and none needed more than {}: \
             declare largest_item({}), if none does, and the others have the rest",
            Bytes(reserve),
            Bytes(self.line),
            Bytes(largest),
            InCode(enough)
        ))
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
    fn what_more_workers_take(&self, cores: usize, by_variable: bool) -> String {
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
        if let Some(told) = self.what_waiting_takes(cores, by_variable) {
            return told;
        }
        let variable = or_variable(by_variable, "WORKERS", name, cores);
        let what = match (self.waits, self.on_core) {
            (false, _) if *workers < cores => format!(
                ", which is all it asks for; the cores would carry {cores}: workers({cores}){variable}"
            ),
            (true, Some((_, lacked))) if lacked > 0.25 => format!(
                ", whose calls were ready for {} of their time and had no core: cores with less else \
                 to do would help, more workers would not",
                percent(lacked)
            ),
            _ => "; a quicker one would help".to_owned(),
        };
        format!("{name} is limited by {has}{what}")
    }
}

#[cfg(test)]
mod tests;
