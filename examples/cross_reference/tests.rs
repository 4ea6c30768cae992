//! The whole example, on little: the first products of the data shipped with it.

use plimsoll::{Budget, GIB};

use crate::args::{self, Args};
use crate::expect::Expected;
use crate::print::Results;
use crate::store::Index;
use crate::{Templates, split};

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
