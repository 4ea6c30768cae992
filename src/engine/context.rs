//! What every node of a run can reach: counters, the failure policy, the stop sign.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::utils::CachePadded;

use super::events::Spans;
use super::metrics::Metrics;
use super::scheduler::Nanos;
use crate::buffers::Pools;
use crate::error::{Cause, Error, ItemError};
use crate::item::ItemId;
use crate::plan::{Plan, SegmentPlan, StagePlan};
use crate::report::Histogram;
use crate::shared::{cpu_time, pages_touched};
use crate::signal::Signals;
use crate::stage::{Quietly, Takers, Watch, forget_quietly, guard};
use crate::sync::{AtomicU64, Clock, Figure, Mutex, Ordering};

/// Takes the items that failed, where they do not end the run.
pub(crate) type FailureSink<'r> = Box<dyn FnMut(ItemError) + Send + 'r>;

/// What becomes of an item that fails.
enum Policy<'r> {
    /// The first in order ends the run.
    FailFast { first: Mutex<Option<ItemError>> },
    /// Each is handed over and the run goes on.
    Collect { sink: Mutex<Quietly<FailureSink<'r>>> },
}

pub(crate) struct Context<'r> {
    pub(crate) plan: Plan,
    pub(crate) fates: CachePadded<Fates>,
    meters: Vec<CachePadded<Meter>>,
    pub(crate) source: CachePadded<Meter>,
    /// One, if the source ever knew that it has several items.
    pub(crate) source_promises: Figure,
    pub(crate) sink: CachePadded<Meter>,
    policy: Policy<'r>,
    broken: Mutex<Option<Error>>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) clock: Clock,
    /// Buffers that lie idle and are this run's to answer for.
    pub(crate) pools: Pools<'r>,
    /// What the process had computed when the run began.
    cpu_before: Option<Duration>,
    pub(crate) spans: Spans,
    pub(crate) metrics: Metrics,
    parcel_items: AtomicU64,
    /// Who would do more, if somebody shared.
    pub(crate) takers: CachePadded<Takers>,
}

/// How many items met which fate outside the scheduler.
#[derive(Default)]
pub(crate) struct Fates {
    pub(crate) children: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) filtered: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) expanded: AtomicU64,
}

/// What one stage, the source or the sink did.
#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) items: AtomicU64,
    /// Not of the source.
    pub(crate) failed: Figure,
    pub(crate) busy_nanos: AtomicU64,
    /// Time that went into building the states of workers.
    pub(crate) set_up_nanos: AtomicU64,
    /// What of it the first took: what the others share may be made with it.
    pub(crate) first_set_up: AtomicU64,
    /// How many states were built.
    pub(crate) set_ups: AtomicU64,
    /// Bytes of a recent heavy output.
    learned: AtomicU64,
    /// How long its items took; of stages alone.
    pub(crate) times: Option<Histogram>,
    /// Bytes that calls asked for, where they are declared.
    pub(crate) needs: Option<Histogram>,
    /// Bytes that outputs weighed, where that is declared.
    pub(crate) weights: Option<Histogram>,
    /// Children of an item, where it has any.
    pub(crate) children: Option<Histogram>,
}

impl Meter {
    /// Of a stage: how long its calls take is always of interest, sizes where they differ.
    fn of_stage(stage: &StagePlan) -> Self {
        let counted = |counts: bool| counts.then(Histogram::default);
        Self {
            times: counted(true),
            needs: counted(stage.counts_calls),
            weights: counted(stage.weighs_outputs),
            children: counted(stage.expands),
            ..Self::default()
        }
    }

    /// Of the source.
    fn of_source() -> Self {
        Self { weights: Some(Histogram::default()), ..Self::default() }
    }

    /// Books `items` calls that took `took`, `set_up` of it for states; the rest.
    pub(crate) fn record(&self, items: usize, took: Nanos, set_up: Duration) -> Nanos {
        let set_up = Nanos::try_from(set_up.as_nanos()).unwrap_or(Nanos::MAX);
        count(&self.items, items as u64);
        let busy = took.saturating_sub(set_up);
        count(&self.busy_nanos, busy);
        if set_up > 0 {
            count(&self.set_up_nanos, set_up);
            if self.set_ups.fetch_add(1, Ordering::Relaxed) == 0 {
                self.first_set_up.store(set_up, Ordering::Relaxed);
            }
        }
        busy
    }

    /// What an item took so far, on average; for ever before the first.
    fn nanos_per_item(&self) -> Nanos {
        let (items, busy) = (&self.items, &self.busy_nanos);
        let busy = busy.load(Ordering::Relaxed);
        busy.checked_div(items.load(Ordering::Relaxed)).unwrap_or(Nanos::MAX)
    }

    /// Books how long `items` took together.
    pub(crate) fn time(&self, items: usize, busy: Nanos) {
        if let Some(times) = &self.times {
            times.record(items as u64, busy);
        }
    }

    /// Remembers the heaviest output of late; an eighth is forgotten each time.
    pub(crate) fn learn(&self, heaviest: u64) {
        // Relaxed and racy on purpose: it is a guess, and a lost update only
        // makes it an older guess.
        let before = self.learned.load(Ordering::Relaxed);
        self.learned.store(heaviest.max(before - before / 8), Ordering::Relaxed);
    }

    pub(crate) fn learned(&self) -> u64 {
        self.learned.load(Ordering::Relaxed)
    }
}

/// Adds to a counter. Relaxed: counters are read when the threads are joined.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    if by > 0 {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

