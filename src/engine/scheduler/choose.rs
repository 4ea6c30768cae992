//! What is handed out next, and to whom the bytes go for it.

use super::{Choice, LINGER, Nanos, Scheduler, Segment};
use crate::item::ItemId;
use crate::ledger::{Account, Ledger, Permit, Refusal};
use crate::queue::Need;
use crate::stage::Takers;

impl<T> Scheduler<T> {
    pub(super) fn oldest_queued(&self) -> Option<(usize, ItemId)> {
        let id = self.frontier.oldest()?;
        let live = self.frontier.get(id)?;
        let sink_is_ours = !(self.outside_sink && live.segment == self.segments.len() - 1);
        (live.queued && sink_is_ours).then(|| (live.segment, id.clone()))
    }

    pub(super) fn choose_oldest(&mut self) -> Option<Choice<T>> {
        let (segment, id) = self.oldest_queued()?;
        if !self.may_start(segment, self.clock) {
            return None;
        }
        self.run(segment, id)
    }

    /// Downstream first: finishing an item frees memory, starting one takes it.
    pub(super) fn choose_downstream_first(&mut self) -> Option<Choice<T>> {
        for index in (0..self.segments.len()).rev() {
            let startable = self.is_ours(index) && self.may_start(index, self.clock);
            if startable && !self.is_blocked_downstream(index) {
                let id = self.segments[index].queue.head().map(|(id, _)| id.clone())?;
                let choice = self.run(index, id);
                if choice.is_some() {
                    return choice;
                }
            }
            // A head that waits for memory is older than the rest of its queue,
            // and what is further upstream would only take more: nobody passes.
            if self.segments[index].hungry.is_some() {
                return None;
            }
        }
        if self.may_pull() { self.pull() } else { None }
    }

    /// Whether the workers serve the segment, beyond what is the oldest's.
    pub(super) fn is_ours(&self, index: usize) -> bool {
        index != self.segments.len() - 1 || !(self.ordered || self.outside_sink)
    }

    /// When nothing moves, the batch the oldest waits in has nobody to wait for.
    pub(super) fn force_partial_batch(&mut self) -> Option<Choice<T>> {
        if self.source.pulling || self.segments.iter().any(|segment| segment.running > 0) {
            return None;
        }
        let (segment, id) = self.oldest_queued()?;
        self.run(segment, id)
    }

    /// Hands out `id`, and in a batching segment its followers, if admitted.
    fn run(&mut self, index: usize, id: ItemId) -> Option<Choice<T>> {
        let (id, task, mut items) = self.start(index, &id)?;
        let mut rest = Vec::new();
        if let Some(wanted) = self.segments[index].gather {
            while items < wanted {
                let Some((next, _)) = self.segments[index].queue.head() else { break };
                let next = next.clone();
                let Ok((next, task, more)) = self.admit(index, &next) else { break };
                items += more;
                rest.push((next, task));
            }
            let segment = &mut self.segments[index];
            segment.partial_since = (!segment.queue.is_empty()).then_some(self.clock);
        }
        Some(Choice::Run { segment: index, first: (id, task), rest })
    }

    /// Admits `id` and takes a worker and, unless the segment waits, a core.
    pub(super) fn start(&mut self, index: usize, id: &ItemId) -> Option<(ItemId, T, u64)> {
        let started = self.admit(index, id);
        let segment = &mut self.segments[index];
        segment.hungry = started.as_ref().err().copied();
        if started.is_ok() {
            segment.running += 1;
            let begins_worker = segment.running > segment.built;
            if begins_worker {
                segment.built = segment.running;
                self.spare = self.spare.saturating_sub(segment.per_worker);
            }
            let live = self.frontier.get_mut(id).expect("what runs is unfinished");
            live.begins_worker = begins_worker && segment.per_worker > 0;
            self.computing += usize::from(!segment.waits);
        }
        started.ok()
    }

    /// Books what the step of `id` needs and takes it off its queue.
    fn admit(&mut self, index: usize, id: &ItemId) -> Result<(ItemId, T, u64), Refusal> {
        let queued = self.segments[index].queue.get(id).expect("who is asked for is queued");
        let unscaled = queued.need;
        let need = unscaled.times(self.segments[index].heft);
        let oldest = self.frontier.oldest() == Some(id);
        let step = book_step(&mut self.ledger, need, oldest)?;
        let live = self.frontier.get_mut(id).expect("what is queued is unfinished");
        self.largest_step = self.largest_step.max(live.cargo.bytes() + step.bytes());
        live.step = Some(step);
        live.need = unscaled;
        live.queued = false;
        live.since = self.clock;
        let entry = self.segments[index].queue.take(id).expect("it was looked at just now");
        Ok((id.clone(), entry.task, entry.items))
    }

