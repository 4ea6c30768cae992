mod probes;

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::*;
use crate::budget::Budget;
use crate::engine::scheduler::{Choice, Halt, Produced, Pulled, Settlement};
use crate::item::ItemId;
use crate::plan::{Settings, plan};
use crate::queue::{Entry, Need};
use crate::resident::ALONE;
use crate::stage::{Footprint, Stage};
use crate::table::{Extent, MemoryId, Pages, Table};
use crate::units::MIB;

/// Tolerated of a budget of 1,024 MiB.
const TOLERANCE: u64 = 64 * MIB;

/// A run without threads: one stage of four workers on a budget of 1,024 MiB, 24 MiB of
/// them shared. What the process holds is whatever the test says.
struct Rig {
    memory: Memory,
    scheduler: Scheduler<()>,
    running: Vec<ItemId>,
    /// MiB of buffers that lie idle.
    idle: u64,
    /// What other runs account for must not change meanwhile.
    _alone: MutexGuard<'static, ()>,
}

fn plan_of(per_worker: u64) -> Plan {
    let footprint = Footprint::per_worker(per_worker).and(Footprint::shared(24 * MIB));
    let spec = Stage::memory("model", footprint).workers(4).map(|(): ()| ()).spec;
    let settings = Settings { ordered: false, window: 64, largest_item: None };
    plan(&Budget::new(1_024 * MIB, 8), &[spec], &settings).expect("it fits")
}

impl Rig {
    fn new(plan: &Plan, real: Result<u64, String>) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let scheduler = Scheduler::new(plan, false, None);
        let memory = Memory::new(plan, real.map(|mib| mib * MIB));
        Self { memory, scheduler, running: Vec::new(), idle: 0, _alone: alone }
    }

    /// Of a process that held 100 MiB before, and what is shared.
    fn grown() -> Self {
        let rig = Self::new(&plan_of(0), Ok(124));
        assert_eq!(rig.scheduler.ledger().line(), 1_000 * MIB);
        rig
    }

    /// A look at a process that holds `real` MiB; whether that made room.
    fn look(&mut self, real: u64, now: Nanos) -> bool {
        self.memory.look(&mut self.scheduler, (real * MIB, self.idle * MIB), now)
    }

    /// MiB of the line that are withheld.
    fn withheld(&self) -> u64 {
        self.scheduler.ledger().tightened() / MIB
    }

    /// Reads an item of `mib` MiB.
    fn read(&mut self, mib: u64) {
        let Choice::Pull { id, .. } = self.scheduler.choose(0) else { panic!("no pull") };
        let entry = Entry { items: 1, need: Need::default(), task: () };
        let made = Produced { id: id.clone(), segment: 0, weight: mib * MIB, entry };
        let mut out =
            Settlement { consumed: vec![id], produced: vec![made], ..Settlement::default() };
        self.scheduler.settle_pull(
            Pulled { read: 1, ended: false, promised: true },
            0,
            &mut out,
            &mut Vec::new(),
        );
    }

    /// Whether a waiting item is handed to a worker. If not, the source may be read
    /// instead, which is empty.
    fn starts(&mut self) -> bool {
        match self.scheduler.choose(0) {
            Choice::Run { first: (id, ()), .. } => {
                self.running.push(id);
                true
            }
            Choice::Pull { id, .. } => {
                let mut out = Settlement { consumed: vec![id], ..Settlement::default() };
                self.scheduler.settle_pull(
                    Pulled { read: 0, ended: true, promised: true },
                    0,
                    &mut out,
                    &mut Vec::new(),
                );
                false
            }
            Choice::Idle | Choice::Over => false,
        }
    }

    fn begins_trim(&mut self, now: Nanos) -> bool {
        self.memory.begins_trim(&self.scheduler, now)
    }

    fn report(&self) -> MemoryReport {
        let names = ["model", "the sink", "the source"].map(str::to_owned);
        self.memory.report(&names, 200 * MIB)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.scheduler.halt(Halt::Cancelled, &mut Vec::new());
        for id in self.running.drain(..) {
            let mut out = Settlement { consumed: vec![id], ..Settlement::default() };
            self.scheduler.settle(0, 0, 0, &mut out, &mut Vec::new());
        }
        assert_eq!(self.scheduler.ledger().held(), 0);
    }
}

