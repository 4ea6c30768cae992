//! What real memory did during a run.

use std::fmt;
use std::time::Duration;

use crate::units::{Bytes, InCode, InVariable, MIB, or_variable};

/// What real memory was seen to do during a run, and what followed from it.
///
/// *Real* memory is what the process has resident, anonymous or shared; mapped files
/// are not counted, the system can take their pages back. *Drift* is what of it no
/// ledger stands for: heap that nobody declared, and freed pages that the allocator
/// keeps. Drift beyond a sixteenth of the budget (16 MiB at the least) is withheld from
/// the line until it is gone; where that holds items up, the allocator is asked to give
/// its pages back. The oldest item is never held up by it.
///
/// It is looked at whenever a 64th of the line (1 to 16 MiB) has changed hands, and
/// every five milliseconds, so a peak between two looks may be missed.
///
/// ```
/// use plimsoll::{Budget, MIB, Pipeline, Stage};
///
/// let stages = || Pipeline::new(Stage::cpu("fill").map(|bytes: usize| vec![1_u8; bytes].len()));
/// let measured = stages().build(&Budget::new(64 * MIB, 1))?.run([1 << 20, 2 << 20], drop)?;
/// println!("{}", measured.memory()); // the line `real` of a report
/// let ledger = stages().build(&Budget::new(64 * MIB, 1).unmeasured())?.run([1 << 20], drop)?;
/// assert!(ledger.memory().why_not_measured().is_some());
/// assert_eq!(ledger.memory().peak_real(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryReport {
    pub(crate) blind: Option<String>,
    pub(crate) peak_real: Option<u64>,
    pub(crate) peak_drift: u64,
    pub(crate) trims: u64,
    pub(crate) trimmed: u64,
    pub(crate) trim_time: Duration,
    /// From how many bytes on the allocator gives blocks back since this run told it to.
    pub(crate) released: Option<u64>,
    pub(crate) tight: Duration,
    pub(crate) squeezed: Duration,
    /// Name, bytes touched, bytes declared.
    pub(crate) heavy: Option<(String, u64, u64)>,
    /// The same of the first call of a worker, what it keeps included.
    pub(crate) heavy_worker: Option<(String, u64, u64)>,
    /// The most of the line that was withheld at once.
    pub(crate) withheld: u64,
    /// The same of the worker whose first call touched least of what it keeps.
    pub(crate) light_worker: Option<(String, u64, u64)>,
    /// Bytes by which real memory passed the budget, less `files`, at its peak.
    pub(crate) beyond: u64,
    /// Bytes of the budget that are kept for mapped tables.
    pub(crate) files: u64,
    /// Time that workers waited for it, all together.
    pub(crate) waited: Duration,
    /// Whether anybody waited for memory at all, or had fewer workers for the lack of it.
    pub(crate) hungry: bool,
    /// What was real when the run began and no ledger stood for.
    pub(crate) drift_before: u64,
    /// The same of the stage that used least of what was declared for it.
    pub(crate) light: Option<(String, u64, u64)>,
    pub(crate) unused: u64,
}

/// What is too little to speak of.
const NEGLIGIBLE: u64 = 16 << 20;

