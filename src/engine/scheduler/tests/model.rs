//! Small pipelines as numbers: what each step needs, and what comes of it.

use super::*;
use crate::queue::Need;

/// What a stage does to an item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    /// `works` is what the call works with, its output included.
    Map { works: u64, output: u64 },
    /// `works` is held while the iterator is open; of each child only one unit is
    /// asked for, whatever it weighs.
    Flat { works: u64, children: u64, child: u64 },
}

/// An item of the source and what becomes of it and all its kin.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) source: u64,
    pub(super) verbs: Vec<Verb>,
}

impl Item {
    /// The most that it needs at any step, its ancestors included.
    pub(super) fn largest(&self) -> u64 {
        let (mut chain, mut weight, mut most) = (0, self.source, self.source);
        for verb in &self.verbs {
            let held = chain + weight;
            match *verb {
                Verb::Map { works, output } => {
                    most = most.max(held + works).max(chain + output);
                    weight = output;
                }
                Verb::Flat { works, children, child } => {
                    most = most.max(held + works + u64::from(children > 0));
                    if children == 0 {
                        break;
                    }
                    most = most.max(held + works + child);
                    (chain, weight) = (held + works, child);
                }
            }
        }
        most
    }
}

/// What waits for a step, or is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Task {
    pub(super) id: ItemId,
    pub(super) work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// The first call for the item in this segment.
    Call,
    /// Between two children.
    Parked { next: u64 },
}

/// A pipeline, its items, and what may happen to the run.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) items: Vec<Item>,
    pub(super) ordered: bool,
    pub(super) cores: usize,
    /// Of each stage.
    pub(super) workers: usize,
    /// Bytes of the line that are the oldest's; the largest item's, unless the case
    /// is to go wrong.
    pub(super) reserve: u64,
    /// Bytes of the line beyond the reserve.
    pub(super) spare: u64,
    pub(super) queue_bound: usize,
    pub(super) window: u64,
    /// Real memory may be found to be anything at any moment, and calls to take more
    /// than declared; workers keep a byte each.
    pub(super) unsettled: bool,
    /// Items wanted for a call of the last stage.
    pub(super) gather: Option<u64>,
    /// A stage whose calls take no core.
    pub(super) waits: Option<usize>,
    /// How much more than it declares each step is believed to need.
    pub(super) believed: u64,
    /// The outputs are taken by a consumer.
    pub(super) outside_sink: bool,
    /// Items that fail, and the segment where.
    pub(super) fails: Vec<(ItemId, usize)>,
    /// The run may be stopped at any time.
    pub(super) may_stop: bool,
    /// The source may block at any time, and be taken over what it has read.
    pub(super) blocks: bool,
}

