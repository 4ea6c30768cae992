//! What the process really holds, looked at as bytes change hands, and what follows
//! from it for one run. Guarded by the run's lock, like the scheduler it steers.

use super::scheduler::{Nanos, Scheduler};
use crate::budget::Measure;
use crate::drift::{Look, Tightening, Trims};
use crate::plan::{Plan, SegmentPlan};
use crate::report::MemoryReport;
use crate::resident::Accounted;

/// Real memory and its consequences.
pub(crate) struct Memory {
    /// For real memory: less what mapped files are to keep.
    budget: u64,
    /// Bytes that these are to keep.
    files: u64,
    /// Bytes of mapped files that the system could take back, and is not to.
    kept_files: u64,
    /// Why real memory is not looked at, if it is not.
    blind: Option<String>,
    /// Bytes that are not the run's: what the process held when it began.
    before: u64,
    /// Of that what no ledger stands for, where the budget is held against all.
    drift_before: u64,
    accounted: Accounted,
    tightening: Tightening,
    trims: Trims,
    /// The system's headroom and what the process held when that was read.
    headroom: Option<(u64, u64)>,
    stride: u64,
    looked_turnover: u64,
    looked_at: Nanos,
    /// Drift at the last look.
    drift: u64,
    /// It stood in the way of the oldest.
    is_overfull: bool,
    /// What the process held at the last look.
    real: u64,
    peak_real: u64,
    peak_drift: u64,
    tight: Nanos,
    squeezed: Nanos,
    /// By segment, the source's last: the call that touched most beyond what was
    /// declared for it.
    heaviest: Vec<Touched>,
    /// The same, without the source, of first calls of workers that are declared to keep
    /// something, and of states of others.
    workers: Vec<Touched>,
    most_withheld: u64,
    /// From how many bytes on the allocator gives blocks back since this run told it to.
    released: Option<u64>,
}

/// Memory that a measured call was the first to touch, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fresh {
    pub(crate) all: u64,
    /// The part of it that went into building states.
    pub(crate) states: u64,
}

/// What measured calls were the first to touch.
#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    /// Before that, a short call is not measured.
    next: Nanos,
    /// From one measured call to the next.
    interval: Nanos,
    bytes: u64,
    declared: u64,
    calls: u64,
    most: u64,
    most_declared: u64,
    /// Of workers: that something is declared as kept by them.
    keep: bool,
}

/// After so long a look is due, whatever changed hands.
const LOOK_INTERVAL: Nanos = 1_000_000;
/// Between two short calls of a segment whose memory is measured: the least; it doubles
/// up to the most with every call that touches next to nothing.
const PROBE_INTERVALS: (Nanos, Nanos) = (1_000_000, 64_000_000);
/// Less than this is next to nothing: a call may touch as much of its stack.
const FRESH: u64 = 64 << 10;
/// A call that is likely to last so long is measured in any case: that takes less than a
/// thousandth of it.
const LONG_CALL: Nanos = 5_000_000;
/// Bytes a nanosecond that others are assumed to take at the most: about what memory of
/// a large machine can be filled with.
const OTHERS_TAKE: u64 = 64;
/// Between two looks at what others take: so many nanoseconds at the most.
const LONGEST_TRUST: Nanos = 100_000_000;
/// Bytes that may change hands before a look is due: a 64th of the line within these.
const STRIDES: (u64, u64) = (1 << 20, 16 << 20);

impl Memory {
    /// For a run whose process holds `real` bytes now, or why that is not known.
    pub(crate) fn new(plan: &Plan, real: Result<u64, String>) -> Self {
        let mut accounted = Accounted::with_copies(&plan.copies);
        let others = accounted.publish(0);
        let before = match (plan.measure, &real) {
            (Measure::Growth, Ok(real)) => {
                // Shared tables are likely there already; their bytes are the run's.
                real.saturating_sub(others).saturating_sub(plan.shared())
            }
            _ => 0,
        };
        let ours = others.saturating_add(plan.shared()).saturating_add(before);
        let drift_before = real.as_ref().map_or(0, |real| real.saturating_sub(ours));
        Self {
            budget: plan.memory - plan.files(),
            files: plan.files(),
            kept_files: plan.reclaimable(),
            before,
            drift_before,
            accounted,
            tightening: Tightening::new(plan.memory),
            trims: Trims::default(),
            headroom: None,
            stride: (plan.line / 64).clamp(STRIDES.0, STRIDES.1),
            looked_turnover: 0,
            looked_at: 0,
            drift: 0,
            is_overfull: false,
            real: *real.as_ref().unwrap_or(&0),
            peak_real: *real.as_ref().unwrap_or(&0),
            blind: real.err(),
            peak_drift: 0,
            tight: 0,
            squeezed: 0,
            heaviest: vec![Touched::default(); plan.segments.len() + 1],
            workers: plan.segments.iter().map(Touched::of_workers).collect(),
            most_withheld: 0,
            released: None,
        }
    }

