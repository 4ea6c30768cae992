//! Schemes that do not work: the search must find where each is stuck, or it would
//! prove nothing about the one that does.

use std::collections::BTreeMap;

use super::*;
use crate::frontier::Frontier;

/// A scheme of admission by permits, with its faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) line: u64,
    /// What only the oldest may draw on.
    pub(super) reserve: u64,
    /// A worker is taken first, memory is waited for second.
    pub(super) holds_worker: bool,
    /// Parcels a queue holds, whoever comes.
    pub(super) cap: usize,
    /// Everything counts as one, as with a semaphore of slots.
    pub(super) counts: bool,
    pub(super) first: First,
}

/// Which of those that fit goes first; whoever does not fit is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Oldest,
    Smallest,
}

#[derive(Clone, Debug)]
pub(super) struct Naive<'a> {
    case: &'a Case,
    rules: Rules,
    queues: Vec<BTreeMap<ItemId, Task>>,
    live: Frontier<u64>,
    threads: Vec<Thread>,
    read: u64,
    delivered: Vec<ItemId>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thread {
    id: ItemId,
    /// `None` while it reads the source.
    step: Option<(usize, Task)>,
    need: u64,
    admitted: bool,
}

impl<'a> Naive<'a> {
    pub(super) fn new(case: &'a Case, rules: Rules) -> Self {
        Self {
            case,
            rules,
            queues: vec![BTreeMap::new(); case.segments()],
            live: Frontier::new(),
            threads: Vec::new(),
            read: 0,
            delivered: Vec::new(),
        }
    }

    fn held(&self) -> u64 {
        let steps = self.threads.iter().filter(|thread| thread.admitted).map(|thread| thread.need);
        self.live.iter().map(|(_, held)| held).sum::<u64>() + steps.sum::<u64>()
    }

    fn may_hold(&self, id: &ItemId, need: u64) -> bool {
        let oldest = self.live.oldest().is_none_or(|oldest| oldest == id);
        let limit = self.rules.line - if oldest { 0 } else { self.rules.reserve };
        self.held() + need <= limit
    }

    fn need(&self, segment: usize, task: &Task) -> u64 {
        let verb = self.case.verb(&task.id, segment);
        if self.rules.counts {
            return u64::from(matches!(verb, Some(Verb::Flat { .. })));
        }
        match verb {
            None => 0,
            Some(Verb::Map { works, .. }) => works,
            Some(Verb::Flat { works, child, .. }) => match task.work {
                Work::Call => works + child,
                Work::Parked { .. } => child,
            },
        }
    }

    /// A step that could be taken, as far as workers, order and caps have a say.
    fn candidate(&self) -> Option<(usize, Task)> {
        let sink = self.queues.len() - 1;
        (0..=sink).rev().find_map(|segment| {
            let busy =
                |thread: &&Thread| thread.step.as_ref().is_some_and(|step| step.0 == segment);
            let workers = if segment == sink { 1 } else { self.case.workers };
            let full = segment < sink && self.queues[segment + 1].len() >= self.rules.cap;
            if self.threads.iter().filter(busy).count() >= workers || full {
                return None;
            }
            let ready = |task: &&Task| {
                let oldest = self.live.oldest() == Some(&task.id);
                let in_order = segment < sink || !self.case.ordered || oldest;
                let fits = || self.may_hold(&task.id, self.need(segment, task));
                in_order && (self.rules.holds_worker || fits())
            };
            let mut ready = self.queues[segment].values().filter(ready);
            let task = match self.rules.first {
                First::Oldest => ready.next(),
                First::Smallest => ready.min_by_key(|task| self.need(segment, task)),
            };
            Some((segment, task?.clone()))
        })
    }

    fn take(&mut self, id: ItemId, step: Option<(usize, Task)>) {
        let need = step.as_ref().map_or(1, |(segment, task)| self.need(*segment, task));
        let admitted = self.may_hold(&id, need);
        self.threads.push(Thread { id, step, need, admitted });
        self.threads.sort();
    }

    /// One thread asks for work; whether anything changed.
    fn ask(&mut self) -> bool {
        // Whoever waits with a worker in hand is served first.
        let waiting = self
            .threads
            .iter()
            .position(|thread| !thread.admitted && self.may_hold(&thread.id, thread.need));
        if let Some(place) = waiting {
            self.threads[place].admitted = true;
            self.threads.sort();
            return true;
        }
        if let Some((segment, task)) = self.candidate() {
            self.queues[segment].remove(&task.id);
            self.take(task.id.clone(), Some((segment, task)));
            return true;
        }
        let id = ItemId::new(self.read);
        let pulling = self.threads.iter().any(|thread| thread.step.is_none());
        let more = (self.read as usize) < self.case.items.len();
        if pulling || !more || self.queues[0].len() >= self.rules.cap || !self.may_hold(&id, 1) {
            return false;
        }
        self.live.enter(id.clone(), 0);
        self.take(id, None);
        true
    }

