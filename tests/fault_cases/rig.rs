//! The pipeline of a case: every stage asks the trap before it goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::{
    Budget, CancelToken, Footprint, ItemError, ItemId, Pipeline, Report, RunError, Stage,
};

use super::case::{
    BATCH, Case, FILTER, FLAT, FUSED, Kind, LAST, MAP, MEMORY, NAMES, SECOND, is_kept, level_into,
};
use super::values::{Census, Mark, Value};

/// Decides who is struck.
struct Trap {
    case: Case,
    census: Arc<Census>,
    armed: AtomicBool,
    /// The struck item was seen.
    sprung: AtomicBool,
    token: Mutex<CancelToken>,
}

/// The state of a worker.
struct State {
    mark: Mark,
}

/// The two children of an item.
struct Twins {
    parent: Value,
    stage: usize,
    next: u64,
    trap: Arc<Trap>,
    /// Dropped with it; may panic then.
    _mark: Mark,
}

impl Iterator for Twins {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let child = self.next;
        self.next += 1;
        if child == 1 && self.trap.iterator_panics(self.stage, &self.parent.id) {
            panic!("planned: midway");
        }
        (child < 2).then(|| {
            let mut child = Value::new(self.parent.id.child(child), &self.trap.census);
            child.mark.lit = self.parent.mark.lit;
            child
        })
    }
}

impl Trap {
    fn is_armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }

    fn is_struck(&self, stage: usize, id: &ItemId) -> bool {
        self.is_armed() && stage == self.case.stage && *id == self.case.struck(level_into(stage))
    }

    fn make(&self, item: u64) -> Value {
        let Case { kind, item: struck, lit, .. } = self.case;
        assert!(
            !self.is_armed() || kind != Kind::SourcePanic || item != struck,
            "planned: the source"
        );
        let mut value = Value::new(ItemId::new(item), &self.census);
        value.mark.lit = self.is_armed() && (lit || kind == Kind::ItemDropPanic);
        value
    }

    /// Asked by each call, for each of its items.
    fn call(&self, stage: usize, value: &mut Value) -> Result<(), String> {
        let Value { id, mark } = value;
        let younger = stage == MAP && id.source_index() > self.case.item;
        if self.is_armed() && self.case.has_decoys() && younger {
            mark.lit = false;
            return Err(format!("a decoy: {id}"));
        }
        if !self.is_struck(stage, id) {
            return Ok(());
        }
        self.sprung.store(true, Ordering::SeqCst);
        mark.lit = false;
        match self.case.kind {
            Kind::ItemError => return Err("planned: an error".to_owned()),
            Kind::Cancel => self.cancel(),
            Kind::ItemDropPanic if self.case.collect => self.cancel(),
            Kind::Deadline => outlast(LIMIT),
            Kind::ItemPanic
            | Kind::ItemDropPanic
            | Kind::FailureSinkPanic
            | Kind::StatePanicTwice => panic!("planned: an item"),
            Kind::StateError | Kind::StatePanic if self.case.item > 0 => panic!("planned: an item"),
            _ => {}
        }
        Ok(())
    }

    /// Like `call`, where the worker has a state.
    fn call_with(&self, stage: usize, state: &mut State, value: &mut Value) -> Result<(), String> {
        let lights = matches!(self.case.kind, Kind::StateDropPanic | Kind::StatePanicTwice);
        state.mark.lit |= lights && self.is_struck(stage, &value.id);
        self.call(stage, value)
    }

    fn cancel(&self) {
        // Not pulled under the lock: a model checker may switch threads there.
        let token = self.token.lock().expect("no panic").clone();
        token.cancel();
    }

    fn state(&self, stage: usize) -> Result<State, String> {
        let Case { kind, item, .. } = self.case;
        let struck = item == 0 || self.sprung.load(Ordering::SeqCst);
        if self.is_armed() && stage == self.case.stage && struck {
            match kind {
                Kind::StateError => return Err("planned: no state".to_owned()),
                Kind::StatePanic => panic!("planned: no state"),
                _ => {}
            }
        }
        Ok(State { mark: self.census.enter(format!("state of {}", NAMES[stage])) })
    }

    fn iterator_panics(&self, stage: usize, parent: &ItemId) -> bool {
        matches!(self.case.kind, Kind::IterPanic | Kind::IterPanicTwice)
            && self.is_struck(stage, parent)
    }

    fn twins(self: &Arc<Self>, stage: usize, mut parent: Value) -> Twins {
        let mut mark = self.census.enter(format!("iterator of {}", parent.id));
        mark.lit = matches!(self.case.kind, Kind::IterDropPanic | Kind::IterPanicTwice)
            && self.is_struck(stage, &parent.id);
        parent.mark.lit &= !mark.lit;
        Twins { parent, stage, next: 0, trap: Arc::clone(self), _mark: mark }
    }

    /// What an output of a stage weighs.
    fn weigh(&self, stage: usize, id: &ItemId) -> u64 {
        let struck = *id == self.case.struck(level_into(stage + 1)) && stage == self.case.stage;
        let panics = self.is_armed() && self.case.kind == Kind::WeigherPanic && struck;
        assert!(!panics, "planned: a weigher");
        64
    }

    fn weigh_source(&self, id: &ItemId) -> u64 {
        let panics = self.case.kind == Kind::SourceWeigherPanic && self.is_struck(MAP, id);
        assert!(!panics, "planned: the weigher of the source");
        64
    }

    fn footprint(&self, stage: usize, id: &ItemId) -> u64 {
        let panics = self.case.kind == Kind::FootprintPanic && self.is_struck(stage, id);
        assert!(!panics, "planned: a footprint");
        100
    }
}

