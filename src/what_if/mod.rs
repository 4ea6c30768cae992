//! From a finished run's report to what another budget would make of it.
//!
//! ```text
//! Report ── Basis ──> ghost: the same stages, whose calls let time pass ──> the planner
//!           (engine)     │                                                      │
//!                        deck: as times and sizes were spread      engine/simulation
//!                        crowd: how far calls have a core
//! ```

mod crowd;
mod deck;
mod ghost;
#[cfg(feature = "serde")]
mod json;
mod prediction;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crowd::Crowd;
pub use prediction::Prediction;
pub use table::Predictions;

use crate::budget::Budget;
use crate::engine::simulation::{Forecast, Machine, VirtualClock};
use crate::engine::{Basis, StageBasis};
use crate::error::Error;
use crate::plan::Plan;
use crate::report::Report;
use crate::sync::Mutex;

/// Items of the source that are simulated at the most, and whatever that takes.
const ITEMS: (u64, u64) = (64, 500_000);
/// Calls of light items for these, at the most: less than a second's work.
const MOST_CALLS: f64 = 2_200_000.0;
/// Simulating a parcel takes as long as so many calls.
const PARCEL_CALLS: f64 = 10.0;

impl Report {
    /// How long as many items would have taken on another `budget`, which this machine need
    /// not have, and what they would have held.
    ///
    /// The pipeline is planned for `budget` by the real planner. Then a run of it is played in
    /// virtual time by the real scheduler, with items that take the times, make as many
    /// outputs and hold the bytes that this run's items did, shuffled. Of a long run some ten
    /// thousands of items are played (up to 500,000, if they are light;
    /// [`Prediction::simulated`]), and the rest is taken to go on as the second half of these
    /// did; what happens once, such as building the states of workers, is not multiplied. It
    /// takes a second at the most, unless items of a `flat_map` have tens of thousands of
    /// children.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
    ///
    /// let nap = |n: u64| { std::thread::sleep(Duration::from_millis(2)); n };
    /// let screen = Stage::memory("screen", Footprint::per_worker(100 * MIB)).workers(4).map(nap);
    /// let pipeline = Pipeline::new(screen).build(&Budget::new(200 * MIB, 1).unmeasured())?;
    /// let report = pipeline.run(0..50, drop)?; // one worker fits
    ///
    /// // With room for all four it would take a fourth of the time.
    /// let more = report.what_if(&Budget::new(600 * MIB, 1))?;
    /// assert_eq!(more.plan().stages()[0].workers(), 4);
    /// let part = more.elapsed().as_secs_f64() / report.elapsed().as_secs_f64();
    /// assert!((0.15..0.4).contains(&part), "{part}");
    ///
    /// // None fits: the planner's own error.
    /// assert!(report.what_if(&Budget::new(99 * MIB, 8)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # What is assumed
    ///
    /// | of | assumed |
    /// |---|---|
    /// | calls | as long as they were, wherever they run: caches and the bandwidth of memory are as fast for many cores as for those of this run, and so are disks and whatever calls wait for |
    /// | other programs | none. For how long calls were ready to run and had no core is known on Linux, from a sample of the calls, and left out; elsewhere a machine that others keep busy is as busy then |
    /// | light items, which were timed many together ([`ItemTimes::together`](crate::ItemTimes::together)) | neighbours take the mean of those that were timed together |
    /// | the order of items | random: no heavy ones at the end, no phases |
    /// | bytes of an item (its weight, what calls ask for) | who is large for one stage is large for all, until a `flat_map` |
    /// | bytes and time | as correlated as this run's steps showed, for items that go alone |
    /// | batches | cost as much for each item as they did, however full |
    /// | `flat_map` | the time of an item passes in equal parts with each child that is drawn |
    /// | the source, the sink | the same time for each item; a stream's consumer, none |
    /// | real memory | what is declared; what processes and allocators keep beyond it is not foreseen, nor that a line is tightened for it, nor idle [`Buffers`](crate::Buffers) |
    /// | failed items | fail again, as often |
    /// | the system | it has each thread run on a core of its own. Threads that work on items of few nanoseconds wake each other so often that Linux may keep two on one core: items of 2.5 ns were predicted to take a third less on two cores, and took as long as on one |
    /// | locks, waking, starting a thread | cost what they did on a server of two cores: a turn with the scheduler 0.3 us, 1.4 us if another core had it last, waking a thread 6 us, 14 us until it runs |
    ///
    /// A stage waits rather than computes, and so takes no core of the budget, if it
    /// [says so](crate::StageBuilder::waits) or asks for more workers than that has cores, as in any
    /// run; what its calls were seen to compute all the
    /// same, they compute beside the others. Overrides of this run's budget (workers and
    /// footprints by variables) are not carried over: `budget` has its own.
    ///
    /// A run that was stopped early tells what it saw until then.
    ///
    /// # Another number of workers
    ///
    /// What [more workers](Report::suggestion) would bring is asked by a budget that demands them,
    /// [`Budget::with_workers`]; so is another footprint, by [`Budget::with_footprint`].
    ///
    /// ```
    /// use std::{thread::sleep, time::Duration};
    /// use plimsoll::{Budget, Footprint, MIB, Pipeline, Stage};
    ///
    /// let ask = |n: u64| { sleep(Duration::from_millis(5)); n };
    /// let ask = Stage::memory("ask", Footprint::none()).waits().workers(4).map(ask);
    /// let budget = Budget::new(64 * MIB, 2);
    /// let report = Pipeline::new(ask).build(&budget)?.run(0..100, drop)?;
    ///
    /// let four = report.what_if_items(&budget, 100_000)?;
    /// let many = report.what_if_items(&budget.with_workers("ask", 32), 100_000)?;
    /// assert_eq!(many.plan().stages()[0].workers(), 32);
    /// assert!(many.elapsed() < four.elapsed() / 4, "{many}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`PipelineBuilder::build`](crate::PipelineBuilder::build), as
    /// [`Error::NoRoom`] where the pipeline does not fit; [`Error::Item`] with
    /// [`Cause::TooLarge`](crate::Cause::TooLarge) where it does, but the largest item does
    /// not; [`Error::Setting`] if the run read no item, so that there is nothing to go by.
    pub fn what_if(&self, budget: &Budget) -> Result<Prediction, Error> {
        self.what_if_items(budget, self.read)
    }

