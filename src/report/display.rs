//! A report as text.

use std::fmt;

use super::{Report, StageReport};
use crate::units::{Brief, Bytes};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "items    {} read", self.read)?;
        if self.children > 0 {
            write!(f, " + {} made by flat_map", self.children)?;
        }
        write!(f, " = {} delivered", self.delivered)?;
        for (count, fate) in [
            (self.filtered, "filtered"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.expanded, "taken apart"),
        ] {
            if count > 0 {
                write!(f, " + {count} {fate}")?;
            }
        }
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f)?;
        if let Some(failed) = self.failed_by_stage() {
            writeln!(f, "failed   {failed}")?;
        }
        write!(f, "time     {seconds:.3} s on {} threads", self.threads)?;
        if let Some(cpu_time) = self.cpu_time {
            write!(f, ", {:.3} s of cpu time", cpu_time.as_secs_f64())?;
        }
        if seconds > 0.0 {
            write!(f, ", {:.1} items read a second", self.read as f64 / seconds)?;
        }
        writeln!(f)?;
        self.fmt_cores(f)?;
        self.fmt_memory(f)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note     {note}"))?;
        writeln!(f)?;
        let widths = self.stages.iter().map(|stage| stage.name.chars().count());
        // As wide as "(source)" at least.
        let wide = widths.max().unwrap_or(0).max(8);
        self.fmt_stages(f, wide)?;
        self.fmt_times(f, wide)?;
        if let Some(bottleneck) = self.bottleneck() {
            writeln!(f, "\nlimited by {bottleneck}")?;
        }
        if let Some(closest) = self.what_came_closest() {
            writeln!(f, "\nnot clearly limited: {closest}")?;
        }
        if let Some(suggestion) = self.suggestion() {
            writeln!(f, "what helps: {suggestion}")?;
        }
        Ok(())
    }
}

