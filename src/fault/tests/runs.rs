//! Threads that the system refuses.

use std::io;
use std::sync::{Arc, PoisonError};

use super::super::{PLANNED, each_site};
use crate::resident::ALONE;
use crate::{Budget, Error, MIB, Pipeline, Report, Stage};

const ITEMS: u64 = 200;

/// Threads of this process that belong to a run.
#[cfg(target_os = "linux")]
fn run_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    // The test program's own name begins likewise.
    let numbers = names.filter_map(|name| name.strip_prefix("plimsoll-")?.trim().parse().ok());
    numbers.filter(|number: &usize| *number < 100).count()
}

/// The kernel lists a thread a moment longer than it can be joined.
fn assert_no_thread_is_left() {
    #[cfg(target_os = "linux")]
    {
        let begun = std::time::Instant::now();
        while run_threads() > 0 {
            assert!(begun.elapsed().as_secs() < 10, "a thread is left");
            std::thread::yield_now();
        }
    }
}

fn assert_is_whole(report: &Report) {
    assert_eq!((report.read(), report.delivered()), (ITEMS, ITEMS), "{report}");
}

#[track_caller]
fn assert_names_the_thread(error: &Error, wanted: (usize, usize)) {
    let Error::Spawn { index, threads, source, .. } = error else { panic!("{error}") };
    assert_eq!((*index, *threads), wanted);
    assert_eq!((source.kind(), source.to_string()), (io::ErrorKind::Other, PLANNED.to_owned()));
}

#[test]
fn a_thread_that_cannot_be_started_ends_the_run() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::memory("wait", crate::Footprint::none()).workers(6).map(|n: u64| n);
    // Unmeasured: a thread is the only thing that it asks the system for.
    let budget = Budget::new(MIB, 3).unmeasured();
    let pipeline = Pipeline::new(stage).ordered().build(&budget).unwrap();
    let threads = pipeline.plan().threads();
    let held = Arc::new(());
    let source = || {
        let held = Arc::clone(&held);
        (0..ITEMS).inspect(move |_| assert!(Arc::strong_count(&held) > 1))
    };
    let assert_nothing_is_left = || {
        assert_eq!(Arc::strong_count(&held), 1, "the source is dropped");
        assert_no_thread_is_left();
    };

    let (sites, ended) = each_site(
        || pipeline.run(source(), drop),
        |site, ended| {
            let error = ended.unwrap_err();
            assert_names_the_thread(error.error(), (site, threads));
            let report = error.report();
            assert_eq!(report.read(), report.delivered() + report.cancelled(), "{report}");
            assert_nothing_is_left();
            assert_is_whole(&pipeline.run(source(), drop).unwrap());
        },
    );
    assert_eq!(sites, threads, "the caller's thread watches");
    assert_is_whole(&ended.unwrap());

    let (sites, stream) = each_site(
        || pipeline.stream(source()),
        |site, started| {
            assert_names_the_thread(&started.unwrap_err(), (site, threads + 1));
            assert_nothing_is_left();
            assert_eq!(pipeline.stream(source()).unwrap().count() as u64, ITEMS);
        },
    );
    assert_eq!(sites, threads + 1, "the watch is one of them");
    assert_eq!(stream.unwrap().count() as u64, ITEMS);
    assert_nothing_is_left();
}

/// Real memory that cannot be read is no failure: the ledger alone counts, and the
/// report says why.
#[test]
#[cfg(target_os = "linux")]
fn a_gauge_that_cannot_be_read_is_told() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = Stage::cpu("double").map(|n: u64| 2 * n);
    let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 1)).unwrap();
    let told = |report: &Report| {
        let why = report.memory().why_not_measured().unwrap_or_default().to_owned();
        assert!(why.is_empty() || report.to_string().contains(&why), "{report}");
        why
    };
    let mut unmeasured = 0;
    let (_, last) = each_site(
        || pipeline.run(0..ITEMS, drop),
        |_, ended| match ended {
            // Not from the start, or no more when it was refused in between. A measured
            // call that cannot be measured is just not one.
            Ok(report) => {
                assert_is_whole(&report);
                let why = told(&report);
                assert!(why.is_empty() || why == PLANNED, "{why}");
                unmeasured += usize::from(!why.is_empty());
            }
            Err(error) => assert!(matches!(error.error(), Error::Spawn { .. }), "{error}"),
        },
    );
    assert!(unmeasured >= 4, "two files are opened and read: {unmeasured}");
    let report = last.unwrap();
    assert_is_whole(&report);
    assert_eq!(told(&report), "");
    assert!(report.memory().peak_real().is_some());
}
