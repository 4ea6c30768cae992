//! The two ends of a run and what lies at the extremes: nothing to do, endless
//! sources, sources that wait for the sink, ends that fail.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{adds_up, eventually, within};
use plimsoll::{Budget, Cause, Error, Footprint, MIB, Pipeline, PipelineBuilder, Stage};

type Numbers = PipelineBuilder<'static, u64, u64>;

fn plain() -> Numbers {
    Pipeline::new(Stage::cpu("plain").map(|n: u64| n + 1))
}

fn batched() -> Numbers {
    Pipeline::new(
        Stage::cpu("batched")
            .map_batch(10, |numbers: Vec<u64>| numbers.into_iter().map(|n| n + 1).collect()),
    )
}

fn split() -> Numbers {
    let cross = Stage::memory("cross", Footprint::per_worker(1_000)).map(|n: u64| n);
    Pipeline::new(Stage::cpu("split").flat_map(|n: u64| [n + 1])).then(cross)
}

/// Every shape in both orders, on one core and on several.
fn shapes() -> Vec<(String, Pipeline<'static, u64, u64>)> {
    let mut shapes = Vec::new();
    for (name, shape) in
        [("plain", plain as fn() -> Numbers), ("batched", batched), ("split", split)]
    {
        for (ordered, cores) in [(false, 1), (true, 1), (false, 3), (true, 3)] {
            let builder = if ordered { shape().ordered() } else { shape() };
            let pipeline = builder.build(&Budget::new(MIB, cores)).expect("it fits");
            shapes.push((format!("{name}, ordered {ordered}, {cores} cores"), pipeline));
        }
    }
    shapes
}

/// Calls `test` with every shape, each under the watchdog.
fn each_shape(test: fn(&Pipeline<'static, u64, u64>)) {
    for (name, pipeline) in shapes() {
        within(|| name, move || test(&pipeline));
    }
}

#[test]
fn of_nothing_comes_nothing() {
    each_shape(|pipeline| {
        let report =
            pipeline.run([], |n| assert_eq!(n, 0, "nothing comes")).expect("nothing fails");
        adds_up(&report);
        assert_eq!((report.read(), report.delivered(), report.most_aboard()), (0, 0, 0));
        assert_eq!(report.stages()[0].calls(), 0);

        let mut stream = pipeline.stream([]).expect("threads");
        assert!(stream.report().is_none() && stream.next().is_none() && stream.next().is_none());
        assert_eq!(stream.report().map(plimsoll::Report::read), Some(0));
    });
}

#[test]
fn one_item_and_many_pass_any_shape() {
    each_shape(|pipeline| {
        for items in [1, 2, 10_000] {
            let mut sum = 0;
            let report = pipeline.run(0..items, |n| sum += n).expect("nothing fails");
            adds_up(&report);
            assert_eq!((sum, report.delivered()), (items * (items + 1) / 2, items));
        }
    });
}

/// The source waits for what the sink was given: nothing may be held back.
#[test]
fn a_source_may_wait_for_outputs() {
    each_shape(|pipeline| {
        for limit in [None, Some(Duration::from_secs(60))] {
            let (feed, source) = mpsc::channel();
            feed.send(0).expect("it is open");
            let mut feed = Some(feed);
            let sink = move |n| match (n, &feed) {
                (1..40, Some(open)) => open.send(n).expect("it is open"),
                _ => feed = None,
            };
            let job = pipeline.job();
            let job = match limit {
                Some(limit) => job.time_limit(limit),
                None => job,
            };
            assert_eq!(job.run(source, sink).expect("nothing fails").delivered(), 40);
        }
    });
}

/// Whoever sleeps until the time limit must be woken for a batch that is due before.
#[test]
fn a_time_limit_far_away_does_not_delay_a_partial_batch() {
    within(
        || "a partial batch under a time limit".to_owned(),
        || {
            let delivered = AtomicU64::new(0);
            let sink = |_| {
                delivered.fetch_add(1, Ordering::SeqCst);
            };
            let source =
                (0..4).take_while(|n| eventually(|| delivered.load(Ordering::SeqCst) == *n));
            let pipeline = batched().build(&Budget::new(MIB, 2)).expect("it fits");
            let job = pipeline.job().time_limit(Duration::from_secs(60));
            let report = job.run(source, sink).expect("nothing fails");
            assert_eq!(report.delivered(), 4, "{report}");
        },
    );
}

#[test]
fn a_source_may_wait_for_the_consumer_of_a_stream() {
    each_shape(|pipeline| {
        let (feed, source) = mpsc::channel();
        feed.send(0).expect("it is open");
        let mut stream = pipeline.stream(source).expect("threads");
        for n in 1..40u64 {
            assert_eq!(stream.next().expect("one at a time").expect("nothing fails"), n);
            feed.send(n).expect("it is open");
        }
        drop(feed);
        assert_eq!(stream.count(), 1);
    });
}

#[test]
fn a_source_that_promises_one_item_may_wait_too() {
    within(
        || "a source that promises one".to_owned(),
        || {
            let (feed, source) = mpsc::channel();
            let mut left = 50;
            let source = std::iter::once(0u64).chain(std::iter::from_fn(move || {
                left -= 1;
                (left > 0).then(|| source.recv().expect("the sink lives"))
            }));
            let pipeline = plain().build(&Budget::new(MIB, 1)).expect("it fits");
            let report = pipeline.run(source, move |n| {
                let _ = feed.send(n);
            });
            assert_eq!(report.expect("nothing fails").delivered(), 50);
        },
    );
}

#[test]
fn a_source_that_lies_about_its_length_is_believed_no_further_than_it_goes() {
    struct Liar(u64);
    impl Iterator for Liar {
        type Item = u64;
        fn next(&mut self) -> Option<u64> {
            self.0 += 1;
            (self.0 <= 100).then_some(self.0)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, Some(0))
        }
    }
    each_shape(|pipeline| {
        assert_eq!(pipeline.run(Liar(0), drop).expect("nothing fails").delivered(), 100);
    });
}

