//! Every kind of fault at every stage, at the first item, one in the middle and the last,
//! in both orders and under both policies: the report adds up, the line holds, each value
//! is dropped once, the first cause in order is told, no thread is left, and the next
//! run of the same pipeline is clean.

mod common;
mod fault_cases;

use common::{alone, within};
use fault_cases::{Case, Kind, check};

const ITEMS: u64 = 12;

fn cases(kind: Kind) -> impl Iterator<Item = Case> {
    let stages = kind.stages().iter().copied();
    let places = stages.flat_map(|stage| [0, ITEMS / 2, ITEMS - 1].map(move |item| (stage, item)));
    let cases = places.flat_map(move |(stage, item)| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(ordered, collect)| {
            Case {
                kind,
                stage,
                item,
                items: ITEMS,
                ordered,
                collect,
                lit: ordered ^ (item == ITEMS - 1),
                // Alternately: every stage, place, order and policy is met on both.
                cores: if ordered ^ collect ^ (item == ITEMS / 2) { 3 } else { 1 },
                memory: 8 * 1024,
            }
        })
    });
    cases.filter(|case| case.kind.suits(case.collect))
}

/// Each kind in a process of its own: threads are counted, and a drop that panics at the
/// wrong moment aborts.
fn check_all(name: &str, kind: Kind) {
    alone(name, move || {
        for case in cases(kind) {
            // Shown only where the process fails.
            eprintln!("{case:?}");
            within(|| format!("{case:?}"), move || check(case));
            #[cfg(target_os = "linux")]
            assert!(common::eventually(|| common::run_threads() == 0), "a thread is left");
        }
    });
}

macro_rules! each_kind {
    ($($name:ident: $kind:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            check_all(stringify!($name), Kind::$kind);
        })+

        #[test]
        fn every_kind_has_its_test() {
            assert_eq!([$(Kind::$kind),+], Kind::ALL);
        }
    };
}

each_kind! {
    an_item_fails: ItemError,
    an_item_panics: ItemPanic,
    a_token_is_pulled: Cancel,
    a_deadline_passes: Deadline,
    a_consumer_leaves: EarlyDrop,
    the_source_panics: SourcePanic,
    the_sink_fails: SinkError,
    the_sink_panics: SinkPanic,
    the_failure_sink_panics: FailureSinkPanic,
    a_state_cannot_be_built: StateError,
    a_state_panics_when_built: StatePanic,
    an_iterator_panics_midway: IterPanic,
    an_iterator_panics_when_dropped: IterDropPanic,
    an_iterator_panics_midway_and_when_dropped: IterPanicTwice,
    a_weigher_panics: WeigherPanic,
    the_weigher_of_the_source_panics: SourceWeigherPanic,
    a_footprint_panics: FootprintPanic,
    items_panic_when_dropped: ItemDropPanic,
    a_state_panics_when_dropped: StateDropPanic,
    a_state_panics_when_dropped_after_a_panic: StatePanicTwice,
}
