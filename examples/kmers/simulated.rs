//! Reads that no instrument has read, for want of real ones: cut from the genome with errors,
//! and decoys.

use std::io;

use crate::sequence::Record;

const BASES: usize = 150;
/// So many times each base is read, by true reads.
const DEPTH: usize = 5;
/// Of so many bases one is wrong.
const ERROR: u64 = 100;

/// True reads, and as many decoys, which are read backwards, but not from the other strand: what
/// they are made of is the same, their words are not.
pub(crate) fn reads(
    pieces: impl Iterator<Item = io::Result<Vec<u8>>>,
) -> impl Iterator<Item = io::Result<Record>> {
    let mut random = Random(1);
    pieces.flat_map(move |piece| match piece {
        Err(error) => vec![Err(error)],
        Ok(piece) => {
            let count = DEPTH * piece.len() / BASES;
            let mut pair = || [read(&piece, false, &mut random), read(&piece, true, &mut random)];
            (0..count).flat_map(|_| pair()).map(Ok).collect()
        }
    })
}

fn read(piece: &[u8], decoy: bool, random: &mut Random) -> Record {
    let start = random.below(1 + piece.len().saturating_sub(BASES) as u64) as usize;
    let cut = &piece[start..piece.len().min(start + BASES)];
    let mut bases = cut.to_vec();
    for base in &mut bases {
        if random.below(ERROR) == 0 {
            *base = b"ACGT"[random.below(4) as usize];
        }
    }
    if decoy {
        bases.reverse();
    }
    let name = if decoy { "simulated decoy" } else { "simulated read" };
    Record { name: name.to_owned(), bases }
}

/// splitmix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }
}