#[test]
fn a_source_is_not_asked_again_after_its_end_or_its_panic() {
    struct Once<'a>(u64, &'a AtomicU64, bool);
    impl Iterator for Once<'_> {
        type Item = u64;
        fn next(&mut self) -> Option<u64> {
            self.1.fetch_add(1, Ordering::SeqCst);
            self.0 += 1;
            assert!(self.0 <= 25 || !self.2, "planned: the source is broken");
            (self.0 <= 25).then_some(self.0)
        }
    }
    each_shape(|pipeline| {
        let asked = AtomicU64::new(0);
        assert_eq!(pipeline.run(Once(0, &asked, false), drop).expect("it ends").read(), 25);
        assert_eq!(asked.swap(0, Ordering::SeqCst), 26);

        let error = pipeline.run(Once(0, &asked, true), drop).expect_err("it panics");
        adds_up(error.report());
        assert_eq!(asked.load(Ordering::SeqCst), 26);
        assert_eq!(
            error.to_string(),
            "the source failed after 25 items: panicked: planned: the source is broken"
        );
        // By then several are read in one go.
        let source = (0..50_000).inspect(|n| assert!(*n < 20_003, "planned: no {n}"));
        let error = pipeline.run(source, drop).expect_err("it panics");
        let told = "the source failed after 20003 items: panicked: planned: no 20003";
        assert_eq!(error.to_string(), told);
    });
}

#[test]
fn a_sink_that_fails_ends_the_run_and_is_not_called_again() {
    each_shape(|pipeline| {
        let mut calls = 0;
        let error = pipeline.run(0..100_000, |_| {
            calls += 1;
            if calls == 777 { Err("the disk is full") } else { Ok(()) }
        });
        let error = error.expect_err("the sink fails");
        assert_eq!((calls, error.report().delivered()), (777, 776));
        adds_up(error.report());
        assert_eq!(error.report().failed(), 1);
        assert!(error.report().to_string().contains("\nfailed   1 in (sink)\n"), "{error}");
        assert!(error.to_string().ends_with(": the disk is full"), "{error}");
        let Error::Sink { sink: "sink", item, cause: Cause::Error(_) } = error.error() else {
            panic!("{error:?}")
        };
        if error.to_string().starts_with("the sink failed on item 776") {
            assert_eq!(item.source_index(), 776);
        }

        let mut calls = 0;
        let error = pipeline.run(0..100_000, |_| {
            calls += 1;
            assert!(calls < 777, "planned: the sink is broken");
        });
        let error = error.expect_err("the sink panics");
        assert_eq!((calls, error.report().delivered()), (777, 776));
        adds_up(error.report());
        assert!(matches!(error.error(), Error::Sink { cause: Cause::Panic { .. }, .. }));
        assert_eq!(pipeline.run(0..100, drop).expect("the next run is clean").delivered(), 100);
    });
}

