//! The model that eats memory: which reactions make a product, from what, and which products are
//! like it.
//!
//! Pure logic over five borrowed arrays, so it does not matter whether they are mapped from files
//! or lie on the heap.

mod builder;
mod decoy;
mod nearest;

use std::fmt;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use plimsoll::Element;

pub(crate) use self::builder::{IndexBuilder, IndexedReaction, index_row};
use self::nearest::nearest;
pub(crate) use self::nearest::{Neighbour, Scratch};
use crate::chemistry::{Fingerprint, MoleculeKey, Outcomes};

/// One known reaction. Rows are sorted by `product_key`, then by `reaction`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Row {
    /// The canonical key of the product.
    pub(crate) product_key: MoleculeKey,
    /// The place of the reaction among the lines read, or [`NO_REACTION`].
    pub(crate) reaction: u32,
    /// Where the keys of the reactants start.
    pub(crate) reactants: u32,
    /// Where the text starts.
    pub(crate) text: u32,
    /// How many reactants there are.
    pub(crate) reactant_count: u16,
    /// How many bytes of text there are.
    pub(crate) text_len: u16,
}

/// What a decoy has for a reaction.
pub(crate) const NO_REACTION: u32 = u32::MAX;

/// To be changed whenever the fields are.
impl Element for Row {
    const NAME: &'static str = "plimsoll-example.Row v1";
}

/// The arrays of an index, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct IndexView<'a> {
    directory: &'a [u32],
    rows: &'a [Row],
    reactant_keys: &'a [MoleculeKey],
    text: &'a [u8],
    fingerprints: &'a [Fingerprint],
    /// A product's place in the directory is its key shifted right by this.
    shift: u32,
}

/// The arrays do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexMismatch(&'static str);

impl fmt::Display for IndexMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the arrays of the index do not fit together: {}", self.0)
    }
}

impl std::error::Error for IndexMismatch {}

impl<'a> IndexView<'a> {
    /// Puts the arrays together, which [`IndexBuilder`](crate::index::builder::IndexBuilder) describes.
    pub(crate) fn new(
        directory: &'a [u32],
        rows: &'a [Row],
        reactant_keys: &'a [MoleculeKey],
        text: &'a [u8],
        fingerprints: &'a [Fingerprint],
    ) -> Result<Self, IndexMismatch> {
        let Some(buckets) =
            directory.len().checked_sub(1).filter(|n| n.is_power_of_two() && *n > 1)
        else {
            return Err(IndexMismatch("the directory's length is not a power of two and one"));
        };
        if directory[buckets] as usize != rows.len() {
            return Err(IndexMismatch("the directory is for another number of rows"));
        }
        if fingerprints.len() != rows.len() {
            return Err(IndexMismatch("there is not one fingerprint a row"));
        }
        Ok(Self { directory, rows, reactant_keys, text, fingerprints, shift: 64 - buckets.ilog2() })
    }

    /// The rows of the reactions known to make a product.
    pub(crate) fn rows_of(&self, product: MoleculeKey) -> Range<usize> {
        let bucket = (product >> self.shift) as usize;
        let start = self.directory[bucket] as usize;
        let bucket = &self.rows[start..self.directory[bucket + 1] as usize];
        let first = bucket.partition_point(|row| row.product_key < product);
        let count = bucket[first..].iter().take_while(|row| row.product_key == product).count();
        start + first..start + first + count
    }

    /// The row at a place.
    pub(crate) fn row(&self, row: usize) -> &'a Row {
        &self.rows[row]
    }

    /// What the reaction of a row was read from.
    pub(crate) fn text(&self, row: usize) -> &'a [u8] {
        let Row { text, text_len, .. } = self.rows[row];
        &self.text[text as usize..][..usize::from(text_len)]
    }

    /// The keys of the reactants of a row, in rising order.
    pub(crate) fn reactants(&self, row: usize) -> &'a [MoleculeKey] {
        let Row { reactants, reactant_count, .. } = self.rows[row];
        &self.reactant_keys[reactants as usize..][..usize::from(reactant_count)]
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
        nearest(self.fingerprints, fingerprint, scratch)
    }
}

/// A template explains the reaction of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The row in the index.
    pub(crate) row: u32,
    /// The number of the template.
    pub(crate) template: u32,
}
