//! A report for other programs. The fields are told in the documentation of [`Report`].

use std::time::Duration;

use serde::ser::{Serialize, Serializer};

use super::{ItemTimes, MemoryReport, Report, StageReport, Stall};

#[derive(serde::Serialize)]
struct ReportFields<'a> {
    read: u64,
    children: u64,
    delivered: u64,
    filtered: u64,
    failed: u64,
    cancelled: u64,
    expanded: u64,
    elapsed_seconds: f64,
    cpu_seconds: Option<f64>,
    threads: usize,
    cores: usize,
    machine_cores: Option<usize>,
    core_share: Option<f64>,
    source_busy_seconds: f64,
    sink_busy_seconds: f64,
    sink_failed: u64,
    kept_bytes: u64,
    tables_bytes: u64,
    line_bytes: u64,
    peak_reserved_bytes: u64,
    peak_overweight_bytes: u64,
    most_aboard: u64,
    window_items: u64,
    waited_window_seconds: f64,
    waited_turn_seconds: f64,
    peak_resident_bytes: Option<u64>,
    notes: &'a [String],
    limited_by: Option<String>,
    suggestion: Option<String>,
    memory: &'a MemoryReport,
    stages: &'a [StageReport],
    stalls: &'a [Stall],
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReportFields {
            read: self.read,
            children: self.children,
            delivered: self.delivered,
            filtered: self.filtered,
            failed: self.failed,
            cancelled: self.cancelled,
            expanded: self.expanded,
            elapsed_seconds: self.elapsed.as_secs_f64(),
            cpu_seconds: self.cpu_time.as_ref().map(Duration::as_secs_f64),
            threads: self.threads,
            cores: self.cores,
            machine_cores: self.machine_cores,
            core_share: self.core_share(),
            source_busy_seconds: self.source_busy.as_secs_f64(),
            sink_busy_seconds: self.sink_busy.as_secs_f64(),
            sink_failed: self.sink_failed,
            kept_bytes: self.kept,
            tables_bytes: self.for_tables,
            line_bytes: self.line,
            peak_reserved_bytes: self.peak_reserved,
            peak_overweight_bytes: self.peak_overweight,
            most_aboard: self.most_aboard,
            window_items: self.window,
            waited_window_seconds: self.waited_window.as_secs_f64(),
            waited_turn_seconds: self.waited_turn.as_secs_f64(),
            peak_resident_bytes: self.peak_resident,
            notes: &self.notes,
            limited_by: self.bottleneck(),
            suggestion: self.suggestion(),
            memory: &self.memory,
            stages: &self.stages,
            stalls: &self.stalls,
        }
        .serialize(serializer)
    }
}

#[derive(serde::Serialize)]
struct StageFields<'a> {
    name: &'a str,
    workers: usize,
    asked_workers: usize,
    waits: bool,
    calls: u64,
    failed: u64,
    fused: bool,
    busy_seconds: f64,
    set_up_seconds: f64,
    computed: Option<f64>,
    lacked_core: Option<f64>,
    waited_input_seconds: f64,
    waited_downstream_seconds: f64,
    waited_memory_seconds: f64,
    waited_real_memory_seconds: f64,
    waited_core_seconds: f64,
    item_times: Option<&'a ItemTimes>,
}

impl Serialize for StageReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StageFields {
            name: &self.name,
            workers: self.workers,
            asked_workers: self.asked,
            waits: self.waits,
            calls: self.calls,
            failed: self.failed,
            fused: self.fused,
            busy_seconds: self.busy.as_secs_f64(),
            set_up_seconds: self.set_up.as_secs_f64(),
            computed: self.computed(),
            lacked_core: self.lacked_core(),
            waited_input_seconds: self.waited_input.as_secs_f64(),
            waited_downstream_seconds: self.waited_downstream.as_secs_f64(),
            waited_memory_seconds: self.waited_memory.as_secs_f64(),
            waited_real_memory_seconds: self.waited_real.as_secs_f64(),
            waited_core_seconds: self.waited_core.as_secs_f64(),
            item_times: self.times.as_ref(),
        }
        .serialize(serializer)
    }
}

#[derive(serde::Serialize)]
struct TimesFields {
    p50_seconds: f64,
    p90_seconds: f64,
    p99_seconds: f64,
    max_seconds: f64,
    together: f64,
}

impl Serialize for ItemTimes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TimesFields {
            p50_seconds: self.p50.as_secs_f64(),
            p90_seconds: self.p90.as_secs_f64(),
            p99_seconds: self.p99.as_secs_f64(),
            max_seconds: self.max.as_secs_f64(),
            together: self.together,
        }
        .serialize(serializer)
    }
}

#[derive(serde::Serialize)]
struct MemoryFields<'a> {
    why_not_measured: Option<&'a str>,
    peak_real_bytes: Option<u64>,
    peak_drift_bytes: u64,
    beyond_budget_bytes: u64,
    most_withheld_bytes: u64,
    tightened_seconds: f64,
    system_short_seconds: f64,
    trims: u64,
    trimmed_bytes: u64,
    trim_seconds: f64,
    releases_blocks_from_bytes: Option<u64>,
    never_used_bytes: u64,
    heavier_than_declared: Option<Misjudged<'a>>,
    worker_heavier_than_declared: Option<Misjudged<'a>>,
    lighter_than_declared: Option<Misjudged<'a>>,
}

#[derive(serde::Serialize)]
struct Misjudged<'a> {
    stage: &'a str,
    touched_bytes: u64,
    declared_bytes: u64,
}

impl<'a> Misjudged<'a> {
    fn of((stage, touched_bytes, declared_bytes): (&'a str, u64, u64)) -> Self {
        Self { stage, touched_bytes, declared_bytes }
    }
}

impl Serialize for MemoryReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MemoryFields {
            why_not_measured: self.why_not_measured(),
            peak_real_bytes: self.peak_real,
            peak_drift_bytes: self.peak_drift,
            beyond_budget_bytes: self.beyond,
            most_withheld_bytes: self.withheld,
            tightened_seconds: self.tight.as_secs_f64(),
            system_short_seconds: self.squeezed.as_secs_f64(),
            trims: self.trims,
            trimmed_bytes: self.trimmed,
            trim_seconds: self.trim_time.as_secs_f64(),
            releases_blocks_from_bytes: self.released,
            never_used_bytes: self.unused,
            heavier_than_declared: self.heavier_than_declared().map(Misjudged::of),
            worker_heavier_than_declared: self.worker_heavier_than_declared().map(Misjudged::of),
            lighter_than_declared: self.lighter_than_declared().map(Misjudged::of),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
