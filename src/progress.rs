//! A run on a terminal: the feature `progress`.

use std::fmt;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::{Monitor, Snapshot, StageSnapshot, WaitsFor};
use crate::signal::Rings;
use crate::sync::{AtomicBool, JoinHandle, Ordering, spawn};
use crate::units::{Bytes, Count};

/// Shows a run on the terminal while it is under way: how many items are done with, how fast
/// and, where the source knows its length, how long it will take; what items aboard hold of
/// the line; what each stage does and waits for; what holds the run up, or what it still waits for
/// if it is to stop.
///
/// The bars are drawn on standard error, and only if that is a terminal. The thread that
/// draws them sleeps until there is something new, every 50 ms, and ends with the run or with
/// this value, whichever is first; then the bars are gone. Where no thread can be had, nothing
/// is drawn, and the run is none the worse.
///
/// ```
/// use plimsoll::{Budget, MIB, Monitor, Pipeline, Progress, Stage};
///
/// let double = Stage::cpu("double").map(|n: u64| 2 * n);
/// let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 2))?;
/// let monitor = Monitor::new();
/// let progress = Progress::watch(&monitor);
/// pipeline.job().monitor(&monitor).run(0..1_000, |n| {
///     if n % 500 == 0 {
///         progress.suspend(|| println!("{n}")); // not in between the bars
///     }
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the bars are gone when this is dropped"]
pub struct Progress {
    monitor: Monitor,
    bars: MultiProgress,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows the next run of `monitor`, or the one that is under way.
    pub fn watch(monitor: &Monitor) -> Self {
        match stderr().is_terminal() {
            true => Self::draw_on(monitor, ProgressDrawTarget::stderr()),
            false => Self {
                monitor: monitor.clone(),
                bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
                stop: Arc::default(),
                thread: None,
            },
        }
    }

    fn draw_on(monitor: &Monitor, target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let stop = Arc::new(AtomicBool::new(false));
        let drawing = Drawing {
            // Taken before anything is looked at, so that nothing newer is slept through.
            seen: monitor.news().rings(),
            is_stale: monitor.snapshot().is_some_and(|snapshot| snapshot.has_ended()),
            monitor: monitor.clone(),
            bars: Bars::on(bars.clone()),
            stop: Arc::clone(&stop),
        };
        let draw = move || drawing.until_over();
        let thread = spawn("plimsoll-progress".to_owned(), draw).ok();
        Self { monitor: monitor.clone(), bars, stop, thread }
    }

    /// Takes the bars away while `print` runs, so that what it writes to the terminal does not
    /// run into them.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bars.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.monitor.news().ring_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the drawing thread is told by itself, and spoils nothing else.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("monitor", &self.monitor).finish_non_exhaustive()
    }
}

/// The drawing thread's.
struct Drawing {
    monitor: Monitor,
    bars: Bars,
    stop: Arc<AtomicBool>,
    seen: Rings,
    /// What the monitor showed at first is the end of an earlier run.
    is_stale: bool,
}

impl Drawing {
    /// Draws each snapshot once, until that of a run's end or until it is stopped.
    fn until_over(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let is_stale = std::mem::take(&mut self.is_stale);
            if let Some(snapshot) = self.monitor.snapshot().filter(|_| !is_stale) {
                self.bars.show(&snapshot);
                if snapshot.has_ended() {
                    break;
                }
            }
            self.monitor.news().wait(self.seen, None);
            self.seen = self.monitor.news().rings();
        }
        // A terminal that is gone does not matter any more.
        let _ = self.bars.all.clear();
    }
}

/// One line each: the items, what they hold, the stages, what holds the run up.
struct Bars {
    all: MultiProgress,
    items: ProgressBar,
    aboard: ProgressBar,
    stages: Vec<ProgressBar>,
    limit: ProgressBar,
}

