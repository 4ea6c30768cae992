//! What a random scheduler says is resident, so that every state of a tightened line
//! is met under every schedule.

use std::io;

use shuttle::rand::{Rng, thread_rng};

#[derive(Debug)]
pub(crate) struct Gauge(());

impl Gauge {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(()))
    }

    pub(crate) fn page(&self) -> u64 {
        4_096
    }

    pub(crate) fn read(&self) -> io::Result<u64> {
        let mut rng = thread_rng();
        Ok(if rng.gen_bool(0.3) { rng.gen_range(0..64 << 20) } else { 0 })
    }

    pub(crate) fn read_files(&self) -> io::Result<u64> {
        Ok(0)
    }

    pub(crate) fn survey(&self) -> io::Result<()> {
        Ok(())
    }
}