impl MemoryReport {
    /// Why real memory was not looked at (any more), if it was not: the budget is
    /// [`unmeasured`](crate::Budget::unmeasured), or the platform does not tell. The run
    /// then went by the ledger alone.
    #[must_use]
    pub fn why_not_measured(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// The most real memory that was seen, of the whole process, bytes.
    #[must_use]
    pub fn peak_real(&self) -> Option<u64> {
        self.peak_real
    }

    /// The most drift that was seen, bytes.
    #[must_use]
    pub fn peak_drift(&self) -> u64 {
        self.peak_drift
    }

    /// How often the allocator was asked to give pages back.
    #[must_use]
    pub fn trims(&self) -> u64 {
        self.trims
    }

    /// What it gave back, all in all, bytes.
    #[must_use]
    pub fn trimmed(&self) -> u64 {
        self.trimmed
    }

    /// Time that took.
    #[must_use]
    pub fn trim_time(&self) -> Duration {
        self.trim_time
    }

    /// If this run had the allocator give large blocks back as soon as they are freed: from
    /// how many bytes on. A run does so where what the allocator keeps holds it up and nobody has said otherwise
    /// ([`release_large_blocks`](crate::release_large_blocks)); for the whole process, so no
    /// later run does it again.
    #[must_use]
    pub fn releases_blocks_from(&self) -> Option<u64> {
        self.released
    }

    /// How long a part of the line was withheld, be it for drift or because the system
    /// ran short. Whether anybody waited for it is told by
    /// [`StageReport::blocked_on_real_memory`](crate::StageReport::blocked_on_real_memory).
    #[must_use]
    pub fn tightened_for(&self) -> Duration {
        self.tight
    }

    /// How long of this the machine or a cgroup was short of memory, whoever took it.
    #[must_use]
    pub fn system_short_for(&self) -> Duration {
        self.squeezed
    }

    /// The stage (or `(source)`) whose items look heavier than declared, if one does: a
    /// call of it touched more than twice as much fresh memory as was declared for it.
    /// Its name, the bytes touched, the bytes declared for the call: where nothing is, the size
    /// of what it takes and gives. The first calls, long ones, and of short ones one in a
    /// millisecond are measured; what building a state touched is none of the call's.
    #[must_use]
    pub fn heavier_than_declared(&self) -> Option<(&str, u64, u64)> {
        self.heavy.as_ref().map(|(name, touched, declared)| (&**name, *touched, *declared))
    }

    /// The stage whose workers look heavier than declared, if one does: the first call of
    /// one, which builds its state, touched more than twice as much fresh memory as
    /// [`Footprint::per_worker`](crate::Footprint::per_worker) and the call's own
    /// declaration come to. Where nothing is declared as kept, it is building a state alone
    /// that touched so much. Its name, the bytes touched, the bytes declared.
    #[must_use]
    pub fn worker_heavier_than_declared(&self) -> Option<(&str, u64, u64)> {
        let heavy = self.heavy_worker.as_ref();
        heavy.map(|(name, touched, declared)| (&**name, *touched, *declared))
    }

    /// Bytes by which real memory was seen beyond the budget at its peak, less what of it is
    /// kept for mapped tables ([`Plan::tables`](crate::Plan::tables)): for a budget of
    /// [`Budget::new`](crate::Budget::new), beyond what the process held when the run
    /// began and that.
    #[must_use]
    pub fn beyond_budget(&self) -> u64 {
        self.beyond
    }

    /// The most of the line that was withheld at once, bytes.
    #[must_use]
    pub fn most_withheld(&self) -> u64 {
        self.withheld
    }

    /// The stage that used least of what it declared, if no measured call touched
    /// half of it: its name, the most bytes touched, the most declared.
    #[must_use]
    pub fn lighter_than_declared(&self) -> Option<(&str, u64, u64)> {
        self.light.as_ref().map(|(name, touched, declared)| (&**name, *touched, *declared))
    }

    /// Bytes that stages and items were granted, at their peak, beyond all that the
    /// process ever held: they were certainly never used, and might have carried
    /// more workers or items.
    #[must_use]
    pub fn never_used(&self) -> u64 {
        self.unused
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peak) = self.peak_real else {
            let why = self.blind.as_deref().unwrap_or_default();
            return writeln!(f, "real     not looked at: {why}; the ledger alone counted");
        };
        write!(f, "real     {} at most", Bytes(peak))?;
        if self.beyond > 0 {
            write!(f, ", {} above the budget", Bytes(self.beyond))?;
            if self.files > 0 {
                write!(f, " less {} for mapped tables", Bytes(self.files))?;
            }
        }
        writeln!(f, "; {} of it beyond the ledger at most", Bytes(self.peak_drift))?;
        if let Some(before) = self.lay_there_before() {
            writeln!(
                f,
                "         {before} were there when the run began: what of it a stage works with is \
                 to be declared (Footprint::shared)"
            )?;
        }
        if let Some(why) = &self.blind {
            writeln!(f, "         looked at no more when this came in between: {why}")?;
        }
        self.fmt_withheld(f)?;
        self.fmt_misjudged(f)
    }
}

/// Whether `held` is so much less than `declared` that the difference is no chance.
pub(super) fn is_much_less(held: u64, declared: u64) -> bool {
    declared > held.saturating_mul(2).saturating_add(NEGLIGIBLE)
}

/// Less than this is not worth a line.
const BRIEF: Duration = Duration::from_millis(1);

/// What else an item takes that needs more than the `reserve`.
fn too_large(needed: u64, reserve: u64) -> String {
    let enough = InCode(needed.div_ceil(MIB) * MIB);
    let reserve = Bytes(reserve);
    format!(
        " (with largest_item({enough}), or a larger budget: one item may have {reserve} as it is)"
    )
}