/// The time limit, where there is one.
const LIMIT: Duration = Duration::from_millis(3);

#[cfg(not(shuttle))]
fn outlast(limit: Duration) {
    // The run was begun before this call was.
    std::thread::sleep(limit);
}

/// The checker's clock moves by itself.
#[cfg(shuttle)]
fn outlast(_limit: Duration) {}

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
        let trap = Arc::new(Trap {
            case,
            census: Arc::default(),
            armed: AtomicBool::new(false),
            sprung: AtomicBool::new(false),
            token: Mutex::new(CancelToken::new()),
        });
        Self { pipeline: pipeline(&trap), trap }
    }

    /// Runs with the fault.
    pub(crate) fn strike(&self, streamed: bool) -> Outcome {
        self.trap.armed.store(true, Ordering::SeqCst);
        let outcome = self.run(streamed);
        self.trap.armed.store(false, Ordering::SeqCst);
        outcome
    }

    /// Runs without.
    pub(crate) fn pass(&self, streamed: bool) -> Outcome {
        self.run(streamed)
    }

    /// Fails unless every value that was made was dropped once; how many there were.
    pub(crate) fn verify_drops(&self) -> usize {
        self.trap.census.verify()
    }

    fn run(&self, streamed: bool) -> Outcome {
        let trap = &self.trap;
        trap.sprung.store(false, Ordering::SeqCst);
        let token = CancelToken::new();
        *trap.token.lock().expect("no panic") = token.clone();
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

impl Trap {
    /// The output at which a sink fails or a consumer leaves.
    fn position(&self) -> usize {
        let Case { item, items, .. } = self.case;
        let last = self.case.outputs().len() - 1;
        if item + 1 == items && item > 0 { last } else { item as usize * last / items as usize }
    }

    fn deliver(
        &self,
        mut value: Value,
        outputs: &mut Vec<ItemId>,
        refused: &mut Option<ItemId>,
    ) -> Result<(), String> {
        value.mark.lit = false;
        let kind = self.case.kind;
        let fails = matches!(kind, Kind::SinkError | Kind::SinkPanic);
        assert!(refused.is_none(), "a sink that failed is called again");
        if self.is_armed() && fails && outputs.len() == self.position() {
            *refused = Some(value.id.clone());
            assert!(kind == Kind::SinkError, "planned: the sink");
            return Err("planned: full".to_owned());
        }
        outputs.push(value.id.clone());
        Ok(())
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