const STYLE: &str = "{prefix} {bar:20} {wide_msg}";
/// Where it is not known how much there is.
const ENDLESS: &str = "{prefix} {spinner:20} {wide_msg}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Bars {
    fn on(all: MultiProgress) -> Self {
        let [items, aboard, limit] = [(); 3].map(|()| ProgressBar::hidden());
        Self { all, items, aboard, stages: Vec::new(), limit }
    }

    /// Puts the lines there when it is known which there are.
    fn set_up(&mut self, snapshot: &Snapshot) {
        let names = snapshot.stages().iter().map(|stage| stage.name().chars().count());
        let wide = names.max().unwrap_or(0).max("aboard".len());
        let add = |name: &str| {
            let bar = ProgressBar::new(0).with_style(style(STYLE));
            self.all.add(bar.with_prefix(format!("{name:wide$}")))
        };
        (self.items, self.aboard) = (add("items"), add("aboard"));
        if snapshot.expected().is_none() {
            self.items.set_style(style(ENDLESS));
        }
        self.stages = snapshot.stages().iter().map(|stage| add(stage.name())).collect();
        self.limit = self.all.add(ProgressBar::new(0).with_style(style("{wide_msg}")));
    }

    fn show(&mut self, snapshot: &Snapshot) {
        if self.stages.is_empty() {
            self.set_up(snapshot);
        }
        let set = |bar: &ProgressBar, done: u64, all: u64, told: String| {
            bar.set_length(all);
            bar.set_position(done);
            bar.set_message(told);
        };
        let (finished, expected) = (snapshot.finished(), snapshot.expected());
        match expected {
            Some(expected) => set(&self.items, finished, expected, items(snapshot)),
            None => {
                self.items.set_message(items(snapshot));
                self.items.tick();
            }
        }
        set(&self.aboard, snapshot.held(), snapshot.line(), aboard(snapshot));
        for (bar, stage) in self.stages.iter().zip(snapshot.stages()) {
            set(bar, stage.running() as u64, stage.workers() as u64, work(stage));
        }
        self.limit.set_message(match (snapshot.stopping(), snapshot.bottleneck()) {
            (Some(stopping), _) => format!("stopping: {stopping}"),
            (None, Some(limit)) => format!("limited by {limit}"),
            (None, None) => String::new(),
        });
    }
}

fn items(snapshot: &Snapshot) -> String {
    let mut told = match snapshot.expected() {
        Some(expected) => format!("{} of {expected}", snapshot.finished()),
        None => {
            let (done, read) = (snapshot.finished(), snapshot.read());
            format!("{done} done, {read} read, total unknown")
        }
    };
    told += &format!(", {}", rate(snapshot.per_second()));
    if let Some(left) = snapshot.remaining() {
        told += &format!(", {} left", span(left));
    }
    if snapshot.failed() > 0 {
        told += &format!(", {} failed", snapshot.failed());
    }
    told
}

fn aboard(snapshot: &Snapshot) -> String {
    let (held, line) = (Bytes(snapshot.held()), Bytes(snapshot.line()));
    let mut told = format!("{held} of {line}, {}", Count(snapshot.aboard(), "item"));
    if snapshot.withheld() > 0 {
        told += &format!(", {} withheld", Bytes(snapshot.withheld()));
    }
    if let Some(real) = snapshot.real() {
        told += &format!(", {} real", Bytes(real));
    }
    told
}

fn work(stage: &StageSnapshot) -> String {
    let (running, workers, queued) = (stage.running(), stage.workers(), stage.queued());
    let done = rate(stage.per_second());
    let told = format!("{running} of {workers} busy, {queued} queued, {done}");
    match stage.waits_for() {
        WaitsFor::Nothing => told,
        waits_for => format!("{told}; {waits_for}"),
    }
}

fn rate(per_second: f64) -> String {
    let decimals = if per_second < 100.0 { 1 } else { 0 };
    format!("{per_second:.decimals$} a second")
}

