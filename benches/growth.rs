//! How Plimsoll grows: with cores and memory that this machine lacks, and with items.
//!
//! ```sh
//! cargo bench --bench growth                   # every table
//! cargo bench --bench growth -- costs check    # those of that name
//! cargo bench --bench growth -- --quick        # a part of the work, to see that it runs
//! ```
//!
//! | table | tells |
//! |---|---|
//! | `costs` | what locks, steps and wake-ups cost on this machine, measured on the real engine |
//! | `check` | real runs on one and on two cores beside simulated ones of the same pipelines |
//! | `scale` | simulated runs on 1 to 128 cores and 4 GiB to 1 TiB, and what limits them |
//! | `length` | real runs of 10,000 to 100 million items: time an item, and memory |
//!
//! The simulation is the crate's own, `src/engine/simulation`: the planner, the scheduler
//! and the nodes of a real run in virtual time. It is fed with the costs measured just
//! before, so `check` and `scale` want a machine that has nothing else to do.
//!
//! | file | one purpose |
//! |---|---|
//! | `pace` | time that passes by computing, or on a clock that is told |
//! | `loads` | pipelines that run at either pace |
//! | `costs`, `check`, `scale`, `length` | a table each |

#[path = "growth/check.rs"]
mod check;
#[allow(dead_code, reason = "other benches use the rest")]
mod common;
#[path = "growth/costs.rs"]
mod costs;
#[path = "growth/length.rs"]
mod length;
#[path = "growth/loads.rs"]
mod loads;
#[path = "growth/pace.rs"]
mod pace;
#[path = "growth/scale.rs"]
mod scale;
#[path = "common/work.rs"]
mod work;

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says so; whoever else runs this wants to see that it works.
    let is_bench = common::take_flag(&mut names, "--bench");
    let quick = common::take_flag(&mut names, "--quick") || !is_bench;
    let chosen = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    common::machine(quick);
    let needs_costs = ["costs", "check", "scale"].into_iter().any(chosen);
    if needs_costs {
        let loops = work::calibrate();
        let machine = costs::measure(quick);
        costs::print(&machine);
        if chosen("check") {
            check::table(loops, &machine, quick);
        }
        if chosen("scale") {
            scale::tables(&machine, quick);
        }
    }
    if chosen("length") {
        length::table(quick);
    }
}
