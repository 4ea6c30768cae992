//! The job in stages: three that share the cores, one that shares the index.

use plimsoll::{Footprint, Pipeline, PipelineBuilder, Stage};

use crate::answer::{Answer, NEAREST};
use crate::chemistry::{Candidates, Outcomes, Templates, perceive};
use crate::index::{IndexView, Scratch};
use crate::store::Index;

/// A reaction line and its place.
pub(crate) type Line<'a> = (u32, &'a str);

/// The stages: what works with the templates, and what works with the index.
pub(crate) fn split<'a>(
    templates: &'a Templates,
    index: &Index,
    view: IndexView<'a>,
) -> PipelineBuilder<'a, Line<'a>, Answer> {
    let perceive = Stage::cpu("perceive").try_map(|(number, line)| perceive(number, line));

    let screen =
        Stage::cpu("screen").map(|query| templates.screen(query)).weigh(Candidates::weight);

    // The templates are held once, for all workers and for the stage before, too.
    let held = Footprint::shared(templates.bytes());
    let apply = Stage::cpu("apply")
        .footprint(held.and(Footprint::per_item(Candidates::apply_bytes)))
        .try_map(|candidates| templates.apply(&candidates))
        .weigh(Outcomes::weight);

    // The index is held once, for all workers; a scratch is the worker's own.
    let scratch = Footprint::per_worker(Scratch::bytes(NEAREST));
    let cross_reference = Stage::memory("cross-reference", index.footprint().and(scratch))
        .with_state(|| Scratch::new(NEAREST))
        .map(move |scratch, outcomes| Answer::find(&view, &outcomes, scratch))
        .weigh(Answer::weight);

    Pipeline::new(perceive).then(screen).then(apply).then(cross_reference)
}
