//! Which words of one text never occur in others?
//!
//! `cargo run --release --example unknown_words [TEXT KNOWN...]`
//!
//! The known words become a sorted table in a file, mapped once and shared by all
//! workers. The text is split by a cpu stage; a memory stage looks each word up.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};

use plimsoll::{Budget, Footprint, KIB, Pipeline, Shared, Stage};

fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn key(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let text = fs::read_to_string(paths.next().unwrap_or("README.md".into()))?;
    let mut known: Vec<String> = paths.collect();
    if known.is_empty() {
        known = vec!["ARCHITECTURE.md".into(), "LICENSE-APACHE".into()];
    }

    let mut keys = Vec::new();
    for path in known {
        keys.extend(fs::read_to_string(path)?.lines().flat_map(words).map(|word| key(&word)));
    }
    keys.sort_unstable();
    keys.dedup();
    let table = std::env::temp_dir().join(format!("known-words-{}.plim", std::process::id()));
    Shared::<[u64]>::write(&table, &keys)?;
    let table_of_known: Shared<[u64]> = Shared::open(&table)?;

    let split = Stage::cpu("split").flat_map(|line: &str| words(line).collect::<Vec<_>>());
    let look_up =
        Stage::memory("look up", Footprint::per_worker(KIB)).filter_map(|word: String| {
            table_of_known.binary_search(&key(&word)).is_err().then_some(word)
        });
    let pipeline = Pipeline::new(split).then(look_up).build(&Budget::from_env()?)?;
    println!("{}", pipeline.plan());

    let mut unknown = BTreeMap::<String, usize>::new();
    let report = pipeline.run(text.lines(), |word| *unknown.entry(word).or_default() += 1)?;
    for (word, count) in &unknown {
        println!("{count:>5}  {word}");
    }
    println!("\n{report}");
    Ok(fs::remove_file(table)?)
}
