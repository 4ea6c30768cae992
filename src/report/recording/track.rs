//! What one thread did, and when.

/// What a thread was at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Where {
    Source,
    Stage(u16),
    Sink,
}

impl Where {
    /// The stage at `index`, of which a plan has no more than fit.
    pub(crate) fn stage(index: usize) -> Self {
        Self::Stage(u16::try_from(index).unwrap_or(u16::MAX))
    }
}

/// A time that a thread was at one place; or several, merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) place: Where,
    /// Loops over parcels that it stands for.
    pub(crate) loops: u32,
    /// Nanoseconds since the run began.
    pub(crate) begun: u64,
    /// Nanoseconds, the gaps between merged spans not counted.
    pub(crate) lasted: u64,
    pub(crate) items: u64,
}

/// The spans of one thread, in order and without overlaps.
///
/// Time is cut in cells, whose width is a power of two: spans of one place that begin in
/// one cell are one. Cells are a nanosecond wide at first; when there are too many spans,
/// they grow until half as many are left. So the whole of a run stays visible, the first
/// second of an hour as coarsely as the last.
#[derive(Debug)]
pub(crate) struct Track {
    /// The thread's name.
    pub(crate) thread: String,
    spans: Vec<Span>,
    most: usize,
    cell_bits: u32,
}

impl Track {
    /// For a thread that keeps `most` spans: more than twice as many as there are places.
    pub(crate) fn new(most: usize) -> Self {
        Self { thread: String::new(), spans: Vec::new(), most, cell_bits: 0 }
    }

    /// Adds what the thread did from `begun` to `ended`, later than all it has.
    pub(crate) fn add(&mut self, place: Where, items: u64, begun: u64, ended: u64) {
        if self.spans.len() >= self.most {
            self.coarsen(begun);
        }
        let lasted = ended.saturating_sub(begun);
        self.put(Span { place, loops: 1, begun, lasted, items });
    }

    fn put(&mut self, span: Span) {
        let cell = |span: &Span| span.begun >> self.cell_bits;
        let wanted = cell(&span);
        let mut same_cell = self.spans.iter_mut().rev().take_while(|old| cell(old) == wanted);
        match same_cell.find(|old| old.place == span.place) {
            Some(old) => {
                old.loops = old.loops.saturating_add(span.loops);
                old.lasted += span.lasted;
                old.items += span.items;
            }
            None => self.spans.push(span),
        }
    }

    /// Halves the spans, the last of which began before `now`.
    fn coarsen(&mut self, now: u64) {
        // With so few cells it can come true.
        let least = (now / (self.most as u64 / 2).max(1)).max(1).ilog2();
        self.cell_bits = least.max(self.cell_bits);
        while self.spans.len() > self.most / 2 && self.cell_bits < u64::BITS - 1 {
            self.cell_bits += 1;
            for span in std::mem::take(&mut self.spans) {
                self.put(span);
            }
        }
    }

    /// How many spans there are.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Nanoseconds within which what the thread did at one place is one span.
    pub(crate) fn resolution(&self) -> u64 {
        1 << self.cell_bits
    }

    /// The spans, one after the other: those that were merged follow each other from
    /// where the first of their cell began. They end no later than what they stand for.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        let mut free = 0;
        self.spans.iter().map(move |span| {
            let begun = span.begun.max(free);
            free = begun + span.lasted;
            Span { begun, ..*span }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of each place: loops, time, items.
    fn sums(spans: impl Iterator<Item = Span>) -> [(u32, u64, u64); 4] {
        let mut sums = [(0, 0, 0); 4];
        for span in spans {
            let sum = &mut sums[match span.place {
                Where::Source => 0,
                Where::Stage(stage) => 1 + usize::from(stage),
                Where::Sink => 3,
            }];
            *sum = (sum.0 + span.loops, sum.1 + span.lasted, sum.2 + span.items);
        }
        sums
    }

    const PLACES: [Where; 4] = [Where::Source, Where::Stage(0), Where::Stage(1), Where::Sink];

    #[test]
    fn a_track_with_room_keeps_every_span_as_it_was() {
        let mut track = Track::new(10);
        track.add(Where::Source, 3, 5, 9);
        track.add(Where::Stage(1), 3, 9, 12);
        let told: Vec<_> =
            track.spans().map(|span| (span.place, span.begun, span.lasted)).collect();
        assert_eq!(told, [(Where::Source, 5, 4), (Where::Stage(1), 9, 3)]);
        assert_eq!(track.resolution(), 1);
    }

    proptest! {
        #[test]
        fn a_full_track_still_tells_the_whole_run(
            deeds in prop::collection::vec((0..4usize, 0..1_000u64, 0..100_000u64), 1..2_000),
            most in 10..40usize,
        ) {
            let (mut track, mut at, mut all) = (Track::new(most), 0, Vec::new());
            for (place, gap, lasted) in deeds {
                let (begun, items) = (at + gap, lasted % 7);
                at = begun + lasted;
                track.add(PLACES[place], items, begun, at);
                all.push(Span { place: PLACES[place], loops: 1, begun, lasted, items });
                prop_assert!(track.len() <= most);
            }
            prop_assert_eq!(sums(track.spans()), sums(all.iter().copied()), "nothing is lost");
            let mut free = 0;
            for span in track.spans() {
                prop_assert!(span.begun >= free, "they do not overlap");
                free = span.begun + span.lasted;
            }
            prop_assert!(free <= at, "they end with the run");
            // What began in a cell is told where it began, or as much later as the thread
            // was busy with what began there before.
            let cell = track.resolution();
            let busy_by = |spans: &mut dyn Iterator<Item = Span>, until: u64| -> u64 {
                spans.filter(|span| span.begun < until).map(|span| span.lasted).sum()
            };
            for edge in all.iter().map(|span| span.begun / cell * cell) {
                let (told, was) = (
                    busy_by(&mut track.spans.iter().copied(), edge),
                    busy_by(&mut all.iter().copied(), edge),
                );
                prop_assert_eq!(told, was, "each is told in its own cell");
            }
        }
    }
}
