//! Pipelines whose items take their time at whatever pace.

use plimsoll::{Budget, Footprint, GIB, MIB, Pipeline, PipelineBuilder, Stage};

use crate::pace::{Pace, mix};

/// Items are keys: what one costs follows from its key.
pub(crate) type Builder = PipelineBuilder<'static, u64, u64>;

pub(crate) struct Load {
    pub(crate) name: &'static str,
    /// Items of the source on one core.
    pub(crate) items: u64,
    /// Bytes of the budget.
    pub(crate) memory: u64,
    pub(crate) build: fn(&Pace) -> Builder,
}

impl Load {
    pub(crate) fn pipeline(&self, pace: &Pace, cores: usize) -> Pipeline<'static, u64, u64> {
        let budget = Budget::new(self.memory, cores);
        (self.build)(pace).build(&budget).expect("it fits")
    }
}

/// What the source takes for an item, nanoseconds, and the sink.
pub(crate) const ENDS: (u64, u64) = (5, 5);

/// The source of so many items.
pub(crate) fn source(pace: &Pace, items: u64) -> impl Iterator<Item = u64> + Send + use<> {
    let pace = pace.clone();
    (0..items).map(move |item| pace.compute(ENDS.0, item))
}

/// The sink; the sum of all keys.
pub(crate) fn sink<'a>(pace: &Pace, sum: &'a mut u64) -> impl FnMut(u64) + Send + use<'a> {
    let pace = pace.clone();
    move |item| *sum = sum.wrapping_add(mix(pace.compute(ENDS.1, item)))
}

/// What `real` and simulated runs are compared on.
pub(crate) const CHECKED: [Load; 9] = [
    Load { name: "20 us in 5 + 10 + 5", items: 20_000, memory: GIB, build: even },
    Load { name: "20 us, in input order", items: 20_000, memory: GIB, build: in_order },
    Load { name: "1 us in 3 stages", items: 400_000, memory: GIB, build: light },
    Load { name: "heavy-tailed, 100 us", items: 4_000, memory: GIB, build: heavy_tailed },
    Load { name: "the same in input order", items: 4_000, memory: GIB, build: heavy_in_order },
    Load { name: "heavy stage moves", items: 2_000, memory: GIB, build: uneven },
    Load { name: "flat_map, 20 us a child", items: 700, memory: GIB, build: families },
    Load { name: "batches of 16", items: 8_000, memory: GIB, build: batches },
    Load { name: "limited by memory", items: 400, memory: 448 * MIB, build: short_of_memory },
];

fn steps(pace: &Pace, nanos: fn(u64) -> [u64; 3]) -> Builder {
    let call = |stage: usize| {
        let pace = pace.clone();
        move |item| pace.compute(nanos(item)[stage], item)
    };
    Pipeline::new(Stage::cpu("first").map(call(0)))
        .then(Stage::memory("second", Footprint::none()).map(call(1)))
        .then(Stage::cpu("third").map(call(2)))
}

/// 20 us in three stages.
pub(crate) fn even(pace: &Pace) -> Builder {
    steps(pace, |_| [5_000, 10_000, 5_000])
}

pub(crate) fn in_order(pace: &Pace) -> Builder {
    even(pace).ordered()
}

pub(crate) fn light(pace: &Pace) -> Builder {
    steps(pace, |_| [250, 500, 250])
}

/// 200 us in three stages.
pub(crate) fn coarse(pace: &Pace) -> Builder {
    steps(pace, |_| [50_000, 100_000, 50_000])
}

/// Pareto 1.1, the largest a thousand times the least; 80 % of it in the first stage.
pub(crate) fn heavy_tailed(pace: &Pace) -> Builder {
    steps(pace, |item| {
        let uniform = (mix(item) >> 11) as f64 / (1u64 << 53) as f64;
        let size = (1.0 - uniform).powf(-1.0 / 1.1).min(1_000.0);
        let nanos = (17_000.0 * size) as u64;
        [nanos / 5 * 4, nanos / 10, nanos / 10]
    })
}

pub(crate) fn heavy_in_order(pace: &Pace) -> Builder {
    heavy_tailed(pace).ordered()
}

/// 200 us in one of three stages, 25 us in the others; which one changes.
fn uneven(pace: &Pace) -> Builder {
    steps(pace, |item| {
        let mut nanos = [25_000; 3];
        nanos[item as usize / 700 % 3] = 200_000;
        nanos
    })
}

/// An item becomes up to 64 others.
pub(crate) fn families(pace: &Pace) -> Builder {
    let (opening, child) = (pace.clone(), pace.clone());
    let expand = Stage::cpu("expand").flat_map(move |item: u64| {
        let (pace, item) = (opening.clone(), opening.compute(5_000, item));
        (0..mix(item) % 64).map(move |number| pace.compute(1_000, item * 64 + number))
    });
    let work =
        Stage::memory("work", Footprint::none()).map(move |item| child.compute(19_000, item));
    Pipeline::new(expand).then(work)
}

fn batches(pace: &Pace) -> Builder {
    let (one, many) = (pace.clone(), pace.clone());
    let prepare = Stage::cpu("prepare").map(move |item| one.compute(30_000, item));
    let together = Stage::memory("together", Footprint::none());
    let together = together.map_batch(16, move |items: Vec<u64>| {
        let nothing = many.compute(50_000 + 10_000 * items.len() as u64, 0);
        items.into_iter().map(|item| item + nothing).collect()
    });
    Pipeline::new(prepare).then(together)
}

/// Items that take 24 to 88 MiB for the second stage's call, which waits for 2 ms.
pub(crate) fn short_of_memory(pace: &Pace) -> Builder {
    let (first, second) = (pace.clone(), pace.clone());
    let ask = Stage::cpu("ask").map(move |item| first.compute(100_000, item));
    let footprint = Footprint::per_item(|item: &u64| (24 + mix(*item) % 64) * MIB);
    let fetch = Stage::memory("fetch", footprint).workers(8).waits();
    Pipeline::new(ask).then(fetch.map(move |item| second.wait(2_000_000, item)))
}
