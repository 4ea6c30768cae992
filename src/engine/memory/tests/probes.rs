//! What measured calls tell: of items, of states, of what was declared.

use super::*;

/// What a call touched that built no state.
fn fresh(all: u64) -> Fresh {
    Fresh { all, states: 0 }
}

#[test]
fn a_short_call_is_measured_now_and_then_and_a_long_one_always() {
    let mut rig = Rig::grown();
    let mut begins = |segment, likely, now| rig.memory.begins_probe(segment, likely, now);
    assert!(begins(Some(0), 0, 5), "the first");
    assert!(!begins(Some(0), LONG_CALL - 1, 4 + PROBE_INTERVALS.0));
    assert!(begins(Some(0), LONG_CALL, 6));
    assert!(!begins(Some(0), 0, 5 + PROBE_INTERVALS.0));
    assert!(begins(Some(0), 0, 6 + PROBE_INTERVALS.0));
    assert!(begins(Some(1), 0, 6) && begins(None, 0, 6), "each has a time of its own");
    assert!(!begins(Some(1), 0, 6) && !begins(None, 0, 6));
}

#[test]
fn short_calls_that_touch_nothing_are_measured_ever_more_rarely() {
    let mut rig = Rig::grown();
    let mut until_next = |now, touched| {
        assert!(rig.memory.begins_probe(Some(0), 0, now));
        rig.memory.probed(Some(0), fresh(touched), 0, 0);
        let again = (1..).map(|step| now + step * PROBE_INTERVALS.0);
        again.map(|at| (at, rig.memory.begins_probe(Some(0), 0, at))).find(|(_, due)| *due)
    };
    let mut now = 0;
    let mut waits = |touched| {
        let (due, _) = until_next(now, touched).expect("it is due at some time");
        let waited = (due - now) / PROBE_INTERVALS.0;
        now = due + PROBE_INTERVALS.1;
        waited
    };
    // What a call touched counts from the next one on.
    let light: Vec<_> = (0..5).map(|_| waits(FRESH - 1)).collect();
    assert_eq!(light, [1, 1, 2, 4, 8]);
    let light: Vec<_> = (0..3).map(|_| waits(0)).collect();
    assert_eq!(light, [16, 32, 64]);
    assert_eq!((waits(FRESH), waits(0), waits(0)), (64, 1, 2));
}

#[test]
fn heft_is_what_a_call_took_by_what_was_declared_for_it() {
    let mut rig = Rig::grown();
    let mut heft = |bytes, declared, kept| {
        rig.memory.probed(Some(0), fresh(bytes * MIB), declared * MIB, kept * MIB)
    };
    assert_eq!(heft(9, 2, 0), 4.5);
    assert_eq!(heft(5, 2, 0), 1.0, "not more than twice as much and a MiB");
    assert_eq!(heft(2, 0, 0), (2 * MIB) as f64);
    assert_eq!(heft(0, 2, 0), 1.0);
    assert_eq!(heft(100, 2, 1), 1.0, "the first call of a worker tells nothing of items");
}

#[test]
fn the_report_names_who_takes_most_beyond_what_it_declares() {
    let mut rig = Rig::grown();
    assert!(rig.report().heavy.is_none());
    let mut took = |segment, bytes, declared, kept| {
        rig.memory.probed(segment, fresh(bytes * MIB), declared * MIB, kept * MIB);
    };
    for (bytes, declared) in [(2, 5), (10, 3), (11, 4), (7, 4)] {
        took(Some(0), bytes, declared, 0);
    }
    took(Some(0), 90, 4, 10);
    took(Some(1), 31, 1, 10);
    took(None, 9, 4, 0);
    took(Some(1), 30, 29, 0);
    assert_eq!(rig.report().heavy, Some(("model".to_owned(), 11 * MIB, 4 * MIB)));
    rig.memory.probed(None, fresh(12 * MIB), 4 * MIB, 0);
    assert_eq!(rig.report().heavy, Some(("the source".to_owned(), 12 * MIB, 4 * MIB)));
    rig.memory.probed(Some(1), fresh(30 * MIB), 14 * MIB, 0);
    assert_eq!(rig.report().heavy, Some(("the sink".to_owned(), 30 * MIB, 14 * MIB)));
    assert_eq!(rig.report().heavy_worker, Some(("model".to_owned(), 90 * MIB, 14 * MIB)));
}

#[test]
fn the_report_names_who_uses_least_of_what_it_declares() {
    let mut rig = Rig::grown();
    let took = |rig: &mut Rig, segment, bytes, declared| {
        rig.memory.probed(segment, fresh(bytes * MIB), declared * MIB, 0);
    };
    took(&mut rig, Some(0), 1, 8);
    took(&mut rig, Some(0), 2, 10);
    assert!(rig.report().light.is_none(), "two calls prove nothing");
    took(&mut rig, Some(0), 1, 7);
    for _ in 0..3 {
        took(&mut rig, Some(1), 5, 12);
        took(&mut rig, None, 14, 29);
    }
    assert_eq!(rig.report().light, Some(("model".to_owned(), 2 * MIB, 10 * MIB)));
    took(&mut rig, Some(0), 5, 10);
    assert_eq!(rig.report().light, Some(("the sink".to_owned(), 5 * MIB, 12 * MIB)));
    took(&mut rig, Some(1), 6, 12);
    assert!(rig.report().light.is_none(), "each uses close to half of it at times");
    took(&mut rig, None, 14, 30);
    assert_eq!(rig.report().light, Some(("the source".to_owned(), 14 * MIB, 30 * MIB)));
}

/// A state is built by a worker's first call, and again after a panic.
#[test]
fn a_state_that_was_built_is_none_of_the_calls() {
    let built = |all, states| Fresh { all: all * MIB, states: states * MIB };
    let mut rig = Rig::grown();
    assert_eq!(rig.memory.probed(Some(0), built(41, 40), 0, 0), 1.0);
    let report = rig.report();
    assert_eq!(
        (report.heavy_worker, report.heavy),
        (Some(("model".to_owned(), 40 * MIB, 0)), None)
    );
    assert_eq!(rig.memory.probed(Some(0), built(49, 40), 2 * MIB, 0), 4.5);
    assert_eq!(rig.report().heavy, Some(("model".to_owned(), 9 * MIB, 2 * MIB)));
    drop(rig);
    let mut rig = Rig::new(&plan_of(39 * MIB), Ok(124));
    rig.memory.probed(Some(0), built(41, 40), 0, 39 * MIB);
    assert_eq!(rig.memory.probed(Some(0), built(41, 40), 0, 0), 1.0, "one after a panic");
    assert!(rig.report().heavy.is_none() && rig.report().heavy_worker.is_none());
}

#[test]
fn workers_that_lie_idle_are_told_and_what_lay_there_before() {
    let mut plan = plan_of(100 * MIB);
    plan.measure = Measure::Process;
    let mut rig = Rig::new(&plan, Ok(24 + 98));
    assert_eq!(rig.report().drift_before, 98 * MIB, "24 of it are declared as shared");
    rig.memory.probed(Some(0), fresh(3 * MIB), 2 * MIB, 100 * MIB);
    assert_eq!(rig.report().light_worker, Some(("model".to_owned(), 3 * MIB, 102 * MIB)));
    rig.memory.probed(Some(0), fresh(60 * MIB), 2 * MIB, 100 * MIB);
    assert_eq!(rig.report().light_worker, None);
}
