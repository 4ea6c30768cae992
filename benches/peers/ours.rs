//! A job done by Plimsoll, as a user would write it. No knob is set.

use plimsoll::{Budget, Footprint, Pipeline, Stage};

use crate::job::{Job, Outcome, Sink};
use crate::loads::ROWS;

pub(crate) fn plimsoll<J: Job>(job: &J, ordered: bool) -> Outcome {
    let budget = Budget::from_env().expect("the machine can be read");
    let first = Stage::cpu("first").map(|item| job.stage(0, item));
    let second = Stage::memory("second", Footprint::shared(8 * ROWS as u64));
    let second = second.map(|item| job.stage(1, item));
    let mut pipeline = Pipeline::new(first).then(second);
    if J::STAGES > 2 {
        pipeline = pipeline.then(Stage::cpu("third").map(|item| job.stage(2, item)));
    }
    if ordered {
        pipeline = pipeline.ordered();
    }
    let pipeline = pipeline.build(&budget).expect("the plan fits");
    let mut sink = Sink::new(ordered);
    pipeline.run(job.source(), |item| job.deliver(item, &mut sink)).expect("nothing fails");
    sink.outcome()
}
