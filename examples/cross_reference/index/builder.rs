//! Building the index: from reaction lines, and from decoys up to the number of rows asked for.
//!
//! Memory: the real reactions and 16 bytes a row. Decoys are computed from their number whenever
//! they are needed, and all that is written is an iterator, so none of it is ever held.

use super::decoy::{DECOY, DECOY_REACTANTS, Decoy};
use super::{NO_REACTION, Row};
use crate::chemistry::{
    ChemistryError, Fingerprint, MoleculeKey, ReactionLine, fingerprint, key_as_perceived,
    read_smiles,
};

/// What the index keeps of a real reaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedReaction {
    /// The place of the line among the lines read, from 0.
    pub(crate) reaction: u32,
    /// The canonical key of the product.
    pub(crate) product_key: MoleculeKey,
    /// The fingerprint of the product.
    pub(crate) fingerprint: Fingerprint,
    /// The canonical keys of the reactants and reagents, in rising order, each once.
    pub(crate) reactant_keys: Vec<MoleculeKey>,
    /// The line itself.
    pub(crate) text: String,
}

/// Perceives all molecules of a reaction line. This is what takes time in building an index, and it
/// is pure.
pub(crate) fn index_row(reaction: u32, line: &str) -> Result<IndexedReaction, ChemistryError> {
    let ReactionLine { reactants, product, .. } = ReactionLine::parse(line)?;
    let product = read_smiles(product)?;
    let mut reactant_keys = reactants
        .split('.')
        .filter(|smiles| !smiles.is_empty())
        .map(|smiles| Ok(key_as_perceived(&read_smiles(smiles)?)))
        .collect::<Result<Vec<_>, ChemistryError>>()?;
    reactant_keys.sort_unstable();
    reactant_keys.dedup();
    Ok(IndexedReaction {
        reaction,
        product_key: key_as_perceived(&product),
        fingerprint: fingerprint(&product),
        reactant_keys,
        text: line.to_owned(),
    })
}

impl IndexedReaction {
    /// About how many bytes this holds.
    pub(crate) fn weight(&self) -> u64 {
        (size_of::<Self>() + self.reactant_keys.capacity() * 8 + self.text.capacity()) as u64
    }
}

/// The rows of an index in their order, from which its arrays are made.
pub(crate) struct IndexBuilder {
    reactions: Vec<IndexedReaction>,
    /// The product key and the number of each row, sorted. Numbers from `reactions.len()` on are
    /// decoys.
    order: Vec<(MoleculeKey, u32)>,
    seed: u64,
}

impl IndexBuilder {
    /// Sorts the reactions, and as many decoys as there are rows left.
    ///
    /// # Panics
    ///
    /// If there are more rows than a `u32` can number.
    pub(crate) fn new(reactions: Vec<IndexedReaction>, rows: usize, seed: u64) -> Self {
        let rows = u32::try_from(rows.max(reactions.len())).expect("rows are numbered in 32 bits");
        let key = |row: u32| match reactions.get(row as usize) {
            Some(reaction) => reaction.product_key,
            None => Decoy::new(seed, row).product_key(),
        };
        let mut order: Vec<_> = (0..rows).map(|row| (key(row), row)).collect();
        order.sort_unstable();
        Self { reactions, order, seed }
    }

    /// About how many bytes building takes, besides what is declared for each reaction.
    pub(crate) fn bytes(reactions: &str, rows: usize) -> u64 {
        // Measured: 200 bytes a reaction besides its text, and its keys take less than its text.
        // Twice that, because a growing array is copied.
        let reactions_bytes = 2 * reactions.len() + 400 * reactions.lines().count();
        (reactions_bytes + size_of::<(MoleculeKey, u32)>() * rows) as u64
    }

    /// How many rows are real reactions.
    pub(crate) fn reactions(&self) -> usize {
        self.reactions.len()
    }

