//! A recording as a trace that Chrome's `about:tracing` and Perfetto open.
//!
//! The format is that of the *Trace Event Format* document of Chromium's trace viewer:
//! complete events (`X`) for what threads did, counters (`C`), names (`M`).

use std::fmt;
use std::io::{self, BufWriter, Write};

use super::Report;
use super::escape::Json;
use super::recording::{Recording, Where};

impl Report {
    /// Writes the recording of the run as a trace (JSON) for <https://ui.perfetto.dev> or
    /// Chrome's `about:tracing`: a track for each thread with what it was at, and counters
    /// of the bytes and items aboard, real memory, and the items before each stage.
    ///
    /// | event | `ph` | tells |
    /// |---|---|---|
    /// | a stage's name, `(source)`, `(sink)` | `X` | what a thread was at: `ts` and `dur` in microseconds since the run began; `cat` is `stage`, `source` or `sink`; `args` has `items`, the items that went through, and `loops`, how many times it was at it: an item or a parcel of several each time |
    /// | `aboard`, `withheld`, `the line`, `real memory` | `C` | `bytes`: what items hold, what is withheld of the line, the line itself, what the process holds |
    /// | `items aboard`, `before NAME` | `C` | `items`: those aboard, and those that wait for the stage or the sink |
    /// | `process_name`, `thread_name`, `thread_sort_index` | `M` | names, and the order of the threads |
    ///
    /// A thread of a long run has so many events that neighbours at one place are merged: then
    /// `loops` is more than one, and `dur` is the sum, without the gaps between them. Over the
    /// whole trace the `items` and the `dur` of a place add up to all that went through it and the
    /// time that it took, states of workers included. A counter tells the most since the moment before.
    ///
    /// ```
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let double = Stage::cpu("double").map(|n: u64| 2 * n);
    /// let pipeline = Pipeline::new(double).build(&Budget::new(MIB, 1))?;
    /// let report = pipeline.job().record().run(0..1_000, drop)?;
    /// let mut trace = Vec::new(); // or a file
    /// report.write_trace(&mut trace)?;
    /// assert!(trace.starts_with(b"{\"traceEvents\":["));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `writer`; [`io::ErrorKind::InvalidInput`] if the run was not recorded
    /// ([`Job::record`](crate::Job::record)).
    pub fn write_trace(&self, writer: impl Write) -> io::Result<()> {
        let recording = self.recording.as_ref().ok_or_else(|| {
            let why = "this run was not recorded, so there is no trace of it: ask for a \
                       recording by `pipeline.job().record()`";
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        let mut trace = Trace { out: BufWriter::new(writer), is_first: true };
        trace.out.write_all(b"{\"traceEvents\":[")?;
        trace.event("process_name", 'M', 0, 0, format_args!(r#","args":{{"name":"plimsoll"}}"#))?;
        self.write_threads(recording, &mut trace)?;
        self.write_counters(recording, &mut trace)?;
        trace.out.write_all(b"\n],\"displayTimeUnit\":\"ms\"}\n")?;
        trace.out.flush()
    }

    fn write_threads<W: Write>(
        &self,
        recording: &Recording,
        trace: &mut Trace<W>,
    ) -> io::Result<()> {
        for (index, track) in recording.tracks.iter().enumerate() {
            let thread = index + 1;
            let name = format_args!(r#","args":{{"name":{}}}"#, Json(&track.thread));
            trace.event("thread_name", 'M', thread, 0, name)?;
            let place = format_args!(r#","args":{{"sort_index":{thread}}}"#);
            trace.event("thread_sort_index", 'M', thread, 0, place)?;
            for span in track.spans() {
                let kind = match span.place {
                    Where::Source => "source",
                    Where::Stage(_) => "stage",
                    Where::Sink => "sink",
                };
                let (lasted, items, loops) = (Micros(span.lasted), span.items, span.loops);
                let rest = format_args!(
                    r#","cat":"{kind}","dur":{lasted},"args":{{"items":{items},"loops":{loops}}}"#
                );
                trace.event(self.name_of(span.place), 'X', thread, span.begun, rest)?;
            }
        }
        Ok(())
    }

    fn write_counters<W: Write>(
        &self,
        recording: &Recording,
        trace: &mut Trace<W>,
    ) -> io::Result<()> {
        trace.counter("the line", 0, "bytes", self.line)?;
        let samples = &recording.samples;
        let mut from = 0;
        for row in samples.rows() {
            trace.counter("aboard", from, "bytes", row.held)?;
            trace.counter("withheld", from, "bytes", row.withheld)?;
            if row.real > 0 {
                trace.counter("real memory", from, "bytes", row.real)?;
            }
            trace.counter("items aboard", from, "items", row.aboard)?;
            from = row.at;
        }
        for (index, stage) in recording.queues.iter().enumerate() {
            let place = stage.map_or(Where::Sink, Where::stage);
            let name = format!("before {}", self.name_of(place));
            let mut from = 0;
            for (row, items) in samples.rows().iter().zip(samples.queued(index)) {
                trace.counter(&name, from, "items", items)?;
                from = row.at;
            }
        }
        Ok(())
    }

    /// The stage's name, `"(source)"` or `"(sink)"`.
    pub(super) fn name_of(&self, place: Where) -> &str {
        match place {
            Where::Source => "(source)",
            Where::Stage(index) => &self.stages[usize::from(index)].name,
            Where::Sink => "(sink)",
        }
    }
}

/// The list of events while it is written.
struct Trace<W: Write> {
    out: BufWriter<W>,
    is_first: bool,
}

impl<W: Write> Trace<W> {
    /// One event at `nanos`, with the rest of its fields.
    fn event(
        &mut self,
        name: &str,
        phase: char,
        thread: usize,
        nanos: u64,
        rest: fmt::Arguments<'_>,
    ) -> io::Result<()> {
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        let (name, at) = (Json(name), Micros(nanos));
        write!(
            self.out,
            "{comma}\n{{\"name\":{name},\"ph\":\"{phase}\",\"pid\":1,\"tid\":{thread},\"ts\":{at}{rest}}}"
        )
    }

    fn counter(&mut self, name: &str, nanos: u64, unit: &str, value: u64) -> io::Result<()> {
        let values = format_args!(r#","args":{{"{unit}":{value}}}"#);
        self.event(name, 'C', 0, nanos, values)
    }
}

/// Nanoseconds, told in microseconds as traces want them.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}
