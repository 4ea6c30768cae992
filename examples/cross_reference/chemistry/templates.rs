//! Reaction templates: compiled once, shared by all workers, applied to one product at a time.

use chematic_rxn::{PreparedReaction, ReactionTransformLimits, expand_atomic_number_primitives};
use chematic_smarts::{QueryMolecule, parse_smarts};
use plimsoll::KIB;

use super::molecule::{ChemistryError, MoleculeKey, Query};
use super::outcomes::Outcomes;
use super::precursors::KeyCache;
use super::screen::Screen;

/// Compiled templates and their screen: read-only, so one copy serves all workers.
pub(crate) struct Templates {
    /// The variants of all templates, in the order of the templates. `[#7]` stands for `N` and for
    /// `n`, and the toolkit applies such a template as one variant for each choice; screening the
    /// variants one by one rules out more.
    variants: Vec<Variant>,
    screen: Screen,
    templates: u32,
    /// The length of all variants as text, which their size in memory goes by.
    text_bytes: u64,
}

struct Variant {
    template: u32,
    reaction: PreparedReaction,
}

impl Templates {
    /// Compiles template lines, `index<TAB>support<TAB>retro SMARTS`. Templates are numbered by
    /// their place, from 0.
    pub(crate) fn compile<'a>(
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ChemistryError> {
        let mut variants = Vec::new();
        let mut texts = Vec::new();
        for (template, line) in (0..).zip(lines) {
            for text in variants_of(line)? {
                let reaction = PreparedReaction::new(&text)
                    .map_err(|why| ChemistryError::new("template", line, why))?;
                variants.push(Variant { template, reaction });
                texts.push(text);
            }
        }
        Ok(Self {
            screen: Screen::new(texts.iter().map(|text| pattern_to_screen(text))),
            templates: variants.last().map_or(0, |last| last.template + 1),
            text_bytes: texts.iter().map(|text| text.len() as u64).sum(),
            variants,
        })
    }

    /// How many templates there are.
    pub(crate) fn count(&self) -> u32 {
        self.templates
    }

    /// About how many bytes the compiled templates hold: fitted to the resident memory measured for
    /// eight sets of 1,000 to 10,000 templates (11 to 183 MiB), and within four per cent of all.
    pub(crate) fn bytes(&self) -> u64 {
        const BYTES_PER_VARIANT: u64 = 7_600;
        const BYTES_PER_LETTER: u64 = 18;
        self.variants.len() as u64 * BYTES_PER_VARIANT
            + self.text_bytes * BYTES_PER_LETTER
            + self.screen.bytes()
    }

    /// Finds the variants that may match the product; all others certainly do not.
    pub(crate) fn screen(&self, query: Query) -> Candidates {
        Candidates { variants: self.screen.survivors(&query.product), query }
    }

    /// Matches the candidates against the product and applies those that match.
    pub(crate) fn apply(&self, candidates: &Candidates) -> Result<Outcomes, ChemistryError> {
        let Candidates { query, variants } = candidates;
        let mut outcomes = Outcomes::new(query);
        let mut keys = KeyCache::default();
        let template_of = |variant: u32| self.variants[variant as usize].template;
        for variants in variants.chunk_by(|&a, &b| template_of(a) == template_of(b)) {
            let mut matched = false;
            let mut distinct = Vec::new();
            for &variant in variants {
                matched |=
                    self.variants[variant as usize].apply(query, &mut keys, &mut distinct)?;
            }
            outcomes.matched += u32::from(matched);
            outcomes.add(template_of(variants[0]), distinct);
        }
        Ok(outcomes)
    }
}

/// A product and the variants, by number, that may match it.
pub(crate) struct Candidates {
    query: Query,
    variants: Vec<u32>,
}

impl Candidates {
    /// About how many bytes this holds.
    pub(crate) fn weight(&self) -> u64 {
        let variants = size_of_val(self) - size_of::<Query>() + self.variants.capacity() * 4;
        self.query.weight() + variants as u64
    }

    /// At most how many bytes [`Templates::apply`] needs for this.
    pub(crate) fn apply_bytes(&self) -> u64 {
        apply_bytes(self.query.product.atom_count())
    }
}

/// At most how many bytes [`Templates::apply`] needs for a product of so many atoms: the matches,
/// the precursors made of them, their keys and the outcomes.
///
/// Measured by counting allocations: enough for each of 12,000 products, and some five times what
/// most of them need.
pub(crate) fn apply_bytes(atoms: usize) -> u64 {
    const BYTES: u64 = 32 * KIB;
    const BYTES_PER_ATOM_SQUARED: u64 = 512;
    BYTES + BYTES_PER_ATOM_SQUARED * (atoms as u64).pow(2)
}