#[test]
fn growth_is_measured_from_what_was_there_before_but_for_shared_tables() {
    let mut rig = Rig::grown();
    rig.look(124, 0);
    assert_eq!((rig.memory.drift, rig.withheld()), (0, 0));
    rig.look(124 + 100, 0);
    assert_eq!((rig.memory.drift, rig.withheld()), (100 * MIB, 36));
    assert_eq!(rig.report().peak_drift, 100 * MIB);
}

#[test]
fn a_budget_for_the_process_counts_what_was_there_before() {
    let mut plan = plan_of(0);
    plan.measure = Measure::Process;
    let mut rig = Rig::new(&plan, Ok(124));
    rig.look(124, 0);
    assert_eq!((rig.memory.drift, rig.withheld()), (100 * MIB, 36));
}

#[test]
fn items_aboard_and_what_other_runs_account_for_are_no_drift() {
    let mut rig = Rig::grown();
    let mut other = Accounted::default();
    other.publish(50 * MIB);
    rig.read(30);
    rig.look(124 + 50 + 30, 0);
    assert_eq!((rig.memory.drift, rig.withheld()), (0, 0));
    let memory = Memory::new(&plan_of(0), Ok((124 + 50 + 24 + 30) * MIB));
    assert_eq!(memory.before, 100 * MIB, "what the first two account for is theirs");
    drop(other);
    rig.look(124 + 50 + 30, 0);
    assert_eq!(rig.memory.drift, 50 * MIB, "the other has left it behind");
    assert_eq!(Accounted::default().publish(0), (24 + 30) * MIB);
    drop(rig);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(Accounted::default().publish(0), 0);
}

#[test]
fn idle_buffers_are_no_drift_and_no_other_runs_either() {
    let mut rig = Rig::grown();
    rig.idle = 80;
    rig.read(30);
    rig.look(124 + 80 + 30, 0);
    assert_eq!((rig.memory.drift, rig.withheld()), (0, 0));
    assert_eq!(Accounted::default().publish(0), (24 + 30 + 80) * MIB);
    rig.idle = 0;
    rig.look(124 + 80 + 30, 0);
    assert_eq!(rig.memory.drift, 80 * MIB, "given up, and with the allocator now");
}

#[test]
fn what_the_next_oldest_may_need_is_withheld_too() {
    let mut rig = Rig::grown();
    rig.read(30);
    assert!(rig.starts());
    rig.look(124 + 30 + 100, 0);
    assert_eq!(rig.withheld(), 36 + 30);
    assert!(rig.look(124 + 30, 0), "it makes room");
    assert_eq!(rig.withheld(), 0);
    assert!(!rig.look(124 + 30, 0), "no more than there was");
}

#[test]
fn a_look_is_due_when_enough_has_changed_hands_or_enough_time_has_passed() {
    let stride = |line| {
        let mut plan = plan_of(0);
        plan.line = line;
        Memory::new(&plan, Ok(0)).stride
    };
    assert_eq!(stride(640 * MIB), 10 * MIB);
    assert_eq!((stride(1), stride(u64::MAX)), (MIB, 16 * MIB));

    let mut rig = Rig::grown();
    let stride = rig.memory.stride;
    let due = |rig: &Rig, turnover, now| rig.memory.is_look_due(turnover, now);
    assert!(!due(&rig, stride - 1, LOOK_INTERVAL - 1));
    assert!(due(&rig, stride, 0) && due(&rig, 0, LOOK_INTERVAL));
    rig.read(30);
    rig.look(154, 7);
    let turnover = rig.scheduler.ledger().turnover();
    assert!(turnover >= 30 * MIB);
    assert!(!due(&rig, turnover + stride - 1, LOOK_INTERVAL + 6));
    assert!(due(&rig, turnover + stride, 7) && due(&rig, turnover, LOOK_INTERVAL + 7));
}

#[test]
fn headroom_shrinks_by_what_the_process_has_taken_since_it_was_read() {
    let mut rig = Rig::grown();
    rig.memory.note_headroom(Some(100 * MIB), 124 * MIB);
    rig.look(124, 0);
    assert_eq!(rig.withheld(), 900, "of a line of 1,000");
    rig.look(124 + 30, 2_000);
    assert_eq!(rig.withheld(), 930);
    rig.memory.note_headroom(None, 0);
    assert!(rig.look(124 + 30, 5_000), "nothing is known of any limit");
    assert_eq!(rig.withheld(), 0);
    rig.look(124 + 30, 9_000);
    let report = rig.report();
    assert_eq!(report.squeezed, Duration::from_nanos(2_000), "until the second look");
    assert_eq!(report.tight, Duration::from_nanos(5_000), "until the third");
}

