//! Real runs beside simulated ones of the same pipelines. Of the real ones the quickest
//! counts: whatever else the machine does only adds to it. Where the real one got less
//! of the cores than the simulated one, even that was disturbed.

use std::time::Instant;

use cpu_time::ProcessTime;
use plimsoll::simulation::{Forecast, Machine, VirtualClock};

use crate::loads::{CHECKED, Load, sink, source};
use crate::pace::{Pace, oversleep};

pub(crate) fn table(loops: u64, machine: &Machine, quick: bool) {
    println!("\n### check: real runs, and simulated ones of the same plans\n");
    println!("| load | cores | real ms | simulated | to real | real got cores | simulated |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let (mut furthest, late) = (0.0f64, oversleep());
    for load in &CHECKED {
        for cores in [1, 2] {
            let items = load.items * cores as u64 / if quick { 50 } else { 1 };
            let rounds = if quick { 1 } else { 7 };
            let runs = (0..rounds).map(|_| real(load, cores, items, loops));
            let (real, cpu) = runs.min().expect("a round");
            let forecast = simulated((load, cores), items, machine, late);
            let simulated = forecast.report.elapsed().as_nanos() as u64;
            let ratio = simulated as f64 / real as f64;
            furthest = furthest.max((ratio - 1.0).abs());
            let (got, real_ms) = (cpu as f64 / real as f64, real as f64 / 1e6);
            print!("| {} | {cores} | {real_ms:.1} | {:.1} | ", load.name, simulated as f64 / 1e6);
            println!("{ratio:.3} | {got:.2} | {:.2} |", cores as f64 * forecast.efficiency());
        }
    }
    println!("\nThe furthest off: {:.1} %.", 100.0 * furthest);
}

/// How long it took, and how long all cores together computed for it.
fn real(load: &Load, cores: usize, items: u64, loops: u64) -> (u64, u64) {
    let pace = Pace::Real { loops };
    let pipeline = load.pipeline(&pace, cores);
    let mut sum = 0;
    let (begun, cpu) = (Instant::now(), ProcessTime::now());
    pipeline.run(source(&pace, items), sink(&pace, &mut sum)).expect("nothing fails");
    let took = (begun.elapsed().as_nanos() as u64, cpu.elapsed().as_nanos() as u64);
    assert_ne!(sum, 0, "something was delivered");
    took
}

fn simulated((load, cores): (&Load, usize), items: u64, machine: &Machine, late: u64) -> Forecast {
    let clock = VirtualClock::new();
    let pace = Pace::Virtual { clock: clock.clone(), late };
    let mut sum = 0;
    let job = load.pipeline(&pace, cores);
    let forecast = job.job().simulate(source(&pace, items), sink(&pace, &mut sum), &clock, machine);
    forecast.expect("nothing fails")
}
