//! What a plan tells that is likely not meant.

use super::Settings;
use crate::budget::Budget;
use crate::error::unit_forgotten;
use crate::stage::StageSpec;
use crate::units::{Bytes, Count, KIB, MIB, stage_variable};

/// A line below this is worth a word: an item of a few KiB may not fit.
const SMALL_LINE: u64 = MIB;

/// What workers keep, and the most that an item needs, is told where it is large; below this it
/// looks like a number without its unit.
const SMALL_NUMBER: u64 = KIB;

/// What the budget says that no stage heard, workers that are taken to wait although their stage
/// does not say so, outputs that count as nothing, numbers that lack their unit, a line that
/// carries next to nothing.
pub(super) fn notes(
    budget: &Budget,
    specs: &[StageSpec],
    line: u64,
    settings: &Settings,
) -> Vec<String> {
    let waiting = specs.iter().filter_map(|spec| taken_to_wait(budget, spec));
    let unweighed = specs[..specs.len() - 1].iter().filter_map(unweighed);
    let tiny = specs.iter().flat_map(|spec| tiny(budget, spec));
    let small = (line < SMALL_LINE && settings.largest_item.is_none()).then(|| {
        let unit = unit_forgotten(budget.memory(), budget.hears_variables());
        format!("the line is only {}: larger items will fail{unit}", Bytes(line))
    });
    let small_item = settings.largest_item.and_then(|bytes| small_item(budget, bytes));
    unheard(budget, specs)
        .into_iter()
        .chain(waiting)
        .chain(unweighed)
        .chain(tiny)
        .chain(small)
        .chain(small_item)
        .collect()
}

/// Names of the budget's that are no stage's.
fn unheard(budget: &Budget, specs: &[StageSpec]) -> Vec<String> {
    let variables: Vec<_> = specs.iter().map(|spec| stage_variable(&spec.name)).collect();
    let unheard =
        budget.override_names().filter(|(name, _)| !variables.iter().any(|it| it == name));
    let told = unheard.map(|(name, origin)| {
        let there = variables.join(", ");
        format!("no stage of this pipeline is tuned as {name} ({origin}); there are {there}")
    });
    told.collect()
}

/// A stage that has more workers than there are cores on the word of the budget alone: whoever
/// meant to speed up calls that compute has them contend for the cores.
fn taken_to_wait(budget: &Budget, spec: &StageSpec) -> Option<String> {
    let demanded = budget.workers_for(&spec.name)?;
    let (name, cores, workers) = (&spec.name, budget.cores(), demanded.value);
    let by_design = spec.waits || spec.workers.is_some_and(|asked| asked > cores);
    (workers > cores && !by_design).then(|| {
        let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        format!(
            "{name} has {workers} workers on {cores} ({}): its calls are taken to wait, for a disk \
             or a service, and hold no core; if they compute, one for each core is enough",
            demanded.origin
        )
    })
}

/// Outputs that wait for another stage and count as next to nothing, where items are large
/// enough for the stage to ask for memory for each.
fn unweighed(spec: &StageSpec) -> Option<String> {
    (spec.counts_items && !spec.weighs_outputs).then(|| {
        let (name, size) = (&spec.name, Bytes(spec.sizes.1));
        format!("outputs of {name} count as {size} each while they wait: it has no `weigh`")
    })
}

/// Bytes in a variable that are likely MiB. In code a stage may well declare the few bytes that
/// a worker's state really takes.
fn tiny(budget: &Budget, spec: &StageSpec) -> Option<String> {
    let (name, told) = (&spec.name, budget.footprint_for(&spec.name)?);
    let (bytes, origin) = (told.value, &told.origin);
    (1..SMALL_NUMBER).contains(&bytes).then(|| {
        let few = Count(bytes, "byte");
        format!("a worker of {name} counts as {few} ({origin}): did you mean {bytes} MiB?")
    })
}

