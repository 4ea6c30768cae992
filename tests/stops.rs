//! Runs that end early: by a token, by a time limit, by a consumer that leaves. Nothing
//! of the user's is called after the end, nothing is lost, nobody stays behind.

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{adds_up, alone, eventually, within};
use plimsoll::{Budget, CancelToken, Footprint, MIB, Pipeline, RunError, Stage};

type Small = Pipeline<'static, u64, u64>;

fn built(stage: Stage<'static, u64, u64>) -> Small {
    Pipeline::new(stage).ordered().build(&Budget::new(MIB, 2)).expect("it fits")
}

/// Stages of every verb that note a call begun after `token` was pulled.
fn watched(token: &CancelToken, late: &Arc<AtomicBool>, at: u64, panics: bool) -> Small {
    let watch = |name: &'static str| {
        let (token, late) = (token.clone(), Arc::clone(late));
        move || {
            if token.is_cancelled() {
                eprintln!("{name} is called after the end");
                late.store(true, Ordering::SeqCst);
            }
        }
    };
    let noted = |name| {
        let look = watch(name);
        move |n: u64| {
            look();
            n
        }
    };
    let (puller, first, state) = (token.clone(), noted("map"), watch("state"));
    let (batch, flat, weigh, per_item) =
        (noted("batch"), noted("flat_map"), noted("weigh"), noted("per_item"));
    let pull = Stage::cpu("pull").with_state(watch("first state")).map(move |(), n| {
        let n = first(n);
        if n == at {
            puller.cancel();
            assert!(!panics, "planned: with the pull");
        }
        n
    });
    Pipeline::new(pull)
        .then(Stage::cpu("fused").with_state(state).map(|(), n| n).weigh(move |n| weigh(*n)))
        .then(
            Stage::memory("b", Footprint::per_item(move |n| per_item(*n)))
                .map_batch(5, move |items| items.into_iter().map(&batch).collect::<Vec<u64>>()),
        )
        .then(Stage::cpu("f").flat_map(move |n| [flat(n)]))
        .build(&Budget::new(MIB, 1))
        .expect("it fits")
}

fn is_cancelled(ended: Result<plimsoll::Report, RunError>) {
    let error = ended.expect_err("it is cancelled");
    assert!(error.is_cancelled(), "{error}");
    adds_up(error.report());
}

#[test]
fn nothing_is_called_after_a_token_is_pulled() {
    for (at, panics) in
        [(0, false), (1, false), (999, false), (9_999, false), (0, true), (999, true)]
    {
        within(
            || format!("cancelled at {at}, panics {panics}"),
            move || {
                let (token, late) = (CancelToken::new(), Arc::new(AtomicBool::new(false)));
                let pipeline = watched(&token, &late, at, panics);
                let look = || {
                    if token.is_cancelled() {
                        eprintln!("an end is called after the end");
                        late.store(true, Ordering::SeqCst);
                    }
                };
                let job = pipeline.job().cancel(&token).failures(|_| look());
                is_cancelled(job.run((0..20_000).filter(|_| true), |_| look()));
                assert!(!late.load(Ordering::SeqCst));
                let asked = Mutex::new(0);
                let source = (0..20_000).inspect(|_| *asked.lock().expect("no panic") += 1);
                is_cancelled(pipeline.job().cancel(&token).run(source, drop));
                assert_eq!(*asked.lock().expect("no panic"), 0, "it was cancelled before");
            },
        );
    }
}

#[test]
fn a_source_that_pulls_the_token_is_not_read_on() {
    within(
        || "a source that pulls the token".to_owned(),
        || {
            let pipeline = built(Stage::cpu("s").map(|n: u64| n));
            for at in [0, 1, 50_000] {
                let (token, late) = (CancelToken::new(), AtomicU64::new(0));
                let source = (0..100_000).inspect(|n| {
                    late.fetch_add(u64::from(token.is_cancelled()), Ordering::SeqCst);
                    if *n == at {
                        token.cancel();
                    }
                });
                is_cancelled(pipeline.job().cancel(&token).run(source, drop));
                assert_eq!(late.load(Ordering::SeqCst), 0, "items read after the end");
            }
        },
    );
}

