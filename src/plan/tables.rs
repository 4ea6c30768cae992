//! What of shared data must stay in memory, counted once however many stages use it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::planner::SMALL_ITEM;
use super::purse::Purse;
use crate::error::Error;
use crate::stage::StageSpec;
use crate::table::{Extent, MemoryId, Pages, Table};
use crate::units::{Bytes, InCode, MIB, Memory, rounded_up};

/// What a plan counts for shared data that stages declare by
/// [`Footprint::table`](crate::Footprint::table).
///
/// ```
/// use plimsoll::{Budget, Footprint, MIB, Pipeline, Shared, Stage};
///
/// let table = Shared::from(vec![0_u64; 1_000]);
/// let one = Stage::memory("one", Footprint::table(&table)).map(|n: usize| table[n]);
/// let two = Stage::memory("two", Footprint::table(&table)).map(|n: u64| n + table[7]);
/// let plan = Pipeline::new(one).then(two).plan(&Budget::new(MIB, 2))?;
/// let [table] = plan.tables() else { panic!("it is counted once") };
/// assert_eq!((table.stages(), table.counted()), (&["one".to_owned(), "two".to_owned()][..], 8_000));
/// assert_eq!((table.missing(), table.reason()), (0, "in memory and nowhere else"));
/// # Ok::<(), plimsoll::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TablePlan {
    name: String,
    stages: Vec<String>,
    size: u64,
    claim: Claim,
    unverified: bool,
    wanted: u64,
    counted: u64,
}

/// On what grounds bytes are counted, the firmest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// It is in memory and nowhere else.
    Copy,
    Pinned,
    /// A stage says how much of it must stay.
    Declared,
    /// Nobody says anything.
    Assumed {
        in_order: bool,
    },
}

/// Of data that is read in order: what all readers together have read ahead. The
/// system reads 128 KiB ahead for each unless it is set otherwise.
const READ_AHEAD: u64 = 16 * MIB;

impl TablePlan {
    /// What it is called: its file, and its section if it is not the whole file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stages that declare it.
    #[must_use]
    pub fn stages(&self) -> &[String] {
        &self.stages
    }

    /// Bytes of the data.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size
    }

    /// Bytes of the budget that are kept for it.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Bytes that ought to be kept for it, and for which there is no room. Not zero only
    /// for mapped data without a [floor](crate::Table::floor): else the plan is refused.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.wanted - self.counted
    }

    /// Why so many bytes are counted.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self.claim {
            Claim::Copy => "in memory and nowhere else",
            Claim::Pinned => "pinned",
            _ if self.wanted == 0 => "nothing that is not counted elsewhere",
            Claim::Declared => "the floor that is declared",
            Claim::Assumed { in_order: true } => "read in order: what is read ahead",
            Claim::Assumed { in_order: false } if self.missing() > 0 => {
                "what there is room for; look-ups at random need all of it"
            }
            Claim::Assumed { in_order: false } => "all of it, for look-ups at random",
        }
    }

    /// Whether its checksum was compared with the data, or will be when it is asked for. Large
    /// sections are not verified unless that is [asked for](crate::Verify), so damage in one that
    /// is not would go unnoticed.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        !self.unverified
    }

    /// Whether real memory has it, as the system counts that.
    pub(super) fn is_real(&self) -> bool {
        self.claim == Claim::Copy
    }

    /// Whether the system can take it back.
    pub(super) fn is_reclaimable(&self) -> bool {
        self.claim >= Claim::Declared
    }

    fn is_firm(&self) -> bool {
        self.claim <= Claim::Declared
    }

    /// For an error: whom the bytes are spent on.
    fn holder(&self) -> String {
        format!("table {:?}", self.name)
    }

    /// For an error: what the bytes are for.
    fn what(&self) -> String {
        let why = match self.claim {
            Claim::Copy => "a copy in memory; mapped, only what is looked up would have to fit",
            Claim::Pinned => "it is pinned; else only what is looked up would have to fit",
            _ => "its declared floor",
        };
        format!("the table {:?} ({why})", self.name)
    }
}

