//! From budget and stages to a plan.

use super::missing::Spent;
use super::notes::notes;
use super::purse::Purse;
use super::tables::{self, copies_of, tables_of};
use super::workers::{self, Draft, holder};
use super::{Plan, SegmentPlan, Settings, StagePlan};
use crate::budget::Budget;
use crate::error::Error;
use crate::stage::{Kind, StageSpec};
use crate::units::{MIB, rounded_up, stage_variable};

/// Plans `specs` on `budget`. If they do not fit, the error tells which budget would do.
pub(crate) fn plan(
    budget: &Budget,
    specs: &[StageSpec],
    settings: &Settings,
) -> Result<Plan, Error> {
    let mut plan = plan_once(budget, specs, settings).map_err(|error| match error {
        Error::NoRoom { stage, what, needed, available, budget: given, held, .. } => {
            let (enough, by_variable) =
                (least_memory(budget, specs, settings, |_| true), budget.hears_variables());
            let budget = given;
            Error::NoRoom { stage, what, needed, available, budget, held, enough, by_variable }
        }
        error => error,
    })?;
    if !has_all_tables(&plan) {
        let least = |settings| least_memory(budget, specs, settings, has_all_tables);
        let small = Settings { largest_item: Some(SMALL_ITEM), ..settings.clone() };
        let enough = tables::Enough {
            budget: plan.memory,
            tables: least(settings),
            all: least_memory(budget, specs, settings, |plan| {
                has_all_tables(plan) && has_all_workers(plan)
            }),
            small: settings.largest_item.is_none().then(|| least(&small)).flatten(),
            by_variable: plan.by_variable,
        };
        plan.notes.extend(tables::note(&plan.tables, &enough));
    }
    Ok(plan)
}

/// What a note takes for a largest item, to tell what it would change to say how large items
/// get: few are larger, and as many as there are cores and one more take little.
pub(super) const SMALL_ITEM: u64 = MIB;

fn has_all_tables(plan: &Plan) -> bool {
    plan.tables.iter().all(|table| table.missing() == 0)
}

fn has_all_workers(plan: &Plan) -> bool {
    plan.stages.iter().all(|stage| stage.workers == stage.asked)
}

/// The least memory, not less than the budget's, on which a plan can be made that `is_good`, in
/// whole MiB where it is that much; `None` if there is no such. (Where more memory makes a good plan
/// worse, as a further worker that fits may, it is one of several: always one that was tried.)
pub(super) fn least_memory(
    budget: &Budget,
    specs: &[StageSpec],
    settings: &Settings,
    is_good: impl Fn(&Plan) -> bool,
) -> Option<u64> {
    let plan_on = |memory: u64| plan_once(&budget.with_memory(memory), specs, settings);
    let fits = |memory: u64| plan_on(memory).is_ok_and(|plan| is_good(&plan));
    let mut enough = rounded_up(budget.memory());
    let mut short = enough;
    while !fits(enough) {
        short = enough;
        enough = rounded_up(enough.checked_mul(2)?);
    }
    while enough - short > 1 {
        // Below a MiB each byte is tried, so it stands between the two.
        let middle = match short < MIB && MIB < enough {
            true => MIB,
            false => rounded_up(short + (enough - short) / 2),
        };
        if middle >= enough {
            break;
        }
        if fits(middle) { enough = middle } else { short = middle }
    }
    Some(enough)
}

