//! scaling exploration (unfinished)
#[path = "growth/pace.rs"]
mod pace;
use pace::Pace;
use plimsoll::simulation::{Machine, VirtualClock};
use plimsoll::{Budget, Footprint, GIB, Pipeline, Stage};

const M: Machine = Machine {
    hold_own: 300,
    hold_other: 1_200,
    step: 300,
    pass: 150,
    lock_spin: 3_000,
    wake: 6_000,
    woken_after: 14_000,
    look: 25,
    spawn: 20_000,
};

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (per_item, each) = (args[0], args[1]);
    for ordered in [false, true] {
    for cores in [1usize, 2, 4, 8, 16, 32, 64, 128] {
        let clock = VirtualClock::new();
        let pace = Pace::Virtual(clock.clone());
        let items = each * cores as u64;
        let stage = |n: u64| { let pace = pace.clone(); move |i: u64| pace.compute(n, i) };
        let p = Pipeline::new(Stage::cpu("a").map(stage(per_item / 4)))
            .then(Stage::memory("b", Footprint::none()).map(stage(per_item / 2)))
            .then(Stage::cpu("c").map(stage(per_item / 4)));
        let p = if ordered { p.ordered() } else { p };
        let p = p.build(&Budget::new(64 * GIB, cores)).unwrap();
        let src = pace.clone();
        let snk = pace.clone();
        let real = std::time::Instant::now();
        let f = p.job().simulate((0..items).map(move |i| src.compute(20, i)), move |i| { snk.compute(20, i); }, &clock, &M).unwrap();
        let c = &f.costs;
        let all = f.report.threads() as f64 * f.report.elapsed().as_nanos() as f64 / 100.0;
        println!("{} cores {cores:4} eff {:.3} elapsed {:?} items {items} steps {} ({:.1} items) lock {:.2} | calls {:.1} steps {:.1} hold {:.1} wait {:.1} wake {:.1} idle {:.1} | wakes/step {:.2} decide {} ns/lock aboard {} sim {:?}",
            if ordered {"ord"} else {"un "},
            f.efficiency(), f.report.elapsed(), c.steps, items as f64 * 4.0 / c.steps as f64, c.held.as_secs_f64() / f.report.elapsed().as_secs_f64(),
            c.threads.calls as f64 / all, c.threads.steps as f64 / all, c.threads.holding as f64/all, c.threads.waiting as f64/all, c.threads.waking as f64/all, c.threads.idle as f64/all,
            c.wakes as f64 / c.steps as f64, c.deciding.as_nanos() as u64 / c.locks, f.report.most_aboard(), real.elapsed());
    }}
}
