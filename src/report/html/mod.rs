//! A report as a page: one file that asks the network for nothing and runs no script.

mod charts;
mod course;
mod stages;
mod text;

use std::fmt;
use std::io::{self, BufWriter, Write};

use super::escape::Html;
use super::{Recording, Report};
use crate::units::{Bytes, Count};
use charts::{Lanes, Section};
use text::Columns;

const STYLE: &str = include_str!("style.css");

impl Report {
    /// Writes the report as a page (HTML) that any browser shows, in light or dark as the
    /// reader's system is: what limited the run, where the time of each stage's workers
    /// went, how long items took. If the run was recorded
    /// ([`Job::record`](crate::Job::record)), also what happened when: how many of the budget's
    /// cores and of each stage's workers were at work, the bytes aboard against the line, the depth
    /// of the queues; and the plan, with what it notes. The page is one file: it loads nothing and
    /// has no script. It takes 10 KiB at the most for each stage of a recorded run. It is headed by
    /// the name of the program, without its arguments, and the time at which the run began.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let double = Stage::cpu("double").map(|n: u64| 2 * n);
    /// let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1))?;
    /// let report = pipeline.job().record().run(0..1_000, drop)?;
    /// let mut page = Vec::new(); // or a file
    /// report.write_html(&mut page)?;
    /// assert!(page.starts_with(b"<!doctype html>"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_html(&self, writer: impl Write) -> io::Result<()> {
        let mut out = BufWriter::new(writer);
        write!(out, "{}", Page(self))?;
        out.flush()
    }
}

struct Page<'a>(&'a Report);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
            Html(&report.title())
        )?;
        report.fmt_summary(f)?;
        stages::fmt_section(report, f)?;
        match &report.recording {
            Some(recording) => report.fmt_recording(recording, f)?,
            None => f.write_str(
                "<p class=\"hint\">What happened when is shown of runs that are recorded: \
                 <code>pipeline.job().record()</code>.</p>\n",
            )?,
        }
        let text = report.to_string();
        write!(
            f,
            "<details><summary>All of it as text</summary>{}</details>\n</body>\n</html>\n",
            Columns(&text)
        )
    }
}

impl Report {
    /// What a browser calls the page.
    fn title(&self) -> String {
        let stages = Count(self.stages.len() as u64, "stage");
        match &self.stamp {
            Some(stamp) => format!("{}: a run of {stages}", stamp.program()),
            None => format!("A run of {stages}"),
        }
    }

    fn fmt_summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<header>\n<h1>What the run did</h1>\n")?;
        if let Some(stamp) = &self.stamp {
            writeln!(f, "<p class=\"hint\">{}</p>", Html(&stamp.to_string()))?;
        }
        let (bottleneck, suggestion) = (self.bottleneck(), self.suggestion());
        let closest = self.what_came_closest();
        if bottleneck.is_some() || closest.is_some() || suggestion.is_some() {
            f.write_str("<p class=\"limit\">")?;
            if let Some(bottleneck) = bottleneck {
                write!(f, "Limited by <b>{}</b>.", Html(&bottleneck))?;
            }
            if let Some(closest) = closest {
                write!(f, "Not clearly limited: {}.", Html(&closest))?;
            }
            if let Some(suggestion) = suggestion {
                write!(f, " <span>What helps: {}.</span>", Html(&suggestion))?;
            }
            f.write_str("</p>\n")?;
        }
        let seconds = self.elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { self.read as f64 / seconds } else { 0.0 };
        let Self { read, children, threads, cores, .. } = self;
        f.write_str("<dl>\n")?;
        let made = match children {
            0 => String::new(),
            _ => format!(", {children} made by flat_map"),
        };
        fmt_card(f, "read", read, &format!("{rate:.1} a second{made}"))?;
        fmt_card(f, "delivered", self.delivered, &self.other_fates())?;
        let cpu_time = self.cpu_time.map(|time| format!(", {:.3} s cpu", time.as_secs_f64()));
        let (cores, threads) = (Count(*cores as u64, "core"), Count(*threads as u64, "thread"));
        let on = format!("{cores}, {threads}{}", cpu_time.unwrap_or_default());
        fmt_card(f, "time", format_args!("{seconds:.3} s"), &on)?;
        let items = Count(self.most_aboard, "item");
        let of = format!("of the line's {}, {items}", Bytes(self.line));
        fmt_card(f, "aboard at most", Bytes(self.peak_reserved), &of)?;
        if let Some(real) = self.memory.peak_real {
            let drift = format!("{} of it beyond the ledger", Bytes(self.memory.peak_drift));
            fmt_card(f, "real memory at most", Bytes(real), &drift)?;
        }
        f.write_str("</dl>\n")?;
        if let Some(why) = self.why_they_lacked() {
            writeln!(f, "<p class=\"hint\">C{}.</p>", Html(why.trim_start_matches('c')))?;
        }
        for stall in &self.stalls {
            writeln!(f, "<p class=\"stall\">Stalled: {}.</p>", Html(&stall.told_later()))?;
        }
        for note in &self.notes {
            writeln!(f, "<p class=\"note\">The plan notes: {}.</p>", Html(note))?;
        }
        f.write_str("</header>\n")
    }

    /// What became of items that were not delivered.
    fn other_fates(&self) -> String {
        let fates = [
            (self.filtered, "filtered"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
            (self.expanded, "taken apart"),
        ];
        let told = fates.iter().filter(|(items, _)| *items > 0);
        let told = told.map(|(items, fate)| match (*fate, self.failed_by_stage()) {
            ("failed", Some(failed)) => format!("{items} {fate} ({failed})"),
            _ => format!("{items} {fate}"),
        });
        let told: Vec<_> = told.collect();
        if told.is_empty() { "none had another fate".to_owned() } else { told.join(", ") }
    }

    fn fmt_recording(&self, recording: &Recording, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lanes = Lanes::of(self, recording);
        let (line, all) = (
            lanes.line_told(self),
            "a row is as high as all of the stage's workers; beside it the mean of those at work. \
             Cores: calls under way that take one of the budget's; the source's, which may wait, are \
             not counted",
        );
        let waiting = "items; a row is as high as the most that waited there";
        for (title, told, lanes) in [
            ("Workers at work", all, &lanes.work),
            ("Aboard", &line, &lanes.aboard),
            ("Waiting before", waiting, &lanes.queues),
        ] {
            write!(f, "{}", Section { title, told, lanes, elapsed: self.elapsed })?;
        }
        let plan = Columns(&recording.plan);
        writeln!(f, "<section>\n<h2>The plan</h2>\n{plan}\n</section>")
    }
}

fn fmt_card(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    figure: impl fmt::Display,
    beside: &str,
) -> fmt::Result {
    writeln!(f, "<div><dt>{what}</dt><dd>{figure}<small>{}</small></dd></div>", Html(beside))
}
