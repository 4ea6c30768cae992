//! Which competitors and bounds make up a table.

use crate::block_rivals;
use crate::blocks::{Blocks, MIB, Second};
use crate::common::cores;
use crate::cross_reference::{self, Products};
use crate::job::{Chunked, Job, Outcome, Scale, Setting, Unpromised};
use crate::loads::{self, Coarse, Trivial};
use crate::{ours, rivals, timely};

pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) items: u64,
    pub(crate) rounds: usize,
    /// The sequential loop first.
    pub(crate) rivals: Vec<Rival>,
    /// Of the cpu time of the sequential loop, the least that all cores need.
    pub(crate) share: f64,
    /// Bytes that may be held at once.
    pub(crate) budget: Option<u64>,
}

pub(crate) struct Rival {
    pub(crate) name: &'static str,
    /// One, or several to choose from by trying; a likely one first.
    pub(crate) settings: Vec<Setting>,
    pub(crate) run: Box<dyn Fn(Setting) -> Outcome>,
}

impl Rival {
    fn new(name: &'static str, run: impl Fn(Setting) -> Outcome + 'static) -> Self {
        Self { name, settings: vec![Setting::default()], run: Box::new(run) }
    }

    /// To be set by hand: each of `chunks` with each of `threads`.
    fn by_hand(mut self, chunks: &[u64], threads: &[u64]) -> Self {
        let with = |chunk| threads.iter().map(move |threads| (chunk, *threads));
        let all = chunks.iter().flat_map(|chunk| with(*chunk));
        self.settings = all.map(|(chunk, threads)| Setting { chunk, threads }).collect();
        self
    }
}

pub(crate) fn all(scale: Scale) -> Vec<Table> {
    let mut tables = vec![
        trivial(scale, "W1 unordered", false),
        trivial(scale, "W1 ordered", true),
        coarse("W2 unordered", "200 us + 50 us", loads::balanced(scale), false),
        coarse("W2 ordered", "200 us + 50 us", loads::balanced(scale), true),
        coarse("W3 unordered", "heavy tail", loads::heavy_tailed(scale), false),
        coarse("W3 ordered", "heavy tail", loads::heavy_tailed(scale), true),
        coarse("W3 last unordered", "largest last", loads::largest_last(scale), false),
        coarse("W3 last ordered", "largest last", loads::largest_last(scale), true),
    ];
    for (name, mib) in [("W4 128", 128), ("W4 256", 256), ("W4 512", 512), ("W4 all", 8_192)] {
        tables.push(blocks(scale, name, Second::Compute, mib * MIB));
    }
    tables.push(blocks(scale, "W4b", Second::Wait, 448 * MIB));
    tables.push(chemistry(scale));
    let thirds = |progress: f64| (3.0 * progress) as usize;
    tables.push(coarse("W6 first", "heavy first", loads::uneven(scale, |_| 0), false));
    tables.push(coarse("W6 last", "heavy last", loads::uneven(scale, |_| 2), false));
    tables.push(coarse("W6 moving", "heavy moving", loads::uneven(scale, thirds), false));
    tables.push(unpromised(scale));
    tables
}

fn trivial(scale: Scale, name: &'static str, ordered: bool) -> Table {
    const CHUNKS: [u64; 4] = [1_024, 256, 4_096, 16_384];
    // Threads of the stages: more than one does nothing for work so small.
    const THREADS: [u64; 1] = [111];
    let job: &'static Trivial = Box::leak(Box::new(Trivial::new(scale)));
    let chunked = |by: Setting| -> &'static _ { Box::leak(Box::new(Chunked(job, by.chunk))) };
    let mut rivals = each(job, ordered, &THREADS);
    rivals.extend([
        Rival::new("fused, chunks", move |by| rivals::fused(chunked(by), ordered))
            .by_hand(&CHUNKS, &[0]),
        Rival::new("crossbeam, chunks", move |by| {
            rivals::crossbeam_channels(chunked(by), ordered, by)
        })
        .by_hand(&CHUNKS, &THREADS),
        Rival::new("kanal, chunks", move |by| rivals::kanal_channels(chunked(by), ordered, by))
            .by_hand(&CHUNKS, &THREADS),
        Rival::new("flume, chunks", move |by| rivals::flume_channels(chunked(by), ordered, by))
            .by_hand(&CHUNKS, &THREADS),
        match ordered {
            true => Rival::new("pariter, chunks", move |by| rivals::pariter_map(chunked(by))),
            false => {
                Rival::new("rayon par_bridge, chunks", move |by| rivals::rayon_bridge(chunked(by)))
            }
        }
        .by_hand(&CHUNKS, &[0]),
    ]);
    if !ordered {
        let run = move |by| timely::dataflow(chunked(by));
        rivals.push(Rival::new("timely, chunks", run).by_hand(&CHUNKS, &[0]));
    }
    Table {
        name,
        title: "3 trivial stages",
        items: job.items(),
        rounds: 11,
        rivals,
        share: 1.0 / cores() as f64,
        budget: None,
    }
}

