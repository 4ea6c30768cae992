//! The answer for one product: what the pipeline delivers.

use crate::chemistry::{Outcomes, ReactionLine};
use crate::index::{Hit, IndexView, Neighbour, Scratch};

/// How many precedents are looked for.
pub(crate) const NEAREST: usize = 10;

/// Which known reactions that make the product are explained by which templates, and which known
/// products are like it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The place of the product's reaction among the lines read.
    pub(crate) reaction: u32,
    /// How many templates match the product.
    pub(crate) matched: u32,
    /// How many different outcomes they have.
    distinct: u32,
    /// By rising row, then by rising template.
    pub(crate) hits: Vec<Hit>,
    /// Best first.
    pub(crate) nearest: Vec<Neighbour>,
}

impl Answer {
    /// Looks up in the index what the templates made of a product.
    pub(crate) fn find(index: &IndexView<'_>, outcomes: &Outcomes, scratch: &mut Scratch) -> Self {
        let hits = index.cross_reference(outcomes);
        Self::of(outcomes, hits, index.nearest(&outcomes.fingerprint, scratch).to_vec())
    }

    /// Puts together what was looked up.
    pub(crate) fn of(outcomes: &Outcomes, hits: Vec<Hit>, nearest: Vec<Neighbour>) -> Self {
        let &Outcomes { reaction, matched, distinct, .. } = outcomes;
        Self { reaction, matched, distinct, hits, nearest }
    }

    /// The answer as a line of a file of expected results: only hits on the product's own reaction
    /// count, because what else is in the index is not known there.
    pub(crate) fn expected_line(&self, index: &IndexView<'_>, line: &str) -> String {
        let id = ReactionLine::parse(line).map_or("", |line| line.id);
        let own = |hit: &&Hit| index.row(hit.row as usize).reaction == self.reaction;
        let templates = self.hits.iter().filter(own).map(|hit| hit.template.to_string());
        let templates = templates.collect::<Vec<_>>().join(",");
        format!("{}\t{id}\t{}\t{}\t{templates}", self.reaction, self.matched, self.distinct)
    }

    /// About how many bytes this holds.
    pub(crate) fn weight(&self) -> u64 {
        let hits = self.hits.capacity() * size_of::<Hit>();
        let nearest = self.nearest.capacity() * size_of::<Neighbour>();
        (size_of::<Self>() + hits + nearest) as u64
    }
}
