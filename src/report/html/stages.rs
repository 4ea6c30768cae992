//! Where the time of each stage's workers went, and how long items took.

use std::fmt;
use std::time::Duration;

use super::super::escape::Html;
use super::super::{ItemTimes, Report, StageReport};
use crate::units::Brief;

/// What a worker's time goes into: the class of its colour, and in words.
const PARTS: [(&str, &str); 6] = [
    ("busy", "at work"),
    ("set-up", "building states"),
    ("memory", "waiting for memory"),
    ("downstream", "waiting for the stage below"),
    ("core", "waiting for a core"),
    ("input", "waiting for input"),
];

pub(super) fn fmt_section(report: &Report, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<section>\n<h2>Where the time went</h2>\n<p class=\"legend\">")?;
    for (class, told) in PARTS {
        write!(f, "<span><i class=\"{class}\"></i>{told}</span>")?;
    }
    f.write_str(
        "</p>\n<div class=\"wide\"><table>\n<thead><tr><th>stage</th><th>workers</th>\
         <th>calls</th><th class=\"time-of\">time of its workers</th><th>busy</th><th>computed</th><th>p50</th>\
         <th>p90</th><th>p99</th><th>max</th></tr></thead>\n<tbody>\n",
    )?;
    fmt_end(f, "(source)", report.read, report.source_busy, report.elapsed)?;
    for stage in &report.stages {
        fmt_stage(f, stage, report.elapsed)?;
    }
    fmt_end(f, "(sink)", report.delivered, report.sink_busy, report.elapsed)?;
    f.write_str(
        "</tbody>\n</table></div>\n<p class=\"hint\">Computed: the part of the busy time for which \
         calls had a core, from a sample of them. The percentiles are those of an item's time; \
         small items are timed together. What a bar leaves open is time between calls, in which \
         items were handed on; of the source and the sink, time in which they were not called.",
    )?;
    if report.stages.iter().any(|stage| stage.fused) {
        f.write_str(
            " A stage without waits runs in one go with the one above: it shares its waits, and \
             what the bar of either leaves open is the other's work as well.",
        )?;
    }
    f.write_str("</p>\n</section>\n")
}

fn fmt_stage(f: &mut fmt::Formatter<'_>, stage: &StageReport, elapsed: Duration) -> fmt::Result {
    let StageReport { workers, calls, .. } = stage;
    let name = Html(&stage.name);
    write!(f, "<tr><th title=\"{name}\">{name}</th><td>{workers}</td><td>{calls}</td>")?;
    let mut times = [
        stage.busy,
        stage.set_up,
        stage.waited_memory,
        stage.waited_downstream,
        stage.waited_core,
        stage.waited_input,
    ];
    if stage.fused {
        // Its waits are those of the stage above.
        times[2..].fill(Duration::ZERO);
    }
    fmt_bar(f, times, elapsed.as_secs_f64() * *workers as f64)?;
    let computed = match stage.fused && stage.on_core.is_some() {
        true => "\u{2033}".to_owned(),
        false => stage.told_computed(),
    };
    write!(f, "<td>{}</td><td>{computed}</td>", Brief(stage.busy))?;
    fmt_times(f, stage.times.as_ref())?;
    f.write_str("</tr>\n")
}

/// The row of the source or of the sink.
fn fmt_end(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    calls: u64,
    busy: Duration,
    elapsed: Duration,
) -> fmt::Result {
    write!(f, "<tr class=\"end\"><th>{name}</th><td></td><td>{calls}</td>")?;
    let nothing = Duration::ZERO;
    let times = [busy, nothing, nothing, nothing, nothing, nothing];
    fmt_bar(f, times, elapsed.as_secs_f64())?;
    write!(f, "<td>{}</td><td></td>", Brief(busy))?;
    fmt_times(f, None)?;
    f.write_str("</tr>\n")
}

/// A cell with a bar of `times`, as parts of `all` seconds.
fn fmt_bar(f: &mut fmt::Formatter<'_>, times: [Duration; PARTS.len()], all: f64) -> fmt::Result {
    f.write_str("<td><div class=\"bar\">")?;
    for ((class, told), time) in PARTS.iter().zip(times) {
        let share = if all > 0.0 { 100.0 * time.as_secs_f64() / all } else { 0.0 };
        // Less is not to be seen.
        if share >= 0.05 {
            let time = Brief(time);
            write!(
                f,
                "<i class=\"{class}\" style=\"width:{share:.1}%\" title=\"{told}: {time}, {share:.1} %\"></i>"
            )?;
        }
    }
    f.write_str("</div></td>")
}

fn fmt_times(f: &mut fmt::Formatter<'_>, times: Option<&ItemTimes>) -> fmt::Result {
    let Some(times) = times else { return f.write_str("<td></td><td></td><td></td><td></td>") };
    let together = format!("timed {:.1} together on average", times.together);
    for time in [times.p50, times.p90, times.p99, times.max] {
        write!(f, "<td title=\"{together}\">{}</td>", Brief(time))?;
    }
    Ok(())
}
