//! A plan in words: a table, and in the alternate form every byte and every bound.

use std::fmt;

use super::{PARCEL_ITEMS, PARCEL_NANOS, Plan, SegmentPlan, StagePlan, default_window, tables};
use crate::budget::{MOST_MARGIN, Measure};
use crate::drift::tolerance;
use crate::units::Bytes;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_budget(f)?;
        writeln!(f)?;
        self.fmt_stages(f)?;
        tables::fmt_rows(&self.tables, f)?;
        writeln!(f)?;
        self.fmt_run(f)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        if f.alternate() {
            self.fmt_sum(f)?;
            self.fmt_bounds(f)?;
            self.fmt_footprints(f)?;
            self.fmt_real(f)?;
        }
        Ok(())
    }
}

/// The table.
impl Plan {
    fn fmt_budget(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory   {:>10}   {}", Bytes(self.memory), self.memory_origin)?;
        writeln!(f, "cores    {:>10}   {}", self.cores, self.cores_origin)
    }

    fn fmt_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.name_width();
        writeln!(
            f,
            "{:wide$}  {:6}  {:>7}  {:>9}  {:>9}  {:>9}  {:11}  {:>5}  why so many workers",
            "stage", "kind", "workers", "each", "shared", "in all", "counted", "queue"
        )?;
        for (index, stage) in self.stages.iter().enumerate() {
            let segment = &self.segments[stage.segment];
            let queue = match segment.stages.start == index {
                true => segment.queue_bound.to_string(),
                false => "-".to_owned(),
            };
            writeln!(
                f,
                "{:wide$}  {:6}  {:>7}  {:>9}  {:>9}  {:>9}  {:11}  {queue:>5}  {}",
                stage.name,
                stage.kind,
                stage.workers,
                Bytes(stage.per_worker),
                Bytes(stage.shared),
                Bytes(stage.kept()),
                stage.counted(),
                stage.reason
            )?;
        }
        Ok(())
    }

    fn fmt_run(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = self.for_tables();
        let stages = self.memory - self.line - tables;
        writeln!(f, "stages   {:>10}   all that they keep", Bytes(stages))?;
        if tables > 0 {
            writeln!(f, "tables   {:>10}   what of them is to stay in memory", Bytes(tables))?;
        }
        writeln!(f, "line     {:>10}   the rest: what items aboard may hold", Bytes(self.line))?;
        writeln!(
            f,
            "reserve  {:>10}   the oldest item's part of the line, and the most for",
            Bytes(self.reserve)
        )?;
        writeln!(f, "{:22}one item; {}", "", self.reserve_reason)?;
        writeln!(f, "real     {:>10}   {}", "", held_to(self.measure))?;
        if self.files() > 0 && self.measure != Measure::Nothing {
            writeln!(f, "{:22}mapped tables, {}, are no part of it", "", Bytes(self.files()))?;
        }
        writeln!(f, "window   {:>10}   items aboard at the most", self.window)?;
        writeln!(f, "source   {:>10}   {}", "", self.how_weighed())?;
        let order = match self.ordered {
            true => "in the order of the source",
            false => "as they are completed; in the order of the source by `.ordered()`",
        };
        writeln!(f, "outputs  {:>10}   {order}", "")?;
        let waiting = match self.threads - self.cores - 1 {
            0 => String::new(),
            waiting => format!(", {waiting} for workers that wait"),
        };
        let cores = self.cores;
        writeln!(
            f,
            "threads  {:>10}   {cores} for the cores, 1 for the source{waiting}; one more watches",
            self.threads
        )
    }

    /// What an item of the source counts as.
    fn how_weighed(&self) -> String {
        match (self.weighs_source, self.stages.first()) {
            (false, Some(first)) => format!(
                "its items count as {} each, their own size (weigh_source tells what else they hold)",
                Bytes(first.sizes.0)
            ),
            _ => "its items are weighed (weigh_source)".to_owned(),
        }
    }

    fn name_width(&self) -> usize {
        let widths = self.stages.iter().map(|stage| stage.name.chars().count());
        widths.max().unwrap_or(0).max(5)
    }
}

/// What the alternate form adds.
impl Plan {
    /// How the budget was spent, in the order in which it was.
    fn fmt_sum(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, what: &str, bytes: u64, why: &str| {
            writeln!(f, "{what:12}  {:>10}   {why}", Bytes(bytes))
        };
        let sum = |bytes: fn(&StagePlan) -> u64| self.stages.iter().map(bytes).sum::<u64>();
        let (shared, first) = (sum(|stage| stage.shared), sum(|stage| stage.per_worker));
        let tables = self.for_tables();
        let left = self.memory - shared - first - tables;
        let further = sum(StagePlan::kept) - shared - first;
        writeln!(f, "\nhow the memory is spent")?;
        row(f, "  memory", self.memory, &self.memory_origin)?;
        row(f, "- shared", shared, &self.parts(|stage| stage.shared))?;
        row(f, "- first", first, &self.parts(|stage| stage.per_worker))?;
        if tables > 0 {
            row(f, "- tables", tables, "what of shared tables is to stay in memory")?;
        }
        row(f, "= left", left, "beside one worker of every stage")?;
        let aside = "of that is set aside for items, so no further worker takes it";
        row(f, "  aside", self.kept_for_items, aside)?;
        row(f, "- further", further, &self.parts(|stage| stage.kept_further()))?;
        row(f, "= line", self.line, "what items aboard may hold")?;
        row(f, "  reserve", self.reserve, self.reserve_reason)?;
        row(f, "  common", self.line - self.reserve, "the rest, on which all other items draw")?;
        let Some(enough) = self.enough else { return Ok(()) };
        let tables = if self.tables.is_empty() { "" } else { " and all tables" };
        let items = match self.largest_aboard {
            Some(items) => format!("{items} of the largest items"),
            None => "a quarter for items of unknown size".to_owned(),
        };
        let what =
            format!("the least memory that carries all workers asked for{tables}, beside {items}");
        row(f, "enough", enough, &what)
    }