/// Without a word on what would do if it is short.
pub(super) fn plan_once(
    budget: &Budget,
    specs: &[StageSpec],
    settings: &Settings,
) -> Result<Plan, Error> {
    budget.validate()?;
    check_names(specs)?;
    check_settings(budget, specs, settings)?;
    let specs = with_footprints(budget, specs);
    let mut drafts = segments_of(budget, &specs);
    let mut purse = Purse::of(budget.memory());
    for spec in &specs {
        purse.spend(holder(spec), &spec.name, "what its workers share", spec.shared)?;
    }
    let mut tables = tables_of(&specs);
    tables::spend(&mut tables, &mut purse)?;
    for draft in &drafts {
        let spec = &specs[draft.stages.start];
        purse.spend(holder(spec), &spec.name, "its first worker", draft.per_worker)?;
    }
    let last = &specs[specs.len() - 1].name;
    let (least, what) = least_reserve(&specs, settings);
    purse.expect(last, what, least)?;
    let before = purse.left();
    let calls = calls_at_once(budget, &drafts);
    let keep = set_aside(before, calls, settings);
    let for_tables = tables::wanted(&tables);
    workers::add_demanded(&mut drafts, &specs, &mut purse, keep)?;
    let early = workers::early(&drafts, &specs, for_tables);
    let room = for_tables.min(purse.left().saturating_sub(keep));
    let others = purse.left() - workers::before_tables(room);
    workers::add(&mut drafts, &specs, &mut purse, others);
    tables::grant(&mut tables, purse.left().saturating_sub(keep), &mut purse);
    workers::add(&mut drafts, &specs, &mut purse, keep);
    let (left, early) = (before, &early);
    let spent = Spent { budget, calls, settings, left, least, for_tables, early };
    let (enough, more) = (spent.enough(&drafts), spent.tell(&mut drafts));

    let (reserve, reserve_reason) = match settings.largest_item {
        Some(bytes) => (bytes, "the largest item, as the pipeline declares"),
        None => (purse.left().div_ceil(2), "half of the line: no largest item is declared"),
    };
    Ok(Plan {
        memory: budget.memory(),
        memory_origin: budget.memory_origin().to_owned(),
        limit: budget.limit_found(),
        cores: budget.cores(),
        cores_origin: budget.cores_origin().to_owned(),
        by_variable: budget.hears_variables(),
        enough,
        kept_for_items: keep,
        largest_aboard: settings.largest_item.map(|_| items_at_once(calls)),
        line: purse.left(),
        reserve,
        reserve_reason,
        window: settings.window,
        ordered: settings.ordered,
        weighs_source: false,
        threads: threads(budget, &drafts),
        measure: budget.measure(),
        copies: copies_of(&specs),
        tables,
        stages: stage_plans(budget, &specs, &drafts, &more),
        segments: segment_plans(budget, &specs, &drafts, settings),
        notes: notes(budget, &specs, purse.left(), settings),
        design: None,
        budget: None,
    })
}

/// More workers of one stage, or cores, than anybody has; beyond it a number is
/// a mistake that would ask the system for as many threads.
const MOST_WORKERS: usize = 4_096;

fn check_names(specs: &[StageSpec]) -> Result<(), Error> {
    for (index, spec) in specs.iter().enumerate() {
        if !spec.name.chars().any(char::is_alphanumeric) {
            return Err(Error::StageName { position: index + 1, name: spec.name.clone() });
        }
        let variable = stage_variable(&spec.name);
        let same = |other: &&StageSpec| stage_variable(&other.name) == variable;
        if let Some(first) = specs[..index].iter().find(same) {
            let (first, second) = (first.name.clone(), spec.name.clone());
            return Err(Error::NameClash { first, second, variable });
        }
    }
    Ok(())
}

fn check_settings(budget: &Budget, specs: &[StageSpec], settings: &Settings) -> Result<(), Error> {
    if budget.cores() > MOST_WORKERS {
        let (what, value) = ("the number of cores", budget.cores() as u64);
        let whose = "the budget".to_owned();
        return Err(Error::Setting { what, whose, value, rule: "it must be 1 to 4,096" });
    }
    let zero =
        |what, whose: &str, rule| Error::Setting { what, whose: whose.to_owned(), value: 0, rule };
    for spec in specs {
        let whose = format!("stage {:?}", spec.name);
        let demanded = budget.workers_for(&spec.name).map(|workers| workers.value);
        let asked = demanded.or(spec.workers).unwrap_or(1);
        if asked == 0 || asked > MOST_WORKERS {
            let (what, value) = ("the number of workers", asked as u64);
            return Err(Error::Setting { what, whose, value, rule: "it must be 1 to 4,096" });
        }
        if spec.gather == Some(0) {
            return Err(zero("the batch size", &whose, "it must be at least 1"));
        }
    }
    if settings.window == 0 {
        return Err(zero("the window", "the pipeline", "it must be at least 1 item"));
    }
    if settings.largest_item == Some(0) {
        return Err(zero("the largest item", "the pipeline", "it must be at least 1 byte"));
    }
    Ok(())
}

