//! What runs next: the rules of admission and order, as a state machine.
//!
//! Nothing here knows of threads, clocks or user code. Whoever drives it brings
//! the lock, the time and the work: [`Scheduler::choose`] says what to do next,
//! [`Scheduler::settle`] takes what came of it. The same code runs under
//! the engine's threads and under an exhaustive search of its states.
//!
//! A *parcel* is a run of neighbouring items that moves as one. Each step
//! consumes parcels and yields parcels; the bytes of the consumed fund the
//! yielded, in one transaction. See [`crate::ledger`] for who may draw on what.
//!
//! Why the oldest can always go on (the argument for I1-I5):
//! - it is looked at first, whatever its queue, and passes every bound that
//!   counts parcels (I4);
//! - its step is admitted on the reserve, of which nobody else holds a byte
//!   (I2), and which is at least as large as any single step (larger ones failed
//!   when they were offered); a step it is in already moves there if it fits, and is
//!   settled before the oldest needs the reserve again;
//! - a worker is taken only with admission in hand and given back when the call
//!   returns, so no worker is held by one who waits (I3);
//! - what real memory takes off the line ([`Scheduler::observe`]) is taken off what
//!   others may have, never off the reserve.

mod choose;
mod inspect;
mod moments;
mod pull;
mod settle;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use inspect::Call;
use moments::Moments;
use pull::Source;
pub(crate) use pull::{Pulled, Reach};

use crate::cores::CoreShare;
use crate::frontier::Frontier;
use crate::item::ItemId;
use crate::ledger::{Ledger, Permit, Refusal};
use crate::plan::{PARCEL_ITEMS, PARCEL_NANOS, Plan};
use crate::queue::{AgeQueue, Entry, Need};
use crate::report::{Track, Where};

/// Nanoseconds since the run began.
pub(crate) type Nanos = u64;

/// How long a partial batch waits for company while a worker is free.
pub(crate) const LINGER: Nanos = 1_000_000;

/// What a driver is to do next.
#[derive(Debug)]
pub(crate) enum Choice<T> {
    /// Run these parcels (one, unless the segment batches) and settle.
    Run { segment: usize, first: (ItemId, T), rest: Vec<(ItemId, T)> },
    /// Read the source, as far as that reaches, into the parcel `id` and settle.
    Pull { id: ItemId, reach: Reach },
    /// Nothing until something is settled, or until the next alarm.
    Idle,
    /// Nothing any more.
    Over,
}

/// A parcel that came of a step.
#[derive(Debug)]
pub(crate) struct Produced<T> {
    pub(crate) id: ItemId,
    /// The segment it waits for.
    pub(crate) segment: usize,
    /// Bytes it holds while it waits.
    pub(crate) weight: u64,
    pub(crate) entry: Entry<T>,
}

impl Produced<()> {
    /// The parcel with its task.
    pub(crate) fn with<T>(self, task: T) -> Produced<T> {
        let Entry { items, need, task: () } = self.entry;
        let entry = Entry { items, need, task };
        Produced { id: self.id, segment: self.segment, weight: self.weight, entry }
    }
}

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Settlement<T> {
    /// Parcels that were consumed.
    pub(crate) consumed: Vec<ItemId>,
    pub(crate) produced: Vec<Produced<T>>,
    /// The first item, in order, that failed and must stop the run.
    pub(crate) failed: Option<ItemId>,
    /// Items that were looked at, for the cost of one.
    pub(crate) items: u64,
    /// Pages that building states for it was the first to touch.
    pub(crate) pages_of_states: u64,
    /// Up to when its time is accounted for.
    pub(crate) at: Nanos,
    /// Where that is written down, if it is.
    pub(crate) track: Option<Track>,
}

impl<T> Settlement<T> {
    /// The time since what was accounted for last, now accounted for, too: it went into
    /// so many items at `place`.
    pub(crate) fn lap(&mut self, place: Where, items: usize, now: Nanos) -> Nanos {
        let begun = std::mem::replace(&mut self.at, now);
        if let Some(track) = &mut self.track {
            track.add(place, items as u64, begun, now);
        }
        now.saturating_sub(begun)
    }