#[test]
fn a_time_limit_ends_what_would_not_end() {
    within(
        || "a time limit".to_owned(),
        || {
            let pipeline = built(Stage::cpu("s").map(|n: u64| n));
            let limit = Duration::from_millis(30);
            let mut delivered = 0;
            let error = pipeline.job().time_limit(limit).run(0.., |_| delivered += 1);
            let error = error.expect_err("it has no other end");
            assert!(error.is_out_of_time() && delivered > 0);
            let text = error.to_string();
            let read = error.report().read();
            assert!(
                text.starts_with("the run did not end within its time limit of 30ms")
                    && text.ends_with(&format!(
                        "; items read: {read}, outputs delivered: {delivered}"
                    )),
                "{text}"
            );
            assert_eq!(error.report().delivered(), delivered);
            adds_up(error.report());
            // Nobody consumes, every thread sleeps; time passes all the same.
            let mut stream = pipeline.job().time_limit(limit).stream(0..).expect("threads");
            std::thread::sleep(4 * limit);
            let last = stream.by_ref().last().expect("an error comes last");
            assert!(last.expect_err("time is over").is_out_of_time());
            adds_up(stream.report().expect("it has ended"));
        },
    );
}

#[test]
fn what_ends_a_run_from_outside_tells_how_far_it_came_and_what_it_waited_for() {
    within(
        || "a call that outlasts the limit".to_owned(),
        || {
            let slow = |n: u64| {
                std::thread::sleep(Duration::from_millis(300 * n));
                n
            };
            let stage = Stage::cpu("slow").map(slow);
            let pipeline = Pipeline::new(stage).build(&Budget::new(MIB, 1)).expect("it fits");
            let limit = Duration::from_millis(50);
            let error = pipeline.job().time_limit(limit).run(0..=1, drop).expect_err("it is late");
            let text = error.to_string();
            let told = "within its time limit of 50ms, but ";
            let (_, late) = text.split_once(told).unwrap_or_else(|| panic!("{text}"));
            let ends = " later, when the last call under way had returned; items read: 2, outputs delivered: ";
            assert!(late.contains(ends), "{text}");

            // What becomes an `Error` keeps no report, and does not speak of one.
            let token = CancelToken::new();
            token.cancel();
            let error = pipeline.job().cancel(&token).run([0], drop).expect_err("it is cancelled");
            let text = "the run was cancelled by its token; items read: 0, outputs delivered: 0";
            assert_eq!(error.to_string(), text);
            assert_eq!(
                plimsoll::Error::from(error).to_string(),
                "the run was cancelled by its token"
            );
        },
    );
}

#[test]
fn a_token_wakes_a_run_whose_threads_all_sleep() {
    within(
        || "cancelled while all sleep".to_owned(),
        || {
            let pipeline = built(Stage::cpu("s").map(|n: u64| n));
            let token = CancelToken::new();
            let mut stream = pipeline.job().cancel(&token).stream(0..).expect("threads");
            assert!(stream.next().is_some());
            std::thread::sleep(Duration::from_millis(50));
            std::thread::scope(|scope| {
                scope.spawn(|| token.cancel());
            });
            assert!(stream.by_ref().last().expect("an error").expect_err("last").is_cancelled());
            adds_up(stream.report().expect("it has ended"));
        },
    );
}

/// Cancelled from outside while the source blocks: the run ends with the source.
#[test]
fn a_token_is_heard_when_the_source_returns() {
    within(
        || "cancelled while the source blocks".to_owned(),
        || {
            let (feed, source) = std::sync::mpsc::channel::<u64>();
            let (pipeline, token) = (built(Stage::cpu("s").map(|n: u64| n)), CancelToken::new());
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(20));
                    token.cancel();
                    feed.send(7).expect("it is asked for");
                });
                let ended = pipeline.job().cancel(&token).run(source, |n| assert_eq!(n, 0, "late"));
                let report = ended.expect_err("it is cancelled").report().clone();
                assert_eq!((report.read(), report.cancelled()), (1, 1));
            });
        },
    );
}

