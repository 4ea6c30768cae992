//! The real scheduler as a scheme to be searched, with threads that do what it says.

use std::collections::BTreeSet;

use super::*;
use crate::budget::Budget;
use crate::plan::{Settings, plan};
use crate::stage::{Footprint, Stage};

/// When the time limit of a case is over; before that the clock stands still, so
/// that a batch is never due by time: only what the scheduler does by itself counts.
const LIMIT: Nanos = 1;

#[derive(Clone, Debug)]
pub(super) struct State<'a> {
    case: &'a Case,
    pub(super) scheduler: Scheduler<Task>,
    now: Nanos,
    /// What each thread at work is doing, sorted: which thread it is does not matter.
    threads: Vec<Doing>,
    /// What was made and has not met its end.
    aboard: BTreeSet<Task>,
    delivered: Vec<ItemId>,
}

/// Something a thread, or the consumer, is doing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    Step {
        segment: usize,
        group: Vec<Task>,
    },
    Pull {
        id: ItemId,
    },
    /// An item that was taken over from a pull.
    Part {
        id: ItemId,
    },
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
    pub(super) fn start(&self) -> State<'_> {
        let budget = Budget::new(self.reserve + self.spare, self.cores);
        let stage = |index: usize| Stage::memory(format!("{index}"), Footprint::none());
        let stages = (0..self.segments() - 1).map(|index| stage(index).map(|(): ()| ()).spec);
        let (ordered, window, largest_item) = (self.ordered, self.window, Some(self.reserve));
        let settings = Settings { ordered, window, largest_item };
        let specs: Vec<_> = stages.collect();
        let mut plan = plan(&budget, &specs, &settings).expect("the case fits");
        let sink = self.segments() - 1;
        for (index, segment) in plan.segments.iter_mut().enumerate() {
            segment.workers = if index == sink { 1 } else { self.workers };
            segment.queue_bound = self.queue_bound;
            segment.per_worker = u64::from(self.unsettled);
            segment.waits = self.waits == Some(index);
            segment.gather = self.gather.filter(|_| index + 1 == sink);
        }
        let limit = self.may_stop.then_some(LIMIT);
        let scheduler = Scheduler::new(&plan, self.outside_sink, limit);
        State {
            case: self,
            scheduler,
            now: 0,
            threads: vec![],
            aboard: BTreeSet::new(),
            delivered: vec![],
        }
    }
}

