//! Sources that fail: what was read before is delivered, the rest is not read, and the first
//! cause in order is told.

mod common;

use std::io::{self, BufRead, BufReader};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{sleep, yield_now};
use std::time::Duration;

use common::{adds_up, within};
use plimsoll::{Budget, Cause, Error, MIB, Monitor, Pipeline, RunError, Stage};

const ITEMS: u64 = 200;

/// A pipeline in which item `bad` fails.
fn pipeline(ordered: bool, cores: usize, bad: Option<u64>) -> Pipeline<'static, u64, u64> {
    let check = move |n: u64| if bad == Some(n) { Err(format!("no {n}")) } else { Ok(n) };
    let builder =
        Pipeline::new(Stage::cpu("check").try_map(check)).then(Stage::cpu("pass").map(|n| n));
    let builder = if ordered { builder.ordered() } else { builder };
    builder.build(&Budget::new(MIB, cores)).expect("it fits")
}

/// Numbers up to `end`, then for ever an error; counts how often it is asked in `asked`.
/// `knows` says whether it promises its items.
fn source(
    end: u64,
    knows: bool,
    asked: &AtomicU64,
) -> Box<dyn Iterator<Item = Result<u64, String>> + Send + '_> {
    let items = (0..2 * ITEMS).map(move |n| {
        asked.fetch_add(1, Ordering::Relaxed);
        if n < end { Ok(n) } else { Err(format!("broken at {n}")) }
    });
    if knows { Box::new(items) } else { Box::new(items.filter(|_| true)) }
}

fn is_of_source(error: &RunError, after: u64) -> bool {
    let told = format!("the source failed after {after} items: broken at {after}");
    let is_it =
        matches!(error.error(), Error::Source { read, cause: Cause::Error(_) } if *read == after);
    is_it && error.to_string() == told
}

#[test]
fn what_comes_before_the_error_is_delivered_and_nothing_is_read_after_it() {
    within(
        || "a source that fails".to_owned(),
        || {
            for bits in 0..8 {
                let (ordered, knows, cores) = (bits & 1 > 0, bits & 2 > 0, 1 + (bits & 4) / 2);
                let pipeline = pipeline(ordered, cores, None);
                for end in [0, 1, ITEMS / 2, ITEMS] {
                    let (mut outputs, asked) = (Vec::new(), AtomicU64::new(0));
                    let source = source(end, knows, &asked);
                    let failed = pipeline.try_run(source, |n| outputs.push(n)).unwrap_err();
                    assert!(is_of_source(&failed, end), "{failed}");
                    adds_up(failed.report());
                    assert_eq!((failed.report().read(), failed.report().delivered()), (end, end));
                    assert_eq!(asked.into_inner(), end + 1);
                    if !ordered {
                        outputs.sort_unstable();
                    }
                    assert!(outputs.into_iter().eq(0..end));
                }
            }
        },
    );
}

#[test]
fn a_stream_ends_with_the_error() {
    within(
        || "a stream whose source fails".to_owned(),
        || {
            static ASKED: AtomicU64 = AtomicU64::new(0);
            let pipeline = pipeline(true, 2, None);
            let mut outputs = pipeline.try_stream(source(ITEMS, true, &ASKED)).expect("it starts");
            for n in 0..ITEMS {
                assert_eq!(outputs.next().transpose().expect("it comes before"), Some(n));
            }
            let failed = outputs.next().expect("the error").unwrap_err();
            assert!(is_of_source(&failed, ITEMS), "{failed}");
            assert!(outputs.next().is_none());
            assert_eq!(outputs.report().map(|report| report.delivered()), Some(ITEMS));

            let whole: Result<Vec<_>, _> =
                pipeline.try_stream([Ok(1), Ok::<_, String>(2)]).expect("it starts").collect();
            assert_eq!(whole.expect("nothing fails"), [1, 2]);
        },
    );
}

#[test]
fn what_ends_the_run_before_it_is_told_instead() {
    within(
        || "a source that fails, and more".to_owned(),
        || {
            for cores in [1, 3] {
                let asked = AtomicU64::new(0);
                let bad = pipeline(true, cores, Some(7));
                let failed = bad.try_run(source(9, true, &asked), drop).unwrap_err();
                assert_eq!(failed.item().expect("an item").item().source_index(), 7);

                // Collected, the item does not end the run, and the source's error is no item.
                let mut failures = Vec::new();
                let job = bad.job().failures(|failure| failures.push(failure.to_string()));
                let failed = job.try_run(source(9, true, &asked), drop).unwrap_err();
                assert!(is_of_source(&failed, 9), "{failed}");
                assert_eq!((failures.len(), failed.report().delivered()), (1, 8));

                let full = |n| if n == 3 { Err("full") } else { Ok(()) };
                let good = pipeline(true, cores, None);
                let failed = good.try_run(source(9, false, &asked), full).unwrap_err();
                assert!(matches!(failed.error(), Error::Sink { .. }), "{failed}");
            }
        },
    );
}

