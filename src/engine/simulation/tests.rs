//! Whether simulated runs are sound: nothing is lost, bounds that can be worked out by
//! hand are kept, and the figures are the same each time.

use crate::engine::simulation::{Forecast, Machine, VirtualClock};
use crate::pipeline::{Pipeline, PipelineBuilder};
use crate::{Budget, MIB, Stage};

/// Nothing costs anything but the calls.
const IDEAL: Machine = Machine {
    hold_own: 0,
    hold_other: 0,
    step: 0,
    pass: 0,
    lock_spin: 0,
    wake: 0,
    woken_after: 0,
    look: 0,
    spawn: 0,
};

/// A stage whose calls take so many nanoseconds.
fn takes(clock: &VirtualClock, name: &str, nanos: fn(u64) -> u64) -> Stage<'static, u64, u64> {
    let clock = clock.clone();
    Stage::cpu(name).map(move |item| {
        clock.pass(nanos(item));
        item
    })
}

fn simulate(
    pipeline: PipelineBuilder<'_, u64, u64>,
    items: u64,
    cores: usize,
    clock: &VirtualClock,
    machine: &Machine,
) -> (Forecast, Vec<u64>) {
    let pipeline = pipeline.build(&Budget::new(64 * MIB, cores)).expect("it fits");
    let mut out = Vec::new();
    let forecast = pipeline.job().simulate(0..items, |item| out.push(item), clock, machine);
    (forecast.expect("nothing fails"), out)
}

#[test]
fn one_core_takes_the_sum_of_all_calls() {
    let clock = VirtualClock::new();
    let pipeline = Pipeline::new(takes(&clock, "a", |_| 300_000));
    let (forecast, out) = simulate(pipeline, 10, 1, &clock, &IDEAL);
    assert_eq!(out.len(), 10);
    assert_eq!(forecast.report.elapsed().as_nanos(), 3_000_000);
    assert_eq!(forecast.efficiency(), 1.0);
}