impl Variant {
    /// Adds the outcomes on the product, the precursors' keys in rising order; says whether the
    /// pattern matched at all.
    fn apply(
        &self,
        query: &Query,
        keys: &mut KeyCache,
        outcomes: &mut Vec<Vec<MoleculeKey>>,
    ) -> Result<bool, ChemistryError> {
        let report = self
            .reaction
            .run_reactants_traced_with_diagnostics(
                &[&query.product],
                &ReactionTransformLimits::default(),
            )
            .map_err(|why| {
                ChemistryError::new("template number", &self.template.to_string(), why)
            })?;
        for precursors in &report.products {
            let mut outcome: Vec<MoleculeKey> =
                precursors.iter().map(|precursor| keys.key(precursor)).collect();
            outcome.sort_unstable();
            outcomes.push(outcome);
        }
        Ok(report.diagnostics.accepted_matches > 0)
    }
}

fn variants_of(line: &str) -> Result<Vec<String>, ChemistryError> {
    let smarts = line
        .split('\t')
        .nth(2)
        .ok_or_else(|| ChemistryError::new("template", line, "no third column"))?;
    expand_atomic_number_primitives(smarts.trim())
        .map_err(|why| ChemistryError::new("template", line, why))
}

/// The product side of a template as a pattern. Where the toolkit may read it otherwise than as
/// plain SMARTS, an empty pattern, which every product passes: the screen must not be stricter than
/// the matcher.
fn pattern_to_screen(smarts: &str) -> QueryMolecule {
    let product = smarts.split(">>").next().unwrap_or_default();
    if product.contains(['@', '/', '\\', '.', '$', '*']) {
        return QueryMolecule::new();
    }
    parse_smarts(product).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chemistry::perceive;
    use crate::index::Hit;
    use crate::store::Index;

    const TEMPLATES: [&str; 4] = [
        "0\t1\t[C:1](=[O:2])-[O;D2:3]-[C:4]>>[C:1](=[O:2])-O.[O:3]-[C:4]",
        "1\t1\t[C:1](=[O:2])-[#7:3]>>[C:1](=[O:2])-O.[#7:3]",
        "2\t1\t[C:1](=[O:2])-[O;D2:3]-[C:4]>>[C:1](=[O:2])-Cl.[O:3]-[C:4]",
        "3\t1\t[c:1]-[Br:2]>>[c:1].[Br:2]-Br",
    ];
    const LINE: &str = "CC(=O)O.OCC>>CCOC(C)=O\tester";

    #[test]
    fn templates_can_be_shared_by_workers() {
        fn shared<T: Send + Sync>() {}
        fn sent<T: Send>() {}
        shared::<Templates>();
        sent::<(Query, Candidates, Outcomes)>();
    }

    fn apply(templates: &Templates, line: &str) -> Outcomes {
        let query = perceive(0, line).expect("a good line");
        templates.apply(&templates.screen(query)).expect("small enough")
    }

    #[test]
    fn a_template_explains_the_reaction_it_undoes() {
        let templates = Templates::compile(TEMPLATES).expect("good templates");
        let outcomes = apply(&templates, LINE);
        assert_eq!((outcomes.matched, outcomes.distinct), (2, 2));

        let index = Index::on_the_heap(&[LINE], 20);
        let view = index.view().expect("the arrays fit");
        let row = view.rows_of(outcomes.product_key).start as u32;
        assert_eq!(view.cross_reference(&outcomes), [Hit { row, template: 0 }]);
    }

    #[test]
    fn the_screen_rules_out_only_what_does_not_match() {
        let templates = Templates::compile(TEMPLATES).expect("good templates");
        let all: Vec<u32> = (0..templates.variants.len() as u32).collect();
        for product in ["CCOC(C)=O", "CC(=O)Nc1ccc(Br)cc1", "O=C1CCCCO1", "CC(=O)n1cccc1", "C"] {
            let line = format!(">>{product}");
            let screened = apply(&templates, &line);
            let query = perceive(0, &line).expect("a good line");
            let every = Candidates { query, variants: all.clone() };
            let unscreened = templates.apply(&every).expect("small enough");
            assert_eq!(screened.matched, unscreened.matched, "{product}");
            assert_eq!(screened.distinct, unscreened.distinct, "{product}");
            assert!(screened.by_template().count() as u32 <= screened.matched);
        }
    }
}
