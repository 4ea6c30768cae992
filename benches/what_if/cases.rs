//! Which loads go from which budget to which.

use plimsoll::{Budget, GIB, MIB, Report};

use crate::blocks::{Blocks, Second};
use crate::cross_reference::{Products, report_of_split, report_of_unsplit};
use crate::job::{Job, Scale};
use crate::loads::{self, Trivial};
use crate::runs;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The one that is seen, which is predicted, too, then the others.
    pub(crate) budgets: Vec<Budget>,
    pub(crate) run: Box<dyn Fn(&Budget) -> Report>,
}

impl Case {
    /// From one core to two.
    fn by_cores(name: &'static str, run: impl Fn(&Budget) -> Report + 'static) -> Self {
        let budgets = [1, 2].map(|cores| Budget::new(4 * GIB, cores)).into();
        Self { name, budgets, run: Box::new(run) }
    }

    /// Two cores, from the first of so many MiB to the others.
    fn by_memory(
        name: &'static str,
        mebibytes: &[u64],
        run: impl Fn(&Budget) -> Report + 'static,
    ) -> Self {
        let budgets = mebibytes.iter().map(|mebibytes| Budget::new(mebibytes * MIB, 2)).collect();
        Self { name, budgets, run: Box::new(run) }
    }
}

pub(crate) fn all(scale: Scale) -> Vec<Case> {
    let job = |name, job: fn(Scale) -> _, ordered| {
        let job = job(scale);
        Case::by_cores(name, move |budget| runs::job(&job, ordered, budget))
    };
    let uneven = loads::uneven(scale, |progress| (3.0 * progress) as usize);
    let (products, naps) = (Products::new(scale), 1_000 / scale.part);
    let (compute, wait) =
        (Blocks::new(scale, Second::Compute, 0), Blocks::new(scale, Second::Wait, 0));
    vec![
        trivial(scale, "W1 unordered", false),
        trivial(scale, "W1 ordered", true),
        job("W2 unordered", loads::balanced, false),
        job("W2 ordered", loads::balanced, true),
        job("W3 unordered", loads::heavy_tailed, false),
        job("W3 ordered", loads::heavy_tailed, true),
        job("W3 last", loads::largest_last, false),
        Case::by_cores("W6 moving", move |budget| runs::job(&uneven, false, budget)),
        Case::by_cores("W4", move |budget| runs::blocks(&compute, budget)),
        Case::by_memory("W4", &[512, 256, 128], move |budget| runs::blocks(&compute, budget)),
        Case::by_memory("W4b", &[1_280, 640, 328], move |budget| runs::blocks(&wait, budget)),
        Case::by_memory("naps", &[1_200, 600, 300], move |budget| runs::naps(naps, budget)),
        Case::by_cores("cross_reference", move |budget| report_of_split(products, budget)),
        Case::by_memory("cross_reference", &[1_024, 512, 256], move |budget| {
            report_of_split(products, budget)
        }),
        Case::by_memory("cross_reference unsplit", &[1_024, 512, 256], move |budget| {
            report_of_unsplit(products, budget)
        }),
    ]
}

fn trivial(scale: Scale, name: &'static str, ordered: bool) -> Case {
    let job = Trivial::new(scale);
    assert!(job.items() > 0, "there is something to do");
    Case::by_cores(name, move |budget| runs::job(&job, ordered, budget))
}
