//! What the scheduler measures, guesses and tells, figure by figure. What it admits is
//! for the search.

use super::pulled;
use crate::budget::Budget;
use crate::engine::scheduler::*;
use crate::plan::{Settings, plan};
use crate::queue::{Entry, Need};
use crate::report::WaitsFor;
use crate::stage::{Footprint, Stage};

/// A line of 1,000 bytes, half of it the oldest's, over two stages of two workers on
/// two cores. Two parcels may wait for each, and eight items may be aboard.
pub(super) struct Run {
    pub(super) scheduler: Scheduler<()>,
    pub(super) now: Nanos,
}

pub(super) fn stages() -> Plan {
    let stage = |name| Stage::memory(name, Footprint::none()).workers(2).map(|(): ()| ()).spec;
    let settings = Settings { ordered: false, window: 8, largest_item: None };
    let specs = [stage("first"), stage("second")];
    let mut plan = plan(&Budget::new(1_000, 2), &specs, &settings).expect("it fits");
    plan.segments.iter_mut().for_each(|segment| segment.queue_bound = 2);
    plan
}

impl Run {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { scheduler: Scheduler::new(plan, false, None), now: 0 }
    }

    pub(super) fn new() -> Self {
        Self::of(&stages())
    }

    /// A parcel of `items` that weighs `weight` and whose step needs `declared`.
    pub(super) fn made(
        id: &ItemId,
        segment: usize,
        items: u64,
        (weight, declared): (u64, u64),
    ) -> Settlement<()> {
        let need = Need { declared, learned: 0 };
        let entry = Entry { items, need, task: () };
        let made = Produced { id: id.clone(), segment, weight, entry };
        let consumed = vec![id.clone()];
        Settlement { consumed, produced: vec![made], items, ..Settlement::default() }
    }

    /// Begins to read the source, whatever waits: the parcel, and how many items at the
    /// most.
    pub(super) fn pull(&mut self) -> (ItemId, u64) {
        self.scheduler.advance_clock(self.now);
        let Some(Choice::Pull { id, reach }) = self.scheduler.pull() else { panic!("no pull") };
        (id, reach.most)
    }

    pub(super) fn read_into(&mut self, id: &ItemId, items: u64, bytes: (u64, u64)) {
        let mut out = Self::made(id, 0, items, bytes);
        self.scheduler.settle_pull(pulled(items), self.now, &mut out, &mut Vec::new());
    }

    /// Reads one item.
    pub(super) fn read(&mut self, bytes: (u64, u64)) {
        let (id, _) = self.pull();
        self.read_into(&id, 1, bytes);
    }

    pub(super) fn start(&mut self) -> (usize, ItemId) {
        match self.scheduler.choose(self.now) {
            Choice::Run { segment, first: (id, ()), rest } if rest.is_empty() => (segment, id),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn idles(&mut self) -> bool {
        matches!(self.scheduler.choose(self.now), Choice::Idle)
    }

    /// A call of `segment` that took `took` made of `id` what weighs `bytes.0`.
    pub(super) fn pass(&mut self, (segment, id): (usize, ItemId), took: Nanos, bytes: (u64, u64)) {
        let mut out = Self::made(&id, segment + 1, 1, bytes);
        self.scheduler.settle(segment, took, self.now, &mut out, &mut Vec::new());
    }

    pub(super) fn finish(&mut self, (segment, id): (usize, ItemId)) {
        let mut out = Settlement { consumed: vec![id], items: 1, ..Settlement::default() };
        self.scheduler.settle(segment, 0, self.now, &mut out, &mut Vec::new());
    }

    pub(super) fn waits_for(&self) -> Vec<WaitsFor> {
        self.scheduler.inspect().iter().map(|state| state.waits_for).collect()
    }

    pub(super) fn waited(&self, segment: usize) -> Waits {
        self.scheduler.waits(segment)
    }
}

impl Drop for Run {
    /// What a test leaves aboard is nobody's.
    fn drop(&mut self) {
        while let Some(id) = self.scheduler.frontier.oldest().cloned() {
            let live = self.scheduler.frontier.leave(&id).expect("it is there");
            std::mem::forget((live.cargo, live.step));
        }
    }
}

#[test]
fn it_tells_what_each_segment_does_and_holds() {
    let mut run = Run::new();
    assert_eq!(run.waits_for(), [WaitsFor::Input; 3]);
    for _ in 0..2 {
        run.read((100, 50));
        assert_eq!(run.start().0, 0);
    }
    assert_eq!(run.scheduler.aboard(), 2);
    let states = run.scheduler.inspect();
    assert_eq!((states[0].running, states[0].queued, states[0].holds), (2, 0, 300));
    assert_eq!(states[0].waits_for, WaitsFor::Nothing);
    run.pass((0, ItemId::new(0)), 0, (70, 20));
    let states = run.scheduler.inspect();
    assert_eq!((states[0].running, states[0].queued, states[0].holds), (1, 0, 150));
    assert_eq!((states[1].running, states[1].queued, states[1].holds), (0, 1, 70));
    assert_eq!((states[0].waits_for, states[1].waits_for), (WaitsFor::Input, WaitsFor::Core));
}

#[test]
fn it_tells_what_free_workers_wait_for() {
    let mut plan = stages();
    plan.segments[0].queue_bound = 9;
    let mut run = Run::of(&plan);
    run.read((100, 30));
    run.start();
    run.read((100, 401));
    assert!(run.idles(), "400 of 500 are left");
    assert_eq!(run.waits_for()[0], WaitsFor::Memory);
    let mut run = Run::of(&plan);
    run.read((10, 30));
    run.start();
    run.read((10, 30));
    run.scheduler.observe(990, u64::MAX, 0);
    assert!(run.idles());
    assert_eq!(run.waits_for()[0], WaitsFor::RealMemory);
    run.scheduler.observe(0, u64::MAX, 0);
    assert_eq!(run.waits_for()[0], WaitsFor::Core, "it may ask again");
    run.start();
    for id in [0, 1] {
        run.pass((0, ItemId::new(id)), 0, (1, 1));
    }
    let (id, _) = run.pull();
    run.read_into(&id, 1, (1, 1));
    assert_eq!(run.waits_for()[0], WaitsFor::Downstream);
}

#[test]
fn a_batch_that_is_not_full_waits_for_input() {
    let mut plan = stages();
    plan.segments[0].gather = Some(3);
    let mut run = Run::of(&plan);
    run.now = 7;
    run.read((1, 1));
    run.read((1, 1));
    assert_eq!(
        (run.waits_for()[0], run.scheduler.next_alarm()),
        (WaitsFor::Input, Some(7 + LINGER))
    );
    let (third, _) = run.pull();
    run.now = 6 + LINGER;
    assert!(run.idles() && run.scheduler.next_alarm().is_some());
    run.now = 7 + LINGER;
    run.scheduler.advance_clock(run.now);
    assert_eq!(run.scheduler.next_alarm(), None, "it is due");
    let Choice::Run { first: (first, ()), rest, .. } = run.scheduler.choose(run.now) else {
        panic!("it has waited long enough")
    };
    assert_eq!((first, rest), (ItemId::new(0), vec![(ItemId::new(1), ())]));
    assert_eq!(run.scheduler.next_alarm(), None, "nothing is left of the batch");
    run.read_into(&third, 1, (1, 1));
    for _ in 0..3 {
        run.read((1, 1));
    }
    assert_eq!(run.waits_for()[0], WaitsFor::Core, "more than full");
    let Choice::Run { rest, .. } = run.scheduler.choose(run.now) else { panic!("it is full") };
    assert_eq!(rest.len(), 2, "no more than wanted");
    assert_eq!(run.scheduler.next_alarm(), Some(7 + 2 * LINGER), "one is left, since now");
}

#[test]
fn calls_are_told_that_began_before_a_moment() {
    let mut run = Run::new();
    run.now = 5;
    let (id, _) = run.pull();
    assert!(run.scheduler.calls_since_before(4).is_empty());
    let [call] = &run.scheduler.calls_since_before(5)[..] else { panic!("one is under way") };
    assert_eq!((call.segment, &call.id, call.since), (None, &id, 5));
    run.now = 6;
    run.read_into(&id, 1, (100, 50));
    assert!(run.scheduler.calls_since_before(9).is_empty(), "who waits is not at work");
    run.now = 7;
    run.start();
    assert!(run.scheduler.calls_since_before(6).is_empty());
    let [call] = &run.scheduler.calls_since_before(7)[..] else { panic!("one is under way") };
    assert_eq!((call.segment, &call.id, call.since, call.holds), (Some(0), &id, 7, 150));
}

#[test]
fn what_was_wanted_for_a_call_is_the_sum_for_its_parcels() {
    let mut run = Run::new();
    run.read((100, 50));
    run.read((100, 30));
    run.scheduler.note_heft(Some(0), 2.0);
    let (first, second) = (run.start().1, run.start().1);
    assert_eq!(run.scheduler.wanted_by_call(&first, &[]), 50, "not what it was found to take");
    assert_eq!(run.scheduler.wanted_by_call(&first, &[(second, ())]), 80);
    assert_eq!(run.scheduler.wanted_by_call(&ItemId::new(9), &[]), 0);
    let out = Run::made(&first, 1, 1, (7, 0));
    let more = Run::made(&first, 1, 1, (8, 0)).produced;
    let both = Settlement { produced: out.produced.into_iter().chain(more).collect(), ..out };
    assert_eq!(both.weight(), 15);
}

#[test]
fn the_time_of_a_call_is_learned_and_parcels_are_made_as_large_as_it_allows() {
    let mut run = Run::new();
    assert_eq!((run.scheduler.likely_time(0, 1), run.scheduler.parcel_items()), (Nanos::MAX, 1));
    run.read((1, 1));
    let begun = run.start();
    run.pass(begun, 4_000, (1, 1));
    assert_eq!(run.scheduler.likely_time(0, 1), 4_000, "what comes first is believed");
    assert_eq!(
        (run.scheduler.likely_time(0, 3), run.scheduler.likely_time(1, 1)),
        (12_000, Nanos::MAX)
    );
    assert_eq!(run.scheduler.parcel_items(), 250);
    run.scheduler.segments[0].note_cost(8_000.0);
    assert_eq!(run.scheduler.likely_time(0, 1), 5_000, "then a quarter of the news");
    let begun = run.start();
    run.pass(begun, 4_000_000, (1, 1));
    assert_eq!(run.scheduler.parcel_items(), 1, "the slowest segment counts");
    run.scheduler.segments[1].nanos_per_item = 0.0;
    run.scheduler.segments[0].nanos_per_item = 1.0;
    assert_eq!(run.scheduler.parcel_items(), 8_192, "at the most");
}

#[test]
fn parcels_grow_with_the_cores_that_share_the_lock() {
    let mut run = Run::new();
    let items = |run: &mut Run, cores: u64, nanos: [f64; 3]| {
        run.scheduler.way_nanos = 20_000 * cores;
        for (segment, nanos) in run.scheduler.segments.iter_mut().zip(nanos) {
            segment.nanos_per_item = nanos;
        }
        run.scheduler.parcel_items()
    };
    // Four turns with the lock, of 5 us for each core, while all segments take 10 us.
    assert_eq!(items(&mut run, 4, [5e3, 4e3, 1e3]), 200, "the slowest takes 1 ms");
    assert_eq!(items(&mut run, 256, [5e3, 4e3, 1e3]), 512);
    assert_eq!(items(&mut run, 64, [9e6, 1e6, 0.0]), 1, "coarse items go one by one");
    assert_eq!(items(&mut run, 64, [0.0; 3]), 1, "nothing is known");
}

#[test]
fn the_cost_of_a_call_is_shared_by_its_items() {
    let mut run = Run::new();
    let (id, _) = run.pull();
    run.read_into(&id, 4, (4, 4));
    let (segment, id) = run.start();
    let mut out = Settlement { consumed: vec![id], items: 4, ..Settlement::default() };
    run.scheduler.settle(segment, 400, 0, &mut out, &mut Vec::new());
    assert_eq!(run.scheduler.likely_time(0, 1), 100);
    assert_eq!(out.items, 0, "ready for the next");
    run.read((1, 1));
    let (segment, id) = run.start();
    let mut out = Settlement { consumed: vec![id], ..Settlement::default() };
    run.scheduler.settle(segment, 400, 0, &mut out, &mut Vec::new());
    assert_eq!(run.scheduler.likely_time(0, 1), 100, "a call without items tells nothing");
    run.read((1, 1));
    let begun = run.start();
    run.pass(begun, 125, (1, 1));
    assert_eq!(run.scheduler.likely_time(0, 1), 106);
}

#[test]
fn what_items_weigh_is_learned_and_asked_for_ahead() {
    let mut run = Run::new();
    let (id, _) = run.pull();
    run.read_into(&id, 2, (80, 1));
    assert_eq!(run.scheduler.source.item_weight, 40);
    let (second, _) = run.pull();
    let held = run.scheduler.calls_since_before(0)[0].holds;
    assert_eq!(held, 40, "of one");
    run.read_into(&second, 1, (8, 1));
    assert_eq!(run.scheduler.source.item_weight, 35, "an eighth is forgotten");
    run.scheduler.note_heft(None, 2.0);
    run.start();
    run.start();
    run.finish((0, id));
    run.pull();
    let calls = run.scheduler.calls_since_before(0);
    assert_eq!(calls.iter().map(|call| call.holds).collect::<Vec<_>>(), [9, 70]);
}

#[test]
fn heft_is_forgotten_by_and_by_but_never_less_than_one() {
    let mut run = Run::new();
    for (heft, kept) in [(0.5, 1.0), (4.0, 4.0), (1.0, 3.5), (3.25, 3.25), (0.0, 2.84375)] {
        run.scheduler.note_heft(Some(1), heft);
        run.scheduler.note_heft(None, heft);
        assert_eq!((run.scheduler.segments[1].heft, run.scheduler.source.heft), (kept, kept));
    }
    assert_eq!(run.scheduler.segments[0].heft, 1.0);
    run.read((10, 20));
    run.read((10, 20));
    for begun in [run.start(), run.start()] {
        run.pass(begun, 0, (10, 20));
    }
    run.scheduler.note_heft(Some(1), 3.0);
    run.start();
    run.start();
    let holds: Vec<_> = run.scheduler.calls_since_before(0).iter().map(|call| call.holds).collect();
    assert_eq!(holds, [10 + 60, 10 + 60]);
    assert_eq!(run.scheduler.oldest_may_need(), 70);
}

#[test]
fn a_look_eases_only_where_less_is_withheld_or_more_is_spare() {
    let mut run = Run::new();
    assert!(!run.scheduler.observe(10, u64::MAX, 0));
    assert!(!run.scheduler.observe(10, u64::MAX, 0));
    assert!(!run.scheduler.observe(11, 5, 0));
    assert!(run.scheduler.observe(10, 5, 0));
    assert!(run.scheduler.observe(10, 6, 0));
    assert_eq!((run.scheduler.ledger().tightened(), run.scheduler.spare), (10, 6));
}

#[test]
fn who_becomes_the_oldest_in_a_call_makes_room_in_the_common_account() {
    let mut plan = stages();
    plan.segments[0].workers = 3;
    plan.cores = 3;
    let mut run = Run::of(&plan);
    run.read((10, 200));
    let first = run.start();
    run.read((10, 400));
    run.start();
    run.read((10, 450));
    assert!(run.idles(), "70 are left of the 500 that are not the oldest's");
    run.finish(first);
    assert_eq!(run.start(), (0, ItemId::new(2)), "the second is on the reserve");
    assert_eq!(run.scheduler.ledger().reserve_room(), 90);
}

#[test]
fn a_call_that_asked_for_more_than_the_reserve_has_stays_where_it_is() {
    for (heft, room) in [(2.0, 200), (1.0, 50)] {
        let mut plan = stages();
        plan.reserve = 300;
        let mut run = Run::of(&plan);
        run.read((1, 1));
        let first = run.start();
        run.read((100, 150));
        run.scheduler.note_heft(Some(0), heft);
        run.start();
        run.finish(first);
        assert_eq!(run.scheduler.ledger().reserve_room(), room, "heft {heft}");
    }
}

#[test]
fn somebody_is_held_up_where_only_the_tightening_is_to_blame() {
    let mut run = Run::new();
    run.read((100, 30));
    run.start();
    run.read((100, 401));
    assert!(run.idles(), "too little room for the step");
    assert_eq!(run.scheduler.segments[0].hungry, Some(Refusal::Full));
    run.scheduler.observe(300, 5, 0);
    assert!(!run.scheduler.is_held_up(), "it would not fit anyway");
    run.scheduler.segments[0].hungry = Some(Refusal::Tight);
    assert!(run.scheduler.is_held_up());
    run.scheduler.segments[0].hungry = None;
    assert!(!run.scheduler.is_held_up(), "nobody has asked");
    run.scheduler.source.hungry = Some(Refusal::Tight);
    assert!(run.scheduler.is_held_up());
    run.scheduler.observe(0, 5, 0);
    run.scheduler.source.hungry = Some(Refusal::Tight);
    assert!(!run.scheduler.is_held_up(), "nothing is withheld");
}

#[test]
fn the_time_of_idle_workers_is_booked_to_what_they_wait_for() {
    let mut run = Run::new();
    run.now = 10;
    run.read((100, 50));
    let none = Waits::default();
    assert_eq!(run.waited(0), Waits { input: 20, ..none }, "two workers");
    run.start();
    run.now = 11;
    run.read((100, 50));
    assert_eq!(run.waited(0), Waits { input: 21, ..none }, "the other");
    run.now = 14;
    run.start();
    assert_eq!(run.waited(0), Waits { input: 21, core: 3, ..none });
    assert_eq!(run.waited(1), Waits { input: 28, ..none });
    run.now = 15;
    run.pass((0, ItemId::new(0)), 1, (100, 50));
    assert_eq!(run.waited(1), Waits { input: 28, core: 2, ..none }, "both cores are taken");
    assert_eq!(run.waited(0), Waits { input: 21, core: 3, ..none }, "both its workers are at work");
}

#[test]
fn waiting_for_memory_is_told_from_waiting_for_what_is_below() {
    let mut run = Run::new();
    run.read((100, 30));
    run.start();
    run.read((100, 401));
    assert!(run.idles());
    run.now = 3;
    run.scheduler.observe(0, u64::MAX, 3);
    assert_eq!((run.waited(0).memory, run.waited(0).tight), (3, 0));
    run.scheduler.segments[0].hungry = Some(Refusal::Tight);
    run.scheduler.observe(0, u64::MAX, 5);
    assert_eq!((run.waited(0).memory, run.waited(0).tight), (5, 2));
    run.scheduler.segments[1].bound = 0;
    run.scheduler.observe(0, u64::MAX, 9);
    assert_eq!((run.waited(0).memory, run.waited(0).downstream), (5, 4));
    run.scheduler.observe(0, u64::MAX, 8);
    assert_eq!((run.scheduler.clock, run.waited(0).downstream), (9, 4), "time does not go back");
}

#[test]
fn who_lacks_input_because_the_source_was_refused_memory_waits_for_memory() {
    for (withheld, tight, told) in [(0, 0, WaitsFor::Memory), (990, 4, WaitsFor::RealMemory)] {
        let mut run = Run::new();
        run.scheduler.source.item_weight = 10;
        run.read((10, 450));
        run.start();
        run.scheduler.observe(withheld, u64::MAX, 0);
        if withheld == 0 {
            run.scheduler.source.heft = 60.0;
        }
        assert!(run.idles(), "the source is not read");
        run.now = 4;
        assert!(run.idles());
        assert_eq!((run.waits_for()[0], run.scheduler.inspect_source()), (told, Some(told)));
        let none = Waits::default();
        assert_eq!(run.waited(0), Waits { memory: 4, tight, ..none }, "one of its two workers");
        assert_eq!(run.waited(1), Waits { input: 8, ..none }, "it gets nothing from the source");
        assert_eq!(run.waits_for()[1], WaitsFor::Input);
        run.scheduler.observe(0, u64::MAX, 4);
        run.scheduler.source.heft = 1.0;
        run.scheduler.ask_again();
        let (id, _) = run.pull();
        run.now = 7;
        run.read_into(&id, 1, (10, 1));
        assert_eq!(run.waited(0), Waits { memory: 4, tight, input: 3, ..none }, "it was read");
    }
}

#[test]
fn what_was_taken_over_counts_against_the_window_before_it_is_a_parcel() {
    let mut run = Run::new();
    run.scheduler.source.last_pull = 8;
    run.scheduler.segments[0].nanos_per_item = 1.0;
    let (first, most) = run.pull();
    assert_eq!((first.clone(), most), (ItemId::new(0), 8), "as many as may be aboard");
    assert_eq!(run.scheduler.split_pull(5), first);
    run.read_into(&ItemId::new(5), 3, (3, 1));
    assert!(!run.scheduler.may_pull(), "eight are aboard");
    let mut part = Settlement { consumed: vec![first], ..Settlement::default() };
    run.scheduler.settle_part(5, run.now, &mut part, &mut Vec::new());
    assert_eq!(run.scheduler.aboard(), 3, "the five came to nothing");
    assert!(run.scheduler.may_pull());
}