    /// The thread at `place` finishes what it does.
    fn finish(&mut self, place: usize) {
        let Thread { id, step, .. } = self.threads.remove(place);
        let out = match step {
            None => {
                self.read += 1;
                self.case.read(&id)
            }
            Some((segment, task)) => {
                let mut out = Settlement::default();
                self.case.step(segment, &task, &mut out, &mut self.delivered);
                out
            }
        };
        if !self.case.ordered {
            self.delivered.sort();
        }
        self.live.leave(&id);
        for Produced { id, segment, weight, entry } in out.produced {
            self.live.enter(id.clone(), if self.rules.counts { 1 } else { weight });
            let parked = matches!(entry.task.work, Work::Parked { .. });
            if parked && self.rules.holds_worker {
                self.take(id, Some((segment, entry.task)));
            } else {
                self.queues[segment].insert(id, entry.task);
            }
        }
    }
}

impl Scheme for Naive<'_> {
    fn moves(&self) -> Vec<Self> {
        let mut moves = Vec::new();
        let mut next = self.clone();
        if self.busy() <= self.case.workers + 1 && next.ask() {
            moves.push(next);
        }
        for place in (0..self.busy()).filter(|place| self.threads[*place].admitted) {
            let mut next = self.clone();
            next.finish(place);
            moves.push(next);
        }
        moves
    }

    fn busy(&self) -> usize {
        self.threads.len()
    }

    fn waits(&self, id: &ItemId, segment: usize) -> bool {
        self.queues[segment].contains_key(id)
    }

    fn is_done(&self) -> bool {
        self.live.is_empty() && self.read as usize == self.case.items.len()
    }

    fn check_end(&self) {
        assert_eq!(self.delivered.len(), self.case.outputs().len());
    }

    fn description(&self) -> String {
        let told = (&self.queues, &self.live, &self.threads, self.read, &self.delivered);
        format!("{told:?}")
    }
}

/// Whether one of the usual cases has a schedule that is stuck.
fn is_stuck(spare: &[u64], rules: impl Fn(&Case) -> Rules) -> bool {
    let cases = vary(usual_cases(), &[1, 2], |case, workers| case.workers = *workers);
    let cases = vary(cases, spare, |case, spare| case.spare = *spare);
    cases.iter().any(|case| search(Naive::new(case, rules(case))).is_err())
}

const SCARCE: &[u64] = &[0, 1, 3];
/// Room for younger items to overtake the oldest.
const AMPLE: &[u64] = &[6, 10];

pub(super) fn sound(case: &Case) -> Rules {
    Rules {
        line: case.reserve + case.spare,
        reserve: case.reserve,
        holds_worker: false,
        cap: 64,
        counts: false,
        first: First::Oldest,
    }
}

#[test]
fn the_scheme_without_a_fault_is_not_stuck() {
    assert!(!is_stuck(SCARCE, sound));
}

#[test]
fn holding_a_worker_while_waiting_for_memory_is_stuck() {
    // Two younger items overtake the oldest in the first stage, take both workers
    // of the second and wait there for bytes that only the oldest will give back.
    let items = families(&[(1, 4), (1, 4), (1, 4)]);
    let case = Case { workers: 2, spare: 8, ..Case::new(items) };
    assert!(search(Naive::new(&case, sound(&case))).is_ok());
    let faulty = Rules { holds_worker: true, ..sound(&case) };
    assert!(search(Naive::new(&case, faulty)).is_err());
}

#[test]
fn no_reserve_is_stuck() {
    assert!(is_stuck(SCARCE, |case| Rules { reserve: 0, ..sound(case) }));
}

#[test]
fn a_reserve_one_unit_too_small_is_stuck() {
    assert!(is_stuck(SCARCE, |case| {
        let Rules { line, reserve, .. } = sound(case);
        Rules { line: line - 1, reserve: reserve - 1, ..sound(case) }
    }));
}

#[test]
fn a_queue_that_the_oldest_cannot_pass_is_stuck() {
    assert!(is_stuck(AMPLE, |case| Rules { cap: 1, ..sound(case) }));
}

#[test]
fn a_slot_for_each_stage_is_stuck() {
    assert!(is_stuck(SCARCE, |case| Rules { line: 3, reserve: 0, counts: true, ..sound(case) }));
}
