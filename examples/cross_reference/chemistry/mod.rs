//! The model that eats cores: what each template makes of a product.

mod molecule;
mod outcomes;
mod precursors;
mod screen;
mod templates;

pub(crate) use molecule::{
    ChemistryError, Fingerprint, MoleculeKey, ReactionLine, fingerprint, key_as_perceived,
    perceive, read_smiles,
};
pub(crate) use outcomes::Outcomes;
pub(crate) use templates::{Candidates, Templates, apply_bytes};
