//! What a recorded run tells: a trace that reads back, a page that holds it all.

use std::collections::BTreeMap;
use std::io;
use std::thread::sleep;
use std::time::Duration;

use plimsoll::{Budget, Footprint, KIB, MIB, Pipeline, Report, Stage};
use serde_json::Value;

/// A name that ends whatever it stands in, if it is not escaped.
const AWKWARD: &str = "align \"</script><b>'&\\";

/// A recorded run of 300 items, a third of which are filtered.
fn recorded() -> Report {
    let parse = Stage::cpu("parse").map(|n: u64| n);
    let align = Stage::memory(AWKWARD, Footprint::per_item(|_| 3 * KIB)).workers(2);
    let align = align.filter_map(|n: u64| {
        sleep(Duration::from_micros(100));
        (!n.is_multiple_of(3)).then_some(n)
    });
    let split = Stage::cpu("split").flat_map(|n: u64| [n, n]);
    let pipeline = Pipeline::new(parse.weigh(|_| 2 * KIB)).then(align).then(split);
    let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
    pipeline.job().record().run(0..300, drop).expect("nothing fails")
}

/// The events of a trace by their phase.
fn events(report: &Report) -> BTreeMap<String, Vec<Value>> {
    let mut text = Vec::new();
    report.write_trace(&mut text).expect("it was recorded");
    let trace: Value = serde_json::from_slice(&text).expect("it is JSON");
    let mut phases: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in trace["traceEvents"].as_array().expect("there are events") {
        for field in ["pid", "tid", "ts"] {
            assert!(event[field].is_number(), "{event}");
        }
        assert!(event["args"].is_object(), "{event}");
        let phase = event["ph"].as_str().expect("it has a phase").to_owned();
        phases.entry(phase).or_default().push(event.clone());
    }
    phases
}

fn name(event: &Value) -> &str {
    event["name"].as_str().expect("an event has a name")
}

#[test]
fn a_trace_tells_every_call_on_the_track_of_its_thread() {
    let report = recorded();
    let phases = events(&report);
    assert_eq!(phases.keys().collect::<Vec<_>>(), ["C", "M", "X"]);
    let (mut items, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for event in &phases["X"] {
        let number = |value: &Value| value.as_f64().expect("a number");
        let begun = number(&event["ts"]);
        let end = ends.entry(event["tid"].as_u64()).or_insert(0.0);
        // Thousandths of a microsecond, written in decimals.
        assert!(begun > *end - 0.0001, "a thread does one thing at a time: {event}");
        *end = begun + number(&event["dur"]);
        assert!(*end <= report.elapsed().as_secs_f64() * 1e6, "{event}");
        *items.entry(name(event)).or_insert(0) += event["args"]["items"].as_u64().expect("items");
    }
    let wanted =
        [("(source)", 300), ("parse", 300), (AWKWARD, 300), ("split", 200), ("(sink)", 400)];
    assert_eq!(items, BTreeMap::from(wanted));
    let named: Vec<_> = phases["M"].iter().filter(|event| name(event) == "thread_name").collect();
    assert_eq!(named.len(), report.threads(), "a track for each thread");
    assert!(ends.keys().all(|tid| named.iter().any(|event| event["tid"].as_u64() == *tid)));
}

#[test]
fn a_trace_counts_what_is_aboard() {
    let report = recorded();
    let phases = events(&report);
    let most = |wanted: &str, unit: &str| {
        let told = phases["C"].iter().filter(|event| name(event) == wanted);
        told.map(|event| event["args"][unit].as_u64().expect("a number")).max()
    };
    let aboard = most("aboard", "bytes").expect("it is counted");
    // One that is being called holds its own 2 KiB and the call's 3.
    assert!((5 * KIB..=report.line()).contains(&aboard), "{aboard}");
    assert!(aboard <= report.peak_reserved() + report.peak_overweight(), "{aboard}: {report}");
    assert_eq!(most("the line", "bytes"), Some(report.line()));
    assert!(most("items aboard", "items") <= Some(report.most_aboard()));
    assert!(most(&format!("before {AWKWARD}"), "items").is_some());
    assert!(most("before (sink)", "items").is_some());
}

#[test]
fn a_run_that_was_not_recorded_has_no_trace() {
    let pipeline = Pipeline::new(Stage::cpu("x").map(|n: u64| n));
    let pipeline = pipeline.build(&Budget::new(MIB, 1)).expect("it fits");
    let report = pipeline.run(0..10, drop).expect("nothing fails");
    let mut written = Vec::new();
    let error = report.write_trace(&mut written).expect_err("there is nothing to write");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("job().record()"), "{error}");
    assert!(written.is_empty());
}
