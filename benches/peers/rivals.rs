//! A job done by each peer, as its users would write it.
//!
//! Jobs are leaked by whoever makes them, so that what wants `'static` gets it.

use std::sync::Mutex;
use std::thread;

use pariter::IteratorExt;
use rayon::iter::{IntoParallelIterator, ParallelBridge, ParallelIterator};

use crate::common::cores;
use crate::job::{Delivery, Job, Outcome, Setting, Sink};

/// The loop that all others are measured by.
pub(crate) fn sequential<J: Job>(job: &J, ordered: bool) -> Outcome {
    let mut sink = Sink::new(ordered);
    for item in job.source() {
        job.deliver(job.work(item), &mut sink);
    }
    sink.outcome()
}

/// Threads that each take an item, do all stages, and deliver, behind two locks.
pub(crate) fn fused<J: Job>(job: &'static J, ordered: bool) -> Outcome {
    let source = Mutex::new((0..).zip(job.source()));
    let delivery = Mutex::new(Delivery::new(job, ordered));
    let next = || source.lock().expect("nobody panics").next();
    thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                while let Some((index, item)) = next() {
                    let item = job.work(item);
                    delivery.lock().expect("nobody panics").put(index, item);
                }
            });
        }
    });
    delivery.into_inner().expect("nobody panics").outcome()
}

/// Threads for each stage, and bounded channels between them. One function for each
/// crate of channels: they share no trait.
macro_rules! staged {
    ($name:ident, $bounded:path) => {
        pub(crate) fn $name<J: Job>(job: &'static J, ordered: bool, by: Setting) -> Outcome {
            let capacity = if J::SMALL { 1_024 } else { 16 };
            let mut delivery = Delivery::new(job, ordered);
            thread::scope(|scope| {
                let (first, mut items) = $bounded(capacity);
                scope.spawn(move || {
                    (0u64..).zip(job.source()).for_each(|item| first.send(item).expect("open"));
                });
                for stage in 0..J::STAGES {
                    let (done, next) = $bounded(capacity);
                    for _ in 0..by.threads_of(stage, J::STAGES) {
                        let (items, done) = (items.clone(), done.clone());
                        scope.spawn(move || {
                            for (index, item) in items {
                                done.send((index, job.stage(stage, item))).expect("open");
                            }
                        });
                    }
                    items = next;
                }
                items.into_iter().for_each(|(index, item)| delivery.put(index, item));
            });
            delivery.outcome()
        }
    };
}

staged!(crossbeam_channels, crossbeam::channel::bounded);
staged!(kanal_channels, kanal::bounded);

/// All items and all results in memory.
pub(crate) fn rayon_vec<J: Job>(job: &'static J, ordered: bool) -> Outcome {
    let items: Vec<_> = job.source().collect();
    if !ordered {
        return reduce(job, items.into_par_iter());
    }
    let done: Vec<_> = items.into_par_iter().map(|item| job.work(item)).collect();
    let mut sink = Sink::new(ordered);
    done.into_iter().for_each(|item| job.deliver(item, &mut sink));
    sink.outcome()
}

/// Items as a stream, results in any order.
pub(crate) fn rayon_bridge<J: Job>(job: &'static J) -> Outcome {
    reduce(job, job.source().par_bridge())
}

fn reduce<J: Job>(job: &'static J, items: impl ParallelIterator<Item = J::Item>) -> Outcome {
    let take = |mut sink: Sink, item| {
        job.deliver(item, &mut sink);
        sink
    };
    let done = items.map(|item| job.work(item)).fold(|| Sink::new(false), take);
    done.reduce(|| Sink::new(false), Sink::join).outcome()
}

/// All stages in one parallel map, which is faster here than one for each. It knows no
/// other order than the source's.
pub(crate) fn pariter_map<J: Job>(job: &'static J) -> Outcome {
    let mut sink = Sink::new(true);
    let source = Box::new(job.source());
    let done = source.parallel_map_custom(|map| map.threads(cores()), |item| job.work(item));
    done.for_each(|item| job.deliver(item, &mut sink));
    sink.outcome()
}
