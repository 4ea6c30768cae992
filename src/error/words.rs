//! Parts of messages that depend on the case.

use std::io;
use std::path::Path;

use crate::units::{Bytes, Count, MIB, Memory};

/// What would do, in the words of whoever gave the budget.
pub(super) fn would_do(enough: Option<u64>, by_variable: bool) -> String {
    match enough {
        None => "no budget would do: ".to_owned(),
        Some(bytes) => {
            let memory = Memory { bytes, by_variable };
            format!("raise the budget ({memory} would do) or ")
        }
    }
}

/// A question to who gives a budget of so few bytes that they are likely MiB. (A variable that is
/// so small was refused.)
pub(crate) fn unit_forgotten(budget: u64, by_variable: bool) -> String {
    match budget < MIB && !by_variable {
        true => {
            format!("; the budget is {}: did you mean `{budget} * MIB`?", Count(budget, "byte"))
        }
        false => String::new(),
    }
}

/// What to declare for a largest item of which each takes `needed` bytes and more.
pub(super) fn larger_item(declared: u64, needed: u64) -> String {
    // Of what is a MiB and more nobody forgot the unit.
    let asked = match declared < MIB {
        true => format!(": did you mean `largest_item({declared} * MIB)`?"),
        false => String::new(),
    };
    format!("declare {needed} or more{asked}")
}

pub(super) fn fewer_threads(by_variable: bool) -> &'static str {
    match by_variable {
        true => "lower PLIMSOLL_CORES, or the workers of stages whose calls wait",
        false => "give the budget fewer cores, or stages whose calls wait fewer workers",
    }
}

/// Who made an item so heavy, where most of what is needed is what it weighs.
pub(super) fn as_made(weighs: u64, needed: u64, maker: Option<&str>) -> String {
    match maker {
        _ if weighs <= needed / 2 => String::new(),
        Some(stage) => format!(": it weighs {}, as stage {stage:?} made it", Bytes(weighs)),
        None => format!(": it weighs {}, as the source gave it", Bytes(weighs)),
    }
}

/// Holders that are told by name.
const MOST_TOLD: usize = 4;

/// Who holds what is not left, and how much.
pub(super) fn told(held: &[(String, u64)]) -> String {
    let (named, others) = held.split_at(held.len().min(MOST_TOLD));
    let mut parts: Vec<_> =
        named.iter().map(|(who, bytes)| format!("{who} {}", Bytes(*bytes))).collect();
    if !others.is_empty() {
        let bytes = others.iter().map(|(_, bytes)| bytes).sum();
        parts.push(format!("{} others {}", others.len(), Bytes(bytes)));
    }
    if parts.is_empty() { String::new() } else { format!(" (the rest: {})", parts.join(", ")) }
}

/// What is missing where a file that is made new was not found.
pub(super) fn no_directory(action: &str, path: &Path, source: &io::Error) -> String {
    match path.parent() {
        Some(parent) if action == "create" && source.kind() == io::ErrorKind::NotFound => {
            format!("; the directory {} is missing: make it first", parent.display())
        }
        _ => String::new(),
    }
}

pub(super) fn may_lock(allowed: Option<u64>) -> String {
    let told = |bytes| format!("this process may lock {} in all; ", Bytes(bytes));
    allowed.map(told).unwrap_or_default()
}

pub(super) fn of_declaration(name: Option<&str>) -> String {
    name.map(|name| format!(" in `{name}`")).unwrap_or_default()
}