/// The specs with the footprints that the budget overrides.
fn with_footprints(budget: &Budget, specs: &[StageSpec]) -> Vec<StageSpec> {
    let mut specs = specs.to_vec();
    for spec in &mut specs {
        if let Some(footprint) = budget.footprint_for(&spec.name) {
            spec.per_worker = footprint.value;
        }
    }
    specs
}

/// Whether `next` runs in one go with `previous`, without a queue between them.
/// They do not where the ledger has a word to say in between: the weight of what
/// passes is declared, or the next call asks for memory of its own. And a
/// `flat_map` is parked between its outputs, a `map_batch` gathers its inputs.
fn is_fused(previous: &StageSpec, next: &StageSpec) -> bool {
    previous.kind == Kind::Cpu
        && previous.waits == next.waits
        && next.kind == Kind::Cpu
        && !previous.weighs_outputs
        && !next.counts_items
        && !previous.expands
        && !next.expands
        && previous.gather.is_none()
        && next.gather.is_none()
}

fn segments_of(budget: &Budget, specs: &[StageSpec]) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let (asked, demanded_by, reason) = asked_workers(budget, spec);
        match drafts.last_mut() {
            Some(draft) if is_fused(&specs[index - 1], spec) && asked == draft.asked => {
                draft.stages.end = index + 1;
                draft.per_worker = draft.per_worker.saturating_add(spec.per_worker);
                if draft.demanded_by.is_none() {
                    (draft.demanded_by, draft.reason) = (demanded_by, reason);
                }
            }
            _ => drafts.push(Draft {
                stages: index..index + 1,
                per_worker: spec.per_worker,
                asked,
                waits: spec.waits || asked > budget.cores(),
                demanded_by,
                workers: 1,
                reason,
            }),
        }
    }
    drafts
}

/// How many workers a stage asks for, on whose demand, and the reason in words.
fn asked_workers(budget: &Budget, spec: &StageSpec) -> (usize, Option<String>, String) {
    if let Some(workers) = budget.workers_for(&spec.name) {
        return (workers.value, Some(workers.origin.clone()), workers.origin.clone());
    }
    match spec.workers {
        Some(workers) => (workers, None, format!("the stage asks for {workers}")),
        None => (budget.cores(), None, "one for each core".to_owned()),
    }
}

/// The least the line may be, and what that is: one item of the declared size, or else twice
/// the shallow size of what goes in and comes out of the widest stage.
fn least_reserve(specs: &[StageSpec], settings: &Settings) -> (u64, &'static str) {
    let shallow = specs.iter().map(|spec| spec.sizes.0 + spec.sizes.1).max().unwrap_or(0);
    match settings.largest_item {
        Some(bytes) => (bytes, "the largest item, as the pipeline declares it"),
        None => (2 * shallow.max(1), "one item and what is made of it, by their shallow sizes"),
    }
}

/// The most calls that may be at work at once: those that compute have a core each, those of
/// stages that wait need none. The same for any memory, so that what is set aside for them does
/// not depend on how many workers fit beside it.
fn calls_at_once(budget: &Budget, drafts: &[Draft]) -> usize {
    let waiting = drafts.iter().filter(|draft| draft.waits);
    waiting.map(|draft| draft.asked).fold(budget.cores(), usize::saturating_add)
}

/// Bytes that are set aside for items of `left`: a quarter, or if the pipeline says how large
/// items get, what they hold while all [calls](calls_at_once) are [at work](at_work) on the
/// largest, if that is less. Two of the largest in any case.
fn set_aside(left: u64, calls: usize, settings: &Settings) -> u64 {
    let Some(largest) = settings.largest_item else { return left / 4 };
    at_work(largest, calls).min(left / 4).max(largest.saturating_mul(2))
}