impl State<'_> {
    fn sink(&self) -> usize {
        self.case.segments() - 1
    }

    /// Whether the consumer outside has an output in hand.
    fn is_consuming(&self) -> bool {
        let sink = self.sink();
        let serves =
            |doing: &Doing| matches!(doing, Doing::Step { segment, .. } if *segment == sink);
        self.case.outside_sink && self.threads.iter().any(serves)
    }

    fn begin(&mut self, doing: Doing) {
        self.threads.push(doing);
        self.threads.sort();
    }

    /// A thread of the run asks for work; whether anything changed.
    fn ask(&mut self) -> bool {
        // A thread that sleeps is woken if `has_work` says so. It must say so
        // whenever there is some, or it would sleep for ever; and when there is none
        // after all it must not say so again, or it would never sleep.
        let (knew, was_over) = (self.scheduler.has_work(self.now), self.scheduler.is_over());
        let doing = match self.scheduler.choose(self.now) {
            Choice::Run { segment, first: (_, first), rest } => {
                let group = std::iter::once(first).chain(rest.into_iter().map(|(_, task)| task));
                Doing::Step { segment, group: group.collect() }
            }
            Choice::Pull { id, .. } => Doing::Pull { id },
            Choice::Idle => {
                assert!(!self.scheduler.has_work(self.now), "no thread could sleep: {self:#?}");
                return false;
            }
            Choice::Over => {
                let mut dropped = Vec::new();
                self.scheduler.drop_rest(&mut dropped);
                // It may have been over, but for the look at the time.
                let changed = !was_over || !dropped.is_empty();
                self.bury(dropped);
                return changed;
            }
        };
        // A partial batch is begun by whoever brought the others to rest, or by time.
        let partial = self.case.gather.is_some() && matches!(doing, Doing::Step { .. });
        assert!(knew || partial, "no thread would be woken: {self:#?}");
        self.begin(doing);
        true
    }

    /// A thread takes over the item that the pull under way has read; whether there is one.
    fn take_over(&mut self) -> bool {
        let items = self.case.items.len() as u64;
        let pull = self.threads.iter_mut().find_map(|doing| match doing {
            Doing::Pull { id } if id.source_index() < items => Some(id),
            _ => None,
        });
        let Some(pull) = pull else { return false };
        *pull = ItemId::new(pull.source_index() + 1);
        let id = self.scheduler.split_pull(1);
        self.begin(Doing::Part { id });
        true
    }

    /// The consumer outside asks for an output; whether there was one.
    fn take_output(&mut self) -> bool {
        let knew = self.scheduler.has_output();
        let output = self.scheduler.choose_output(self.now);
        assert!(knew || output.is_none(), "the consumer would not be woken: {self:#?}");
        let Some((_, task)) = output else { return false };
        self.begin(Doing::Step { segment: self.sink(), group: vec![task] });
        true
    }

    /// The thread at `place` brings back what came of its step.
    fn finish(&mut self, place: usize) {
        let mut dropped = Vec::new();
        match self.threads.remove(place) {
            Doing::Step { segment, group } => {
                let mut out = Settlement::default();
                for task in &group {
                    self.case.step(segment, task, &mut out, &mut self.delivered);
                }
                self.bury(group);
                self.note_made(&out);
                self.scheduler.settle(segment, 0, self.now, &mut out, &mut dropped);
            }
            Doing::Part { id } => {
                let mut out = self.case.read(&id);
                self.note_made(&out);
                self.scheduler.settle_part(1, self.now, &mut out, &mut dropped);
            }
            Doing::Pull { id } => {
                let mut out = self.case.read(&id);
                let read = out.produced.len() as u64;
                self.note_made(&out);
                self.scheduler.settle_pull(
                    Pulled { ended: read == 0, ..pulled(read) },
                    self.now,
                    &mut out,
                    &mut dropped,
                );
            }
        }
        self.bury(dropped);
        if !self.case.ordered {
            self.delivered.sort();
        }
        self.check_line();
    }

    fn note_made(&mut self, out: &Settlement<Task>) {
        for produced in &out.produced {
            assert!(self.aboard.insert(produced.entry.task.clone()), "it was made twice");
        }
    }

    /// Everything meets its end once.
    fn bury(&mut self, tasks: Vec<Task>) {
        for task in tasks {
            assert!(self.aboard.remove(&task), "{task:?} ended twice: {self:#?}");
        }
    }

    fn check_line(&self) {
        let (ledger, case) = (self.scheduler.ledger(), self.case);
        assert!(ledger.peak_booked() <= case.reserve + case.spare, "the line: {self:#?}");
        let bound = case.most_overweight();
        assert!(ledger.overweight() <= bound, "overweight by more than {bound}: {self:#?}");
    }

    /// Whether the reserve is the oldest chain's (I2): nobody else holds a byte of it, of
    /// steps only the oldest's is on it, and there it is, unless it is too large. (That what the
    /// oldest is still to begin finds room there, the scheduler asserts itself.)
    fn check_reserve(&self) -> Result<(), &'static str> {
        let Scheduler { frontier, ledger, .. } = &self.scheduler;
        let Some(oldest) = frontier.oldest() else { return Ok(()) };
        // Nothing that is no ancestor of the oldest is smaller.
        let chain = frontier.iter().take_while(|(id, _)| *id <= oldest);
        let cargo: u64 = chain.map(|(_, live)| live.cargo.on_reserve()).sum();
        let steps = frontier.iter().filter_map(|(id, live)| Some((id, live.step.as_ref()?)));
        let steps: Vec<_> = steps.collect();
        let step: u64 = steps.iter().map(|(_, step)| step.on_reserve()).sum();
        let room = ledger.reserve_room();
        if cargo + step + room != self.case.reserve {
            return Err("somebody else holds some of the reserve");
        }
        if steps.iter().any(|(id, step)| *id != oldest && step.on_reserve() > 0) {
            return Err("a step is on the reserve that is not the oldest's");
        }
        let idles = |step: &Permit| step.on_reserve() < step.bytes() && step.bytes() <= room;
        let halted = self.scheduler.halted().is_some();
        if !halted && steps.iter().any(|(id, step)| *id == oldest && idles(step)) {
            return Err("the reserve lies idle");
        }
        Ok(())
    }

    fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    /// What a look at real memory may find: that it is as accounted, or far too much, and
    /// a call that took three times what was wanted.
    fn looks(&self) -> Vec<Self> {
        let found = [(0, u64::MAX), (u64::MAX, 0)];
        let mut next: Vec<_> = found
            .map(|(withheld, spare)| {
                self.changed(|next| {
                    next.scheduler.observe(withheld, spare, next.now);
                })
            })
            .into();
        if self.scheduler.segments[1].heft == 1.0 {
            next.push(self.changed(|next| next.scheduler.note_heft(Some(1), 3.0)));
        }
        next
    }

    fn halt(&mut self, why: Halt) {
        let mut dropped = Vec::new();
        self.scheduler.halt(why, &mut dropped);
        self.bury(dropped);
    }
}

