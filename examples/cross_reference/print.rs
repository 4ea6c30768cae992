//! What is printed: results to stdout, progress to stderr.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use plimsoll::{Bytes, SharedFile};

use crate::answer::Answer;
use crate::chemistry::Templates;
use crate::expect::Expected;
use crate::index::IndexView;
use crate::store::Index;

/// How many answers are printed.
const SAMPLES: usize = 3;
/// How many precedents of each.
const PRECEDENTS: usize = 3;

pub(crate) fn index(index: &Index, file: &SharedFile) {
    let (rows, reactions) = (index.rows(), index.reactions());
    println!(
        "index      {} rows = {} real reactions + {} decoys",
        thousands(rows),
        thousands(reactions),
        thousands(rows - reactions)
    );
    println!("           {} mapped from {}", Bytes(file.size_bytes()), file.path().display());
}

pub(crate) fn templates(templates: &Templates) {
    let (count, bytes) = (thousands(templates.count() as usize), Bytes(templates.bytes()));
    println!("templates  {count}, which take {bytes} when compiled");
}

/// What came out so far.
pub(crate) struct Results<'a> {
    index: IndexView<'a>,
    products: &'a [&'a str],
    expected: Option<Expected>,
    samples: Vec<Answer>,
    answers: usize,
    explained: usize,
    hits: usize,
    progress: Progress,
}

impl<'a> Results<'a> {
    pub(crate) fn new(
        index: IndexView<'a>,
        products: &'a [&'a str],
        expected: Option<Expected>,
    ) -> Self {
        let progress = Progress::new(products.len());
        let samples = Vec::with_capacity(SAMPLES);
        Self { index, products, expected, samples, answers: 0, explained: 0, hits: 0, progress }
    }

    /// Takes what the pipeline delivers: this is the sink.
    pub(crate) fn take(&mut self, answer: Answer) {
        self.answers += 1;
        self.explained += usize::from(!answer.hits.is_empty());
        self.hits += answer.hits.len();
        if let Some(expected) = &mut self.expected {
            let line = self.products[answer.reaction as usize];
            expected.compare(answer.reaction, answer.expected_line(&self.index, line));
        }
        if !answer.hits.is_empty() && self.samples.len() < SAMPLES {
            self.samples.push(answer);
        }
        self.progress.show(self.answers);
    }

    /// Whether nothing differs from what was expected, if anything was.
    pub(crate) fn as_expected(&self) -> bool {
        self.expected.as_ref().is_none_or(Expected::is_met)
    }

    /// Prints all but the report, once the run is over.
    pub(crate) fn print(&mut self, smarts: &str) {
        self.progress.end(self.answers);
        let templates: Vec<&str> = smarts.lines().collect();
        for sample in &self.samples {
            self.print_sample(sample, &templates);
        }
        println!(
            "explained  {} of {} products, by {} pairs of a template and a reaction",
            thousands(self.explained),
            thousands(self.products.len()),
            thousands(self.hits)
        );
        if let Some(expected) = &mut self.expected {
            expected.close(self.products.len());
            expected.print();
        }
    }

    fn print_sample(&self, answer: &Answer, templates: &[&str]) {
        for hits in answer.hits.chunk_by(|a, b| a.row == b.row) {
            println!("reaction   {}", self.text(hits[0].row));
            println!("           is explained by {} of {} templates:", hits.len(), answer.matched);
            for hit in hits {
                let smarts = templates[hit.template as usize].rsplit('\t').next();
                println!("  {:>7}  {}", hit.template, smarts.unwrap_or_default());
            }
        }
        println!("           and its product is like that of:");
        let others =
            answer.nearest.iter().filter(|near| !answer.hits.iter().any(|hit| hit.row == near.row));
        for near in others.take(PRECEDENTS) {
            println!("  {:>7.2}  {}", near.similarity.value(), self.text(near.row));
        }
        println!();
    }

    fn text(&self, row: u32) -> &'a str {
        self.index.text(row as usize)
    }
}

/// How far the run has come: a line on the terminal that is written over, at most once a second.
struct Progress {
    total: usize,
    started: Instant,
    shown: Instant,
    terminal: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        let now = Instant::now();
        Self { total, started: now, shown: now, terminal: stderr().is_terminal() }
    }

    fn show(&mut self, done: usize) {
        if self.terminal && self.shown.elapsed() >= Duration::from_secs(1) {
            self.shown = Instant::now();
            eprint!("\r{}", self.line(done));
        }
    }

    fn end(&self, done: usize) {
        if self.terminal {
            eprintln!("\r{}", self.line(done));
        }
    }

    fn line(&self, done: usize) -> String {
        let rate = done as f64 / self.started.elapsed().as_secs_f64();
        format!("{} of {} products, {rate:.0} a second ", thousands(done), thousands(self.total))
    }
}

/// A number with its digits in groups: `10,000`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (10_000_000, "10,000,000")]
        {
            assert_eq!(thousands(number), text);
        }
    }
}