    /// Which stages `bytes` are made up of.
    fn parts(&self, bytes: impl Fn(&StagePlan) -> u64) -> String {
        let parts = self.stages.iter().map(|stage| (&stage.name, bytes(stage)));
        let told = parts
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(name, bytes)| format!("{name} {}", Bytes(bytes)));
        let told: Vec<_> = told.collect();
        if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
    }

    fn fmt_bounds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.name_width().max("(sink)".len());
        writeln!(f, "\nwhat is bounded")?;
        let origin =
            if self.window == default_window(self.cores) { "the default" } else { "as declared" };
        writeln!(f, "window   {} items, {origin}: the source is not read beyond it", self.window)?;
        let (slowest, all) = (PARCEL_NANOS / 1_000, self.way_nanos() / 1_000);
        let shared = self.least_share() / 1_000;
        writeln!(
            f,
            "parcels  1 to {PARCEL_ITEMS} items, as many as take {slowest} us in the slowest stage or \
             {all} us in all, and of several items {} at the most: a quarter of the reserve or \
             of the rest; what is left of one is shared if it takes {shared} us and others have \
             nothing to do",
            Bytes(self.parcel_bytes())
        )?;
        for segment in &self.segments {
            writeln!(
                f,
                "queue    before {:wide$}  {:>6} parcels: {}",
                self.segment_name(segment),
                segment.queue_bound,
                self.queue_reason(segment)
            )?;
        }
        Ok(())
    }

    /// What each stage keeps and its items weigh, and who says so.
    fn fmt_footprints(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.name_width();
        writeln!(f, "\nwhat is declared")?;
        let mut weighed = self.weighs_source;
        for stage in &self.stages {
            let StagePlan { name, asked, per_worker, sizes: (input, output), .. } = stage;
            write!(f, "{name:wide$}  asks for {asked} workers, each keeps {}", Bytes(*per_worker))?;
            if let Some(origin) = &stage.per_worker_origin {
                write!(f, " ({origin})")?;
            }
            match weighed {
                true => write!(f, "; items: in as weighed")?,
                false => write!(f, "; items: {} in (shallow)", Bytes(*input))?,
            }
            weighed = stage.weighs_outputs;
            if stage.counts_calls {
                write!(f, ", for each call what its footprint says")?;
            }
            match stage.weighs_outputs {
                true => writeln!(f, ", out as weighed")?,
                false => writeln!(f, ", {} out (shallow)", Bytes(*output))?,
            }
        }
        Ok(())
    }

    fn fmt_real(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nreal memory")?;
        match &self.limit {
            Some((_, limit)) => writeln!(f, "limit      {limit}")?,
            None => writeln!(f, "limit      not looked for: the budget was given")?,
        }
        if self.measure == Measure::Nothing {
            return writeln!(f, "held       to nothing: the budget is unmeasured");
        }
        writeln!(f, "held       {}", held_to(self.measure).trim_start_matches("held "))?;
        writeln!(
            f,
            "tolerance  {}: as much beyond what is declared is let be (a sixteenth of the budget, \
             16 MiB at the least)",
            Bytes(tolerance(self.memory))
        )?;
        writeln!(
            f,
            "margin     a twentieth of each limit of the machine and the cgroups, {} at the most, is \
             left to others",
            Bytes(MOST_MARGIN)
        )
    }

    /// The first stage of `segment`; the sink's has none.
    pub(crate) fn segment_name(&self, segment: &SegmentPlan) -> &str {
        self.stages.get(segment.stages.start).map_or("(sink)", |stage| &stage.name)
    }

    /// Why the queue of `segment` is as long as it is.
    pub(super) fn queue_reason(&self, segment: &SegmentPlan) -> &'static str {
        if segment.stages.is_empty() && self.ordered {
            return "the window, as outputs wait for their turn";
        }
        match segment.gather {
            Some(items) if segment.queue_bound as u64 == items.saturating_mul(2) => "two batches",
            _ => "four for each of its workers or of the cores, whichever are more",
        }
    }
}

impl StagePlan {
    /// What the ledger is asked for each of its items.
    pub(super) fn counted(&self) -> &'static str {
        match (self.counts_calls, self.weighs_outputs) {
            (true, true) => "call+output",
            (true, false) => "call",
            (false, true) => "output",
            (false, false) => "-",
        }
    }

    /// Bytes that its workers beyond the first keep.
    fn kept_further(&self) -> u64 {
        self.per_worker * (self.workers as u64 - 1)
    }
}

fn held_to(measure: Measure) -> &'static str {
    match measure {
        Measure::Process => "held to the budget: what the process has resident, mapped files aside",
        Measure::Growth => "held to the budget: what the process adds to what it held at the start",
        Measure::Nothing => "not looked at (unmeasured): what is declared counts alone",
    }
}
