//! A snapshot for other programs. The fields are told in the documentation of [`Snapshot`].

use std::time::Duration;

use serde::ser::{Serialize, Serializer};

use super::{Snapshot, StageSnapshot, Stall, StopReason, Stopping, WaitsFor};

#[derive(serde::Serialize)]
struct SnapshotFields<'a> {
    elapsed_seconds: f64,
    ended: bool,
    read: u64,
    expected: Option<u64>,
    finished: u64,
    finished_per_second: f64,
    remaining_seconds: Option<f64>,
    aboard: u64,
    window_items: u64,
    delivered: u64,
    filtered: u64,
    failed: u64,
    held_bytes: u64,
    line_bytes: u64,
    withheld_bytes: u64,
    real_bytes: Option<u64>,
    cores: usize,
    computing: usize,
    source_waits_for: Option<&'static str>,
    limited_by: Option<String>,
    stopping: Option<&'a Stopping>,
    stages: &'a [StageSnapshot],
    stalls: &'a [Stall],
}

#[derive(serde::Serialize)]
struct StageFields<'a> {
    name: &'a str,
    workers: usize,
    running: usize,
    queued: u64,
    done: u64,
    per_second: f64,
    holds_bytes: u64,
    waits_for: &'static str,
}

#[derive(serde::Serialize)]
struct StallFields<'a> {
    stage: &'a str,
    item: String,
    items: u64,
    seconds: f64,
    came_back: bool,
    holds_bytes: u64,
}

#[derive(serde::Serialize)]
struct StoppingFields {
    reason: &'static str,
    seconds: f64,
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SnapshotFields {
            elapsed_seconds: self.elapsed.as_secs_f64(),
            ended: self.ended,
            read: self.read,
            expected: self.expected,
            finished: self.finished,
            finished_per_second: self.per_second,
            remaining_seconds: self.remaining().as_ref().map(Duration::as_secs_f64),
            aboard: self.aboard,
            window_items: self.window,
            delivered: self.delivered,
            filtered: self.filtered,
            failed: self.failed,
            held_bytes: self.held,
            line_bytes: self.line,
            withheld_bytes: self.withheld,
            real_bytes: self.real,
            cores: self.cores,
            computing: self.computing,
            source_waits_for: self.source_waits_for.map(WaitsFor::name),
            limited_by: self.bottleneck(),
            stopping: self.stopping.as_ref(),
            stages: &self.stages,
            stalls: &self.stalls,
        }
        .serialize(serializer)
    }
}

impl Serialize for StageSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StageFields {
            name: &self.name,
            workers: self.workers,
            running: self.running,
            queued: self.queued,
            done: self.done,
            per_second: self.per_second,
            holds_bytes: self.holds,
            waits_for: self.waits_for.name(),
        }
        .serialize(serializer)
    }
}

impl Serialize for Stall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { stage, item, items, lasted, came_back, holds, .. } = self;
        StallFields {
            stage,
            item: item.to_string(),
            items: *items,
            seconds: lasted.as_secs_f64(),
            came_back: *came_back,
            holds_bytes: *holds,
        }
        .serialize(serializer)
    }
}

impl Serialize for Stopping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reason = match self.reason() {
            StopReason::Cancelled => "cancelled",
            StopReason::TimeLimit => "time limit",
            StopReason::Failed => "failed",
            StopReason::Dropped => "dropped",
        };
        StoppingFields { reason, seconds: self.lasted().as_secs_f64() }.serialize(serializer)
    }
}

impl WaitsFor {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Input => "input",
            Self::Downstream => "downstream",
            Self::Memory => "memory",
            Self::RealMemory => "real memory",
            Self::Core => "core",
            Self::Turn => "turn",
            Self::Consumer => "consumer",
            Self::Window => "window",
        }
    }
}
