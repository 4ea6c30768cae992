//! Faults of every kind at every stage: what is set up, what must come of it. Shared by
//! the tests on real threads and those under a model checker.

mod case;
mod rig;
mod trap;
mod values;
mod verdict;

pub(crate) use case::{Case, Kind};

use rig::Rig;

/// Runs the case: with its fault and then without, into a sink and as a stream.
pub(crate) fn check(case: Case) {
    let rig = Rig::new(case);
    for streamed in [false, true] {
        if case.kind.strikes(streamed) {
            verdict::faulty(case, &rig.strike(streamed));
            rig.verify_drops();
        }
        verdict::clean(case, &rig.pass(streamed));
        assert!(rig.verify_drops() > 10 * case.items as usize, "values and iterators");
    }
}
