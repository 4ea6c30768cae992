use super::*;
use crate::budget::Budget;
use crate::plan::{Plan, Settings, plan};
use crate::stage::{Footprint, Stage};
use crate::units::GIB;

const SETTINGS: Settings = Settings { ordered: false, window: 1_000, largest_item: None };

/// Of a file that is told by its number.
fn part(file: u64, bytes: Range<u64>, pages: Pages) -> Table {
    let memory = MemoryId::File { device: 1, inode: file, length: 0, checksum: 0 };
    Table {
        name: format!("{file}.plim"),
        extents: vec![Extent { memory, bytes, pages }],
        floor: None,
        unverified: false,
    }
}

fn mapped(file: u64, bytes: u64) -> Table {
    part(file, 0..bytes, Pages::Reclaimable { in_order: false })
}

fn stage(name: &str, footprint: Footprint<'static, u64>) -> StageSpec {
    Stage::memory(name, footprint).map(|item: u64| item).spec
}

/// One stage, `a`, that works with these.
fn using(tables: impl IntoIterator<Item = Table>) -> [StageSpec; 1] {
    let all = tables.into_iter().map(Footprint::table);
    [stage("a", all.fold(Footprint::none(), Footprint::and))]
}

fn on(memory: u64, specs: &[StageSpec]) -> Plan {
    plan(&Budget::new(memory, 2), specs, &SETTINGS).expect("it fits")
}

/// MiB that are counted, by table.
fn counted(plan: &Plan) -> Vec<u64> {
    plan.tables().iter().map(|table| table.counted() / MIB).collect()
}

#[test]
fn a_mapped_table_counts_as_a_whole_where_there_is_room() {
    let plan = on(GIB, &using([mapped(1, 200 * MIB)]));
    assert_eq!((counted(&plan), plan.line()), (vec![200], 824 * MIB));
    assert_eq!((plan.shared(), plan.files(), plan.reclaimable()), (0, 200 * MIB, 200 * MIB));
    assert_eq!(plan.tables()[0].reason(), "all of it, for look-ups at random");
    let text = plan.to_string();
    assert!(
        text.contains("\n                      mapped tables, 200.0 MiB, are no part of it\n"),
        "{text}"
    );
    assert!(!text.contains("note:"), "{text}");
}

#[test]
fn a_table_of_1_gib_in_a_budget_of_256_mib_is_warned_of() {
    let plan = on(256 * MIB, &using([mapped(1, GIB)]));
    let [table] = plan.tables() else { panic!("{plan}") };
    assert_eq!((table.counted(), table.missing()), (192 * MIB, 832 * MIB), "less a quarter");
    assert_eq!(plan.line(), 64 * MIB);
    let text = plan.to_string();
    for told in [
        "1.plim    1.0 GiB  192.0 MiB  a        what there is room for; look-ups at random need",
        "tables    192.0 MiB   what of them is to stay in memory",
        "note: look-ups in \"1.plim\" may wait for the disk",
        ": 832.0 MiB of it are not kept there. A budget of `1366 * MIB` would do, of which a quarter \
         is set aside for items of unknown size; with `.largest_item(MIB)`, if no item is larger, \
         `1027 * MIB` would do; or declare how much of it is in use (Table::floor), or work through \
         it in blocks (Blocks)\n",
    ] {
        assert!(text.contains(told), "no {told:?} in\n{text}");
    }
    let enough = on(1_366 * MIB, &using([mapped(1, GIB)]));
    assert_eq!((counted(&enough), enough.tables()[0].missing()), (vec![1_024], 0));
    let less = on(1_365 * MIB, &using([mapped(1, GIB)]));
    assert!(less.tables()[0].missing() > 0, "it is the least, as told");
    let small = Settings { largest_item: Some(MIB), ..SETTINGS };
    let missing = |memory| {
        let budget = Budget::new(memory, 2);
        let plan = super::super::plan(&budget, &using([mapped(1, GIB)]), &small);
        plan.expect("it fits").tables()[0].missing()
    };
    assert_eq!((missing(1_027 * MIB), missing(1_026 * MIB)), (0, MIB), "and so is this");
}

#[test]
fn what_would_carry_all_workers_counts_tables_that_are_short() {
    let footprint = Footprint::per_worker(50 * MIB).and(Footprint::table(mapped(1, GIB)));
    let specs = [StageSpec { workers: Some(4), ..stage("a", footprint) }];
    let short = on(400 * MIB, &specs);
    assert!(short.tables()[0].missing() > 0, "{short}");
    // 50 for the first, three quarters of the rest for the table and three more.
    let enough = (50 + (1_024 + 150) * 4 / 3 + 1) * MIB;
    let (wanted, missing) = short.stages()[0].more.expect("it has one worker of four");
    assert_eq!(wanted, 2);
    let carried = on(400 * MIB + missing, &specs).stages()[0].workers();
    assert_eq!(carried, 3, "two come before the table, as an eighth of it is as much");
    assert_eq!(on(enough, &specs).stages()[0].workers(), 4);
    assert_eq!(short.enough_memory(), Some(enough.div_ceil(MIB) * MIB));
    assert_ne!(on(enough - 2 * MIB, &specs).stages()[0].workers(), 4);
    let told = format!("{} more would carry all workers", Bytes(enough - 400 * MIB));
    assert!(short.stages()[0].reason().contains(&told), "{told}: {short}");
}

