//! The answer is that of one pass, whatever the budget; what goes wrong is told.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::budget::Budget;
use crate::cancel::CancelToken;
use crate::pipeline::Pipeline;
use crate::shared::{Shared, SharedBytes, SharedFile, SharedMap, Verify};
use crate::stage::{Footprint, Stage};
use crate::units::{KIB, MIB};

/// How many, which, and the two greatest rows a query finds.
type Found = ((Sum, Vec<u32>), Best<u64>);

/// Looks a query up: in a map, where it is the key, and in a slice, where it is a divisor.
fn look_up(map: &SharedMap<u64, u32>, slice: &[u64], rows: Range<usize>, query: u64) -> Found {
    let values = map.values()[map.range_within(rows.clone(), &query)].to_vec();
    let of_slice = slice[rows].iter().copied().filter(|row| row % (query + 1) == 0);
    ((Sum(of_slice.clone().count() as u64), values), Best::of(2, of_slice))
}

type Pairs<'env> = PipelineBuilder<'env, (u64, u64), (u64, Found)>;

/// A join of queries with a map and a slice, which says nothing of a query divisible by 5 in
/// blocks that have nothing for it.
fn join<'env>(map: &'env SharedMap<u64, u32>, slice: &'env [u64], block: Block) -> Pairs<'env> {
    let rows = block.rows();
    let find = move |(place, query): (u64, u64)| {
        let found = look_up(map, slice, rows.clone(), query);
        let nothing = found.0.0 == Sum(0) && found.0.1.is_empty();
        (!nothing || query % 5 != 0).then_some((place, found))
    };
    Pipeline::new(Stage::memory("join", Footprint::none()).filter_map(find))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_answer_is_that_of_one_pass(
        table in prop::collection::vec((0..40_u64, 0..200_u64), 0..200),
        queries in prop::collection::vec(0..50_u64, 0..30),
        memory in 1_200..12_000_u64,
    ) {
        let map: SharedMap<u64, u32> = table.iter().map(|row| row.0).zip(0..).collect();
        let slice: Shared<[u64]> = table.iter().map(|row| row.1).collect::<Vec<_>>().into();
        let answer = |memory: u64| {
            let budget = Budget::new(memory, 2).unmeasured();
            let plan = Blocks::of(&map)
                .and(&slice)
                .plan(&budget, |block| join(&map, &slice, block))
                .expect("a row and an item fit");
            let mut answer = Vec::new();
            let report = plan
                .run(|| queries.clone(), |place, found| answer.push((place, found)))
                .expect("nothing fails");
            assert_eq!(report.passes().len(), plan.passes());
            (answer, plan.passes())
        };
        let expected: Vec<_> = (0..)
            .zip(&queries)
            .map(|(place, query)| (place, look_up(&map, &slice, 0..table.len(), *query)))
            .filter(|(place, found)| {
                let nothing = found.0.0 == Sum(0) && found.0.1.is_empty();
                !nothing || queries[*place as usize] % 5 != 0
            })
            .collect();
        let (whole, passes) = answer(MIB);
        prop_assert_eq!((&whole, passes), (&expected, 1));
        prop_assert_eq!(answer(memory).0, expected);
    }
}

/// A hundred rows of 8 bytes; a budget of so many bytes, of which a block may take half.
fn rows() -> Shared<[u64]> {
    (0..100).collect::<Vec<_>>().into()
}

fn count<'env>(table: &'env [u64], block: Block) -> PipelineBuilder<'env, (u64, u64), (u64, Sum)> {
    let rows = &table[block.rows()];
    let count = move |(place, query): (u64, u64)| match query {
        13 if rows.contains(&50) => Err(format!("no luck with {place}")),
        _ => Ok((place, Sum(rows.iter().filter(|row| **row % (query + 1) == 0).count() as u64))),
    };
    Pipeline::new(Stage::cpu("count").try_map(count))
}

fn small() -> Budget {
    Budget::new(KIB, 2).unmeasured()
}

