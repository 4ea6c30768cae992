//! Figures over time, a row each: a name, a picture, what its height stands for.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::super::escape::Html;
use super::super::recording::{Recording, Where};
use super::super::{Report, Sample};
use super::course::Course;
use crate::units::{Brief, Bytes};

/// A row.
pub(super) struct Lane {
    name: String,
    /// The figure in each part of the run, and what its full height stands for.
    figures: Vec<f64>,
    full: f64,
    /// What else is drawn, as a line.
    limit: Option<Vec<f64>>,
    /// What the height or the figures are, in words.
    told: String,
}

/// All rows of a page.
pub(super) struct Lanes {
    pub(super) work: Vec<Lane>,
    pub(super) aboard: Vec<Lane>,
    pub(super) queues: Vec<Lane>,
}

impl Lanes {
    pub(super) fn of(report: &Report, recording: &Recording) -> Self {
        let nanos = u64::try_from(report.elapsed.as_nanos()).unwrap_or(u64::MAX);
        let course = Course::of(recording, nanos);
        Self {
            work: work(report, recording, course),
            aboard: aboard(report, recording, course),
            queues: queues(report, recording, course),
        }
    }

    /// What is said of the line above the bytes aboard.
    pub(super) fn line_told(&self, report: &Report) -> String {
        let line = Bytes(report.line);
        match self.aboard.first().is_some_and(|lane| lane.limit.is_some()) {
            true => format!("bytes against the line of {line}, less what was withheld of it"),
            false => format!("the line, {line}, is far above"),
        }
    }
}

fn work(report: &Report, recording: &Recording, course: Course) -> Vec<Lane> {
    let stages = report.stages.iter().enumerate();
    let stages = stages.map(|(index, stage)| (Where::stage(index), stage.workers));
    let rows: Vec<_> = [(Where::Source, 1)].into_iter().chain(stages).collect();
    // The consumer of a stream is nobody's work.
    let sink = (!report.sink_busy.is_zero()).then_some((Where::Sink, 1));
    let rows: Vec<_> = rows.into_iter().chain(sink).collect();
    let places: Vec<_> = rows.iter().map(|(place, _)| *place).collect();
    let work = course.at_work(recording, &places);
    let cores = cores(report, recording, &places, &work);
    let lanes = rows.into_iter().zip(work).map(|((place, workers), figures)| {
        let name = report.name_of(place).to_owned();
        let told = format!("{:.1} of {workers}", mean(&figures));
        Lane { name, figures, full: workers as f64, limit: None, told }
    });
    [cores].into_iter().chain(lanes).collect()
}

/// The calls that took a core, of all stages together.
fn cores(report: &Report, recording: &Recording, places: &[Where], work: &[Vec<f64>]) -> Lane {
    let takes_core = |place: &Where| match place {
        // Whether it computes or waits is not known.
        Where::Source => false,
        Where::Stage(stage) => recording.waiting.get(usize::from(*stage)) != Some(&true),
        Where::Sink => true,
    };
    let rows: Vec<_> = places.iter().zip(work).filter(|(place, _)| takes_core(place)).collect();
    let parts = work.first().map_or(0, Vec::len);
    let sum = |part: usize| rows.iter().map(|(_, figures)| figures[part]).sum();
    let figures: Vec<f64> = (0..parts).map(sum).collect();
    let told = format!("{:.1} of {}", mean(&figures), report.cores);
    Lane { name: "cores".to_owned(), figures, full: report.cores as f64, limit: None, told }
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len().max(1) as f64
}

/// A line that is so many times higher than all that was aboard is not drawn.
const FAR: f64 = 20.0;

fn aboard(report: &Report, recording: &Recording, course: Course) -> Vec<Lane> {
    let rows = recording.samples.rows();
    let lane = |name: &str, figure: fn(&Sample) -> u64, told: &dyn Fn(u64) -> String| {
        let figures = course.most(rows, rows.iter().map(figure));
        let full = highest(&figures);
        let told = format!("{} at most", told(full as u64));
        Lane { name: name.to_owned(), figures, full, limit: None, told }
    };
    let bytes = |bytes: u64| Bytes(bytes).to_string();
    let mut held = lane("bytes held", |row| row.held, &bytes);
    let line = report.line as f64;
    if held.full * FAR > line {
        let withheld = course.most(rows, rows.iter().map(|row| row.withheld));
        held.limit = Some(withheld.iter().map(|bytes| (line - bytes).max(0.0)).collect());
        held.full = held.full.max(line);
    }
    let items = lane("items", |row| row.aboard, &|items| items.to_string());
    let real = lane("real memory", |row| row.real, &bytes);
    let mut lanes = vec![held, items];
    if real.full > 0.0 {
        lanes.push(real);
    }
    lanes
}

