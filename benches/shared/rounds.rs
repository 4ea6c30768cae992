//! Competitors in turns, and the table of what they took.

use std::time::Instant;

use crate::common::{median, time};

/// One way to do the work of a table.
pub(crate) struct Rival<'a> {
    name: String,
    /// Does the work once; returns nanoseconds, and what it came to.
    run: Box<dyn FnMut() -> (f64, u64) + 'a>,
}

impl<'a> Rival<'a> {
    /// What takes all its time for the work.
    pub(crate) fn new(name: impl Into<String>, mut run: impl FnMut() -> u64 + 'a) -> Self {
        Self::timed(name, move || {
            let started = Instant::now();
            let outcome = run();
            (started.elapsed().as_nanos() as f64, outcome)
        })
    }

    /// What takes the time of the work itself.
    pub(crate) fn timed(name: impl Into<String>, run: impl FnMut() -> (f64, u64) + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// What the figures of a table are.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// The time of one of so many.
    Each(u64),
    /// Bytes a second, of so many.
    Rate(u64),
}

/// Runs all competitors once in each round, in an order that rotates, and prints a table:
/// medians, the least and the most, and the speed as a multiple of that of the first, by
/// rounds, so that what disturbs one round disturbs no ratio. All must come to the same.
pub(crate) fn compare(title: &str, unit: Unit, rounds: usize, mut rivals: Vec<Rival<'_>>) {
    let mut took = vec![Vec::new(); rivals.len()];
    let mut expected = None;
    for round in 0..rounds {
        for turn in 0..rivals.len() {
            let at = (turn + round) % rivals.len();
            let (nanos, outcome) = (rivals[at].run)();
            let expected = *expected.get_or_insert(outcome);
            assert_eq!(outcome, expected, "{} of {title} found something else", rivals[at].name);
            took[at].push(nanos);
        }
    }
    println!("\n### {title}, {rounds} rounds\n");
    println!("| | median | least..most | speed |\n|---|--:|--:|--:|");
    for (rival, nanos) in rivals.iter().zip(&took) {
        let (mut sorted, tell) = (nanos.clone(), |nanos| unit.tell(nanos));
        sorted.sort_by(f64::total_cmp);
        let speed = median(took[0].iter().zip(nanos).map(|(first, this)| first / this));
        let (mut least, mut most) = (tell(sorted[0]), tell(sorted[rounds - 1]));
        if matches!(unit, Unit::Rate(_)) {
            std::mem::swap(&mut least, &mut most);
        }
        println!("| {} | {} | {least}..{most} | {speed:.2} |", rival.name, tell(median(sorted)));
    }
}

impl Unit {
    fn tell(self, nanos: f64) -> String {
        match self {
            Self::Each(count) => time(nanos / count as f64),
            Self::Rate(bytes) => format!("{:.2} GB/s", bytes as f64 / nanos),
        }
    }
}
