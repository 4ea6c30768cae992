//! The same job on a budget that the index does not fit: block by block.
//!
//! What eats cores is done once, and what the templates made of the products is kept; the passes
//! over it are cheap.

use std::error::Error;

use plimsoll::{Best, Block, Budget, Footprint, Pipeline, PipelineBuilder, Stage};

use crate::answer::{Answer, NEAREST};
use crate::chemistry::{Outcomes, Templates};
use crate::index::{Hit, IndexView, Neighbour, Scratch};
use crate::print::Results;
use crate::split::{Line, explain};
use crate::store::Index;

/// What a block has for a product.
type Found = (Vec<Hit>, Best<Neighbour>);

/// Answers for the products, to `results`.
pub(crate) fn run(
    budget: &Budget,
    templates: Templates,
    index: &Index,
    products: &[Line<'_>],
    results: &mut Results<'_>,
) -> Result<(), Box<dyn Error>> {
    let made = made(budget, templates, products)?;
    look_all_up(budget, index, &made, |answer| results.take(answer)).map(drop)
}

/// What the templates make of the products; they are needed no more.
pub(crate) fn made(
    budget: &Budget,
    templates: Templates,
    products: &[Line<'_>],
) -> Result<Vec<Outcomes>, Box<dyn Error>> {
    let mut made = Vec::new();
    let report = explain(&templates)
        .ordered()
        .build(budget)?
        .job()
        .failures(|failure| eprintln!("{failure}"))
        .run(products.iter().copied(), |outcomes| made.push(outcomes))?;
    println!("{report}");
    Ok(made)
}

/// Looks all outcomes up in each block; returns how many blocks there were.
pub(crate) fn look_all_up(
    budget: &Budget,
    index: &Index,
    made: &[Outcomes],
    mut take: impl FnMut(Answer),
) -> Result<usize, Box<dyn Error>> {
    let view = index.view()?;
    let kept = made.iter().map(Outcomes::weight).sum();
    let plan = index.blocks().plan(budget, |block| look_up(view, kept, block))?;
    println!("{plan}");
    let sink = |place, (hits, nearest): Found| {
        take(Answer::of(&made[place as usize], hits, nearest.into_vec()));
    };
    let report = plan.run(|| made, sink)?;
    println!("{report}");
    Ok(plan.passes())
}

/// Looks the outcomes up in a block of the index.
fn look_up<'a>(
    view: IndexView<'a>,
    kept: u64,
    block: Block,
) -> PipelineBuilder<'a, (u64, &'a Outcomes), (u64, Found)> {
    let view = view.block(block.rows());
    let footprint = Footprint::per_worker(Scratch::bytes(NEAREST)).and(Footprint::shared(kept));
    let look_up = Stage::memory("cross-reference", footprint)
        .with_state(|| Scratch::new(NEAREST))
        .map(move |scratch, (place, outcomes): (u64, &Outcomes)| {
            let Answer { hits, nearest, .. } = Answer::find(&view, outcomes, scratch);
            (place, (hits, Best::of(NEAREST, nearest)))
        });
    Pipeline::new(look_up)
}
