//! The threads of a run: the only place where threads, queues and permits meet.
//!
//! Threads are not workers. A worker is a right to call a stage, with a state; a
//! thread takes whatever the scheduler hands it, so an item is carried onward by
//! the thread that made it unless something older or further downstream waits.
//!
//! One mutex guards the scheduler. A thread that finds nothing to do under it takes
//! the count of the work bell under it too, and sleeps only while that count
//! stands; so no wake-up can fall between the look and the sleep. Who changes the
//! state rings:
//!
//! | change | made by | wakes |
//! |---|---|---|
//! | a step or a pull was settled | the thread that did it | goes on itself; one parked thread if there is more to do |
//! | an output became ready | the thread that settled | the consumer, if it waits |
//! | the consumer took an output | the consumer | one parked thread if that made room |
//! | the run was stopped or ended | whoever did it | everybody |
//! | a partial batch, a deadline or a pull came due | nobody | a parked thread's own timer |
//! | a pull that took a core turns out to wait | the watch | one parked thread if there is work for the core |
//! | real memory makes room again | the thread that looked, or the watch | one parked thread if that is enough for more |
//!
//! A woken thread that finds more to do than it takes wakes the next.

use std::time::Duration;

use super::context::Context;
use super::memory::Memory;
use super::parcel::BoxTask;
use super::recorder::Recorder;
use super::scheduler::{Choice, Halt, Nanos, Scheduler, Settlement};
use super::source::Pull;
use super::stalls::Stalls;
use super::watch::Orders;
use crate::budget::Measure;
use crate::cores::CoreClock;
use crate::item::ItemId;
use crate::resident::Gauge;
use crate::shared::thread_cpu_time;
use crate::sync::{AtomicU64, Figure, Mutex, MutexGuard, Ordering, SPINS};

/// A thread that looks before it parks is done in less than that, if it has a core.
pub(super) const LONGEST_LOOK: Nanos = 30_000;

/// A run under way.
pub(crate) struct Run<'r> {
    pub(super) board: Mutex<Board<'r>>,
    /// Counts the settlements, for those who look again before they park.
    settled: AtomicU64,
    pub(super) source: Box<dyn Pull<'r> + 'r>,
    pub(crate) cx: Context<'r>,
    /// Tells real memory, where it is told and asked for.
    pub(super) gauge: Option<Gauge>,
    pub(super) orders: Orders,
    /// Calls that did not come back for long.
    pub(super) stalls: Mutex<Stalls>,
    /// Threads that take part, the watch aside.
    pub(super) present: Figure,
}

/// What the mutex guards.
pub(super) struct Board<'r> {
    pub(super) scheduler: Scheduler<BoxTask<'r>>,
    pub(super) memory: Memory,
    /// Nothing, unless the run is recorded.
    pub(super) recorder: Option<Recorder>,
    pub(super) parked: usize,
    /// Threads that found nothing and look once more before they park. Whatever they are
    /// needed for they find, so nobody is woken until the last of them should be done.
    pub(super) looking: usize,
    pub(super) looks_until: Nanos,
    /// When parked threads wake by themselves.
    pub(super) alarms: Vec<Nanos>,
    consumer_waits: bool,
}

impl<'r> Run<'r> {
    pub(crate) fn new(
        cx: Context<'r>,
        source: Box<dyn Pull<'r> + 'r>,
        outside_sink: bool,
        time_limit: Option<Duration>,
        orders: Orders,
    ) -> Self {
        let limit = time_limit.map(|limit| Nanos::try_from(limit.as_nanos()).unwrap_or(Nanos::MAX));
        let scheduler = Scheduler::new(&cx.plan, outside_sink, limit);
        let measured = match cx.plan.measure {
            Measure::Nothing => Err("the budget is unmeasured".to_owned()),
            Measure::Process | Measure::Growth => Gauge::open()
                .and_then(|gauge| Ok((gauge.read()?, gauge)))
                .map_err(|error| error.to_string()),
        };
        let (real, gauge) = match measured {
            Ok((real, gauge)) => (Ok(real), Some(gauge)),
            Err(why) => (Err(why), None),
        };
        // Buffers of an earlier run are not what the process holds besides.
        let real = real.map(|real| real.saturating_sub(cx.pools.idle_bytes()));
        let memory = Memory::new(&cx.plan, real);
        let recorder = orders.record.then(|| Recorder::new(&cx.plan));
        let board = Board {
            scheduler,
            memory,
            recorder,
            parked: 0,
            looking: 0,
            looks_until: 0,
            alarms: Vec::new(),
            consumer_waits: false,
        };
        Self {
            board: Mutex::new(board),
            settled: AtomicU64::new(0),
            source,
            cx,
            gauge,
            orders,
            stalls: Mutex::default(),
            present: Figure::new(0),
        }
    }

