//! Random pipelines, as values that can be built and interpreted.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod compare;
mod interpret;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use interpret::{Event, Expected, Failure};
use plimsoll::{Budget, Error, Footprint, Pipeline, Stage, StageBuilder};
use proptest::prelude::*;

use crate::common::mix;

/// What moves: a number that tells where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item(pub(crate) u64);

/// One of so many items meets it; zero for never.
type Rate = u64;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    Map,
    TryMap { fails: Rate },
    FilterMap { keeps: u64 },
    FlatMap { most: u64, fails: Rate },
    MapBatch { most: usize },
}

/// Bytes that depend on the item; some are eight times as heavy, for some the
/// user's function panics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight {
    most: u64,
    panics: Rate,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    verb: Verb,
    state: bool,
    memory: bool,
    dawdles: bool,
    workers: Option<usize>,
    per_worker: u64,
    shared: u64,
    per_item: Option<Weight>,
    weigh: Option<Weight>,
    salt: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) steps: Vec<Step>,
    pub(crate) ordered: bool,
    pub(crate) cores: usize,
    pub(crate) memory: u64,
    pub(crate) largest: Option<u64>,
    pub(crate) window: Option<u64>,
    pub(crate) items: u64,
    pub(crate) promises: bool,
    pub(crate) source: Option<Weight>,
    pub(crate) salt: u64,
}

/// How large the pipelines of a test get.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    steps: usize,
    cores: usize,
    workers: usize,
    /// Powers of two: the budget, the largest item, the weights.
    memory: Range<u32>,
    largest: Range<u32>,
    weights: Range<u32>,
    /// What a worker, or all of them, may keep.
    kept: Range<u64>,
    window: Range<u64>,
    few: Range<u64>,
    many: Range<u64>,
    children: Range<u64>,
    batch: Range<usize>,
    /// One of so many items fails, or its weigher panics, where any does.
    fails: Range<Rate>,
    panics: Range<Rate>,
    dawdles: f64,
}

/// Enough items to keep real threads busy.
pub(crate) const LARGE: Scale = Scale {
    steps: 6,
    cores: 8,
    workers: 8,
    memory: 4..22,
    largest: 3..15,
    weights: 0..14,
    kept: 1..2_000,
    window: 1..40,
    few: 0..6,
    many: 0..300,
    children: 0..6,
    batch: 1..40,
    fails: 10..400,
    panics: 20..200,
    dawdles: 0.15,
};

/// So little that a random schedule has a chance to meet what is rare.
pub(crate) const SMALL: Scale = Scale {
    steps: 5,
    cores: 2,
    workers: 3,
    memory: 4..12,
    largest: 3..9,
    weights: 0..7,
    kept: 1..100,
    window: 1..5,
    few: 0..3,
    many: 2..7,
    children: 0..4,
    batch: 1..4,
    fails: 2..12,
    panics: 4..20,
    dawdles: 0.0,
};

fn weights(scale: &Scale) -> impl Strategy<Value = Option<Weight>> + use<> {
    let panics = prop_oneof![9 => Just(0), 1 => scale.panics.clone()];
    let weight = (scale.weights.clone(), panics);
    let weight = weight.prop_map(|(bits, panics)| Weight { most: 1 << bits, panics });
    prop_oneof![2 => Just(None), 1 => weight.prop_map(Some)]
}

fn verbs(scale: &Scale) -> impl Strategy<Value = Verb> + use<> {
    let rate = || prop_oneof![1 => Just(0u64), 1 => scale.fails.clone()];
    prop_oneof![
        2 => Just(Verb::Map),
        2 => rate().prop_map(|fails| Verb::TryMap { fails }),
        1 => (0u64..=100).prop_map(|keeps| Verb::FilterMap { keeps }),
        2 => (scale.children.clone(), rate())
            .prop_map(|(most, fails)| Verb::FlatMap { most, fails }),
        1 => scale.batch.clone().prop_map(|most| Verb::MapBatch { most }),
    ]
}

fn steps(scale: &Scale) -> impl Strategy<Value = Step> + use<> {
    let bytes = || prop_oneof![3 => Just(0u64), 1 => scale.kept.clone()];
    let workers = prop_oneof![2 => Just(None), 1 => (1..=scale.workers).prop_map(Some)];
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(scale.dawdles));
    let (per_item, weigh) = (weights(scale), weights(scale));
    (verbs(scale), flags, workers, bytes(), bytes(), per_item, weigh, any::<u64>()).prop_map(
        |(verb, (state, memory, dawdles), workers, per_worker, shared, per_item, weigh, salt)| {
            Step {
                verb,
                state,
                memory,
                dawdles,
                workers,
                per_worker,
                shared,
                per_item,
                weigh,
                salt,
            }
        },
    )
}

