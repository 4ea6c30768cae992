//! The job in stages: three that share the cores, one that shares the index.

use std::error::Error;

use plimsoll::{Budget, Footprint, Pipeline, PipelineBuilder, Stage};

use crate::answer::{Answer, NEAREST};
use crate::chemistry::{Candidates, Outcomes, Templates, perceive};
use crate::index::{IndexView, Scratch};
use crate::store::Index;

/// A reaction line and its place.
pub(crate) type Line<'a> = (u32, &'a str);

/// The stages that work with the templates.
pub(crate) fn explain(templates: &Templates) -> PipelineBuilder<'_, Line<'_>, Outcomes> {
    let perceive = Stage::cpu("perceive").try_map(|(number, line)| perceive(number, line));

    let screen =
        Stage::cpu("screen").map(|query| templates.screen(query)).weigh(Candidates::weight);

    // The templates are held once, for all workers and for the stage before, too.
    let held = Footprint::shared(templates.bytes());
    let apply = Stage::cpu("apply")
        .footprint(held.and(Footprint::per_item(Candidates::apply_bytes)))
        .try_map(|candidates| templates.apply(&candidates))
        .weigh(Outcomes::weight);
    Pipeline::new(perceive).then(screen).then(apply)
}

/// These, and the one that works with the index.
pub(crate) fn split<'a>(
    templates: &'a Templates,
    index: &Index,
    view: IndexView<'a>,
) -> PipelineBuilder<'a, Line<'a>, Answer> {
    // The index is held once, for all workers; a scratch is the worker's own.
    let scratch = Footprint::per_worker(Scratch::bytes(NEAREST));
    let cross_reference = Stage::memory("cross-reference", index.footprint().and(scratch))
        .with_state(|| Scratch::new(NEAREST))
        .map(move |scratch, outcomes| Answer::find(&view, &outcomes, scratch))
        .weigh(Answer::weight);

    explain(templates).then(cross_reference)
}

/// Whether the budget has room for all of the index that a stage looks up in.
pub(crate) fn fits(
    budget: &Budget,
    templates: &Templates,
    index: &Index,
) -> Result<bool, Box<dyn Error>> {
    let plan = split(templates, index, index.view()?).plan(budget)?;
    Ok(plan.tables().iter().all(|table| table.missing() == 0))
}
