//! The same job done in one stage, as it is when nobody splits it: each worker has a copy of all
//! it needs.

use std::sync::Mutex;

use plimsoll::{BoxError, Footprint, Pipeline, PipelineBuilder, SharedFile, Stage};

use crate::answer::{Answer, NEAREST};
use crate::chemistry::{Templates, apply_bytes, perceive};
use crate::index::Scratch;
use crate::split::Line;
use crate::store::Index;

/// All that one worker needs.
struct Worker {
    templates: Templates,
    index: Index,
    scratch: Scratch,
}

impl Worker {
    fn answer(&mut self, (number, line): Line<'_>) -> Result<Answer, BoxError> {
        let query = perceive(number, line)?;
        let outcomes = self.templates.apply(&self.templates.screen(query))?;
        Ok(Answer::find(&self.index.view()?, &outcomes, &mut self.scratch))
    }
}

/// The one stage. The first worker takes the templates that are compiled already, and by which it
/// is known what a copy takes; all others compile their own.
pub(crate) fn unsplit<'a>(
    templates: Templates,
    smarts: &'a str,
    index: &'a SharedFile,
) -> PipelineBuilder<'a, Line<'a>, Answer> {
    let each = templates.bytes() + index.size_bytes() + Scratch::bytes(NEAREST);
    // A product has at most as many atoms as its SMILES has letters.
    let working = |&(_, line): &Line<'_>| {
        apply_bytes(
            line.rsplit(">>").next().map_or(0, |rest| rest.find('\t').unwrap_or(rest.len())),
        )
    };
    let compiled = Mutex::new(Some(templates));
    let new_worker = move || -> Result<Worker, BoxError> {
        let compiled = compiled.lock().expect("nobody panics with the lock").take();
        Ok(Worker {
            templates: compiled.map_or_else(|| Templates::compile(smarts.lines()), Ok)?,
            index: Index::of(&SharedFile::load(index.path())?)?,
            scratch: Scratch::new(NEAREST),
        })
    };
    let explain = Stage::cpu("explain")
        .footprint(Footprint::per_worker(each).and(Footprint::per_item(working)))
        .try_with_state(new_worker)
        .try_map(Worker::answer)
        .weigh(Answer::weight);
    Pipeline::new(explain)
}