    /// Bytes that what was made is said to hold.
    pub(crate) fn weight(&self) -> u64 {
        self.produced.iter().fold(0, |sum, made| sum.saturating_add(made.weight))
    }
}

impl<T> Default for Settlement<T> {
    fn default() -> Self {
        let (consumed, produced) = Default::default();
        let (failed, track) = (None, None);
        Self { consumed, produced, failed, items: 0, pages_of_states: 0, at: 0, track }
    }
}

/// Why a run was stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    Cancelled,
    TimeLimit,
    /// The source, a sink or a worker's state failed, or the consumer left.
    Broken,
}

/// What is kept for an unfinished parcel, wherever it is.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Live {
    /// For what it carries.
    cargo: Permit,
    /// For the step it is in.
    step: Option<Permit>,
    /// That step is the first of a worker that keeps something.
    begins_worker: bool,
    /// What that step needs, before it was known how much calls really take.
    need: Need,
    items: u64,
    segment: usize,
    queued: bool,
    /// When it was queued or its step began.
    since: Nanos,
}

/// Where the worker-time of a segment went while its workers did not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    pub(crate) input: Nanos,
    pub(crate) downstream: Nanos,
    pub(crate) memory: Nanos,
    /// The part of `memory` that only the tightening of the line is to blame for.
    pub(crate) tight: Nanos,
    pub(crate) core: Nanos,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Segment<T> {
    workers: usize,
    /// Parcels that may wait in `queue` before the segment above pauses.
    bound: usize,
    /// Its calls wait rather than compute, so they take no core.
    waits: bool,
    /// Items wanted for a call, where calls take batches.
    gather: Option<u64>,
    queue: AgeQueue<T>,
    running: usize,
    /// Bytes that a worker keeps from its first call on.
    per_worker: u64,
    /// Workers that have been called: the most that ever ran at once.
    built: usize,
    /// A call came back, so what a worker keeps shows in real memory.
    is_known: bool,
    /// How many times more than wanted its calls were seen to take; one at the least.
    heft: f64,
    /// Why the head of the queue was refused memory, if it was.
    hungry: Option<Refusal>,
    /// When the waiting partial batch was begun.
    partial_since: Option<Nanos>,
    waited: Waits,
    nanos_per_item: f64,
    /// Whether calls on more bytes take longer.
    moments: Moments,
    /// How far its calls had a core.
    cores: CoreShare,
}

impl<T> Segment<T> {
    /// Learns what an item cost. The first is believed: parcels of items taken to be lighter
    /// than they are would keep them from those who have nothing to do.
    fn note_cost(&mut self, nanos: f64) {
        let gain = if self.nanos_per_item == 0.0 { 1.0 } else { COST_GAIN };
        self.nanos_per_item += gain * (nanos - self.nanos_per_item);
    }
}

/// The state of a run.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Scheduler<T> {
    ledger: Ledger,
    frontier: Frontier<Live>,
    /// One for each segment of the plan, and the sink.
    segments: Vec<Segment<T>>,
    source: Source,
    cores: usize,
    /// Time that a parcel is to take in all segments together, at the least.
    way_nanos: Nanos,
    /// What a parcel of several items may weigh.
    parcel_bytes: u64,
    computing: usize,
    ordered: bool,
    /// The consumer serves the sink's queue, not the workers.
    outside_sink: bool,
    window: u64,
    aboard: u64,
    most_aboard: u64,
    cancelled: u64,
    deadline: Option<Nanos>,
    halted: Option<Halt>,
    /// Items after this one are of no use any more.
    cutoff: Option<ItemId>,
    clock: Nanos,
    /// Bytes that stages keep for all their workers.
    shared: u64,
    /// Bytes by which real memory may still grow, as last observed.
    spare: u64,
    /// The most that one step has needed, its input included.
    largest_step: u64,
}

/// Weight of the latest measurement in the running cost an item.
const COST_GAIN: f64 = 0.25;

