//! A call of user code that does not come back, and what goes on beside it.

use std::fmt;
use std::time::Duration;

use super::{Snapshot, WaitsFor};
use crate::item::ItemId;
use crate::units::{Bytes, Count};

/// A call of user code that did not come back for long.
#[derive(Clone, Debug)]
pub struct Stall {
    pub(crate) stage: String,
    pub(crate) item: ItemId,
    pub(crate) items: u64,
    pub(crate) lasted: Duration,
    pub(crate) came_back: bool,
    pub(crate) holds: u64,
    pub(crate) beside: Beside,
}

impl Stall {
    /// The stage's name, or `"(source)"`, `"(sink)"`.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// The item, or the first of a few that were handed over together.
    #[must_use]
    pub fn item(&self) -> &ItemId {
        &self.item
    }

    /// Items that were handed over together, this one the first of them: the call was at one of
    /// them. Which one is not kept, as that would cost as much as a small item takes. Of the
    /// source, items that it was asked for together.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// How long the call had lasted when it was last looked at; its whole time, to some
    /// milliseconds, if it [came back](Self::came_back).
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.lasted
    }

    /// Whether the call has come back.
    #[must_use]
    pub fn came_back(&self) -> bool {
        self.came_back
    }

    /// Bytes that the item holds meanwhile, its step's included.
    #[must_use]
    pub fn holds(&self) -> u64 {
        self.holds
    }

    /// As what holds a run up.
    pub(super) fn as_limit(&self) -> String {
        let seconds = self.lasted.as_secs_f64();
        format!("{}, which has been at {} for {seconds:.1} s", self.stage, self.whereabouts())
    }

    /// As it is told when the run is over.
    pub(crate) fn told_later(&self) -> String {
        let Self { stage, lasted, holds, .. } = self;
        let (seconds, holds) = (lasted.as_secs_f64(), Bytes(*holds));
        let or_more = if self.came_back { "" } else { " or more" };
        let at = self.whereabouts();
        let told = format!("{stage} was at {at} for {seconds:.1} s{or_more}, holding {holds}");
        match self.beside.told(Tense::Past) {
            beside if beside.is_empty() => told,
            beside => format!("{told}; meanwhile {beside}"),
        }
    }

    /// At which item it is, as far as that is known.
    fn whereabouts(&self) -> String {
        let (item, others) = (&self.item, self.items.saturating_sub(1));
        match others {
            0 => format!("item {item}"),
            // Nothing is missing between them yet.
            _ if self.stage == "(source)" => {
                format!("one of items {item} to {}", item.sibling(others))
            }
            1 => format!("item {item} or the one that came with it"),
            _ => format!("item {item} or one of the {others} that came with it"),
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.came_back {
            return f.write_str(&self.told_later());
        }
        let (seconds, holds) = (self.lasted.as_secs_f64(), Bytes(self.holds));
        let (stage, at) = (&self.stage, self.whereabouts());
        write!(f, "{stage} has been at {at} for {seconds:.1} s, holding {holds}; ")?;
        match self.beside.told(Tense::Present) {
            beside if beside.is_empty() => f.write_str("nobody waits for it yet"),
            beside => f.write_str(&beside),
        }
    }
}

/// What goes on beside a call that does not come back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    /// Items that wait for its own stage, all of whose workers are at work.
    behind: u64,
    /// Items that wait for other stages, and what those wait for.
    waiting: Vec<(u64, String, WaitsFor)>,
    /// So many items are aboard that no more are read.
    full: Option<u64>,
    /// Nothing else is under way.
    alone: bool,
    /// The run is to stop.
    stopping: bool,
}

/// Whether the run is under way or over.
#[derive(Clone, Copy)]
enum Tense {
    Present,
    Past,
}

impl Beside {
    /// What `snapshot` shows beside a call of `stage`.
    pub(crate) fn of(stage: &str, snapshot: &Snapshot) -> Self {
        let is_behind = |other: &super::StageSnapshot| {
            other.name == stage && other.waits_for == WaitsFor::Nothing
        };
        let queued = || snapshot.stages.iter().filter(|other| other.queued > 0);
        let others = queued().filter(|other| !is_behind(other));
        let calls: usize = snapshot.under_way().map(|(_, calls)| calls).sum();
        Self {
            behind: queued().filter(|other| is_behind(other)).map(|other| other.queued).sum(),
            waiting: others.map(|it| (it.queued, it.name.clone(), it.waits_for)).collect(),
            full: (snapshot.aboard >= snapshot.window).then_some(snapshot.aboard),
            alone: calls <= 1 && queued().next().is_none(),
            stopping: snapshot.stopping.is_some(),
        }
    }

