//! Who is struck, and how: what every function of the user's asks before it goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll::{CancelToken, ItemId};

use super::case::{Case, Kind, MAP, NAMES, level_into};
use super::values::{Census, Mark, Value};

/// Decides who is struck.
pub(super) struct Trap {
    pub(super) case: Case,
    census: Arc<Census>,
    armed: AtomicBool,
    /// The struck item was seen.
    sprung: AtomicBool,
    token: Mutex<CancelToken>,
}

/// The state of a worker.
pub(super) struct State {
    mark: Mark,
}

/// The two children of an item.
pub(super) struct Twins {
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
    pub(super) fn new(case: Case) -> Arc<Self> {
        Arc::new(Self {
            case,
            census: Arc::default(),
            armed: AtomicBool::new(false),
            sprung: AtomicBool::new(false),
            token: Mutex::new(CancelToken::new()),
        })
    }

    /// Sets the trap for the next run, or takes it away.
    pub(super) fn set(&self, armed: bool) {
        self.armed.store(armed, Ordering::SeqCst);
    }

    /// Begins a run, which `token` ends.
    pub(super) fn begin(&self, token: &CancelToken) {
        self.sprung.store(false, Ordering::SeqCst);
        *self.token.lock().expect("no panic") = token.clone();
    }

    pub(super) fn verify_drops(&self) -> usize {
        self.census.verify()
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }

    pub(super) fn is_struck(&self, stage: usize, id: &ItemId) -> bool {
        self.is_armed() && stage == self.case.stage && *id == self.case.struck(level_into(stage))
    }

    pub(super) fn make(&self, item: u64) -> Value {
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
    pub(super) fn call(&self, stage: usize, value: &mut Value) -> Result<(), String> {
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
    pub(super) fn call_with(
        &self,
        stage: usize,
        state: &mut State,
        value: &mut Value,
    ) -> Result<(), String> {
        let lights = matches!(self.case.kind, Kind::StateDropPanic | Kind::StatePanicTwice);
        state.mark.lit |= lights && self.is_struck(stage, &value.id);
        self.call(stage, value)
    }

    pub(super) fn cancel(&self) {
        // Not pulled under the lock: a model checker may switch threads there.
        let token = self.token.lock().expect("no panic").clone();
        token.cancel();
    }

    pub(super) fn state(&self, stage: usize) -> Result<State, String> {
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

    pub(super) fn iterator_panics(&self, stage: usize, parent: &ItemId) -> bool {
        matches!(self.case.kind, Kind::IterPanic | Kind::IterPanicTwice)
            && self.is_struck(stage, parent)
    }

    pub(super) fn twins(self: &Arc<Self>, stage: usize, mut parent: Value) -> Twins {
        let mut mark = self.census.enter(format!("iterator of {}", parent.id));
        mark.lit = matches!(self.case.kind, Kind::IterDropPanic | Kind::IterPanicTwice)
            && self.is_struck(stage, &parent.id);
        parent.mark.lit &= !mark.lit;
        Twins { parent, stage, next: 0, trap: Arc::clone(self), _mark: mark }
    }

    /// What an output of a stage weighs.
    pub(super) fn weigh(&self, stage: usize, id: &ItemId) -> u64 {
        let struck = *id == self.case.struck(level_into(stage + 1)) && stage == self.case.stage;
        let panics = self.is_armed() && self.case.kind == Kind::WeigherPanic && struck;
        assert!(!panics, "planned: a weigher");
        64
    }

    pub(super) fn weigh_source(&self, id: &ItemId) -> u64 {
        let panics = self.case.kind == Kind::SourceWeigherPanic && self.is_struck(MAP, id);
        assert!(!panics, "planned: the weigher of the source");
        64
    }

    pub(super) fn footprint(&self, stage: usize, id: &ItemId) -> u64 {
        let panics = self.case.kind == Kind::FootprintPanic && self.is_struck(stage, id);
        assert!(!panics, "planned: a footprint");
        100
    }
}

/// The time limit, where there is one.
pub(super) const LIMIT: Duration = Duration::from_millis(3);

#[cfg(not(shuttle))]
fn outlast(limit: Duration) {
    // The run was begun before this call was.
    std::thread::sleep(limit);
}

/// The checker's clock moves by itself.
#[cfg(shuttle)]
fn outlast(_limit: Duration) {}

impl Trap {
    /// The output at which a sink fails or a consumer leaves.
    pub(super) fn position(&self) -> usize {
        let Case { item, items, .. } = self.case;
        let last = self.case.outputs().len() - 1;
        if item + 1 == items && item > 0 { last } else { item as usize * last / items as usize }
    }

    pub(super) fn deliver(
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