    /// Whether enough has changed, or enough time has passed, for another look.
    pub(crate) fn is_look_due(&self, turnover: u64, now: Nanos) -> bool {
        self.blind.is_none()
            && (turnover - self.looked_turnover >= self.stride
                || now.saturating_sub(self.looked_at) >= LOOK_INTERVAL)
    }

    /// Takes what the system could still give, as read when the process held `real`.
    pub(crate) fn note_headroom(&mut self, headroom: Option<u64>, real: u64) {
        // The system would give their pages, too.
        self.headroom = headroom.map(|headroom| (headroom.saturating_sub(self.kept_files), real));
    }

    /// How long no others can take so much that it would matter to this run.
    pub(crate) fn headroom_lasts(&self) -> Nanos {
        let spare = self.headroom.map_or(0, |(left, _)| left.saturating_sub(self.budget));
        (spare / OTHERS_TAKE).min(LONGEST_TRUST)
    }

    /// Real memory cannot be read any more: the ledger alone counts from now on.
    pub(crate) fn lose_sight<T>(&mut self, scheduler: &mut Scheduler<T>, now: Nanos, why: String) {
        self.blind.get_or_insert(why);
        scheduler.observe(0, u64::MAX, now);
    }

    /// Takes a look at a process that holds `real` bytes, of which `idle` lie in buffers
    /// that are given up when others need the room; whether that makes room.
    pub(crate) fn look<T>(
        &mut self,
        scheduler: &mut Scheduler<T>,
        (real, idle): (u64, u64),
        now: Nanos,
    ) -> bool {
        let accounted = scheduler.accounted();
        let others = self.accounted.publish(accounted.saturating_add(idle));
        let elsewhere = others.saturating_add(self.before).saturating_add(idle);
        let ledger = scheduler.ledger();
        let (line, held) = (ledger.line(), ledger.held());
        let passed = now.saturating_sub(self.looked_at);
        self.tight += if ledger.tightened() > 0 { passed } else { 0 };
        (self.looked_turnover, self.looked_at) = (ledger.turnover(), now);
        let grown = |at: u64| real.saturating_sub(at);
        let headroom = self.headroom.map(|(left, at)| left.saturating_sub(grown(at)));
        let oldest = scheduler.oldest_may_need();
        let look = Look { real, accounted, elsewhere, headroom, line, held, oldest };
        self.squeezed += if look.is_squeezed() { passed } else { 0 };
        self.drift = look.drift();
        self.is_overfull =
            self.drift > self.tightening.tolerance() && look.is_overfull(self.budget);
        self.real = real;
        self.peak_real = self.peak_real.max(real);
        self.peak_drift = self.peak_drift.max(look.drift());
        let withheld = self.tightening.take(&look);
        self.most_withheld = self.most_withheld.max(withheld.min(line));
        scheduler.observe(withheld, self.spare(&look), now)
    }

    /// Bytes by which workers not yet called may make real memory grow. Drift counts
    /// twice: the next worker may bring as much again.
    fn spare(&self, look: &Look) -> u64 {
        let limit = self.budget.saturating_add(self.tightening.tolerance());
        let held = look.real.saturating_sub(look.elsewhere).max(look.accounted);
        let doubt = look.drift().saturating_sub(self.tightening.tolerance());
        limit.saturating_sub(held).saturating_sub(doubt)
    }

    /// Whether the allocator is to be trimmed now. Whoever is told so does it, and
    /// tells by [`trimmed`](Self::trimmed).
    pub(crate) fn begins_trim<T>(&mut self, scheduler: &Scheduler<T>, now: Nanos) -> bool {
        let wanted = self.blind.is_none() && (self.is_overfull || scheduler.is_held_up());
        let due = wanted && self.trims.may_begin(now);
        if due {
            self.trims.begin();
        }
        due
    }

    /// A trim was done, from `before` real bytes to `after`.
    pub(crate) fn trimmed(&mut self, now: Nanos, took: Nanos, (before, after): (u64, u64)) {
        self.trims.done(now, took, before.saturating_sub(after), self.drift);
    }

    /// Drift at the last look.
    pub(crate) fn drift(&self) -> u64 {
        self.drift
    }

    /// The allocator was told to give blocks of so many bytes and more back.
    pub(crate) fn released(&mut self, threshold: u64) {
        self.released = Some(threshold);
    }

    /// Whether a call of `segment` (`None`: of the source) that is likely to last `likely`
    /// is to be measured: the first one is, and every long one.
    pub(crate) fn begins_probe(
        &mut self,
        segment: Option<usize>,
        likely: Nanos,
        now: Nanos,
    ) -> bool {
        let place = self.place(segment);
        let touched = &mut self.heaviest[place];
        let due = self.blind.is_none() && (now >= touched.next || likely >= LONG_CALL);
        if due {
            touched.next = now + touched.interval.max(PROBE_INTERVALS.0);
        }
        due
    }

