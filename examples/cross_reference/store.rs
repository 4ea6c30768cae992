//! The index in a file: a section for each array, mapped and shared by all workers.

use std::path::Path;

use plimsoll::{Error, Footprint, Shared, SharedFile, SharedMap, SharedStrs};

use crate::chemistry::{Fingerprint, MoleculeKey};
use crate::index::{IndexBuilder, IndexMismatch, IndexView, Row};

const ROWS: &str = "rows by product";
const REACTANT_KEYS: &str = "reactant keys";
const TEXTS: &str = "texts";
const FINGERPRINTS: &str = "fingerprints";
/// One number: how many rows are reactions; all others are decoys.
const REACTIONS: &str = "reactions";

/// What [`IndexView`] puts to use.
pub(crate) struct Index {
    rows: SharedMap<MoleculeKey, Row>,
    reactant_keys: Shared<[MoleculeKey]>,
    texts: SharedStrs,
    fingerprints: Shared<[Fingerprint]>,
    reactions: Shared<[u64]>,
}

impl Index {
    /// Writes the file of an index, piece by piece: no array is ever in memory.
    pub(crate) fn write(path: &Path, index: &IndexBuilder) -> Result<(), Error> {
        let file = SharedFile::create(path)?;
        file.map(ROWS)?.fill(index.rows())?;
        file.slice(REACTANT_KEYS)?.fill(index.reactant_keys())?;
        file.strs(TEXTS)?.fill(index.texts())?;
        file.slice::<Fingerprint>(FINGERPRINTS)?.fill(index.fingerprints())?;
        file.slice(REACTIONS)?.fill([index.reactions() as u64])?;
        file.finish()
    }

    /// Of a file that is mapped, it is held once, and only while the system has room for it; of
    /// one that is loaded, which is what `--unsplit` does for each worker, it is a copy.
    pub(crate) fn of(file: &SharedFile) -> Result<Self, Error> {
        Ok(Self {
            rows: file.get(ROWS)?,
            reactant_keys: file.get(REACTANT_KEYS)?,
            texts: file.get(TEXTS)?,
            fingerprints: file.get(FINGERPRINTS)?,
            reactions: file.get(REACTIONS)?,
        })
    }

    pub(crate) fn view(&self) -> Result<IndexView<'_>, IndexMismatch> {
        IndexView::new(&self.rows, &self.reactant_keys, &self.texts, &self.fingerprints)
    }

    /// What a stage works with that looks up in it: all but the texts, which are printed.
    pub(crate) fn footprint<'env, I: 'env>(&self) -> Footprint<'env, I> {
        Footprint::table(&self.rows)
            .and(Footprint::table(&self.reactant_keys))
            .and(Footprint::table(&self.fingerprints))
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many rows are real reactions; all others are decoys.
    pub(crate) fn reactions(&self) -> usize {
        self.reactions.iter().sum::<u64>() as usize
    }

    /// A small index of good lines that never was in a file.
    #[cfg(test)]
    pub(crate) fn on_the_heap(lines: &[&str], rows: usize) -> Self {
        let read = |(number, line): (u32, &&str)| crate::index::index_row(number, line);
        let reactions = (0..).zip(lines).map(read).collect::<Result<_, _>>().expect("good lines");
        let index = IndexBuilder::new(reactions, rows, 1);
        Self {
            rows: index.rows().collect(),
            reactant_keys: index.reactant_keys().collect::<Vec<_>>().into(),
            texts: index.texts().collect(),
            fingerprints: index.fingerprints().collect::<Vec<_>>().into(),
            reactions: vec![index.reactions() as u64].into(),
        }
    }
}
