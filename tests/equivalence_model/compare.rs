//! A run of a random pipeline, held to what a sequential run does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use plimsoll::{CancelToken, Cause, ItemError, Pipeline, Report, RunError};

use super::{Case, Event, Expected, Failure, Item};
use crate::common::adds_up;

pub(crate) type Piped = Pipeline<'static, Item, Item>;

fn told(error: &ItemError) -> Failure {
    let mut cause = error.cause().to_string();
    if let Cause::TooLarge { way_out, .. } = error.cause() {
        // What would help is the planner's to find.
        cause = cause.replace(&format!("; {way_out}"), "");
    }
    (error.item().clone(), error.stage().to_owned(), cause)
}

/// All outputs and all failures are those expected.
fn is_whole(
    case: &Case,
    expected: &Expected,
    report: &Report,
    outputs: Vec<u64>,
    mut failures: Vec<Failure>,
) {
    same(case, outputs, expected.outputs());
    failures.sort();
    assert_eq!(failures, expected.failures());
    adds_up(report);
    assert_eq!(report.read(), case.items);
    assert_eq!(report.delivered(), expected.outputs().len() as u64);
    assert_eq!(report.failed(), expected.failures().len() as u64);
    assert_eq!(
        (report.filtered(), report.children(), report.expanded(), report.cancelled()),
        (expected.filtered, expected.children, expected.expanded, 0)
    );
    if expected.children == 0 {
        let window = case.window.unwrap_or(u64::MAX);
        assert!(report.most_aboard() <= window, "{} aboard", report.most_aboard());
    }
}

fn same(case: &Case, mut outputs: Vec<u64>, mut expected: Vec<u64>) {
    if !case.ordered {
        outputs.sort_unstable();
        expected.sort_unstable();
    }
    assert_eq!(outputs, expected);
}

pub(crate) fn collects(case: &Case, pipeline: &Piped, expected: &Expected) {
    let (mut outputs, mut failures) = (Vec::new(), Vec::new());
    let report = pipeline
        .job()
        .failures(|error| failures.push(told(&error)))
        .run(case.source(), |item: Item| outputs.push(item.0))
        .expect("failures do not end this run");
    is_whole(case, expected, &report, outputs, failures);
}

/// The first failure in order ended the run, and what is older was delivered.
fn is_cut(case: &Case, expected: &Expected, ended: Result<Report, RunError>, outputs: Vec<u64>) {
    let Some((first, before)) = expected.first_failure() else {
        return is_whole(case, expected, &ended.expect("nothing fails"), outputs, Vec::new());
    };
    let error = ended.expect_err("something fails");
    assert_eq!(told(error.item().expect("an item ended it")), first);
    adds_up(error.report());
    assert_eq!(error.report().delivered(), outputs.len() as u64);
    if case.ordered {
        assert_eq!(outputs, before);
        return;
    }
    contains(&outputs, &before);
    contains(&expected.outputs(), &outputs);
}

/// Every number of `part`, as often as it is there, is in `whole`.
fn contains(whole: &[u64], part: &[u64]) {
    let (mut whole, mut part) = (whole.to_vec(), part.to_vec());
    whole.sort_unstable();
    part.sort_unstable();
    let mut whole = whole.into_iter();
    assert!(part.iter().all(|wanted| whole.any(|number| number == *wanted)), "a part is missing");
}

pub(crate) fn fails_fast(case: &Case, pipeline: &Piped, expected: &Expected) {
    let mut outputs = Vec::new();
    let ended = pipeline.run(case.source(), |item: Item| outputs.push(item.0));
    is_cut(case, expected, ended, outputs);
}

pub(crate) fn streams(case: &Case, pipeline: &Piped, expected: &Expected) {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&failures);
    let sink = move |error: ItemError| heard.lock().expect("no panic").push(told(&error));
    let mut stream = pipeline.job().failures(sink).stream(case.source()).expect("threads");
    let outputs = stream.by_ref().map(|item| item.expect("no failure ends it").0).collect();
    let failures = std::mem::take(&mut *failures.lock().expect("no panic"));
    is_whole(case, expected, stream.report().expect("it has ended"), outputs, failures);
    assert!(stream.next().is_none());
}

pub(crate) fn stream_fails_fast(case: &Case, pipeline: &Piped, expected: &Expected) {
    let mut stream = pipeline.stream(case.source()).expect("threads");
    let (mut outputs, mut error) = (Vec::new(), None);
    for output in stream.by_ref() {
        assert!(error.is_none(), "an error is the last item");
        match output {
            Ok(item) => outputs.push(item.0),
            Err(ended) => error = Some(ended),
        }
    }
    let report = stream.report().expect("it has ended").clone();
    is_cut(case, expected, error.map_or(Ok(report), Err), outputs);
}

/// A consumer that leaves neither hangs nor loses the order.
pub(crate) fn leaves_early(case: &Case, pipeline: &Piped, expected: &Expected) {
    let wanted = (case.salt % (expected.outputs().len() as u64 + 1)) as usize;
    let stream = pipeline.job().failures(drop).stream(case.source()).expect("threads");
    let outputs: Vec<_> = stream.take(wanted).map(|item| item.expect("no end").0).collect();
    assert_eq!(outputs.len(), wanted);
    if case.ordered {
        assert_eq!(outputs, expected.outputs()[..wanted]);
    } else {
        contains(&expected.outputs(), &outputs);
    }
}

/// After the token is pulled the sink is not called, and all items have a fate.
pub(crate) fn cancels(case: &Case, pipeline: &Piped, expected: &Expected) {
    let events = &expected.events;
    let outputs = events.iter().filter(|event| matches!(event, Event::Output(_))).count() as u64;
    if outputs == 0 {
        return;
    }
    let (token, taken) = (CancelToken::new(), AtomicU64::new(0));
    let last = case.salt % outputs;
    let ended = pipeline.job().failures(drop).cancel(&token).run(case.source(), |_| {
        assert!(!token.is_cancelled(), "the sink is called after the end");
        if taken.fetch_add(1, Ordering::SeqCst) == last {
            token.cancel();
        }
    });
    match ended {
        Ok(report) => assert_eq!((last + 1, report.delivered()), (outputs, outputs)),
        Err(error) => {
            assert!(error.is_cancelled(), "{error}");
            adds_up(error.report());
            assert_eq!(error.report().delivered(), last + 1);
        }
    }
}