    /// In words; nothing if there is nothing to be told.
    fn told(&self, tense: Tense) -> String {
        let pick = |present: &'static str, past: &'static str| match tense {
            Tense::Present => present,
            Tense::Past => past,
        };
        let wait = |items: u64| match items {
            1 => format!("1 item {}", pick("waits", "waited")),
            _ => format!("{items} items {}", pick("wait", "waited")),
        };
        let mut told = Vec::new();
        if self.stopping {
            told.push(
                pick("the run is to stop and waits for it", "the run was to stop").to_owned(),
            );
        }
        if self.behind > 0 {
            told.push(format!("{} for it", wait(self.behind)));
        }
        for (items, name, waits_for) in &self.waiting {
            let why = pick(waits_for.told(), waits_for.told_later());
            told.push(format!("{} for {name} ({why})", wait(*items)));
        }
        if let Some(aboard) = self.full {
            let (read, are) = (pick("is not", "was not"), pick("are", "were"));
            let are = if aboard == 1 { pick("is", "was") } else { are };
            let items = Count(aboard, "item");
            told.push(format!("the source {read} read: {items} {are} aboard"));
        }
        if self.alone && told.is_empty() {
            told.push(format!("nothing else {} under way", pick("is", "was")));
        }
        told.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::StageSnapshot;
    use super::*;

    fn stage(name: &str, queued: u64, waits_for: WaitsFor) -> StageSnapshot {
        let (name, running) = (name.to_owned(), usize::from(waits_for == WaitsFor::Nothing));
        StageSnapshot { name, running, queued, waits_for, ..StageSnapshot::default() }
    }

    fn stall(stage: &str, items: u64, snapshot: &Snapshot) -> Stall {
        let (item, lasted) = (ItemId::new(3), Duration::from_millis(1_500));
        let (stage, beside) = (stage.to_owned(), Beside::of(stage, snapshot));
        Stall { stage, item, items, lasted, came_back: false, holds: 1 << 20, beside }
    }

    #[test]
    fn who_waits_is_told_while_it_lasts_and_afterwards() {
        let stages = vec![
            stage("parse", 0, WaitsFor::Downstream),
            stage("align", 7, WaitsFor::Nothing),
            stage("screen", 1, WaitsFor::Memory),
        ];
        let snapshot = Snapshot { aboard: 8, window: 8, stages, ..Snapshot::default() };
        let mut stall = stall("align", 1, &snapshot);
        assert_eq!(
            stall.to_string(),
            "align has been at item 3 for 1.5 s, holding 1.0 MiB; 7 items wait for it, \
             1 item waits for screen (it waits for memory), the source is not read: 8 items are aboard"
        );
        let later = "align was at item 3 for 1.5 s or more, holding 1.0 MiB; meanwhile 7 items \
                     waited for it, 1 item waited for screen (it waited for memory), the source was \
                     not read: 8 items were aboard";
        assert_eq!(stall.told_later(), later);
        stall.came_back = true;
        assert_eq!(stall.to_string(), later.replace(" or more", ""));
    }

    #[test]
    fn a_call_beside_which_nothing_waits_is_told_as_such() {
        let idle = || vec![stage("parse", 0, WaitsFor::Input)];
        let source_waits_for = Some(WaitsFor::Nothing);
        let quiet = Snapshot { window: 6, stages: idle(), source_waits_for, ..Snapshot::default() };
        let mut source = stall("(source)", 1, &quiet);
        assert!(source.to_string().ends_with("1.0 MiB; nothing else is under way"), "{source}");
        source.came_back = true;
        let later = "(source) was at item 3 for 1.5 s, holding 1.0 MiB; meanwhile nothing else was under way";
        assert_eq!(source.told_later(), later);

        let mut busy = quiet;
        busy.stages.push(stage("align", 0, WaitsFor::Nothing));
        let mut source = stall("(source)", 1, &busy);
        assert!(source.to_string().ends_with("; nobody waits for it yet"), "{source}");
        source.came_back = true;
        assert!(source.told_later().ends_with("holding 1.0 MiB"), "{}", source.told_later());
    }

    #[test]
    fn of_items_that_came_together_it_is_one() {
        let snapshot = Snapshot { window: 6, ..Snapshot::default() };
        for (name, items, told) in [
            ("align", 2, "align has been at item 3 or the one that came with it for"),
            ("align", 4, "align has been at item 3 or one of the 3 that came with it for"),
            ("(source)", 4, "(source) has been at one of items 3 to 6 for"),
        ] {
            let stall = stall(name, items, &snapshot);
            assert!(stall.to_string().starts_with(told), "{stall}");
            assert!(stall.as_limit().contains(&told.replace(" has", ", which has")), "{stall}");
        }
    }
}
