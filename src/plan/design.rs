//! What a pipeline is planned by, whatever the budget.

use std::sync::Arc;

use super::{Plan, Settings, default_window, plan};
use crate::budget::Budget;
use crate::error::Error;
use crate::stage::StageSpec;

/// Its stages and settings.
#[derive(Clone, Debug)]
pub(crate) struct Design {
    pub(crate) specs: Vec<StageSpec>,
    /// All but the window.
    pub(crate) settings: Settings,
    /// It is set when the cores are known, unless the user said.
    pub(crate) window: Option<u64>,
    /// Whether items of the source have a declared weight.
    pub(crate) weighs_source: bool,
}

impl Design {
    /// With its first stage.
    pub(crate) fn new(first: StageSpec) -> Self {
        let settings = Settings { ordered: false, window: 0, largest_item: None };
        Self { specs: vec![first], settings, window: None, weighs_source: false }
    }

    /// The plan for `budget`, which remembers both.
    pub(crate) fn plan(&self, budget: &Budget) -> Result<Plan, Error> {
        let plan = plan(budget, &self.specs, &self.settings_on(budget))?;
        self.check_largest_item(&plan)?;
        let weighs_source = self.weighs_source;
        let (design, budget) = (Some(Arc::new(self.clone())), Some(Arc::new(budget.clone())));
        Ok(Plan { design, budget, weighs_source, ..plan })
    }

    /// The settings, with the window.
    pub(super) fn settings_on(&self, budget: &Budget) -> Settings {
        let window = self.window.unwrap_or_else(|| default_window(budget.cores()));
        Settings { window, ..self.settings.clone() }
    }
    /// Refuses a largest item which is so small that a stage could never be given any: bytes
    /// that lack their unit, mostly. By what types certainly take; what is weighed may be less.
    fn check_largest_item(&self, plan: &Plan) -> Result<(), Error> {
        let Some(declared) = self.settings.largest_item else { return Ok(()) };
        // Within a segment nothing is asked for, nor on the way to the sink.
        for first in plan.segments.iter().map(|segment| segment.stages.start) {
            let Some(spec) = self.specs.get(first) else { continue };
            let is_weighed = match first.checked_sub(1) {
                Some(above) => self.specs[above].weighs_outputs,
                None => self.weighs_source,
            };
            let (input, output) = spec.sizes;
            let input = if is_weighed { 0 } else { input };
            // An output of a `flat_map` is asked for before it is made.
            let needed = input + if spec.expands { output } else { 0 };
            if needed > declared {
                return Err(Error::LargestItem { stage: spec.name.clone(), declared, needed });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pipeline;
    use crate::stage::Stage;
    use crate::units::MIB;

    #[test]
    fn a_largest_item_that_lets_nothing_in_is_refused() {
        let budget = Budget::new(256 * MIB, 2);
        let first = || Stage::cpu("first").map(|n: u64| n as u8);
        let wide = || Stage::memory("wide", crate::Footprint::none()).map(|n: u8| [n; 100]);
        let flat = || Stage::cpu("flat").flat_map(|wide: [u8; 100]| wide.map(u64::from));
        let stages = || Pipeline::new(first()).then(wide()).then(flat());
        let refused = |bytes: u64| match stages().largest_item(bytes).plan(&budget) {
            Err(Error::LargestItem { stage, declared, needed }) => Some((stage, declared, needed)),
            other => other.map(|_| None).expect("it is this or none"),
        };
        assert_eq!(refused(7), Some(("first".to_owned(), 7, 8)));
        assert_eq!(refused(107), Some(("flat".to_owned(), 107, 108)), "and one output");
        assert_eq!(refused(108), None);
        // Such an item does run.
        let pipeline = stages().largest_item(108).build(&budget).expect("it fits");
        let report = pipeline.run(0..3, drop).expect("each is let in");
        assert_eq!(report.delivered(), 300);
    }

    #[test]
    fn what_is_weighed_or_asked_of_nobody_is_not_refused() {
        let budget = Budget::new(256 * MIB, 2);
        let plain = || Stage::cpu("plain").map(|n: u64| n);
        let weighs = || Pipeline::new(plain().weigh(|_| 1)).then(plain_too()).weigh_source(|_| 1);
        let pipeline = weighs().largest_item(2).build(&budget).expect("weights are less");
        assert_eq!(pipeline.run(0..5, drop).expect("each is let in").delivered(), 5);
        // The wide one passes from one call to the next, and to the sink.
        let widen = Stage::cpu("widen").map(|n: u64| [n; 100]);
        let wider = Stage::cpu("wider").map(|wide: [u64; 100]| (wide, wide));
        let pipeline = Pipeline::new(widen).then(wider).largest_item(8).build(&budget);
        let report = pipeline.expect("it is let in").run(0..5, drop).expect("each is let in");
        assert_eq!(report.delivered(), 5);
    }

    fn plain_too() -> Stage<'static, u64, u64> {
        Stage::cpu("plain too").map(|n: u64| n)
    }
}
