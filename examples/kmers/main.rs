//! Which reads come from this genome?
//!
//! `cargo run --release --example kmers [GENOME.fasta [READS.fasta]]`
//!
//! The first pipeline turns the genome into a table in a file: its words of 21 bases (k-mers),
//! each with how often it occurs. It reads the genome in pieces, and sorts more than fits into
//! memory if need be. The second maps the table, once for all workers, and screens reads: a cpu
//! stage takes each read apart, a memory stage looks its words up.
//!
//! Without arguments the genome is that of phage lambda, and the reads are simulated.

mod sequence;
mod simulated;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use plimsoll::{Budget, Footprint, MIB, Pipeline, Report, SharedFile, SharedMap, Stage, Weight};

use sequence::{K, Record, kmers, minimisers, pieces, records};

const LAMBDA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kmers/lambda.fasta");

/// How often each word occurs: a number for each piece of the genome that has it.
type Counts = SharedMap<u64, u32>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let genome = paths.next().unwrap_or(LAMBDA.into());
    let table = std::env::temp_dir().join(format!("kmers-{}.plim", std::process::id()));
    let budget = Budget::from_env()?;

    count(open(&genome)?, &table, &budget)?;
    let counts: Counts = SharedFile::open(&table)?.get("counts")?;
    let words: u64 = counts.values().iter().map(|times| u64::from(*times)).sum();
    println!("{}: {words} words of {K} bases", genome.display());
    println!("{}: {} bytes, mapped\n", table.display(), counts.size_bytes());

    let mut reads = 0;
    let mut ours = 0;
    let tell = |screened: &Screened| {
        let Screened { name, words, found } = screened;
        if reads < 6 {
            println!("{name}: {found} of {words} words");
        }
        reads += 1;
        ours += u64::from(screened.is_ours());
    };
    let report = match paths.next() {
        Some(path) => screen(records(open(&path)?), &counts, &budget, tell)?,
        None => screen(simulated::reads(pieces(open(&genome)?)), &counts, &budget, tell)?,
    };
    println!("...\n{ours} of {reads} reads come from this genome\n\n{report}");
    drop(counts);
    Ok(fs::remove_file(table)?)
}

fn open(path: &Path) -> Result<BufReader<File>, String> {
    let file = File::open(path).map_err(|why| format!("cannot open {}: {why}", path.display()));
    file.map(BufReader::new)
}

/// Writes the table of a genome.
fn count(genome: impl BufRead + Send, table: &Path, budget: &Budget) -> Result<(), Box<dyn Error>> {
    let file = SharedFile::create(table)?.budget(64 * MIB);
    let mut counts = file.map("counts")?;

    let count = Stage::cpu("count").map(|piece: Vec<u8>| tally(&piece)).weigh(Weight::weight);
    let pipeline = Pipeline::new(count).build(budget)?;
    pipeline.try_run(pieces(genome), |tally| {
        tally.into_iter().try_for_each(|(word, times)| counts.push(word, times))
    })?;

    counts.finish()?;
    Ok(file.finish()?)
}

/// The words of a piece, each with how often it occurs there.
fn tally(bases: &[u8]) -> Vec<(u64, u32)> {
    let mut words: Vec<u64> = kmers(bases).collect();
    words.sort_unstable();
    words.chunk_by(u64::eq).map(|same| (same[0], same.len() as u32)).collect()
}

/// What the table says of a read.
struct Screened {
    name: String,
    /// Words that were looked up.
    words: usize,
    /// Those that the genome has.
    found: usize,
}

impl Screened {
    /// Of a read with one error in a hundred bases, four words in five are right.
    fn is_ours(&self) -> bool {
        self.found > self.words / 4
    }
}

/// Looks the words of reads up in the table.
fn screen(
    reads: impl Iterator<Item = io::Result<Record>> + Send,
    counts: &Counts,
    budget: &Budget,
    mut tell: impl FnMut(&Screened) + Send,
) -> Result<Report, Box<dyn Error>> {
    let take_apart =
        Stage::cpu("take apart").map(|read: Record| (read.name, minimisers(&read.bases)));
    let look_up = Stage::memory("look up", Footprint::table(counts)).map(
        |(name, words): (String, Vec<u64>)| {
            let found = words.iter().filter(|word| !counts.get(word).is_empty()).count();
            Screened { name, words: words.len(), found }
        },
    );
    let pipeline = Pipeline::new(take_apart).then(look_up).ordered().build(budget)?;
    println!("{}", pipeline.plan());
    Ok(pipeline.try_run(reads, |screened| tell(&screened))?)
}
