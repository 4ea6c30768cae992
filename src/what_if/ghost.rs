//! A pipeline that behaves like one that ran: the same stages, planned by the same specs,
//! whose calls let time pass on a clock as the real ones took it.

use std::sync::Arc;
use std::time::Duration;

use super::crowd::Crowd;
use super::deck::{Carry, Ranks, Table};
use crate::engine::simulation::VirtualClock;
use crate::engine::{Basis, StageBasis};
use crate::pipeline::{Pipeline, PipelineBuilder};
use crate::stage::{Stage, StageSpec, weigher};
use crate::sync::Mutex;

/// An item that is nothing but its sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ghost {
    /// Where it stands among all, the smallest first, from 0 to 1.
    rank: f64,
    weight: u64,
    /// What the next stage's call asks for.
    need: u64,
}

/// Makes items as one stage made them, or the source.
#[derive(Clone)]
struct Maker {
    weights: Table,
    needs: Table,
}

impl Maker {
    fn make(&self, rank: f64) -> Ghost {
        let (weight, need) = (self.weights.at(rank) as u64, self.needs.at(rank) as u64);
        Ghost { rank, weight, need }
    }
}

/// Lets the time of calls pass.
struct Calls {
    clock: VirtualClock,
    crowd: Arc<Mutex<Crowd>>,
    /// Which stage it is, and for which part of their time they compute, if that is known.
    computes: Option<(usize, f64)>,
    nanos: Table,
    /// How many children an item has.
    children: Table,
    ranks: Ranks,
    /// The part of calls whose time is that of their bytes' rank.
    follows: f64,
    coupled: Carry,
    fraction: Carry,
    made: Carry,
    /// Outputs of an item, at most one.
    kept: f64,
    /// What the first state of a worker takes to build, and each other.
    builds: (Duration, Duration),
    is_begun: bool,
    /// When each state was put back; one may be put back later than it is now.
    put_back: Vec<u64>,
}

impl Calls {
    /// The rank of the next call, which is on `item`.
    fn rank(&mut self, item: &Ghost) -> f64 {
        let own = self.ranks.draw();
        if self.coupled.whole(self.follows) > 0 { item.rank } else { own }
    }

    /// Lets the time of one call pass.
    fn pass(&mut self, item: &Ghost) {
        self.set_up();
        let rank = self.rank(item);
        let nanos = self.in_the_crowd(self.nanos.at(rank));
        self.clock.pass(self.fraction.whole(nanos));
        self.put_back();
    }

    /// How long a call takes among the others that would take `nanos` alone.
    fn in_the_crowd(&self, nanos: f64) -> f64 {
        let now = self.clock.now();
        self.computes.map_or(nanos, |whose| self.crowd.lock().call(now, nanos, whose))
    }

    /// Takes a state that is put back by now, the last one first as stages do, or lets the
    /// time pass that another takes to build. The stages' own way would build one alone: a
    /// simulated call is over before the next begins, whatever the clock says.
    fn set_up(&mut self) {
        let now = self.clock.now();
        let idle = (0..self.put_back.len()).filter(|place| self.put_back[*place] <= now);
        if let Some(last) = idle.max_by_key(|place| self.put_back[*place]) {
            self.put_back.swap_remove(last);
        } else {
            let (first, each) = self.builds;
            let took = if self.is_begun { each } else { first };
            self.is_begun = true;
            self.clock.pass(took.as_nanos() as u64);
        }
    }

    fn put_back(&mut self) {
        self.put_back.push(self.clock.now());
    }

    fn is_kept(&mut self) -> bool {
        self.made.whole(self.kept) > 0
    }
}

/// The stages that ran, for about `items` items of the source.
pub(super) fn pipeline(
    basis: &Basis,
    items: u64,
    clock: &VirtualClock,
    crowd: &Arc<Mutex<Crowd>>,
) -> PipelineBuilder<'static, Ghost, Ghost> {
    let design = &basis.design;
    let mut stages =
        (0..design.specs.len()).map(|index| stage(basis, index, items, (clock, crowd)));
    let first = stages.next().expect("a pipeline has a stage");
    let mut pipeline = stages.fold(Pipeline::new(first), PipelineBuilder::then);
    pipeline = pipeline.weigh_source(|item| item.weight);
    if design.settings.ordered {
        pipeline = pipeline.ordered();
    }
    if let Some(bytes) = design.settings.largest_item {
        pipeline = pipeline.largest_item(bytes);
    }
    match design.window {
        Some(window) => pipeline.window(window),
        None => pipeline,
    }
}

/// The source that was read: `items` items.
pub(super) fn source(
    basis: &Basis,
    items: u64,
    clock: &VirtualClock,
) -> impl Iterator<Item = Ghost> + Send + use<> {
    let source = &basis.source;
    let spec = &basis.design.specs[0];
    let maker = Maker {
        weights: Table::of_sizes(&source.weights, items as f64, spec.sizes.0),
        needs: Table::of_sizes(&basis.stages[0].needs, items as f64, 0),
    };
    let nanos = source.busy.as_nanos() as f64 / source.read.max(1) as f64;
    let ranks = Ranks::new(items as f64, 1.0, u64::MAX);
    let clock = clock.clone();
    Source {
        left: items,
        promises: source.promises,
        nanos,
        carry: Carry::default(),
        maker,
        ranks,
        clock,
    }
}

