//! What a finished run leaves behind for predictions of others.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, Meter};
use super::scheduler::Scheduler;
use crate::cores::CoreShare;
use crate::plan::Design;
use crate::report::{Histogram, Spread};
use crate::sync::{AtomicU64, Ordering};

/// The pipeline's design, and what its parts were seen to do.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    pub(crate) design: Arc<Design>,
    pub(crate) source: SourceBasis,
    pub(crate) stages: Vec<StageBasis>,
    pub(crate) delivered: u64,
    pub(crate) sink_busy: Duration,
}

/// What the source was seen to do.
#[derive(Clone, Debug)]
pub(crate) struct SourceBasis {
    pub(crate) read: u64,
    pub(crate) busy: Duration,
    /// It knew of several items at once.
    pub(crate) promises: bool,
    pub(crate) weights: Spread,
}

/// What a stage was seen to do.
#[derive(Clone, Debug)]
pub(crate) struct StageBasis {
    pub(crate) calls: u64,
    pub(crate) busy: Duration,
    /// What the first state of a worker took to build, and each other.
    pub(crate) set_up: (Duration, Duration),
    pub(crate) times: Spread,
    pub(crate) needs: Spread,
    pub(crate) weights: Spread,
    pub(crate) children: Spread,
    /// How far time goes with bytes, 0 to 1.
    pub(crate) follows: f64,
    /// How far its calls had a core, those of the stages that are fused with it included.
    pub(crate) cores: CoreShare,
}

impl Basis {
    /// Of a run whose threads are joined, if it was planned from a pipeline's design.
    pub(super) fn of<T>(
        cx: &Context<'_>,
        scheduler: &Scheduler<T>,
    ) -> Option<Arc<dyn Any + Send + Sync>> {
        let design = Arc::clone(cx.plan.design.as_ref()?);
        let stages = cx.plan.stages.iter().enumerate();
        let stages = stages.map(|(index, stage)| {
            let follows = scheduler.time_follows_bytes(stage.segment);
            StageBasis::of(cx.meter(index), follows, scheduler.core_share(stage.segment))
        });
        let source = SourceBasis {
            read: scheduler.read(),
            busy: time(&cx.source.busy_nanos),
            promises: cx.source_promises.load(Ordering::Relaxed) > 0,
            weights: spread(cx.source.weights.as_ref()),
        };
        let (stages, delivered) = (stages.collect(), get(&cx.fates.delivered));
        let sink_busy = time(&cx.sink.busy_nanos);
        Some(Arc::new(Self { design, source, stages, delivered, sink_busy }))
    }
}

impl StageBasis {
    fn of(meter: &Meter, follows: f64, cores: CoreShare) -> Self {
        let first = time(&meter.first_set_up);
        let others = u32::try_from(get(&meter.set_ups)).unwrap_or(u32::MAX).saturating_sub(1);
        let all = time(&meter.set_up_nanos);
        let each = all.saturating_sub(first).checked_div(others).unwrap_or(first);
        Self {
            calls: get(&meter.items),
            busy: time(&meter.busy_nanos),
            set_up: (first, each),
            times: spread(meter.times.as_ref()),
            needs: spread(meter.needs.as_ref()),
            weights: spread(meter.weights.as_ref()),
            children: spread(meter.children.as_ref()),
            follows,
            cores,
        }
    }
}

fn spread(histogram: Option<&Histogram>) -> Spread {
    histogram.map(Histogram::spread).unwrap_or_default()
}

fn get(counter: &AtomicU64) -> u64 {
    // Relaxed: the threads that counted are joined.
    counter.load(Ordering::Relaxed)
}

fn time(nanos: &AtomicU64) -> Duration {
    Duration::from_nanos(get(nanos))
}
