//! From a finished run to what the caller is told.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use super::basis::Basis;
use super::context::Context;
use super::run::Run;
use super::scheduler::{Halt, Nanos, Scheduler};
use crate::error::Error;
use crate::report::{Histogram, Report, StageReport, Stamp, peak_resident};
use crate::sync::{AtomicU64, Ordering};

/// The figures of a run whose threads are joined.
pub(crate) fn report_of(run: &Run<'_>, threads: usize) -> Report {
    let Context { plan, fates, .. } = &run.cx;
    // Relaxed: the threads that counted are joined.
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut report = Report {
        children: get(&fates.children),
        delivered: get(&fates.delivered),
        filtered: get(&fates.filtered),
        failed: get(&fates.failed),
        cancelled: get(&fates.cancelled),
        expanded: get(&fates.expanded),
        elapsed: run.elapsed(),
        cpu_time: run.cx.cpu_time(),
        threads,
        cores: plan.cores,
        machine_cores: available_parallelism().ok().map(usize::from),
        source_busy: Duration::from_nanos(get(&run.cx.source.busy_nanos)),
        sink_failed: run.cx.sink.failed.load(Ordering::Relaxed),
        sink_busy: Duration::from_nanos(get(&run.cx.sink.busy_nanos)),
        by_variable: plan.by_variable,
        kept: plan.memory - plan.line,
        for_tables: plan.for_tables(),
        line: plan.line,
        window: plan.window,
        reserve: plan.reserve(),
        notes: plan.notes().to_vec(),
        peak_resident: peak_resident(),
        stamp: Stamp::of_run(run.elapsed()),
        stalls: run.stalls.lock().told(),
        ..Report::default()
    };
    let names = plan.segments.iter().map(|segment| run.cx.segment_name(segment));
    let names: Vec<_> = names.chain(["(source)".to_owned()]).collect();
    let mut board = run.board.lock();
    report.recording = board.end_recording(plan, run.now()).map(Arc::new);
    let scheduler = &board.scheduler;
    {
        let ledger = scheduler.ledger();
        debug_assert_eq!((ledger.booked(), ledger.overweight()), (0, 0), "permits were lost");
        report.read = scheduler.read();
        report.cancelled += scheduler.cancelled();
        report.peak_reserved = ledger.peak_booked();
        report.peak_overweight = ledger.peak_overweight();
        report.most_aboard = scheduler.most_aboard();
        let shut = scheduler.shut();
        report.waited_window = Duration::from_nanos(shut.all);
        report.waited_turn = Duration::from_nanos(shut.in_turn);
        report.largest_step = scheduler.oldest_may_need();
        let most = scheduler.accounted().saturating_add(ledger.peak_booked());
        report.memory = board.memory.report(&names, most);
        report.basis = Basis::of(&run.cx, scheduler);
        let stages = 0..plan.stages.len();
        report.stages = stages.map(|index| stage_report(&run.cx, scheduler, index)).collect();
    }
    drop(board);
    let waits = |wait: fn(&StageReport) -> Duration| -> Duration {
        report.stages.iter().filter(|stage| !stage.fused).map(wait).sum()
    };
    let (waited, hungry) = (waits(|stage| stage.waited_real), waits(|stage| stage.waited_memory));
    let lacks = report.stages.iter().any(|stage| stage.more.is_some());
    (report.memory.waited, report.memory.hungry) = (waited, lacks || !hungry.is_zero());
    report
}

/// What the stage did.
fn stage_report<T>(cx: &Context<'_>, scheduler: &Scheduler<T>, index: usize) -> StageReport {
    let stage = &cx.plan.stages[index];
    let meter = cx.meter(index);
    let waits = scheduler.waits(stage.segment);
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let in_one_go = &cx.plan.segments[stage.segment].stages;
    let time = |nanos: Nanos| Duration::from_nanos(nanos);
    StageReport {
        name: stage.name.clone(),
        workers: stage.workers(),
        asked: stage.asked_workers(),
        waits: stage.waits(),
        more: stage.more,
        per_worker: stage.per_worker(),
        shared: stage.shared(),
        calls: get(&meter.items),
        failed: meter.failed.load(Ordering::Relaxed),
        busy: time(get(&meter.busy_nanos)),
        set_up: time(get(&meter.set_up_nanos)),
        on_core: scheduler.core_share(stage.segment).told(),
        times: meter.times.as_ref().and_then(Histogram::times),
        in_one_go: in_one_go.len() > 1,
        fused: in_one_go.start != index,
        waited_input: time(waits.input),
        waited_downstream: time(waits.downstream),
        waited_memory: time(waits.memory),
        waited_real: time(waits.tight),
        waited_core: time(waits.core),
    }
}

/// What ended the run early, if anything did.
pub(crate) fn error_of(run: &Run<'_>, time_limit: Option<Duration>) -> Option<Error> {
    if let Some(error) = run.cx.take_error() {
        return Some(error);
    }
    match run.with_scheduler(|scheduler| scheduler.halted())? {
        Halt::Cancelled => Some(Error::Cancelled),
        Halt::TimeLimit => Some(Error::TimeLimit { limit: time_limit.unwrap_or_default() }),
        Halt::Broken => None,
    }
}
