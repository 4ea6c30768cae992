//! Which of 10,000 reaction templates explain which of ten million known reactions?
//!
//! `cargo run --release --example cross_reference -- --help`
//!
//! A model that eats cores (what does each template make of this product?) and one that eats
//! memory (which known reactions make it, from what, and what is like it?) are glued together by
//! three stages that share the cores and one that shares the index:
//!
//! ```text
//! perceive -> screen -> apply -> cross-reference
//! ```

mod answer;
mod args;
mod blocks;
mod build;
mod chemistry;
mod expect;
mod index;
mod print;
mod split;
mod store;
#[cfg(test)]
mod tests;
mod unsplit;
// The crate does not predict where a model checker stands in for its threads.
#[cfg(not(any(loom, shuttle, steady)))]
mod what_if;

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use plimsoll::{Budget, SharedFile};

use args::Args;
use chemistry::Templates;
use expect::Expected;
use print::Results;
use split::{Line, fits, split};
use store::Index;
use unsplit::unsplit;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("cross_reference: {problem}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cross_reference: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what `args` ask for; says whether the results are as expected.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let budget = Budget::from_env()?;
    let reactions = args::read(&args.reactions)?;
    let smarts = args::read(&args.templates)?;
    let expected = args.expect.as_deref().map(Expected::read).transpose()?;

    let path = build::find_or_build(&build::shelf()?, &reactions, args.rows, &budget)?;
    let file =
        SharedFile::open(&path).map_err(|why| format!("{why}; delete it to have it built"))?;
    let index = Index::of(&file)?;
    let view = index.view()?;
    print::index(&index, &file);
    let templates = Templates::compile(smarts.lines())?;
    print::templates(&templates);

    let products: Vec<&str> = reactions.lines().take(args.products).collect();
    let lines: Vec<Line<'_>> = (0..).zip(products.iter().copied()).collect();
    let mut results = Results::new(view, &products, expected);
    if !args.unsplit && !fits(&budget, &templates, &index)? {
        println!("\nThe index does not fit the budget: it is worked through in blocks.\n");
        if args.is_recorded() {
            eprintln!("cross_reference: work in blocks is not recorded: no --html, no --trace");
        }
        if args.what_if {
            eprintln!("cross_reference: work in blocks predicts nothing: no --what-if");
        }
        blocks::run(&budget, templates, &index, &lines, &mut results)?;
        results.print(&smarts);
        return Ok(results.as_expected());
    }

    let stages = match args.unsplit {
        true => unsplit(templates, &smarts, &file),
        false => split(&templates, &index, view),
    };
    let stages = if args.ordered { stages.ordered() } else { stages };
    let pipeline = stages.build(&budget)?;
    println!("\n{}", pipeline.plan());

    let job = pipeline.job().failures(|failure| eprintln!("{failure}"));
    let job = if args.is_recorded() { job.record() } else { job };
    let report = job.run(lines.iter().copied(), |answer| results.take(answer))?;

    results.print(&smarts);
    println!("\n{report}");
    #[cfg(not(any(loom, shuttle, steady)))]
    if args.what_if {
        what_if::print(&report)?;
    }
    if let Some(path) = &args.html {
        report.write_html(create(path)?)?;
    }
    if let Some(path) = &args.trace {
        report.write_trace(create(path)?)?;
    }
    Ok(results.as_expected())
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|why| format!("cannot write {}: {why}", path.display()))
}
