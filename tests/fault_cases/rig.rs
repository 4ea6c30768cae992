//! The pipeline of a case: every stage asks the trap before it goes on.

use std::sync::{Arc, Mutex};

use plimsoll::{
    Budget, CancelToken, Footprint, ItemError, ItemId, Pipeline, Report, RunError, Stage,
};

use super::case::{
    BATCH, Case, FILTER, FLAT, FUSED, Kind, LAST, MAP, MEMORY, NAMES, SECOND, is_kept,
};
use super::trap::{LIMIT, State, Trap};
use super::values::Value;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ended: Result<Option<Report>, RunError>,
    /// What was delivered, in the order of delivery.
    pub(crate) outputs: Vec<ItemId>,
    pub(crate) failures: Vec<ItemError>,
    /// The output at which the sink failed.
    pub(crate) refused: Option<ItemId>,
}

/// A pipeline with a trap in it.
pub(crate) struct Rig {
    trap: Arc<Trap>,
    pipeline: Pipeline<'static, Value, Value>,
}

impl Rig {
    pub(crate) fn new(case: Case) -> Self {
        let trap = Trap::new(case);
        Self { pipeline: pipeline(&trap), trap }
    }

    /// Runs with the fault.
    pub(crate) fn strike(&self, streamed: bool) -> Outcome {
        self.trap.set(true);
        let outcome = self.run(streamed);
        self.trap.set(false);
        outcome
    }

    /// Runs without.
    pub(crate) fn pass(&self, streamed: bool) -> Outcome {
        self.run(streamed)
    }

    /// Fails unless every value that was made was dropped once; how many there were.
    pub(crate) fn verify_drops(&self) -> usize {
        self.trap.verify_drops()
    }

    fn run(&self, streamed: bool) -> Outcome {
        let trap = &self.trap;
        let token = CancelToken::new();
        trap.begin(&token);
        let maker = Arc::clone(trap);
        let source = (0..trap.case.items).map(move |item| maker.make(item));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let (told, asked) = (Arc::clone(&failures), Arc::clone(trap));
        let tell = move |error| {
            told.lock().expect("no panic").push(error);
            let panics = asked.is_armed() && asked.case.kind == Kind::FailureSinkPanic;
            assert!(!panics, "planned: the failure sink");
        };
        let mut job = self.pipeline.job().cancel(&token);
        if trap.case.collect {
            job = job.failures(tell);
        }
        if trap.is_armed() && trap.case.kind == Kind::Deadline {
            job = job.time_limit(LIMIT);
        }
        let (mut outputs, mut refused) = (Vec::new(), None);
        let ended = if streamed {
            let leaves = trap.is_armed() && trap.case.kind == Kind::EarlyDrop;
            let most = if leaves { trap.position() } else { usize::MAX };
            let mut stream = job.stream(source).expect("threads start");
            let taken = stream.by_ref().take(most).try_for_each(|value| {
                value.map(|mut value| {
                    value.mark.lit = false;
                    outputs.push(value.id.clone());
                })
            });
            taken.map(|()| stream.report().cloned())
        } else {
            let sink = |value: Value| trap.deliver(value, &mut outputs, &mut refused);
            job.run(source, sink).map(Some)
        };
        let failures = std::mem::take(&mut *failures.lock().expect("no panic"));
        Outcome { ended, outputs, failures, refused }
    }
}

type Values = Stage<'static, Value, Value>;

