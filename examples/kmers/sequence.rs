//! Bases, the words they make, and the files they come in.

use std::io::{self, BufRead};

/// Bases of a word.
pub(crate) const K: usize = 21;
/// Words of a read of which one is looked up: that with the least hash.
const WINDOW: usize = 11;
/// Bases of a piece, or as many more as a line has.
const PIECE: usize = 1 << 14;

/// The k-mers of a sequence as numbers, two bits a base. Which strand was read is chance, so a
/// word and its reverse complement are one: the lesser. There is none across a base unknown.
pub(crate) fn kmers(bases: &[u8]) -> impl Iterator<Item = u64> {
    let (mut forward, mut reverse, mut length) = (0, 0, 0);
    bases.iter().filter_map(move |base| {
        let code = match base {
            b'A' | b'a' => 0,
            b'C' | b'c' => 1,
            b'G' | b'g' => 2,
            b'T' | b't' => 3,
            _ => {
                length = 0;
                return None;
            }
        };
        forward = (forward << 2 | code) & ((1 << (2 * K)) - 1);
        reverse = reverse >> 2 | (3 - code) << (2 * (K - 1));
        length += 1;
        (length >= K).then(|| u64::min(forward, reverse))
    })
}

/// Some of the k-mers, chosen by what they are and not by where they are: of each few in a row
/// that with the least hash (Roberts et al., 2004: "minimizers").
pub(crate) fn minimisers(bases: &[u8]) -> Vec<u64> {
    let kmers: Vec<u64> = kmers(bases).collect();
    let hash = |kmer: &u64| (kmer ^ kmer >> 23).wrapping_mul(0x2127_599b_f432_5c37);
    let least = |window: &[u64]| window.iter().copied().min_by_key(hash);
    let mut minimisers: Vec<u64> = kmers.windows(WINDOW).filter_map(least).collect();
    minimisers.dedup();
    minimisers
}

/// One sequence of a file.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) bases: Vec<u8>,
}

/// The sequences of a FASTA file, one at a time.
pub(crate) fn records(fasta: impl BufRead) -> impl Iterator<Item = io::Result<Record>> {
    let mut lines = fasta.lines();
    let mut next: Option<Record> = None;
    std::iter::from_fn(move || {
        loop {
            match lines.next().transpose() {
                Err(error) => return Some(Err(error)),
                Ok(None) => return next.take().map(Ok),
                Ok(Some(line)) => match line.strip_prefix('>') {
                    None => match &mut next {
                        Some(record) => record.bases.extend(line.trim_end().bytes()),
                        None => {
                            return Some(Err(io::Error::other("it is no FASTA: no name first")));
                        }
                    },
                    Some(name) => {
                        let record = Record { name: name.to_owned(), bases: Vec::new() };
                        if let Some(whole) = next.replace(record) {
                            return Some(Ok(whole));
                        }
                    }
                },
            }
        }
    })
}

/// A FASTA file in pieces, each of which begins with the last bases of the one before, so that
/// every k-mer is in exactly one. Where a sequence begins there is an `N`.
pub(crate) fn pieces(fasta: impl BufRead) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    let mut lines = fasta.lines();
    let mut piece = Vec::with_capacity(PIECE);
    std::iter::from_fn(move || {
        loop {
            match lines.next().transpose() {
                Err(error) => return Some(Err(error)),
                Ok(None) if piece.is_empty() => return None,
                Ok(None) => return Some(Ok(std::mem::take(&mut piece))),
                Ok(Some(line)) if line.starts_with('>') => piece.push(b'N'),
                Ok(Some(line)) => piece.extend(line.trim_end().bytes()),
            }
            if piece.len() >= PIECE {
                let overlap = piece[piece.len() - (K - 1)..].to_vec();
                return Some(Ok(std::mem::replace(&mut piece, overlap)));
            }
        }
    })
}
