//! Predictions for many budgets, as a table.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::{Prediction, seen};
use crate::budget::Budget;
use crate::error::{Cause, Error};
use crate::report::Report;
use crate::units::Bytes;

/// What runs of as many items would come to with so many cores and so much memory, each with
/// each. Made by [`Report::what_if_table`].
///
/// As text, of a run whose second stage keeps 400 MiB for each worker, and whose first has one
/// worker alone:
///
/// ```text
/// cores       256.0 MiB         1.0 GiB         8.0 GiB
///     1    does not fit      1 h 56 min      1 h 56 min
///     2    does not fit     58 min 21 s     58 min 21 s
///     4    does not fit     50 min 06 s     29 min 11 s
///    16    does not fit     50 min 07 s     17 min 03 s
/// with 16 cores and 8.0 GiB limited by read, busy 98 % of the time
/// ```
///
/// A budget that no pipeline could have, as one of 5,000 cores, is *not possible*: why is told below
/// the table.
#[derive(Debug)]
pub struct Predictions {
    cores: Vec<usize>,
    memory: Vec<u64>,
    /// A row for each number of cores.
    rows: Vec<Vec<Result<Prediction, Error>>>,
}

impl Report {
    /// [`what_if_items`](Self::what_if_items) for each of so many `cores` with each of so many
    /// bytes of `memory`: which machine to rent, and how much of it is enough. The memory is that
    /// of the budget; [`Budget::from_env`](crate::Budget::from_env) takes 80 % of a machine's.
    /// Printed, it is a table, which also says from how many cores on something else limits the
    /// run, and whether the run had too little of its own cores.
    ///
    /// ```
    /// use plimsoll::{Budget, GIB, MIB, Pipeline, Stage};
    ///
    /// let nap = Stage::cpu("nap").map(|_| std::thread::sleep(std::time::Duration::from_millis(1)));
    /// let report = Pipeline::new(nap).build(&Budget::new(MIB, 1))?.run(0..100, drop)?;
    /// let table = report.what_if_table(&[1, 2, 4], &[512 * MIB, GIB], 100_000)?;
    /// println!("{table}");
    /// let four = table.get(4, GIB).expect("it was asked for").expect("it fits");
    /// let one = table.get(1, GIB).expect("it was asked for").expect("it fits");
    /// assert!(four.elapsed() < one.elapsed() / 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the run read no item, so that there is nothing to go by. What does
    /// not fit a budget is an error in its place in the table.
    pub fn what_if_table(
        &self,
        cores: &[usize],
        memory: &[u64],
        items: u64,
    ) -> Result<Predictions, Error> {
        seen(self)?;
        let row = |cores: &usize| {
            let told = |memory: &u64| self.what_if_items(&Budget::new(*memory, *cores), items);
            memory.iter().map(told).collect()
        };
        let rows = cores.iter().map(row).collect();
        Ok(Predictions { cores: cores.to_vec(), memory: memory.to_vec(), rows })
    }
}

impl Predictions {
    /// What was predicted for so many `cores` and bytes of `memory`; `None` if that was not
    /// asked for, the error if the pipeline does not fit, or no pipeline could have such a budget.
    #[must_use]
    pub fn get(&self, cores: usize, memory: u64) -> Option<Result<&Prediction, &Error>> {
        let row = self.cores.iter().position(|there| *there == cores)?;
        let column = self.memory.iter().position(|there| *there == memory)?;
        Some(self.rows[row][column].as_ref())
    }

    /// All of them, with their cores and bytes: row by row.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u64, Result<&Prediction, &Error>)> {
        self.cores.iter().zip(&self.rows).flat_map(|(cores, row)| {
            let cells = self.memory.iter().zip(row);
            cells.map(|(memory, told)| (*cores, *memory, told.as_ref()))
        })
    }

    /// Why some of the budgets could not be planned for whatever the pipeline needs, each once.
    fn impossible(&self) -> BTreeSet<String> {
        let errors = self.rows.iter().flatten().filter_map(|told| told.as_ref().err());
        errors.filter(|error| cell(Err(error)) == NOT_POSSIBLE).map(ToString::to_string).collect()
    }

    /// From how many cores on, with the most memory, something else limits the run, and what.
    fn end_of_cores(&self) -> Option<String> {
        let column = (0..self.memory.len()).max_by_key(|column| self.memory[*column])?;
        let rows = self.cores.iter().zip(&self.rows);
        let mut told = rows.filter_map(|(cores, row)| Some((*cores, row[column].as_ref().ok()?)));
        let (cores, limit) = told.find_map(|(cores, told)| Some((cores, told.other_limit()?)))?;
        let memory = Bytes(self.memory[column]);
        let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        Some(format!("with {cores} and {memory} limited by {limit}"))
    }
}