#[test]
fn what_is_certain_and_has_no_room_is_refused_with_the_numbers() {
    let copy = part(1, 0..GIB, Pages::Real);
    let pinned = part(1, 0..GIB, Pages::Pinned);
    let declared = mapped(1, 2 * GIB).floor(GIB);
    for (table, why) in [
        (copy, "a copy in memory; mapped, only what"),
        (pinned, "it is pinned; else only what"),
        (declared, "its declared floor"),
    ] {
        let specs = using([table]);
        let error = plan(&Budget::new(256 * MIB, 2), &specs, &SETTINGS).expect_err(why);
        let text = error.to_string();
        assert!(
            matches!(&error, Error::NoRoom { stage, needed, available, enough, .. }
                if (&**stage, *needed, *available, *enough)
                    == ("a", GIB, 256 * MIB, Some(1_025 * MIB))),
            "{text}"
        );
        assert!(text.contains(&format!("for the table \"1.plim\" ({why}")), "{text}");
        assert_eq!(counted(&on(1_025 * MIB, &specs)), [1_024]);
    }
}

#[test]
fn a_table_of_several_stages_is_counted_once() {
    let table = || Footprint::table(mapped(1, 100 * MIB));
    let other = Footprint::table(Table::of(mapped(1, 100 * MIB)).floor(40 * MIB));
    let specs = [stage("a", table()), stage("b", table().and(table())), stage("c", other)];
    let all = on(GIB, &specs);
    let [table] = all.tables() else { panic!("{all}") };
    assert_eq!(
        (table.stages(), table.counted()),
        (&["a", "b", "c"].map(String::from)[..], 40 * MIB)
    );
    assert_eq!(table.reason(), "the floor that is declared");
    let two = on(GIB, &specs[..2]);
    assert_eq!((counted(&two), two.line()), (vec![100], 924 * MIB));
}

#[test]
fn parts_of_a_table_are_counted_once_and_the_firmest_first() {
    let random = Pages::Reclaimable { in_order: false };
    let section = || part(1, 10 * MIB..40 * MIB, random);
    let whole = || mapped(1, 100 * MIB);
    // In the order of the tables; what is declared of a part counts beside what is
    // declared of the whole, as the latter may mean another part.
    for (tables, expected) in [
        (vec![whole(), section()], [70, 30]),
        (vec![whole().floor(50 * MIB), section()], [50, 0]),
        (vec![whole(), section().floor(20 * MIB)], [70, 20]),
        (vec![whole().floor(90 * MIB), section().floor(20 * MIB)], [70, 20]),
        (vec![section(), part(1, 30 * MIB..60 * MIB, random)], [30, 20]),
        (vec![section(), part(2, 30 * MIB..60 * MIB, random)], [30, 30]),
        (vec![whole(), part(1, 0..100 * MIB, Pages::Pinned)], [0, 100]),
        (vec![section().floor(u64::MAX), section().floor(3)], [30, 0]),
    ] {
        let told = format!("{tables:?}");
        let mut found = counted(&on(GIB, &using(tables)));
        found.resize(2, 0);
        assert_eq!(found, expected, "{told}");
    }
}

#[test]
fn what_is_read_in_order_counts_with_what_is_read_ahead() {
    let in_order = |file, bytes| part(file, 0..bytes, Pages::Reclaimable { in_order: true });
    let plan = on(GIB, &using([in_order(1, 10 * GIB), in_order(2, MIB)]));
    assert_eq!(counted(&plan), [16, 1]);
    assert_eq!(plan.tables()[0].reason(), "read in order: what is read ahead");
    let declared = on(GIB, &using([in_order(1, 10 * GIB).floor(500 * MIB)]));
    assert_eq!(counted(&declared), [500]);
    let mut mixed = in_order(1, GIB);
    mixed.extents.extend(mapped(2, 50 * MIB).extents);
    let plan = on(GIB, &using([mixed]));
    assert_eq!((counted(&plan), plan.tables()[0].missing()), (vec![66], 0));
}

#[test]
fn tables_that_are_short_share_in_proportion_and_come_before_heavy_workers() {
    let worker = Footprint::per_worker(100 * MIB);
    let tables = Footprint::table(mapped(1, 600 * MIB)).and(Footprint::table(mapped(2, 300 * MIB)));
    let plan = on(500 * MIB, &[stage("a", worker.and(tables))]);
    // 400 MiB are left beside the first worker, of which 100 are kept for items.
    assert_eq!((counted(&plan), plan.line()), (vec![200, 100], 100 * MIB));
    assert_eq!(plan.stages()[0].workers(), 1);
    assert!(plan.to_string().contains("look-ups in \"1.plim\", \"2.plim\" may wait"), "{plan}");
}

