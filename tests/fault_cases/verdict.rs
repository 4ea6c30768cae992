//! What must come of a case.

use plimsoll::{Cause, Error, ItemId, Report, RunError};

use super::case::{BATCH, Case, Kind, NAMES};
use super::rig::Outcome;
use crate::common::adds_up;

/// Without a fault everything is delivered, and every number is known.
pub(crate) fn clean(case: Case, outcome: &Outcome) {
    let report = outcome.ended.as_ref().expect("nothing fails").as_ref().expect("it has ended");
    books_balance(report, outcome);
    let items = case.items;
    assert_eq!((report.read(), report.children()), (items, 6 * items), "{report}");
    assert_eq!((report.delivered(), report.filtered()), (3 * items, items), "{report}");
    assert_eq!((report.expanded(), report.failed()), (3 * items, 0), "{report}");
    assert!(outcome.failures.is_empty());
    whole(case, outcome);
}

/// With the fault the run ends as its kind demands.
pub(crate) fn faulty(case: Case, outcome: &Outcome) {
    if let Some(report) = report(outcome) {
        books_balance(report, outcome);
    }
    no_strangers(case, outcome);
    match case.kind {
        kind if kind.fails_an_item() => item_failed(case, outcome),
        Kind::ItemDropPanic if !case.collect => item_failed(case, outcome),
        Kind::Cancel | Kind::ItemDropPanic => assert!(error(outcome).is_cancelled(), "{outcome:?}"),
        Kind::Deadline => deadline_passed(case, outcome),
        Kind::EarlyDrop => assert!(matches!(outcome.ended, Ok(None)), "{outcome:?}"),
        Kind::SourcePanic => match error(outcome).error() {
            Error::Source { read, cause: Cause::Panic { .. } } => assert_eq!(*read, case.item),
            other => panic!("{other}"),
        },
        Kind::SinkError | Kind::SinkPanic => sink_failed(case, outcome),
        Kind::FailureSinkPanic => failure_sink_failed(case, outcome),
        Kind::StateError | Kind::StatePanic => state_failed(case, outcome),
        _ => {
            assert!(outcome.ended.is_ok(), "{outcome:?}");
            whole(case, outcome);
        }
    }
}

fn report(outcome: &Outcome) -> Option<&Report> {
    match &outcome.ended {
        Ok(report) => report.as_ref(),
        Err(error) => Some(error.report()),
    }
}

#[track_caller]
fn error(outcome: &Outcome) -> &RunError {
    outcome.ended.as_ref().expect_err("the run fails")
}

fn books_balance(report: &Report, outcome: &Outcome) {
    adds_up(report);
    assert_eq!(report.delivered(), outcome.outputs.len() as u64, "{report}");
    assert!(report.failed() >= outcome.failures.len() as u64, "{report}");
}

fn whole(case: Case, outcome: &Outcome) {
    let mut outputs = outcome.outputs.clone();
    if !case.ordered {
        outputs.sort();
    }
    assert_eq!(outputs, case.outputs());
}

/// Each output is one that a sequential run makes, none comes twice; in order, they
/// are in order.
fn no_strangers(case: Case, outcome: &Outcome) {
    let mut outputs = outcome.outputs.clone();
    assert!(!case.ordered || outputs.is_sorted(), "{outputs:?}");
    outputs.sort();
    outputs.dedup();
    assert_eq!(outputs.len(), outcome.outputs.len(), "delivered twice");
    let known = case.outputs();
    assert!(outputs.iter().all(|id| known.binary_search(id).is_ok()), "{outputs:?}");
    let ends_whole = outcome.ended.is_ok() && outcome.failures.is_empty();
    let prefix = case.ordered && outcome.failures.is_empty();
    assert!(!prefix || known.starts_with(&outputs), "a gap: {outputs:?}");
    let all = outputs.len() == known.len();
    assert!(!ends_whole || all || case.kind == Kind::EarlyDrop, "something is lost");
}

/// One item failed, or the batch that it was in.
fn item_failed(case: Case, outcome: &Outcome) {
    if case.collect {
        assert!(outcome.ended.is_ok(), "{outcome:?}");
        return only_failures_are_missing(case, outcome);
    }
    assert!(outcome.failures.is_empty());
    let error = error(outcome);
    let told = error.item().unwrap_or_else(|| panic!("{error}"));
    is_planned(case, told.stage(), told.item(), told.cause());
    assert!(*told.item() <= case.failing(), "{error}: the first in order is told");
    let known = case.outputs();
    let before: Vec<_> = known.iter().filter(|id| *id < told.item()).collect();
    let mut older: Vec<_> = outcome.outputs.iter().filter(|id| *id < told.item()).collect();
    older.sort();
    assert_eq!(older, before, "what is older than the failure is delivered");
    let none_after = outcome.outputs.len() == before.len();
    assert!(!case.ordered || none_after, "delivered after the failure");
}

