//! Decoys: made-up reactions that fill an index up to the size it would have with all that is
//! known.
//!
//! A decoy is a pure function of a seed and a row, so it is computed whenever it is needed and
//! never stored before it is written.

use crate::chemistry::{Fingerprint, MoleculeKey};

/// The text of every decoy row, so that a decoy is known for what it is wherever it turns up.
pub(crate) const DECOY: &str = "decoy";

/// How many reactants a decoy has.
pub(crate) const DECOY_REACTANTS: usize = 2;

/// A made-up reaction: numbers drawn from its own stream, a different one for each seed and row.
pub(crate) struct Decoy(u64);

impl Decoy {
    /// The decoy of a row.
    pub(crate) fn new(seed: u64, row: u32) -> Self {
        Self(mix(seed ^ mix(u64::from(row))))
    }

    fn draw(&self, which: u64) -> u64 {
        mix(self.0.wrapping_add(which.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The key of its product.
    pub(crate) fn product_key(&self) -> MoleculeKey {
        self.draw(0)
    }

    /// The keys of its reactants, in rising order.
    pub(crate) fn reactant_keys(&self) -> [MoleculeKey; DECOY_REACTANTS] {
        let mut keys = [self.draw(1), self.draw(2)];
        keys.sort_unstable();
        keys
    }

    /// The fingerprint of its product.
    ///
    /// Some 48 of the 256 bits are set, as in the fingerprint of a molecule of the size that is
    /// usual in medicine.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        std::array::from_fn(|word| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|part| self.draw(3 + 4 * word as u64 + part));
            a & b & (c | d)
        })
    }
}

/// The finaliser of SplitMix64: a bijection that scatters neighbouring numbers.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoys_depend_on_the_seed_and_the_row_alone() {
        assert_eq!(Decoy::new(1, 2).product_key(), Decoy::new(1, 2).product_key());
        assert_ne!(Decoy::new(1, 2).product_key(), Decoy::new(2, 2).product_key());
    }

    #[test]
    fn a_decoy_has_about_as_many_bits_as_a_molecule() {
        let bits = |row| Decoy::new(1, row).fingerprint().map(u64::count_ones).iter().sum::<u32>();
        let mean = (0..1_000).map(bits).sum::<u32>() / 1_000;
        assert!((40..56).contains(&mean), "{mean} bits");
    }
}