pub(crate) fn cases(scale: &Scale) -> impl Strategy<Value = Case> + use<> {
    let memory = (scale.memory.clone(), 0u64..1 << 20)
        .prop_map(|(bits, more)| (1 << bits) + more % (1 << bits));
    let declared = scale.largest.clone().prop_map(|bits| Some(1u64 << bits));
    let largest = prop_oneof![3 => Just(None), 1 => declared];
    let window = prop_oneof![1 => Just(None), 1 => scale.window.clone().prop_map(Some)];
    let items = prop_oneof![1 => scale.few.clone(), 3 => scale.many.clone()];
    let steps = prop::collection::vec(steps(scale), 1..=scale.steps);
    let ends = (any::<bool>(), any::<bool>(), weights(scale), any::<u64>());
    (steps, 1..=scale.cores, memory, largest, window, items, ends).prop_map(
        |(steps, cores, memory, largest, window, items, (ordered, promises, source, salt))| {
            let mut case = Case {
                steps,
                ordered,
                cores,
                memory,
                largest,
                window,
                items,
                promises,
                source,
                salt,
            };
            case.tame();
            case
        },
    )
}

impl Weight {
    /// Bytes of `item`; panics for some.
    fn of(self, salt: u64, item: Item) -> u64 {
        let bits = mix(salt ^ 0xBEEF, item.0);
        if hits(bits >> 32, self.panics) {
            panic!("planned: the weight of {}", item.0);
        }
        let heavy = if (bits >> 24).is_multiple_of(16) { 8 } else { 1 };
        bits % (self.most + 1) * heavy
    }

    /// The same for the interpretation: the message instead of a panic.
    fn told(self, salt: u64, item: Item, declaration: &str) -> Result<u64, String> {
        if hits(mix(salt ^ 0xBEEF, item.0) >> 32, self.panics) {
            let message = format!("planned: the weight of {}", item.0);
            return Err(format!("panicked in `{declaration}`: {message}"));
        }
        Ok(self.of(salt, item))
    }
}

pub(super) fn hits(bits: u64, rate: Rate) -> bool {
    rate > 0 && bits.is_multiple_of(rate)
}

impl Step {
    fn output(&self, item: Item) -> Item {
        if self.dawdles && mix(self.salt, item.0).is_multiple_of(8) {
            std::thread::sleep(Duration::from_micros(50));
        }
        Item(mix(self.salt, item.0))
    }

    fn trial(&self, item: Item, fails: Rate) -> Result<Item, String> {
        let bits = mix(self.salt ^ 1, item.0);
        if !hits(bits, fails) {
            return Ok(self.output(item));
        }
        let message = format!("planned: {} is refused", item.0);
        if (bits >> 60).is_multiple_of(2) { panic!("{message}") } else { Err(message) }
    }

    fn selected(&self, item: Item, keeps: u64) -> Option<Item> {
        (mix(self.salt ^ 2, item.0) % 100 < keeps).then(|| self.output(item))
    }

    fn offspring(&self, item: Item, most: u64) -> u64 {
        mix(self.salt ^ 3, item.0) % (most + 1)
    }

    /// The children; some calls panic, others' iterators do midway.
    fn children(&self, item: Item, most: u64, fails: Rate) -> impl Iterator<Item = Item> + use<> {
        let count = self.offspring(item, most);
        let failing = self.failing_child(item, count, fails);
        assert!(failing != Some(None), "planned: {} opens badly", item.0);
        let step = self.clone();
        (0..count + 1).map_while(move |child| {
            if failing == Some(Some(child)) {
                panic!("planned: {} ends badly", item.0);
            }
            (child < count).then(|| step.output(Item(item.0 ^ (child << 40))))
        })
    }

    /// Whether the call fails (`Some(None)`) or the iterator, and where.
    fn failing_child(&self, item: Item, count: u64, fails: Rate) -> Option<Option<u64>> {
        let bits = mix(self.salt ^ 4, item.0);
        hits(bits, fails).then(|| {
            let place = (bits >> 40) % (count + 2);
            (place <= count).then_some(place)
        })
    }

    fn asked(&self, cores: usize) -> usize {
        self.workers.unwrap_or(cores)
    }

    fn moves_alone(&self) -> bool {
        self.memory || matches!(self.verb, Verb::FlatMap { .. } | Verb::MapBatch { .. })
    }