impl Report {
    /// How many items failed in which stages, if any did.
    pub(super) fn failed_by_stage(&self) -> Option<String> {
        let stages = self.stages.iter().map(|stage| (stage.name.as_str(), stage.failed));
        let all = stages.chain([("(sink)", self.sink_failed)]);
        let failing = all.filter(|(_, failed)| *failed > 0);
        let told: Vec<_> = failing.map(|(name, failed)| format!("{failed} in {name}")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    fn fmt_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory   {} declared as kept by stages", Bytes(self.kept - self.for_tables))?;
        if self.for_tables > 0 {
            write!(f, ", {} for tables", Bytes(self.for_tables))?;
        }
        writeln!(
            f,
            "; items held {} of the line's {} at most, {} at once",
            Bytes(self.peak_reserved),
            Bytes(self.line),
            self.most_aboard
        )?;
        if self.peak_overweight > 0 {
            writeln!(
                f,
                "         outputs weighed up to {} more than was asked for them (peak_overweight): have \
                 per_item of the stages that make them count them",
                Bytes(self.peak_overweight)
            )?;
        }
        write!(f, "{}", self.memory)?;
        match self.peak_resident {
            Some(bytes) => writeln!(
                f,
                "resident {} at most since the process was started, mapped files included",
                Bytes(bytes)
            )?,
            None => writeln!(f, "resident not told by this platform")?,
        }
        self.stalls.iter().try_for_each(|stall| writeln!(f, "stalled  {}", stall.told_later()))
    }

    fn fmt_stages(&self, f: &mut fmt::Formatter<'_>, wide: usize) -> fmt::Result {
        writeln!(
            f,
            "{:wide$}  {:>7}  {:>9}  {:>8}  {:>8}  {:>9}  waited s: {:>8}  {:>10}  {:>8}  {:>8}",
            "stage",
            "workers",
            "calls",
            "set-up s",
            "busy s",
            "computed",
            "input",
            "downstream",
            "memory",
            "core"
        )?;
        for stage in &self.stages {
            let StageReport { name, workers, calls, .. } = stage;
            let (set_up, busy) = (stage.set_up.as_secs_f64(), stage.busy.as_secs_f64());
            write!(f, "{name:wide$}  {workers:>7}  {calls:>9}  {set_up:>8.3}  {busy:>8.3}")?;
            if stage.fused {
                let same = if stage.on_core.is_some() { "\"" } else { "" };
                writeln!(f, "  {same:>9}  (runs in one go with the stage above)")?;
                continue;
            }
            writeln!(
                f,
                "  {:>9}            {:>8.3}  {:>10.3}  {:>8.3}  {:>8.3}",
                stage.told_computed(),
                stage.waited_input.as_secs_f64(),
                stage.waited_downstream.as_secs_f64(),
                stage.waited_memory.as_secs_f64(),
                stage.waited_core.as_secs_f64()
            )?;
        }
        let rows =
            [("source", self.read, self.source_busy), ("sink", self.delivered, self.sink_busy)];
        for (end, calls, busy) in rows {
            let busy = busy.as_secs_f64();
            writeln!(
                f,
                "({end}){:1$}  {calls:>18}  {busy:>18.3}",
                "",
                wide.saturating_sub(end.len() + 2)
            )?;
        }
        Ok(())
    }

    /// How long items took, in those stages that were called.
    fn fmt_times(&self, f: &mut fmt::Formatter<'_>, wide: usize) -> fmt::Result {
        let stages = self.stages.iter();
        let mut rows =
            stages.filter_map(|stage| Some((&stage.name, stage.times.as_ref()?))).peekable();
        if rows.peek().is_some() {
            let (p50, p90, p99, max) = ("p50", "p90", "p99", "max");
            writeln!(f, "\n{:wide$}  {p50:>9}  {p90:>9}  {p99:>9}  {max:>9}  timed", "an item")?;
        }
        for (name, times) in rows {
            let [p50, p90, p99, max] = [times.p50, times.p90, times.p99, times.max].map(Brief);
            let timed = match times.together {
                together if together < 1.05 => "alone".to_owned(),
                together => format!("{together:.1} together"),
            };
            writeln!(f, "{name:wide$}  {p50:>9}  {p90:>9}  {p99:>9}  {max:>9}  {timed}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::ItemTimes;

    #[test]
    fn only_fates_that_occurred_are_told() {
        let mut report = Report { read: 5, delivered: 3, failed: 2, ..Report::default() };
        let text = report.to_string();
        assert!(text.starts_with("items    5 read = 3 delivered + 2 failed\ntime "), "{text}");
        let stage = |name: &str, failed| StageReport {
            name: name.to_owned(),
            failed,
            ..StageReport::default()
        };
        report.stages = vec![stage("load", 0), stage("parse", 334), stage("a < b", 1)];
        let text = report.to_string();
        assert!(text.contains("+ 2 failed\nfailed   334 in parse, 1 in a < b\ntime "), "{text}");
        let mut page = Vec::new();
        report.write_html(&mut page).expect("memory takes all");
        let page = String::from_utf8(page).expect("it is text");
        assert!(page.contains("2 failed (334 in parse, 1 in a &lt; b)"), "{page}");
        let sink = Report { failed: 1, sink_failed: 1, ..Report::default() }.to_string();
        assert!(sink.contains("+ 1 failed\nfailed   1 in (sink)\n"), "{sink}");
    }

    #[test]
    fn what_stages_and_tables_keep_is_told_as_the_plan_tells_it() {
        let mut report = Report { kept: 308 << 20, ..Report::default() };
        let told = |report: &Report| report.to_string();
        assert!(
            told(&report).contains("memory   308.0 MiB declared as kept by stages; items held")
        );
        report.for_tables = 305 << 20;
        let both = "memory   3.0 MiB declared as kept by stages, 305.0 MiB for tables; items held";
        assert!(told(&report).contains(both), "{report}");
    }

    #[test]
    fn outputs_that_outweigh_their_footprint_are_told() {
        let heavy = Report { peak_overweight: 3 << 20, ..Report::default() }.to_string();
        assert!(
            heavy.contains("weighed up to 3.0 MiB more than was asked for them (peak_overweight)")
        );
        assert!(!Report::default().to_string().contains("overweight"));
    }

    #[test]
    fn item_times_are_told_of_stages_that_were_called() {
        let time = Duration::from_micros;
        let (p50, p90, p99, max) = (time(12), time(2_500), time(3_000_000), time(4_000_000));
        let stage = |name: &str, together: Option<f64>| StageReport {
            name: name.to_owned(),
            times: together.map(|together| ItemTimes { p50, p90, p99, max, together }),
            ..StageReport::default()
        };
        let stages = vec![stage("align", Some(1.0)), stage("rest", None), stage("x", Some(81.25))];
        let cpu_time = Some(Duration::from_millis(2_500));
        let text = Report { stages, cpu_time, ..Report::default() }.to_string();
        assert!(text.contains("time     0.000 s on 0 threads, 2.500 s of cpu time\n"), "{text}");
        let (_, table) = text.split_once("\n\nan item ").expect("there is a table");
        assert_eq!(
            table,
            "        p50        p90        p99        max  timed\n\
             align       12.0 us     2.5 ms      3.0 s      4.0 s  alone\n\
             x           12.0 us     2.5 ms      3.0 s      4.0 s  81.2 together\n"
        );
    }
}
