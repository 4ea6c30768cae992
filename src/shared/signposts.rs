//! Signposts: where in a sorted array the keys of a stretch begin.
//!
//! The numbers that keys have ([`Key::prefix`](super::Key::prefix)) are divided into
//! stretches of one length, a power of two, some eight keys to a stretch if they are spread
//! evenly. A look-up reads two signposts, side by side, and searches one stretch: two or
//! three cache lines, where a binary search of ten million keys reads some twenty.
//!
//! Keys are not always spread evenly. So the numbers are first cut into *segments* with about
//! as many keys each, which have stretches of their own length; a look-up finds its segment by a
//! binary search of a few KiB. How many there are is chosen by what look-ups would cost: one, with
//! nothing to find, for keys that are spread evenly. To choose, a sample of the keys is enough,
//! and it does not show a few keys that are far from all others: these are in the first stretch or
//! the last, whatever lies between, and spoil nothing.
//!
//! Where keys crowd all the same, as texts do, whose letters are few of all bytes there are, a
//! stretch has many keys. It is searched by *marks* then, the numbers of every 32nd key: these lie
//! close together, so that a look-up waits for memory less often than a binary search of the
//! keys themselves.
//!
//! The array of signposts:
//!
//! ```text
//! number of segments
//! for each segment: its least number, the power of its stretches' length, the place of its
//!     first stretch among all, the number of its stretches less one
//! for each stretch its first key's place, then the number of keys
//! ```
//!
//! It follows from the keys alone, in whatever order they were sampled.

use std::ops::Range;

/// Keys to a stretch, if they are spread evenly.
const KEYS: u64 = 8;

/// A key in so many has a mark.
pub(super) const MARKED: usize = 32;

/// Words of a segment.
const SEGMENT: usize = 4;

/// How many segments there may be.
const SEGMENTS: [u64; 3] = [1, 16, 128];

/// There are as many keys to a segment at the least.
const SEGMENT_KEYS: u64 = 64;

/// And so many of the sample.
const SEGMENT_SAMPLES: u64 = 4;

/// The most numbers that are kept while keys are sampled, and half of it at the end.
const KEPT: usize = 8 << 10;

/// Some of the numbers of keys, each once.
///
/// A number is in the sample if its hash is small enough, and the bound is as large as can
/// be for the sample to be small. So it depends on which numbers there are, and neither on their
/// order nor on how often they come.
#[derive(Default)]
pub(super) struct Sample {
    keys: u64,
    kept: Vec<u64>,
    halvings: u32,
}

impl Sample {
    #[inline]
    pub(super) fn add(&mut self, prefix: u64) {
        self.keys += 1;
        if hash(prefix) <= u64::MAX >> self.halvings {
            self.keep(prefix);
        }
    }

    fn keep(&mut self, prefix: u64) {
        self.kept.push(prefix);
        if self.kept.len() == KEPT {
            self.thin();
        }
    }

    /// Has each once, and no more than half of what may be kept.
    fn thin(&mut self) {
        self.kept.sort_unstable();
        self.kept.dedup();
        while self.kept.len() > KEPT / 2 {
            self.halvings += 1;
            let most = u64::MAX.checked_shr(self.halvings).unwrap_or(0);
            self.kept.retain(|prefix| hash(*prefix) <= most);
        }
    }

    /// The segments that make look-ups cheapest; none, if there are no keys.
    pub(super) fn segments(mut self) -> Segments {
        self.thin();
        let Self { keys, mut kept, .. } = self;
        if kept.is_empty() && keys > 0 {
            // Few distinct numbers, none with a small hash.
            kept.push(0);
        }
        let samples = kept.len() as u64;
        let possible = |count: &u64| {
            *count == 1 || (count * SEGMENT_KEYS <= keys && count * SEGMENT_SAMPLES <= samples)
        };
        let cut =
            SEGMENTS.into_iter().filter(possible).map(|count| Segments::cut(&kept, keys, count));
        cut.min_by_key(|segments| segments.cost(&kept, keys)).unwrap_or_default()
    }
}

