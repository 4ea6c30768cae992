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
mod build;
mod chemistry;
mod expect;
mod index;
mod print;
mod store;
#[cfg(test)]
mod tests;
mod unsplit;

use std::error::Error;
use std::process::ExitCode;

use plimsoll::{Budget, Footprint, Pipeline, PipelineBuilder, SharedFile, Stage};

use answer::{Answer, NEAREST};
use args::Args;
use chemistry::{Candidates, Outcomes, Templates, perceive};
use expect::Expected;
use index::{IndexView, Scratch};
use print::Results;
use store::Index;
use unsplit::unsplit;

/// A reaction line and its place.
type Line<'a> = (u32, &'a str);

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

    let stages = match args.unsplit {
        true => unsplit(templates, &smarts, &file),
        false => split(&templates, &index, view),
    };
    let stages = if args.ordered { stages.ordered() } else { stages };
    let pipeline = stages.build(&budget)?;
    println!("\n{}", pipeline.plan());

    let products: Vec<&str> = reactions.lines().take(args.products).collect();
    let mut results = Results::new(view, &products, expected);
    let report = pipeline
        .job()
        .failures(|failure| eprintln!("{failure}"))
        .run((0..).zip(products.iter().copied()), |answer| results.take(answer))?;

    results.print(&smarts);
    println!("\n{report}");
    Ok(results.as_expected())
}

/// The stages: what works with the templates, and what works with the index.
fn split<'a>(
    templates: &'a Templates,
    index: &Index,
    view: IndexView<'a>,
) -> PipelineBuilder<'a, Line<'a>, Answer> {
    let perceive = Stage::cpu("perceive").try_map(|(number, line)| perceive(number, line));

    let screen =
        Stage::cpu("screen").map(|query| templates.screen(query)).weigh(Candidates::weight);

    // The templates are held once, for all workers and for the stage before, too.
    let held = Footprint::shared(templates.bytes());
    let apply = Stage::cpu("apply")
        .footprint(held.and(Footprint::per_item(Candidates::apply_bytes)))
        .try_map(|candidates| templates.apply(&candidates))
        .weigh(Outcomes::weight);

    // The index is held once, for all workers; a scratch is the worker's own.
    let scratch = Footprint::per_worker(Scratch::bytes(NEAREST));
    let cross_reference = Stage::memory("cross-reference", index.footprint().and(scratch))
        .with_state(|| Scratch::new(NEAREST))
        .map(move |scratch, outcomes| Answer::find(&view, &outcomes, scratch))
        .weigh(Answer::weight);

    Pipeline::new(perceive).then(screen).then(apply).then(cross_reference)
}