impl<'r> Context<'r> {
    pub(crate) fn new(
        plan: Plan,
        failures: Option<FailureSink<'r>>,
        pools: Pools<'r>,
        clock: Clock,
    ) -> Self {
        let (spans, metrics) = (Spans::new(&plan), Metrics::new(&plan));
        let policy = match failures {
            Some(sink) => Policy::Collect { sink: Mutex::new(Quietly::new(sink)) },
            None => Policy::FailFast { first: Mutex::new(None) },
        };
        Self {
            meters: plan
                .stages
                .iter()
                .map(|stage| CachePadded::new(Meter::of_stage(stage)))
                .collect(),
            source: CachePadded::new(Meter::of_source()),
            source_promises: Figure::new(0),
            sink: CachePadded::default(),
            plan,
            fates: CachePadded::default(),
            policy,
            broken: Mutex::new(None),
            signals: Arc::default(),
            cpu_before: cpu_time(),
            clock,
            pools,
            spans,
            metrics,
            parcel_items: AtomicU64::new(1),
            takers: CachePadded::default(),
        }
    }

    /// What the process has computed since the run began.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        Some(cpu_time()?.saturating_sub(self.cpu_before?))
    }

    pub(crate) fn meter(&self, stage: usize) -> &Meter {
        &self.meters[stage]
    }

    /// The first stage of `segment`; the sink's has none.
    pub(crate) fn segment_name(&self, segment: &SegmentPlan) -> String {
        let stage = self.plan.stages.get(segment.stages.start);
        stage.map_or_else(|| "(sink)".to_owned(), |stage| stage.name.clone())
    }

    /// What a step of `segment` that begins now with `id` keeps an eye on; `meter` knows what
    /// such steps take.
    pub(crate) fn watch(
        &self,
        id: &ItemId,
        segment: usize,
        meter: &Meter,
        now: Nanos,
    ) -> Watch<'_> {
        Watch {
            end: self.signals.end(),
            source_index: id.source_index(),
            fail_fast: self.is_fail_fast(),
            has_token: self.has_token(),
            takers: &self.takers,
            segment,
            clock: &self.clock,
            pages: pages_touched,
            begun: now,
            least: self.plan.least_share(),
            nanos_per_item: meter.nanos_per_item(),
        }
    }

    /// Whether what is made of `id` is of no use any more.
    pub(crate) fn is_abandoned(&self, id: &ItemId) -> bool {
        // Relaxed: as a step's watch has it.
        self.signals.end().load(Ordering::Relaxed) <= id.source_index()
    }

    /// Whether calls of user code can stop the run: somebody holds a token of it.
    pub(crate) fn has_token(&self) -> bool {
        Arc::weak_count(&self.signals) > 0
    }

    pub(crate) fn is_fail_fast(&self) -> bool {
        matches!(self.policy, Policy::FailFast { .. })
    }

    /// Records that `item` failed in `stage`. Where that ends the run, `failed`
    /// becomes the first failed item in order.
    pub(crate) fn fail(
        &self,
        stage: usize,
        item: ItemId,
        cause: Cause,
        failed: &mut Option<ItemId>,
    ) {
        count(&self.fates.failed, 1);
        self.meters[stage].failed.fetch_add(1, Ordering::Relaxed);
        let stage = self.plan.stages[stage].name.clone();
        let error = ItemError { stage, item: item.clone(), cause };
        match &self.policy {
            Policy::FailFast { first } => {
                self.signals.cut_after(item.source_index());
                let mut kept = first.lock();
                let mut later = Some(error);
                if kept.as_ref().is_none_or(|earlier| item < earlier.item) {
                    std::mem::swap(&mut *kept, &mut later);
                }
                drop(kept);
                forget_quietly(later);
                if failed.as_ref().is_none_or(|earlier| item < *earlier) {
                    *failed = Some(item);
                }
            }
            Policy::Collect { sink } => {
                let mut sink = sink.lock();
                // Looked at under the lock: a sink that panicked has stopped the run
                // before it lets go.
                if self.signals.is_stopped() {
                    return forget_quietly(error);
                }
                if let Err(cause) = guard(|| (sink.get_mut())(error)) {
                    self.break_run(Error::Sink { sink: "failure sink", item, cause });
                }
            }
        }
    }

    /// Ends the run for a reason that no policy can get over.
    pub(crate) fn break_run(&self, error: Error) {
        let mut later = Some(error);
        let mut broken = self.broken.lock();
        if broken.is_none() {
            *broken = later.take();
        }
        drop(broken);
        self.signals.stop();
        forget_quietly(later);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.signals.is_stopped() && self.broken.lock().is_some()
    }

    /// What ended the run early, the unconditional reason first.
    pub(crate) fn take_error(&self) -> Option<Error> {
        let broken = self.broken.lock().take();
        let first = match &self.policy {
            Policy::FailFast { first } => first.lock().take(),
            Policy::Collect { .. } => None,
        };
        if broken.is_some() {
            forget_quietly(first);
            return broken;
        }
        first.map(Error::Item)
    }

    /// Items a `flat_map` should make in one go.
    pub(crate) fn parcel_items(&self) -> u64 {
        self.parcel_items.load(Ordering::Relaxed)
    }

    pub(crate) fn set_parcel_items(&self, items: u64) {
        self.parcel_items.store(items, Ordering::Relaxed);
    }

    /// How many items of `weight` bytes each make a parcel.
    pub(crate) fn items_within(&self, most: u64, weight: u64) -> u64 {
        most.min(self.plan.parcel_bytes() / weight.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests;
