//! Molecules: SMILES in, perceived graphs, canonical keys and fingerprints out.
//!
//! Everything that decides whether two molecules are the same one lives here, so that the index and
//! the templates cannot disagree about it: a molecule is perceived (RDKit's aromaticity model),
//! written as canonical SMILES, and hashed with XXH3-64 (seed 0), whose value depends on the bytes
//! alone, not on the process or the platform.

use std::fmt;

use chematic_core::Molecule;
use chematic_fp::ecfp::{EcfpConfig, ecfp};
use chematic_perception::{
    apply_aromaticity_rdkit_parity_experimental, rdkit_parity_view_is_identity,
};
use chematic_smarts::with_perceived_target;
use chematic_smiles::{canonical_smiles, parse};
use xxhash_rust::xxh3::xxh3_64;

/// Which molecule: equal for every spelling of the same molecule.
pub(crate) type MoleculeKey = u64;

/// Which circular substructures a molecule has, folded to 256 bits.
pub(crate) type Fingerprint = [u64; 4];

/// The chemistry could not be done, and on what text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChemistryError {
    what: &'static str,
    text: String,
    why: String,
}

impl ChemistryError {
    pub(crate) fn new(what: &'static str, text: &str, why: impl fmt::Display) -> Self {
        Self { what, text: text.to_owned(), why: why.to_string() }
    }
}

impl fmt::Display for ChemistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: {}", self.what, self.text, self.why)
    }
}

impl std::error::Error for ChemistryError {}

/// A reaction's product, ready to be matched.
pub(crate) struct Query {
    /// The place of the reaction among the lines read, from 0.
    pub(crate) reaction: u32,
    /// The product, perceived.
    pub(crate) product: Molecule,
    /// The canonical key of the product.
    pub(crate) product_key: MoleculeKey,
    /// The fingerprint of the product.
    pub(crate) fingerprint: Fingerprint,
}

impl Query {
    /// About how many bytes this query holds.
    pub(crate) fn weight(&self) -> u64 {
        size_of::<Self>() as u64 + molecule_weight(&self.product)
    }
}

/// A reaction line, `reactants>>product<TAB>id`, cut into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReactionLine<'a> {
    /// The reactants (and reagents), joined by dots.
    pub(crate) reactants: &'a str,
    /// The product.
    pub(crate) product: &'a str,
    /// The name of the reaction in the collection it came from; may be empty.
    pub(crate) id: &'a str,
}

impl<'a> ReactionLine<'a> {
    /// Cuts a line into its parts.
    pub(crate) fn parse(line: &'a str) -> Result<Self, ChemistryError> {
        let (reaction, id) = line.split_once('\t').unwrap_or((line, ""));
        let (reactants, product) = reaction
            .split_once(">>")
            .ok_or_else(|| ChemistryError::new("reaction", line, "no `>>` in it"))?;
        Ok(Self { reactants, product, id })
    }
}

/// Reads the product of a reaction line and computes all that matching it needs.
pub(crate) fn perceive(reaction: u32, line: &str) -> Result<Query, ChemistryError> {
    let product = read_smiles(ReactionLine::parse(line)?.product)?;
    Ok(Query {
        reaction,
        product_key: key_as_perceived(&product),
        fingerprint: fingerprint(&product),
        product,
    })
}

/// Parses a SMILES and perceives the molecule.
///
/// A molecule that the model cannot kekulise stays as it is written, which is also what matching
/// does with it.
pub(crate) fn read_smiles(smiles: &str) -> Result<Molecule, ChemistryError> {
    let written = parse(smiles).map_err(|why| ChemistryError::new("SMILES", smiles, why))?;
    if rdkit_parity_view_is_identity(&written) {
        return Ok(written);
    }
    Ok(apply_aromaticity_rdkit_parity_experimental(&written).unwrap_or(written))
}

/// The key of a molecule that is perceived already.
pub(crate) fn key_as_perceived(molecule: &Molecule) -> MoleculeKey {
    hash_canonical(&canonical_smiles(molecule))
}

/// Perceives a molecule made by a template, and returns its key.
pub(crate) fn key_after_perceiving(molecule: &Molecule) -> MoleculeKey {
    with_perceived_target(molecule, key_as_perceived)
}

/// A salt must have one key whatever the order of its ions, which canonicalisation of the whole
/// does not promise.
fn hash_canonical(smiles: &str) -> MoleculeKey {
    if !smiles.contains('.') {
        return xxh3_64(smiles.as_bytes());
    }
    let mut parts: Vec<&str> = smiles.split('.').collect();
    parts.sort_unstable();
    xxh3_64(parts.join(".").as_bytes())
}

/// The extended-connectivity fingerprint of diameter 4, in 256 bits.
pub(crate) fn fingerprint(molecule: &Molecule) -> Fingerprint {
    let config = EcfpConfig { radius: 2, nbits: 256, ..EcfpConfig::default() };
    let bytes = ecfp(molecule, &config).to_le_bytes();
    std::array::from_fn(|word| {
        let start = word * 8;
        u64::from_le_bytes(bytes[start..start + 8].try_into().expect("the range has eight bytes"))
    })
}

/// About how many heap bytes a perceived molecule takes: 140 an atom were measured after perceiving,
/// bonds and adjacency included, and 80 more for what screening and matching leave cached on it.
fn molecule_weight(molecule: &Molecule) -> u64 {
    const BYTES_PER_ATOM: u64 = 220;
    BYTES_PER_ATOM * molecule.atom_count() as u64
}