/// The tables of all stages. What they need is not spent yet.
pub(super) fn tables_of(specs: &[StageSpec]) -> Vec<TablePlan> {
    let joined = joined(specs);
    let mut tables: Vec<_> = joined.iter().map(|(table, stages)| draft(table, stages)).collect();
    let mut order: Vec<_> = (0..tables.len()).collect();
    order.sort_by_key(|at| (tables[*at].claim, tables[*at].size));
    let mut covered = Covered::default();
    for at in order {
        let (table, _) = &joined[at];
        let fresh = table.extents.iter().map(|extent| match extent.pages {
            Pages::Reclaimable { in_order: true } if table.floor.is_none() => {
                covered.add(extent).min(READ_AHEAD)
            }
            _ => covered.add(extent),
        });
        let fresh: u64 = fresh.sum();
        tables[at].wanted = match (tables[at].claim, table.floor) {
            (Claim::Declared, Some(floor)) => fresh.min(floor),
            _ => fresh,
        };
    }
    tables
}

/// The tables of all stages, those of the same data as one, with their stages. A
/// table of nothing is none.
fn joined(specs: &[StageSpec]) -> Vec<(Table, Vec<String>)> {
    let mut joined: Vec<(Table, Vec<String>)> = Vec::new();
    for spec in specs {
        for table in spec.tables.iter().filter(|table| table.size_bytes() > 0) {
            let same = joined.iter_mut().find(|(known, _)| known.extents == table.extents);
            match same {
                Some((known, stages)) => {
                    known.floor = known.floor.max(table.floor);
                    known.unverified &= table.unverified;
                    if stages.last() != Some(&spec.name) {
                        stages.push(spec.name.clone());
                    }
                }
                None => joined.push((table.clone(), vec![spec.name.clone()])),
            }
        }
    }
    joined
}

fn draft(table: &Table, stages: &[String]) -> TablePlan {
    let pages = table.extents.iter().map(|extent| extent.pages);
    let claim = match (pages.clone().min(), table.floor) {
        (Some(Pages::Real), _) => Claim::Copy,
        (Some(Pages::Pinned), _) => Claim::Pinned,
        (_, Some(_)) => Claim::Declared,
        (_, None) => {
            Claim::Assumed { in_order: pages.min() == Some(Pages::Reclaimable { in_order: true }) }
        }
    };
    let (name, size, unverified) = (table.name.clone(), table.size_bytes(), table.unverified);
    TablePlan { name, stages: stages.to_vec(), size, claim, unverified, wanted: 0, counted: 0 }
}

/// The bytes that are counted already.
#[derive(Default)]
struct Covered(BTreeMap<MemoryId, Vec<Range<u64>>>);

impl Covered {
    /// Adds a stretch; how many bytes of it are new.
    fn add(&mut self, extent: &Extent) -> u64 {
        let known = self.0.entry(extent.memory).or_default();
        let before = length(known);
        known.push(extent.bytes.clone());
        known.sort_by_key(|bytes| bytes.start);
        length(known) - before
    }
}

/// Bytes in sorted stretches that may overlap.
fn length(stretches: &[Range<u64>]) -> u64 {
    let (mut sum, mut end) = (0, 0);
    for bytes in stretches {
        sum += bytes.end.saturating_sub(bytes.start.max(end));
        end = end.max(bytes.end);
    }
    sum
}

/// Memory that is real and shared, each with the bytes that stages declare of it.
pub(super) fn copies_of(specs: &[StageSpec]) -> Vec<(MemoryId, u64)> {
    let (mut copies, mut covered) = (BTreeMap::new(), Covered::default());
    let extents = specs.iter().flat_map(|spec| &spec.tables).flat_map(|table| &table.extents);
    for extent in extents.filter(|extent| extent.pages == Pages::Real) {
        *copies.entry(extent.memory).or_default() += covered.add(extent);
    }
    copies.into_iter().collect()
}

/// Spends what certain tables need.
pub(super) fn spend(tables: &mut [TablePlan], purse: &mut Purse) -> Result<(), Error> {
    for table in tables.iter_mut().filter(|table| table.is_firm()) {
        purse.spend(table.holder(), &table.stages[0], &table.what(), table.wanted)?;
        table.counted = table.wanted;
    }
    Ok(())
}