/// An error that cannot even be dropped.
#[derive(Debug)]
struct Mine;

impl std::fmt::Display for Mine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("mine")
    }
}

impl std::error::Error for Mine {}

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("planned: dropped");
    }
}

#[test]
fn an_error_that_nobody_is_told_is_dropped_quietly() {
    within(
        || "an error whose drop panics".to_owned(),
        || {
            let bad = pipeline(true, 1, Some(1));
            let items = || [Ok(0), Ok(1), Err(Mine)].into_iter();
            let failed = bad.try_run(items(), drop).unwrap_err();
            assert!(failed.item().is_some(), "{failed}");
            let last = bad.try_stream(items()).expect("it starts").last().expect("an error");
            assert!(last.unwrap_err().item().is_some());
        },
    );
}

#[test]
fn a_source_that_panics_is_told_as_ever() {
    within(
        || "a source that panics".to_owned(),
        || {
            let items = (0..9).map(|n| if n < 3 { Ok::<_, String>(n) } else { panic!("planned") });
            let failed = pipeline(true, 1, None).try_run(items, drop).unwrap_err();
            let Error::Source { read: 3, cause: Cause::Panic { .. } } = failed.error() else {
                panic!("{failed}")
            };
        },
    );
}

#[test]
fn an_error_of_the_source_ends_it_and_a_panic_ends_the_run() {
    // Every call waits until the source is broken, and then long enough for that to be heard.
    let broken_after = |panics: bool| {
        let broken = AtomicBool::new(false);
        let call = |n: u64| {
            while !broken.load(Ordering::Relaxed) {
                yield_now();
            }
            sleep(Duration::from_millis(50));
            n
        };
        let pipeline = Pipeline::new(Stage::cpu("wait").workers(1).map(call));
        let pipeline = pipeline.build(&Budget::new(MIB, 2)).expect("it fits");
        let items = (0..).map(|n| match n {
            0..3 => Ok(n),
            _ => {
                broken.store(true, Ordering::Relaxed);
                if panics { resume_unwind(Box::new("planned")) } else { Err("planned") }
            }
        });
        let failed = pipeline.try_run(items, drop).expect_err("the source is broken");
        adds_up(failed.report());
        assert_eq!(failed.report().read(), 3);
        (failed.to_string(), failed.report().cancelled())
    };
    within(
        || "a broken source".to_owned(),
        move || {
            let (told, cancelled) = broken_after(false);
            assert_eq!((&*told, cancelled), ("the source failed after 3 items: planned", 0));
            let (told, cancelled) = broken_after(true);
            assert_eq!(told, "the source failed after 3 items: panicked: planned");
            assert!(cancelled > 0, "nothing was begun after the panic");
        },
    );
}

#[test]
fn a_monitor_expects_what_the_source_promises() {
    within(
        || "a monitored run".to_owned(),
        || {
            let monitor = Monitor::new();
            let pipeline = pipeline(true, 1, None);
            let items = vec![Ok::<_, String>(1); 5];
            pipeline.job().monitor(&monitor).try_run(items, drop).expect("nothing fails");
            assert_eq!(monitor.snapshot().expect("it ran").expected(), Some(5));
        },
    );
}

#[test]
#[cfg(unix)]
fn lines_of_a_folder_end_a_run_at_once_and_as_items_never() {
    within(
        || "the lines of a folder".to_owned(),
        || {
            let lines = || BufReader::new(std::fs::File::open("src").expect("it opens")).lines();
            let budget = Budget::new(MIB, 2);
            let length = Stage::cpu("length").map(|line: String| line.len());
            let pipeline = Pipeline::new(length).build(&budget).expect("it fits");
            let failed = pipeline.try_run(lines(), drop).unwrap_err();
            assert!(
                failed.to_string().starts_with("the source failed after 0 items: "),
                "{failed}"
            );

            let line = Stage::cpu("line").try_map(|line: io::Result<String>| line);
            let pipeline = Pipeline::new(line).build(&budget).expect("it fits");
            let (sender, failures) = mpsc::channel();
            let job = pipeline.job().failures(move |failure| sender.send(failure).unwrap());
            let report = job.run(lines().take(1_000), drop).expect("failures are collected");
            assert_eq!((report.failed(), failures.iter().count()), (1_000, 1_000));
        },
    );
}
