//! The screen: which templates can be ruled out by looking at small pieces of the product alone.
//!
//! A template's pattern is cut into bonds and into pairs of bonds that share an atom. Each distinct
//! piece is a feature, one bit of a mask. A product has the feature if the piece occurs in it
//! somewhere; a pattern can occur only in a product that has all the features of the pattern. So
//! the screen never loses a match, and what it lets through is matched in full. Patterns list their
//! features with the rarest first, so most are ruled out by the first bit they look at.

use std::collections::HashMap;

use chematic_core::{AtomIdx, BondOrder, Molecule};
use chematic_smarts::{
    AtomQuery, BondPrimitive, BondQuery, MatchConfig, QueryMolecule, for_each_embedding,
};

/// What a pattern asks of an atom, by number.
type Class = u32;
/// A bond seen from one of its atoms: what is asked of this atom, of the bond and of the other
/// atom, by number.
type Arm = u32;
/// The bit of a feature.
type Feature = u32;

/// A bond order that can be screened on; other bond expressions are left to the matcher.
const KINDS: usize = 4;
const NONE: Arm = Arm::MAX;

/// The features of all patterns, and which pattern needs which.
#[derive(Default)]
pub(crate) struct Screen {
    /// A pattern of one atom for each class, to be matched against each product.
    classes: Vec<QueryMolecule>,
    class_of: HashMap<String, Class>,
    /// The arm of (class, kind, class), or `NONE`; a dense table once all patterns are known.
    arm_table: Vec<Arm>,
    arm_of: HashMap<(Class, u8, Class), Arm>,
    feature_of_arm: Vec<Feature>,
    feature_of_pair: HashMap<(Arm, Arm), Feature>,
    features: usize,
    /// The features each pattern needs: `needed[ends[i - 1]..ends[i]]` for pattern `i`.
    needed: Vec<Feature>,
    ends: Vec<u32>,
}

impl Screen {
    /// Builds the screen of the given patterns, numbered in their order.
    pub(crate) fn new(patterns: impl Iterator<Item = QueryMolecule>) -> Self {
        let mut screen = Self::default();
        let needs: Vec<Vec<Feature>> = patterns.map(|pattern| screen.learn(&pattern)).collect();
        let mut uses = vec![0u32; screen.features];
        for &feature in needs.iter().flatten() {
            uses[feature as usize] += 1;
        }
        for mut need in needs {
            need.sort_unstable_by_key(|&feature| (uses[feature as usize], feature));
            screen.needed.extend_from_slice(&need);
            screen.ends.push(screen.needed.len() as u32);
        }
        screen.fill_arm_table();
        screen
    }

    /// The patterns that the product may contain, in rising order.
    pub(crate) fn survivors(&self, product: &Molecule) -> Vec<u32> {
        let present = self.present(product);
        let mut start = 0;
        let mut survivors = Vec::new();
        for (pattern, &end) in self.ends.iter().enumerate() {
            let needed = &self.needed[start as usize..end as usize];
            if needed.iter().all(|&feature| present.has(feature)) {
                survivors.push(pattern as u32);
            }
            start = end;
        }
        survivors
    }

    /// About how many heap bytes the screen takes.
    pub(crate) fn bytes(&self) -> u64 {
        let tables = (self.arm_table.len() + self.needed.len() + self.ends.len()) * 4;
        let maps = (self.feature_of_pair.len() + self.arm_of.len()) * 16 + self.classes.len() * 512;
        (tables + maps) as u64
    }

