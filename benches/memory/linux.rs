//! Runs the processes, and is one of them where it was told to be.

#[allow(dead_code, reason = "some of it is for the tests")]
#[path = "../../tests/memory/cgroup.rs"]
pub(crate) mod cgroup;
#[allow(dead_code, reason = "some of it is for the tests")]
#[path = "../../tests/memory/child.rs"]
pub(crate) mod child;
#[path = "../../tests/common/mod.rs"]
pub(crate) mod common;
#[path = "../../tests/memory/limits.rs"]
pub(crate) mod limits;
#[path = "../../tests/memory/neighbour.rs"]
pub(crate) mod neighbour;
#[path = "../../tests/memory/peer.rs"]
pub(crate) mod peer;
#[path = "../../tests/memory/workloads.rs"]
pub(crate) mod workloads;

#[path = "figures.rs"]
mod figures;
#[allow(dead_code, reason = "other benches use the rest")]
#[path = "../common/mod.rs"]
mod told;

pub(crate) fn main() {
    if child::is_child() {
        return child::obey();
    }
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = told::take_flag(&mut arguments, "--bench");
    let quick = told::take_flag(&mut arguments, "--quick") || !is_bench;
    let rounds = told::take_value(&mut arguments, "--rounds").map(|rounds| rounds.parse());
    let rounds = rounds.transpose().expect("--rounds wants a number");
    told::machine(quick);
    figures::print(rounds.unwrap_or(if quick { 1 } else { 20 }));
}
