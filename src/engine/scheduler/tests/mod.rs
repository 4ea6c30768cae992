//! Every schedule of small pipelines: the real scheduler, driven through all
//! orders in which threads may ask for work and finish it. `naive` shows that the
//! search finds where other schemes are stuck.
//!
//! The pipeline is `map -> flat_map (0-2 children) -> map -> sink`. The search
//! visits each reachable state once and checks that it is not stuck, that the line
//! holds, and at every end that each item met its fate and no byte is lost.

mod naive;
mod workers;

use std::collections::HashSet;
use std::fmt::Debug;

use super::*;
use crate::budget::Budget;
use crate::plan::{Settings, plan};
use crate::queue::Need;
use crate::stage::{Footprint, Stage};

/// Sizes of one item of the source along its way.
#[derive(Clone, Copy, Debug)]
struct Size {
    source: u64,
    mapped: u64,
    /// What the `flat_map` call works with while it is open.
    open: u64,
    children: u64,
    child: u64,
    /// What the second map works with, its output included.
    last: u64,
    output: u64,
}

impl Size {
    /// The most that the item needs at any step.
    fn largest(&self) -> u64 {
        let held = self.mapped + self.open;
        let steps = [
            self.source + self.mapped,
            held + 1,
            held + self.child + self.last,
            held + self.output,
            held + self.child,
        ];
        steps.into_iter().max().expect("there are steps")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    Map,
    Open,
    Parked { next: u64 },
    Last,
    Deliver,
}

#[derive(Clone, Debug)]
struct Case {
    sizes: Vec<Size>,
    ordered: bool,
    workers: usize,
    spare: u64,
    queue_bound: usize,
    /// Batch size of the second map.
    gather: Option<usize>,
}

/// Something a thread is doing.
#[derive(Clone, Debug)]
enum Doing {
    Step { segment: usize, group: Vec<(ItemId, Work)> },
    Pull { id: ItemId },
}

/// What a search explores.
trait Scheme: Clone + Debug {
    /// One thread asks for work; whether anything changed.
    fn ask(&mut self) -> bool;
    /// Threads at work.
    fn busy(&self) -> usize;
    /// Whether the thread at `place` has what it needs.
    fn may_finish(&self, place: usize) -> bool;
    /// The thread at `place` finishes what it does.
    fn finish(&mut self, place: usize);
    fn is_done(&self) -> bool;
    fn check_end(&self);
}

#[derive(Clone, Debug)]
struct State<'a> {
    case: &'a Case,
    scheduler: Scheduler<Work>,
    threads: Vec<Doing>,
    delivered: Vec<ItemId>,
}

impl Drop for State<'_> {
    /// A state is a copy that the search is done with; its permits are nobody's.
    fn drop(&mut self) {
        while let Some(id) = self.scheduler.frontier.oldest().cloned() {
            let live = self.scheduler.frontier.leave(&id).expect("it is there");
            std::mem::forget((live.cargo, live.step));
        }
    }
}

impl Case {
    /// The most that one item needs.
    fn reserve(&self) -> u64 {
        self.sizes.iter().map(Size::largest).max().expect("a case has items")
    }

    fn start(&self) -> State<'_> {
        let reserve = self.reserve();
        let budget = Budget::new(reserve + self.spare, self.workers + 1);
        let workers = self.workers;
        let stage = |name: &str| Stage::memory(name, Footprint::none()).workers(workers);
        let mut last = stage("last").map(|(): ()| ()).spec;
        last.gather = self.gather;
        let specs = [
            stage("map").map(|(): ()| ()).spec,
            stage("flat").flat_map(|(): ()| None::<()>).spec,
            last,
        ];
        let settings = Settings { ordered: self.ordered, window: 64, largest_item: Some(reserve) };
        let mut plan = plan(&budget, &specs, &settings).expect("the case fits");
        plan.segments.iter_mut().for_each(|segment| segment.queue_bound = self.queue_bound);
        let scheduler = Scheduler::new(&plan, false, None);
        State { case: self, scheduler, threads: vec![], delivered: vec![] }
    }

    fn size(&self, id: &ItemId) -> &Size {
        &self.sizes[id.source_index() as usize]
    }

    fn produced(
        &self,
        id: ItemId,
        segment: usize,
        weight: u64,
        declared: u64,
        work: Work,
    ) -> Produced<Work> {
        let need = Need { declared, learned: 0 };
        Produced { id, segment, weight, entry: Entry { items: 1, need, task: work } }
    }

    /// What a finished step yields, as the nodes would.
    fn outcome(&self, doing: &Doing, delivered: &mut Vec<ItemId>) -> Settlement<Work> {
        let mut out = Settlement::default();
        match doing {
            Doing::Pull { id } => {
                out.consumed.push(id.clone());
                if let Some(size) = self.sizes.get(id.source_index() as usize) {
                    let item = self.produced(id.clone(), 0, size.source, size.mapped, Work::Map);
                    out.produced.push(item);
                }
            }
            Doing::Step { group, .. } => {
                for (id, work) in group {
                    out.consumed.push(id.clone());
                    self.step(id, work, &mut out, delivered);
                }
            }
        }
        out
    }

    fn step(
        &self,
        id: &ItemId,
        work: &Work,
        out: &mut Settlement<Work>,
        delivered: &mut Vec<ItemId>,
    ) {
        let size = self.size(id);
        let mut make = |id: ItemId, segment, weight, need, work| {
            out.produced.push(self.produced(id, segment, weight, need, work));
        };
        match *work {
            Work::Map => {
                let need = size.open + u64::from(size.children > 0);
                make(id.clone(), 1, size.mapped, need, Work::Open);
            }
            Work::Open | Work::Parked { .. } => {
                let next = if let Work::Parked { next } = *work { next } else { 0 };
                if next < size.children {
                    make(id.child(next), 2, size.child, size.last, Work::Last);
                }
                if next + 1 < size.children {
                    make(
                        id.clone(),
                        1,
                        size.mapped + size.open,
                        1,
                        Work::Parked { next: next + 1 },
                    );
                }
            }
            Work::Last => make(id.clone(), 3, size.output, 0, Work::Deliver),
            Work::Deliver => delivered.push(id.clone()),
        }
    }

    fn expected(&self) -> Vec<ItemId> {
        let families = self.sizes.iter().zip(0..).flat_map(|(size, index)| {
            (0..size.children).map(move |child| ItemId::new(index).child(child))
        });
        families.collect()
    }
}

