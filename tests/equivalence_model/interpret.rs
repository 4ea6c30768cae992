//! What a sequential run of a random pipeline does, computed without the crate.

use plimsoll::{Bytes, ItemId, Plan};

use super::{Case, Item, Verb, hits};
use crate::common::mix;

/// Item, stage and cause.
pub(crate) type Failure = (ItemId, String, String);

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Output(u64),
    Failure(Failure),
}

/// What a sequential run would do.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) events: Vec<Event>,
    pub(crate) filtered: u64,
    pub(crate) children: u64,
    pub(crate) expanded: u64,
    pub(crate) panics: u64,
}

impl Expected {
    pub(crate) fn outputs(&self) -> Vec<u64> {
        let output = |event: &Event| match event {
            Event::Output(key) => Some(*key),
            Event::Failure(_) => None,
        };
        self.events.iter().filter_map(output).collect()
    }

    /// In the order of their ids.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        let failure = |event: &Event| match event {
            Event::Output(_) => None,
            Event::Failure(failure) => Some(failure.clone()),
        };
        let mut failures: Vec<_> = self.events.iter().filter_map(failure).collect();
        assert!(failures.is_sorted_by_key(|(id, ..)| id.clone()), "the model is sequential");
        failures.sort();
        failures
    }

    /// The first failure and the outputs before it.
    pub(crate) fn first_failure(&self) -> Option<(Failure, Vec<u64>)> {
        let mut before = Vec::new();
        for event in &self.events {
            match event {
                Event::Output(key) => before.push(*key),
                Event::Failure(failure) => return Some((failure.clone(), before)),
            }
        }
        None
    }

    fn fail(&mut self, id: &ItemId, stage: usize, cause: String) {
        self.panics += u64::from(cause.starts_with("panicked"));
        self.events.push(Event::Failure((id.clone(), format!("stage {stage}"), cause)));
    }
}

/// What is told of an item that needs more than is `allowed`, before stage `index`.
fn too_large(needed: u64, allowed: u64, weighs: u64, index: usize) -> String {
    let (mut more, mut most) = (Bytes(needed).to_string(), Bytes(allowed).to_string());
    if more == most {
        (more, most) = (format!("{needed} B"), format!("{allowed} B"));
    }
    let made = match index {
        _ if weighs <= needed / 2 => String::new(),
        0 => format!(": it weighs {}, as the source gave it", Bytes(weighs)),
        _ => format!(": it weighs {}, as stage \"stage {}\" made it", Bytes(weighs), index - 1),
    };
    format!("needs {more}, more than the {most} that one item may have{made}, or split the item")
}

/// An item on its way, as the ledger sees it.
struct Aboard {
    id: ItemId,
    item: Item,
    weight: u64,
    chain: u64,
}

impl Case {
    pub(crate) fn expected(&self, plan: &Plan) -> Expected {
        let mut out = Expected::default();
        for index in 0..self.items {
            let (id, item) = (ItemId::new(index), Item(mix(self.salt, index)));
            match self.source.map_or(Ok(size_of::<Item>() as u64), |weight| {
                weight.told(self.salt, item, "weigh_source")
            }) {
                Ok(weight) => {
                    self.follow(Aboard { id, item, weight, chain: 0 }, 0, plan.reserve(), &mut out);
                }
                Err(cause) => out.fail(&id, 0, cause),
            }
        }
        out
    }

    /// Whether the stage runs in one go with the one above: nobody looks at weights
    /// in between.
    fn is_fused(&self, index: usize) -> bool {
        let Some(above) = index.checked_sub(1).map(|above| &self.steps[above]) else {
            return false;
        };
        let step = &self.steps[index];
        !above.moves_alone()
            && !step.moves_alone()
            && above.weigh.is_none()
            && step.per_item.is_none()
            && above.asked(self.cores) == step.asked(self.cores)
    }

    fn follow(&self, aboard: Aboard, index: usize, reserve: u64, out: &mut Expected) {
        let Some(step) = self.steps.get(index) else {
            return out.events.push(Event::Output(aboard.item.0));
        };
        let Aboard { id, item, weight, chain } = aboard;
        let works = match step
            .per_item
            .map_or(Ok(0), |per_item| per_item.told(step.salt, item, "per_item"))
        {
            Ok(bytes) => bytes,
            Err(cause) => return out.fail(&id, index, cause),
        };
        let fertile = matches!(step.verb, Verb::FlatMap { .. });
        let floor = if fertile { size_of::<Item>() as u64 } else { 0 };
        let needed = chain + weight + works + floor;
        if needed > reserve && !self.is_fused(index) {
            let cause = too_large(needed, reserve, weight, index);
            return out.fail(&id, index, cause);
        }
        match step.verb {
            Verb::FlatMap { most, fails } => {
                let count = step.offspring(item, most);
                let failing = step.failing_child(item, count, fails);
                if failing == Some(None) {
                    return out.fail(
                        &id,
                        index,
                        format!("panicked: planned: {} opens badly", item.0),
                    );
                }
                for child in 0..=count {
                    let id = id.child(child);
                    if failing == Some(Some(child)) {
                        return out.fail(
                            &id,
                            index,
                            format!("panicked: planned: {} ends badly", item.0),
                        );
                    }
                    if child < count {
                        out.children += 1;
                        let made = Item(mix(step.salt, item.0 ^ (child << 40)));
                        self.pass_on(id, made, chain + weight + works, index, reserve, out);
                    }
                }
                out.expanded += 1;
            }
            Verb::TryMap { fails } if hits(mix(step.salt ^ 1, item.0), fails) => {
                let panics = (mix(step.salt ^ 1, item.0) >> 60).is_multiple_of(2);
                let how = if panics { "panicked: " } else { "" };
                out.fail(&id, index, format!("{how}planned: {} is refused", item.0));
            }
            Verb::FilterMap { keeps } if mix(step.salt ^ 2, item.0) % 100 >= keeps => {
                out.filtered += 1;
            }
            _ => self.pass_on(id, Item(mix(step.salt, item.0)), chain, index, reserve, out),
        }
    }

    fn pass_on(
        &self,
        id: ItemId,
        item: Item,
        chain: u64,
        index: usize,
        reserve: u64,
        out: &mut Expected,
    ) {
        let step = &self.steps[index];
        let shallow = size_of::<Item>() as u64;
        match step.weigh.map_or(Ok(shallow), |weight| weight.told(!step.salt, item, "weigh")) {
            Ok(weight) => self.follow(Aboard { id, item, weight, chain }, index + 1, reserve, out),
            Err(cause) => out.fail(&id, index, cause),
        }
    }
}