fn counts(budget: &Budget, queries: &[u64]) -> BTreeMap<u64, u64> {
    let table = rows();
    let plan = Blocks::of(&table).plan(budget, |block| count(&table, block)).expect("it fits");
    let mut counts = BTreeMap::new();
    let run = plan.run(
        || queries.to_vec(),
        |place, Sum(count)| counts.insert(place, count).map_or(Ok(()), |_| Err("twice")),
    );
    run.expect("nothing fails");
    counts
}

#[test]
fn an_item_that_fails_in_one_pass_is_told_once_and_left_out() {
    let table = rows();
    let plan = Blocks::of(&table).plan(&small(), |block| count(&table, block)).expect("it fits");
    assert!(plan.passes() > 1, "{plan}");
    let (mut failures, mut places, mut progress) = (Vec::new(), Vec::new(), Vec::new());
    let report = plan
        .job()
        .failures(|failure| failures.push(failure.to_string()))
        .progress(|at| progress.push(at.to_string()))
        .run(|| [1, 13, 2], |place, _| places.push(place))
        .expect("failures are taken");
    assert_eq!(failures, ["stage \"count\" failed on item 1, counted from 0: no luck with 1"]);
    assert_eq!((places, report.left_out(), report.delivered()), (vec![0, 2], 1, 2));
    assert_eq!(progress[0], format!("item 0, pass 1 of {}", plan.passes()));
    assert_eq!(plan.passes(), 2, "row 50 is in the second block");
    assert_eq!(
        progress[3..],
        [
            "item 3, pass 1 of 2",
            "item 0 of 3, pass 2 of 2",
            "item 1 of 3, pass 2 of 2",
            "item 2 of 3, pass 2 of 2"
        ]
    );

    let error = plan.run(|| [1, 13, 2], |_, _| ()).expect_err("the first failure ends it");
    assert!(matches!(error, BlockError::Pass { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("stage \"count\" failed on item 1, counted from 0: no luck with 1")
    );
}

#[test]
fn a_source_that_is_not_made_anew_is_told() {
    let table = rows();
    let plan = Blocks::of(&table).plan(&small(), |block| count(&table, block)).expect("it fits");
    let mut once = Some(vec![1, 2, 3]);
    let mut called = false;
    let error = plan
        .run(|| once.take().unwrap_or_default(), |_, _| called = true)
        .expect_err("the second pass has no items");
    assert!(matches!(error, BlockError::Source { pass: 2, items: 0, first: 3 }), "{error}");
    assert!(!called);
}

#[test]
fn a_token_pulled_in_the_second_pass_or_while_delivering_ends_the_run() {
    let table = rows();
    let plan = Blocks::of(&table).plan(&small(), |block| count(&table, block)).expect("it fits");
    let token = CancelToken::new();
    let mut made = 0;
    let source = || {
        made += 1;
        if made == 2 {
            token.cancel();
        }
        [1, 2, 3]
    };
    let error = plan.job().cancel(&token).run(source, |_, _| ()).expect_err("it was pulled");
    assert!(error.is_cancelled() && error.to_string().starts_with("pass 2 of "), "{error}");

    let (token, mut taken) = (CancelToken::new(), 0);
    let sink = |_, _| {
        taken += 1;
        token.cancel();
    };
    let error = plan.job().cancel(&token).run(|| [1, 2, 3], sink).expect_err("it was pulled");
    assert!(error.is_cancelled());
    assert_eq!(taken, 1);
}

#[test]
fn what_does_not_fit_is_an_error_before_anything_starts() {
    let table = rows();
    let plan = |budget: &Budget| Blocks::of(&table).plan(budget, |block| count(&table, block));
    let refused = |budget: &Budget| plan(budget).expect_err("it does not fit").to_string();
    assert!(refused(&Budget::new(0, 2)).contains("the budget has no memory"));
    assert!(refused(&Budget::new(10, 2)).contains("does not fit"));

    let wide = Blocks::by(3, |row| if row < 2 { 0 } else { 10_000 });
    let error = wide.plan(&small(), |block| count(&table, block)).expect_err("a row is too large");
    assert!(matches!(error, BlockError::Row { row: 1, bytes: 10_000, budget: KIB, .. }), "{error}");

    let other = Shared::from(vec![1_u8; 99]);
    let tables = Blocks::of(&table).and(&other);
    let error = tables.plan(&small(), |block| count(&table, block)).expect_err("99 rows, 100 rows");
    assert!(matches!(error, BlockError::Tables { first: 100, other: 99 }), "{error}");
}

#[test]
fn an_empty_table_and_an_empty_source_are_one_pass_and_no_answer() {
    let table = Shared::from(Vec::<u64>::new());
    let plan = Blocks::of(&table).plan(&small(), |block| count(&table, block)).expect("it fits");
    assert_eq!((plan.passes(), plan.bytes_read()), (1, 0));
    let mut found = Vec::new();
    plan.run(|| [7, 8], |place, sum| found.push((place, sum))).expect("nothing fails");
    assert_eq!(found, [(0, Sum(0)), (1, Sum(0))]);
    assert!(counts(&small(), &[]).is_empty());
}

#[test]
fn what_is_found_goes_to_a_file_when_it_is_more_than_memory_holds() {
    let table = rows();
    let plan = Blocks::of(&table).plan(&small(), |block| count(&table, block)).expect("it fits");
    let directory = tempfile::tempdir().expect("there is room for a folder");
    let queries: Vec<u64> = (0..500).filter(|query| *query != 13).collect();
    let mut found = BTreeMap::new();
    let report = plan
        .job()
        .spill_to(directory.path())
        .run(|| queries.clone(), |place, Sum(count)| _ = found.insert(place, count))
        .expect("nothing fails");
    assert!(report.spilled() > 0);
    assert_eq!(found, counts(&Budget::new(MIB, 2), &queries));
    let left = std::fs::read_dir(directory.path()).expect("it is there").count();
    assert_eq!(left, 0, "the file is gone");

    let nowhere = directory.path().join("nowhere");
    let error = plan.job().spill_to(nowhere).run(|| queries.clone(), |_, _| ());
    assert!(matches!(error, Err(BlockError::Pass { pass: 1, .. })), "{error:?}");
}

#[test]
fn entries_of_a_list_are_weighed_by_their_bytes() {
    let list: SharedBytes = ["a", "", "bcd"].into_iter().collect();
    let before: Vec<u64> = (0..=3).map(|row| RowsParts::bytes_before(&list, row)).collect();
    assert_eq!(before, [0, 9, 17, 28]);
}

/// KiB of a mapped file that are in memory for this process.
#[cfg(target_os = "linux")]
fn resident_kib(path: &std::path::Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has it");
    let mut lines = maps.lines().skip_while(|line| !line.ends_with(path.to_str().expect("text")));
    let rss = lines.find_map(|line| line.strip_prefix("Rss:")).expect("the file is mapped");
    rss.trim_end_matches("kB").trim().parse().expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn the_pages_of_a_block_are_given_up_when_its_pass_ends() {
    let directory = tempfile::tempdir().expect("there is room for a folder");
    let path = directory.path().join("rows.plim");
    let rows: Vec<u64> = (0..1 << 19).collect();
    Shared::<[u64]>::write(&path, &rows).expect("there is room for 4 MiB");
    let table: Shared<[u64]> = Shared::open(&path).expect("it is whole");
    let add = |block: Block| {
        let rows = &table[block.rows()];
        let add = move |(place, _): (u64, u64)| (place, Sum(rows.iter().sum()));
        Pipeline::new(Stage::cpu("add").map(add))
    };
    let plan = Blocks::of(&table).plan(&Budget::new(MIB, 2).unmeasured(), add).expect("it fits");
    assert!(plan.passes() >= 4, "{plan}");
    let mut sums = Vec::new();
    plan.run(|| [0], |_, sum| sums.push(sum)).expect("nothing fails");
    assert_eq!(sums, [Sum(rows.iter().sum())]);
    let resident = resident_kib(&path);
    assert!(resident < 256, "{resident} KiB of 4 MiB are still there");
}

#[cfg(target_os = "linux")]
#[test]
fn of_a_map_no_more_than_a_block_is_there_when_the_next_pass_begins() {
    let directory = tempfile::tempdir().expect("there is room for a folder");
    let path = directory.path().join("map.plim");
    let keys = 1_u64 << 20;
    let writer = SharedFile::create(&path).expect("a file can be made");
    let pairs = (0..keys).map(|n| (n << 20, n as u32));
    writer.map("map").and_then(|map| map.fill(pairs)).expect("there is room for 13 MiB");
    writer.finish().expect("there is room");
    let file = SharedFile::open_with(&path, Verify::Header).expect("it is whole");
    let map: SharedMap<u64, u32> = file.get("map").expect("it is a map");
    let look_up = |block: Block| {
        let rows = block.rows();
        let map = &map;
        let count = move |(place, query): (u64, u64)| {
            let found = map.range_within(rows.clone(), &(query << 20));
            (place, Sum(map.values()[found].iter().map(|value| u64::from(*value)).sum()))
        };
        Pipeline::new(Stage::memory("look up", Footprint::none()).map(count))
    };
    let budget = Budget::new(4 * MIB, 2).unmeasured();
    let plan = Blocks::of(&map).plan(&budget, look_up).expect("it fits");
    assert!(plan.passes() >= 4, "{plan}");
    let mut resident = Vec::new();
    let source = || {
        resident.push(resident_kib(&path));
        (0..keys).step_by(16)
    };
    let check = |place: u64, Sum(found)| assert_eq!(found, 16 * place);
    plan.run(source, check).expect("nothing fails");
    resident.push(resident_kib(&path));
    // A little of the neighbours is brought along.
    assert!(resident.iter().all(|kib| *kib < 512), "{resident:?} KiB of 13 MiB");
}

#[test]
fn many_passes_are_noted_with_what_would_halve_them() {
    let table: Shared<[u64]> = (0..100_000).collect::<Vec<_>>().into();
    let plan = |memory: u64| {
        let budget = Budget::new(memory, 2).unmeasured();
        Blocks::of(&table).plan(&budget, |block| count(&table, block)).expect("it fits")
    };
    let few = plan(200 * KIB).to_string();
    assert!(!few.contains("note     so many passes"), "{few}");
    let many = plan(16 * KIB);
    assert!(many.passes() > 32, "{many}");
    let text = many.to_string();
    let (_, note) = text.split_once("so often; with ").expect("it is noted");
    let (more, _) = note.split_once(" KiB more of memory").expect("it is some KiB");
    let more = (more.parse::<f64>().expect("a number") * 1024.0) as u64;
    let with_more = plan(16 * KIB + more).passes();
    let half = many.passes() / 2;
    assert!((half * 9 / 10..=half * 11 / 10).contains(&with_more), "{with_more} of {text}");
}

/// What the documentation says of a table that is needed as a whole.
#[test]
fn a_table_that_is_declared_leaves_a_block_less_room() {
    let directory = tempfile::tempdir().expect("there is room for a folder");
    let path = directory.path().join("whole.plim");
    Shared::<[u64]>::write(&path, &[7; 32 << 10]).expect("there is room for 256 KiB");
    let whole: Shared<[u64]> = Shared::open(&path).expect("it is whole");
    let table: Shared<[u64]> = (0..1_000_000).collect::<Vec<_>>().into();
    let room = |declared: bool| {
        let make = |_: Block| {
            let first = |(place, _): (u64, u64)| (place, Sum(1));
            let footprint = if declared { Footprint::table(&whole) } else { Footprint::none() };
            Pipeline::new(Stage::memory("look up", footprint).map(first))
        };
        let budget = Budget::new(MIB, 2).unmeasured();
        Blocks::of(&table).plan(&budget, make).expect("it fits").room
    };
    let (without, with) = (room(false), room(true));
    assert!(with + whole.size_bytes() / 2 <= without, "{with}, {without} without");
}