/// One item for each of `calls`, and the oldest, which may be none of these.
fn items_at_once(calls: usize) -> u64 {
    calls as u64 + 1
}

/// What the largest items hold while all `calls` are at work on such.
pub(super) fn at_work(largest: u64, calls: usize) -> u64 {
    largest.saturating_mul(items_at_once(calls))
}

/// Bytes that carry `further`, beside one worker of every stage and what is
/// [set aside](set_aside).
pub(super) fn enough_for(further: u64, calls: usize, settings: &Settings) -> u64 {
    let quarter = further.saturating_add(further.div_ceil(3));
    let Some(largest) = settings.largest_item else { return quarter };
    let at_work = further.saturating_add(at_work(largest, calls));
    quarter.min(at_work).max(further.saturating_add(largest.saturating_mul(2)))
}

/// One thread for each core, one that may be blocked in the source, and one for
/// each worker whose calls wait.
fn threads(budget: &Budget, drafts: &[Draft]) -> usize {
    let waiting = drafts.iter().filter(|draft| draft.waits);
    budget.cores() + 1 + waiting.map(|draft| draft.workers).sum::<usize>()
}

fn stage_plans(
    budget: &Budget,
    specs: &[StageSpec],
    drafts: &[Draft],
    more: &[Option<(usize, u64)>],
) -> Vec<StagePlan> {
    let mut stages = Vec::with_capacity(specs.len());
    for (segment, draft) in drafts.iter().enumerate() {
        for (place, spec) in specs[draft.stages.clone()].iter().enumerate() {
            let reason = match place {
                0 if spec.waits => format!("{}; its calls wait and hold no core", draft.reason),
                0 if draft.waits => {
                    format!("{}; more than cores: its calls wait and hold none", draft.reason)
                }
                0 => draft.reason.clone(),
                _ => format!("runs in one go with {}", specs[draft.stages.start].name),
            };
            stages.push(StagePlan {
                name: spec.name.clone(),
                kind: spec.kind,
                workers: draft.workers,
                asked: draft.asked,
                waits: draft.waits,
                more: more[segment],
                per_worker: spec.per_worker,
                per_worker_origin: budget.footprint_for(&spec.name).map(|it| it.origin.clone()),
                shared: spec.shared,
                counts_calls: spec.counts_items,
                weighs_outputs: spec.weighs_outputs,
                sizes: spec.sizes,
                expands: spec.expands,
                segment,
                reason,
            });
        }
    }
    stages
}

/// The segments with their queues, and the sink's, which is the reorder window
/// where order is kept.
fn segment_plans(
    budget: &Budget,
    specs: &[StageSpec],
    drafts: &[Draft],
    settings: &Settings,
) -> Vec<SegmentPlan> {
    let segment = |draft: &Draft| {
        let gather = specs[draft.stages.start].gather;
        SegmentPlan {
            stages: draft.stages.clone(),
            workers: draft.workers,
            queue_bound: queue_bound(budget, draft.workers, gather),
            per_worker: draft.per_worker,
            waits: draft.waits,
            gather: gather.map(|items| items as u64),
        }
    };
    let mut segments: Vec<_> = drafts.iter().map(segment).collect();
    let sink_bound = match settings.ordered {
        true => usize::try_from(settings.window).unwrap_or(usize::MAX),
        false => queue_bound(budget, 1, None),
    };
    segments.push(SegmentPlan {
        stages: specs.len()..specs.len(),
        workers: 1,
        queue_bound: sink_bound,
        per_worker: 0,
        waits: false,
        gather: None,
    });
    segments
}

/// Enough that no worker looks at an empty queue while those above are at work,
/// and for a batching stage, two full batches.
fn queue_bound(budget: &Budget, workers: usize, gather: Option<usize>) -> usize {
    let fed = 4usize.saturating_mul(workers.max(budget.cores()));
    fed.max(gather.unwrap_or(0).saturating_mul(2))
}
