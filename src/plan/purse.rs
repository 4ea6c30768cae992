//! What is left of a budget while it is spent, and who has the rest.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::error::Error;

pub(super) struct Purse {
    budget: u64,
    left: u64,
    /// Whom it was spent on; together with what is left this is the budget.
    held: BTreeMap<String, u64>,
}

impl Purse {
    pub(super) fn of(budget: u64) -> Self {
        Self { budget, left: budget, held: BTreeMap::new() }
    }

    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Refuses `stage` what it needs if there is less left.
    pub(super) fn expect(&self, stage: &str, what: &str, needed: u64) -> Result<(), Error> {
        if needed <= self.left {
            return Ok(());
        }
        let mut held: Vec<_> =
            self.held.iter().map(|(holder, bytes)| (holder.clone(), *bytes)).collect();
        held.sort_by_key(|(_, bytes)| Reverse(*bytes));
        Err(Error::NoRoom {
            stage: stage.to_owned(),
            what: what.to_owned(),
            needed,
            available: self.left,
            budget: self.budget,
            held,
            enough: None,
            by_variable: false,
        })
    }

    /// Spends on `holder` what `stage` needs.
    pub(super) fn spend(
        &mut self,
        holder: String,
        stage: &str,
        what: &str,
        needed: u64,
    ) -> Result<(), Error> {
        self.expect(stage, what, needed)?;
        self.take(holder, needed);
        Ok(())
    }

    /// Spends on `holder` what is known to be there.
    pub(super) fn take(&mut self, holder: String, bytes: u64) {
        self.left -= bytes;
        if bytes > 0 {
            *self.held.entry(holder).or_default() += bytes;
        }
    }
}