/// Whole seconds, minutes, hours.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, TermLike};

    use crate::report::StopReason;

    use super::*;

    fn stage(name: &str, waits_for: WaitsFor) -> StageSnapshot {
        let name = name.to_owned();
        let (workers, running, queued) = (4, 2, 7);
        StageSnapshot { name, workers, running, queued, waits_for, ..StageSnapshot::default() }
    }

    fn half_way() -> Snapshot {
        Snapshot {
            finished: 500,
            expected: Some(1_000),
            per_second: 250.0,
            aboard: 12,
            held: 1 << 20,
            line: 4 << 20,
            stages: vec![stage("parse", WaitsFor::Nothing), stage("(sink)", WaitsFor::Input)],
            limited_by: Some("parse: its 4 workers are at work, 7 items wait".to_owned()),
            ..Snapshot::default()
        }
    }

    fn screen() -> (InMemoryTerm, ProgressDrawTarget) {
        let screen = InMemoryTerm::new(12, 100);
        let target: Box<dyn TermLike> = Box::new(screen.clone());
        (screen, ProgressDrawTarget::term_like(target))
    }

    #[test]
    fn a_line_for_the_items_for_what_they_hold_and_for_each_stage() {
        let (screen, target) = screen();
        let mut bars = Bars::on(MultiProgress::with_draw_target(target));
        bars.show(&half_way());
        let drawn = screen.contents();
        let lines: Vec<&str> = drawn.lines().collect();
        let half = format!("{}{}", "█".repeat(10), "░".repeat(10));
        let quarter = format!("{}{}", "█".repeat(5), "░".repeat(15));
        assert_eq!(
            lines,
            [
                format!("items  {half} 500 of 1000, 250 a second, 2 s left"),
                format!("aboard {quarter} 1.0 MiB of 4.0 MiB, 12 items"),
                format!("parse  {half} 2 of 4 busy, 7 queued, 0.0 a second"),
                format!("(sink) {half} 2 of 4 busy, 7 queued, 0.0 a second; it waits for input"),
                "limited by parse: its 4 workers are at work, 7 items wait".to_owned(),
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_left_out_and_what_is_wrong_is_told() {
        let unknown = Snapshot { expected: None, read: 600, failed: 3, ..half_way() };
        assert_eq!(items(&unknown), "500 done, 600 read, total unknown, 250 a second, 3 failed");
        let tight = Snapshot { withheld: 1 << 20, real: Some(2 << 20), ..half_way() };
        assert!(aboard(&tight).ends_with("12 items, 1.0 MiB withheld, 2.0 MiB real"));
        assert!(aboard(&Snapshot { aboard: 1, ..half_way() }).ends_with(" of 4.0 MiB, 1 item"));
        let spans = [59, 61, 3_600 + 120].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["59 s", "1 min 01 s", "1 h 02 min"]);
    }

    #[test]
    fn where_the_total_is_not_known_no_bar_looks_full() {
        let (screen, target) = screen();
        let mut bars = Bars::on(MultiProgress::with_draw_target(target));
        bars.show(&Snapshot { expected: None, read: 501, ..half_way() });
        let drawn = screen.contents();
        let first = drawn.lines().next().expect("a line for the items");
        assert!(first.ends_with("500 done, 501 read, total unknown, 250 a second"), "{first}");
        assert!(first.starts_with("items ") && !first.contains(['█', '░']), "{first}");
        // It stands where the bar would.
        let told = |line: &str| line.chars().position(|letter| letter.is_ascii_digit());
        assert_eq!(told(first), drawn.lines().nth(1).and_then(told), "{drawn}");
    }

    #[test]
    fn a_run_that_is_to_stop_says_what_it_waits_for() {
        let (screen, target) = screen();
        let mut bars = Bars::on(MultiProgress::with_draw_target(target));
        let mut stopping = half_way();
        stopping.stop(StopReason::Cancelled, Duration::from_millis(1_400));
        bars.show(&stopping);
        let told =
            "stopping: it was cancelled 1.4 s ago; it waits for parse (2 calls), (sink) (2 calls)";
        assert_eq!(screen.contents().lines().last(), Some(told));
        assert!(!screen.contents().contains("left"), "{}", screen.contents());
    }

    #[test]
    fn the_thread_ends_with_the_run_and_the_bars_are_gone() {
        let (screen, target) = screen();
        let monitor = Monitor::new();
        // What an earlier run left does not end it.
        monitor.publish(Snapshot { ended: true, ..half_way() });
        let mut progress = Progress::draw_on(&monitor, target);
        monitor.publish(half_way());
        monitor.publish(Snapshot { ended: true, ..half_way() });
        let thread = progress.thread.take().expect("it was started");
        thread.join().expect("no panic");
        assert_eq!(screen.contents(), "");
    }

    #[test]
    fn dropping_it_ends_the_thread_though_no_run_came() {
        let (screen, target) = screen();
        let progress = Progress::draw_on(&Monitor::new(), target);
        assert_eq!(progress.suspend(|| 7), 7);
        drop(progress);
        assert_eq!(screen.contents(), "");
    }
}