#[test]
fn a_failure_sink_that_panics_ends_the_run_and_is_not_called_again() {
    within(
        || "a failure sink that panics".to_owned(),
        || {
            for (most, cores) in [(1, 1), (50, 1), (50, 3)] {
                let refuse = Stage::cpu("refuse").map_batch(most, |_: Vec<u64>| Vec::<u64>::new());
                let pipeline = Pipeline::new(refuse).build(&Budget::new(MIB, cores)).expect("fits");
                let mut calls = 0;
                let job = pipeline.job().failures(|_| {
                    calls += 1;
                    panic!("planned: the failure sink is broken");
                });
                let error = job.run(0..1_000, drop).expect_err("the failure sink panics");
                adds_up(error.report());
                assert!(matches!(error.error(), Error::Sink { sink: "failure sink", .. }));
                assert_eq!(calls, 1, "after its panic it is not called again");
            }
        },
    );
}

#[test]
fn a_panic_of_into_iter_is_the_callers() {
    struct Never;
    impl IntoIterator for Never {
        type Item = u64;
        type IntoIter = std::ops::Range<u64>;
        fn into_iter(self) -> Self::IntoIter {
            panic!("planned: no iterator")
        }
    }
    each_shape(|pipeline| {
        assert!(catch_unwind(AssertUnwindSafe(|| pipeline.run(Never, drop))).is_err());
        assert_eq!(pipeline.run(0..9, drop).expect("the next run is clean").delivered(), 9);
    });
}

/// The children of one endless item are drawn as far as the line carries them.
#[test]
fn an_endless_flat_map_is_drawn_within_the_line_and_dropped_early() {
    for (ordered, cores) in [(false, 1), (true, 1), (false, 3), (true, 3)] {
        within(
            || format!("endless, ordered {ordered}, {cores} cores"),
            move || {
                let drawn = Arc::new(AtomicU64::new(0));
                let counter = Arc::clone(&drawn);
                let endless = Stage::cpu("endless").flat_map(move |n: u64| {
                    let counter = Arc::clone(&counter);
                    (n..).inspect(move |_| {
                        counter.fetch_add(1, Ordering::SeqCst);
                    })
                });
                let builder = Pipeline::new(endless).then(Stage::cpu("next").map(|n: u64| n));
                let builder = if ordered { builder.ordered() } else { builder };
                let pipeline = builder.build(&Budget::new(64 * 1024, cores)).expect("it fits");
                let mut stream = pipeline.stream([5]).expect("threads");
                let first: Vec<_> = stream.by_ref().take(100).map(Result::unwrap).collect();
                assert_eq!(first.len(), 100);
                assert!(!ordered || first.iter().copied().eq(5..105));
                // Nobody consumes: drawing ends by itself.
                let mut before = u64::MAX;
                assert!(eventually(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    let now = drawn.load(Ordering::SeqCst);
                    std::mem::replace(&mut before, now) == now
                }));
                drop(stream);
                // Not `before`: a thread may have slept for longer than we looked.
                let all = drawn.load(Ordering::SeqCst);
                assert!(all <= 100 + 3 * 64 * 1024 / 8, "{all} children were drawn");
            },
        );
    }
}

#[test]
fn an_endless_source_is_read_as_far_as_the_window() {
    each_shape(|pipeline| {
        let first: Vec<u64> =
            pipeline.stream(0..).expect("threads").take(50).map(Result::unwrap).collect();
        assert_eq!(first.len(), 50);
    });
    within(
        || "the window bounds the items aboard".to_owned(),
        || {
            let pipeline = plain().ordered().window(7).build(&Budget::new(MIB, 2)).expect("fits");
            let read = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&read);
            let source = (0u64..).inspect(move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
            });
            let mut stream = pipeline.stream(source).expect("threads");
            assert!(eventually(|| read.load(Ordering::SeqCst) == 7));
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(read.load(Ordering::SeqCst), 7, "the window is full");
            assert_eq!(stream.by_ref().take(100).map(Result::unwrap).count(), 100);
        },
    );
}

