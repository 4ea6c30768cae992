//! What holds a run up, of late: at each look something else may.

use std::time::Duration;

use super::{Snapshot, WaitsFor};
use crate::units::Count;

/// What is further back than this counts for a third at the most.
const MEMORY: Duration = Duration::from_secs(1);

/// What holds a run up at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Cores,
    /// All workers of that stage are at work, and items wait for it.
    Workers(usize),
    Memory(usize),
    RealMemory(usize),
    Consumer,
    Source,
    /// As many items are aboard as may be, and workers have nothing to do.
    Window,
}

/// Follows the snapshots of a run: what was seen how often. Looks are weighted as
/// [`Rates`](super::rates::Rates) has them.
#[derive(Debug, Default)]
pub(super) struct Lately {
    at: Duration,
    weight: f64,
    stages: usize,
    seen: Vec<Seen>,
}

/// Looks at which one thing held the run up.
#[derive(Debug)]
struct Seen {
    limit: Limit,
    weight: f64,
    /// Of each stage the calls under way and the items that waited, weighted as the looks are.
    stages: Vec<(f64, f64)>,
}

impl Seen {
    fn fade(&mut self, part: f64) {
        self.weight -= part * self.weight;
        for (running, queued) in &mut self.stages {
            *running -= part * *running;
            *queued -= part * *queued;
        }
    }

    fn add(&mut self, part: f64, snapshot: &Snapshot) {
        self.weight += part;
        for ((running, queued), stage) in self.stages.iter_mut().zip(&snapshot.stages) {
            *running += part * stage.running as f64;
            *queued += part * stage.queued as f64;
        }
    }

    fn running(&self, stage: usize) -> f64 {
        self.stages[stage].0 / self.weight
    }

    fn queued(&self, stage: usize) -> u64 {
        (self.stages[stage].1 / self.weight).round() as u64
    }
}

impl Lately {
    /// Takes `snapshot` in and fills in what held the run up.
    pub(super) fn follow(&mut self, snapshot: &mut Snapshot) {
        let stages = snapshot.stages.len();
        if snapshot.elapsed < self.at || stages != self.stages {
            // Another run.
            *self = Self { stages, ..Self::default() };
        }
        let passed = snapshot.elapsed - self.at;
        self.at = snapshot.elapsed;
        // So that the first look, which no time has passed before, has some weight.
        let part = (1.0 - (-passed.as_secs_f64() / MEMORY.as_secs_f64()).exp()).max(1e-9);
        self.weight += part * (1.0 - self.weight);
        self.seen.iter_mut().for_each(|seen| seen.fade(part));
        if let Some(limit) = snapshot.limit_now() {
            let known = self.seen.iter().position(|seen| seen.limit == limit);
            let place = known.unwrap_or_else(|| {
                let stages = vec![(0.0, 0.0); stages];
                self.seen.push(Seen { limit, weight: 0.0, stages });
                self.seen.len() - 1
            });
            self.seen[place].add(part, snapshot);
        }
        snapshot.limited_by = self.most_seen().map(|seen| seen.told(snapshot));
    }

    /// What was seen most often; nothing if at most looks there was nothing to be seen.
    fn most_seen(&self) -> Option<&Seen> {
        let all: f64 = self.seen.iter().map(|seen| seen.weight).sum();
        let most = self.seen.iter().max_by(|one, other| one.weight.total_cmp(&other.weight))?;
        (all > 0.5 * self.weight).then_some(most)
    }
}

impl Seen {
    /// In words, with means of the looks at which it was seen.
    fn told(&self, snapshot: &Snapshot) -> String {
        let name = |stage: usize| snapshot.stages[stage].name.as_str();
        match self.limit {
            Limit::Cores => self.told_cores(snapshot),
            Limit::Workers(stage) => {
                let queued = self.queued(stage);
                let (wait, items) =
                    (if queued == 1 { "waits" } else { "wait" }, Count(queued, "item"));
                match snapshot.stages[stage].workers {
                    1 => format!("{}: its worker is at work, {items} {wait}", name(stage)),
                    workers => {
                        format!(
                            "{}: its {workers} workers are at work, {items} {wait}",
                            name(stage)
                        )
                    }
                }
            }
            Limit::Memory(stage) => format!("memory, which {} waits for", name(stage)),
            Limit::RealMemory(stage) => format!("real memory, which {} waits for", name(stage)),
            Limit::Consumer => "the consumer, who has not asked for more".to_owned(),
            Limit::Source => "the source, which everybody waits for".to_owned(),
            Limit::Window => self.told_window(snapshot),
        }
    }

