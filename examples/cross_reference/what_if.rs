//! What other budgets would make of the run: when would ten million products be done?

use std::time::Duration;

use plimsoll::{Budget, Bytes, Cause, Error, GIB, MIB, Report};

use crate::print::thousands;

const PRODUCTS: u64 = 10_000_000;
const CORES: [usize; 6] = [1, 2, 4, 8, 16, 64];
const MEMORY: [u64; 5] = [128 * MIB, 512 * MIB, 2 * GIB, 8 * GIB, 64 * GIB];

/// Prints a table of predictions.
pub(crate) fn print(report: &Report) {
    let products = thousands(PRODUCTS as usize);
    println!("{products} products would be done in, predicted from this run:\n");
    let heads = MEMORY.map(|memory| format!("{:>16}", Bytes(memory).to_string()));
    println!("cores{}", heads.concat());
    for cores in CORES {
        let cells = MEMORY.map(|memory| cell(report, &Budget::new(memory, cores)));
        println!("{cores:>5}{}", cells.map(|cell| format!("{cell:>16}")).concat());
    }
}

fn cell(report: &Report, budget: &Budget) -> String {
    match report.what_if_items(budget, PRODUCTS) {
        // Look-ups that wait for the disk were not seen; the program would work in blocks.
        Ok(told) if told.plan().tables().iter().any(|table| table.missing() > 0) => {
            "in blocks".to_owned()
        }
        Ok(told) => time(told.elapsed()),
        Err(Error::NoRoom { .. }) => "does not fit".to_owned(),
        Err(Error::Item(item)) if matches!(item.cause(), Cause::TooLarge { .. }) => {
            "an item too large".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn time(time: Duration) -> String {
    let minutes = (time.as_secs_f64() / 60.0).round() as u64;
    match (minutes / 1_440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{:.1} s", time.as_secs_f64()),
        (0, hours, minutes) => format!("{hours} h {minutes:02} min"),
        (days, hours, _) => format!("{days} d {hours:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_what_matters() {
        for (seconds, text) in [
            (12, "12.0 s"),
            (59 * 60 + 40, "1 h 00 min"),
            (3_600 * 30, "1 d 06 h"),
            (540, "0 h 09 min"),
        ] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }
}