    /// One thread's part of the run, until there is nothing left to do.
    pub(crate) fn work(&self) {
        // Declared before the guard, so dropped after it.
        let _halt_on_unwind = HaltOnUnwind(self);
        let present = Present::of(self);
        let _run = self.cx.spans.enter_run();
        let mut dropped = Vec::new();
        let mut board = self.board.lock();
        let track = board.begin_track(&self.cx.plan);
        let mut settlement = Settlement { track, ..Settlement::default() };
        let mut cores = CoreClock::new(thread_cpu_time);
        // The clock is read when the lock is taken or time may have passed under it, not
        // for each use: a look costs as much as the rest of a choice.
        let mut now = self.now();
        loop {
            if self.cx.signals.is_cancelled() {
                board.scheduler.halt(Halt::Cancelled, &mut dropped);
            }
            if board.scheduler.is_pull_overdue(now) {
                now = self.take_over(&mut board, now, &mut settlement, &mut dropped);
            }
            match board.scheduler.choose(now) {
                Choice::Over => break,
                Choice::Idle => {
                    self.park(&mut board, now);
                    self.release_end_of_heap(&mut board);
                    now = self.now();
                    continue;
                }
                step => {
                    let with = (&mut settlement, &mut cores);
                    now = self.take(&mut board, step, now, with, &mut dropped);
                }
            }
            let dropped_some = self.after_settling(&mut board, &mut dropped);
            let trimmed = self.look_if_due(&mut board, now);
            if dropped_some || trimmed {
                now = self.now();
            }
        }
        board.scheduler.drop_rest(&mut dropped);
        board.end_track(settlement.track.take());
        drop(board);
        drop(present);
        // Those who sleep look up and leave; those who run give up if the run
        // was stopped.
        if self.with_scheduler(|scheduler| scheduler.halted().is_some()) {
            self.cx.signals.stop();
        } else {
            self.cx.signals.ring_all();
        }
        dropped.into_iter().for_each(|task| task.discard());
    }

