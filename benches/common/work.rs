//! Work that takes as long as it is told to.

use std::hint::black_box;
use std::time::Instant;

/// Arithmetic that takes time, and whose result nobody can know without it.
pub(crate) fn spin(loops: u64, seed: u64) -> u64 {
    (0..loops).fold(seed, |value, turn| (value ^ turn).wrapping_mul(0x5851_f42d_4c95_7f2d))
}

/// Loops of `spin` a microsecond, on the quietest of some tries.
pub(crate) fn calibrate() -> u64 {
    const LOOPS: u64 = 2_000_000;
    let nanos = (0..20).map(|_| {
        let begun = Instant::now();
        black_box(spin(black_box(LOOPS), 1));
        begun.elapsed().as_nanos() as u64
    });
    let least = nanos.min().expect("there were tries");
    LOOPS * 1_000 / least.max(1)
}