fn is_planned(case: Case, stage: &str, item: &ItemId, cause: &Cause) {
    assert_eq!(stage, NAMES[case.stage]);
    // A batch fails as a whole.
    let of_one = matches!(case.kind, Kind::WeigherPanic | Kind::FootprintPanic);
    let in_batch = case.stage == BATCH && !of_one;
    assert!(*item == case.failing() || in_batch, "{item} failed, not {}", case.failing());
    match cause {
        Cause::Error(error) => assert_eq!(error.to_string(), "planned: an error"),
        Cause::BatchLength { .. } => assert!(in_batch),
        Cause::Panic { message, .. } => assert!(message.starts_with("planned"), "{message}"),
        other => panic!("{other}"),
    }
    let is_panic = matches!(cause, Cause::Panic { .. });
    assert_eq!(is_panic, case.kind != Kind::ItemError, "{cause}");
}

fn only_failures_are_missing(case: Case, outcome: &Outcome) {
    let failures: Vec<_> = outcome.failures.iter().map(|error| error.item().clone()).collect();
    assert!(failures.contains(&case.failing()), "{failures:?}");
    let most = if case.stage == BATCH { 3 } else { 1 };
    assert!(failures.len() <= most, "{failures:?}");
    for error in &outcome.failures {
        is_planned(case, error.stage(), error.item(), error.cause());
    }
    let mut expected = case.outputs();
    expected.retain(|id| !failures.iter().any(|failed| is_of(id, failed)));
    let mut outputs = outcome.outputs.clone();
    outputs.sort();
    assert_eq!(outputs, expected);
}

/// Whether `id` is `ancestor` or was made of it.
fn is_of(id: &ItemId, ancestor: &ItemId) -> bool {
    id.source_index() == ancestor.source_index() && id.path().starts_with(ancestor.path())
}

fn deadline_passed(case: Case, outcome: &Outcome) {
    match &outcome.ended {
        Err(error) => assert!(error.is_out_of_time(), "{error}"),
        // The checker's clock may not get that far.
        Ok(_) if cfg!(shuttle) => whole(case, outcome),
        Ok(_) => panic!("the call outlasts the limit"),
    }
}

fn sink_failed(case: Case, outcome: &Outcome) {
    let report = error(outcome).report();
    let in_stages: u64 = report.stages().iter().map(|stage| stage.failed()).sum();
    assert_eq!(report.failed(), in_stages + 1, "{report}");
    let Error::Sink { sink: "sink", item, cause } = error(outcome).error() else {
        panic!("{outcome:?}")
    };
    assert_eq!(Some(item), outcome.refused.as_ref());
    assert_eq!(matches!(cause, Cause::Panic { .. }), case.kind == Kind::SinkPanic);
    let next = &case.outputs()[outcome.outputs.len()];
    assert!(!case.ordered || item == next, "{item}, not {next}");
}

fn failure_sink_failed(case: Case, outcome: &Outcome) {
    let Error::Sink { sink: "failure sink", item, cause: Cause::Panic { .. } } =
        error(outcome).error()
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(outcome.failures.len(), 1, "after its panic it is not called again");
    let told = &outcome.failures[0];
    assert_eq!(told.item(), item);
    if item.source_index() <= case.item {
        is_planned(case, told.stage(), item, told.cause());
    } else {
        assert!(told.cause().to_string().starts_with("a decoy"), "{told}");
    }
}

/// The first state always fails; one after a panic only if it is asked for.
fn state_failed(case: Case, outcome: &Outcome) {
    match &outcome.ended {
        Ok(_) if case.item > 0 => only_failures_are_missing(case, outcome),
        Ok(_) => panic!("no state could be built"),
        Err(error) => match error.error() {
            Error::State { stage, cause } => {
                assert_eq!(stage, NAMES[case.stage]);
                let is_panic = matches!(cause, Cause::Panic { .. });
                assert_eq!(is_panic, case.kind == Kind::StatePanic, "{cause}");
            }
            Error::Item(told) if case.item > 0 && !case.collect => {
                is_planned(case, told.stage(), told.item(), told.cause());
            }
            other => panic!("{other}"),
        },
    }
}