/// What all others want.
pub(super) fn wanted(tables: &[TablePlan]) -> u64 {
    let others = tables.iter().filter(|table| !table.is_firm());
    others.map(|table| table.wanted).fold(0, u64::saturating_add)
}

/// Grants all others what they want, as far as there is `room`, which the purse has, in
/// proportion.
pub(super) fn grant(tables: &mut [TablePlan], room: u64, purse: &mut Purse) {
    let wanted = wanted(tables);
    let part = |bytes: u64| match wanted <= room {
        true => bytes,
        // At most `bytes`, as there is less room than is wanted.
        false => (u128::from(bytes) * u128::from(room) / u128::from(wanted)) as u64,
    };
    for table in tables.iter_mut().filter(|table| !table.is_firm()) {
        table.counted = part(table.wanted);
        purse.take(table.holder(), table.counted);
    }
}

/// Budgets on which tables would not be short, where there are such.
pub(super) struct Enough {
    /// The present one.
    pub(super) budget: u64,
    /// As the pipeline is.
    pub(super) tables: Option<u64>,
    /// So that no stage lacks workers either.
    pub(super) all: Option<u64>,
    /// If the pipeline said that items are [small](SMALL_ITEM), and it does not say anything.
    pub(super) small: Option<u64>,
    pub(super) by_variable: bool,
}

/// The note on tables that are short, if any are.
pub(super) fn note(tables: &[TablePlan], enough: &Enough) -> Option<String> {
    let short = || tables.iter().filter(|table| table.missing() > 0);
    let missing = short().map(TablePlan::missing).reduce(|one, other| one + other)?;
    let names: Vec<_> = short().map(|table| format!("{:?}", table.name)).collect();
    let them = if names.len() == 1 { "it" } else { "them" };
    Some(format!(
        "look-ups in {} may wait for the disk, hundreds of times as long as they take in memory: {} of \
         {them} are not kept there. {}; or declare how much of {them} is in use (Table::floor), or work \
         through {them} in blocks (Blocks)",
        names.join(", "),
        Bytes(missing),
        enough.told()
    ))
}

impl Enough {
    /// The budgets, and what of them is for items of unknown size.
    fn told(&self) -> String {
        let Self { by_variable, .. } = *self;
        let memory = |bytes| Memory { bytes, by_variable };
        let raised = match (self.tables, self.all) {
            (None, _) => return "No budget would do".to_owned(),
            (Some(tables), Some(all)) if all > tables => {
                format!("{} would do ({} for all workers, too)", memory(tables), memory(all))
            }
            (Some(tables), _) => format!("{} would do", memory(tables)),
        };
        let said = format!("`.largest_item({})`", InCode(SMALL_ITEM));
        match self.small {
            Some(small) if small <= rounded_up(self.budget) => format!(
                "This budget would do with {said}, if no item is larger, as a quarter is set aside \
                 for items of unknown size; else {raised}"
            ),
            Some(small) if Some(small) < self.tables => format!(
                "A budget of {raised}, of which a quarter is set aside for items of unknown size; \
                 with {said}, if no item is larger, {} would do",
                memory(small)
            ),
            _ => format!("A budget of {raised}"),
        }
    }
}

/// The rows of a plan's table of tables.
pub(super) fn fmt_rows(tables: &[TablePlan], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if tables.is_empty() {
        return Ok(());
    }
    let stages: Vec<_> = tables.iter().map(|table| table.stages.join(", ")).collect();
    let longest =
        |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max();
    let wide = longest(&mut tables.iter().map(|table| &*table.name)).unwrap_or(0).max(5);
    let by = longest(&mut stages.iter().map(|names| &**names)).unwrap_or(0).max(7);
    writeln!(
        f,
        "\n{:wide$}  {:>9}  {:>9}  {:by$}  why so much",
        "table", "size", "counted", "used by"
    )?;
    for (table, stages) in tables.iter().zip(stages) {
        let (size, counted) = (Bytes(table.size), Bytes(table.counted));
        let (name, why) = (&table.name, table.reason());
        let verified = if table.is_verified() { "" } else { "; not verified (see Verify)" };
        writeln!(f, "{name:wide$}  {size:>9}  {counted:>9}  {stages:by$}  {why}{verified}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
