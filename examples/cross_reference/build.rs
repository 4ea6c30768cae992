//! Building the index when it is not there yet: a pipeline of its own.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use plimsoll::{Budget, Footprint, Pipeline, Stage};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::index::{IndexBuilder, IndexedReaction, index_row};
use crate::print::thousands;
use crate::store::Index;

/// What the index depends on beside the reactions and the rows. To be changed with the sections, the
/// decoys or the toolkit, whose canonical SMILES the keys are made of.
const FORMAT: u64 = 2;
/// Which decoys there are.
const SEED: u64 = 1;

/// Where indexes are kept: beside the other things that were built.
pub(crate) fn shelf() -> Result<PathBuf, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let built = program.ancestors().nth(2).ok_or("the program is in no folder")?;
    Ok(built.join("cross_reference-index"))
}

/// The file with the index of these reactions, with decoys up to `rows`. It is built if it is not
/// there.
///
/// The file is named by all that the index is made of, so one that is found is the right one. It
/// gets its name when it is complete.
pub(crate) fn find_or_build(
    shelf: &Path,
    reactions: &str,
    rows: usize,
    budget: &Budget,
) -> Result<PathBuf, Box<dyn Error>> {
    let hash = xxh3_128_with_seed(reactions.as_bytes(), FORMAT ^ SEED << 32);
    let path = shelf.join(format!("{rows}-rows-{hash:032x}.plim"));
    if path.is_file() {
        return Ok(path);
    }
    eprintln!("building the index of {} rows in {}", thousands(rows), path.display());
    fs::create_dir_all(shelf)?;

    let started = Instant::now();
    let index = IndexBuilder::new(read(reactions, rows, budget)?, rows, SEED);
    Index::write(&path, &index)?;
    eprintln!("built it in {:.1} s", started.elapsed().as_secs_f64());
    Ok(path)
}

/// Reads all reactions that can be read, in their order.
fn read(
    reactions: &str,
    rows: usize,
    budget: &Budget,
) -> Result<Vec<IndexedReaction>, Box<dyn Error>> {
    let held = Footprint::shared(IndexBuilder::bytes(reactions, rows));
    let read = Stage::cpu("index_row")
        .footprint(held)
        .try_map(|(number, line): (u32, &str)| index_row(number, line))
        .weigh(IndexedReaction::weight);
    let pipeline = Pipeline::new(read).ordered().build(budget)?;

    let mut indexed = Vec::new();
    let report = pipeline
        .job()
        .failures(|failure| eprintln!("left out of the index: {failure}"))
        .run((0..).zip(reactions.lines()), |reaction| indexed.push(reaction))?;
    eprintln!("{report}");
    if indexed.is_empty() {
        return Err("there is no reaction among the reactions".into());
    }
    Ok(indexed)
}

#[cfg(test)]
mod tests {
    use plimsoll::{MIB, SharedFile};

    use super::*;

    #[test]
    fn an_index_is_found_again_by_what_it_is_made_of() {
        let shelf = tempfile::tempdir().expect("there is room for a folder");
        let budget = Budget::new(64 * MIB, 2);
        let find = |reactions, rows| {
            find_or_build(shelf.path(), reactions, rows, &budget).expect("it can be built")
        };
        let files = || fs::read_dir(shelf.path()).expect("it is there").count();
        let (ester, two) =
            ("CC(=O)O.OCC>>CCOC(C)=O\t1", "CC(=O)O.OCC>>CCOC(C)=O\t1\nCl>>(\t2\nC>>CC");

        let first = find(ester, 20);
        assert_eq!((find(ester, 20), files()), (first, 1));
        find(ester, 30);
        assert_eq!(files(), 2);

        let left_out = find(two, 20);
        for open in [SharedFile::open, SharedFile::load] {
            let index = Index::of(&open(&left_out).expect("it is whole")).expect("it is an index");
            let view = index.view().expect("the arrays fit");
            assert_eq!((index.rows(), index.reactions()), (20, 2));
            let reactions = (0..20).map(|row| view.row(row).reaction).filter(|&number| number < 3);
            assert_eq!(reactions.sum::<u32>(), 2, "places are those of the lines");
        }
    }
}