fn queues(report: &Report, recording: &Recording, course: Course) -> Vec<Lane> {
    let (samples, queues) = (&recording.samples, recording.queues.iter().enumerate());
    let lanes = queues.map(|(index, stage)| {
        let name = report.name_of(stage.map_or(Where::Sink, Where::stage)).to_owned();
        let figures = course.most(samples.rows(), samples.queued(index));
        let full = highest(&figures);
        Lane { name, figures, full, limit: None, told: format!("{full} at most") }
    });
    lanes.collect()
}

fn highest(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}

/// Rows under a title, with the time below them.
pub(super) struct Section<'a> {
    pub(super) title: &'a str,
    pub(super) told: &'a str,
    pub(super) lanes: &'a [Lane],
    pub(super) elapsed: Duration,
}

/// More rows than these are low.
const FEW: usize = 12;

impl fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.lanes.len() > FEW { "many" } else { "few" };
        let (title, told) = (self.title, Html(self.told));
        write!(f, "<section>\n<h2>{title}</h2>\n<p class=\"hint\">{told}</p>\n")?;
        writeln!(f, "<div class=\"lanes {how}\">")?;
        self.lanes.iter().try_for_each(|lane| write!(f, "{lane}"))?;
        f.write_str("</div>\n<div class=\"time\">")?;
        f.write_str("<span>0</span>")?;
        for quarter in 1..=4 {
            let time = self.elapsed * quarter / 4;
            match self.elapsed < Duration::from_secs(1) {
                true => write!(f, "<span>{}</span>", Brief(time))?,
                false => write!(f, "<span>{:.2} s</span>", time.as_secs_f64())?,
            }
        }
        f.write_str("</div>\n</section>\n")
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, told) = (Html(&self.name), Html(&self.told));
        let picture = Picture { parts: self.figures.len(), full: self.full };
        let height = if self.limit.is_some() { "high" } else { "low" };
        write!(
            f,
            "<span class=\"name\" title=\"{name}\">{name}</span>\
             <svg class=\"{height}\" viewBox=\"0 0 {} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\">\
             <title>{name}: {told}</title><path d=\"{}\"/>",
            picture.parts,
            picture.area(&self.figures)
        )?;
        if let Some(limit) = &self.limit {
            write!(f, "<path class=\"limit\" d=\"{}\"/>", picture.steps(limit))?;
        }
        writeln!(f, "</svg><span class=\"told\">{told}</span>")
    }
}

/// Units from the bottom of a picture to its top; a hundredth of one is nobody's to see.
const HEIGHT: f64 = 100.0;

/// A picture that is as wide as there are parts.
struct Picture {
    parts: usize,
    full: f64,
}

impl Picture {
    fn height_of(&self, figure: f64) -> i64 {
        let share = if self.full > 0.0 { (figure / self.full).clamp(0.0, 1.0) } else { 0.0 };
        (HEIGHT * (1.0 - share)).round() as i64
    }

    fn steps(&self, figures: &[f64]) -> String {
        let mut path = String::new();
        let mut before = None;
        for (part, figure) in figures.iter().enumerate() {
            let height = self.height_of(*figure);
            // A string takes all that is written.
            let _ = match before {
                None => write!(path, "M0 {height}"),
                Some(before) if before != height => write!(path, "H{part}V{height}"),
                Some(_) => Ok(()),
            };
            before = Some(height);
        }
        let _ = write!(path, "H{}", self.parts);
        path
    }

    /// The steps with all that is below.
    fn area(&self, figures: &[f64]) -> String {
        format!("{}V{HEIGHT}H0Z", self.steps(figures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_stays_is_drawn_once() {
        let picture = Picture { parts: 4, full: 2.0 };
        assert_eq!(picture.area(&[0.0, 1.0, 1.0, 3.0]), "M0 100H1V50H3V0H4V100H0Z");
        let flat = Picture { parts: 2, full: 0.0 };
        assert_eq!(flat.steps(&[0.0, 0.0]), "M0 100H2");
    }
}
