//! The nearest neighbours of a fingerprint: one pass over all fingerprints.
//!
//! To count bits takes so many instructions that a core begins to load no more than the next
//! rows meanwhile, and waits for each: 14.5 ns a row in a table of 10 million. So many rows are
//! loaded at once, then counted: 4.6 ns, as in a table that the cache holds.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::hint::black_box;

use bytemuck::{Pod, Zeroable};
use plimsoll::Element;

use crate::chemistry::Fingerprint;

/// Rows that are brought into the processor's cache together: 32 KiB of them.
const TOGETHER: usize = 1_024;

/// Leaves the rows most like the query in the scratch, best first, ties by rising row. The first
/// of the rows is number `first`.
///
/// Let a be the bits set in the query, b those in the row and c those in both. The similarity c /
/// (a + b - c) cannot exceed c / a, since c cannot exceed b; so b is counted only for the few rows
/// that might be good enough.
pub(crate) fn nearest<'s>(
    rows: &[Fingerprint],
    first: usize,
    query: &Fingerprint,
    scratch: &'s mut Scratch,
) -> &'s [Neighbour] {
    scratch.heap.clear();
    if scratch.wanted == 0 {
        return scratch.sort();
    }
    let query_bits = ones(query);
    let mut worst = Similarity { common: 0, either: 1 };
    let mut full = false;
    for (first, rows) in (first..).step_by(TOGETHER).zip(rows.chunks(TOGETHER)) {
        // Of each line of 64 bytes a word: loads that wait for nothing overlap.
        black_box(rows.iter().step_by(2).fold(0, |all, bits| all ^ bits[0]));
        for (row, bits) in (first..).zip(rows) {
            let common = common_ones(query, bits);
            // With no bit in the query, nothing exceeds anything, and the first rows stay.
            if full && !(Similarity { common, either: query_bits }).exceeds(worst) {
                continue;
            }
            let either = (query_bits + ones(bits) - common).max(1);
            let similarity = Similarity { common, either };
            if full && !similarity.exceeds(worst) {
                continue;
            }
            worst = scratch.keep(Neighbour { row: row as u32, similarity });
            full = scratch.heap.len() >= scratch.wanted;
        }
    }
    scratch.sort()
}

fn ones(bits: &Fingerprint) -> u32 {
    bits.iter().map(|word| word.count_ones()).sum()
}

fn common_ones(a: &Fingerprint, b: &Fingerprint) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a & b).count_ones()).sum()
}

/// Bits in common over bits in either: kept as a fraction, so that comparing is exact.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Similarity {
    common: u32,
    either: u32,
}

impl Similarity {
    /// The similarity as a number from 0 to 1.
    pub(crate) fn value(self) -> f64 {
        f64::from(self.common) / f64::from(self.either)
    }

    fn exceeds(self, other: Self) -> bool {
        // Both factors are at most 512.
        self.common * other.either > other.common * self.either
    }
}

/// A row and how like its product is to the query.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Neighbour {
    /// The row in the index.
    pub(crate) row: u32,
    /// How like its product is.
    pub(crate) similarity: Similarity,
}

/// To be changed whenever the fields are.
impl Element for Neighbour {
    const NAME: &'static str = "plimsoll-example.Neighbour v1";
}

/// Better neighbours are greater: more alike, or as alike in an earlier row.
impl Ord for Neighbour {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.similarity, other.similarity);
        (a.common * b.either).cmp(&(b.common * a.either)).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Neighbour {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Neighbour {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Neighbour {}

/// What one worker of the memory stage keeps from product to product: the best rows so far.
pub(crate) struct Scratch {
    wanted: usize,
    heap: BinaryHeap<Reverse<Neighbour>>,
    sorted: Vec<Neighbour>,
}

impl Scratch {
    /// A scratch for the `wanted` nearest rows.
    pub(crate) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            heap: BinaryHeap::with_capacity(wanted + 1),
            sorted: Vec::with_capacity(wanted),
        }
    }

    /// How many bytes a scratch for that many rows holds, from its making to its end.
    pub(crate) fn bytes(wanted: usize) -> u64 {
        (size_of::<Self>() + (2 * wanted + 1) * size_of::<Neighbour>()) as u64
    }

    /// Takes a row in, drops the worst if there are now too many, and returns the worst that is
    /// left.
    fn keep(&mut self, neighbour: Neighbour) -> Similarity {
        self.heap.push(Reverse(neighbour));
        if self.heap.len() > self.wanted {
            self.heap.pop();
        }
        self.heap.peek().expect("a row was just taken in").0.similarity
    }

    fn sort(&mut self) -> &[Neighbour] {
        self.sorted.clear();
        self.sorted.extend(self.heap.drain().map(|Reverse(neighbour)| neighbour));
        self.sorted.sort_unstable_by(|a, b| b.cmp(a));
        &self.sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fingerprints with few bits, so that there are many ties.
    fn rows() -> Vec<Fingerprint> {
        (0..2_000u64).map(|n| [n * n % 7, n % 5, n / 900, 0]).collect()
    }

    fn by_sorting(rows: &[Fingerprint], query: &Fingerprint, wanted: usize) -> Vec<u32> {
        let alike = |bits: &Fingerprint| {
            let common = common_ones(query, bits);
            f64::from(common) / f64::from((ones(query) + ones(bits) - common).max(1))
        };
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_by(|&a, &b| {
            alike(&rows[b as usize]).total_cmp(&alike(&rows[a as usize])).then(a.cmp(&b))
        });
        order.truncate(wanted);
        order
    }

    #[test]
    fn nearest_is_what_sorting_gives() {
        let rows = rows();
        for query in [[0; 4], [3, 1, 1, 0], [6, 4, 2, 9], [u64::MAX; 4]] {
            for wanted in [0, 1, 10, 1_999, 2_000, 3_000] {
                let mut scratch = Scratch::new(wanted);
                let found: Vec<u32> =
                    nearest(&rows, 0, &query, &mut scratch).iter().map(|n| n.row).collect();
                assert_eq!(found, by_sorting(&rows, &query, wanted), "{query:?}, {wanted} wanted");
            }
        }
    }
}
