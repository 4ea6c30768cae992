//! What becomes of a step's outcome: bytes change hands, the frontier advances.

use super::{Live, Nanos, Produced, Scheduler, Settlement, Waits};
use crate::item::ItemId;
use crate::ledger::{Account, Refusal};
use crate::queue::{AgeQueue, Need};

impl<T> Scheduler<T> {
    /// Returns the bytes that the step worked on: what the consumed held, and what it asked
    /// for or made, if that is more; unless a worker's state was built meanwhile.
    pub(super) fn exchange(
        &mut self,
        settlement: &mut Settlement<T>,
        dropped: &mut Vec<T>,
    ) -> Option<u64> {
        let (mut held, mut asked, mut builds) = (0, 0, false);
        let output = settlement.weight();
        for id in settlement.consumed.drain(..) {
            let live = self.frontier.leave(&id).expect("only a live parcel is consumed");
            held += live.cargo.bytes();
            asked = live.need.declared.saturating_add(asked);
            builds |= live.begins_worker;
            self.aboard -= live.items;
            self.release(live);
        }
        if let Some(id) = settlement.failed.take() {
            self.cut(id, dropped);
        }
        let mut made = Vec::with_capacity(settlement.produced.len());
        for produced in settlement.produced.drain(..) {
            if self.is_useful(&produced.id) {
                made.push((produced.id.clone(), produced.weight));
                self.enqueue(produced);
            } else {
                self.cancelled += produced.entry.items;
                dropped.push(produced.entry.task);
            }
        }
        self.book(made);
        (settlement.items, settlement.pages_of_states) = (0, 0);
        self.most_aboard = self.most_aboard.max(self.aboard);
        self.ask_again();
        (!builds).then_some(output.max(asked).saturating_add(held))
    }

    /// Bytes were released: whoever was refused may ask again.
    pub(super) fn ask_again(&mut self) {
        self.segments.iter_mut().for_each(|segment| segment.hungry = None);
        self.source.hungry = None;
    }

    /// Books what was made: on the reserve what is of the oldest chain, which is
    /// promoted as a whole; on the common account the rest.
    ///
    /// If the oldest is in a step already, that moves to the reserve, too, where it fits:
    /// the common account is no longer short of it, and nobody else needs the reserve
    /// before that step is settled. The step of an ancestor does not move, it would be in
    /// the way of the oldest's.
    fn book(&mut self, mut made: Vec<(ItemId, u64)>) {
        let mut oldest = None;
        for (id, live) in self.frontier.oldest_chain() {
            self.ledger.promote(&mut live.cargo);
            if let Some(place) = made.iter().position(|(other, _)| other == id) {
                let (_, weight) = made.swap_remove(place);
                live.cargo = self.ledger.charge(weight, Account::Reserve);
            }
            oldest = Some(live);
        }
        if let Some(step) = oldest.and_then(|live| live.step.as_mut()) {
            self.ledger.promote_if_it_fits(step);
        }
        for (id, weight) in made {
            let live = self.frontier.get_mut(&id).expect("it was made just now");
            live.cargo = self.ledger.charge(weight, Account::Common);
        }
    }

    /// Puts a parcel where it waits; what it weighs is booked afterwards, when
    /// it is known who is the oldest.
    fn enqueue(&mut self, produced: Produced<T>) {
        let Produced { id, segment, entry, .. } = produced;
        let cargo = self.ledger.charge(0, Account::Common);
        let (items, since) = (entry.items, self.clock);
        let (step, begins_worker, need, queued) = (None, false, Need::default(), true);
        let live = Live { cargo, step, begins_worker, need, items, segment, queued, since };
        self.aboard += entry.items;
        self.frontier.enter(id.clone(), live);
        let queue = &mut self.segments[segment];
        queue.queue.push(id, entry);
        if queue.gather.is_some() {
            queue.partial_since.get_or_insert(self.clock);
        }
    }

    fn release(&mut self, live: Live) {
        self.ledger.release(live.cargo);
        if let Some(step) = live.step {
            self.ledger.release(step);
        }
    }

    /// Stops everything behind `id`; what is older goes on, so that the first
    /// failure in order is found whatever the schedule.
    fn cut(&mut self, id: ItemId, dropped: &mut Vec<T>) {
        if self.cutoff.as_ref().is_some_and(|cutoff| *cutoff <= id) {
            return;
        }
        self.cutoff = Some(id);
        self.source.open = false;
        self.purge(dropped);
    }

    fn is_useful(&self, id: &ItemId) -> bool {
        self.halted.is_none()
            && self.cutoff.as_ref().is_none_or(|cutoff| id < cutoff && !cutoff.descends_from(id))
    }

    pub(super) fn purge(&mut self, dropped: &mut Vec<T>) {
        for index in 0..self.segments.len() {
            let mut queue = std::mem::replace(&mut self.segments[index].queue, AgeQueue::new());
            for (id, entry) in queue.take_unless(|id| self.is_useful(id)) {
                let live = self.frontier.leave(&id).expect("what is queued is unfinished");
                self.aboard -= live.items;
                self.release(live);
                self.cancelled += entry.items;
                dropped.push(entry.task);
            }
            if queue.is_empty() {
                self.segments[index].partial_since = None;
            }
            self.segments[index].queue = queue;
        }
    }

    /// Books the time since the last event to where each idle worker stood.
    pub(super) fn advance_clock(&mut self, now: Nanos) {
        let passed = now.saturating_sub(self.clock);
        if passed == 0 {
            return;
        }
        self.note_shut(passed);
        for index in 0..self.segments.len() {
            let idle =
                (self.segments[index].workers - self.segments[index].running) as u64 * passed;
            let blocked = self.is_blocked_downstream(index);
            let no_core = self.computing >= self.cores;
            let (spare, unread) = (self.spare, self.source_refusal(index));
            let segment = &mut self.segments[index];
            // With every core at work, more input would not help.
            let account = if no_core && !segment.waits {
                &mut segment.waited.core
            } else if segment.lacks_input(now) {
                match unread {
                    Some(refusal) => segment.waited.for_memory(refusal, idle),
                    None => &mut segment.waited.input,
                }
            } else if blocked {
                &mut segment.waited.downstream
            } else if let Some(refusal) = segment.refusal(spare) {
                segment.waited.for_memory(refusal, idle)
            } else {
                &mut segment.waited.core
            };
            *account += idle;
        }
        self.clock = now;
    }
}

impl Waits {
    /// Where `idle` goes of who was refused memory; the part that real memory is to blame for is
    /// booked.
    fn for_memory(&mut self, refusal: Refusal, idle: Nanos) -> &mut Nanos {
        if refusal == Refusal::Tight {
            self.tight += idle;
        }
        &mut self.memory
    }
}
