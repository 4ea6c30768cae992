//! Results that are known beforehand, to compare with.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// The lines of a file of expected results, by the place of the reaction:
/// `place<TAB>id<TAB>matched templates<TAB>distinct outcomes<TAB>hit templates`.
pub(crate) struct Expected {
    lines: BTreeMap<u32, String>,
    compared: usize,
    differences: Vec<(String, String)>,
}

impl Expected {
    pub(crate) fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = crate::args::read(path)?;
        let mut lines = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let place = line.split('\t').next().and_then(|place| place.parse().ok());
            let place = place.ok_or_else(|| {
                format!("{}: {line:?} does not begin with the place of a reaction", path.display())
            })?;
            lines.insert(place, line.to_owned());
        }
        Ok(Self { lines, compared: 0, differences: Vec::new() })
    }

    /// Compares a result; one that nothing is expected of is as good as any.
    pub(crate) fn compare(&mut self, place: u32, got: String) {
        let Some(expected) = self.lines.remove(&place) else { return };
        self.compared += 1;
        if expected != got {
            self.differences.push((expected, got));
        }
    }

    /// Takes the results for missing that were expected of the first `products` and did not come.
    pub(crate) fn close(&mut self, products: usize) {
        let beyond = self.lines.split_off(&u32::try_from(products).unwrap_or(u32::MAX));
        for expected in std::mem::replace(&mut self.lines, beyond).into_values() {
            self.compared += 1;
            self.differences.push((expected, "no result".to_owned()));
        }
    }

    /// Whether anything was compared, and nothing differs.
    pub(crate) fn is_met(&self) -> bool {
        self.compared > 0 && self.differences.is_empty()
    }

    pub(crate) fn print(&self) {
        for (expected, got) in &self.differences {
            println!("- {expected}\n+ {got}");
        }
        let (compared, differ) = (self.compared, self.differences.len());
        println!("expected  {compared} lines compared, {differ} differ");
        if !self.lines.is_empty() {
            println!("          {} are of products not asked for", self.lines.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_and_missing_results_are_told_and_those_not_asked_for_are_not() {
        let lines = (0..5).map(|place| (place, place.to_string())).collect();
        let mut expected = Expected { lines, compared: 0, differences: Vec::new() };
        assert!(!expected.is_met());
        expected.compare(1, "1".to_owned());
        expected.compare(9, "9".to_owned());
        assert!(expected.is_met());
        expected.compare(0, "x".to_owned());
        expected.close(3);
        let differences = [("0", "x"), ("2", "no result")];
        assert_eq!(expected.differences, differences.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!((expected.compared, expected.lines.len()), (3, 2));
    }
}
