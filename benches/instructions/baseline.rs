//! The file of what was counted before, and how far off it we are.

use std::fmt::Write as _;
use std::fs;

/// How much more than before is no regression yet.
const TOLERANCE: f64 = 0.03;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// Counts, and the toolchain they are of.
#[derive(Default)]
pub(crate) struct Baseline {
    pub(crate) made_with: String,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) count: f64,
    /// What there are so many instructions of.
    pub(crate) unit: String,
}

impl Baseline {
    /// What the file says; nothing if there is none.
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(FILE).unwrap_or_default();
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let made_with = lines.next().unwrap_or_default().to_owned();
        let rows = lines.map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, count, unit] = fields[..] else { panic!("{FILE}: {line:?}") };
            let count = count.parse().unwrap_or_else(|_| panic!("{FILE}: {line:?}"));
            Row { name: name.to_owned(), count, unit: unit.to_owned() }
        });
        Self { made_with, rows: rows.collect() }
    }

    pub(crate) fn write(&self) {
        let mut text = "# Written by benches/instructions.rs: its toolchain, then each kernel's \
                        name, its instructions, and for what.\n"
            .to_owned();
        let _ = writeln!(text, "{}", self.made_with);
        for Row { name, count, unit } in &self.rows {
            let _ = writeln!(text, "{name}\t{count:.1}\t{unit}");
        }
        fs::write(FILE, text).expect("the baseline can be written");
        println!("\nsaved in {FILE}");
    }

    /// The most instructions of a kernel that are no regression; no bound on what is new or
    /// cannot be judged.
    pub(crate) fn most(&self, name: &str, made_with: &str) -> f64 {
        let row = self.rows.iter().find(|row| row.name == name && self.made_with == made_with);
        row.map_or(f64::INFINITY, |row| row.count * (1.0 + TOLERANCE))
    }

    /// Prints `new` beside this; whether nothing that can be judged got worse.
    pub(crate) fn compare(&self, new: &Self) -> bool {
        println!("| kernel | instructions | baseline | now | change |\n|---|---|--:|--:|--:|");
        let mut is_good = true;
        for Row { name, count, unit } in &new.rows {
            let before = self.rows.iter().find(|row| row.name == *name).map(|row| row.count);
            let change = before.map(|before| count / before - 1.0);
            is_good &= change.is_some_and(|change| change <= TOLERANCE);
            let before = before.map_or("-".to_owned(), |before| format!("{before:.1}"));
            let change =
                change.map_or("new".to_owned(), |change| format!("{:+.1} %", 100.0 * change));
            println!("| {name} | {unit} | {before} | {count:.1} | {change} |");
        }
        println!("\ncounted with {}", new.made_with);
        if self.made_with != new.made_with {
            println!("not judged: the baseline is of {}", self.made_with);
            return true;
        }
        if !is_good {
            println!("some take more than {:.0} % above the baseline", 100.0 * TOLERANCE);
        }
        is_good
    }

    /// The new rows in the place of the old; the others stay if their toolchain is the same.
    pub(crate) fn replaced_by(self, new: Self) -> Self {
        let is_same = self.made_with == new.made_with;
        let mut rows = if is_same { self.rows } else { Vec::new() };
        for row in new.rows {
            match rows.iter_mut().find(|old| old.name == row.name) {
                Some(old) => *old = row,
                None => rows.push(row),
            }
        }
        Self { made_with: new.made_with, rows }
    }
}
