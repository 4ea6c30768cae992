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
}

impl Design {
    /// With its first stage.
    pub(crate) fn new(first: StageSpec) -> Self {
        let settings = Settings { ordered: false, window: 0, largest_item: None };
        Self { specs: vec![first], settings, window: None }
    }

    /// The plan for `budget`, which remembers the design.
    pub(crate) fn plan(&self, budget: &Budget) -> Result<Plan, Error> {
        let window = self.window.unwrap_or_else(|| default_window(budget.cores()));
        let plan = plan(budget, &self.specs, &Settings { window, ..self.settings.clone() })?;
        Ok(Plan { design: Some(Arc::new(self.clone())), ..plan })
    }
}