/// A largest item in bytes that are likely MiB, where the budget has some: who declares it means
/// to give the rest of the line to others, and of a few bytes there is nothing to give.
fn small_item(budget: &Budget, bytes: u64) -> Option<String> {
    (budget.memory() >= MIB && (1..SMALL_NUMBER).contains(&bytes)).then(|| {
        let few = Count(bytes, "byte");
        format!(
            "items that need more than {few} will fail (largest_item): did you mean \
             `largest_item({bytes} * MIB)`?"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::plan::{Plan, plan};
    use crate::stage::{Footprint, Stage};
    use crate::units::GIB;

    const SETTINGS: Settings = Settings { ordered: false, window: 1_000, largest_item: None };

    fn cpu(name: &str) -> StageSpec {
        Stage::cpu(name).map(|item: u64| item).spec
    }

    fn keeping(footprint: Footprint<'static, u64>) -> StageSpec {
        Stage::memory("embed", footprint).map(|item: u64| item).spec
    }

    fn planned(budget: &Budget, spec: StageSpec) -> Result<Plan, Error> {
        plan(budget, &[spec], &SETTINGS)
    }

    #[test]
    fn what_is_likely_not_meant_is_noted() {
        let works = |spec: StageSpec| StageSpec { counts_items: true, ..spec };
        let specs = [works(cpu("load")), works(cpu("last"))];
        let told = |memory: u64| plan(&Budget::new(memory, 2), &specs, &SETTINGS).expect("it fits");
        let notes = told(GIB).notes;
        assert_eq!(notes.len(), 1, "what the last stage makes goes to the sink: {notes:?}");
        assert!(notes[0].starts_with("outputs of load count as ") && notes[0].contains("`weigh`"));
        let notes = told(1_000).notes;
        assert_eq!(
            notes[1],
            "the line is only 1000 B: larger items will fail; the budget is 1000 bytes: did you mean \
             `1000 * MIB`?"
        );
        let weighs = [StageSpec { weighs_outputs: true, ..specs[0].clone() }, specs[1].clone()];
        assert!(plan(&Budget::new(GIB, 2), &weighs, &SETTINGS).expect("it fits").notes.is_empty());
    }

    #[test]
    fn workers_beyond_the_cores_are_noted_unless_the_stage_says_so() {
        let budget = Budget::new(GIB, 2).with_workers("embed", 16);
        let noted = planned(&budget, cpu("embed")).expect("it fits");
        assert_eq!(
            noted.notes,
            [
                "embed has 16 workers on 2 cores (given by the caller): its calls are taken to wait, for \
              a disk or a service, and hold no core; if they compute, one for each core is enough"
            ]
        );
        assert_eq!(
            noted.stages()[0].reason(),
            "given by the caller; more than cores: its calls wait and hold none"
        );
        let as_many = Budget::new(GIB, 2).with_workers("embed", 2);
        assert!(planned(&as_many, cpu("embed")).expect("it fits").notes.is_empty());
        let waits = StageSpec { workers: Some(8), ..cpu("embed") };
        let by_design = planned(&budget, waits.clone()).expect("it fits");
        assert!(by_design.notes.is_empty(), "{by_design}");
        let unasked = planned(&Budget::new(GIB, 2), waits).expect("it fits");
        assert!(unasked.notes.is_empty(), "{unasked}");
        let reason = "the stage asks for 8; more than cores: its calls wait and hold none";
        assert_eq!(unasked.stages()[0].reason(), reason);
    }

    #[test]
    fn numbers_that_lack_their_unit_are_asked_about() {
        let budget = Budget::new(GIB, 2);
        let few = keeping(Footprint::per_worker(308).and(Footprint::shared(4)));
        assert!(planned(&budget, few).expect("it fits").notes.is_empty(), "it may be so");
        let told = budget.clone().with_footprint("embed", 400);
        let told = planned(&told, keeping(Footprint::none())).expect("it fits").notes;
        let asked = "counts as 400 bytes (given by the caller): did you mean 400 MiB?";
        assert!(told[0].ends_with(asked), "{told:?}");

        let largest = |bytes, budget: &Budget| {
            let settings = Settings { largest_item: Some(bytes), ..SETTINGS };
            plan(budget, &[cpu("embed")], &settings).expect("it fits").notes
        };
        let asked = "items that need more than 64 bytes will fail (largest_item): did you mean \
                     `largest_item(64 * MIB)`?";
        assert_eq!(largest(64, &budget), [asked]);
        assert!(largest(KIB, &budget).is_empty() && largest(64, &Budget::new(KIB, 2)).is_empty());

        let refused = |bytes| {
            let spec = keeping(Footprint::per_worker(MIB));
            planned(&Budget::new(bytes, 2), spec).expect_err("it does not fit").to_string()
        };
        let asked = "; the budget is 512 bytes: did you mean `512 * MIB`?";
        assert!(refused(512).ends_with(asked), "{}", refused(512));
        let asked = "; the budget is 1 byte: did you mean `1 * MIB`?";
        assert!(refused(1).ends_with(asked), "{}", refused(1));
        assert!(!refused(MIB).contains("did you mean"), "{}", refused(MIB));
    }
}
