//! What runs tell by the feature `metrics`, as Prometheus would read it.

#![cfg(feature = "metrics")]

use metrics_exporter_prometheus::PrometheusBuilder;
use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};

#[test]
fn two_runs_add_up_and_leave_nothing_aboard() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let halve = Stage::cpu("halve").filter_map(|n: u64| n.is_multiple_of(2).then_some(n / 2));
        let check = |n: u64| if n == 3 { Err("three") } else { Ok(n) };
        let check = Stage::memory("check", Footprint::none()).try_map(check);
        let pipeline = Pipeline::new(halve).then(check).build(&Budget::new(MIB, 2));
        let pipeline = pipeline.expect("it fits");
        for _ in 0..2 {
            pipeline.job().failures(drop).run(0..10, drop).expect("failures are collected");
        }
    });
    let text = handle.render();
    for line in [
        "plimsoll_items_read_total 20",
        "plimsoll_items_delivered_total 8",
        "plimsoll_items_filtered_total 10",
        "plimsoll_items_failed_total 2",
        "plimsoll_items_aboard 0",
        "plimsoll_held_bytes 0",
        "plimsoll_stage_items_total{stage=\"halve\"} 20",
        "plimsoll_stage_items_total{stage=\"check\"} 10",
        "plimsoll_stage_queued_items{stage=\"check\"} 0",
        "plimsoll_run_seconds_count 2",
    ] {
        assert!(text.lines().any(|told| told == line), "no {line:?} in\n{text}");
    }
    assert!(text.contains("plimsoll_stage_call_seconds_count{stage=\"halve\"}"), "{text}");
}