/// What a user had: a cpu stage of light workers beside a table that does not quite fit.
fn light_beside_a_table(workers: usize) -> [StageSpec; 2] {
    let light = Footprint::per_worker(3 * MIB / 2);
    let light = StageSpec { workers: Some(workers), ..stage("fingerprint", light) };
    let footprint = Footprint::table(mapped(1, 305 * MIB));
    [light, StageSpec { workers: Some(8), ..stage("look up", footprint) }]
}

#[test]
fn light_workers_come_before_a_table_that_does_not_quite_fit() {
    let specs = light_beside_a_table(8);
    let on = |memory| plan(&Budget::new(memory, 8), &specs, &SETTINGS).expect("it fits");
    let short = on(330 * MIB);
    assert_eq!(short.stages()[0].workers(), 8, "{short}");
    // 328.5 MiB beside the first worker, less a quarter and 10.5 for the others.
    assert_eq!(short.tables()[0].counted(), (3_285 * MIB / 10) * 3 / 4 - 21 * MIB / 2);
    let note = &short.notes()[0];
    let told = "kept there. This budget would do with `.largest_item(MIB)`, if no item is larger, as a \
                quarter is set aside for items of unknown size; else `423 * MIB` would do; or declare";
    assert!(note.contains(told), "{note}");
    let whole = on(423 * MIB);
    assert!(whole.notes().is_empty() && whole.tables()[0].missing() == 0, "{whole}");
    assert_eq!(whole.stages()[0].workers(), 8, "{whole}");
    assert!(on(422 * MIB).tables()[0].missing() > 0, "it is the least, as told");
}

#[test]
fn the_size_of_the_largest_item_makes_room_for_tables_and_workers() {
    let specs = light_beside_a_table(8);
    let settings = Settings { largest_item: Some(MIB), ..SETTINGS };
    let with = |memory: u64| plan(&Budget::new(memory, 8), &specs, &settings).expect("it fits");
    let plan = with(330 * MIB);
    assert_eq!((plan.stages()[0].workers(), plan.tables()[0].missing()), (8, 0), "{plan}");
    assert_eq!(plan.line(), 13 * MIB);
    let short = with(200 * MIB);
    assert_eq!(short.line(), 9 * MIB, "one for each core and one for the oldest");
    assert!(!short.notes()[0].contains("largest_item"), "it is told: {short}");
}

#[test]
fn no_larger_budget_takes_from_a_table_what_a_smaller_one_had_room_for() {
    let specs = light_beside_a_table(100);
    let mut counted = 0;
    for memory in 0..300 {
        let plan = on((200 + 2 * memory) * MIB, &specs);
        let [table] = plan.tables() else { panic!("{plan}") };
        assert!(table.counted() >= counted, "{plan}");
        counted = table.counted();
        let light = plan.stages()[0].workers() as u64 - 1;
        let most = 305 * MIB / 8 / (3 * MIB / 2);
        assert!(table.missing() == 0 || light <= most, "an eighth at the most: {plan}");
    }
    assert_eq!(counted, 305 * MIB);
    let short = on(400 * MIB, &specs);
    let told = "A budget of `459 * MIB` would do (`607 * MIB` for all workers, too), of which a";
    assert_eq!(short.enough_memory(), Some(607 * MIB));
    assert!(short.notes()[0].contains(told), "{told}: {}", short.notes()[0]);
    let all = on(607 * MIB, &specs);
    assert_eq!((all.stages()[0].workers(), all.tables()[0].missing()), (100, 0), "{all}");
}

#[test]
fn workers_that_somebody_demands_come_before_a_table() {
    let specs = light_beside_a_table(100);
    let demanded = Budget::new(330 * MIB, 2).with_workers("fingerprint", 100);
    let plan = plan(&demanded, &specs, &SETTINGS).expect("the table makes room");
    assert_eq!(plan.stages()[0].workers(), 100);
    assert!(plan.tables()[0].missing() > 100 * MIB, "{plan}");
}

#[test]
fn real_memory_has_copies_and_nothing_else() {
    let own = |address, bytes| {
        let memory = MemoryId::Own(address);
        let extents = vec![Extent { memory, bytes: 0..bytes, pages: Pages::Real }];
        Table { name: "a heap".to_owned(), extents, floor: None, unverified: false }
    };
    let tables = [own(1, 10 * MIB), own(1, 10 * MIB), own(2, MIB), mapped(1, MIB).floor(MIB)];
    let plan = on(
        GIB,
        &[using(tables), [stage("b", Footprint::table(part(3, 0..5 * MIB, Pages::Pinned)))]]
            .concat(),
    );
    assert_eq!(plan.copies, [(MemoryId::Own(1), 10 * MIB), (MemoryId::Own(2), MIB)]);
    assert_eq!((plan.shared(), plan.files(), plan.reclaimable()), (11 * MIB, 6 * MIB, MIB));
    assert_eq!(counted(&plan), [10, 1, 1, 5]);
    assert_eq!(plan.line(), GIB - 17 * MIB);
}

#[test]
fn nothing_is_told_of_tables_where_there_are_none() {
    let plan = on(GIB, &using([mapped(1, 0)]));
    assert!(plan.tables().is_empty() && !plan.to_string().contains("table"), "{plan}");
}
