//! How something was spread over items: a histogram that nobody counts into any more.

/// Values and how many items had each, in rising order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) classes: Vec<(u64, u64)>,
    /// How many loops over items were counted.
    pub(crate) loops: u64,
}

impl Spread {
    /// Items that were counted.
    pub(crate) fn items(&self) -> u64 {
        self.classes.iter().map(|(_, count)| count).sum()
    }

    /// How many items were counted together, on average; at least one.
    pub(crate) fn together(&self) -> f64 {
        (self.items() as f64 / self.loops.max(1) as f64).max(1.0)
    }

    /// The mean over all items; zero if there were none.
    pub(crate) fn mean(&self) -> f64 {
        let sums = self.classes.iter().map(|(value, count)| *value as f64 * *count as f64);
        sums.sum::<f64>() / self.items().max(1) as f64
    }

    /// So many values in rising order that stand for equal parts of the items: each is the
    /// mean of its part, so all together have the mean of all items, however long the tail.
    pub(crate) fn parts(&self, parts: usize) -> Vec<f64> {
        let each = self.items() as f64 / parts as f64;
        let mut classes = self.classes.iter();
        let (mut value, mut left) = (0.0, 0.0);
        let mut next_part = || {
            let (mut sum, mut wanted) = (0.0, each);
            while wanted > left {
                let Some(class) = classes.next() else { break };
                sum += value * left;
                wanted -= left;
                (value, left) = (class.0 as f64, class.1 as f64);
            }
            // What rounding took off the last class is made up for.
            left = f64::max(left - wanted, 0.0);
            (sum + value * wanted) / each
        };
        if each > 0.0 { (0..parts).map(|_| next_part()).collect() } else { vec![0.0; parts] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_means_of_equal_shares() {
        let spread = Spread { classes: vec![(1, 2), (4, 1), (10, 1)], loops: 2 };
        assert_eq!((spread.items(), spread.together(), spread.mean()), (4, 2.0, 4.0));
        assert_eq!(spread.parts(4), [1.0, 1.0, 4.0, 10.0]);
        assert_eq!(spread.parts(2), [1.0, 7.0]);
        assert_eq!(spread.parts(8), [1.0, 1.0, 1.0, 1.0, 4.0, 4.0, 10.0, 10.0]);
        assert_eq!(Spread::default().parts(3), [0.0; 3]);
    }

    proptest! {
        #[test]
        fn parts_rise_and_keep_the_mean(
            mut values in prop::collection::vec((0..1u64 << 40, 1..1_000u64), 1..50),
            parts in 1..200usize,
        ) {
            values.sort_unstable();
            let spread = Spread { classes: values, loops: 1 };
            let all = spread.parts(parts);
            prop_assert!(all.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-9)));
            let mean = all.iter().sum::<f64>() / parts as f64;
            prop_assert!((mean - spread.mean()).abs() <= 1e-6 * spread.mean().max(1.0));
        }
    }
}
