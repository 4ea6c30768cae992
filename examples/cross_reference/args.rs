//! The command line, and the files it names.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

pub(crate) const HELP: &str = "\
Which reaction templates explain which known reactions?

Usage: cross_reference [OPTION]...

  --reactions FILE  reactions, a line each: reactants>>product<TAB>id
                    [default: 10,000 virtual ones, in the example's data folder]
  --templates FILE  templates, a line each: index<TAB>support<TAB>retro SMARTS
                    [default: 10,000 made of these, in the same folder]
  --products N      ask for the products of the first N reactions [default: 500]
  --rows N          rows of the index: all reactions, and decoys up to N
                    [default: 100000]
  --ordered         deliver in the order of the reactions, not as completed
  --expect FILE     compare with expected results; a line that differs makes the
                    exit status 1
  --unsplit         do it all in one stage, with a copy of templates and index for
                    each worker, to see what splitting saves
  --html FILE       record the run and write its report as a page
  --trace FILE      record the run and write what each thread did when, for
                    https://ui.perfetto.dev
  --what-if         predict from the run when ten million products would be done,
                    on 1 to 64 cores and 128 MiB to 64 GiB
  --help            print this

Files may be compressed with gzip. PLIMSOLL_MEMORY and PLIMSOLL_CORES set the budget.
An index that does not fit the budget is worked through in blocks, which are not
recorded; to see that: PLIMSOLL_MEMORY=256MiB and --rows 10000000.
";

/// More rows would have more reactants than the index can number.
const MOST_ROWS: usize = 1_000_000_000;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) reactions: PathBuf,
    pub(crate) templates: PathBuf,
    pub(crate) products: usize,
    pub(crate) rows: usize,
    pub(crate) ordered: bool,
    pub(crate) expect: Option<PathBuf>,
    pub(crate) unsplit: bool,
    pub(crate) html: Option<PathBuf>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) what_if: bool,
}

impl Default for Args {
    fn default() -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cross_reference/data");
        Self {
            reactions: data.join("reactions_10k.rsmi.gz"),
            templates: data.join("templates_10k.tsv.gz"),
            products: 500,
            rows: 100_000,
            ordered: false,
            expect: None,
            unsplit: false,
            html: None,
            trace: None,
            what_if: false,
        }
    }
}

impl Args {
    /// Whether something is to be written that wants a recording.
    pub(crate) fn is_recorded(&self) -> bool {
        self.html.is_some() || self.trace.is_some()
    }

    /// Reads the arguments that follow the program's name; `None` if help is asked for.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut parsed = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let option = arg.to_str().ok_or_else(|| format!("{arg:?} is not an option"))?;
            let mut value = || args.next().ok_or_else(|| format!("{option} needs a value"));
            match option {
                "--reactions" => parsed.reactions = value()?.into(),
                "--templates" => parsed.templates = value()?.into(),
                "--products" => parsed.products = number(option, &value()?, 1..=MOST_ROWS)?,
                "--rows" => parsed.rows = number(option, &value()?, 0..=MOST_ROWS)?,
                "--ordered" => parsed.ordered = true,
                "--expect" => parsed.expect = Some(value()?.into()),
                "--unsplit" => parsed.unsplit = true,
                "--html" => parsed.html = Some(value()?.into()),
                "--trace" => parsed.trace = Some(value()?.into()),
                "--what-if" => parsed.what_if = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("{option:?} is not an option")),
            }
        }
        Ok(Some(parsed))
    }
}

fn number(
    option: &str,
    value: &OsString,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<usize, String> {
    let number = value.to_str().and_then(|text| text.replace('_', "").parse().ok());
    number.filter(|number| allowed.contains(number)).ok_or_else(|| {
        let (least, most) = (allowed.start(), allowed.end());
        format!("{option} takes a whole number from {least} to {most}, not {value:?}")
    })
}

/// Reads a text file, which may be compressed.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let read = || -> io::Result<String> {
        let bytes = fs::read(path)?;
        let mut text = String::new();
        match bytes.starts_with(&[0x1f, 0x8b]) {
            true => MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text)?,
            false => bytes.as_slice().read_to_string(&mut text)?,
        };
        Ok(text)
    };
    read().map_err(|why| format!("cannot read {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Args>, String> {
        Args::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn options_replace_defaults() {
        let expect = Some("e.tsv".into());
        let html = Some("run.html".into());
        let wanted = Args { rows: 10_000_000, ordered: true, expect, html, ..Args::default() };
        let args = ["--rows", "10_000_000", "--ordered", "--expect", "e.tsv", "--html", "run.html"];
        assert_eq!(parse(&args), Ok(Some(wanted)));
        let wanted = Args { what_if: true, ..Args::default() };
        assert_eq!(parse(&["--what-if"]), Ok(Some(wanted)));
        assert_eq!(parse(&["--unsplit", "--help"]), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (args, told) in [
            (&["--row"][..], "\"--row\" is not an option"),
            (&["5"], "\"5\" is not an option"),
            (&["--expect"], "--expect needs a value"),
            (
                &["--products", "0"],
                "--products takes a whole number from 1 to 1000000000, not \"0\"",
            ),
            (&["--rows", "1e7"], "--rows takes a whole number from 0 to 1000000000, not \"1e7\""),
        ] {
            assert_eq!(parse(args), Err(told.to_owned()));
        }
    }
}