#[test]
fn time_limits_of_nothing_and_of_an_age_are_kept() {
    each_shape(|pipeline| {
        let error = pipeline.job().time_limit(Duration::ZERO).run(0.., drop).expect_err("no time");
        assert!(error.is_out_of_time());
        adds_up(error.report());
        let age = pipeline.job().time_limit(Duration::MAX);
        let (feed, source) = mpsc::channel();
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            feed.send(1).expect("it is open");
        });
        assert_eq!(age.run(source, drop).expect("an age is enough").delivered(), 1);
        late.join().expect("it only sends");
    });
}

#[test]
fn runs_of_one_pipeline_may_overlap_and_nest() {
    each_shape(|pipeline| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    assert_eq!(pipeline.run(0..500, drop).map(|r| r.read()).ok(), Some(500))
                });
            }
        });
        let outer = Pipeline::new(Stage::cpu("outer").map(|n: u64| {
            let mut sum = 0;
            pipeline.run(0..n, |m| sum += m).expect("nothing fails");
            let stream = pipeline.stream(0..).expect("threads");
            sum + stream.take(n as usize).map(Result::unwrap).count() as u64
        }));
        let outer = outer.ordered().build(&Budget::new(MIB, 2)).expect("it fits");
        let sums: Vec<u64> = (0..10).map(|n| n * (n + 1) / 2 + n).collect();
        let mut outputs = Vec::new();
        outer.run(0..10, |n| outputs.push(n)).expect("nothing fails");
        assert_eq!(outputs, sums);
    });
}

#[test]
fn what_a_user_keeps_moves_between_threads() {
    fn both<T: Send + Sync>() {}
    fn moves<T: Send>() {}
    both::<Pipeline<'static, u64, u64>>();
    both::<plimsoll::Report>();
    both::<plimsoll::RunError>();
    both::<Error>();
    both::<plimsoll::CancelToken>();
    both::<Stage<'static, u64, u64>>();
    moves::<plimsoll::Stream<u64>>();
    moves::<Numbers>();
}

/// A source that was quick so far counts as work of a core. It waits all of a sudden, and
/// what is left to do takes two.
#[test]
fn a_quick_source_that_begins_to_wait_gives_its_core_back() {
    within(
        || "a source that holds a core".to_owned(),
        || {
            let [waits, meets] = [const { AtomicU64::new(0) }; 2];
            let source = (0..1_000u64).filter(|n| {
                waits.store(n / 999, Ordering::SeqCst);
                *n < 999 || eventually(|| meets.load(Ordering::SeqCst) == 2)
            });
            // While the source waits the item before becomes two, too heavy to move as
            // one, each of which waits for the other.
            let split = Stage::cpu("split").flat_map(|n| {
                let is_read = n != 998 || eventually(|| waits.load(Ordering::SeqCst) == 1);
                assert!(is_read, "the source is not read on");
                vec![n; if n == 998 { 2 } else { 1 }]
            });
            let heavy = |n: &u64| if *n == 998 { 100 << 10 } else { 1 };
            let meet = Stage::memory("meet", Footprint::per_item(heavy)).map(|n| {
                meets.fetch_add(u64::from(n == 998), Ordering::SeqCst);
                let meets = || n != 998 || meets.load(Ordering::SeqCst) == 2;
                assert!(eventually(meets), "one at a time");
                n
            });
            let pipeline = Pipeline::new(split).then(meet).build(&Budget::new(MIB, 2));
            let report = pipeline.expect("it fits").run(source, drop).expect("nothing fails");
            assert_eq!(report.delivered(), 1_001);
        },
    );
}

/// Its heap may be full of what the program has built, and slow.
#[test]
fn the_thread_that_calls_run_calls_nothing_of_the_users() {
    let caller = thread::current().id();
    let is_other = move || assert_ne!(thread::current().id(), caller);
    let stage = Stage::cpu("stage").map(move |n: u64| {
        is_other();
        n
    });
    let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 1)).unwrap();
    let source = (0..1_000).inspect(move |_| is_other());
    let report = pipeline.run(source, move |_| is_other()).unwrap();
    assert_eq!(report.delivered(), 1_000);
}
