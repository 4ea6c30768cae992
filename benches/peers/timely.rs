//! A job done by timely dataflow.

use std::cell::Cell;
use std::rc::Rc;

use ::timely::dataflow::operators::vec::Map;
use ::timely::dataflow::operators::{Inspect, ToStream};

use crate::common::cores;
use crate::job::{Job, Outcome, Sink};

/// Every worker does all stages of its share of the items. Nothing is exchanged, and no
/// order is kept.
pub(crate) fn dataflow<J: Job>(job: &'static J) -> Outcome {
    let done = ::timely::execute(::timely::Config::process(cores()), move |worker| {
        let sink = Rc::new(Cell::new(Sink::new(false)));
        let (first, step, taken) = (worker.index(), worker.peers(), Rc::clone(&sink));
        worker.dataflow::<u64, _, _>(|scope| {
            let items = job.source().skip(first).step_by(step);
            let mut stream = items.to_stream(scope);
            for stage in 0..J::STAGES {
                stream = stream.map(move |item| job.stage(stage, item));
            }
            stream.inspect(move |item| {
                let mut sink = taken.get();
                job.deliver(item.clone(), &mut sink);
                taken.set(sink);
            });
        });
        while worker.step() {}
        sink.get()
    });
    let sinks = done.expect("threads start").join();
    let sinks = sinks.into_iter().map(|sink| sink.expect("no worker panics"));
    sinks.fold(Sink::new(false), Sink::join).outcome()
}
