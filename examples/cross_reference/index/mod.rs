//! The model that eats memory: which reactions make a product, from what, and which products are
//! like it.
//!
//! Pure logic over what is borrowed, so it does not matter whether it is mapped from a file or lies
//! on the heap.

mod builder;
mod decoy;
mod nearest;

use std::fmt;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use plimsoll::{Element, SharedMap, SharedStrs};

pub(crate) use self::builder::{IndexBuilder, IndexedReaction, index_row};
use self::nearest::nearest;
pub(crate) use self::nearest::{Neighbour, Scratch};
use crate::chemistry::{Fingerprint, MoleculeKey, Outcomes};

/// One known reaction. Rows are sorted by the canonical key of the product, then by `reaction`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Row {
    /// The place of the reaction among the lines read, or [`NO_REACTION`].
    pub(crate) reaction: u32,
    /// Where the keys of the reactants start.
    pub(crate) reactants: u32,
    /// How many reactants there are.
    pub(crate) reactant_count: u32,
    /// Which of the texts it was read from.
    pub(crate) text: u32,
}

/// What a decoy has for a reaction.
pub(crate) const NO_REACTION: u32 = u32::MAX;

/// To be changed whenever the fields are.
impl Element for Row {
    const NAME: &'static str = "plimsoll-example.Row v2";
}

/// An index, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct IndexView<'a> {
    rows: &'a SharedMap<MoleculeKey, Row>,
    reactant_keys: &'a [MoleculeKey],
    texts: &'a SharedStrs,
    fingerprints: &'a [Fingerprint],
    /// The rows that are looked at: all, or a block of them.
    start: usize,
    end: usize,
}

/// The sections do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexMismatch(&'static str);

impl fmt::Display for IndexMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sections of the index do not fit together: {}", self.0)
    }
}

impl std::error::Error for IndexMismatch {}

impl<'a> IndexView<'a> {
    /// Puts together what [`IndexBuilder`] makes.
    pub(crate) fn new(
        rows: &'a SharedMap<MoleculeKey, Row>,
        reactant_keys: &'a [MoleculeKey],
        texts: &'a SharedStrs,
        fingerprints: &'a [Fingerprint],
    ) -> Result<Self, IndexMismatch> {
        if fingerprints.len() != rows.len() {
            return Err(IndexMismatch("there is not one fingerprint a row"));
        }
        Ok(Self { rows, reactant_keys, texts, fingerprints, start: 0, end: rows.len() })
    }

    /// The same, where nothing but a block of rows is looked at.
    pub(crate) fn block(self, rows: Range<usize>) -> Self {
        Self { start: rows.start, end: rows.end, ..self }
    }

    /// The rows of the reactions known to make a product.
    pub(crate) fn rows_of(&self, product: MoleculeKey) -> Range<usize> {
        self.rows.range_within(self.start..self.end, &product)
    }

    /// The row at a place.
    pub(crate) fn row(&self, row: usize) -> &'a Row {
        &self.rows.values()[row]
    }

    /// What the reaction of a row was read from.
    pub(crate) fn text(&self, row: usize) -> &'a str {
        &self.texts[self.row(row).text as usize]
    }

    /// The keys of the reactants of a row, in rising order.
    pub(crate) fn reactants(&self, row: usize) -> &'a [MoleculeKey] {
        let &Row { reactants, reactant_count, .. } = self.row(row);
        &self.reactant_keys[reactants as usize..][..reactant_count as usize]
    }

    /// Which templates explain which known reactions that make the product: by rising row, then by
    /// rising template.
    ///
    /// A template explains a reaction if one of its outcomes has no precursor that is not among the
    /// reactants.
    pub(crate) fn cross_reference(&self, outcomes: &Outcomes) -> Vec<Hit> {
        let mut hits = Vec::new();
        for row in self.rows_of(outcomes.product_key) {
            let reactants = self.reactants(row);
            let explained = |outcome: &[MoleculeKey]| {
                outcome.iter().all(|key| reactants.binary_search(key).is_ok())
            };
            for (template, mut of_template) in outcomes.by_template() {
                if of_template.any(explained) {
                    hits.push(Hit { row: row as u32, template });
                }
            }
        }
        hits
    }

    /// The rows with the products most like a fingerprint, best first, ties by rising row: as many
    /// as the scratch is for.
    pub(crate) fn nearest<'s>(
        &self,
        fingerprint: &Fingerprint,
        scratch: &'s mut Scratch,
    ) -> &'s [Neighbour] {
        nearest(&self.fingerprints[self.start..self.end], self.start, fingerprint, scratch)
    }
}

/// A template explains the reaction of a row.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Hit {
    /// The row in the index.
    pub(crate) row: u32,
    /// The number of the template.
    pub(crate) template: u32,
}

/// To be changed whenever the fields are.
impl Element for Hit {
    const NAME: &'static str = "plimsoll-example.Hit v1";
}
