//! Simulated runs on machines that are not here, and what limits them.

use plimsoll::simulation::{Forecast, Machine, VirtualClock};
use plimsoll::{Footprint, GIB, KIB, MIB, Pipeline, Stage};

use crate::loads::{self, Builder, Load, sink, source};
use crate::pace::{Pace, mix};

const CORES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Items for each core.
const BY_CORES: [Load; 7] = [
    Load { name: "20 us an item", items: 25_000, memory: 64 * GIB, build: loads::even },
    Load { name: "20 us, in input order", items: 25_000, memory: 64 * GIB, build: loads::in_order },
    Load { name: "1 us an item", items: 400_000, memory: 64 * GIB, build: loads::light },
    Load { name: "200 us an item", items: 4_000, memory: 64 * GIB, build: loads::coarse },
    Load { name: "heavy-tailed", items: 5_000, memory: 64 * GIB, build: loads::heavy_tailed },
    Load {
        name: "the same in order",
        items: 5_000,
        memory: 64 * GIB,
        build: loads::heavy_in_order,
    },
    Load { name: "flat_map, 20 us", items: 800, memory: 64 * GIB, build: loads::families },
];

/// What a turn with the lock takes, at the least, where many share it: what it was found
/// to take on two quiet cores. A busy machine's two hardly share, and show less.
const HOLD_OTHER: u64 = 1_350;

pub(crate) fn tables(machine: &Machine, quick: bool) {
    let hold_other = machine.hold_other.max(HOLD_OTHER);
    let machine = &Machine { hold_other, ..*machine };
    println!("\nWhere another had the lock, a turn is taken to last {hold_other} ns.");
    for load in &BY_CORES {
        println!("\n### scale: {}, simulated\n", load.name);
        heading("cores");
        for cores in CORES {
            let items = load.items * cores as u64 / if quick { 50 } else { 1 };
            row(&cores.to_string(), &simulated(load, cores, items.max(1), machine));
        }
    }
    println!("\n### scale: 64 cores, 2 GiB a worker and 64 to 576 MiB a call, simulated\n");
    heading("memory");
    for memory in [4, 16, 64, 256, 1_024].map(|gib| gib * GIB) {
        let load = Load { name: "by memory", items: 64_000, memory, build: heavy };
        let items = load.items / if quick { 50 } else { 1 };
        row(&format!("{} GiB", memory / GIB), &simulated(&load, 64, items, machine));
    }
}

/// A stage with a model of 2 GiB a worker, whose calls take much memory, too.
fn heavy(pace: &Pace) -> Builder {
    let (first, second) = (pace.clone(), pace.clone());
    let footprint = Footprint::per_worker(2 * GIB)
        .and(Footprint::per_item(|item: &u64| (64 + mix(*item) % 512) * MIB));
    let read = Stage::cpu("read").map(move |item| first.compute(1_000_000, item));
    let search =
        Stage::memory("search", footprint).map(move |item| second.compute(4_000_000, item));
    Pipeline::new(read.weigh(|_| 64 * KIB)).then(search.weigh(|_| 64 * KIB)).largest_item(GIB)
}

fn simulated(load: &Load, cores: usize, items: u64, machine: &Machine) -> Forecast {
    let clock = VirtualClock::new();
    let pace = Pace::Virtual { clock: clock.clone(), late: 0 };
    let mut sum = 0;
    let pipeline = load.pipeline(&pace, cores);
    let ends = (source(&pace, items), sink(&pace, &mut sum));
    pipeline.job().simulate(ends.0, ends.1, &clock, machine).expect("nothing fails")
}

fn heading(first: &str) {
    println!(
        "| {first} | efficiency | s | turns a ms | lock held | lock waited for | limited by |"
    );
    println!("|--:|--:|--:|--:|--:|--:|---|");
}

/// Shares are of the run, the wait for the lock of all threads' time.
fn row(first: &str, forecast: &Forecast) {
    let (report, costs) = (&forecast.report, &forecast.costs);
    let elapsed = report.elapsed().as_secs_f64();
    let all = elapsed * 1e9 * report.threads() as f64;
    let held = costs.held.as_secs_f64() / elapsed;
    let waited = costs.threads.waiting as f64 / all;
    println!(
        "| {first} | {:.3} | {elapsed:.2} | {:.0} | {held:.2} | {waited:.3} | {} |",
        forecast.efficiency(),
        costs.locks as f64 / elapsed / 1e3,
        limit(forecast, waited)
    );
}

/// What keeps cores from work, if a twentieth of their time or more is lost.
fn limit(forecast: &Forecast, waited: f64) -> String {
    if forecast.efficiency() > 0.95 {
        return "-".to_owned();
    }
    let report = &forecast.report;
    let lock = (waited > 0.02).then(|| "the lock".to_owned());
    let limits: Vec<_> = lock.into_iter().chain(report.bottleneck()).collect();
    if limits.is_empty() { "the beginning and the end".to_owned() } else { limits.join("; ") }
}
