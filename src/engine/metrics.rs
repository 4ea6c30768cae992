//! What a run tells by the feature `metrics`. Without it everything here is empty.

#[cfg(feature = "metrics")]
mod told {
    use std::time::Duration;

    use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

    use crate::plan::Plan;
    use crate::report::Snapshot;
    use crate::sync::Mutex;

    /// The handles of a run, registered with whatever recorder the thread that makes it has.
    /// Runs at the same time add up: each tells by how much its figures have changed.
    pub(crate) struct Metrics {
        items: [Counter; 4],
        held: [Gauge; 3],
        real: Gauge,
        run: Histogram,
        stages: Vec<(Counter, [Gauge; 3], Histogram)>,
        last: Mutex<Snapshot>,
    }

    impl Metrics {
        pub(crate) fn new(plan: &Plan) -> Self {
            let stage = |segment| {
                let stage = plan.segment_name(segment).to_owned();
                let gauges = [
                    gauge!("plimsoll_stage_running", "stage" => stage.clone()),
                    gauge!("plimsoll_stage_queued_items", "stage" => stage.clone()),
                    gauge!("plimsoll_stage_holds_bytes", "stage" => stage.clone()),
                ];
                let items = counter!("plimsoll_stage_items_total", "stage" => stage.clone());
                (items, gauges, histogram!("plimsoll_stage_call_seconds", "stage" => stage))
            };
            Self {
                items: [
                    counter!("plimsoll_items_read_total"),
                    counter!("plimsoll_items_delivered_total"),
                    counter!("plimsoll_items_filtered_total"),
                    counter!("plimsoll_items_failed_total"),
                ],
                held: [
                    gauge!("plimsoll_items_aboard"),
                    gauge!("plimsoll_held_bytes"),
                    gauge!("plimsoll_withheld_bytes"),
                ],
                real: gauge!("plimsoll_real_memory_bytes"),
                run: histogram!("plimsoll_run_seconds"),
                stages: plan.segments.iter().map(stage).collect(),
                last: Mutex::default(),
            }
        }

        /// Whether snapshots are wanted.
        pub(crate) fn is_on() -> bool {
            true
        }

        /// A call of `segment`, of one parcel or several, took so many nanoseconds.
        pub(crate) fn called(&self, segment: usize, nanos: u64) {
            self.stages[segment].2.record(Duration::from_nanos(nanos));
        }

        /// Tells what has changed since the last snapshot.
        pub(crate) fn tell(&self, now: &Snapshot) {
            let last = std::mem::replace(&mut *self.last.lock(), now.clone());
            let items = |it: &Snapshot| [it.read, it.delivered, it.filtered, it.failed];
            for ((counter, now), last) in self.items.iter().zip(items(now)).zip(items(&last)) {
                counter.increment(now.saturating_sub(last));
            }
            let move_by = |gauge: &Gauge, now: u64, last: u64| {
                gauge.increment(now as f64 - last as f64);
            };
            let held = |it: &Snapshot| [it.aboard, it.held, it.withheld];
            for ((gauge, now), last) in self.held.iter().zip(held(now)).zip(held(&last)) {
                move_by(gauge, now, last);
            }
            for (index, (handles, stage)) in self.stages.iter().zip(&now.stages).enumerate() {
                let before = last.stages.get(index).cloned().unwrap_or_default();
                handles.0.increment(stage.done.saturating_sub(before.done));
                let [running, queued, holds] = &handles.1;
                move_by(running, stage.running as u64, before.running as u64);
                move_by(queued, stage.queued, before.queued);
                move_by(holds, stage.holds, before.holds);
            }
            if let Some(real) = now.real {
                self.real.set(real as f64);
            }
            if now.ended && !last.ended {
                self.run.record(now.elapsed);
            }
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod told {
    use crate::plan::Plan;
    use crate::report::Snapshot;

    pub(crate) struct Metrics;

    impl Metrics {
        pub(crate) fn new(_plan: &Plan) -> Self {
            Self
        }

        pub(crate) fn is_on() -> bool {
            false
        }

        pub(crate) fn called(&self, _segment: usize, _nanos: u64) {}

        pub(crate) fn tell(&self, _now: &Snapshot) {}
    }
}

pub(crate) use told::Metrics;