#[test]
#[cfg(target_os = "linux")]
fn no_thread_outlives_its_run() {
    use common::run_threads as threads;
    alone("no_thread_outlives_its_run", || {
        let wait = Stage::memory("wait", Footprint::none()).workers(6).try_map(|n: u64| {
            std::thread::sleep(Duration::from_micros(100));
            if n == 300 { Err("300 fails") } else { Ok(n) }
        });
        let pipeline = built(wait);
        let mut seen = 0;
        let source = (0..100).inspect(|_| seen = threads().max(seen));
        pipeline.run(source, drop).expect("nothing fails");
        assert!(seen > 0, "threads are found by their name");
        assert!(eventually(|| threads() == 0), "after a whole run");
        pipeline.run(0.., drop).expect_err("300 fails");
        assert!(eventually(|| threads() == 0), "after a failure");
        let late = pipeline.job().time_limit(Duration::from_millis(5)).run(400.., drop);
        assert!(late.is_err() && eventually(|| threads() == 0), "after a time limit");
        let mut stream = pipeline.stream(0..).expect("threads");
        assert!(stream.next().is_some() && threads() > 0);
        drop(stream);
        assert!(eventually(|| threads() == 0), "after a stream that was left");
        assert!(pipeline.stream(0..).expect("threads").last().expect("an error").is_err());
        assert!(eventually(|| threads() == 0), "after a stream that failed");
    });
}

/// Threads are joined, not just done: what they leave behind is the user's, too.
#[test]
fn thread_locals_are_dropped_before_the_run_returns() {
    struct Local(Arc<AtomicU64>);
    impl Drop for Local {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(20));
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    thread_local!(static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) });
    within(
        || "thread-locals".to_owned(),
        || {
            let alive = Arc::new(AtomicU64::new(0));
            let (counter, caller) = (Arc::clone(&alive), std::thread::current().id());
            let stage = Stage::memory("s", Footprint::none()).workers(4).map(move |n: u64| {
                std::thread::sleep(Duration::from_micros(500));
                LOCAL.with_borrow_mut(|local| {
                    if local.is_none() && std::thread::current().id() != caller {
                        counter.fetch_add(1, Ordering::SeqCst);
                        *local = Some(Local(Arc::clone(&counter)));
                    }
                });
                n
            });
            let pipeline = built(stage);
            pipeline.run(0..100, drop).expect("nothing fails");
            assert_eq!(alive.load(Ordering::SeqCst), 0, "threads still end after a run");
            assert_eq!(pipeline.stream(0..100).expect("threads").count(), 100);
            assert_eq!(alive.load(Ordering::SeqCst), 0, "threads still end after a stream");
        },
    );
}

/// Processor time of this process, in ticks of 10 ms.
#[cfg(target_os = "linux")]
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("linux tells times");
    let fields: Vec<_> = stat.rsplit(')').next().expect("a line").split_whitespace().collect();
    [11, 12].iter().map(|place| fields[*place].parse::<u64>().expect("ticks")).sum()
}

#[test]
#[cfg(target_os = "linux")]
fn who_waits_takes_no_processor_time() {
    alone("who_waits_takes_no_processor_time", || {
        fn nap<T>(value: T) -> T {
            std::thread::sleep(Duration::from_millis(100));
            value
        }
        let model = |workers| Stage::memory("m", Footprint::none()).workers(workers);
        let stages = [
            model(1).map(nap),
            model(6).map(nap),
            model(1).map_batch(4, nap),
            model(3).map_batch(4, nap),
            model(1).flat_map(|n| [nap(n)]),
        ];
        let begun = ticks();
        for (place, stage) in stages.into_iter().enumerate() {
            let pipeline = built(stage);
            pipeline.run(0..8, drop).expect("nothing fails");
            let job = pipeline.job().time_limit(Duration::from_secs(60));
            let stream = job.stream((0..4).filter(|_| true)).expect("threads");
            assert_eq!(stream.map(nap).count(), 4);
            assert!(ticks() - begun < 15 * (place as u64 + 1), "{} ticks", ticks() - begun);
        }
    });
}
