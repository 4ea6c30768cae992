//! The one place that says which locks the crate is built on, so that a model
//! checker can stand in for them.

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