impl Case {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self {
            reserve: items.iter().map(Item::largest).max().expect("a case has items"),
            items,
            ordered: false,
            cores: 2,
            workers: 1,
            spare: 0,
            queue_bound: 4,
            window: 64,
            unsettled: false,
            gather: None,
            waits: None,
            believed: 0,
            outside_sink: false,
            fails: Vec::new(),
            may_stop: false,
            blocks: false,
        }
    }

    /// How many segments there are, the sink's included.
    pub(super) fn segments(&self) -> usize {
        self.items[0].verbs.len() + 1
    }

    /// As many as the plan would start, short of some that could only wait.
    pub(super) fn threads(&self) -> usize {
        self.cores.min(self.workers + 1) + self.waits.map_or(0, |_| self.workers)
    }

    pub(super) fn item(&self, id: &ItemId) -> &Item {
        &self.items[id.source_index() as usize]
    }

    /// What `segment` does to `id`; `None` for the sink.
    pub(super) fn verb(&self, id: &ItemId, segment: usize) -> Option<Verb> {
        self.item(id).verbs.get(segment).copied()
    }

    /// What comes of reading the source at `id`.
    pub(super) fn read(&self, id: &ItemId) -> Settlement<Task> {
        let mut out = Settlement { consumed: vec![id.clone()], ..Settlement::default() };
        if let Some(item) = self.items.get(id.source_index() as usize) {
            self.pass(id.clone(), 0, item.source, &mut out);
        }
        out
    }

    /// What comes of a step, as the nodes would have it. The sink keeps what it is
    /// given.
    pub(super) fn step(
        &self,
        segment: usize,
        task: &Task,
        out: &mut Settlement<Task>,
        delivered: &mut Vec<ItemId>,
    ) {
        let Task { id, work } = task;
        out.consumed.push(id.clone());
        if *work == Work::Call && self.fails.contains(&(id.clone(), segment)) {
            return note_failure(id.clone(), out);
        }
        match self.verb(id, segment) {
            None => delivered.push(id.clone()),
            Some(Verb::Map { output, .. }) => self.pass(id.clone(), segment + 1, output, out),
            Some(Verb::Flat { works, children, child }) => {
                let next = if let Work::Parked { next } = *work { next } else { 0 };
                if next < children {
                    if self.fails.contains(&(id.child(next), segment)) {
                        return note_failure(id.child(next), out);
                    }
                    self.pass(id.child(next), segment + 1, child, out);
                }
                if next + 1 < children {
                    let held = self.weight_before(id, segment) + works;
                    let work = Work::Parked { next: next + 1 };
                    let task = Task { id: id.clone(), work };
                    out.produced.push(self.labelled(task, segment, held, 1));
                }
            }
        }
    }

    /// Queues `id`, which weighs `weight`, for `segment`.
    fn pass(&self, id: ItemId, segment: usize, weight: u64, out: &mut Settlement<Task>) {
        let declared = match self.verb(&id, segment) {
            None => 0,
            Some(Verb::Map { works, .. }) => works,
            Some(Verb::Flat { works, children, .. }) => works + u64::from(children > 0),
        };
        let task = Task { id, work: Work::Call };
        out.produced.push(self.labelled(task, segment, weight, declared));
    }

    fn labelled(&self, task: Task, segment: usize, weight: u64, declared: u64) -> Produced<Task> {
        let learned = if self.believed > 0 { declared + self.believed } else { 0 };
        let need = Need { declared, learned };
        Produced { id: task.id.clone(), segment, weight, entry: Entry { items: 1, need, task } }
    }

    /// What `id` weighs when it comes to `segment`.
    fn weight_before(&self, id: &ItemId, segment: usize) -> u64 {
        match segment.checked_sub(1).and_then(|above| self.verb(id, above)) {
            None => self.item(id).source,
            Some(Verb::Map { output, .. }) => output,
            Some(Verb::Flat { child, .. }) => child,
        }
    }

    /// The ids of what comes out if nothing stops the run, in order.
    pub(super) fn outputs(&self) -> Vec<ItemId> {
        let mut outputs = Vec::new();
        for index in 0..self.items.len() as u64 {
            let mut kin = vec![ItemId::new(index)];
            for verb in &self.items[index as usize].verbs {
                if let Verb::Flat { children, .. } = *verb {
                    let brood = |id: ItemId| (0..children).map(move |child| id.child(child));
                    kin = kin.into_iter().flat_map(brood).collect();
                }
            }
            outputs.append(&mut kin);
        }
        outputs
    }

    /// The first failure in order.
    pub(super) fn first_failure(&self) -> Option<&ItemId> {
        self.fails.iter().map(|(id, _)| id).min()
    }

    /// The most that all steps at once can be heavier than was admitted for them.
    pub(super) fn most_overweight(&self) -> u64 {
        let excess = |verb: &Verb| match *verb {
            Verb::Map { works, output } => output.saturating_sub(works),
            Verb::Flat { child, .. } => child.saturating_sub(1),
        };
        let stage = |index: usize| self.items.iter().map(move |item| excess(&item.verbs[index]));
        let stages = (0..self.segments() - 1).map(|index| stage(index).max().unwrap_or(0));
        // A source that was taken over from may come back with one more.
        let read = self.items.iter().map(|item| item.source).max().filter(|_| self.blocks);
        self.workers as u64 * stages.sum::<u64>() + read.unwrap_or(0)
    }
}

fn note_failure(id: ItemId, out: &mut Settlement<Task>) {
    if out.failed.as_ref().is_none_or(|earlier| id < *earlier) {
        out.failed = Some(id);
    }
}
