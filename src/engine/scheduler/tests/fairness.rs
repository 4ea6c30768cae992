//! How long a large item may be kept waiting by small ones: at every schedule, and
//! whatever the others do, no more than a stated number of steps is begun while it
//! waits for its own.

use super::naive::{First, Naive, Rules, sound};
use super::*;

/// The one large item: there are older ones, and as many younger as are asked for.
const LARGE: u64 = 1;
/// Where it is large.
const SEGMENT: usize = 1;

/// A scheme with a limit to its patience: explored until the large item starts.
#[derive(Clone, Debug)]
struct Patience<S> {
    scheme: S,
    /// Steps that were begun while the large item waited.
    others: usize,
    most: usize,
}

impl<S: Scheme> Patience<S> {
    fn new(scheme: S, most: usize) -> Self {
        Self { scheme, others: 0, most }
    }

    fn waits(scheme: &S) -> bool {
        scheme.waits(&ItemId::new(LARGE), SEGMENT)
    }
}

impl<S: Scheme> Scheme for Patience<S> {
    fn moves(&self) -> Vec<Self> {
        let waited = Self::waits(&self.scheme);
        let next = self.scheme.moves().into_iter().filter_map(|scheme| {
            let waits = Self::waits(&scheme);
            let began = scheme.busy() > self.scheme.busy();
            let others = self.others + usize::from(waited && waits && began);
            // It has started: what follows is of no interest.
            (waits || !waited).then_some(Self { scheme, others, most: self.most })
        });
        next.collect()
    }

    fn busy(&self) -> usize {
        self.scheme.busy()
    }

    fn waits(&self, id: &ItemId, segment: usize) -> bool {
        self.scheme.waits(id, segment)
    }

    fn fault(&self) -> Option<String> {
        let (others, most) = (self.others, self.most);
        (others > most).then(|| format!("{others} steps before the large one, not {most}"))
    }

    fn is_done(&self) -> bool {
        // All its moves lead to where the large item starts.
        Self::waits(&self.scheme) || self.scheme.is_done()
    }

    fn check_end(&self) {}

    fn description(&self) -> String {
        format!("{} {}", self.others, self.scheme.description())
    }
}

/// `map -> map`; the large item takes all there is beside the reserve.
fn stream_of_small(count: u64) -> Case {
    let small = Verb::Map { works: 1, output: 1 };
    let item = |index| {
        let works = if index == LARGE { 6 } else { 1 };
        Item { source: 1, verbs: vec![small, Verb::Map { works, output: 1 }] }
    };
    let items = (0..count).map(item).collect();
    Case { workers: 2, cores: 3, spare: 6, queue_bound: 2, window: 4, ..Case::new(items) }
}

/// Steps that may begin while the large item waits, were the source endless:
/// - all that the one older item has left, reading it excepted;
/// - of the younger, none in the stage where the large one waits, so:
/// - one for each that is downstream: with a worker of that stage, or in the sink's
///   queue, which may be passed by as many as have workers;
/// - two, to be read and prepared, for each that finds a place in that stage's queue,
///   and one, to be read, for each that finds one in the first.
fn bound(case: &Case) -> usize {
    let queue = case.queue_bound + case.workers;
    let (older, downstream, upstream) = (case.segments(), case.workers + queue, 3 * queue);
    older + downstream + upstream
}

#[test]
fn a_large_item_waits_for_a_limited_number_of_steps() {
    for ordered in [false, true] {
        let case = Case { ordered, ..stream_of_small(10) };
        let found = search(Patience::new(case.start(), bound(&case)));
        let states = found.unwrap_or_else(|fault| panic!("{fault}"));
        println!("{states} states");
        assert!(states > 500, "too small to prove anything");
    }
}

#[test]
fn a_scheme_that_lets_those_pass_who_fit_exceeds_the_limit() {
    // In input order they would be stopped by what waits for its turn.
    let case = stream_of_small(20);
    for first in [First::Oldest, First::Smallest] {
        let rules = Rules { first, ..sound(&case) };
        let fault = search(Patience::new(Naive::new(&case, rules), bound(&case)));
        assert!(fault.is_err_and(|fault| fault.contains("before the large one")));
    }
}
