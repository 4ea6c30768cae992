//! The spans of a run, as the feature `tracing` tells them.

#![cfg(feature = "tracing")]

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps each span: how deep its level is, its name and fields; and that each is left as
/// often as it is entered.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    spans: Vec<(Level, String)>,
    inside: i64,
    entered: u64,
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a string takes all");
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "plimsoll"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(span.metadata().name().to_owned());
        span.record(&mut line);
        let mut heard = self.0.lock().expect("no panic");
        heard.spans.push((*span.metadata().level(), line.0));
        Id::from_u64(heard.spans.len() as u64)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {}

    fn enter(&self, _span: &Id) {
        let mut heard = self.0.lock().expect("no panic");
        heard.inside += 1;
        heard.entered += 1;
    }

    fn exit(&self, _span: &Id) {
        self.0.lock().expect("no panic").inside -= 1;
    }
}

#[test]
fn a_run_has_a_span_for_itself_for_each_stage_and_for_each_parcel() {
    let spans = Spans::default();
    tracing::subscriber::set_global_default(spans.clone()).expect("the only one");
    let parse = Stage::cpu("parse").map(|n: u64| n);
    let look_up = Stage::memory("look up", Footprint::none()).workers(1).map(|n: u64| n);
    let pipeline = Pipeline::new(parse).then(look_up).build(&Budget::new(MIB, 2)).expect("it fits");
    pipeline.run(0..10, drop).expect("nothing fails");

    let heard = spans.0.lock().expect("no panic");
    let of = |wanted: Level| heard.spans.iter().filter(move |(level, _)| *level == wanted);
    let runs: Vec<_> = of(Level::INFO).map(|(_, line)| line.as_str()).collect();
    assert_eq!(runs, ["run memory=1048576 cores=2 line=1048576 threads=3"]);
    let stages: Vec<_> = of(Level::DEBUG).map(|(_, line)| line.as_str()).collect();
    let told = ["parse\" workers=2", "look up\" workers=1", "(sink)\" workers=1"];
    assert_eq!(stages, told.map(|stage| format!("stage stage=\"{stage}")));
    let parcels = of(Level::TRACE).count() as u64;
    assert!((3..=30).contains(&parcels), "each of three stages takes between 1 and 10: {parcels}");
    assert!(of(Level::TRACE).all(|(_, line)| line.starts_with("parcel item=")));
    // Each of three threads enters the run, and each parcel its stage and itself.
    assert_eq!((heard.inside, heard.entered), (0, 3 + 2 * parcels));
}