    fn place(&self, segment: Option<usize>) -> usize {
        segment.unwrap_or(self.heaviest.len() - 1)
    }

    /// A call of `segment` (`None`: the source) touched so much; so many bytes were declared
    /// for it, and if it was the first of a worker, so many for what that keeps. How many times
    /// more than declared it took, states aside. A first call does not tell where something is
    /// declared as kept: a state may be filled by the call rather than built before it.
    pub(crate) fn probed(
        &mut self,
        segment: Option<usize>,
        fresh: Fresh,
        declared: u64,
        kept: u64,
    ) -> f64 {
        let place = self.place(segment);
        if kept > 0 {
            self.workers[place].add(fresh.all, declared.saturating_add(kept));
            return 1.0;
        }
        match self.workers.get_mut(place) {
            Some(workers) if fresh.states > 0 && !workers.keep => workers.add(fresh.states, 0),
            _ => {}
        }
        let bytes = fresh.all - fresh.states;
        self.heaviest[place].add(bytes, declared);
        if is_heavy(bytes, declared) { bytes as f64 / declared.max(1) as f64 } else { 1.0 }
    }

    /// What the process held at the last look, bytes; none if there was none.
    pub(crate) fn real(&self) -> u64 {
        self.real
    }

    /// What the watch asks for its snapshot.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind.is_some()
    }

    /// The figures for the report; `kept_and_held` is the most that the run stood for.
    pub(crate) fn report(&self, names: &[String], kept_and_held: u64) -> MemoryReport {
        let time = std::time::Duration::from_nanos;
        let heavy = |all: &[Touched]| {
            let heavy = all.iter().zip(names).filter(|(touched, _)| touched.is_heavy());
            let most = heavy.max_by_key(|(touched, _)| touched.bytes - touched.declared);
            most.map(|(touched, name)| (name.clone(), touched.bytes, touched.declared))
        };
        let light = self.heaviest.iter().zip(names).filter(|(touched, _)| touched.is_light());
        let light = light.max_by_key(|(touched, _)| touched.most_declared - touched.most);
        let worker = self.workers.iter().zip(names).filter(|(touched, _)| touched.lies_idle());
        let worker = worker.max_by_key(|(touched, _)| touched.most_declared - touched.most);
        let worker =
            worker.map(|(touched, name)| (name.clone(), touched.most, touched.most_declared));
        // Sight may have been lost in between.
        let told = |bytes| (self.peak_real > 0).then_some(bytes);
        MemoryReport {
            blind: self.blind.clone(),
            peak_real: told(self.peak_real),
            peak_drift: self.peak_drift,
            drift_before: self.drift_before,
            trims: self.trims.count,
            trimmed: self.trims.freed,
            trim_time: time(self.trims.took),
            released: self.released,
            tight: time(self.tight),
            squeezed: time(self.squeezed),
            heavy: heavy(&self.heaviest),
            heavy_worker: heavy(&self.workers),
            light_worker: worker,
            withheld: self.most_withheld,
            beyond: self.peak_real.saturating_sub(self.before).saturating_sub(self.budget),
            files: self.files,
            light: light.map(|(touched, name)| (name.clone(), touched.most, touched.most_declared)),
            unused: told(kept_and_held.saturating_sub(self.peak_real)).unwrap_or(0),
            ..MemoryReport::default()
        }
    }
}

/// Differences below this are told of no stage: a call may touch as much of the
/// allocator's own, and of stacks.
const NEGLIGIBLE: u64 = 1 << 20;

fn is_heavy(touched: u64, declared: u64) -> bool {
    touched > declared.saturating_mul(2).saturating_add(NEGLIGIBLE)
}

impl Touched {
    fn of_workers(segment: &SegmentPlan) -> Self {
        Self { keep: segment.per_worker > 0, ..Self::default() }
    }

    fn add(&mut self, bytes: u64, declared: u64) {
        let (least, most) = PROBE_INTERVALS;
        self.interval = if bytes < FRESH { (self.interval * 2).clamp(least, most) } else { least };
        self.calls += 1;
        self.most = self.most.max(bytes);
        self.most_declared = self.most_declared.max(declared);
        let excess = |bytes: u64, declared: u64| bytes.saturating_sub(declared);
        if excess(bytes, declared) >= excess(self.bytes, self.declared) {
            (self.bytes, self.declared) = (bytes, declared);
        }
    }

    fn is_heavy(&self) -> bool {
        is_heavy(self.bytes, self.declared)
    }

    /// Of workers' first calls: that none touched half of what was declared.
    fn lies_idle(&self) -> bool {
        self.calls > 0 && is_heavy(self.most_declared, self.most)
    }

    /// Only told of stages with a few measured calls.
    fn is_light(&self) -> bool {
        self.calls > 2 && is_heavy(self.most_declared, self.most)
    }
}

#[cfg(test)]
mod tests;
