//! Times and sizes for items that are made up, as those of real ones were spread.

use crate::report::Spread;

/// More parts of a spread than these say no more.
const MOST_PARTS: f64 = 65_536.0;

/// Values for ranks from 0 to 1, in rising order.
#[derive(Clone, Debug)]
pub(super) struct Table(Vec<f64>);

impl Table {
    pub(super) fn same(value: f64) -> Self {
        Self(vec![value])
    }

    /// For `count` items as in `spread`, but with `mean`, where something was counted.
    pub(super) fn with_mean(spread: &Spread, count: f64, mean: f64) -> Self {
        let known = spread.mean();
        if known <= 0.0 {
            return Self::same(mean);
        }
        let parts = spread.parts(count.ceil().clamp(1.0, MOST_PARTS) as usize);
        Self(parts.into_iter().map(|value| value * mean / known).collect())
    }

    /// Sizes for `count` items as in `spread`, the largest among them; `fallback` for all,
    /// where nothing was counted.
    pub(super) fn of_sizes(spread: &Spread, count: f64, fallback: u64) -> Self {
        let Some((largest, _)) = spread.classes.last() else {
            return Self::same(fallback as f64);
        };
        let mut parts = spread.parts(count.ceil().clamp(1.0, MOST_PARTS) as usize);
        if let Some(last) = parts.last_mut() {
            *last = *largest as f64;
        }
        Self(parts)
    }

    pub(super) fn at(&self, rank: f64) -> f64 {
        let place = (rank * self.0.len() as f64) as usize;
        self.0[place.min(self.0.len() - 1)]
    }
}

/// Ranks that are spread evenly, in an order that looks random and is always the same.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    order: Vec<u32>,
    next: usize,
    /// How many items in a row share a rank, as those did that were timed together.
    together: f64,
    left: f64,
    rank: f64,
}

impl Ranks {
    /// For `count` items, `together` of them at a time; another order for each `seed`.
    pub(super) fn new(count: f64, together: f64, seed: u64) -> Self {
        let parts = (count / together).ceil().clamp(1.0, MOST_PARTS) as u32;
        let mut order: Vec<u32> = (0..parts).collect();
        let mut state = seed;
        for last in (1..order.len()).rev() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            order.swap(last, (mix(state) % (last as u64 + 1)) as usize);
        }
        Self { order, next: 0, together, left: 0.0, rank: 0.0 }
    }

    pub(super) fn draw(&mut self) -> f64 {
        while self.left < 1.0 {
            self.left += self.together;
            self.rank = (f64::from(self.order[self.next]) + 0.5) / self.order.len() as f64;
            self.next = (self.next + 1) % self.order.len();
        }
        self.left -= 1.0;
        self.rank
    }
}

/// As splitmix64 does (Sebastiano Vigna).
fn mix(state: u64) -> u64 {
    let a = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

/// Whole numbers whose sum is that of the fractions they stand for, less than one off.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carry(f64);

impl Carry {
    pub(super) fn whole(&mut self, value: f64) -> u64 {
        // A little more than nothing, so that what adds up to a whole is one.
        self.0 += value + 1e-9;
        let whole = self.0.floor().max(0.0);
        self.0 -= whole;
        whole as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deck_deals_each_rank_once_and_keeps_the_mean() {
        let spread = Spread { classes: vec![(10, 90), (1_000, 10)], loops: 100 };
        let table = Table::with_mean(&spread, 50.0, 218.0);
        let mut ranks = Ranks::new(50.0, 1.0, 7);
        let mut dealt: Vec<f64> = (0..50).map(|_| table.at(ranks.draw())).collect();
        assert!(!dealt.is_sorted(), "they are shuffled");
        assert!((dealt.iter().sum::<f64>() / 50.0 - 218.0).abs() < 1e-6);
        dealt.sort_by(f64::total_cmp);
        assert!((dealt[44] - 20.0).abs() < 1e-6 && (dealt[45] - 2_000.0).abs() < 1e-6);
    }

    #[test]
    fn neighbours_share_a_rank_as_they_shared_a_loop() {
        let mut ranks = Ranks::new(100.0, 2.5, 1);
        let dealt: Vec<f64> = (0..100).map(|_| ranks.draw()).collect();
        let runs = dealt.chunk_by(|a, b| a == b).count();
        assert_eq!(runs, 40);
    }

    #[test]
    fn the_largest_size_is_among_them() {
        let spread = Spread { classes: vec![(1, 1_000), (500, 1)], loops: 1_001 };
        let table = Table::of_sizes(&spread, 10.0, 0);
        assert_eq!((table.at(0.0), table.at(0.999)), (1.0, 500.0));
        assert_eq!(Table::of_sizes(&Spread::default(), 10.0, 24).at(0.3), 24.0);
    }

    #[test]
    fn fractions_add_up() {
        let mut carry = Carry::default();
        let sum: u64 = (0..1_000).map(|_| carry.whole(0.3)).sum();
        assert_eq!(sum, 300);
    }
}
