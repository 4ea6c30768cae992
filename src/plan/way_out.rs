//! What would let an item through that needs more than any may: found by planning again.

use super::planner::{least_memory, plan_once};
use super::{Design, Plan, Settings};
use crate::budget::Budget;
use crate::error::WayOut;
use crate::units::{InCode, Memory, rounded_up};

impl Plan {
    /// For an item that needs so many bytes, more than the reserve. Nothing is planned before
    /// somebody reads it: there may be as many of them as items.
    pub(crate) fn way_out(&self, needed: u64) -> WayOut {
        let known = self.design.clone().zip(self.budget.clone());
        WayOut::new(move || match &known {
            Some((design, budget)) => Ways::of(design, budget, needed).told(),
            None => format!("declare `largest_item({})`", InCode(rounded_up(needed))),
        })
    }
}

/// Ways out for one item.
struct Ways {
    /// What to declare.
    largest: u64,
    /// What becomes of the present budget if that is declared.
    here: Here,
    /// The budget that carries it, and all that the present one carries.
    declared: Option<u64>,
    /// The budget that does so without a word of the pipeline; none if it says how large items
    /// get, because then no budget lets larger ones in.
    undeclared: Option<u64>,
    by_variable: bool,
}

enum Here {
    Carries,
    /// Workers or tables would have less.
    TakesFromOthers,
    HasNoRoom,
}

impl Ways {
    fn of(design: &Design, budget: &Budget, needed: u64) -> Self {
        let settings = design.settings_on(budget);
        let largest = rounded_up(needed);
        let declared = Settings { largest_item: Some(largest), ..settings.clone() };
        let specs = &design.specs;
        let present = plan_once(budget, specs, &settings).ok();
        let loses = |plan: &Plan| present.as_ref().is_some_and(|present| takes_from(present, plan));
        let here = match plan_once(budget, specs, &declared) {
            Err(_) => Here::HasNoRoom,
            Ok(plan) if loses(&plan) => Here::TakesFromOthers,
            Ok(_) => Here::Carries,
        };
        let undeclared = settings.largest_item.is_none().then(|| {
            let lets_in = |plan: &Plan| plan.reserve >= needed && !loses(plan);
            least_memory(budget, specs, &settings, lets_in)
        });
        Self {
            largest,
            here,
            declared: least_memory(budget, specs, &declared, |plan| !loses(plan)),
            undeclared: undeclared.flatten(),
            by_variable: budget.hears_variables(),
        }
    }

    fn told(&self) -> String {
        let Self { by_variable, .. } = *self;
        let memory = |bytes| Memory { bytes, by_variable };
        let declare = format!("`largest_item({})`", InCode(self.largest));
        let why = match self.here {
            Here::Carries => {
                let raise = self.undeclared.map(|bytes| {
                    format!(", raise the budget ({} would do without it)", memory(bytes))
                });
                return format!("declare {declare} or more{}", raise.unwrap_or_default());
            }
            Here::TakesFromOthers => "which on this one takes from workers or tables",
            Here::HasNoRoom => "for which this one has no room",
        };
        match (self.undeclared, self.declared) {
            (Some(bare), Some(with)) if with < bare => format!(
                "raise the budget ({} would do; {} with {declare}, {why})",
                memory(bare),
                memory(with)
            ),
            (Some(bare), _) => format!("raise the budget ({} would do)", memory(bare)),
            (None, Some(with)) => {
                format!("raise the budget ({} would do with {declare}, {why})", memory(with))
            }
            (None, None) => "no budget would do: lower what it needs".to_owned(),
        }
    }
}

