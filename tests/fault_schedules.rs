//! The faults of `fault_matrix` under random schedules of the threads.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release --target-dir target/shuttle --test fault_schedules`
//!
//! `SCHEDULES` sets the number of schedules (default 1,000).
#![cfg(shuttle)]

mod common;
mod fault_cases;

use fault_cases::{Case, Kind, check};
use shuttle::rand::{Rng, thread_rng};

/// One case, as the dice fell.
fn throw() -> Case {
    let mut rng = thread_rng();
    let kind = Kind::ALL[rng.gen_range(0..Kind::ALL.len())];
    let stages = kind.stages();
    let items = rng.gen_range(1..5);
    Case {
        kind,
        stage: stages[rng.gen_range(0..stages.len())],
        item: rng.gen_range(0..items),
        items,
        ordered: rng.gen_bool(0.5),
        collect: rng.gen_bool(0.5) || !kind.suits(false),
        lit: rng.gen_bool(0.5),
        cores: rng.gen_range(1..4),
        // The largest item needs about 400 bytes, which half of the line must carry.
        memory: rng.gen_range(1_000..4_000),
    }
}

#[test]
fn a_fault_anywhere_ends_as_it_must() {
    let schedules = std::env::var("SCHEDULES").ok().and_then(|text| text.parse().ok());
    let half = schedules.unwrap_or(1_000_usize).div_ceil(2);
    // The checker's hook tells every panic with its schedule; it is set by the first
    // check, so that ours, which keeps planned ones out, comes on top.
    shuttle::check_random(|| {}, 1);
    common::hush();
    let body = || {
        let case = throw();
        let told = TellOnPanic(case);
        check(case);
        std::mem::forget(told);
    };
    shuttle::check_random(body, half);
    shuttle::check_pct(body, half, 3);
}

/// Tells which case a failed assertion belongs to.
struct TellOnPanic(Case);

impl Drop for TellOnPanic {
    fn drop(&mut self) {
        eprintln!("with {:?}", self.0);
    }
}
