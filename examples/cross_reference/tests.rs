//! The whole example, on little: the first products of the data shipped with it.

use plimsoll::{Budget, GIB, KIB};

use crate::args::{self, Args};
use crate::expect::Expected;
use crate::print::Results;
use crate::store::Index;
use crate::{Templates, blocks, split};

const PRODUCTS: usize = 5;

#[test]
fn the_first_products_have_the_expected_hits() -> Result<(), Box<dyn std::error::Error>> {
    let Args { reactions, templates, .. } = Args::default();
    let expected = reactions.with_file_name("expected_first_200.tsv");
    let expected = Expected::read(&expected)?;
    let (reactions, smarts) = (args::read(&reactions)?, args::read(&templates)?);
    let products: Vec<&str> = reactions.lines().take(PRODUCTS).collect();
    let index = Index::on_the_heap(&products, 100);
    let templates = Templates::compile(smarts.lines())?;

    let view = index.view()?;
    let pipeline = split(&templates, &index, view).build(&Budget::new(GIB, 2))?;
    let mut results = Results::new(view, &products, Some(expected));
    let report =
        pipeline.run((0..).zip(products.iter().copied()), |answer| results.take(answer))?;
    results.print(&smarts);
    assert_eq!(report.delivered(), PRODUCTS as u64);
    assert!(results.as_expected());
    Ok(())
}

#[test]
fn the_answer_is_the_same_in_blocks() -> Result<(), Box<dyn std::error::Error>> {
    let Args { reactions, templates, .. } = Args::default();
    let (reactions, smarts) = (args::read(&reactions)?, args::read(&templates)?);
    let products: Vec<&str> = reactions.lines().take(PRODUCTS).collect();
    let lines: Vec<_> = (0..).zip(products.iter().copied()).collect();
    let index = Index::on_the_heap(&products, 5_000);
    let view = index.view()?;
    let few = || Templates::compile(smarts.lines().take(500));

    let templates = few()?;
    let mut whole = Vec::new();
    let pipeline = split(&templates, &index, view).build(&Budget::new(GIB, 2))?;
    pipeline.run(lines.iter().copied(), |answer| whole.push(answer))?;
    whole.sort_by_key(|answer| answer.reaction);
    assert!(whole.iter().any(|answer| !answer.hits.is_empty()));

    let made = blocks::made(&Budget::new(GIB, 2), few()?, &lines)?;
    for (memory, passes) in [(GIB, 1), (320 * KIB, 2), (64 * KIB, 7)] {
        let mut answers = Vec::new();
        let budget = Budget::new(memory, 2).unmeasured();
        let counted = blocks::look_all_up(&budget, &index, &made, |answer| answers.push(answer))?;
        answers.sort_by_key(|answer| answer.reaction);
        assert_eq!(answers, whole);
        assert!(counted >= passes, "{counted} passes in {memory} bytes");
    }
    Ok(())
}