impl Scheme for State<'_> {
    fn moves(&self) -> Vec<Self> {
        let mut moves = Vec::new();
        let mut next = self.clone();
        let threads = self.threads.len() - usize::from(self.is_consuming());
        if threads < self.case.threads() && next.ask() {
            moves.push(next);
        }
        let mut next = self.clone();
        if threads < self.case.threads() && self.case.blocks && next.take_over() {
            moves.push(next);
        }
        let mut next = self.clone();
        if self.case.outside_sink && !self.is_consuming() && next.take_output() {
            moves.push(next);
        }
        let finished = |place| self.changed(|next| next.finish(place));
        moves.extend((0..self.threads.len()).map(finished));
        moves
    }

    fn disturbances(&self) -> Vec<Self> {
        if self.scheduler.is_over() {
            return Vec::new();
        }
        if self.case.unsettled {
            return self.looks();
        }
        if !self.case.may_stop {
            return Vec::new();
        }
        let mut next = vec![self.changed(|next| next.halt(Halt::Cancelled))];
        if self.now < LIMIT {
            next.push(self.changed(|next| next.now = LIMIT));
        }
        next
    }

    fn busy(&self) -> usize {
        self.threads.len()
    }

    fn waits(&self, id: &ItemId, segment: usize) -> bool {
        self.scheduler.segments[segment].queue.get(id).is_some()
    }

    fn fault(&self) -> Option<String> {
        self.check_reserve().err().map(str::to_owned)
    }

    fn is_done(&self) -> bool {
        self.scheduler.is_over()
    }

    fn check_end(&self) {
        assert!(self.aboard.is_empty(), "something was lost: {self:#?}");
        let ledger = self.scheduler.ledger();
        assert_eq!((ledger.booked(), ledger.overweight()), (0, 0), "permits were lost: {self:#?}");
        let outputs = self.case.outputs();
        if self.scheduler.halted().is_some() {
            let known = self.delivered.iter().all(|id| outputs.contains(id));
            assert!(known && (!self.case.ordered || outputs.starts_with(&self.delivered)));
            return;
        }
        let first = self.case.first_failure();
        assert_eq!(self.scheduler.cutoff.as_ref(), first, "{self:#?}");
        let older: Vec<_> =
            outputs.into_iter().filter(|id| first.is_none_or(|first| id < first)).collect();
        let younger = self.delivered.iter().filter(|id| !older.contains(id)).count();
        assert!(younger == 0 || !(self.case.ordered || first.is_none()), "{self:#?}");
        assert!(older.iter().all(|id| self.delivered.contains(id)), "{self:#?}");
        assert!(self.delivered.is_sorted(), "{self:#?}");
        assert_eq!(self.delivered.len(), older.len() + younger, "{self:#?}");
    }

    fn description(&self) -> String {
        let told = (&self.scheduler, self.now, &self.threads, &self.delivered);
        format!("{told:?}")
    }
}
