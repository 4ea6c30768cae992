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
}

#[derive(Clone, Debug)]
pub(super) struct Naive<'a> {
    case: &'a Case,
    rules: Rules,
    queues: [BTreeMap<ItemId, Work>; 4],
    live: Frontier<u64>,
    threads: Vec<Thread>,
    read: u64,
    delivered: Vec<ItemId>,
}

#[derive(Clone, Debug)]
struct Thread {
    id: ItemId,
    /// `None` while it reads the source.
    step: Option<(usize, Work)>,
    need: u64,
    admitted: bool,
}

impl<'a> Naive<'a> {
    pub(super) fn new(case: &'a Case, rules: Rules) -> Self {
        Self {
            case,
            rules,
            queues: Default::default(),
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

    fn need(&self, id: &ItemId, work: &Work) -> u64 {
        let size = self.case.size(id);
        if self.rules.counts {
            return u64::from(matches!(work, Work::Open | Work::Parked { .. }));
        }
        match work {
            Work::Map => size.mapped,
            Work::Open => size.open + size.child,
            Work::Parked { .. } => size.child,
            Work::Last => size.last,
            Work::Deliver => 0,
        }
    }

    fn weight(&self, produced: &Produced<Work>) -> u64 {
        if self.rules.counts { 1 } else { produced.weight }
    }

    /// A step that could be taken, as far as workers, order and caps have a say.
    fn candidate(&self) -> Option<(usize, ItemId, Work)> {
        (0..4).rev().find_map(|segment| {
            let busy =
                |thread: &&Thread| thread.step.as_ref().is_some_and(|step| step.0 == segment);
            let workers = if segment == 3 { 1 } else { self.case.workers };
            let full = segment < 3 && self.queues[segment + 1].len() >= self.rules.cap;
            if self.threads.iter().filter(busy).count() >= workers || full {
                return None;
            }
            let ready = |id: &&ItemId| {
                let in_order = segment < 3 || !self.case.ordered || self.live.oldest() == Some(id);
                let work = &self.queues[segment][*id];
                in_order && (self.rules.holds_worker || self.may_hold(id, self.need(id, work)))
            };
            let id = self.queues[segment].keys().find(ready)?;
            Some((segment, id.clone(), self.queues[segment][id].clone()))
        })
    }

    fn take(&mut self, id: ItemId, step: Option<(usize, Work)>) {
        let need = match &step {
            Some((_, work)) => self.need(&id, work),
            None => 1,
        };
        let admitted = self.may_hold(&id, need);
        self.threads.push(Thread { id, step, need, admitted });
    }
}

impl Scheme for Naive<'_> {
    fn ask(&mut self) -> bool {
        // Whoever waits with a worker in hand is served first.
        let waiting = self
            .threads
            .iter()
            .position(|thread| !thread.admitted && self.may_hold(&thread.id, thread.need));
        if let Some(place) = waiting {
            self.threads[place].admitted = true;
            return true;
        }
        if let Some((segment, id, work)) = self.candidate() {
            self.queues[segment].remove(&id);
            self.take(id, Some((segment, work)));
            return true;
        }
        let id = ItemId::new(self.read);
        let pulling = self.threads.iter().any(|thread| thread.step.is_none());
        let more = (self.read as usize) < self.case.sizes.len();
        if pulling || !more || self.queues[0].len() >= self.rules.cap || !self.may_hold(&id, 1) {
            return false;
        }
        self.live.enter(id.clone(), 0);
        self.take(id, None);
        true
    }

    fn busy(&self) -> usize {
        self.threads.len()
    }

    fn may_finish(&self, place: usize) -> bool {
        self.threads[place].admitted
    }

    fn finish(&mut self, place: usize) {
        let Thread { id, step, .. } = self.threads.remove(place);
        let doing = match step.clone() {
            None => {
                self.read += 1;
                Doing::Pull { id: id.clone() }
            }
            Some((segment, work)) => Doing::Step { segment, group: vec![(id.clone(), work)] },
        };
        let out = self.case.outcome(&doing, &mut self.delivered);
        self.live.leave(&id);
        for produced in out.produced {
            let weight = self.weight(&produced);
            self.live.enter(produced.id.clone(), weight);
            let parked = matches!(produced.entry.task, Work::Parked { .. });
            if parked && self.rules.holds_worker {
                self.take(produced.id, Some((produced.segment, produced.entry.task)));
            } else {
                self.queues[produced.segment].insert(produced.id, produced.entry.task);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.live.is_empty() && self.read as usize == self.case.sizes.len()
    }

    fn check_end(&self) {
        assert_eq!(self.delivered.len(), self.case.expected().len());
    }
}

/// Whether one of the cases has a schedule that is stuck.
fn is_stuck(spare: &[u64], rules: impl Fn(&Case) -> Rules) -> bool {
    cases(&[1, 2], spare, &[4], &[None]).iter().any(|case| {
        let threads = case.workers + 2;
        search(Naive::new(case, rules(case)), threads).is_err()
    })
}

const SCARCE: &[u64] = &[0, 1, 3];
/// Room for younger items to overtake the oldest.
const AMPLE: &[u64] = &[6, 10];

fn sound(case: &Case) -> Rules {
    let reserve = case.reserve();
    Rules { line: reserve + case.spare, reserve, holds_worker: false, cap: 64, counts: false }
}

#[test]
fn the_scheme_without_a_fault_is_not_stuck() {
    assert!(!is_stuck(SCARCE, sound));
}

#[test]
fn holding_a_worker_while_waiting_for_memory_is_stuck() {
    // Two younger items overtake the oldest in the first stage, take both workers
    // of the second and wait there for bytes that only the oldest will give back.
    let sizes = sizes(&[(1, 4), (1, 4), (1, 4)]);
    let case = Case { sizes, ordered: false, workers: 2, spare: 8, queue_bound: 4, gather: None };
    assert!(search(Naive::new(&case, sound(&case)), 4).is_ok());
    let faulty = Rules { holds_worker: true, ..sound(&case) };
    assert!(search(Naive::new(&case, faulty), 4).is_err());
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
