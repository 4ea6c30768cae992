//! Outcomes: what the templates make of one product, and all that the index needs to know of it.

use super::molecule::{Fingerprint, MoleculeKey, Query};

/// What the templates make of one product.
pub(crate) struct Outcomes {
    /// The place of the reaction among the lines read.
    pub(crate) reaction: u32,
    /// The canonical key of the product.
    pub(crate) product_key: MoleculeKey,
    /// The fingerprint of the product.
    pub(crate) fingerprint: Fingerprint,
    /// How many templates match the product, whether or not what they make of it can exist.
    pub(crate) matched: u32,
    /// How many outcomes there are: different ones of one template each count, equal ones of two
    /// templates count twice.
    pub(crate) distinct: u32,
    /// For each template with an outcome: its number and where its outcomes end in `outcome_ends`.
    templates: Vec<(u32, u32)>,
    /// Where each outcome ends in `keys`.
    outcome_ends: Vec<u32>,
    keys: Vec<MoleculeKey>,
}

impl Outcomes {
    pub(crate) fn new(query: &Query) -> Self {
        Self {
            reaction: query.reaction,
            product_key: query.product_key,
            fingerprint: query.fingerprint,
            matched: 0,
            distinct: 0,
            templates: Vec::new(),
            outcome_ends: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Adds the outcomes of one template, which come after those of all templates with lower
    /// numbers.
    pub(crate) fn add(&mut self, template: u32, mut outcomes: Vec<Vec<MoleculeKey>>) {
        if outcomes.is_empty() {
            return;
        }
        outcomes.sort_unstable();
        outcomes.dedup();
        for outcome in &outcomes {
            self.keys.extend_from_slice(outcome);
            self.outcome_ends.push(self.keys.len() as u32);
        }
        self.distinct += outcomes.len() as u32;
        self.templates.push((template, self.outcome_ends.len() as u32));
    }

    /// The templates with an outcome, in rising order, each with its outcomes; an outcome is the
    /// precursors' keys.
    pub(crate) fn by_template(
        &self,
    ) -> impl Iterator<Item = (u32, impl Iterator<Item = &[MoleculeKey]>)> {
        let mut start = 0;
        self.templates.iter().map(move |&(template, end)| {
            let outcomes = std::mem::replace(&mut start, end)..end;
            (template, outcomes.map(|outcome| self.outcome(outcome as usize)))
        })
    }

    fn outcome(&self, outcome: usize) -> &[MoleculeKey] {
        let start = if outcome == 0 { 0 } else { self.outcome_ends[outcome - 1] };
        &self.keys[start as usize..self.outcome_ends[outcome] as usize]
    }

    /// About how many bytes this holds.
    pub(crate) fn weight(&self) -> u64 {
        let heap = self.templates.capacity() * 8
            + self.outcome_ends.capacity() * 4
            + self.keys.capacity() * 8;
        (size_of::<Self>() + heap) as u64
    }
}
