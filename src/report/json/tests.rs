use serde_json::json;

use super::*;
use crate::item::ItemId;
use crate::report::Beside;

/// A report in which every figure is another.
fn report() -> Report {
    let time = Duration::from_millis;
    let heavy = |name: &str, bytes| Some((name.to_owned(), bytes, bytes / 2));
    let memory = MemoryReport {
        peak_real: Some(30),
        peak_drift: 31,
        beyond: 32,
        withheld: 33,
        tight: time(34_500),
        squeezed: time(35_500),
        trims: 36,
        trimmed: 37,
        trim_time: time(38_500),
        released: Some(44),
        unused: 39,
        heavy: heavy("screen", 40),
        heavy_worker: heavy("parse", 42),
        ..MemoryReport::default()
    };
    let stage = StageReport {
        name: "screen".to_owned(),
        workers: 2,
        asked: 8,
        waits: false,
        more: Some((4, 3 << 30)),
        per_worker: 67,
        shared: 68,
        calls: 50,
        failed: 64,
        busy: time(19_500),
        set_up: time(250),
        on_core: Some((0.5, 0.25)),
        in_one_go: false,
        fused: false,
        times: Some(ItemTimes {
            p50: time(500),
            p90: time(1_500),
            p99: time(2_500),
            max: time(3_500),
            together: 1.25,
        }),
        waited_input: time(51_500),
        waited_downstream: time(52_500),
        waited_memory: time(53_500),
        waited_real: time(54_500),
        waited_core: time(55_500),
    };
    let stall = Stall {
        stage: "sink".to_owned(),
        item: ItemId::new(60),
        lasted: time(61_500),
        holds: 62,
        items: 63,
        came_back: true,
        beside: Beside::default(),
    };
    Report {
        by_variable: true,
        read: 1,
        children: 2,
        delivered: 3,
        filtered: 4,
        failed: 5,
        cancelled: 6,
        expanded: 7,
        elapsed: time(10_000),
        cpu_time: Some(time(11_500)),
        threads: 12,
        cores: 13,
        machine_cores: Some(63),
        source_busy: time(1_500),
        sink_busy: time(2_500),
        sink_failed: 65,
        kept: 14,
        for_tables: 9,
        line: 15,
        reserve: 65,
        largest_step: 66,
        notes: vec!["no stage hears PLIMSOLL_WORKERS_X".to_owned()],
        peak_reserved: 16,
        peak_overweight: 17,
        most_aboard: 18,
        window: 69,
        waited_window: time(1_750),
        waited_turn: time(750),
        peak_resident: Some(19),
        memory,
        stalls: vec![stall],
        stages: vec![stage],
        recording: None,
        stamp: None,
        basis: None,
    }
}

#[test]
fn the_json_of_a_report_keeps_its_names() {
    let misjudged = |stage: &str, touched: u64| json!({"stage": stage, "touched_bytes": touched, "declared_bytes": touched / 2});
    let memory = json!({
        "why_not_measured": null, "peak_real_bytes": 30, "peak_drift_bytes": 31,
        "beyond_budget_bytes": 32, "most_withheld_bytes": 33, "tightened_seconds": 34.5,
        "system_short_seconds": 35.5, "trims": 36, "trimmed_bytes": 37, "trim_seconds": 38.5,
        "releases_blocks_from_bytes": 44,
        "never_used_bytes": 39, "heavier_than_declared": misjudged("screen", 40),
        "worker_heavier_than_declared": misjudged("parse", 42), "lighter_than_declared": null,
    });
    let item_times = json!({
        "p50_seconds": 0.5, "p90_seconds": 1.5, "p99_seconds": 2.5, "max_seconds": 3.5,
        "together": 1.25,
    });
    let stage = json!({
        "name": "screen", "workers": 2, "asked_workers": 8, "waits": false, "calls": 50, "failed": 64, "fused": false,
        "busy_seconds": 19.5, "set_up_seconds": 0.25, "computed": 0.5,
        "lacked_core": 0.25, "waited_input_seconds": 51.5,
        "waited_downstream_seconds": 52.5, "waited_memory_seconds": 53.5,
        "waited_real_memory_seconds": 54.5, "waited_core_seconds": 55.5,
        "item_times": item_times,
    });
    let stall = json!({"stage": "sink", "item": "60", "seconds": 61.5, "holds_bytes": 62, "items": 63, "came_back": true});
    let wanted = json!({
        "read": 1, "children": 2, "delivered": 3, "filtered": 4, "failed": 5, "cancelled": 6,
        "expanded": 7, "elapsed_seconds": 10.0, "cpu_seconds": 11.5, "threads": 12, "cores": 13,
        "machine_cores": 63, "core_share": 11.5 / 19.75,
        "source_busy_seconds": 1.5, "sink_busy_seconds": 2.5, "sink_failed": 65, "kept_bytes": 14, "tables_bytes": 9,
        "line_bytes": 15, "peak_reserved_bytes": 16, "peak_overweight_bytes": 17,
        "most_aboard": 18, "window_items": 69, "waited_window_seconds": 1.75, "waited_turn_seconds": 0.75,
        "peak_resident_bytes": 19,
        "notes": ["no stage hears PLIMSOLL_WORKERS_X"],
        "limited_by": "screen: its 2 workers were busy 99 % of the time",
        "suggestion":
            "screen is limited by memory: 2 of 8 workers fit; 3.0 GiB more would carry 4",
        "memory": memory, "stages": [stage], "stalls": [stall],
    });
    let told = serde_json::to_value(report()).expect("it can be written");
    assert_eq!(told, wanted, "{told:#}");
}
