//! Rounds, and the search for the best setting.

use crate::job::{Scale, Setting};
use crate::process::{self, Sample};
use crate::tables::Table;

/// The samples of a competitor at its best setting.
pub(crate) struct Row {
    pub(crate) setting: Setting,
    pub(crate) samples: Vec<Sample>,
}

/// All competitors of `table`, one after the other in each round. Whoever was first in
/// one is last in the next, so that none always follows the same.
pub(crate) fn run(index: usize, table: &Table, scale: Scale, rounds: usize) -> Vec<Row> {
    let mut rows = Vec::with_capacity(table.rivals.len());
    for rival in 0..table.rivals.len() {
        let setting = best_setting(index, table, rival, scale, rounds);
        rows.push(Row { setting, samples: Vec::new() });
    }
    for round in 0..rounds {
        for turn in 0..rows.len() {
            let rival = (turn + round) % rows.len();
            let sample = process::run(index, rival, rows[rival].setting, scale);
            rows[rival].samples.push(sample);
        }
        eprintln!("{}: round {} of {rounds}", table.name, round + 1);
    }
    let expected = rows[0].samples[0].outcome.checksum;
    for (rival, row) in table.rivals.iter().zip(&rows) {
        let same = row.samples.iter().all(|sample| sample.outcome.checksum == expected);
        assert!(same, "{}: {} did not do the work", table.name, rival.name);
    }
    rows
}

/// The setting with the fastest of a few tries; in a quick look the first.
fn best_setting(index: usize, table: &Table, rival: usize, scale: Scale, rounds: usize) -> Setting {
    let settings = &table.rivals[rival].settings;
    if settings.len() == 1 || scale.part > 1 {
        return settings[0];
    }
    let mut least = vec![f64::INFINITY; settings.len()];
    for _ in 0..rounds.min(3) {
        for (least, setting) in least.iter_mut().zip(settings) {
            *least = process::run(index, rival, *setting, scale).wall_nanos.min(*least);
        }
    }
    let best = (0..settings.len()).min_by(|a, b| least[*a].total_cmp(&least[*b]));
    settings[best.expect("there is a setting")]
}