impl Scheme for State<'_> {
    fn ask(&mut self) -> bool {
        // The clock stands still, so a batch is never due by time: only what the
        // scheduler does by itself counts.
        match self.scheduler.choose(0) {
            Choice::Run { segment, first, rest } => {
                let group = std::iter::once(first).chain(rest).collect();
                self.threads.push(Doing::Step { segment, group });
                true
            }
            Choice::Pull { id, .. } => {
                self.threads.push(Doing::Pull { id });
                true
            }
            Choice::Idle | Choice::Over => false,
        }
    }

    fn busy(&self) -> usize {
        self.threads.len()
    }

    fn may_finish(&self, _place: usize) -> bool {
        true
    }

    fn finish(&mut self, place: usize) {
        let doing = self.threads.remove(place);
        let mut out = self.case.outcome(&doing, &mut self.delivered);
        let mut dropped = Vec::new();
        match doing {
            Doing::Step { segment, .. } => {
                self.scheduler.settle(segment, 0, 0, &mut out, &mut dropped);
            }
            Doing::Pull { .. } => {
                let read = out.produced.len() as u64;
                self.scheduler.settle_pull(read, read == 0, 0, &mut out, &mut dropped);
            }
        }
        let ledger = self.scheduler.ledger();
        // Only a child can weigh more than was admitted for it: one unit.
        let heaviest = self.case.sizes.iter().map(|size| size.child).max().unwrap_or(0);
        let bound = self.case.workers as u64 * heaviest.saturating_sub(1);
        assert!(ledger.overweight() <= bound, "{} > {bound}: {self:?}", ledger.overweight());
    }

    fn is_done(&self) -> bool {
        self.scheduler.is_over()
    }

    fn check_end(&self) {
        let mut delivered = self.delivered.clone();
        if !self.case.ordered {
            delivered.sort();
        }
        assert_eq!(delivered, self.case.expected(), "{:?}", self.case);
        assert_eq!(self.scheduler.ledger().booked(), 0, "permits were lost: {:?}", self.case);
    }
}

/// Visits every reachable state; how many there are, or one that is stuck.
fn search<S: Scheme>(start: S, threads: usize) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        let mut moves = Vec::new();
        let mut asked = state.clone();
        if state.busy() < threads && asked.ask() {
            moves.push(asked);
        }
        for place in (0..state.busy()).filter(|place| state.may_finish(*place)) {
            let mut next = state.clone();
            next.finish(place);
            moves.push(next);
        }
        if moves.is_empty() {
            if !state.is_done() {
                return Err(format!("stuck: {state:#?}"));
            }
            state.check_end();
        }
        // A state is told by how it prints; what it prints is all it has.
        moves.retain(|next| seen.insert(format!("{next:?}")));
        open.append(&mut moves);
    }
    Ok(seen.len())
}

fn sizes(pattern: &[(u64, u64)]) -> Vec<Size> {
    // (children, weight of each child)
    let size = |&(children, child): &(u64, u64)| Size {
        source: 1,
        mapped: 2,
        open: 1,
        children,
        child,
        last: 2,
        output: 2,
    };
    pattern.iter().map(size).collect()
}

/// Every combination of some patterns, both orders and the given bounds.
fn cases(
    workers: &[usize],
    spare: &[u64],
    bounds: &[usize],
    gathers: &[Option<usize>],
) -> Vec<Case> {
    let patterns: [&[(u64, u64)]; 5] = [
        &[(1, 1), (1, 1)],
        &[(2, 1), (2, 3)],
        &[(0, 1), (2, 2)],
        &[(2, 3), (0, 1), (1, 1)],
        &[(2, 1), (1, 4)],
    ];
    let mut cases = Vec::new();
    let orders = patterns.iter().flat_map(|pattern| [(pattern, false), (pattern, true)]);
    for (pattern, ordered) in orders {
        for (&workers, &spare) in workers.iter().flat_map(|w| spare.iter().map(move |s| (w, s))) {
            for (&queue_bound, &gather) in
                bounds.iter().flat_map(|b| gathers.iter().map(move |g| (b, g)))
            {
                let sizes = sizes(pattern);
                cases.push(Case { sizes, ordered, workers, spare, queue_bound, gather });
            }
        }
    }
    cases
}

#[test]
fn no_schedule_is_stuck_and_none_crosses_the_line() {
    let mut states = 0;
    for case in cases(&[1, 2], &[0, 1, 3, 6], &[1, 4], &[None, Some(2)]) {
        let found = search(case.start(), case.workers + 1);
        states += found.unwrap_or_else(|stuck| panic!("{case:?}\n{stuck}"));
    }
    println!("{states} states");
    assert!(states > 10_000, "the search has become too small to prove anything: {states}");
}
