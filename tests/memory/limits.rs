//! The cgroups that runs are held in, and the budgets that must hold below their limit.

use plimsoll::MIB;

use crate::cgroup::{Group, skipped};
use crate::child::Order;

/// The limit of every cgroup here.
pub(crate) const LIMIT: u64 = 512 * MIB;

/// One close to it, and the default.
pub(crate) const BUDGETS: [Option<&str>; 2] = [Some("448MiB"), None];

/// A new cgroup, if this process may make one and others may go in.
pub(crate) fn group() -> Option<Group> {
    let made = Group::new(LIMIT).map_err(|error| error.to_string()).and_then(|group| {
        let order = Order { group: Some(&group), ..Order::of("nothing") };
        let ended = order.run();
        if ended.status.success() { Ok(group) } else { Err(ended.text) }
    });
    made.map_err(|reason| skipped(&format!("no memory cgroup can be used: {reason}"))).ok()
}
