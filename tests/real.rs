//! Real memory under real threads: that it is looked at between calls and while they
//! last, and what the line, the snapshot and the report make of it. Whether that keeps
//! a process alive is for `tests/memory.rs`.
#![cfg(target_os = "linux")]

mod common;

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{adds_up, alone, eventually};
use plimsoll::{Budget, Footprint, MIB, Monitor, Pipeline, Snapshot, Stage, WaitsFor};

/// Fresh memory that no call declares.
fn block(mib: u64) -> Vec<u8> {
    black_box(vec![1; (mib * MIB) as usize])
}

/// What a monitor is shown.
fn shows(monitor: &Monitor, wanted: impl Fn(&Snapshot) -> bool) -> bool {
    eventually(|| monitor.snapshot().is_some_and(|snapshot| wanted(&snapshot)))
}

/// The first call takes 180 MiB that it did not declare, lets the source go on when that
/// is seen, gives them back when the second item waits for them, and waits for the second
/// call.
#[test]
fn what_a_call_takes_undeclared_holds_others_up_until_it_is_gone() {
    alone("what_a_call_takes_undeclared_holds_others_up_until_it_is_gone", || {
        #[cfg(feature = "tracing")]
        let ear = common::ear::Ear::listening();
        let monitor = Monitor::new();
        let (seen, began) = (AtomicBool::new(false), AtomicBool::new(false));
        let footprint = Footprint::per_item(|_: &u64| 60 * MIB);
        let stage = Stage::memory("hog", footprint).workers(2).map(|n: u64| {
            began.store(n == 1, Ordering::SeqCst);
            if n == 0 {
                let taken = block(180);
                let told = |it: &Snapshot| it.real() > Some(180 * MIB) && it.withheld() > 140 * MIB;
                assert!(shows(&monitor, told), "{monitor:?}");
                seen.store(true, Ordering::SeqCst);
                let waits = |it: &Snapshot| it.stages()[0].waits_for() == WaitsFor::RealMemory;
                assert!(shows(&monitor, waits), "{monitor:?}");
                drop(taken);
                assert!(eventually(|| began.load(Ordering::SeqCst)), "nobody is woken");
            }
            n
        });
        let pipeline = Pipeline::new(stage).build(&Budget::new(256 * MIB, 2)).expect("it fits");
        let source = (0..2).take_while(|n| *n == 0 || eventually(|| seen.load(Ordering::SeqCst)));
        let report = pipeline.job().monitor(&monitor).run(source, drop).expect("nothing fails");
        adds_up(&report);
        let memory = report.memory();
        assert!(
            memory.peak_real() > Some(180 * MIB) && memory.peak_drift() > 110 * MIB,
            "{report}"
        );
        assert!(memory.tightened_for() > Duration::ZERO, "{report}");
        assert!(memory.tightened_for() <= report.elapsed(), "{report}");
        assert!(report.stages()[0].blocked_on_real_memory() > Duration::ZERO, "{report}");
        let last = monitor.snapshot().expect("the end is kept");
        assert!(last.withheld() == 0 && last.real() < Some(180 * MIB), "{last}");
        #[cfg(feature = "tracing")]
        {
            let told = ear.heard();
            let about = told.iter().filter(|(_, text)| text.contains("withheld="));
            let eased: Vec<_> = about.map(|(_, text)| text.contains("withheld=0 ")).collect();
            assert!(eased.contains(&false), "{told:?}");
            assert!(!eased.contains(&true), "only that it begins: {told:?}");
        }
    });
}

/// Freed blocks stay with the allocator, under some that are kept, until it is trimmed:
/// that is done because younger items wait for nothing else.
#[test]
#[cfg(target_env = "gnu")]
fn pages_that_the_allocator_keeps_are_given_back_where_others_wait_for_them() {
    alone("pages_that_the_allocator_keeps_are_given_back_where_others_wait_for_them", || {
        #[cfg(feature = "tracing")]
        let ear = common::ear::Ear::listening();
        let monitor = Monitor::new();
        let kept = Mutex::new(Vec::new());
        let footprint = Footprint::per_item(|n: &u64| if *n == 0 { 110 } else { 50 } * MIB);
        let stage = Stage::memory("heap", footprint).workers(2).map(|n: u64| {
            if n == 0 {
                let blocks: Vec<_> = (0..1_700).map(|_| black_box(vec![1_u8; 1 << 16])).collect();
                let some = blocks.into_iter().step_by(100).collect::<Vec<_>>();
                kept.lock().expect("no panic").extend(some);
            }
            n + block(if n == 0 { 0 } else { 50 }).len() as u64
        });
        let pipeline = Pipeline::new(stage).build(&Budget::new(256 * MIB, 2)).expect("it fits");
        let source = (0..200).take_while(|n| match n {
            0 => true,
            1 => shows(&monitor, |it| it.withheld() > 0),
            _ => monitor.snapshot().is_some_and(|it| it.withheld() > 0),
        });
        let report = pipeline.job().monitor(&monitor).run(source, drop).expect("nothing fails");
        adds_up(&report);
        let memory = report.memory();
        assert!((3..200).contains(&report.read()), "{report}");
        assert!(memory.trims() > 0 && memory.trimmed() > 50 * MIB, "{report}");
        assert_eq!(memory.releases_blocks_from(), Some(MIB), "{report}");
        let least = Duration::from_micros(memory.trims());
        assert!((least..report.elapsed()).contains(&memory.trim_time()), "{report}");
        #[cfg(feature = "tracing")]
        {
            let told = ear.heard();
            let count = |what| told.iter().filter(|(_, text)| text.contains(what)).count() as u64;
            assert_eq!(count("the allocator was trimmed"), memory.trims(), "{report}");
            assert_eq!(count("lie free with the allocator"), 1, "{report}");
        }
    });
}

