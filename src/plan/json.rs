//! A plan for other programs. The fields are told in the documentation of [`Plan`].

use serde::ser::{Serialize, Serializer};

use super::{PARCEL_ITEMS, PARCEL_NANOS, Plan, StagePlan, TablePlan};
use crate::budget::Measure;
use crate::drift::tolerance;
use crate::stage::Kind;

#[derive(serde::Serialize)]
struct PlanFields<'a> {
    memory_bytes: u64,
    memory_origin: &'a str,
    limit_bytes: Option<u64>,
    limit_origin: Option<&'a str>,
    cores: usize,
    cores_origin: &'a str,
    enough_memory_bytes: Option<u64>,
    kept_bytes: u64,
    set_aside_bytes: u64,
    line_bytes: u64,
    reserve_bytes: u64,
    reserve_reason: &'a str,
    window_items: u64,
    weighs_source: bool,
    ordered: bool,
    threads: usize,
    parcel: ParcelFields,
    real_memory: RealFields,
    stages: &'a [StagePlan],
    tables: &'a [TablePlan],
    queues: Vec<QueueFields<'a>>,
    notes: &'a [String],
}

#[derive(serde::Serialize)]
struct ParcelFields {
    most_items: u64,
    most_bytes: u64,
    /// In the slowest stage.
    target_seconds: f64,
    /// In all stages together, if that makes it larger.
    way_seconds: f64,
    /// The rest of one is shared with those who have nothing to do if it takes so long.
    share_seconds: f64,
}

#[derive(serde::Serialize)]
struct RealFields {
    held_to: &'static str,
    tolerance_bytes: u64,
}

#[derive(serde::Serialize)]
struct QueueFields<'a> {
    before: &'a str,
    parcels: usize,
    reason: &'static str,
}

#[derive(serde::Serialize)]
struct TableFields<'a> {
    name: &'a str,
    stages: &'a [String],
    size_bytes: u64,
    counted_bytes: u64,
    missing_bytes: u64,
    verified: bool,
    reason: &'a str,
}

#[derive(serde::Serialize)]
struct StageFields<'a> {
    name: &'a str,
    kind: &'static str,
    workers: usize,
    asked_workers: usize,
    waits: bool,
    reason: &'a str,
    per_worker_bytes: u64,
    per_worker_origin: &'a str,
    shared_bytes: u64,
    kept_bytes: u64,
    counts_calls: bool,
    weighs_outputs: bool,
    input_bytes: u64,
    output_bytes: u64,
    queue: usize,
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let limit = self.limit.as_ref();
        let held_to = match self.measure {
            Measure::Process => "process",
            Measure::Growth => "growth",
            Measure::Nothing => "nothing",
        };
        let queues = self.segments.iter().map(|segment| QueueFields {
            before: self.segment_name(segment),
            parcels: segment.queue_bound,
            reason: self.queue_reason(segment),
        });
        PlanFields {
            memory_bytes: self.memory,
            memory_origin: &self.memory_origin,
            limit_bytes: limit.map(|limit| limit.0),
            limit_origin: limit.map(|limit| &*limit.1),
            cores: self.cores,
            cores_origin: &self.cores_origin,
            enough_memory_bytes: self.enough,
            kept_bytes: self.memory - self.line,
            set_aside_bytes: self.kept_for_items,
            line_bytes: self.line,
            reserve_bytes: self.reserve,
            reserve_reason: self.reserve_reason,
            window_items: self.window,
            weighs_source: self.weighs_source,
            ordered: self.ordered,
            threads: self.threads,
            parcel: ParcelFields {
                most_items: PARCEL_ITEMS,
                most_bytes: self.parcel_bytes(),
                target_seconds: PARCEL_NANOS as f64 / 1e9,
                way_seconds: self.way_nanos() as f64 / 1e9,
                share_seconds: self.least_share() as f64 / 1e9,
            },
            real_memory: RealFields { held_to, tolerance_bytes: tolerance(self.memory) },
            stages: &self.stages,
            tables: &self.tables,
            queues: queues.collect(),
            notes: &self.notes,
        }
        .serialize(serializer)
    }
}

impl Serialize for StagePlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StageFields {
            name: &self.name,
            kind: match self.kind {
                Kind::Cpu => "cpu",
                Kind::Memory => "memory",
            },
            workers: self.workers,
            asked_workers: self.asked,
            waits: self.waits,
            reason: &self.reason,
            per_worker_bytes: self.per_worker,
            per_worker_origin: self.per_worker_origin.as_deref().unwrap_or("the stage"),
            shared_bytes: self.shared,
            kept_bytes: self.kept(),
            counts_calls: self.counts_calls,
            weighs_outputs: self.weighs_outputs,
            input_bytes: self.sizes.0,
            output_bytes: self.sizes.1,
            queue: self.segment,
        }
        .serialize(serializer)
    }
}

impl Serialize for TablePlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TableFields {
            name: self.name(),
            stages: self.stages(),
            size_bytes: self.size_bytes(),
            counted_bytes: self.counted(),
            missing_bytes: self.missing(),
            verified: self.is_verified(),
            reason: self.reason(),
        }
        .serialize(serializer)
    }
}
