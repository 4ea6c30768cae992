//! Every interleaving, up to three preemptions, of small runs on the real engine:
//! scheduler, ledger, bells and threads.
//!
//! Some five minutes on two cores:
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --target-dir target/loom --test interleavings`
#![cfg(loom)]

use plimsoll::{Budget, CancelToken, Footprint, Pipeline, Stage};

/// Runs `body` under every interleaving with at most `preemptions`, or fewer if
/// LOOM_MAX_PREEMPTIONS says so.
fn explore(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    let bound = model.preemption_bound.unwrap_or(preemptions);
    model.preemption_bound = Some(bound.min(preemptions));
    model.max_branches = 100_000;
    model.check(body);
}

fn double(bytes: u64) -> Pipeline<'static, u64, u64> {
    // Two workers and an account that carries one call at a time.
    let stage = Stage::memory("double", Footprint::per_item(|_| 100)).map(|n: u64| 2 * n);
    Pipeline::new(stage).largest_item(200).build(&Budget::new(bytes, 1)).expect("it fits")
}

#[test]
fn a_stream_ends_with_every_item() {
    explore(3, || {
        let outputs: Result<Vec<_>, _> = double(200).stream(0..2).expect("threads start").collect();
        let mut outputs = outputs.expect("nothing fails");
        outputs.sort_unstable();
        assert_eq!(outputs, [0, 2]);
    });
}

#[test]
fn a_stream_may_be_left_after_the_first_item() {
    explore(3, || {
        let mut stream = double(200).stream(0..3).expect("threads start");
        assert!(stream.next().is_some_and(|output| output.is_ok()));
    });
}

#[test]
fn a_token_ends_a_stream_at_any_time() {
    explore(3, || {
        let token = CancelToken::new();
        let stream = double(200).job().cancel(&token).stream(0..2).expect("threads start");
        token.cancel();
        let ended = stream.last().expect("an item or the reason");
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    });
}

/// One preemption fewer: with a thread more, three would take an hour.
#[test]
fn a_token_ends_a_stream_whose_threads_sleep() {
    explore(2, || {
        let token = CancelToken::new();
        let puller = token.clone();
        let pull = loom::thread::spawn(move || puller.cancel());
        let stream = double(200).job().cancel(&token).stream(0..1).expect("threads start");
        let ended = stream.last().expect("an item or the reason");
        assert!(ended.is_ok_and(|n| n == 0) || token.is_cancelled());
        pull.join().expect("cancelling does not panic");
    });
}

#[test]
fn a_failure_ends_a_stream() {
    explore(3, || {
        let stage = Stage::memory("check", Footprint::none())
            .try_map(|n: u64| if n == 1 { Err("it is the one") } else { Ok(n) });
        let pipeline = Pipeline::new(stage).build(&Budget::new(200, 1)).expect("it fits");
        let mut stream = pipeline.stream(0..2).expect("threads start");
        assert!(stream.next().is_some_and(|output| output.is_ok_and(|n| n == 0)));
        assert!(stream.next().is_some_and(|output| output.is_err()));
    });
}

/// The parent is parked once it has a child, and finds only then that it has no more.
#[test]
fn a_child_comes_out_before_its_parent_is_done() {
    explore(3, || {
        let stage = Stage::memory("split", Footprint::none()).flat_map(|n: u64| [n + 10]);
        let stages = Pipeline::new(stage).ordered().window(1).build(&Budget::new(200, 1));
        let outputs: Result<Vec<_>, _> =
            stages.expect("it fits").stream(0..1).expect("threads start").collect();
        assert_eq!(outputs.expect("nothing fails"), [10]);
    });
}
