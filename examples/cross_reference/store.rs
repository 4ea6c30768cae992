//! The index in files: one for each array, mapped and shared by all workers.

use std::path::Path;

use plimsoll::{Element, Error, Shared, SharedWriter};

use crate::chemistry::{Fingerprint, MoleculeKey};
use crate::index::{IndexBuilder, IndexMismatch, IndexView, Row};

const DIRECTORY: &str = "directory.plim";
const ROWS: &str = "rows.plim";
const REACTANT_KEYS: &str = "reactant_keys.plim";
const TEXT: &str = "text.plim";
const FINGERPRINTS: &str = "fingerprints.plim";
const REACTIONS: &str = "reactions.plim";

/// The arrays that [`IndexView`] puts to use.
pub(crate) struct Index {
    directory: Shared<[u32]>,
    rows: Shared<[Row]>,
    reactant_keys: Shared<[MoleculeKey]>,
    text: Shared<[u8]>,
    fingerprints: Shared<[Fingerprint]>,
    /// One number: how many rows are reactions; all others are decoys.
    reactions: Shared<[u64]>,
}

impl Index {
    /// Writes the files of an index, piece by piece: no array is ever in memory.
    pub(crate) fn write(folder: &Path, index: &IndexBuilder) -> Result<(), Error> {
        write(&folder.join(DIRECTORY), [index.directory()])?;
        write(&folder.join(ROWS), index.rows().map(|row| [row]))?;
        write(&folder.join(REACTANT_KEYS), index.reactant_keys().map(|key| [key]))?;
        write(&folder.join(TEXT), index.texts())?;
        write(&folder.join(FINGERPRINTS), index.fingerprints().map(|bits| [bits]))?;
        write(&folder.join(REACTIONS), [[index.reactions() as u64]])
    }

    /// Maps the files: they are held once, and only while the system has room for them.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            directory: Shared::open(folder.join(DIRECTORY))?,
            rows: Shared::open(folder.join(ROWS))?,
            reactant_keys: Shared::open(folder.join(REACTANT_KEYS))?,
            text: Shared::open(folder.join(TEXT))?,
            fingerprints: Shared::open(folder.join(FINGERPRINTS))?,
            reactions: Shared::open(folder.join(REACTIONS))?,
        })
    }

    /// Copies the files to the heap, which is what `--unsplit` does for each worker.
    pub(crate) fn load(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            directory: Shared::load(folder.join(DIRECTORY))?,
            rows: Shared::load(folder.join(ROWS))?,
            reactant_keys: Shared::load(folder.join(REACTANT_KEYS))?,
            text: Shared::load(folder.join(TEXT))?,
            fingerprints: Shared::load(folder.join(FINGERPRINTS))?,
            reactions: Shared::load(folder.join(REACTIONS))?,
        })
    }

    pub(crate) fn view(&self) -> Result<IndexView<'_>, IndexMismatch> {
        let Self { directory, rows, reactant_keys, text, fingerprints, .. } = self;
        IndexView::new(directory, rows, reactant_keys, text, fingerprints)
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many rows are real reactions; all others are decoys.
    pub(crate) fn reactions(&self) -> usize {
        self.reactions.iter().sum::<u64>() as usize
    }

    /// How many bytes all arrays have.
    pub(crate) fn bytes(&self) -> u64 {
        self.directory.size_bytes()
            + self.rows.size_bytes()
            + self.reactant_keys.size_bytes()
            + self.text.size_bytes()
            + self.fingerprints.size_bytes()
    }

    /// A small index of good lines that never was in files.
    #[cfg(test)]
    pub(crate) fn on_the_heap(lines: &[&str], rows: usize) -> Self {
        let read = |(number, line): (u32, &&str)| crate::index::index_row(number, line);
        let reactions = (0..).zip(lines).map(read).collect::<Result<_, _>>().expect("good lines");
        let index = IndexBuilder::new(reactions, rows, 1);
        Self {
            directory: index.directory().into(),
            rows: index.rows().collect::<Vec<_>>().into(),
            reactant_keys: index.reactant_keys().collect::<Vec<_>>().into(),
            text: index.texts().collect::<String>().into_bytes().into(),
            fingerprints: index.fingerprints().collect::<Vec<_>>().into(),
            reactions: vec![index.reactions() as u64].into(),
        }
    }
}

fn write<T: Element, P: AsRef<[T]>>(
    path: &Path,
    pieces: impl IntoIterator<Item = P>,
) -> Result<(), Error> {
    let mut writer = SharedWriter::create(path)?;
    for piece in pieces {
        writer.extend_from_slice(piece.as_ref())?;
    }
    writer.finish().map(drop)
}
