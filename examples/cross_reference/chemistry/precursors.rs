//! The keys of precursors: perceived and canonicalised once, however many templates make them.

use std::collections::HashMap;

use chematic_core::{Atom, BondOrder, Chirality};
use chematic_rxn::TracedProduct;
use xxhash_rust::xxh3::xxh3_128;

use super::molecule::{MoleculeKey, key_after_perceiving};

/// The keys of the precursors made so far from one product.
///
/// Perceiving and canonicalising a precursor costs far more than making it, and templates often
/// make the same one from the same atoms. The atoms of a precursor have natural names, the atoms of
/// the product they came from, so two precursors can be compared without canonicalising either.
#[derive(Default)]
pub(crate) struct KeyCache {
    known: HashMap<u128, MoleculeKey>,
    text: Vec<u8>,
}

impl KeyCache {
    /// The canonical key of a precursor that a template made from the product.
    pub(crate) fn key(&mut self, precursor: &TracedProduct) -> MoleculeKey {
        if !self.describe(precursor) {
            return key_after_perceiving(&precursor.molecule);
        }
        *self
            .known
            .entry(xxh3_128(&self.text))
            .or_insert_with(|| key_after_perceiving(&precursor.molecule))
    }

    /// Writes the precursor down as a graph of named atoms; equal texts are equal molecules.
    ///
    /// `false` if the precursor has stereo, which this text would not tell apart.
    fn describe(&mut self, precursor: &TracedProduct) -> bool {
        let names = names(precursor);
        let molecule = &precursor.molecule;
        let mut atoms = Vec::with_capacity(molecule.atom_count());
        for (at, atom) in molecule.atoms() {
            if atom.chirality != Chirality::None {
                return false;
            }
            atoms.push(atom_record(names[at.0 as usize], atom));
        }
        let mut bonds = Vec::with_capacity(molecule.bond_count());
        for (_, bond) in molecule.bonds() {
            if matches!(bond.order, BondOrder::Up | BondOrder::Down | BondOrder::Dative) {
                return false;
            }
            let ends = [bond.atom1, bond.atom2].map(|atom| names[atom.0 as usize]);
            bonds.push(bond_record(ends, bond.order));
        }
        atoms.sort_unstable();
        bonds.sort_unstable();
        self.text.clear();
        self.text.extend(atoms.iter().flatten());
        self.text.extend(bonds.iter().flatten());
        true
    }
}

/// A name for each atom: its source in the product, or, for the atoms that the template adds, a
/// number counted down from the top in the order in which the template lists them.
fn names(precursor: &TracedProduct) -> Vec<u32> {
    let mut added = u32::MAX;
    let name = |source: &Option<chematic_rxn::ReactantAtom>| match source {
        Some(source) => source.atom.0,
        None => {
            added -= 1;
            added
        }
    };
    precursor.atom_sources.iter().map(name).collect()
}

/// All that tells one atom from another, stereo aside. Atoms and bonds differ in length, and the
/// text is sorted within each, so no two molecules share a text.
fn atom_record(name: u32, atom: &Atom) -> [u8; 12] {
    let [n0, n1, n2, n3] = name.to_le_bytes();
    let [i0, i1] = atom.isotope.unwrap_or(0).to_le_bytes();
    // No atom has 255 hydrogens; "as many as the valence leaves room for" is not a count.
    let hydrogens = atom.hydrogen_count.unwrap_or(u8::MAX);
    let [charge] = atom.charge.to_le_bytes();
    let flags = u8::from(atom.aromatic) | u8::from(atom.wildcard) << 1;
    let isotope = u8::from(atom.isotope.is_some());
    [n0, n1, n2, n3, atom.element.atomic_number(), charge, hydrogens, flags, isotope, i0, i1, b'a']
}

fn bond_record([x, y]: [u32; 2], order: BondOrder) -> [u8; 10] {
    let mut record = [0; 10];
    record[..4].copy_from_slice(&x.min(y).to_le_bytes());
    record[4..8].copy_from_slice(&x.max(y).to_le_bytes());
    record[8] = order as u8;
    record[9] = b'b';
    record
}
