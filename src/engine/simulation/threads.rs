//! What each thread does: the protocol of [`crate::engine::run`], without threads.
//!
//! | a thread | until |
//! |---|---|
//! | arrives at the lock, spins or sleeps for it | it enters |
//! | settles what it brings, chooses | it leaves with a step, to look, to sleep, or for good |
//! | wakes another if there is more, does its step | it arrives with what came of it |
//! | looks | something was settled, or it has looked long enough: it looks once more under the lock |
//! | sleeps | the bell rings for it, or its alarm |

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::VirtualClock;
use super::forecast::{Costs, ThreadTime};
use super::lock::{Arrival, Lock};
use super::machine::Machine;
use super::timeline::{Event, Timeline};
use crate::engine::parcel::BoxTask;
use crate::engine::run::{Board, LONGEST_LOOK, Run};
use crate::engine::scheduler::{Choice, Nanos, Pulled, Settlement};
use crate::engine::watch;
use crate::sync::{MutexGuard, SPINS, Stopwatch};

/// Plays `run`, whose nodes read `clock`, with `threads` threads.
pub(crate) fn drive(
    run: &Run<'_>,
    threads: usize,
    clock: &VirtualClock,
    machine: &Machine,
) -> Costs {
    let mut theatre = Theatre::new(run, threads, clock, machine);
    theatre.play();
    theatre.costs()
}

/// What a thread brings to the lock.
enum Errand {
    /// Nothing yet.
    Begins,
    /// What came of a step of `segment` that took so long.
    Settles { segment: usize, took: Nanos },
    /// What came of a pull.
    SettlesPull { pulled: Pulled },
    /// It has looked for work since so many settlements.
    HasLooked { settled: u64 },
    /// It was parked, with an alarm or without.
    WasParked { alarm: Option<Nanos> },
}

/// With what a thread leaves the lock.
enum Exit<'r> {
    Step { step: Choice<BoxTask<'r>>, wakes: bool },
    Look { settled: u64 },
    Park { rings: u64, alarm: Option<Nanos> },
    End,
}

enum Doing<'r> {
    /// On its way to the lock or waiting for it, since when.
    Arriving(Errand, Nanos),
    /// In possession of the lock.
    Leaving(Exit<'r>),
    Looking {
        settled: u64,
    },
    Parked {
        alarm: Option<Nanos>,
    },
    Gone,
}

struct Thread<'r> {
    doing: Doing<'r>,
    /// Changes when what was noted for it comes to nothing.
    turn: u64,
    settlement: Settlement<BoxTask<'r>>,
}

struct Theatre<'a, 'r> {
    run: &'a Run<'r>,
    clock: &'a VirtualClock,
    machine: &'a Machine,
    timeline: Timeline,
    lock: Lock,
    threads: Vec<Thread<'r>>,
    /// Who sleeps on the work bell, the first to be woken first.
    bell: VecDeque<usize>,
    rings: u64,
    dropped: Vec<BoxTask<'r>>,
    spent: ThreadTime,
    steps: u64,
    locks: u64,
    wakes: u64,
    deciding: Duration,
    /// When the watch looks next.
    watch_at: Nanos,
    now: Nanos,
}

impl<'a, 'r> Theatre<'a, 'r> {
    fn new(
        run: &'a Run<'r>,
        threads: usize,
        clock: &'a VirtualClock,
        machine: &'a Machine,
    ) -> Self {
        let thread = |_| Thread {
            doing: Doing::Arriving(Errand::Begins, 0),
            turn: 0,
            settlement: Settlement::default(),
        };
        Self {
            run,
            clock,
            machine,
            timeline: Timeline::default(),
            lock: Lock::default(),
            threads: (0..threads).map(thread).collect(),
            bell: VecDeque::new(),
            rings: 0,
            dropped: Vec::new(),
            spent: ThreadTime::default(),
            steps: 0,
            locks: 0,
            wakes: 0,
            deciding: Duration::ZERO,
            watch_at: watch::PERIOD,
            now: 0,
        }
    }

    fn play(&mut self) {
        // The caller's thread starts the others and the watch before it begins.
        let count = self.threads.len();
        for thread in 0..count {
            let started = if thread == 0 { count as u64 } else { thread as u64 };
            self.arrives_at(started * self.machine.spawn, thread, Errand::Begins);
        }
        while let Some(next) = self.timeline.next_at() {
            while self.watch_at <= next {
                self.now = self.watch_at;
                self.watch_at += watch::PERIOD;
                self.look_at_pull();
            }
            let Some((at, (thread, turn), event)) = self.timeline.next() else { break };
            if self.threads[thread].turn == turn {
                self.now = at;
                self.happens(thread, event);
            }
        }
        debug_assert!(
            self.threads.iter().all(|thread| matches!(thread.doing, Doing::Gone)),
            "a thread sleeps for ever"
        );
        self.clock.set(self.now);
    }