impl<T> Scheduler<T> {
    pub(crate) fn new(plan: &Plan, outside_sink: bool, deadline: Option<Nanos>) -> Self {
        let sink = plan.segments.len() - 1;
        let segments = plan.segments.iter().enumerate().map(|(index, segment)| Segment {
            workers: segment.workers,
            bound: segment.queue_bound,
            waits: segment.waits || (outside_sink && index == sink),
            gather: segment.gather,
            queue: AgeQueue::new(),
            running: 0,
            per_worker: segment.per_worker,
            built: 0,
            is_known: false,
            heft: 1.0,
            hungry: None,
            partial_since: None,
            waited: Waits::default(),
            nanos_per_item: 0.0,
            moments: Moments::default(),
            cores: CoreShare::default(),
        });
        Self {
            ledger: Ledger::new(plan.line, plan.reserve),
            frontier: Frontier::new(),
            segments: segments.collect(),
            source: Source::new(),
            cores: plan.cores,
            way_nanos: plan.way_nanos(),
            parcel_bytes: plan.parcel_bytes(),
            computing: 0,
            ordered: plan.ordered,
            outside_sink,
            window: plan.window,
            aboard: 0,
            most_aboard: 0,
            cancelled: 0,
            deadline,
            halted: None,
            cutoff: None,
            clock: 0,
            shared: plan.shared(),
            spare: u64::MAX,
            largest_step: 0,
        }
    }

    /// Takes what a look at real memory found: `withheld` bytes of the line are lent to
    /// nobody but the oldest, and real memory may grow by `spare` bytes. Whether that
    /// makes room.
    pub(crate) fn observe(&mut self, withheld: u64, spare: u64, now: Nanos) -> bool {
        self.advance_clock(now);
        let eased = withheld < self.ledger.tightened() || spare > self.spare;
        self.ledger.tighten(withheld);
        self.spare = spare;
        if eased {
            self.ask_again();
        }
        eased
    }

    /// A call of `segment` (`None`: of the source) took `heft` times what was wanted for
    /// it. Others but the oldest ask for as many times more from now on; a light call
    /// has an eighth of that forgotten.
    pub(crate) fn note_heft(&mut self, segment: Option<usize>, heft: f64) {
        let kept = match segment {
            Some(index) => &mut self.segments[index].heft,
            None => &mut self.source.heft,
        };
        *kept = heft.max(*kept - *kept / 8.0).max(1.0);
    }

    /// Bytes that this run stands for: what stages keep so far, and what is aboard.
    pub(crate) fn accounted(&self) -> u64 {
        let kept = |segment: &Segment<T>| segment.per_worker.saturating_mul(segment.built as u64);
        let kept = self.segments.iter().map(kept).fold(self.shared, u64::saturating_add);
        kept.saturating_add(self.ledger.held())
    }

    /// Bytes that the next oldest may come to need, if it is no larger than what was
    /// seen so far. What this one holds is no part of it: it may be freed and yet stay
    /// with the allocator when the next one asks.
    pub(crate) fn oldest_may_need(&self) -> u64 {
        self.largest_step
    }

    /// Whether somebody waits for nothing but the tightening of the line to end.
    pub(crate) fn is_held_up(&self) -> bool {
        self.ledger.tightened() > 0
            && (self.source.hungry.is_some()
                || self.segments.iter().any(|segment| segment.hungry == Some(Refusal::Tight)))
    }

    /// Says what to do next. Whatever it hands out has its worker, its core and
    /// its bytes.
    pub(crate) fn choose(&mut self, now: Nanos) -> Choice<T> {
        self.advance_clock(now);
        if self.deadline.is_some_and(|deadline| now >= deadline) && !self.is_over() {
            // What waits is dropped by `drop_rest`, which every driver calls at the end.
            self.halted.get_or_insert(Halt::TimeLimit);
        }
        if self.is_over() {
            return Choice::Over;
        }
        let chosen = self.choose_oldest().or_else(|| self.choose_downstream_first());
        chosen.or_else(|| self.force_partial_batch()).unwrap_or(Choice::Idle)
    }

