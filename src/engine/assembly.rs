//! From the stages of a pipeline to the nodes of a run.

use std::sync::Arc;

use super::expand::ExpandNode;
use super::node::{Place, StepNode};
use super::parcel::{Depot, Port};
use crate::plan::Plan;
use crate::stage::{Stage, Verb};

/// Stages that are joined, the types between them forgotten.
pub(crate) trait Link<'env, I, O>: Send + Sync {
    /// Makes the nodes of one run, which hand what they make to `next`.
    fn assemble<'r>(
        &self,
        plan: &Plan,
        next: Arc<dyn Port<'r, O> + 'r>,
    ) -> Arc<dyn Port<'r, I> + 'r>
    where
        'env: 'r;
}

/// The first stage.
pub(crate) struct First<'env, I, O>(pub(crate) Stage<'env, I, O>);

/// A stage behind others.
pub(crate) struct Then<'env, I, M, O> {
    pub(crate) before: Box<dyn Link<'env, I, M> + 'env>,
    pub(crate) stage: Stage<'env, M, O>,
    pub(crate) index: usize,
}

impl<'env, I: Send + 'env, O: Send + 'env> Link<'env, I, O> for First<'env, I, O> {
    fn assemble<'r>(
        &self,
        plan: &Plan,
        next: Arc<dyn Port<'r, O> + 'r>,
    ) -> Arc<dyn Port<'r, I> + 'r>
    where
        'env: 'r,
    {
        node(&self.0, 0, plan, next)
    }
}

impl<'env, I, M, O> Link<'env, I, O> for Then<'env, I, M, O>
where
    I: Send + 'env,
    M: Send + 'env,
    O: Send + 'env,
{
    fn assemble<'r>(
        &self,
        plan: &Plan,
        next: Arc<dyn Port<'r, O> + 'r>,
    ) -> Arc<dyn Port<'r, I> + 'r>
    where
        'env: 'r,
    {
        self.before.assemble(plan, node(&self.stage, self.index, plan, next))
    }
}

fn node<'env, 'r, I, O>(
    stage: &Stage<'env, I, O>,
    index: usize,
    plan: &Plan,
    next: Arc<dyn Port<'r, O> + 'r>,
) -> Arc<dyn Port<'r, I> + 'r>
where
    'env: 'r,
    I: Send + 'env,
    O: Send + 'env,
{
    let segment = plan.stages[index].segment;
    let place = Place {
        stage: index,
        segment,
        per_item: stage.per_item.clone().map(|weigher| weigher as _),
        weigher: stage.weigher.clone().map(|weigher| weigher as _),
        next,
    };
    let segment = &plan.segments[segment];
    match (stage.recipe)() {
        Verb::Expand(expand) => Arc::new(ExpandNode { place, expand }),
        Verb::Step(step) => Arc::new(StepNode {
            place,
            step,
            fused: segment.stages.start != index,
            depot: segment.gather.map(|_| Depot::new()),
        }),
    }
}