    fn told_window(&self, snapshot: &Snapshot) -> String {
        let items = Count(snapshot.window, "item");
        // What waits for the sink then waits for its turn.
        let in_turn = snapshot.stages.len().checked_sub(1).map_or(0, |sink| self.queued(sink));
        let why = match in_turn >= snapshot.window.div_ceil(2) {
            true => format!("{in_turn} of them done and waiting for the turn of an older one"),
            false => "and workers have nothing to do".to_owned(),
        };
        format!("the window of {items}: it is full, {why}")
    }

    /// The cores, and which stages have them: those that have a good part of one.
    fn told_cores(&self, snapshot: &Snapshot) -> String {
        let stages = snapshot.stages.iter().enumerate();
        let stages = stages.map(|(index, stage)| (stage, self.running(index)));
        let mut busy: Vec<_> =
            stages.filter(|(stage, mean)| stage.takes_cores && *mean >= 0.1).collect();
        busy.sort_by(|one, other| other.1.total_cmp(&one.1));
        let told =
            busy.iter().take(MOST_TOLD).enumerate().map(|(index, (stage, mean))| match index {
                0 => format!("{} has {mean:.1} of {}", stage.name, snapshot.cores),
                _ => format!("{} {mean:.1}", stage.name),
            });
        let told: Vec<_> = told.collect();
        if told.is_empty() { "the cores".into() } else { format!("the cores: {}", told.join(", ")) }
    }
}

/// Stages that are told to have cores.
const MOST_TOLD: usize = 3;

impl Snapshot {
    /// What holds the run up at this look, if that can be told.
    fn limit_now(&self) -> Option<Limit> {
        // What is furthest down holds up all above it.
        let waiting = || self.stages.iter().enumerate().rev().filter(|(_, it)| it.queued > 0);
        let full = || waiting().filter(|(_, stage)| stage.waits_for == WaitsFor::Nothing);
        // To a stage that has fewer workers than there are cores, more cores are of no use; nor
        // to one whose calls take none.
        let narrow =
            |stage: &super::StageSnapshot| !stage.takes_cores || stage.workers < self.cores;
        if let Some((index, _)) = full().find(|(_, stage)| narrow(stage)) {
            return Some(Limit::Workers(index));
        }
        if self.cores > 0 && self.computing >= self.cores {
            return Some(Limit::Cores);
        }
        if let Some((index, _)) = full().next() {
            return Some(Limit::Workers(index));
        }
        let seen = waiting().find_map(|(index, stage)| match stage.waits_for {
            WaitsFor::Memory => Some(Limit::Memory(index)),
            WaitsFor::RealMemory => Some(Limit::RealMemory(index)),
            WaitsFor::Consumer => Some(Limit::Consumer),
            _ => None,
        });
        seen.or_else(|| {
            let idle = self.stages.iter().all(|stage| stage.running == 0 && stage.queued == 0);
            let read = self.source_waits_for == Some(WaitsFor::Nothing);
            (idle && read).then_some(Limit::Source).or_else(|| self.window_now())
        })
    }

    /// The window, if it keeps the source from being read while its items would be started at
    /// once, and what is aboard waits for nothing but company in a batch or its turn.
    fn window_now(&self) -> Option<Limit> {
        let first = self.stages.first()?;
        let is_shut = self.source_waits_for == Some(WaitsFor::Window);
        let mut waiting = self.stages.iter().filter(|stage| stage.queued > 0);
        let rests = waiting.all(|it| matches!(it.waits_for, WaitsFor::Input | WaitsFor::Turn));
        (is_shut && rests && first.running < first.workers).then_some(Limit::Window)
    }
}

#[cfg(test)]
mod tests {
    use super::super::StageSnapshot;
    use super::*;

    fn stage(name: &str, (running, workers): (usize, usize), queued: u64) -> StageSnapshot {
        let name = name.to_owned();
        let waits_for = match (running < workers, queued) {
            (false, _) => WaitsFor::Nothing,
            (true, 0) => WaitsFor::Input,
            (true, _) => WaitsFor::Core,
        };
        let takes_cores = true;
        StageSnapshot {
            name,
            running,
            workers,
            takes_cores,
            queued,
            waits_for,
            ..Default::default()
        }
    }

    fn look(stages: [StageSnapshot; 2]) -> Snapshot {
        let computing = stages.iter().map(|stage| stage.running).sum();
        let source_waits_for = Some(WaitsFor::Nothing);
        Snapshot {
            cores: 2,
            computing,
            source_waits_for,
            stages: stages.into(),
            ..Default::default()
        }
    }

