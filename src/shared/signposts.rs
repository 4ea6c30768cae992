//! Signposts: where in a sorted array the keys of a stretch begin.
//!
//! The numbers that keys have ([`Key::prefix`](super::Key::prefix)) are divided, from the
//! least to the greatest, into stretches of one length, a power of two, some eight keys
//! to a stretch if they are spread evenly. The array of signposts holds the least number,
//! the length's power, and for each stretch its first key's place, then the number of
//! keys. A look-up reads two signposts, side by side, and searches one stretch: two or
//! three cache lines, where a binary search of ten million keys reads some twenty. Where
//! keys crowd in a few stretches, it is a binary search of these.

use std::ops::Range;

/// Keys to a stretch, if they are spread evenly.
const KEYS: u64 = 8;

/// Words before the places.
const HEAD: usize = 2;

/// How numbers are divided into stretches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretches {
    least: u64,
    shift: u32,
    /// How many there are.
    count: u64,
}

impl Stretches {
    /// For so many keys with numbers from `least` to `greatest`.
    pub(super) fn new(keys: u64, least: u64, greatest: u64) -> Self {
        let (wanted, span) = ((keys / KEYS).max(1), greatest.saturating_sub(least));
        let last = |shift| span.checked_shr(shift).unwrap_or(0);
        let shift = (0..u64::BITS).find(|shift| last(*shift) < wanted).unwrap_or(u64::BITS);
        Self { least, shift, count: last(shift) + 1 }
    }

    /// The stretch that a number from the least to the greatest is in.
    fn of(&self, prefix: u64) -> u64 {
        prefix.saturating_sub(self.least).checked_shr(self.shift).unwrap_or(0)
    }
}

/// Makes the signposts of keys that are told one by one, in their order.
pub(super) struct Builder {
    stretches: Stretches,
    /// Places that are written.
    written: u64,
    /// Keys that were told.
    keys: u64,
}

impl Builder {
    /// Begins, and writes what comes before the places.
    pub(super) fn new<E>(
        stretches: Stretches,
        write: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        write(stretches.least)?;
        write(stretches.shift.into())?;
        Ok(Self { stretches, written: 0, keys: 0 })
    }

    /// Takes the number of the next key, and writes the places that are known by it.
    pub(super) fn key<E>(
        &mut self,
        prefix: u64,
        write: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.write_until(self.stretches.of(prefix) + 1, write)?;
        self.keys += 1;
        Ok(())
    }

    /// Writes the places that are left.
    pub(super) fn finish<E>(
        mut self,
        write: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.write_until(self.stretches.count + 1, write)
    }

    fn write_until<E>(
        &mut self,
        places: u64,
        write: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.written < places {
            write(self.keys)?;
            self.written += 1;
        }
        Ok(())
    }
}

/// The signposts of keys whose numbers are these, sorted.
pub(super) fn of_sorted(prefixes: impl ExactSizeIterator<Item = u64> + Clone) -> Vec<u64> {
    let mut posts = Vec::new();
    let (Some(least), Some(greatest)) = (prefixes.clone().next(), prefixes.clone().last()) else {
        return posts;
    };
    let mut write = |post| {
        posts.push(post);
        Ok::<_, std::convert::Infallible>(())
    };
    let stretches = Stretches::new(prefixes.len() as u64, least, greatest);
    let Ok(mut builder) = Builder::new(stretches, &mut write);
    prefixes.for_each(|prefix| {
        let Ok(()) = builder.key(prefix, &mut write);
    });
    let Ok(()) = builder.finish(&mut write);
    posts
}

/// Where among the keys one with this number may be.
#[inline]
pub(super) fn window(posts: &[u64], prefix: u64) -> Range<usize> {
    let look = || {
        let ([least, shift], places) = posts.split_first_chunk::<HEAD>()?;
        let stretch = prefix.checked_sub(*least)?.checked_shr(*shift as u32).unwrap_or(0);
        let [start, end] = *places.get(usize::try_from(stretch).ok()?..)?.first_chunk::<2>()?;
        Some(start as usize..end as usize)
    };
    look().unwrap_or(0..0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds_all(prefixes: &[u64]) {
        let posts = of_sorted(prefixes.iter().copied());
        assert!(posts.len() <= prefixes.len() / KEYS as usize + 4, "{}", posts.len());
        for (at, prefix) in prefixes.iter().enumerate() {
            assert!(window(&posts, *prefix).contains(&at), "{prefix} of {prefixes:?}: {posts:?}");
        }
        for absent in [0, 1, 77, u64::MAX] {
            let window = window(&posts, absent);
            assert!(prefixes.get(window).is_some(), "it is a range of the keys");
        }
    }

    #[test]
    fn keys_that_crowd_are_found() {
        finds_all(&[]);
        finds_all(&[0]);
        finds_all(&[u64::MAX]);
        finds_all(&[0, u64::MAX]);
        finds_all(&[5; 100]);
        finds_all(&(0..100).chain([u64::MAX]).collect::<Vec<_>>());
        finds_all(&(0..64).map(|bit| 1 << bit).collect::<Vec<_>>());
    }

    #[test]
    fn spread_keys_are_searched_in_small_stretches() {
        let prefixes: Vec<u64> = (0..10_000).map(|n| n * 0x0006_0000_0000_0001).collect();
        let posts = of_sorted(prefixes.iter().copied());
        let most = prefixes.iter().map(|prefix| window(&posts, *prefix).len()).max();
        assert!(most <= Some(2 * KEYS as usize), "{most:?}");
    }

    proptest! {
        #[test]
        fn every_key_is_in_its_window(
            mut prefixes in prop::collection::vec(prop_oneof![any::<u64>(), 0..50_u64], 0..200)
        ) {
            prefixes.sort_unstable();
            finds_all(&prefixes);
        }
    }
}