/// All verbs, in the order of `NAMES`.
fn pipeline(trap: &Arc<Trap>) -> Pipeline<'static, Value, Value> {
    let (checked, kept) = (stage_of(trap), Arc::clone(trap));
    let filter = Stage::cpu(NAMES[FILTER]).footprint(footprint(trap, FILTER)).filter_map(
        move |mut value: Value| {
            kept.call(FILTER, &mut value).expect("no error is planned here");
            value.mark.lit &= is_kept(&value.id);
            is_kept(&value.id).then_some(value)
        },
    );
    let weighed = |place, stage: Values| {
        let trap = Arc::clone(trap);
        stage.weigh(move |value| trap.weigh(place, &value.id))
    };
    let Case { ordered, cores, memory, .. } = trap.case;
    let source = Arc::clone(trap);
    let builder = Pipeline::new(weighed(MAP, checked(MAP)))
        .then(weighed(FUSED, checked(FUSED)))
        .then(weighed(MEMORY, memory_stage(trap)))
        .then(weighed(FLAT, flat(trap)))
        .then(weighed(SECOND, second(trap)))
        .then(weighed(BATCH, batch(trap)))
        .then(weighed(FILTER, filter))
        .then(weighed(LAST, checked(LAST)))
        .weigh_source(move |value| source.weigh_source(&value.id));
    let builder = if ordered { builder.ordered() } else { builder };
    builder.build(&Budget::new(memory, cores)).expect("it fits")
}

/// The footprint of a stage: of each item only where that is what panics, since a
/// stage that declares one is never fused.
fn footprint(trap: &Arc<Trap>, stage: usize) -> Footprint<'static, Value> {
    let Case { kind, stage: struck, .. } = trap.case;
    let asked = Arc::clone(trap);
    match (kind, stage) {
        (Kind::FootprintPanic, stage) if stage == struck => {
            Footprint::per_item(move |value: &Value| asked.footprint(stage, &value.id))
        }
        (_, MEMORY | BATCH) => Footprint::per_item(move |_| 100),
        _ => Footprint::none(),
    }
}

fn stage_of(trap: &Arc<Trap>) -> impl Fn(usize) -> Values {
    let trap = Arc::clone(trap);
    move |stage| {
        let asked = Arc::clone(&trap);
        Stage::cpu(NAMES[stage]).footprint(footprint(&trap, stage)).try_map(
            move |mut value: Value| {
                asked.call(stage, &mut value)?;
                Ok::<_, String>(value)
            },
        )
    }
}

fn memory_stage(trap: &Arc<Trap>) -> Values {
    let (asked, states) = (Arc::clone(trap), Arc::clone(trap));
    Stage::memory(NAMES[MEMORY], footprint(trap, MEMORY).and(Footprint::per_worker(64)))
        .workers(2)
        .try_with_state(move || states.state(MEMORY))
        .try_map(move |state: &mut State, mut value: Value| {
            asked.call_with(MEMORY, state, &mut value)?;
            Ok::<_, String>(value)
        })
}

fn flat(trap: &Arc<Trap>) -> Values {
    let asked = Arc::clone(trap);
    Stage::cpu(NAMES[FLAT]).footprint(footprint(trap, FLAT)).flat_map(move |mut value: Value| {
        asked.call(FLAT, &mut value).expect("no error is planned here");
        asked.twins(FLAT, value)
    })
}

fn second(trap: &Arc<Trap>) -> Values {
    let (asked, states) = (Arc::clone(trap), Arc::clone(trap));
    Stage::memory(NAMES[SECOND], footprint(trap, SECOND))
        .workers(2)
        .try_with_state(move || states.state(SECOND))
        .flat_map(move |state: &mut State, mut value: Value| {
            asked.call_with(SECOND, state, &mut value).expect("no error is planned here");
            asked.twins(SECOND, value)
        })
}

/// An error of a batch is a batch of the wrong length.
fn batch(trap: &Arc<Trap>) -> Values {
    let (asked, states) = (Arc::clone(trap), Arc::clone(trap));
    Stage::memory(NAMES[BATCH], footprint(trap, BATCH))
        .workers(2)
        .try_with_state(move || states.state(BATCH))
        .map_batch(3, move |state: &mut State, mut values: Vec<Value>| {
            if values.iter().any(|value| asked.is_struck(BATCH, &value.id)) {
                values.iter_mut().for_each(|value| value.mark.lit = false);
            }
            let ask = |value: &mut Value| asked.call_with(BATCH, state, value);
            if values.iter_mut().map(ask).any(|asked| asked.is_err()) {
                values.pop();
            }
            values
        })
}