impl fmt::Display for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cores")?;
        self.memory
            .iter()
            .try_for_each(|memory| write!(f, "{:>16}", Bytes(*memory).to_string()))?;
        let mut in_part = false;
        for (cores, row) in self.cores.iter().zip(&self.rows) {
            write!(f, "\n{cores:>5}")?;
            for told in row {
                let cell = cell(told.as_ref());
                in_part |= cell.ends_with('*');
                write!(f, "{cell:>16}")?;
            }
        }
        if in_part {
            write!(
                f,
                "\n* a table does not fit; look-ups that wait for the disk are not foreseen"
            )?;
        }
        for problem in self.impossible() {
            write!(f, "\n{NOT_POSSIBLE}: {problem}")?;
        }
        if let Some(told) = self.end_of_cores() {
            write!(f, "\n{told}")?;
        }
        let told = self.rows.iter().flatten().find_map(|told| told.as_ref().ok()?.lacked());
        match told.filter(|part| *part >= 0.1) {
            None => Ok(()),
            Some(part) => write!(
                f,
                "\n(calls of the run had no core for {:.0} % of their time, which is left out)",
                100.0 * part
            ),
        }
    }
}

fn cell(told: Result<&Prediction, &Error>) -> String {
    match told {
        Ok(told) if told.lacks_tables() => format!("{} *", brief(told.elapsed())),
        Ok(told) => brief(told.elapsed()),
        Err(Error::Item(item)) if matches!(item.cause(), Cause::TooLarge { .. }) => {
            "item too large".to_owned()
        }
        Err(Error::NoRoom { .. }) => "does not fit".to_owned(),
        Err(_) => NOT_POSSIBLE.to_owned(),
    }
}

/// Instead of a time, where it is not for want of memory that there is none.
const NOT_POSSIBLE: &str = "not possible";

/// A time, to what matters for a choice of machines.
fn brief(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = seconds.round() as u64;
    match (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60) {
        (0, 0, 0, _) => format!("{seconds:.1} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes:02} min"),
        (days, hours, ..) => format!("{days} d {hours:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_pipeline_could_have_is_told_apart_from_what_does_not_fit() {
        let stages = || {
            let keeps = crate::Footprint::per_worker(crate::GIB);
            crate::Pipeline::new(crate::Stage::memory("keeps", keeps).map(|n: u64| n))
        };
        let (cores, memory) = (vec![0, 2, 5_000], vec![0, crate::MIB]);
        let refused = |cores: usize, memory: u64| {
            Err(stages().plan(&Budget::new(memory, cores)).expect_err("it is refused"))
        };
        let row = |cores: &usize| memory.iter().map(|bytes| refused(*cores, *bytes)).collect();
        let rows = cores.iter().map(row).collect();
        let text = Predictions { cores, memory: memory.clone(), rows }.to_string();
        assert_eq!(
            text,
            "cores             0 B         1.0 MiB\n    0    not possible    not possible\n    2    \
             not possible    does not fit\n 5000    not possible    not possible\nnot possible: the \
             budget has no cores (given by the caller); a run needs at least one core\nnot possible: \
             the budget has no memory (given by the caller); a run needs at least one byte\nnot \
             possible: the number of cores of the budget is 5000; it must be 1 to 4,096"
        );
    }

    #[test]
    fn times_are_told_to_what_matters() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (59.4, "59.4 s"),
            (59.6, "1 min 00 s"),
            (3_599.0, "59 min 59 s"),
            (3_600.0, "1 h 00 min"),
            (3_600.0 * 30.0, "1 d 06 h"),
        ] {
            assert_eq!(brief(Duration::from_secs_f64(seconds)), text);
        }
    }
}
