//! Runs pipelines. Private, and the only place where threads, queues and permits
//! meet.
//!
//! | file | holds |
//! |---|---|
//! | `scheduler` | the rules of admission and order, as a state machine without threads |
//! | `run` | the threads that drive it, and who wakes whom |
//! | `memory`, `looks` | what real memory makes of the line, and who looks at it |
//! | `watch` | the thread that notices what rings no bell: memory, pressure, stalls |
//! | `stalls` | calls that do not come back, from when they are told to when they do |
//! | `snapshot` | the run at one moment, for a look from outside |
//! | `events`, `metrics` | what is told while a run is under way |
//! | `assembly` | from stages to nodes |
//! | `source`, `sink` | the two ends |
//! | `node`, `expand` | the nodes: stages, `flat_map` |
//! | `parcel` | what moves between them |
//! | `recorder` | what a run writes down about itself, if it is asked to |
//! | `context` | what all of them can reach |
//! | `summary` | from a finished run to its report |
//! | `basis` | what it leaves behind for predictions |
//! | `simulation` | a run in virtual time: other threads, the same rules and nodes |

mod assembly;
#[cfg_attr(any(loom, shuttle, steady), allow(dead_code, reason = "nothing predicts there"))]
mod basis;
mod context;
mod events;
mod expand;
mod looks;
mod memory;
mod metrics;
mod node;
mod parcel;
mod recorder;
mod run;
mod scheduler;
#[cfg(not(any(loom, shuttle, steady)))]
pub(crate) mod simulation;
mod sink;
mod snapshot;
mod source;
mod stalls;
mod summary;
mod watch;

pub(crate) use assembly::{First, Link, Then};
#[cfg(not(any(loom, shuttle, steady)))]
pub(crate) use basis::{Basis, StageBasis};
pub(crate) use context::{Context, FailureSink, count};

pub(crate) use parcel::{Depot, Port};
pub(crate) use run::Run;
pub(crate) use scheduler::Halt;
pub(crate) use sink::{Outlet, Sink};
pub(crate) use source::Source;
pub(crate) use summary::{error_of, report_of};
pub(crate) use watch::Orders;
