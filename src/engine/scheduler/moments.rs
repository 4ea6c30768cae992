//! Whether calls that work on more bytes take longer.

use super::Nanos;

/// Sums over steps, each by what it came to for an item.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    steps: f64,
    bytes: f64,
    nanos: f64,
    bytes_squared: f64,
    nanos_squared: f64,
    product: f64,
}

impl Moments {
    /// A step over `items` that held `bytes` took `nanos`.
    pub(super) fn note(&mut self, items: u64, bytes: u64, nanos: Nanos) {
        let each = 1.0 / items.max(1) as f64;
        let (bytes, nanos) = (bytes as f64 * each, nanos as f64 * each);
        self.steps += 1.0;
        self.bytes += bytes;
        self.nanos += nanos;
        self.bytes_squared += bytes * bytes;
        self.nanos_squared += nanos * nanos;
        self.product += bytes * nanos;
    }

    /// The correlation of bytes and time, none taken for zero: from 0 to 1.
    pub(super) fn correlation(&self) -> f64 {
        let Self { steps, bytes, nanos, .. } = self;
        let spread = |sum: f64, squares: f64| {
            let variance = steps * squares - sum * sum;
            // Below that it is what rounding left of equal numbers.
            if variance > 1e-9 * sum * sum { variance } else { 0.0 }
        };
        let both = spread(*bytes, self.bytes_squared) * spread(*nanos, self.nanos_squared);
        if both > 0.0 {
            ((steps * self.product - bytes * nanos) / both.sqrt()).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlation(steps: impl IntoIterator<Item = (u64, u64, u64)>) -> f64 {
        let mut moments = Moments::default();
        steps.into_iter().for_each(|(items, bytes, nanos)| moments.note(items, bytes, nanos));
        moments.correlation()
    }

    #[test]
    fn time_that_follows_bytes_is_told_from_time_that_does_not() {
        let linear = (1..100).map(|size| (1, size << 20, 5 + 3 * size));
        assert!((correlation(linear) - 1.0).abs() < 1e-6);
        let against = (1..100).map(|size| (1, size, 1_000 - size));
        assert_eq!(correlation(against), 0.0);
        let neither = (0..100).map(|step| (1, 1 + step % 2, 1 + step / 2 % 2));
        assert!(correlation(neither) < 0.01);
    }

    #[test]
    fn longer_parcels_of_equal_items_are_no_sign() {
        assert_eq!(correlation((1..100).map(|items| (items, 8 * items, 100 * items))), 0.0);
        assert_eq!(correlation([]), 0.0);
    }
}
