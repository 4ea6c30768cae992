//! Threads that the system refuses.

use std::io;
use std::sync::Arc;

use super::super::{PLANNED, each_site};
use crate::{Budget, Error, MIB, Pipeline, Report, Stage};

const ITEMS: u64 = 200;

/// Threads of this process that belong to a run. No other unit test starts any.
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
    let Error::Spawn { index, threads, source } = error else { panic!("{error}") };
    assert_eq!((*index, *threads), wanted);
    assert_eq!((source.kind(), source.to_string()), (io::ErrorKind::Other, PLANNED.to_owned()));
}

/// One test for both, because threads are counted for the whole process.
#[test]
fn a_thread_that_cannot_be_started_ends_the_run() {
    let stage = Stage::memory("wait", crate::Footprint::none()).workers(6).map(|n: u64| n);
    let pipeline = Pipeline::new(stage).ordered().build(&Budget::new(MIB, 3)).unwrap();
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
            assert_names_the_thread(error.error(), (site + 1, threads));
            let report = error.report();
            assert_eq!(report.read(), report.delivered() + report.cancelled(), "{report}");
            assert_nothing_is_left();
            assert_is_whole(&pipeline.run(source(), drop).unwrap());
        },
    );
    assert_eq!(sites, threads - 1, "the caller's thread is one of them");
    assert_is_whole(&ended.unwrap());

    let (sites, stream) = each_site(
        || pipeline.stream(source()),
        |site, started| {
            assert_names_the_thread(&started.unwrap_err(), (site, threads));
            assert_nothing_is_left();
            assert_eq!(pipeline.stream(source()).unwrap().count() as u64, ITEMS);
        },
    );
    assert_eq!(sites, threads);
    assert_eq!(stream.unwrap().count() as u64, ITEMS);
    assert_nothing_is_left();
}