    /// Whether [`choose`](Self::choose) would find something to do at `now`.
    pub(crate) fn has_work(&self, now: Nanos) -> bool {
        if self.is_over() || self.is_pull_overdue(now) {
            return true;
        }
        if self.oldest_queued().is_some_and(|(segment, _)| self.may_start(segment, now)) {
            return true;
        }
        for index in (0..self.segments.len()).rev() {
            if self.segments[index].hungry.is_some() {
                return false;
            }
            if self.is_ours(index)
                && self.may_start(index, now)
                && !self.is_blocked_downstream(index)
            {
                return true;
            }
        }
        self.may_pull() && self.source.hungry.is_none()
    }

    /// Takes what came of a step of `segment`; tasks that are of no use any more
    /// go to `dropped`, to be dropped outside the lock.
    pub(crate) fn settle(
        &mut self,
        segment: usize,
        took: Nanos,
        now: Nanos,
        settlement: &mut Settlement<T>,
        dropped: &mut Vec<T>,
    ) {
        self.advance_clock(now);
        let slot = &mut self.segments[segment];
        slot.running -= 1;
        slot.is_known = true;
        if settlement.items > 0 {
            slot.note_cost(took as f64 / settlement.items as f64);
        }
        if !slot.waits {
            self.computing -= 1;
        }
        let items = settlement.items;
        if let Some(held) = self.exchange(settlement, dropped) {
            self.segments[segment].moments.note(items, held, took);
        }
    }

    /// The next parcel for a consumer outside, if there is one. The consumer
    /// settles it like a worker.
    pub(crate) fn choose_output(&mut self, now: Nanos) -> Option<(ItemId, T)> {
        self.advance_clock(now);
        let sink = self.segments.len() - 1;
        let id = self.deliverable()?;
        let (id, task, _) = self.start(sink, &id)?;
        Some((id, task))
    }

    /// Whether a consumer outside would get something.
    pub(crate) fn has_output(&self) -> bool {
        self.deliverable().is_some()
    }

    /// Stops the run: nothing is started any more, what waits is dropped.
    pub(crate) fn halt(&mut self, why: Halt, dropped: &mut Vec<T>) {
        self.halted.get_or_insert(why);
        self.source.open = false;
        self.purge(dropped);
    }

    /// Takes out what is left when the run is over.
    pub(crate) fn drop_rest(&mut self, dropped: &mut Vec<T>) {
        if self.halted.is_some() {
            self.purge(dropped);
        }
    }

    /// Why the run was stopped, if it was.
    pub(crate) fn halted(&self) -> Option<Halt> {
        self.halted
    }

    /// Whether nothing will be handed out any more.
    pub(crate) fn is_over(&self) -> bool {
        self.halted.is_some()
            || (!self.source.open && !self.source.pulling && self.frontier.is_empty())
    }

    /// Items of the parcels a pull or a `flat_map` should make next.
    pub(crate) fn parcel_items(&self) -> u64 {
        let costs = self.segments.iter().map(|segment| segment.nanos_per_item);
        let (slowest, all) =
            costs.fold((0.0, 0.0), |(most, sum), cost| (cost.max(most), cost + sum));
        let items = (PARCEL_NANOS as f64 / slowest).max(self.way_nanos as f64 / all);
        // Nothing is known at first: then it is infinite.
        if items.is_finite() { (items as u64).clamp(1, PARCEL_ITEMS) } else { 1 }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Items that were dropped by the scheduler itself.
    pub(crate) fn cancelled(&self) -> u64 {
        self.cancelled
    }

    /// Items read from the source.
    pub(crate) fn read(&self) -> u64 {
        self.source.read
    }

    /// The most items that were aboard at once.
    pub(crate) fn most_aboard(&self) -> u64 {
        self.most_aboard
    }

    /// How far the time of calls of `segment` went with the bytes they worked on, 0 to 1.
    pub(crate) fn time_follows_bytes(&self, segment: usize) -> f64 {
        self.segments[segment].moments.correlation()
    }

    pub(crate) fn waits(&self, segment: usize) -> Waits {
        self.segments[segment].waited
    }
}