    fn stage(&self, index: usize, states: &Arc<AtomicU64>) -> Stage<'static, Item, Item> {
        let (name, salt) = (format!("stage {index}"), self.salt);
        let mut footprint =
            Footprint::per_worker(self.per_worker).and(Footprint::shared(self.shared));
        if let Some(weight) = self.per_item {
            footprint = footprint.and(Footprint::per_item(move |item| weight.of(salt, *item)));
        }
        let mut builder: StageBuilder<'static, Item> = match self.memory {
            true => Stage::memory(name, footprint),
            false => Stage::cpu(name).footprint(footprint),
        };
        if let Some(workers) = self.workers {
            builder = builder.workers(workers);
        }
        let stage = match self.state {
            true => self.stateful(builder, Arc::clone(states)),
            false => self.stateless(builder),
        };
        match self.weigh {
            Some(weight) => stage.weigh(move |item| weight.of(!salt, *item)),
            None => stage,
        }
    }

    fn stateless(&self, builder: StageBuilder<'static, Item>) -> Stage<'static, Item, Item> {
        let step = self.clone();
        match self.verb {
            Verb::Map => builder.map(move |item| step.output(item)),
            Verb::TryMap { fails } => builder.try_map(move |item| step.trial(item, fails)),
            Verb::FilterMap { keeps } => builder.filter_map(move |item| step.selected(item, keeps)),
            Verb::FlatMap { most, fails } => {
                builder.flat_map(move |item| step.children(item, most, fails))
            }
            Verb::MapBatch { most } => builder.map_batch(most, move |items| {
                assert!(!items.is_empty() && items.len() <= most);
                items.into_iter().map(|item| step.output(item)).collect()
            }),
        }
    }

    fn stateful(
        &self,
        builder: StageBuilder<'static, Item>,
        states: Arc<AtomicU64>,
    ) -> Stage<'static, Item, Item> {
        let step = self.clone();
        let builder = builder.with_state(move || {
            states.fetch_add(1, Ordering::SeqCst);
            0u64
        });
        match self.verb {
            Verb::Map => builder.map(move |calls, item| {
                *calls += 1;
                step.output(item)
            }),
            Verb::TryMap { fails } => builder.try_map(move |_, item| step.trial(item, fails)),
            Verb::FilterMap { keeps } => {
                builder.filter_map(move |_, item| step.selected(item, keeps))
            }
            Verb::FlatMap { most, fails } => {
                builder.flat_map(move |_, item| step.children(item, most, fails))
            }
            Verb::MapBatch { most } => builder.map_batch(most, move |_, items| {
                assert!(!items.is_empty() && items.len() <= most);
                items.into_iter().map(|item| step.output(item)).collect()
            }),
        }
    }
}

impl Case {
    /// Keeps the number of children and the sleeps within what a test can take.
    fn tame(&mut self) {
        let mut fertile = 0;
        for step in &mut self.steps {
            if matches!(step.verb, Verb::FlatMap { .. }) {
                fertile += 1;
                if fertile > 3 {
                    step.verb = Verb::Map;
                }
            }
        }
    }

    pub(crate) fn states(&self) -> Vec<Arc<AtomicU64>> {
        self.steps.iter().map(|_| Arc::default()).collect()
    }

    pub(crate) fn build(
        &self,
        states: &[Arc<AtomicU64>],
    ) -> Result<Pipeline<'static, Item, Item>, Error> {
        let mut stages = self.steps.iter().zip(states).enumerate();
        let (_, (first, count)) = stages.next().expect("a pipeline has a stage");
        let first = Pipeline::new(first.stage(0, count));
        let mut builder = stages
            .fold(first, |builder, (index, (step, count))| builder.then(step.stage(index, count)));
        if self.ordered {
            builder = builder.ordered();
        }
        if let Some(items) = self.window {
            builder = builder.window(items);
        }
        if let Some(bytes) = self.largest {
            builder = builder.largest_item(bytes);
        }
        if let Some(weight) = self.source {
            let salt = self.salt;
            builder = builder.weigh_source(move |item| weight.of(salt, *item));
        }
        builder.build(&Budget::new(self.memory, self.cores))
    }

    pub(crate) fn source(&self) -> Box<dyn Iterator<Item = Item> + Send> {
        let salt = self.salt;
        let items = (0..self.items).map(move |index| Item(mix(salt, index)));
        if self.promises { Box::new(items) } else { Box::new(items.filter(|_| true)) }
    }
}