#[test]
fn workers_not_called_yet_must_fit_beside_what_is_held_and_twice_the_drift() {
    let mib = |real, accounted, elsewhere| Look {
        real: real * MIB,
        accounted: accounted * MIB,
        elsewhere: elsewhere * MIB,
        ..Look::default()
    };
    let rig = Rig::grown();
    let spare = |look| rig.memory.spare(&look) / MIB;
    let limit = 1_024 + TOLERANCE / MIB;
    assert_eq!(spare(mib(300, 100, 100)), limit - 200 - (100 - 64));
    assert_eq!(spare(mib(250, 100, 100)), limit - 150, "drift that is tolerated");
    assert_eq!(spare(mib(50, 100, 0)), limit - 100, "granted and not there yet");
    assert_eq!(spare(mib(2_000, 100, 0)), 0);
    drop(rig);

    let mut rig = Rig::new(&plan_of(100 * MIB), Ok(24));
    rig.read(1);
    assert!(rig.starts());
    rig.read(1);
    rig.look(24, 0);
    assert!(!rig.starts(), "ten times two workers would not fit");
}

#[test]
fn the_allocator_is_trimmed_where_the_next_oldest_would_go_beyond_the_budget() {
    let mut rig = Rig::grown();
    rig.look(100 + 1_024, 0);
    assert!(!rig.begins_trim(0), "as much as the budget");
    rig.look(100 + 1_025, 0);
    assert!(rig.begins_trim(0));
    assert!(!rig.begins_trim(0), "one at a time");
    rig.memory.trimmed(10, 1_000_000, (1_125 * MIB, 725 * MIB));
    assert!(!rig.begins_trim(4_000_009));
    assert!(rig.begins_trim(4_000_010), "four times as long as the last one took");
    rig.memory.trimmed(10, 1_000_000, (725 * MIB, 726 * MIB));
    assert!(!rig.begins_trim(8_000_009), "that one brought nothing");
    rig.look(124, 0);
    assert!(!rig.begins_trim(8_000_010), "there is nothing to trim any more");
    let report = rig.report();
    assert_eq!((report.trims, report.trimmed), (2, 400 * MIB));
    assert_eq!(report.trim_time, Duration::from_millis(2));
}

#[test]
fn drift_that_is_tolerated_is_not_trimmed_however_full_the_budget() {
    let mut rig = Rig::grown();
    rig.read(946);
    rig.look(100 + 24 + 946 + 64, 0);
    assert!(rig.memory.drift == TOLERANCE && !rig.begins_trim(0));
    rig.look(100 + 24 + 946 + 65, 0);
    assert!(rig.begins_trim(0));
}

#[test]
fn the_allocator_is_trimmed_where_the_tightening_holds_somebody_up() {
    let mut rig = Rig::grown();
    rig.read(200);
    assert!(rig.starts());
    rig.look(100 + 24 + 200 + 500, 0);
    assert!(!rig.begins_trim(0), "nobody was refused yet");
    assert!(!rig.starts(), "a second item is not read");
    assert!(rig.begins_trim(0));
}

#[test]
fn what_others_take_is_looked_at_the_sooner_the_less_is_left() {
    let mut rig = Rig::grown();
    assert_eq!(rig.memory.headroom_lasts(), 0, "not known yet");
    let mut lasts = |left: u64| {
        rig.memory.note_headroom(Some(left), 0);
        rig.memory.headroom_lasts()
    };
    let budget = 1_024 * MIB;
    assert_eq!(lasts(budget), 0);
    assert_eq!(lasts(budget + OTHERS_TAKE * 1_000), 1_000);
    assert_eq!(lasts(u64::MAX), LONGEST_TRUST);
}

