//! The tables as markdown.

use crate::common::{self, time};
use crate::job::Setting;
use crate::process::Sample;
use crate::runner::Row;
use crate::tables::Table;

/// What a table's rows are held against, nanoseconds for all items.
struct Marks {
    /// The least that the machine and the budget allow.
    bound: f64,
    /// The fastest that is neither Plimsoll nor the sequential loop and keeps the budget.
    best: usize,
}

impl Marks {
    fn of(table: &Table, rows: &[Row]) -> Self {
        let sequential = &rows[0].samples;
        let by_work = table.share * median(sequential, |sample| sample.cpu_nanos);
        let by_memory = median(sequential, |sample| sample.outcome.byte_nanos);
        let bound = table.budget.map_or(by_work, |bytes| by_work.max(by_memory / bytes as f64));
        let keeps_budget = |row: &Row| {
            let live = median(&row.samples, |sample| sample.outcome.live as f64);
            table.budget.is_none_or(|bytes| live <= bytes as f64)
        };
        let others = (1..rows.len()).filter(|rival| {
            !table.rivals[*rival].name.contains("Plimsoll") && keeps_budget(&rows[*rival])
        });
        let best = others.min_by(|a, b| rows[*a].took().total_cmp(&rows[*b].took()));
        Self { bound, best: best.unwrap_or(0) }
    }
}

impl Row {
    /// Nanoseconds for all items.
    fn took(&self) -> f64 {
        median(&self.samples, |sample| sample.wall_nanos)
    }

    fn peak_mib(&self) -> f64 {
        median(&self.samples, |sample| sample.resident_kib) / 1_024.0
    }
}

/// Prints one table. Medians, the least and the most; ratios of medians to the marks.
pub(crate) fn table(table: &Table, rows: &[Row]) {
    let Marks { bound, best } = Marks::of(table, rows);
    let (rounds, best) = (rows[0].samples.len(), rows[best].took());
    let items = table.items as f64;
    println!("\n### {}: {}, {} items, {rounds} rounds", table.name, table.title, items);
    println!("\nBound: {} an item, {} in all.\n", time(bound / items), time(bound));
    let live = if table.budget.is_some() { " live MiB |" } else { "" };
    println!(
        "| | by hand | an item | least..most | to best | to bound | cpu an item | peak MiB |{live}"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|{}", if live.is_empty() { "" } else { "--:|" });
    for (rival, row) in table.rivals.iter().zip(rows) {
        let took = row.took();
        let walls = row.samples.iter().map(|sample| sample.wall_nanos);
        let least = walls.clone().fold(f64::INFINITY, f64::min) / items;
        let most = walls.fold(0.0, f64::max) / items;
        let cpu = time(median(&row.samples, |sample| sample.cpu_nanos) / items);
        print!("| {} | {} | {} | ", rival.name, by_hand(row.setting), time(took / items));
        print!("{}..{} | {:.2} | {:.2} | ", time(least), time(most), took / best, took / bound);
        print!("{cpu} | {:.0} |", row.peak_mib());
        match table.budget {
            Some(_) => {
                let live = median(&row.samples, |sample| sample.outcome.live as f64);
                println!(" {:.0} |", live / f64::from(1 << 20));
            }
            None => println!(),
        }
    }
}

/// Prints a row of each table: Plimsoll, without a knob, beside the best of the others, with
/// the knobs that suited it best.
pub(crate) fn summary(tables: &[(&Table, Vec<Row>)]) {
    println!("\n### In short\n");
    println!("| | Plimsoll | best of the others | | to it | to bound | peak MiB | its |");
    println!("|---|--:|---|--:|--:|--:|--:|--:|");
    for (table, rows) in tables {
        let Marks { bound, best } = Marks::of(table, rows);
        let (ours, theirs) = (&rows[1], &rows[best]);
        let each = |row: &Row| time(row.took() / table.items as f64);
        let name = [table.rivals[best].name, &by_hand(theirs.setting)].join(", ");
        print!("| {}: {} | {} | ", table.name, table.title, each(ours));
        print!("{} | {} | ", name.trim_end_matches(", "), each(theirs));
        print!("{:.2} | {:.2} | ", ours.took() / theirs.took(), ours.took() / bound);
        println!("{:.0} | {:.0} |", ours.peak_mib(), theirs.peak_mib());
    }
}

fn by_hand(setting: Setting) -> String {
    let chunk = (setting.chunk > 0).then(|| format!("{} a chunk", setting.chunk));
    let digits = setting.threads.to_string();
    let digits: Vec<&str> = digits.split("").filter(|digit| !digit.is_empty()).collect();
    let threads = (setting.threads > 0).then(|| format!("{} threads", digits.join("+")));
    chunk.into_iter().chain(threads).collect::<Vec<_>>().join(", ")
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    common::median(samples.iter().map(of))
}