    /// Takes a step without the lock and settles what came of it; when that was.
    fn take(
        &self,
        board: &mut MutexGuard<'_, Board<'r>>,
        step: Choice<BoxTask<'r>>,
        now: Nanos,
        (settlement, cores): (&mut Settlement<BoxTask<'r>>, &mut CoreClock),
        dropped: &mut Vec<BoxTask<'r>>,
    ) -> Nanos {
        board.record(now);
        let wakes = self.has_more(board, now);
        self.note_takers(board);
        let mut begun = now;
        let room = board.scheduler.ledger().unlent();
        match step {
            Choice::Run { segment, first: (id, task), rest } => {
                let items = 1 + rest.len() as u64;
                let likely = board.scheduler.likely_time(segment, items);
                // What it was granted is forgotten when it is settled.
                let expected = board.memory.begins_probe(Some(segment), likely, now).then(|| {
                    let scheduler = &board.scheduler;
                    (scheduler.wanted_by_call(&id, &rest), scheduler.kept_from_now_on(&id))
                });
                let stands_for = board.scheduler.wants_core_time(segment);
                let (touched, time) = MutexGuard::unlocked(board, || {
                    settlement.at = if wakes { self.wake() } else { now };
                    begun = settlement.at;
                    self.cx.pools.keep_at_most(room);
                    let before = stands_for.and_then(|calls| Some((cores.now()?, calls)));
                    let probe = expected.and_then(|_| self.begin_probe());
                    {
                        let _parcel = self.cx.spans.enter_parcel(segment, &id, rest.len());
                        task.run(id, rest, &self.cx, settlement);
                    }
                    let touched = probe.and_then(|probe| self.end_probe(&probe, settlement));
                    let seen = before.and_then(|(at, calls)| Some((cores.now()?.since(at), calls)));
                    (touched, seen)
                });
                let now = self.now();
                if let Some((wanted, kept)) = expected {
                    let declared = wanted.max(settlement.weight());
                    self.weigh(board, Some(segment), touched, (declared, kept));
                }
                let took = settlement.at.saturating_sub(begun);
                self.cx.metrics.called(segment, took);
                board.scheduler.note_core_time(segment, (items, took), time);
                board.scheduler.settle(segment, took, now, settlement, dropped);
                now
            }
            Choice::Pull { id, reach } => {
                let is_measured = board.memory.begins_probe(None, 0, now);
                let first = id.source_index();
                let (pulled, touched) = MutexGuard::unlocked(board, || {
                    settlement.at = if wakes { self.wake() } else { now };
                    self.cx.pools.keep_at_most(room);
                    let probe = is_measured.then(|| self.begin_probe()).flatten();
                    let pulled = self.source.pull(id, reach, &self.cx, settlement);
                    (pulled, probe.and_then(|probe| self.end_probe(&probe, settlement)))
                });
                let now = self.now();
                // What was taken over from it is not known here.
                let is_whole = settlement.consumed.iter().all(|id| id.source_index() == first);
                let touched = touched.filter(|_| is_whole);
                self.weigh(board, None, touched, (settlement.weight(), 0));
                board.scheduler.settle_pull(pulled, now, settlement, dropped);
                now
            }
            Choice::Idle | Choice::Over => now,
        }
    }

    /// Takes over what a pull has read that does not come back; when that was done.
    fn take_over(
        &self,
        board: &mut MutexGuard<'_, Board<'r>>,
        now: Nanos,
        settlement: &mut Settlement<BoxTask<'r>>,
        dropped: &mut Vec<BoxTask<'r>>,
    ) -> Nanos {
        // Under the run's lock, so that the scheduler hears of it before the pull is settled.
        let Some(part) = self.source.take_over() else {
            board.scheduler.excuse_pull();
            return now;
        };
        let id = board.scheduler.split_pull(part.items);
        MutexGuard::unlocked(board, || {
            settlement.at = now;
            (part.hand_on)(id, &self.cx, settlement);
        });
        let now = self.now();
        board.scheduler.settle_part(part.items, now, settlement, dropped);
        if self.after_settling(board, dropped) { self.now() } else { now }
    }

    /// The next outputs for a consumer outside: waits until there are some, or
    /// `None` when there will be none.
    pub(crate) fn next_output(&self) -> Option<(ItemId, BoxTask<'r>)> {
        let mut board = self.board.lock();
        loop {
            let now = self.now();
            if let Some(output) = board.scheduler.choose_output(now) {
                self.wake_for_more(&board, now);
                return Some(output);
            }
            if board.scheduler.is_over() {
                return None;
            }
            let seen = self.cx.signals.outputs.rings();
            board.consumer_waits = true;
            MutexGuard::unlocked(&mut board, || self.cx.signals.outputs.wait(seen, None));
            board.consumer_waits = false;
        }
    }

    /// The consumer is done with the parcel `id`.
    pub(crate) fn settle_output(&self, id: ItemId) {
        let mut settlement = Settlement { consumed: vec![id], ..Settlement::default() };
        let mut dropped = Vec::new();
        let mut board = self.board.lock();
        let sink = self.cx.plan.segments.len() - 1;
        let now = self.now();
        board.scheduler.settle(sink, 0, now, &mut settlement, &mut dropped);
        self.after_settling(&mut board, &mut dropped);
        self.wake_for_more(&board, now);
    }

    /// Stops the run: nothing new is begun.
    pub(crate) fn halt(&self, why: Halt) {
        let mut dropped = Vec::new();
        self.board.lock().scheduler.halt(why, &mut dropped);
        self.cx.signals.stop();
        dropped.into_iter().for_each(|task| task.discard());
    }

    /// Looks at the scheduler, for the report.
    pub(crate) fn with_scheduler<R>(&self, look: impl FnOnce(&Scheduler<BoxTask<'r>>) -> R) -> R {
        look(&self.board.lock().scheduler)
    }

    /// Time since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now())
    }

    pub(super) fn is_blind(&self) -> bool {
        self.board.lock().memory.is_blind()
    }

    pub(super) fn now(&self) -> Nanos {
        self.cx.clock.nanos()
    }

    /// Whether the lock was given up in between, to drop values of the user's.
    pub(super) fn after_settling(
        &self,
        board: &mut MutexGuard<'_, Board<'r>>,
        dropped: &mut Vec<BoxTask<'r>>,
    ) -> bool {
        // Relaxed: a hint for those who spin; the lock orders what it hints at.
        self.settled.fetch_add(1, Ordering::Relaxed);
        board.record_peak();
        self.cx.set_parcel_items(board.scheduler.parcel_items());
        if self.cx.is_broken() {
            board.scheduler.halt(Halt::Broken, dropped);
        }
        if board.consumer_waits && (board.scheduler.has_output() || board.scheduler.is_over()) {
            self.cx.signals.outputs.ring_one();
        }
        let drops = !dropped.is_empty();
        if drops {
            MutexGuard::unlocked(board, || dropped.drain(..).for_each(|task| task.discard()));
        }
        drops
    }

    /// Wakes one who is parked, if there is more to do.
    pub(super) fn wake_for_more(&self, board: &Board<'r>, now: Nanos) {
        if self.has_more(board, now) {
            self.wake();
        }
    }

    /// Wakes one who is parked, which takes a while: when it is done. Best without the
    /// lock, for which the woken comes first.
    fn wake(&self) -> Nanos {
        self.cx.signals.work.ring_one();
        self.now()
    }

    /// Whether one who is parked is to be woken: there is work beyond what this thread
    /// has taken, or nobody would wake for what comes due.
    pub(super) fn has_more(&self, board: &Board<'r>, now: Nanos) -> bool {
        let heard = board.alarms.iter().min();
        let alarm_unheard = || {
            let due = board.scheduler.next_alarm();
            due.is_some_and(|due| heard.is_none_or(|heard| due < *heard))
        };
        // Who looks for longer does not: the system has given its core to another thread.
        let is_looked_for = board.looking > 0 && now < board.looks_until;
        board.parked > 0 && !is_looked_for && (board.scheduler.has_work(now) || alarm_unheard())
    }

    /// Tells those who work where others would help them, if any have nothing to do.
    pub(super) fn note_takers(&self, board: &Board<'r>) {
        let idle = board.parked + board.looking > 0;
        self.cx.takers.note(if idle { board.scheduler.takers() } else { 0 });
    }

    /// How many settlements there were.
    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    /// Waits for work: looks a little longer, then sleeps.
    fn park(&self, board: &mut MutexGuard<'_, Board<'r>>, now: Nanos) {
        let settled = self.settled();
        board.looking += 1;
        board.looks_until = now + LONGEST_LOOK;
        self.note_takers(board);
        let news = MutexGuard::unlocked(board, || {
            (0..SPINS).any(|_| {
                std::hint::spin_loop();
                self.settled() != settled
            })
        });
        board.looking -= 1;
        // The lock was given up: whatever happened meanwhile is looked at before
        // sleeping.
        if news || board.scheduler.is_over() || board.scheduler.has_work(self.now()) {
            return;
        }
        let seen = self.cx.signals.work.rings();
        if self.cx.signals.is_cancelled() {
            return;
        }
        // Asked only now: a batch may have been begun while the lock was given up.
        let until = board.scheduler.next_alarm();
        board.parked += 1;
        board.alarms.extend(until);
        let until_instant = until.map(|nanos| self.cx.clock.at(nanos));
        MutexGuard::unlocked(board, || self.cx.signals.work.wait(seen, until_instant));
        if let Some(place) = until.and_then(|until| board.alarms.iter().position(|at| *at == until))
        {
            board.alarms.swap_remove(place);
        }
        board.parked -= 1;
    }
}

/// A thread that takes part in a run, until it is dropped.
struct Present<'a>(&'a Figure);

impl<'a> Present<'a> {
    fn of(run: &'a Run<'_>) -> Self {
        // Relaxed: the watch looks again when it is rung for.
        run.present.fetch_add(1, Ordering::Relaxed);
        Self(&run.present)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends a run if one of its threads is left by a panic of our own, so that nobody
/// waits for a thread that is gone.
struct HaltOnUnwind<'a, 'r>(&'a Run<'r>);

impl Drop for HaltOnUnwind<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt(Halt::Broken);
        }
    }
}