    /// The same for `items` items of the source.
    ///
    /// ```
    /// use std::time::Duration;
    /// use plimsoll::{Budget, MIB, Pipeline, Stage};
    ///
    /// let nap = Stage::cpu("nap").map(|_| std::thread::sleep(Duration::from_millis(1)));
    /// let report = Pipeline::new(nap).build(&Budget::new(MIB, 1))?.run(0..100, drop)?;
    ///
    /// // When would ten million be done, by how many cores?
    /// for cores in [1, 8, 64] {
    ///     let prediction = report.what_if_items(&Budget::new(64 * MIB, cores), 10_000_000)?;
    ///     println!("{prediction}");
    ///     assert!(prediction.elapsed() > Duration::from_secs(10_000 / cores as u64));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`what_if`](Self::what_if).
    pub fn what_if_items(&self, budget: &Budget, items: u64) -> Result<Prediction, Error> {
        let basis = seen(self)?;
        let simulated = items.min(most_items(basis));
        let (forecast, plan) = play(basis, budget, simulated)?;
        let mut elapsed = forecast.report.elapsed();
        if simulated < items {
            let half = simulated / 2;
            let (before, _) = play(basis, budget, half)?;
            let further = elapsed.saturating_sub(before.report.elapsed()).as_secs_f64();
            let times = (items - simulated) as f64 / (simulated - half) as f64;
            elapsed += Duration::try_from_secs_f64(further * times).unwrap_or(Duration::MAX / 2);
        }
        Ok(Prediction::new(forecast, plan, (items, simulated), elapsed, lacked(basis)))
    }
}

/// What the run was seen to do.
fn seen(report: &Report) -> Result<&Basis, Error> {
    let basis = report.basis.as_ref().and_then(|basis| basis.downcast_ref::<Basis>());
    basis.filter(|basis| basis.source.read > 0).ok_or_else(|| Error::Setting {
        what: "the number of items read",
        whose: "the run".to_owned(),
        value: 0,
        rule: "a prediction goes by what items took, so it must be at least 1",
    })
}

/// For which part of their time the calls that were looked at were ready and had no core.
fn lacked(basis: &Basis) -> Option<f64> {
    let stages = basis.stages.iter();
    let seen = stages.filter_map(|stage| Some((stage.busy.as_secs_f64(), stage.cores.lacked()?)));
    let (busy, lacked) =
        seen.fold((0.0, 0.0), |(all, sum), (busy, part)| (all + busy, sum + busy * part));
    (busy > 0.0).then(|| lacked / busy)
}

/// Items of the source that can be simulated in little time. Light ones can be more, which
/// they need to be: thousands of them make a parcel.
fn most_items(basis: &Basis) -> u64 {
    let cost = |calls: u64, together: f64| calls as f64 * (1.0 + PARCEL_CALLS / together);
    let stages = basis.stages.iter().map(|stage| cost(stage.calls, stage.times.together()));
    let together = |stage: Option<&StageBasis>| stage.map_or(1.0, |stage| stage.times.together());
    let source = cost(basis.source.read, together(basis.stages.first()));
    let sink = cost(basis.delivered, together(basis.stages.last()));
    let each = (source + stages.sum::<f64>() + sink) / basis.source.read as f64;
    ((MOST_CALLS / each) as u64).clamp(ITEMS.0, ITEMS.1)
}

/// Plays a run of `items` items on `budget`.
fn play(basis: &Basis, budget: &Budget, items: u64) -> Result<(Forecast, Plan), Error> {
    let clock = VirtualClock::new();
    let crowd = Arc::new(Mutex::new(Crowd::on(budget.cores(), basis.stages.len())));
    let pipeline = ghost::pipeline(basis, items, &clock, &crowd).build(budget)?;
    let (source, sink) = (ghost::source(basis, items, &clock), ghost::sink(basis, &clock));
    let forecast = pipeline.job().simulate(source, sink, &clock, &Machine::TYPICAL)?;
    Ok((forecast, pipeline.plan().clone()))
}