    /// The rows by product key, sorted. Reactant keys and texts lie in the order in which the
    /// reactions were read.
    ///
    /// # Panics
    ///
    /// If the reactants are more than a `u32` can number.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (MoleculeKey, Row)> {
        let mut starts = Vec::with_capacity(self.reactions.len());
        let mut reactants = 0;
        for reaction in &self.reactions {
            starts.push(place(reactants));
            reactants += reaction.reactant_keys.len();
        }
        self.order.iter().map(move |&(product_key, number)| {
            let at = number as usize;
            let row = match self.reactions.get(at) {
                Some(reaction) => Row {
                    reaction: reaction.reaction,
                    reactants: starts[at],
                    reactant_count: reaction.reactant_keys.len() as u32,
                    text: number + 1,
                },
                None => Row {
                    reaction: NO_REACTION,
                    reactants: place(reactants + (at - starts.len()) * DECOY_REACTANTS),
                    reactant_count: DECOY_REACTANTS as u32,
                    text: 0,
                },
            };
            (product_key, row)
        })
    }

    /// The reactants' keys of all reactions.
    pub(crate) fn reactant_keys(&self) -> impl Iterator<Item = MoleculeKey> {
        let real = self.reactions.iter().flat_map(|reaction| &reaction.reactant_keys).copied();
        let made_up = self.reactions.len()..self.order.len();
        let keys_of = |row| Decoy::new(self.seed, row as u32).reactant_keys();
        real.chain(made_up.flat_map(keys_of))
    }

    /// The text of all decoys, then that of each reaction.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(DECOY).chain(self.reactions.iter().map(|reaction| reaction.text.as_str()))
    }

    /// The fingerprints, one a row and in the order of the rows.
    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.order.iter().map(|&(_, number)| match self.reactions.get(number as usize) {
            Some(reaction) => reaction.fingerprint,
            None => Decoy::new(self.seed, number).fingerprint(),
        })
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).expect("the arrays of an index have at most 2^32 items")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Index;

    const LINES: [&str; 4] = [
        "CC(=O)O.OCC>>CCOC(C)=O\tester",
        "CC(=O)Cl.CCO>>CC(=O)OCC\tthe same ester from elsewhere",
        "c1ccccc1.BrBr>>Brc1ccccc1\tbromobenzene",
        "[Na+].[Cl-]>>[Cl-].[Na+]\ta salt",
    ];

    #[test]
    fn every_row_is_found_again_and_decoys_are_labelled() {
        for rows in [0, 5, 300] {
            let index = Index::on_the_heap(&LINES, rows);
            let view = index.view().expect("the arrays fit");
            let rows = rows.max(LINES.len());
            assert_eq!(index.rows(), rows);
            for at in 0..rows {
                let expected = LINES.get(view.row(at).reaction as usize).unwrap_or(&DECOY);
                assert_eq!(view.text(at), *expected);
                assert!(view.reactants(at).is_sorted());
            }
            let rows_of = |line| view.rows_of(index_row(0, line).expect("a good line").product_key);
            for (number, line) in (0..).zip(LINES) {
                assert!(rows_of(line).any(|at| view.row(at).reaction == number));
            }
            let ester = index_row(0, LINES[0]).expect("a good line").product_key;
            assert_eq!(view.rows_of(ester).len(), 2);
            assert!(view.rows_of(ester ^ 1).is_empty());
        }
    }

    #[test]
    fn one_molecule_has_one_key() {
        let key = |smiles| key_as_perceived(&read_smiles(smiles).expect("a good SMILES"));
        assert_eq!(key("C1=CC=CC=C1O"), key("Oc1ccccc1"));
        assert_eq!(key("[Na+].[Cl-]"), key("[Cl-].[Na+]"));
        assert_ne!(key("CCO"), key("COC"));
    }

    #[test]
    fn keys_are_the_same_everywhere() {
        assert_eq!(
            key_as_perceived(&read_smiles("C").expect("methane")),
            xxhash_rust::xxh3::xxh3_64(b"C")
        );
    }
}
