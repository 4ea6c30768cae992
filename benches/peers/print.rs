//! The tables as markdown.

use crate::common::{self, time};
use crate::job::Setting;
use crate::process::Sample;
use crate::runner::Row;
use crate::tables::Table;

/// Prints one table. Medians, the least and the most; ratios of medians: to the fastest
/// that is neither Plimsoll nor the sequential loop, and to the bound.
pub(crate) fn table(table: &Table, rows: &[Row]) {
    let sequential = &rows[0].samples;
    let by_work = table.share * median(sequential, |sample| sample.cpu_nanos);
    let by_memory = median(sequential, |sample| sample.outcome.byte_nanos);
    let bound = table.budget.map_or(by_work, |bytes| by_work.max(by_memory / bytes as f64));
    let wall = |sample: &Sample| sample.wall_nanos;
    let others = table.rivals.iter().zip(rows).skip(1);
    let others = others.filter(|(rival, _)| !rival.name.contains("Plimsoll"));
    let best = others.map(|(_, row)| median(&row.samples, wall)).fold(f64::INFINITY, f64::min);

    let items = table.items as f64;
    println!("\n### {}: {}, {} items, {} rounds", table.name, table.title, items, sequential.len());
    println!("\nBound: {} an item, {} in all.\n", time(bound / items), time(bound));
    let live = if table.budget.is_some() { " live MiB |" } else { "" };
    println!(
        "| | by hand | an item | least..most | to best | to bound | cpu an item | peak MiB |{live}"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|{}", if live.is_empty() { "" } else { "--:|" });
    for (rival, row) in table.rivals.iter().zip(rows) {
        let took = median(&row.samples, wall);
        let walls = row.samples.iter().map(wall);
        let least = walls.clone().fold(f64::INFINITY, f64::min) / items;
        let most = walls.fold(0.0, f64::max) / items;
        let cpu = time(median(&row.samples, |sample| sample.cpu_nanos) / items);
        let peak = median(&row.samples, |sample| sample.resident_kib) / 1_024.0;
        print!("| {} | {} | {} | ", rival.name, by_hand(row.setting), time(took / items));
        print!("{}..{} | {:.2} | {:.2} | ", time(least), time(most), took / best, took / bound);
        print!("{cpu} | {peak:.0} |");
        match table.budget {
            Some(_) => {
                let live = median(&row.samples, |sample| sample.outcome.live as f64);
                println!(" {:.0} |", live / f64::from(1 << 20));
            }
            None => println!(),
        }
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