#[test]
fn the_report_tells_the_peak_and_what_was_left_unused() {
    let mut rig = Rig::grown();
    assert_eq!((rig.report().peak_real, rig.report().unused), (Some(124 * MIB), 76 * MIB));
    rig.look(150, 0);
    rig.look(130, 0);
    assert_eq!((rig.report().peak_real, rig.report().unused), (Some(150 * MIB), 50 * MIB));
    rig.look(300, 0);
    assert_eq!((rig.report().peak_real, rig.report().unused), (Some(300 * MIB), 0));
    let line = rig.scheduler.ledger().line();
    assert!((1..=line).contains(&rig.report().withheld));
}

#[test]
fn the_ledger_alone_counts_where_real_memory_is_not_told() {
    let mut rig = Rig::new(&plan_of(0), Err("nobody knows".to_owned()));
    assert!(rig.memory.is_blind());
    assert!(!rig.memory.is_look_due(u64::MAX, Nanos::MAX));
    assert!(!rig.memory.begins_probe(Some(0), Nanos::MAX, Nanos::MAX));
    let report = rig.report();
    assert_eq!((report.blind.as_deref(), report.peak_real), (Some("nobody knows"), None));
    assert_eq!(report.unused, 0);
}

#[test]
fn nothing_is_withheld_any_more_when_sight_is_lost() {
    let mut rig = Rig::new(&plan_of(100 * MIB), Ok(24));
    rig.read(1);
    assert!(rig.starts());
    rig.read(1);
    rig.look(24 + 2_000, 0);
    assert!(rig.withheld() > 0 && !rig.starts() && !rig.memory.is_blind());
    for why in ["it is gone", "and again"] {
        rig.memory.lose_sight(&mut rig.scheduler, 0, why.to_owned());
    }
    assert_eq!(rig.withheld(), 0);
    assert!(rig.starts(), "workers begin as declared");
    assert!(!rig.begins_trim(0), "it was overfull when it was last seen");
    let report = rig.report();
    assert_eq!(report.blind.as_deref(), Some("it is gone"));
    assert_eq!(report.peak_real, Some(2_024 * MIB));
}

/// The plan of a stage that works with 200 MiB of a file and a copy of 100 MiB.
fn plan_with_tables() -> Plan {
    let table = |memory, mib: u64, pages| {
        let extents = vec![Extent { memory, bytes: 0..mib * MIB, pages }];
        Footprint::table(Table { name: "t".to_owned(), extents, floor: None, unverified: false })
    };
    let file = MemoryId::File { device: 0, inode: 1, length: 2, checksum: 3 };
    let mapped = table(file, 200, Pages::Reclaimable { in_order: false });
    let footprint = mapped.and(table(MemoryId::Own(usize::MAX), 100, Pages::Real));
    let spec = Stage::memory("model", footprint).map(|(): ()| ()).spec;
    let settings = Settings { ordered: false, window: 64, largest_item: None };
    plan(&Budget::new(1_024 * MIB, 8), &[spec], &settings).expect("it fits")
}

#[test]
fn a_copy_is_no_drift_and_a_mapped_table_hides_none() {
    let plan = plan_with_tables();
    assert_eq!(plan.line, 724 * MIB);
    // 50 MiB were there before, beside the copy.
    let mut rig = Rig::new(&plan, Ok(150));
    rig.look(150, 0);
    assert_eq!((rig.memory.drift, rig.withheld()), (0, 0));
    rig.look(150 + 100, 0);
    assert_eq!((rig.memory.drift, rig.withheld()), (100 * MIB, 36));
    rig.look(50 + 824 + 7, 0);
    assert_eq!(rig.report().beyond, 7 * MIB, "824 MiB are left beside the mapped table");
    // Another run that works with the copy does not account for it again.
    let mut other = Accounted::with_copies(&plan.copies);
    other.publish(110 * MIB);
    rig.look(150 + 110, 0);
    assert_eq!(rig.memory.drift, 100 * MIB, "10 of it are the other run's");
}

#[test]
fn the_pages_of_a_mapped_table_are_no_room_for_items() {
    let mut rig = Rig::new(&plan_with_tables(), Ok(150));
    rig.memory.note_headroom(Some(924 * MIB), 150 * MIB);
    rig.look(150, 0);
    assert_eq!(rig.withheld(), 0, "724 for items, 200 for the table");
    rig.memory.note_headroom(Some(874 * MIB), 150 * MIB);
    rig.look(150, 0);
    assert_eq!(rig.withheld(), 50);
}