/// What W1 is with the sources that most programs have: lines, records, what is filtered.
fn unpromised(scale: Scale) -> Table {
    let job: &'static _ = Box::leak(Box::new(Unpromised(Trivial::new(scale))));
    let (title, items) = ("3 trivial stages, a source that does not know its length", job.items());
    let (rivals, share) = (each(job, false, &[111]), 1.0 / cores() as f64);
    Table { name: "W7", title, items, rounds: 7, rivals, share, budget: None }
}

fn coarse<const STAGES: usize>(
    name: &'static str,
    title: &'static str,
    job: Coarse<STAGES>,
    ordered: bool,
) -> Table {
    let threads: &[u64] = match STAGES {
        2 => &[22, 11, 12, 21],
        _ => &[222, 111, 112, 121, 211, 221, 212, 122],
    };
    let job: &'static Coarse<STAGES> = Box::leak(Box::new(job));
    let (items, share) = (job.items(), job.share(cores()));
    let rivals = each(job, ordered, threads);
    Table { name, title, items, rounds: 7, rivals, share, budget: None }
}

/// The competitors that move items one at a time.
fn each<J: Job>(job: &'static J, ordered: bool, threads: &[u64]) -> Vec<Rival> {
    let mut rivals = vec![
        Rival::new("sequential", move |_| rivals::sequential(job, ordered)),
        Rival::new("**Plimsoll**", move |_| ours::plimsoll(job, ordered)),
        Rival::new("fused", move |_| rivals::fused(job, ordered)),
        Rival::new("crossbeam", move |by| rivals::crossbeam_channels(job, ordered, by))
            .by_hand(&[0], threads),
        Rival::new("kanal", move |by| rivals::kanal_channels(job, ordered, by))
            .by_hand(&[0], threads),
        Rival::new("flume", move |by| rivals::flume_channels(job, ordered, by))
            .by_hand(&[0], threads),
        Rival::new("rayon Vec", move |_| rivals::rayon_vec(job, ordered)),
        match ordered {
            true => Rival::new("pariter", move |_| rivals::pariter_map(job)),
            false => Rival::new("rayon par_bridge", move |_| rivals::rayon_bridge(job)),
        },
    ];
    if !ordered {
        rivals.push(Rival::new("timely", move |_| timely::dataflow(job)));
    }
    rivals
}

/// Each with 10,000 templates.
fn chemistry(scale: Scale) -> Table {
    let products = Products::new(scale);
    let rivals = vec![
        Rival::new("sequential", move |_| cross_reference::sequential(products)),
        Rival::new("**Plimsoll**, split", move |_| cross_reference::plimsoll_split(products)),
        Rival::new("**Plimsoll**, unsplit", move |_| cross_reference::plimsoll_unsplit(products)),
        Rival::new("rayon, `Arc` of the table", move |_| cross_reference::rayon(products)),
    ];
    let (items, share) = (products.0, 1.0 / cores() as f64);
    let title = "10,000 templates and 100,000 rows for each product";
    Table { name: "W5", title, items, rounds: 5, rivals, share, budget: None }
}

fn blocks(scale: Scale, name: &'static str, second: Second, budget: u64) -> Table {
    let load = Blocks::new(scale, second, budget);
    let (title, threads): (_, &[u64]) = match second {
        Second::Compute => ("blocks of 8-64 MiB", &[22, 11, 12]),
        Second::Wait => ("blocks of 4 or 160 MiB, a second stage that waits", &[28, 18]),
    };
    let rivals = vec![
        Rival::new("sequential", move |_| load.sequential()),
        Rival::new("**Plimsoll**", move |_| block_rivals::plimsoll(&load, false)),
        Rival::new("**Plimsoll**, release_large_blocks", move |_| {
            block_rivals::plimsoll(&load, true)
        }),
        Rival::new("**Plimsoll**, `Buffers`", move |_| block_rivals::plimsoll_again(&load)),
        Rival::new("fused", move |_| block_rivals::fused(&load)),
        Rival::new("rayon", move |_| block_rivals::rayon(&load)),
        Rival::new("crossbeam, tokens", move |by| block_rivals::tokens(&load, by))
            .by_hand(&[0], threads),
        Rival::new("crossbeam, byte permits", move |by| block_rivals::permits(&load, by))
            .by_hand(&[0], threads),
    ];
    let (items, share, budget) = (load.items, 1.0 / cores() as f64, Some(budget));
    Table { name, title, items, rounds: 3, rivals, share, budget }
}
