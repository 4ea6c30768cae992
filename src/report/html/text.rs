//! Text in columns, as reports and plans are in a terminal, on a page of any width.

use std::fmt;

use super::super::escape::Html;

/// A text whose lines are broken in their last column where the page is too narrow. What was
/// broken off stands below the beginning of that column.
pub(super) struct Columns<'a>(pub(super) &'a str);

impl fmt::Display for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<pre>")?;
        for line in self.0.lines() {
            let (columns, last) = line.split_at(last_column(line));
            let (at, columns, last) = (columns.chars().count(), Html(columns), Html(last));
            writeln!(f, "{columns}<span style=\"--at:{at}ch\">{last}</span>")?;
        }
        f.write_str("</pre>")
    }
}

/// Where the last column of a line begins: columns are two spaces apart at the least.
fn last_column(line: &str) -> usize {
    line.trim_end().rfind("  ").map_or(0, |gap| gap + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_begins_behind_the_last_gap() {
        for (columns, last) in [
            ("", ""),
            ("", "note: no gap"),
            ("memory       2.0 GiB   ", "given by the caller"),
            ("größe  cpu      2  ", "one for each core  "),
            ("                       ", "indented"),
        ] {
            let line = format!("{columns}{last}");
            assert_eq!(line.split_at(last_column(&line)), (columns, last));
        }
    }

    #[test]
    fn nothing_of_the_text_is_lost() {
        let text = "a  <b>\n\n  c & d\n";
        let shown = Columns(text).to_string();
        let mut rest = String::new();
        for piece in shown.split('<').skip(1) {
            let (_, plain) = piece.split_once('>').expect("a tag ends");
            rest.push_str(plain);
        }
        let rest = rest.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        assert_eq!(rest, text);
    }
}
