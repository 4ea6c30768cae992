//! What a run was limited by, and what would help.

use std::time::Duration;

use super::{Report, StageReport};

impl Report {
    /// What the run was limited by, if the figures say so clearly: the cores, a stage (or
    /// the source, the sink) that was always busy, memory.
    #[must_use]
    pub fn bottleneck(&self) -> Option<String> {
        let computing: Duration = self.stages.iter().map(StageReport::worked).sum();
        if self.share(computing + self.sink_busy, self.cores) > 0.85 {
            let heaviest = self.stages.iter().max_by_key(|stage| stage.worked())?;
            let part = heaviest.worked().as_secs_f64() / computing.as_secs_f64();
            let (name, part) = (&heaviest.name, percent(part));
            return Some(format!("the cores; {name} takes {part} of their time"));
        }
        // Before memory: what piles up before a stage that is always busy fills any
        // memory, and more of it would not help.
        let (name, workers, busy) = self.tightest()?;
        let tightest = || match workers {
            1 => format!("{name}, busy {} of the time", percent(busy)),
            _ => format!("{name}: its {workers} workers were busy {} of the time", percent(busy)),
        };
        if busy > 0.9 {
            return Some(tightest());
        }
        let hungry = self.stages.iter().max_by_key(|stage| stage.waited_memory)?;
        let starved = self.share(hungry.waited_memory, hungry.workers);
        if starved > 0.25 {
            let (name, percent) = (&hungry.name, percent(starved));
            let real = if hungry.waited_real > hungry.waited_memory / 2 { "real " } else { "" };
            return Some(format!(
                "{real}memory: workers of {name} waited for it {percent} of the time"
            ));
        }
        (busy > 0.7).then(tightest)
    }

    /// Who was busy for the largest part of their time: name, workers, part.
    fn tightest(&self) -> Option<(&str, usize, f64)> {
        let stages =
            self.stages.iter().map(|stage| (stage.name.as_str(), stage.workers, stage.worked()));
        let ends = [("the source", 1, self.source_busy), ("the sink", 1, self.sink_busy)];
        let shares = stages
            .chain(ends)
            .map(|(name, workers, busy)| (name, workers, self.share(busy, workers)));
        shares.max_by(|a, b| a.2.total_cmp(&b.2))
    }

    /// The part that `time` is of what so many workers have.
    fn share(&self, time: Duration, workers: usize) -> f64 {
        let all = self.elapsed.as_secs_f64() * workers as f64;
        if all > 0.0 { time.as_secs_f64() / all } else { 0.0 }
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two stages of two workers on two cores for ten seconds.
    fn ten_seconds(busy: [u64; 2], memory: u64, sink: u64) -> Report {
        let stage = |name: &str, busy| StageReport {
            name: name.to_owned(),
            workers: 2,
            busy: Duration::from_secs(busy),
            ..StageReport::default()
        };
        let mut stages = vec![stage("parse", busy[0]), stage("screen", busy[1])];
        stages[1].waited_memory = Duration::from_secs(memory);
        let sink_busy = Duration::from_secs(sink);
        Report {
            elapsed: Duration::from_secs(10),
            cores: 2,
            stages,
            sink_busy,
            ..Report::default()
        }
    }

    #[test]
    fn the_bottleneck_is_what_everybody_waited_for() {
        let told = |report: Report| report.bottleneck().unwrap_or_default();
        assert_eq!(told(ten_seconds([4, 16], 0, 0)), "the cores; screen takes 80 % of their time");
        assert_eq!(
            told(ten_seconds([4, 10], 10, 0)),
            "memory: workers of screen waited for it 50 % of the time"
        );
        let mut tight = ten_seconds([4, 10], 10, 0);
        tight.stages[1].waited_real = Duration::from_secs(6);
        assert_eq!(told(tight), "real memory: workers of screen waited for it 50 % of the time");
        assert_eq!(told(ten_seconds([1, 1], 0, 9)), "the sink, busy 90 % of the time");
        assert_eq!(told(ten_seconds([1, 1], 0, 0)), "");
        let mut full = ten_seconds([1, 10], 0, 0);
        full.stages[1].workers = 1;
        full.stages[0].waited_memory = Duration::from_secs(15);
        assert_eq!(told(full), "screen, busy 100 % of the time", "more memory would not help");
        let mut single = ten_seconds([1, 9], 0, 0);
        single.stages[1].workers = 1;
        assert_eq!(told(single), "screen, busy 90 % of the time");
    }
}