    fn happens(&mut self, thread: usize, event: Event) {
        match event {
            Event::Arrives => match self.lock.arrive(thread) {
                Arrival::Enters => self.enters(thread),
                Arrival::Spins => {
                    let at = self.now + self.machine.lock_spin;
                    self.note(at, thread, Event::StopsSpinning);
                }
                Arrival::Sleeps => {}
            },
            Event::StopsSpinning => self.lock.stop_spinning(thread),
            Event::Enters => self.enters(thread),
            Event::Leaves => self.leaves(thread),
            Event::Stirs => match self.threads[thread].doing {
                Doing::Looking { settled } => {
                    self.arrives_at(self.now, thread, Errand::HasLooked { settled });
                }
                Doing::Parked { alarm } => {
                    self.bell.retain(|other| *other != thread);
                    self.arrives_at(self.now, thread, Errand::WasParked { alarm });
                }
                _ => unreachable!("only who looks or is parked stirs"),
            },
        }
    }

    fn note(&mut self, at: Nanos, thread: usize, event: Event) {
        self.timeline.note(at, (thread, self.threads[thread].turn), event);
    }

    /// `thread` will want the lock; nothing else that was noted for it comes to pass.
    fn arrives_at(&mut self, at: Nanos, thread: usize, errand: Errand) {
        self.threads[thread].turn += 1;
        self.threads[thread].doing = Doing::Arriving(errand, at);
        self.note(at, thread, Event::Arrives);
    }

    fn enters(&mut self, thread: usize) {
        self.threads[thread].turn += 1;
        self.locks += 1;
        let had_it = self.lock.enter(thread);
        let hold = if had_it { self.machine.hold_own } else { self.machine.hold_other };
        self.spent.holding += hold;
        self.clock.set(self.now);
        let Doing::Arriving(errand, since) =
            std::mem::replace(&mut self.threads[thread].doing, Doing::Gone)
        else {
            unreachable!("only who arrived enters")
        };
        self.spent.waiting += self.now - since;
        let run = self.run;
        let mut board = run.board.lock();
        let begun = Stopwatch::now();
        let exit = self.decide(thread, &mut board, errand);
        self.deciding += begun.elapsed();
        drop(board);
        self.threads[thread].doing = Doing::Leaving(exit);
        self.note(self.now + hold, thread, Event::Leaves);
    }