/// Most of these runs are over before their watch looks for the first time.
#[test]
fn what_a_short_run_takes_is_seen_between_its_calls() {
    alone("what_a_short_run_takes_is_seen_between_its_calls", || {
        let stage = Stage::cpu("brief").map(|_: u64| {
            let taken = block(2);
            std::thread::sleep(Duration::from_millis(2));
            taken
        });
        let pipeline = Pipeline::new(stage).build(&Budget::new(64 * MIB, 1)).expect("it fits");
        let kept = Mutex::new(Vec::new());
        for _ in 0..20 {
            let sink = |block| kept.lock().expect("no panic").push(block);
            let report = pipeline.run(0..1, sink).expect("nothing fails");
            assert!(report.memory().peak_drift() > MIB, "{report}");
        }
    });
}

#[test]
fn a_call_that_touches_more_than_was_declared_for_it_is_named() {
    alone("a_call_that_touches_more_than_was_declared_for_it_is_named", || {
        let footprint = Footprint::per_item(|_: &u64| MIB).and(Footprint::per_worker(2 * MIB));
        let honest = Stage::memory("honest", Footprint::per_item(|_: &u64| 20 * MIB));
        let heavy = Stage::memory("heavy", footprint);
        let stages = Pipeline::new(honest.map(|n: u64| n + block(19)[0] as u64))
            .then(heavy.map(|n: u64| n + block(40)[0] as u64));
        let pipeline = stages.build(&Budget::new(512 * MIB, 2)).expect("it fits");
        let report = pipeline.run(0..4, drop).expect("nothing fails");
        let memory = report.memory();
        let (calls, workers) =
            (memory.heavier_than_declared(), memory.worker_heavier_than_declared());
        for (told, wanted) in [(calls, MIB), (workers, 3 * MIB)] {
            let (name, touched, declared) = told.unwrap_or_else(|| panic!("{report}"));
            assert_eq!((name, declared), ("heavy", wanted), "{report}");
            assert!((38 * MIB..48 * MIB).contains(&touched), "{report}");
        }
    });
}

#[test]
fn a_state_that_nobody_declared_is_named_and_no_item() {
    alone("a_state_that_nobody_declared_is_named_and_no_item", || {
        let model = Stage::memory("model", Footprint::none()).with_state(|| block(40));
        let expand = Stage::memory("expand", Footprint::none()).with_state(|| block(30));
        let stages = Pipeline::new(model.map(|state, n: usize| n + state[n] as usize))
            .then(expand.flat_map(|state, n: usize| [n + state[0] as usize]));
        let pipeline = stages.build(&Budget::new(512 * MIB, 1)).expect("it fits");
        let report = pipeline.run(0..10, drop).expect("nothing fails");
        let memory = report.memory();
        assert_eq!(memory.heavier_than_declared(), None, "{report}");
        let told = memory.worker_heavier_than_declared();
        let (name, touched, declared) = told.unwrap_or_else(|| panic!("{report}"));
        assert_eq!((name, declared), ("model", 0), "{report}");
        assert!((38 * MIB..48 * MIB).contains(&touched), "{report}");
    });
}

#[test]
fn a_source_that_touches_more_than_its_items_weigh_is_named() {
    alone("a_source_that_touches_more_than_its_items_weigh_is_named", || {
        let stage = Stage::cpu("light").map(|n: u64| n);
        let pipeline = Pipeline::new(stage).build(&Budget::new(256 * MIB, 1)).expect("it fits");
        let source = (0..4).inspect(|_| drop(block(20)));
        let report = pipeline.run(source, drop).expect("nothing fails");
        let told = report.memory().heavier_than_declared();
        let (name, touched, _) = told.unwrap_or_else(|| panic!("{report}"));
        assert!(name == "(source)" && touched > 18 * MIB, "{report}");
    });
}

/// Two calls go at once, so every other begins too soon after one that is measured, but
/// for how long they last.
#[test]
fn every_long_call_is_measured() {
    alone("every_long_call_is_measured", || {
        let footprint = Footprint::per_item(|_: &u64| MIB);
        let stage = Stage::memory("naps", footprint).workers(2).map(|n: u64| {
            std::thread::sleep(Duration::from_millis(8));
            n + if n == 9 { block(20).len() as u64 } else { 0 }
        });
        let pipeline = Pipeline::new(stage).build(&Budget::new(256 * MIB, 2)).expect("it fits");
        let report = pipeline.run(0..10, drop).expect("nothing fails");
        let told = report.memory().heavier_than_declared();
        assert!(told.is_some_and(|(name, ..)| name == "naps"), "{report}");
    });
}
