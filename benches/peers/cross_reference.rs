//! W5: the work of the example `cross_reference`, by its own code: which of many templates
//! explain the products of known reactions, and what is like them.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use plimsoll::{Budget, PipelineBuilder, Report, SharedFile};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::answer::{Answer, NEAREST};
use crate::args::{self, Args};
use crate::chemistry::{Templates, perceive};
use crate::index::{IndexBuilder, Scratch, index_row};
use crate::job::{Outcome, Scale};
use crate::loads::mix;
use crate::split::{Line, split};
use crate::store::Index;
use crate::unsplit::unsplit;

/// Known reactions.
const REACTIONS: usize = 2_000;
/// Rows of the index: these, and decoys.
const ROWS: usize = 100_000;

/// So many products to ask for.
#[derive(Clone, Copy)]
pub(crate) struct Products(pub(crate) u64);

/// What all competitors find ready.
struct Given {
    reactions: String,
    smarts: String,
    templates: Arc<Templates>,
    index: SharedFile,
    _folder: tempfile::TempDir,
}

impl Given {
    /// Made at the first call, which is no part of what is measured.
    fn get() -> &'static Self {
        static GIVEN: OnceLock<Given> = OnceLock::new();
        GIVEN.get_or_init(|| {
            let Args { reactions, templates, .. } = Args::default();
            let read = |path: &Path| args::read(path).expect("the data is shipped");
            let (reactions, smarts) = (read(&reactions), read(&templates));
            let known = (0..).zip(reactions.lines().take(REACTIONS));
            let known = known.map(|(number, line)| index_row(number, line).expect("good lines"));
            let folder = tempfile::tempdir().expect("there is room for a folder");
            let path = folder.path().join("index.plim");
            let index = IndexBuilder::new(known.collect(), ROWS, 1);
            Index::write(&path, &index).expect("there is room for a file");
            let index = SharedFile::open(&path).expect("it was just written");
            let templates = Templates::compile(smarts.lines()).expect("good templates");
            Self { templates: Arc::new(templates), index, reactions, smarts, _folder: folder }
        })
    }

    fn products(&self, products: Products) -> impl Iterator<Item = Line<'_>> + Send {
        (0..).zip(self.reactions.lines().take(products.0 as usize))
    }
}

impl Products {
    pub(crate) fn new(scale: Scale) -> Self {
        Self((300 / scale.part).max(2))
    }
}

/// What is summed up, in any order.
fn digest(answer: &Answer) -> u64 {
    let hits =
        answer.hits.iter().map(|hit| mix(u64::from(hit.row) << 32 | u64::from(hit.template)));
    let nearest = answer.nearest.iter().map(|near| mix(u64::from(near.row)));
    let of_product = mix(u64::from(answer.reaction)).wrapping_mul(u64::from(answer.matched) | 1);
    hits.chain(nearest).fold(of_product, u64::wrapping_add)
}

fn outcome(checksum: u64) -> Outcome {
    Outcome { checksum, ..Outcome::default() }
}

/// The loop, and what each of rayon's threads does.
fn answer(templates: &Templates, index: &Index, scratch: &mut Scratch, line: Line<'_>) -> u64 {
    let query = perceive(line.0, line.1).expect("good lines");
    let outcomes = templates.apply(&templates.screen(query)).expect("within bounds");
    digest(&Answer::find(&index.view().expect("it is whole"), &outcomes, scratch))
}

pub(crate) fn sequential(products: Products) -> Outcome {
    let given = Given::get();
    let index = Index::of(&given.index).expect("it is an index");
    let mut scratch = Scratch::new(NEAREST);
    let each = |line| answer(&given.templates, &index, &mut scratch, line);
    outcome(given.products(products).map(each).fold(0, u64::wrapping_add))
}

/// Over the products, with one copy of the templates and one of the table, each in an `Arc`.
pub(crate) fn rayon(products: Products) -> Outcome {
    let given = Given::get();
    let file = SharedFile::load(given.index.path()).expect("it is there");
    let table = Arc::new(Index::of(&file).expect("it is an index"));
    let templates = Arc::clone(&given.templates);
    let lines: Vec<Line<'_>> = given.products(products).collect();
    let new = || (Arc::clone(&templates), Arc::clone(&table), Scratch::new(NEAREST));
    let each = |(templates, table, scratch): &mut (Arc<Templates>, Arc<Index>, Scratch), line| {
        answer(templates, table, scratch, line)
    };
    outcome(lines.into_par_iter().map_init(new, each).reduce(|| 0, u64::wrapping_add))
}

pub(crate) fn plimsoll_split(products: Products) -> Outcome {
    let given = Given::get();
    let index = Index::of(&given.index).expect("it is an index");
    let view = index.view().expect("it is whole");
    drain(split(&given.templates, &index, view), given, products, &budget()).0
}

/// One stage, each of whose workers makes its own templates and its own copy of the index.
pub(crate) fn plimsoll_unsplit(products: Products) -> Outcome {
    let given = Given::get();
    let templates = Templates::compile(given.smarts.lines()).expect("good templates");
    drain(unsplit(templates, &given.smarts, &given.index), given, products, &budget()).0
}

/// What runs of both report on `budget`.
pub(crate) fn report_of_split(products: Products, budget: &Budget) -> Report {
    let given = Given::get();
    let index = Index::of(&given.index).expect("it is an index");
    let view = index.view().expect("it is whole");
    drain(split(&given.templates, &index, view), given, products, budget).1
}

pub(crate) fn report_of_unsplit(products: Products, budget: &Budget) -> Report {
    let given = Given::get();
    let templates = Templates::compile(given.smarts.lines()).expect("good templates");
    drain(unsplit(templates, &given.smarts, &given.index), given, products, budget).1
}

fn budget() -> Budget {
    Budget::from_env().expect("the machine can be read")
}

fn drain<'a>(
    stages: PipelineBuilder<'a, Line<'a>, Answer>,
    given: &'a Given,
    products: Products,
    budget: &Budget,
) -> (Outcome, Report) {
    let pipeline = stages.build(budget).expect("the plan fits");
    let mut sum = 0u64;
    let take = |answer: Answer| sum = sum.wrapping_add(digest(&answer));
    let report = pipeline.run(given.products(products), take).expect("nothing fails");
    (outcome(sum), report)
}
