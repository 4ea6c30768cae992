//! Looks at real memory by the threads of a run: what is read without the lock, what
//! becomes of it under the lock.

use super::events;
use super::memory::Fresh;
use super::run::{Board, Run};
use super::scheduler::{Nanos, Settlement};
use crate::budget::Headroom;
use crate::shared::{
    keeps_end_of_heap, pages_touched, release_end_of_heap, release_if_kept, trim_allocator,
};
use crate::sync::MutexGuard;

/// A measured call under way.
pub(super) struct Probe {
    pages: u64,
    files: u64,
}

impl<'r> Run<'r> {
    /// Looks at real memory if enough has changed hands, and trims the allocator if
    /// that is what admission waits for. Called between two steps, so that what a
    /// step took or gave back is seen before the next is admitted. Whether it trimmed,
    /// or gave back what this thread's heap kept, which takes a while.
    pub(super) fn look_if_due(&self, board: &mut MutexGuard<'_, Board<'r>>, now: Nanos) -> bool {
        let released = self.release_end_of_heap(board);
        let turnover = board.scheduler.ledger().turnover();
        if board.memory.is_look_due(turnover, now) {
            self.look(board, now);
        }
        self.trim_if_due(board, now) || released
    }

    /// Gives back what this thread's heap has kept, if it is time to. Whether it did.
    pub(super) fn release_end_of_heap(&self, board: &mut MutexGuard<'_, Board<'r>>) -> bool {
        let keeps = self.gauge.is_some() && keeps_end_of_heap();
        if keeps {
            MutexGuard::unlocked(board, release_end_of_heap);
        }
        keeps
    }

    fn trim_if_due(&self, board: &mut MutexGuard<'_, Board<'r>>, now: Nanos) -> bool {
        let Board { scheduler, memory, .. } = &mut **board;
        let due = memory.begins_trim(scheduler, now);
        if due {
            self.trim(board);
        }
        due
    }

    /// Whether the look makes room.
    fn look(&self, board: &mut MutexGuard<'_, Board<'r>>, now: Nanos) -> bool {
        let Some(gauge) = &self.gauge else { return false };
        let board = &mut **board;
        match gauge.read() {
            Ok(real) => {
                let before = board.scheduler.ledger().tightened();
                let eased = board.memory.look(
                    &mut board.scheduler,
                    (real, self.cx.pools.idle_bytes()),
                    now,
                );
                let after = board.scheduler.ledger().tightened();
                if before == 0 && after > 0 {
                    events::tightened(after.min(self.cx.plan.line), real);
                }
                eased
            }
            Err(error) => {
                events::lost_sight(&error.to_string());
                board.memory.lose_sight(&mut board.scheduler, now, error.to_string());
                true
            }
        }
    }

    fn trim(&self, board: &mut MutexGuard<'_, Board<'r>>) {
        let Some(gauge) = &self.gauge else { return };
        let drift = board.memory.drift();
        let (took, change, released) = MutexGuard::unlocked(board, || {
            let begun = self.now();
            let before = gauge.read().unwrap_or(0);
            // First, so that the trim finds all that was kept until now.
            let released = release_if_kept(drift);
            trim_allocator();
            let after = gauge.read().unwrap_or(before);
            events::trimmed(before, after);
            (self.now() - begun, (before, after), released)
        });
        let now = self.now();
        if let Some((threshold, free)) = released {
            board.memory.released(threshold);
            events::released(threshold, free, drift);
            // Those who sleep have heaps, too.
            self.cx.signals.work.ring_all();
        }
        board.memory.trimmed(now, took, change);
        if self.look(board, now) {
            self.wake_for_more(board, now);
        }
    }

    /// The watch's look: at shared memory, too, and where others are to be looked at, at
    /// what they have taken. How long that need not be looked at again.
    pub(super) fn look_around(&self, others: Option<&Headroom>) -> Nanos {
        let Some(gauge) = &self.gauge else { return 0 };
        if keeps_end_of_heap() {
            release_end_of_heap();
        }
        let surveyed = gauge.survey().and_then(|()| gauge.read());
        let left = others.map(Headroom::read);
        let mut board = self.board.lock();
        if let (Ok(real), Some(left)) = (surveyed, left) {
            board.memory.note_headroom(left, real);
        }
        let now = self.now();
        if self.look(&mut board, now) {
            self.wake_for_more(&board, now);
        }
        self.trim_if_due(&mut board, now);
        board.memory.headroom_lasts()
    }

    /// What the process holds, if that is looked at.
    pub(super) fn real_now(&self) -> Option<u64> {
        self.gauge.as_ref()?.read().ok()
    }

    /// Compares what a measured call touched with what was declared for it.
    pub(super) fn weigh(
        &self,
        board: &mut Board<'r>,
        segment: Option<usize>,
        touched: Option<Fresh>,
        (declared, kept): (u64, u64),
    ) {
        let Some(touched) = touched else { return };
        let heft = board.memory.probed(segment, touched, declared, kept);
        board.scheduler.note_heft(segment, heft);
    }

    /// Begins to measure a call, if one is to be measured.
    pub(super) fn begin_probe(&self) -> Option<Probe> {
        Some(Probe { files: self.gauge.as_ref()?.read_files().ok()?, pages: pages_touched()? })
    }

    /// Fresh memory that the calling thread has touched since, at the least, for what is in
    /// `out`. Touched pages of mapped files are counted in, so what the process got more of
    /// them, whoever touched it, is taken off: first off what calls touched, then off states.
    pub(super) fn end_probe<T>(&self, probe: &Probe, out: &Settlement<T>) -> Option<Fresh> {
        let gauge = self.gauge.as_ref()?;
        let pages = pages_touched()?.saturating_sub(probe.pages);
        let files = gauge.read_files().ok()?.saturating_sub(probe.files);
        let all = pages.saturating_mul(gauge.page()).saturating_sub(files);
        Some(Fresh { all, states: out.pages_of_states.saturating_mul(gauge.page()).min(all) })
    }
}