/// Whether a stage or a table has less by `plan` than at `present`.
fn takes_from(present: &Plan, plan: &Plan) -> bool {
    let fewer =
        present.stages.iter().zip(&plan.stages).any(|(now, then)| then.workers < now.workers);
    let less =
        present.tables.iter().zip(&plan.tables).any(|(now, then)| then.counted() < now.counted());
    fewer || less
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;
    use crate::stage::{Footprint, Stage, StageSpec};
    use crate::table::{Extent, MemoryId, Pages, Table};
    use crate::units::MIB;

    /// A stage of two workers that keep `each`, beside a mapped table of `table` bytes.
    fn design(each: u64, table: u64, largest_item: Option<u64>) -> Design {
        let memory = MemoryId::File { device: 1, inode: 1, length: table, checksum: 1 };
        let pages = Pages::Reclaimable { in_order: false };
        let extents = vec![Extent { memory, bytes: 0..table, pages }];
        let table =
            Table { name: "index.plim".to_owned(), extents, floor: None, unverified: false };
        let footprint = Footprint::per_worker(each).and(Footprint::table(table));
        let spec: StageSpec = Stage::memory("embed", footprint).workers(2).map(|n: u64| n).spec;
        let mut design = Design::new(spec);
        design.settings.largest_item = largest_item;
        design
    }

    fn told(design: &Design, budget: &Budget, needed: u64) -> String {
        design.plan(budget).expect("it fits").way_out(needed).to_string()
    }

    #[test]
    fn what_the_present_budget_carries_is_declared() {
        let design = design(0, 0, None);
        let told = told(&design, &Budget::new(256 * MIB, 2), 200 * MIB + 67);
        assert_eq!(
            told,
            "declare `largest_item(201 * MIB)` or more, raise the budget (`401 * MIB` would do \
             without it)"
        );
    }

    #[test]
    fn what_would_take_from_a_table_needs_another_budget() {
        let design = design(0, 100 * MIB, None);
        let budget = Budget::new(256 * MIB, 2);
        let told = told(&design, &budget, 200 * MIB);
        assert_eq!(
            told, "raise the budget (`500 * MIB` would do)",
            "two of the largest and the table take as much"
        );
        let all = design.plan(&Budget::new(500 * MIB, 2)).expect("it fits");
        assert_eq!((all.reserve(), all.tables()[0].missing()), (200 * MIB, 0));
        let less = design.plan(&Budget::new(499 * MIB, 2)).expect("it fits");
        assert!(less.reserve() < 200 * MIB, "{less}");
    }

    #[test]
    fn where_the_largest_item_is_declared_no_budget_alone_would_do() {
        let design = design(0, 100 * MIB, Some(MIB));
        let budget = Budget::new(256 * MIB, 2);
        assert_eq!(
            told(&design, &budget, 100 * MIB),
            "raise the budget (`300 * MIB` would do with `largest_item(100 * MIB)`, which on this one \
             takes from workers or tables)"
        );
        assert_eq!(told(&design, &budget, 2 * MIB), "declare `largest_item(2 * MIB)` or more");
    }

    #[test]
    fn what_does_not_fit_is_not_advised() {
        for largest_item in [None, Some(MIB)] {
            let design = design(200 * MIB, 0, largest_item);
            let budget = Budget::new(512 * MIB, 2);
            let told = told(&design, &budget, 400 * MIB);
            let (_, enough) = told.split_once("budget (`").expect("a budget");
            let (enough, _) = enough.split_once(" * MIB`").expect("a number");
            let enough = enough.parse::<u64>().expect("a number") * MIB;
            let mut with = design.clone();
            if told.contains("would do with `largest_item(400 * MIB)`") {
                assert!(told.ends_with("for which this one has no room)"), "{told}");
                with.settings.largest_item = Some(400 * MIB);
                assert!(with.plan(&budget).is_err(), "{told}");
            }
            assert_eq!(told.contains("with"), largest_item.is_some(), "{told}");
            assert!(with.plan(&Budget::new(enough, 2)).expect("it fits").reserve() >= 400 * MIB);
        }
    }

    #[test]
    fn a_budget_of_variables_is_raised_by_one() {
        let design = design(200 * MIB, 0, None);
        let mut ways = Ways::of(&design, &Budget::new(512 * MIB, 2), 400 * MIB);
        ways.by_variable = true;
        assert!(ways.told().contains("(PLIMSOLL_MEMORY="), "{}", ways.told());
        ways.declared = None;
        ways.undeclared = None;
        assert_eq!(ways.told(), "no budget would do: lower what it needs");
        let bare = plan(
            &Budget::new(512 * MIB, 2),
            &design.specs,
            &design.settings_on(&Budget::new(512 * MIB, 2)),
        );
        let told = bare.expect("it fits").way_out(3 * MIB).to_string();
        assert_eq!(told, "declare `largest_item(3 * MIB)`");
    }
}