    /// Numbers the features of one pattern and returns them, each once.
    fn learn(&mut self, pattern: &QueryMolecule) -> Vec<Feature> {
        let classes: Vec<Class> =
            pattern.atoms.iter().map(|atom| self.class(&atom.query)).collect();
        let mut arms: Vec<Vec<Arm>> = vec![Vec::new(); pattern.atoms.len()];
        let mut needed = Vec::new();
        for bond in &pattern.bonds {
            let Some(kind) = kind_of_query(&bond.query) else {
                continue;
            };
            let (a, b) = (classes[bond.atom1], classes[bond.atom2]);
            let (forth, back) = (self.arm(a, kind, b), self.arm(b, kind, a));
            needed.push(self.feature_of_arm[forth as usize]);
            arms[bond.atom1].push(forth);
            arms[bond.atom2].push(back);
        }
        for at_atom in &arms {
            for (i, &x) in at_atom.iter().enumerate() {
                for &y in &at_atom[i + 1..] {
                    needed.push(self.pair(x, y));
                }
            }
        }
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    fn class(&mut self, query: &AtomQuery) -> Class {
        let next = self.classes.len() as Class;
        *self.class_of.entry(format!("{query:?}")).or_insert_with(|| {
            let mut pattern = QueryMolecule::new();
            pattern.add_atom(query.clone());
            self.classes.push(pattern);
            next
        })
    }

    /// A bond and the same bond seen from its other end are two arms but one feature.
    fn arm(&mut self, at: Class, kind: u8, other: Class) -> Arm {
        if let Some(&known) = self.arm_of.get(&(at, kind, other)) {
            return known;
        }
        let new = self.feature_of_arm.len() as Arm;
        let feature = match self.arm_of.get(&(other, kind, at)) {
            Some(&mirrored) => self.feature_of_arm[mirrored as usize],
            None => self.new_feature(),
        };
        self.arm_of.insert((at, kind, other), new);
        self.feature_of_arm.push(feature);
        new
    }

    fn pair(&mut self, x: Arm, y: Arm) -> Feature {
        let key = (x.min(y), x.max(y));
        if let Some(&known) = self.feature_of_pair.get(&key) {
            return known;
        }
        let new = self.new_feature();
        self.feature_of_pair.insert(key, new);
        new
    }

    fn new_feature(&mut self) -> Feature {
        let new = self.features as Feature;
        self.features += 1;
        new
    }

    fn fill_arm_table(&mut self) {
        self.arm_table = vec![NONE; self.classes.len() * KINDS * self.classes.len()];
        for (&(at, kind, other), &arm) in &self.arm_of {
            let slot = self.arm_slot(at, kind, other);
            self.arm_table[slot] = arm;
        }
    }

    fn arm_slot(&self, at: Class, kind: u8, other: Class) -> usize {
        (at as usize * KINDS + kind as usize) * self.classes.len() + other as usize
    }

    /// The features that occur in a product.
    fn present(&self, product: &Molecule) -> Bits {
        let classes = self.classes_of_atoms(product);
        let mut present = Bits::new(self.features);
        let mut arms: Vec<Vec<(Class, Arm)>> = Vec::new();
        for atom in 0..product.atom_count() {
            arms.clear();
            for (neighbour, bond) in product.neighbors(AtomIdx(atom as u32)) {
                let Some(kind) = kind_of_order(product.bond(bond).order) else {
                    continue;
                };
                arms.push(self.arms(&classes[atom], kind, &classes[neighbour.0 as usize]));
            }
            for (i, first) in arms.iter().enumerate() {
                first.iter().for_each(|&(_, arm)| present.set(self.feature_of_arm[arm as usize]));
                for second in &arms[i + 1..] {
                    self.set_pairs(first, second, &mut present);
                }
            }
        }
        present
    }

    fn classes_of_atoms(&self, product: &Molecule) -> Vec<Vec<Class>> {
        let mut classes = vec![Vec::new(); product.atom_count()];
        let config = MatchConfig::default();
        for (class, pattern) in self.classes.iter().enumerate() {
            for_each_embedding(pattern, product, &config, |atoms| {
                classes[atoms[0] as usize].push(class as Class)
            });
        }
        classes
    }

    fn arms(&self, at: &[Class], kind: u8, other: &[Class]) -> Vec<(Class, Arm)> {
        let known = |a: Class, b: Class| {
            Some(self.arm_table[self.arm_slot(a, kind, b)]).filter(|&arm| arm != NONE)
        };
        at.iter()
            .flat_map(|&a| other.iter().filter_map(move |&b| Some((a, known(a, b)?))))
            .collect()
    }

    /// Two arms make a pair only where they ask the same of the atom they share.
    fn set_pairs(&self, first: &[(Class, Arm)], second: &[(Class, Arm)], present: &mut Bits) {
        for &(class, x) in first {
            for &(_, y) in second.iter().filter(|&&(other, _)| other == class) {
                if let Some(&feature) = self.feature_of_pair.get(&(x.min(y), x.max(y))) {
                    present.set(feature);
                }
            }
        }
    }
}

/// Some orders of a pattern's bonds are matched exactly as the matcher does; none that it would
/// match is missed.
fn kind_of_query(query: &BondQuery) -> Option<u8> {
    match query {
        BondQuery::Primitive(BondPrimitive::Single) => Some(0),
        BondQuery::Primitive(BondPrimitive::Double) => Some(1),
        BondQuery::Primitive(BondPrimitive::Triple) => Some(2),
        BondQuery::Primitive(BondPrimitive::Aromatic) => Some(3),
        _ => None,
    }
}

fn kind_of_order(order: BondOrder) -> Option<u8> {
    match order {
        BondOrder::Single | BondOrder::Up | BondOrder::Down => Some(0),
        BondOrder::Double => Some(1),
        BondOrder::Triple => Some(2),
        BondOrder::Aromatic => Some(3),
        _ => None,
    }
}

/// A mask of one bit a feature.
struct Bits(Vec<u64>);

impl Bits {
    fn new(bits: usize) -> Self {
        Self(vec![0; bits.div_ceil(64)])
    }

    fn set(&mut self, bit: Feature) {
        self.0[(bit >> 6) as usize] |= 1 << (bit & 63);
    }

    fn has(&self, bit: Feature) -> bool {
        self.0[(bit >> 6) as usize] & (1 << (bit & 63)) != 0
    }
}
