//! Cutting rows into blocks: pure.

use std::ops::Range;

/// Halvings of the distance between the most that a block may take and what an even cut
/// would come to.
const HALVINGS: u32 = 8;

/// A row that no block has room for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub(super) row: usize,
    pub(super) bytes: u64,
}

/// Cuts `rows` rows into as few ranges as can be, none of more than `most` bytes, and makes
/// these about equally large. No rows are one range.
///
/// `before(row)` is the bytes of all rows before one, and never falls. It is asked some
/// thirty times for each range and each halving.
pub(super) fn cut(
    rows: usize,
    before: &dyn Fn(usize) -> u64,
    most: u64,
) -> Result<Vec<Range<usize>>, TooLarge> {
    let mut best = greedy(rows, before, most)?;
    let fewest = best.len();
    // With a lower bound for each, the first blocks leave the last one less to be short of.
    let (mut short, mut enough) = (before(rows) / fewest as u64, most);
    for _ in 0..HALVINGS {
        let middle = short + enough.saturating_sub(short) / 2;
        match greedy(rows, before, middle) {
            Ok(cut) if cut.len() == fewest => (best, enough) = (cut, middle),
            _ => short = middle,
        }
    }
    Ok(best)
}

/// Fills one range after the other: no way to cut takes fewer.
fn greedy(
    rows: usize,
    before: &dyn Fn(usize) -> u64,
    most: u64,
) -> Result<Vec<Range<usize>>, TooLarge> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < rows {
        let base = before(start);
        let fits = |end: usize| before(end).saturating_sub(base) <= most;
        let end = last_that(start..rows, fits);
        if end == start {
            return Err(TooLarge { row: start, bytes: before(start + 1).saturating_sub(base) });
        }
        ranges.push(start..end);
        start = end;
    }
    if ranges.is_empty() {
        ranges.push(0..0);
    }
    Ok(ranges)
}

/// The last number from the range's start to its end that `fits`, where all up to it do.
fn last_that(range: Range<usize>, fits: impl Fn(usize) -> bool) -> usize {
    let Range { start: mut good, end: mut last } = range;
    while good < last {
        let middle = good + (last - good).div_ceil(2);
        if fits(middle) { good = middle } else { last = middle - 1 }
    }
    good
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one block is a list of one range")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn even(rows: usize, most: u64) -> Result<Vec<Range<usize>>, TooLarge> {
        cut(rows, &|row| 10 * row as u64, most)
    }

    #[test]
    fn blocks_are_few_and_even() {
        assert_eq!(even(8, 80), Ok(vec![0..8]));
        assert_eq!(even(8, 79), Ok(vec![0..4, 4..8]));
        assert_eq!(even(9, 39), Ok(vec![0..3, 3..6, 6..9]));
        assert_eq!(even(3, 19), Ok(vec![0..1, 1..2, 2..3]));
    }

    #[test]
    fn no_rows_are_one_block_and_a_large_row_is_told() {
        assert_eq!(even(0, 0), Ok(vec![0..0]));
        assert_eq!(even(3, 9), Err(TooLarge { row: 0, bytes: 10 }));
        let last = |row: usize| if row == 3 { 500 } else { row as u64 };
        assert_eq!(cut(3, &last, 400), Err(TooLarge { row: 2, bytes: 498 }));
        assert_eq!(cut(5, &|_| 0, 0), Ok(vec![0..5]), "rows of nothing fit anywhere");
    }

    /// The fewest ranges of at most `most`, found by looking at all ways to cut.
    fn fewest(weights: &[u64], most: u64) -> usize {
        let mut fewest = vec![0; weights.len() + 1];
        for end in 1..=weights.len() {
            let starts = (0..end).filter(|start| weights[*start..end].iter().sum::<u64>() <= most);
            fewest[end] = starts.map(|start| fewest[start] + 1).min().expect("each row fits");
        }
        fewest[weights.len()].max(1)
    }

    proptest! {
        #[test]
        fn a_cut_is_whole_within_bounds_and_as_short_as_can_be(
            weights in prop::collection::vec(0..50_u64, 0..40),
            most in 50..400_u64,
        ) {
            let before = |row: usize| weights[..row].iter().sum::<u64>();
            let blocks = cut(weights.len(), &before, most).expect("each row fits");
            prop_assert_eq!(blocks[0].start, 0);
            prop_assert_eq!(blocks[blocks.len() - 1].end, weights.len());
            prop_assert!(blocks.windows(2).all(|two| two[0].end == two[1].start));
            prop_assert!(blocks.iter().all(|b| weights[b.clone()].iter().sum::<u64>() <= most));
            prop_assert_eq!(blocks.len(), fewest(&weights, most));
        }
    }
}
