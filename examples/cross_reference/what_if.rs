//! What other budgets would make of the run: when would ten million products be done?

use plimsoll::{Error, GIB, MIB, Report};

use crate::print::thousands;

const PRODUCTS: u64 = 10_000_000;
const CORES: [usize; 6] = [1, 2, 4, 8, 16, 64];
const MEMORY: [u64; 5] = [128 * MIB, 512 * MIB, 2 * GIB, 8 * GIB, 64 * GIB];

/// Prints a table of predictions.
pub(crate) fn print(report: &Report) -> Result<(), Error> {
    let table = report.what_if_table(&CORES, &MEMORY, PRODUCTS)?;
    let products = thousands(PRODUCTS as usize);
    println!("{products} products would be done in, predicted from this run:\n\n{table}");
    let in_part = |told: &plimsoll::Prediction| told.lacks_tables();
    if table.iter().any(|(_, _, told)| told.is_ok_and(in_part)) {
        println!("(there this program would work through the index in blocks)");
    }
    Ok(())
}
