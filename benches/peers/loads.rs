//! The jobs of W1, W2, W3 and W6.

use crate::job::{Job, Scale, Sink};
use crate::work::spin;

/// W1: items that cost next to nothing.
pub(crate) struct Trivial {
    items: u64,
    table: Box<[u64; ROWS]>,
}

/// Numbers in the table that the second stage looks into: 32 KiB.
pub(crate) const ROWS: usize = 4_096;

impl Trivial {
    pub(crate) fn new(scale: Scale) -> Self {
        let table = Box::new(std::array::from_fn(|row| mix(row as u64)));
        Self { items: 5_000_000 / scale.part, table }
    }
}

impl Job for Trivial {
    type Item = u64;
    const STAGES: usize = 3;
    const SMALL: bool = true;

    fn items(&self) -> u64 {
        self.items
    }

    fn item(&self, index: u64) -> u64 {
        index
    }

    fn stage(&self, stage: usize, item: u64) -> u64 {
        match stage {
            0 => item.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            1 => item ^ self.table[item as usize % ROWS],
            _ => item.wrapping_add(item >> 32),
        }
    }

    fn deliver(&self, item: u64, sink: &mut Sink) {
        sink.take(item);
    }
}

/// W2, W3 and W6: items that compute for a while in each of `STAGES` stages.
pub(crate) struct Coarse<const STAGES: usize> {
    /// Microseconds of each item in each stage.
    pub(crate) costs: Vec<[f64; STAGES]>,
    loops: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Task {
    index: usize,
    value: u64,
}

impl<const STAGES: usize> Coarse<STAGES> {
    fn new(scale: Scale, items: u64, cost: impl Fn(f64) -> [f64; STAGES]) -> Self {
        let items = items / scale.part;
        let costs = (0..items).map(|item| cost(item as f64 / items as f64)).collect();
        Self { costs, loops: scale.loops }
    }

    /// Of the time that all items take one after the other, the part that `cores` need
    /// if each item, in the order of the source, goes to the core that is free first.
    pub(crate) fn share(&self, cores: usize) -> f64 {
        let mut free_at = vec![0.0; cores];
        for cost in &self.costs {
            let first = free_at.iter_mut().min_by(|a, b| f64::total_cmp(a, b));
            *first.expect("there is a core") += cost.iter().sum::<f64>();
        }
        free_at.iter().copied().fold(0.0, f64::max) / self.total()
    }

    fn total(&self) -> f64 {
        self.costs.iter().flatten().sum()
    }
}

impl<const STAGES: usize> Job for Coarse<STAGES> {
    type Item = Task;
    const STAGES: usize = STAGES;
    const SMALL: bool = false;

    fn items(&self) -> u64 {
        self.costs.len() as u64
    }

    fn item(&self, index: u64) -> Task {
        Task { index: index as usize, value: index }
    }

    fn stage(&self, stage: usize, Task { index, value }: Task) -> Task {
        let loops = self.costs[index][stage] * self.loops as f64;
        Task { index, value: spin(loops as u64, value) }
    }

    fn deliver(&self, item: Task, sink: &mut Sink) {
        sink.take(item.value);
    }
}

/// W2: each item takes 200 us, then 50 us.
pub(crate) fn balanced(scale: Scale) -> Coarse<2> {
    Coarse::new(scale, 4_000, |_| [200.0, 50.0])
}

/// W3: the same total, most of it in few items (Pareto 1.1, the largest a thousand times
/// the least).
pub(crate) fn heavy_tailed(scale: Scale) -> Coarse<2> {
    let mut job = balanced(scale);
    let wanted = job.total();
    for (index, cost) in job.costs.iter_mut().enumerate() {
        let uniform = (mix(index as u64) >> 11) as f64 / (1u64 << 53) as f64;
        let size = (1.0 - uniform).powf(-1.0 / 1.1).min(1_000.0);
        *cost = [0.8 * size, 0.2 * size];
    }
    let by = wanted / job.total();
    job.costs.iter_mut().flatten().for_each(|cost| *cost *= by);
    job
}

/// W3 with the largest item at the end, where nothing is left to do beside it.
pub(crate) fn largest_last(scale: Scale) -> Coarse<2> {
    let mut job = heavy_tailed(scale);
    let largest = (0..job.costs.len()).max_by(|a, b| job.costs[*a][0].total_cmp(&job.costs[*b][0]));
    let last = job.costs.len() - 1;
    job.costs.swap(largest.expect("there are items"), last);
    job
}

/// W6: one of three stages is heavy, by how far the run is.
pub(crate) fn uneven(scale: Scale, heavy: impl Fn(f64) -> usize) -> Coarse<3> {
    Coarse::new(scale, 2_000, |progress| {
        let mut cost = [25.0; 3];
        cost[heavy(progress)] = 200.0;
        cost
    })
}

/// A number that looks random.
pub(crate) fn mix(seed: u64) -> u64 {
    let a = (seed.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 32)
}
