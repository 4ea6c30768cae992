//! The whole example, against an independent count and the truth that simulated reads tell.

use std::collections::HashMap;

use plimsoll::GIB;

use super::*;

/// The words of a sequence as text, the plain way.
fn words(bases: &str) -> HashMap<String, u32> {
    let mut counts = HashMap::new();
    for start in 0..(bases.len() + 1).saturating_sub(K) {
        let word = &bases[start..start + K];
        let complement = |base| match base {
            'A' => 'T',
            'C' => 'G',
            'G' => 'C',
            'T' => 'A',
            other => other,
        };
        let other: String = word.chars().rev().map(complement).collect();
        if !word.contains('N') {
            *counts.entry(other.min(word.to_owned())).or_default() += 1;
        }
    }
    counts
}

fn number(word: &str) -> u64 {
    kmers(word.as_bytes()).next().expect("it is a whole word")
}

/// The table of a genome in FASTA.
fn counts(fasta: impl BufRead + Send) -> Counts {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let table = folder.path().join("counts.plim");
    count(fasta, &table, &Budget::new(GIB, 2)).expect("it can be built");
    SharedFile::load(&table).expect("it is whole").get("counts").expect("it is a map")
}

fn agree(counts: &Counts, words: &HashMap<String, u32>) {
    for (word, times) in words {
        assert_eq!(counts.get(&number(word)).iter().sum::<u32>(), *times, "{word}");
    }
    let total: u32 = counts.values().iter().sum();
    assert_eq!(total, words.values().sum::<u32>(), "there is no word more");
}

#[test]
fn the_table_of_lambda_has_its_words() {
    let fasta = fs::read_to_string(LAMBDA).expect("it is there");
    let bases: String = fasta.lines().skip(1).collect();
    let words = words(&bases);
    assert_eq!((bases.len(), words.len()), (48_502, 48_482));
    agree(&counts(fasta.as_bytes()), &words);
}

#[test]
fn words_stay_within_a_sequence_and_known_bases() {
    let repeat = "ACGGTTAACGATTACAGATTACAGG".repeat(2_000);
    let sequences = [&repeat, "ACGTACGTACGTACGTACGTAAA", "GATTACAGATTACANGATTACAGATTACAG", ""];
    let mut fasta = Vec::new();
    for bases in sequences {
        fasta.extend(b">name");
        bases.as_bytes().chunks(60).for_each(|line| fasta.extend([b"\n", line].concat()));
        fasta.push(b'\n');
    }
    agree(&counts(&fasta[..]), &words(&sequences.join("N")));
    let read: Vec<_> =
        records(&fasta[..]).map(|record| record.expect("it is text").bases).collect();
    assert!(read.iter().eq(sequences.iter().map(|bases| bases.as_bytes())));
}

#[test]
fn simulated_reads_are_told_from_decoys() {
    let open = || open(LAMBDA.as_ref()).expect("it is there");
    let counts = counts(open());
    let (mut reads, mut wrong) = (0, 0);
    screen(simulated::reads(pieces(open())), &counts, &Budget::new(GIB, 2), |screened| {
        reads += 1;
        wrong += u32::from(screened.is_ours() != (screened.name == "simulated read"));
    })
    .expect("nothing fails");
    assert_eq!((reads, wrong), (3_234, 0));
}