    /// All that a thread does under the lock.
    fn decide(
        &mut self,
        thread: usize,
        board: &mut MutexGuard<'_, Board<'r>>,
        errand: Errand,
    ) -> Exit<'r> {
        let now = self.now;
        let Self { run, dropped, .. } = self;
        let settlement = &mut self.threads[thread].settlement;
        match errand {
            Errand::Begins => {}
            Errand::Settles { segment, took } => {
                board.scheduler.settle(segment, took, now, settlement, dropped);
                run.after_settling(board, dropped);
            }
            Errand::SettlesPull { pulled } => {
                board.scheduler.settle_pull(pulled, now, settlement, dropped);
                run.after_settling(board, dropped);
            }
            Errand::HasLooked { settled } => {
                board.looking -= 1;
                let news = run.settled() != settled;
                if !news && !board.scheduler.is_over() && !board.scheduler.has_work(now) {
                    let alarm = board.scheduler.next_alarm();
                    board.parked += 1;
                    board.alarms.extend(alarm);
                    return Exit::Park { rings: self.rings, alarm };
                }
            }
            Errand::WasParked { alarm } => {
                let place = alarm.and_then(|alarm| board.alarms.iter().position(|at| *at == alarm));
                if let Some(place) = place {
                    board.alarms.swap_remove(place);
                }
                board.parked -= 1;
            }
        }
        if board.scheduler.is_pull_overdue(now) {
            // It is done, all at once, and will be settled.
            board.scheduler.excuse_pull();
        }
        match board.scheduler.choose(now) {
            Choice::Over => {
                board.scheduler.drop_rest(dropped);
                Exit::End
            }
            Choice::Idle => {
                board.looking += 1;
                board.looks_until = now + LONGEST_LOOK;
                run.note_takers(board);
                Exit::Look { settled: run.settled() }
            }
            step => {
                run.note_takers(board);
                Exit::Step { step, wakes: run.has_more(board, now) }
            }
        }
    }

    fn leaves(&mut self, thread: usize) {
        let release = self.lock.release(self.now);
        if let Some(next) = release.next {
            self.threads[next].turn += 1;
            self.note(self.now + self.machine.pass, next, Event::Enters);
        }
        let mut free = self.now;
        if let Some(woken) = release.woken {
            let event = if release.is_fair { Event::Enters } else { Event::Arrives };
            self.note(self.now + self.machine.woken_after, woken, event);
            free += self.wakes_one();
        }
        let Doing::Leaving(exit) = std::mem::replace(&mut self.threads[thread].doing, Doing::Gone)
        else {
            unreachable!("only who entered leaves")
        };
        match exit {
            Exit::Step { step, wakes } => {
                if wakes && self.ring() {
                    free += self.wakes_one();
                }
                self.does(thread, step, free);
            }
            Exit::Look { settled } => {
                self.threads[thread].doing = Doing::Looking { settled };
                let news = self.run.settled() != settled;
                let patience = if news { 0 } else { u64::from(SPINS) * self.machine.look };
                self.note(free + patience, thread, Event::Stirs);
            }
            Exit::Park { rings, alarm } if rings == self.rings => {
                self.threads[thread].doing = Doing::Parked { alarm };
                self.bell.push_back(thread);
                if let Some(alarm) = alarm {
                    self.note(alarm.max(free), thread, Event::Stirs);
                }
            }
            Exit::Park { alarm, .. } => {
                self.arrives_at(free, thread, Errand::WasParked { alarm });
            }
            Exit::End => self.rings_for_all(free),
        }
    }

    fn wakes_one(&mut self) -> Nanos {
        self.wakes += 1;
        self.spent.waking += self.machine.wake;
        self.machine.wake
    }

    /// Rings the work bell; whether somebody slept on it.
    fn ring(&mut self) -> bool {
        self.rings += 1;
        let Some(sleeper) = self.bell.pop_front() else { return false };
        let Doing::Parked { alarm } = self.threads[sleeper].doing else {
            unreachable!("only who is parked sleeps on the bell")
        };
        let at = self.now + self.machine.woken_after;
        self.arrives_at(at, sleeper, Errand::WasParked { alarm });
        true
    }

    /// The run is over. Sleepers take the bell's lock one after the other, each woken by
    /// the one before.
    fn rings_for_all(&mut self, from: Nanos) {
        let now = std::mem::replace(&mut self.now, from);
        while self.ring() {
            self.wakes += 1;
            self.now += self.machine.woken_after;
        }
        self.now = now;
    }

    /// Does a step, from `begun` on.
    fn does(&mut self, thread: usize, step: Choice<BoxTask<'r>>, begun: Nanos) {
        let (run, clock, machine) = (self.run, self.clock, self.machine);
        let settlement = &mut self.threads[thread].settlement;
        clock.set(begun);
        settlement.at = begun;
        let errand = match step {
            Choice::Run { segment, first: (id, task), rest } => {
                task.run(id, rest, &run.cx, settlement);
                Errand::Settles { segment, took: settlement.at - begun }
            }
            Choice::Pull { id, reach } => {
                let pulled = run.source.pull(id, reach, &run.cx, settlement);
                Errand::SettlesPull { pulled }
            }
            Choice::Idle | Choice::Over => unreachable!("nothing was to be done"),
        };
        let ended = clock.now();
        self.steps += 1;
        self.spent.calls += ended - begun;
        self.spent.steps += machine.step;
        self.arrives_at(ended + machine.step, thread, errand);
    }

    fn look_at_pull(&mut self) {
        let run = self.run;
        let mut board = run.board.lock();
        if board.scheduler.look_at_pull(self.now) && run.has_more(&board, self.now) {
            self.ring();
        }
    }

    fn costs(self) -> Costs {
        let mut spent = self.spent;
        let all = self.now * self.threads.len() as u64;
        let busy = spent.calls + spent.steps + spent.holding + spent.waiting + spent.waking;
        spent.idle = all.saturating_sub(busy);
        Costs {
            threads: spent,
            steps: self.steps,
            locks: self.locks,
            wakes: self.wakes,
            held: Duration::from_nanos(spent.holding),
            deciding: self.deciding,
        }
    }
}
