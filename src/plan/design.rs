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
        let weighs_source = self.weighs_source;
        let (design, budget) = (Some(Arc::new(self.clone())), Some(Arc::new(budget.clone())));
        Ok(Plan { design, budget, weighs_source, ..plan })
    }

    /// The settings, with the window.
    pub(super) fn settings_on(&self, budget: &Budget) -> Settings {
        let window = self.window.unwrap_or_else(|| default_window(budget.cores()));
        Settings { window, ..self.settings.clone() }
    }
}