/// The sink, which takes as long as the real one did.
pub(super) fn sink(basis: &Basis, clock: &VirtualClock) -> impl FnMut(Ghost) + Send + use<> {
    let nanos = basis.sink_busy.as_nanos() as f64 / basis.delivered.max(1) as f64;
    let (mut carry, clock) = (Carry::default(), clock.clone());
    move |_| clock.pass(carry.whole(nanos))
}

struct Source {
    left: u64,
    promises: bool,
    nanos: f64,
    carry: Carry,
    maker: Maker,
    ranks: Ranks,
    clock: VirtualClock,
}

impl Iterator for Source {
    type Item = Ghost;

    fn next(&mut self) -> Option<Ghost> {
        self.left = self.left.checked_sub(1)?;
        self.clock.pass(self.carry.whole(self.nanos));
        Some(self.maker.make(self.ranks.draw()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.promises { (self.left as usize, Some(self.left as usize)) } else { (0, None) }
    }
}

/// The stage at `index`, by its spec.
fn stage(
    basis: &Basis,
    index: usize,
    items: u64,
    (clock, crowd): (&VirtualClock, &Arc<Mutex<Crowd>>),
) -> Stage<'static, Ghost, Ghost> {
    let (seen, spec) = (&basis.stages[index], &basis.design.specs[index]);
    let next = basis.stages.get(index + 1);
    let outputs = next.map_or(basis.delivered, |next| next.calls);
    let scale = items as f64 / basis.source.read.max(1) as f64;
    let calls = Arc::new(Mutex::new(calls(seen, outputs, (index, scale), (clock, crowd))));
    let none = Default::default();
    let made = outputs as f64 * scale;
    let maker = Maker {
        weights: Table::of_sizes(&seen.weights, made, spec.sizes.1),
        needs: Table::of_sizes(next.map_or(&none, |next| &next.needs), made, 0),
    };
    let (builder, clock) = (Stage::cpu(spec.name.clone()).with_state(|| ()), clock.clone());
    let stage = if spec.expands {
        let ranks = Arc::new(Mutex::new(Ranks::new(made, 1.0, !(index as u64))));
        builder.flat_map(move |(), item: Ghost| {
            children(&calls, &item, (&maker, &ranks), clock.clone())
        })
    } else if let Some(most) = spec.gather {
        builder.map_batch(most, move |(), items: Vec<Ghost>| {
            let mut calls = calls.lock();
            let ranks = items.iter().inspect(|item| calls.pass(item)).map(|item| item.rank);
            ranks.map(|rank| maker.make(rank)).collect()
        })
    } else if outputs < seen.calls {
        builder.filter_map(move |(), item: Ghost| {
            let mut calls = calls.lock();
            calls.pass(&item);
            calls.is_kept().then(|| maker.make(item.rank))
        })
    } else {
        builder.map(move |(), item: Ghost| {
            calls.lock().pass(&item);
            maker.make(item.rank)
        })
    };
    as_specified(stage, spec)
}

/// The same stage to the planner as the real one, and to the ledger.
fn as_specified(
    stage: Stage<'static, Ghost, Ghost>,
    spec: &StageSpec,
) -> Stage<'static, Ghost, Ghost> {
    let per_item = spec.counts_items.then(|| weigher(|item: &Ghost| item.need));
    // Where nothing is declared, what is weighed is the shallow size of the real output.
    let weigher = Some(weigher(|item: &Ghost| item.weight));
    Stage { spec: spec.clone(), per_item, weigher, ..stage }
}

fn calls(
    seen: &StageBasis,
    outputs: u64,
    (index, scale): (usize, f64),
    (clock, crowd): (&VirtualClock, &Arc<Mutex<Crowd>>),
) -> Calls {
    let (expected, of) = (seen.calls as f64 * scale, seen.calls.max(1) as f64);
    let together = seen.times.together();
    let busy = seen.busy.as_nanos() as f64 * (1.0 - seen.cores.lacked().unwrap_or(0.0));
    // Items that move many at a time are light: how long which of them takes is the same to
    // the ledger.
    let follows = if together < 1.5 { seen.follows } else { 0.0 };
    Calls {
        clock: clock.clone(),
        crowd: Arc::clone(crowd),
        computes: seen.cores.computed().map(|share| (index, share)),
        nanos: Table::with_mean(&seen.times, expected / together, busy / of),
        children: Table::with_mean(&seen.children, expected, outputs as f64 / of),
        ranks: Ranks::new(expected, together, index as u64),
        follows,
        coupled: Carry::default(),
        fraction: Carry::default(),
        made: Carry::default(),
        kept: outputs as f64 / of,
        builds: seen.set_up,
        is_begun: false,
        put_back: Vec::new(),
    }
}

/// The children of `item`, among which its time passes in equal parts as they are drawn.
fn children(
    calls: &Mutex<Calls>,
    item: &Ghost,
    (maker, ranks): (&Maker, &Arc<Mutex<Ranks>>),
    clock: VirtualClock,
) -> impl Iterator<Item = Ghost> + Send + use<> {
    let mut calls = calls.lock();
    calls.set_up();
    calls.put_back();
    let rank = calls.rank(item);
    let nanos = calls.in_the_crowd(calls.nanos.at(rank));
    let expected = calls.children.at(rank);
    let count = calls.made.whole(expected);
    let mut carry = calls.fraction;
    if count == 0 {
        clock.pass(carry.whole(nanos));
    }
    let (maker, ranks, each) = (maker.clone(), Arc::clone(ranks), nanos / count.max(1) as f64);
    (0..count).map(move |_| {
        clock.pass(carry.whole(each));
        maker.make(ranks.lock().draw())
    })
}