    pub(super) fn may_start(&self, index: usize, now: Nanos) -> bool {
        let segment = &self.segments[index];
        !segment.queue.is_empty()
            && segment.running < segment.workers
            && (segment.waits || self.computing < self.cores)
            && segment.is_batch_ready(now)
            && segment.may_take_worker(self.spare)
    }

    /// Where one more call could start if only there were something to do: a set of
    /// [`Takers::bit`]s. None while there are outputs for the sink, which takes one parcel at
    /// a time: then it may well be what everybody waits for.
    pub(crate) fn takers(&self) -> u64 {
        let (sink, others) = self.segments.split_last().expect("a run has a sink");
        let has_core = self.computing < self.cores;
        let lacks = |segment: &Segment<T>| {
            (segment.waits || has_core)
                && segment.running < segment.workers
                && segment.queue.is_empty()
                && segment.may_take_worker(self.spare)
        };
        let those = others.iter().enumerate().filter(|(_, each)| lacks(each));
        let bits = those.fold(0, |bits, (index, _)| bits | Takers::bit(index));
        let is_delivering = || sink.running > 0 || self.deliverable().is_some();
        if bits == 0 || is_delivering() { 0 } else { bits }
    }

    /// Why memory keeps the source from being read, to the segment that would get what it gives.
    pub(super) fn source_refusal(&self, index: usize) -> Option<Refusal> {
        if index == 0 { self.source.hungry } else { None }
    }

    pub(super) fn is_blocked_downstream(&self, index: usize) -> bool {
        self.segments.get(index + 1).is_some_and(|next| next.queue.len() >= next.bound)
    }

    /// What the sink may be given next.
    pub(super) fn deliverable(&self) -> Option<ItemId> {
        let sink = self.segments.last().expect("a run has a sink");
        let (id, _) = sink.queue.head()?;
        let ready = sink.running == 0 && (!self.ordered || self.frontier.oldest() == Some(id));
        ready.then(|| id.clone())
    }

    /// When something comes due by itself. What was due at the last look waits for
    /// a worker, a core or memory, and those come with a settlement.
    pub(crate) fn next_alarm(&self) -> Option<Nanos> {
        let partial = self.segments.iter().filter_map(|segment| segment.partial_since);
        let due = partial.map(|since| since + LINGER).chain(self.source.overdue_at);
        due.filter(|due| *due > self.clock).chain(self.deadline).min()
    }
}

impl<T> Segment<T> {
    /// Whether a call cannot start for want of something to do.
    pub(super) fn lacks_input(&self, now: Nanos) -> bool {
        self.queue.is_empty() || !self.is_batch_ready(now)
    }

    /// Whether a call may start, as far as the worker's own memory has a say: a worker
    /// that was not called yet builds its state, and must fit into `spare`. Until the
    /// first is known to need no more than declared, ten times as much is allowed for.
    /// This never stops a segment: one whose workers are all at work gets them back.
    pub(super) fn may_take_worker(&self, spare: u64) -> bool {
        if self.running < self.built || self.built == 0 || self.per_worker == 0 {
            return true;
        }
        let doubtful = if self.is_known { 1 } else { DOUBT * (self.built as u64 + 1) };
        self.per_worker.saturating_mul(doubtful) <= spare
    }

    /// Why memory keeps the head of the queue from being started, if it does.
    pub(super) fn refusal(&self, spare: u64) -> Option<Refusal> {
        let unbuilt = self.running < self.workers && !self.may_take_worker(spare);
        self.hungry.or(unbuilt.then_some(Refusal::Tight))
    }

    /// Whether a call may start, as far as batching has a say.
    pub(super) fn is_batch_ready(&self, now: Nanos) -> bool {
        let Some(wanted) = self.gather else { return true };
        self.queue.items() >= wanted
            || self.partial_since.is_some_and(|since| now >= since + LINGER)
    }
}

/// How many times more than declared a worker may turn out to keep.
const DOUBT: u64 = 10;

/// Books what a step needs: on the reserve for the oldest, which is never
/// refused what was declared, on the common account for all others.
pub(super) fn book_step(ledger: &mut Ledger, need: Need, oldest: bool) -> Result<Permit, Refusal> {
    let account = if oldest { Account::Reserve } else { Account::Common };
    let mut step = ledger.charge(0, account);
    if !oldest {
        ledger.admit(&mut step, need.wanted())?;
        return Ok(step);
    }
    let bytes = need.wanted().min(ledger.reserve_room()).max(need.declared);
    let admitted = ledger.admit(&mut step, bytes);
    assert!(admitted.is_ok(), "the reserve is smaller than a step of the oldest");
    Ok(step)
}