/// Numbers that look random, different for different ones (after Fibonacci hashing).
#[inline]
fn hash(prefix: u64) -> u64 {
    (prefix ^ prefix >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// How numbers are divided into stretches.
#[derive(Default)]
pub(super) struct Segments {
    all: Vec<[u64; SEGMENT]>,
    /// Stretches there are.
    stretches: u64,
}

impl Segments {
    /// So many segments with about as many samples each, which are sorted.
    fn cut(samples: &[u64], keys: u64, count: u64) -> Self {
        let mut cut = Self::default();
        let Some(greatest) = samples.last() else { return cut };
        let start = |at: u64| (at * samples.len() as u64 / count) as usize;
        for at in 0..count {
            let (least, next) = (samples[start(at)], samples.get(start(at + 1)));
            let span = next.map_or(*greatest, |next| next - 1) - least;
            let wanted = (keys / count / KEYS).max(1);
            let last = |shift| span.checked_shr(shift).unwrap_or(0);
            let shift = (0..u64::BITS).find(|shift| last(*shift) < wanted).unwrap_or(u64::BITS);
            cut.all.push([least, shift.into(), cut.stretches, last(shift)]);
            cut.stretches += last(shift) + 1;
        }
        cut
    }

    /// What look-ups cost, for comparison: halves of a step, for all samples together.
    fn cost(&self, samples: &[u64], keys: u64) -> u64 {
        let each = keys / (samples.len() as u64).max(1);
        let same = |a: &u64, b: &u64| self.stretch(*a) == self.stretch(*b);
        // To find the segment is half as much as to find the key, which is seldom in the cache.
        let find_segment = samples.len() as u64 * u64::from(self.all.len().ilog2());
        let in_one = |crowd: &[u64]| {
            let keys = KEYS + (crowd.len() as u64 - 1) * each;
            2 * crowd.len() as u64 * u64::from(keys.ilog2())
        };
        find_segment + samples.chunk_by(same).map(in_one).sum::<u64>()
    }

    /// The stretch that a number is in.
    fn stretch(&self, prefix: u64) -> Option<u64> {
        stretch(&self.all, prefix)
    }
}

/// The stretch of a segment that a number is in, or is nearest to, among those of all.
#[inline]
fn within([least, shift, first, last]: &[u64; SEGMENT], prefix: u64) -> u64 {
    let within = prefix.saturating_sub(*least).checked_shr(*shift as u32).unwrap_or(0);
    // In a damaged file anything may come of it.
    first.wrapping_add(within.min(*last))
}

/// The same, where there are several segments.
fn stretch(segments: &[[u64; SEGMENT]], prefix: u64) -> Option<u64> {
    let at = segments.partition_point(|[least, ..]| *least <= prefix).saturating_sub(1);
    Some(within(segments.get(at)?, prefix))
}

/// The stretch that a number is in, where signposts begin with `count` segments, and the places.
#[inline(never)]
fn among(count: u64, rest: &[u64], prefix: u64) -> Option<(u64, &[u64])> {
    let words = usize::try_from(count).ok()?.checked_mul(SEGMENT)?;
    let (segments, places) = rest.split_at_checked(words)?;
    Some((stretch(segments.as_chunks().0, prefix)?, places))
}

/// Makes the signposts of keys that are told one by one, in their order.
pub(super) struct Builder {
    segments: Segments,
    /// Places that are written.
    written: u64,
    /// Keys that were told.
    keys: u64,
}

impl Builder {
    /// Begins, and writes what comes before the places.
    pub(super) fn new<E>(
        segments: Segments,
        write: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        write(segments.all.len() as u64)?;
        segments.all.iter().flatten().try_for_each(|word| write(*word))?;
        Ok(Self { segments, written: 0, keys: 0 })
    }

    /// Takes the number of the next key, and writes the places that are known by it.
    pub(super) fn key<E>(
        &mut self,
        prefix: u64,
        write: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let stretch = self.segments.stretch(prefix).unwrap_or(0);
        self.write_until(stretch + 1, write)?;
        self.keys += 1;
        Ok(())
    }

    /// Writes the places that are left.
    pub(super) fn finish<E>(
        mut self,
        write: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.write_until(self.segments.stretches + 1, write)
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

/// The signposts of keys whose numbers are these, sorted; nothing, if there are none.
pub(super) fn of_sorted(prefixes: impl Iterator<Item = u64> + Clone) -> Vec<u64> {
    let mut posts = Vec::new();
    let mut sample = Sample::default();
    prefixes.clone().for_each(|prefix| sample.add(prefix));
    if sample.keys == 0 {
        return posts;
    }
    let mut write = |post| {
        posts.push(post);
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(mut builder) = Builder::new(sample.segments(), &mut write);
    prefixes.for_each(|prefix| {
        let Ok(()) = builder.key(prefix, &mut write);
    });
    let Ok(()) = builder.finish(&mut write);
    posts
}

/// Where among the keys of a window one with this number may be, if it is a large one.
#[inline]
pub(super) fn narrowed(marks: &[u64], window: Range<usize>, prefix: u64) -> Range<usize> {
    if window.len() <= 2 * MARKED { window } else { narrow(marks, window, prefix) }
}

#[inline(never)]
fn narrow(marks: &[u64], window: Range<usize>, prefix: u64) -> Range<usize> {
    let first = window.start.div_ceil(MARKED);
    let Some(within) = marks.get(first..window.end.div_ceil(MARKED)) else { return 0..0 };
    let below = within.partition_point(|mark| *mark < prefix);
    let rest = &within[below..];
    let equal = match rest {
        [next, ..] if *next == prefix => rest.partition_point(|mark| *mark == prefix),
        _ => 0,
    };
    // The key at the last mark below is less, and that at the next above is greater.
    let start = (first + below).checked_sub(1).map_or(0, |last| last * MARKED + 1);
    let end = (first + below + equal) * MARKED;
    start.max(window.start)..end.min(window.end)
}

/// Where among the keys one with this number may be.
#[inline]
pub(super) fn window(posts: &[u64], prefix: u64) -> Range<usize> {
    let look = || {
        let (stretch, places) = match posts {
            [1, least, shift, first, last, places @ ..] => {
                (within(&[*least, *shift, *first, *last], prefix), places)
            }
            [count, rest @ ..] => among(*count, rest, prefix)?,
            [] => return None,
        };
        let [start, end] = *places.get(usize::try_from(stretch).ok()?..)?.first_chunk::<2>()?;
        Some(start as usize..end as usize)
    };
    look().unwrap_or(0..0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds_all(prefixes: &[u64]) -> Vec<u64> {
        let posts = of_sorted(prefixes.iter().copied());
        let most = prefixes.len() / KEYS as usize + prefixes.len() / 12 + 8;
        assert!(posts.len() <= most, "{} for {} keys", posts.len(), prefixes.len());
        for (at, prefix) in prefixes.iter().enumerate() {
            assert!(window(&posts, *prefix).contains(&at), "{prefix} of {prefixes:?}: {posts:?}");
        }
        for absent in [0, 1, 77, u64::MAX] {
            let window = window(&posts, absent);
            assert!(prefixes.get(window).is_some(), "it is a range of the keys");
        }
        // Every run of equal numbers is found as a whole, and so is the place of one that is
        // not there; a crowd is searched in no more than two marks' keys beside.
        let marks: Vec<_> = prefixes.iter().copied().step_by(MARKED).collect();
        let mut looked_for: Vec<u64> = prefixes.to_vec();
        looked_for.dedup();
        for prefix in looked_for.iter().flat_map(|n| [*n, n.wrapping_add(1)]) {
            let found = narrowed(&marks, window(&posts, prefix), prefix);
            let start = prefixes.partition_point(|other| *other < prefix);
            let equal = prefixes[start..].partition_point(|other| *other == prefix);
            assert!(found.len() <= equal + 2 * MARKED, "{prefix}: {found:?}");
            assert!(equal == 0 || found.start <= start && found.end >= start + equal, "{prefix}");
        }
        posts
    }

    /// Keys that a look-up searches, and halvings of them, on average.
    fn searched(mut prefixes: Vec<u64>) -> (f64, f64, u64) {
        prefixes.sort_unstable();
        let posts = finds_all(&prefixes);
        let windows = prefixes.iter().map(|prefix| window(&posts, *prefix).len() as f64);
        let count = prefixes.len() as f64;
        let steps = windows.clone().map(f64::log2).sum::<f64>() / count;
        (windows.sum::<f64>() / count, steps, posts[0])
    }

    /// Numbers that look random.
    fn random(n: u64) -> u64 {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 29
    }

    const MANY: u64 = 200_000;

    #[test]
    fn keys_that_crowd_are_found() {
        finds_all(&[]);
        finds_all(&[0]);
        finds_all(&[u64::MAX]);
        finds_all(&[0, u64::MAX]);
        finds_all(&[5; 100]);
        finds_all(&[5; 2 * KEPT]);
        finds_all(&(0..100).chain([u64::MAX]).collect::<Vec<_>>());
        finds_all(&(0..64).map(|bit| 1 << bit).collect::<Vec<_>>());
    }

    #[test]
    fn spread_keys_are_searched_in_small_stretches_without_segments() {
        let (keys, _, segments) = searched((0..MANY).map(|n| n * 0x0000_5000_0000_0001).collect());
        assert!(keys < 16.0 && segments == 1, "{keys}, {segments}");
        let (keys, steps, segments) = searched((0..MANY).map(random).collect());
        assert!(keys < 16.0 && steps < 4.0 && segments == 1, "{keys}, {steps}, {segments}");
        let (keys, _, segments) = searched((7..1_000).collect());
        assert!(keys < 16.0 && segments == 1, "{keys}, {segments}");
    }

    #[test]
    fn a_few_that_are_far_from_all_others_spoil_nothing() {
        let words = (0..MANY).map(|n| random(n) >> 22);
        let (_, even, _) = searched(words.clone().collect());
        for far in [vec![u64::MAX], vec![1 << 60, u64::MAX - 1, u64::MAX]] {
            let (_, steps, segments) = searched(words.clone().chain(far).collect());
            assert!(steps < even + 0.1 && segments == 1, "{steps}, {even} before, {segments}");
        }
        // Where there are so few keys that the sample has all of them.
        let (_, steps, _) = searched((0..2_000).chain([u64::MAX]).collect());
        assert!(steps < 4.5, "{steps}");
    }

    #[test]
    fn keys_in_clusters_are_searched_in_segments() {
        // Of a binary search, 17.6.
        let texts = |n: u64| {
            (0..8).fold(0, |all, at| {
                all << 8 | u64::from(b"ACGT"[(random(n) >> (2 * at) & 3) as usize])
            })
        };
        let (_, steps, segments) = searched((0..MANY).map(texts).collect());
        assert!(steps < 9.5 && segments > 1, "{steps}, {segments}");
        let places = |n: u64| (n % 24) << 32 | random(n) >> 36;
        let (_, steps, segments) = searched((0..MANY).map(places).collect());
        // With a gap of fifteen times its length behind each cluster, a segment costs as much.
        assert!(steps < 7.5, "{steps}, {segments}");
        // Half of all keys close together at either end, with nothing between.
        let (_, steps, _) = searched((0..MANY).map(|n| if n % 2 == 0 { n } else { !n }).collect());
        assert!(steps < 5.0, "{steps}");
        let (_, steps, _) =
            searched((0..MANY).map(|n| 1_u64 << (n % 60) | random(n) >> 44).collect());
        assert!(steps < 12.0, "{steps}");
    }

    #[test]
    fn the_segments_do_not_depend_on_the_order_nor_on_how_often_a_key_comes() {
        let segments = |numbers: &mut dyn Iterator<Item = u64>| {
            let mut sample = Sample::default();
            numbers.for_each(|n| sample.add(random(n) >> 20));
            sample.thin();
            (sample.kept, sample.halvings)
        };
        let (kept, halvings) = segments(&mut (0..MANY));
        assert!(kept.len() > KEPT / 8 && kept.len() <= KEPT / 2, "{}", kept.len());
        assert_eq!(segments(&mut (0..MANY).rev()), (kept.clone(), halvings));
        assert_eq!(
            segments(&mut (0..MANY).chain((0..900).cycle().take(MANY as usize))),
            (kept, halvings)
        );
    }

    proptest! {
        #[test]
        fn every_key_is_in_its_window(
            clusters in prop::collection::vec((any::<u64>(), 0..64_u32, 1..300_u64), 0..12),
        ) {
            let cluster = |(start, shift, count): (u64, u32, u64)| {
                (0..count).map(move |n| start.wrapping_add(random(start ^ n) >> shift))
            };
            let mut prefixes: Vec<u64> = clusters.into_iter().flat_map(cluster).collect();
            prefixes.sort_unstable();
            finds_all(&prefixes);
        }
    }
}