impl MemoryReport {
    /// What the line was tightened by, whom that held up, and what was done about it.
    fn fmt_withheld(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tight >= BRIEF {
            let (most, tight) = (Bytes(self.withheld), self.tight.as_secs_f64());
            write!(
                f,
                "         up to {most} of the line were withheld for it, {tight:.3} s in all"
            )?;
            match self.waited {
                waited if waited < BRIEF => writeln!(f, "; nobody waited")?,
                waited => writeln!(f, "; workers waited {:.3} s", waited.as_secs_f64())?,
            }
        }
        if self.squeezed >= BRIEF {
            let short = self.squeezed.as_secs_f64();
            writeln!(f, "         the machine or a cgroup was short of memory for {short:.3} s")?;
        }
        if self.trims > 0 {
            let trims =
                if self.trims == 1 { "1 trim".into() } else { format!("{} trims", self.trims) };
            write!(f, "         {trims} of the allocator gave ")?;
            match self.trimmed {
                0 => writeln!(f, "nothing back")?,
                freed => {
                    let seconds = self.trim_time.as_secs_f64();
                    writeln!(f, "back {} in {seconds:.3} s", Bytes(freed))?;
                }
            }
        }
        let Some(least) = self.released else { return Ok(()) };
        writeln!(
            f,
            "         it was told to give blocks of {} and more back at once from then on, for the \
             whole process (release_large_blocks)",
            Bytes(least)
        )
    }

    /// What should be declared, where it is clear that more should be, of a run whose items may
    /// have `reserve` each.
    pub(super) fn what_to_declare(&self, by_variable: bool, reserve: u64) -> Option<String> {
        if !self.drifts() {
            return None;
        }
        if let Some((name, touched, _)) = &self.heavy_worker {
            let bytes = touched.div_ceil(MIB) * MIB;
            let variable = or_variable(by_variable, "FOOTPRINT", name, InVariable(bytes));
            let told = InCode(bytes);
            return Some(format!("declare per_worker({told}) for {name}{variable}"));
        }
        let Some((name, touched, _)) = &self.heavy else {
            return Some(format!(
                "declare what a stage works with of the {} that were there when the run began: \
                 Footprint::shared",
                self.lay_there_before()?
            ));
        };
        let too_large = if *touched > reserve { too_large(*touched, reserve) } else { "".into() };
        let touched = Bytes(*touched);
        Some(match &**name {
            "(source)" => {
                format!(
                    "declare what an item of the source holds, {touched}: weigh_source{too_large}"
                )
            }
            _ => format!(
                "declare what a call of {name} needs, {touched}, its output included: \
                 Footprint::per_item{too_large}; and what the output holds while it waits: \
                 Stage::weigh. Or, if its worker's state holds it: Footprint::per_worker"
            ),
        })
    }

    /// What was there before the run, if most of the drift is and it is more than a program
    /// takes for itself.
    fn lay_there_before(&self) -> Option<Bytes> {
        let most = self.drift_before > 16 * MIB && self.drift_before > self.peak_drift / 2;
        most.then_some(Bytes(self.drift_before))
    }

    /// Whether real memory is so much more than declared that it is worth a word.
    fn drifts(&self) -> bool {
        self.peak_drift > NEGLIGIBLE
    }