    /// What is told at last of a run that is looked at every 50 ms.
    fn told(looks: impl IntoIterator<Item = Snapshot>) -> Option<String> {
        let (mut lately, mut at) = (Lately::default(), Duration::ZERO);
        let told = looks.into_iter().map(|look| {
            at += Duration::from_millis(50);
            let mut look = Snapshot { elapsed: at, ..look };
            lately.follow(&mut look);
            look.limited_by
        });
        told.last().flatten()
    }

    #[test]
    fn what_is_seen_now_and_then_is_not_told() {
        let both = || look([stage("embed", (1, 2), 1), stage("look up", (1, 1), 0)]);
        let one = || look([stage("embed", (2, 2), 3), stage("look up", (0, 1), 0)]);
        let last = || look([stage("embed", (1, 2), 0), stage("look up", (1, 1), 2)]);
        let looks = (0..400).map(|at| match at % 4 {
            0 => both(),
            3 => last(),
            _ => one(),
        });
        let cores = "the cores: embed has 1.7 of 2, look up 0.3";
        assert_eq!(told(looks).as_deref(), Some(cores));
    }

    #[test]
    fn a_stage_that_cannot_use_more_cores_is_told_instead_of_them() {
        let narrow = || look([stage("embed", (1, 2), 0), stage("(sink)", (1, 1), 43)]);
        let limit = "(sink): its worker is at work, 43 items wait";
        assert_eq!(told([narrow()]).as_deref(), Some(limit), "from the first look on");
        assert_eq!(told((0..50).map(|_| narrow())).as_deref(), Some(limit));
        let one = || look([stage("embed", (1, 2), 0), stage("(sink)", (1, 1), 1)]);
        let limit = "(sink): its worker is at work, 1 item waits";
        assert_eq!(told((0..50).map(|_| one())).as_deref(), Some(limit));
    }

    #[test]
    fn where_nothing_is_seen_at_most_looks_nothing_is_told() {
        let quiet = || look([stage("embed", (1, 2), 0), stage("(sink)", (0, 1), 0)]);
        let busy = || look([stage("embed", (2, 2), 5), stage("(sink)", (0, 1), 0)]);
        assert_eq!(told((0..90).map(|at| if at % 3 == 0 { busy() } else { quiet() })), None);
        let told = told((0..90).map(|at| if at % 3 > 0 { busy() } else { quiet() }));
        // As it was then, whatever it was in between.
        assert_eq!(told.as_deref(), Some("the cores: embed has 2.0 of 2"));
    }

    #[test]
    fn a_full_window_is_told_where_workers_have_nothing_to_do() {
        let shut = |stages| Snapshot {
            window: 4,
            aboard: 4,
            source_waits_for: Some(WaitsFor::Window),
            ..look(stages)
        };
        let sink =
            |queued, waits_for| StageSnapshot { waits_for, ..stage("(sink)", (0, 1), queued) };
        let busy = || StageSnapshot { takes_cores: false, ..stage("fetch", (4, 9), 0) };
        let free = |stages| Snapshot { computing: 0, ..shut(stages) };
        let idle = "the window of 4 items: it is full, and workers have nothing to do";
        assert_eq!(told([free([busy(), sink(0, WaitsFor::Input)])]).as_deref(), Some(idle));
        assert_eq!(told([free([busy(), sink(1, WaitsFor::Turn)])]).as_deref(), Some(idle));
        let turn = "the window of 4 items: it is full, 3 of them done and waiting for the turn of an \
                    older one";
        assert_eq!(told([free([busy(), sink(3, WaitsFor::Turn)])]).as_deref(), Some(turn));
        assert_eq!(told([free([busy(), sink(3, WaitsFor::Core)])]), None, "it may be written");
        let full = StageSnapshot { takes_cores: false, ..stage("fetch", (4, 4), 0) };
        assert_eq!(told([free([full, sink(0, WaitsFor::Input)])]), None, "all are at work");
        let open = Snapshot {
            source_waits_for: Some(WaitsFor::Core),
            ..free([busy(), sink(0, WaitsFor::Input)])
        };
        assert_eq!(told([open]), None);
    }

    #[test]
    fn what_held_it_up_before_is_forgotten_within_seconds() {
        let busy = || look([stage("embed", (2, 2), 5), stage("(sink)", (0, 1), 0)]);
        let idle = || look([stage("embed", (0, 2), 0), stage("(sink)", (0, 1), 0)]);
        let looks = (0..200).map(|_| busy()).chain((0..20).map(|_| idle()));
        assert_eq!(told(looks).as_deref(), Some("the source, which everybody waits for"));
    }
}