    /// Whose declarations look wrong.
    fn fmt_misjudged(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drifts = self.drifts();
        if let (true, Some((name, touched, declared))) = (drifts, &self.heavy_worker) {
            let touched = Bytes(*touched);
            write!(f, "         workers of {name} look heavier than declared: ")?;
            match *declared {
                0 => writeln!(
                    f,
                    "building the state of one touched {touched} of fresh memory, nothing was declared \
                     for what it keeps (per_worker)"
                )?,
                declared => writeln!(
                    f,
                    "the first call of one touched {touched} of fresh memory, {} were declared for what \
                     it keeps (per_worker) and that call (per_item)",
                    Bytes(declared)
                )?,
            }
        }
        if let (true, Some((name, touched, declared))) = (drifts, &self.heavy) {
            let (touched, declared) = (Bytes(*touched), Bytes(*declared));
            writeln!(
                f,
                "         items of {name} look heavier than declared: a call touched {touched} of \
                 fresh memory, {declared} were counted for it (per_item; weigh, if its output holds it; \
                 per_worker, if its worker's state does)"
            )?;
        }
        // Where nobody wanted it there is no harm.
        if self.unused > NEGLIGIBLE && (self.hungry || self.light.is_some()) {
            write!(f, "         {} of what was declared were never used", Bytes(self.unused))?;
            if let Some((name, touched, declared)) = &self.light {
                let (touched, declared) = (Bytes(*touched), Bytes(*declared));
                write!(
                    f,
                    ": a call of {name} was granted {declared} and touched {touched} at most"
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        let mut report = MemoryReport { peak_real: Some(100 * MIB), ..MemoryReport::default() };
        assert_eq!(
            report.to_string(),
            "real     100.0 MiB at most; 0 B of it beyond the ledger at most\n"
        );
        report.peak_drift = 50 * MIB;
        report.heavy = Some(("align".to_owned(), 40 * MIB, 4 * MIB));
        report.light = Some(("screen".to_owned(), 2 * MIB, 200 * MIB));
        report.unused = 500 * MIB;
        report.heavy_worker = Some(("model".to_owned(), 900 * MIB, 90 * MIB));
        (report.beyond, report.withheld) = (3 * MIB, 7 * MIB);
        (report.tight, report.trims) = (Duration::from_secs(2), 4);
        let text = report.to_string();
        assert!(text.starts_with("real     100.0 MiB at most, 3.0 MiB above the budget; 50.0 MiB"));
        let text = MemoryReport { files: MIB, ..report.clone() }.to_string();
        assert!(text.contains("above the budget less 1.0 MiB for mapped tables; 50.0"), "{text}");
        let text = report.to_string();
        let withheld =
            "up to 7.0 MiB of the line were withheld for it, 2.000 s in all; nobody waited";
        assert!(text.contains(withheld), "{text}");
        assert!(text.contains("4 trims of the allocator gave nothing back\n"), "{text}");
        assert!(text.contains("workers of model look heavier than declared: the first call"));
        assert!(text.contains(
            "items of align look heavier than declared: a call touched 40.0 MiB of fresh memory, \
             4.0 MiB were counted for it (per_item; weigh, if its output holds it; per_worker, if \
             its worker's state does)\n"
        ));
        assert!(
            text.contains("90.0 MiB were declared for what it keeps (per_worker) and that call")
        );
        let undeclared = Some(("model".to_owned(), 40 * MIB, 0));
        let text = MemoryReport { heavy_worker: undeclared, ..report.clone() }.to_string();
        let built = "workers of model look heavier than declared: building the state of one touched \
                     40.0 MiB of fresh memory, nothing was declared for what it keeps (per_worker)\n";
        assert!(text.contains(built), "{text}");
        let text = report.to_string();
        report.trims = 1;
        assert!(report.to_string().contains(" 1 trim of the allocator gave nothing back\n"));
        report.trimmed = MIB;
        assert!(report.to_string().contains(" 1 trim of the allocator gave back 1.0 MiB in 0.000"));
        report.trimmed = 0;
        assert!(text.ends_with(
            "500.0 MiB of what was declared were never used: a call of screen was granted \
             200.0 MiB and touched 2.0 MiB at most\n"
        ));
        report.released = Some(MIB);
        let text = report.to_string();
        let told = "it was told to give blocks of 1.0 MiB and more back at once from then on, for the \
                    whole process (release_large_blocks)\n";
        assert!(text.contains(&format!("gave nothing back\n         {told}")), "{text}");
        let told =
            |report: &MemoryReport| report.what_to_declare(true, 40 * MIB).unwrap_or_default();
        report.heavy_worker = Some(("big model".to_owned(), 100 * MIB - 5, MIB));
        assert_eq!(
            told(&report),
            "declare per_worker(100 * MIB) for big model, or PLIMSOLL_FOOTPRINT_BIG_MODEL=100MiB"
        );
        let bare = "declare per_worker(100 * MIB) for big model";
        assert_eq!(report.what_to_declare(false, 0).as_deref(), Some(bare), "no variable is heard");
        report.heavy_worker = None;
        assert!(
            told(&report).starts_with("declare what a call of align needs, 40.0 MiB, its output")
        );
        let larger =
            MemoryReport { heavy: Some(("align".to_owned(), 40 * MIB + 1, 8)), ..report.clone() };
        assert!(told(&larger).contains(
            "Footprint::per_item (with largest_item(41 * MIB), or a larger budget: one item may \
             have 40.0 MiB as it is); and what the output holds"
        ));
        report.heavy = Some(("(source)".to_owned(), 40 * MIB, 0));
        assert!(told(&report).ends_with("of the source holds, 40.0 MiB: weigh_source"));
        (report.heavy, report.drift_before) = (None, 26 * MIB);
        let before = "26.0 MiB were there when the run began: what of it a stage works with is to";
        assert!(report.to_string().contains(before), "{report}");
        assert!(
            told(&report)
                .ends_with("26.0 MiB that were there when the run began: Footprint::shared")
        );
        report.drift_before = 25 * MIB;
        assert!(!report.to_string().contains("when the run began"), "half of it came later");
        assert_eq!(told(&report), "");
        report.peak_drift = NEGLIGIBLE;
        assert_eq!(told(&report), "");
        let blind =
            MemoryReport { blind: Some("it is dark".to_owned()), ..MemoryReport::default() };
        assert_eq!(
            blind.to_string(),
            "real     not looked at: it is dark; the ledger alone counted\n"
        );
    }
}
