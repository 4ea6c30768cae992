//! Shared tables in the budget: what a plan counts of them, what real memory makes of
//! that, pins, advice, and sections that are brought into memory.

mod common;

use std::path::{Path, PathBuf};

use plimsoll::{
    Advice, Budget, Error, Footprint, FormatProblem, MIB, Pipeline, Plan, Shared, SharedBytes,
    SharedFile, SharedMap, SharedStrs, Stage, Table, Verify,
};
use tempfile::TempDir;

/// A file of a slice of so many MiB, a map and a list. Not where temporary files are kept,
/// which may be memory and nothing else.
fn file_of(mib: u64) -> (TempDir, PathBuf) {
    file_in(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), mib)
}

fn file_in(directory: TempDir, mib: u64) -> (TempDir, PathBuf) {
    let path = directory.path().join("index.plim");
    let writer = SharedFile::create(&path).unwrap();
    let rows = (0..mib * MIB / 4096).map(|row| [row; 512]);
    writer.slice::<[u64; 512]>("rows").unwrap().fill(rows).unwrap();
    writer.map("map").unwrap().fill([(7_u64, 1_u64)]).unwrap();
    writer.strs("names").unwrap().fill(["zwei"]).unwrap();
    writer.finish().unwrap();
    (directory, path)
}

fn rows_of(file: &SharedFile) -> Shared<[[u64; 512]]> {
    file.get("rows").unwrap()
}

fn plan_of(memory: u64, footprint: Footprint<'static, u64>) -> Result<Plan, Error> {
    let stage = Stage::memory("look up", footprint).map(|n: u64| n);
    let pipeline = Pipeline::new(stage).build(&Budget::new(memory, 2))?;
    Ok(pipeline.plan().clone())
}

/// Name, size and counted bytes of each table in a plan on 64 MiB.
fn counted(footprint: Footprint<'static, u64>) -> Vec<(String, u64, u64)> {
    let plan = plan_of(64 * MIB, footprint).expect("it fits");
    let told = |table: &plimsoll::TablePlan| {
        (table.name().to_owned(), table.size_bytes(), table.counted())
    };
    plan.tables().iter().map(told).collect()
}

#[test]
fn a_table_four_times_the_budget_is_warned_of_or_refused() {
    let (_directory, path) = file_of(32);
    let file = SharedFile::open(&path).unwrap();
    let plan = plan_of(8 * MIB, Footprint::table(&rows_of(&file))).expect("a warning");
    let [table] = plan.tables() else { panic!("{plan}") };
    assert_eq!((table.counted(), table.missing()), (6 * MIB, 26 * MIB));
    assert!(plan.to_string().contains("note: look-ups in \"index.plim: rows\" may wait"), "{plan}");

    let refused = |footprint, wanted: u64| match plan_of(8 * MIB, footprint) {
        Err(Error::NoRoom { stage, needed, available, enough: Some(enough), .. }) => {
            assert_eq!((&*stage, needed, available), ("look up", wanted, 8 * MIB));
            assert!(enough > needed);
        }
        other => panic!("{other:?}"),
    };
    refused(Footprint::table(Table::of(&rows_of(&file)).floor(9 * MIB)), 9 * MIB);
    let copy = SharedFile::load(&path).unwrap();
    let sections: u64 = copy.sections().map(|section| section.bytes).sum();
    refused(Footprint::table(&rows_of(&copy)), sections);
    #[cfg(target_os = "linux")]
    refused(Footprint::table(&rows_of(&SharedFile::seal(&path).unwrap())), sections);
    assert!(plan_of(8 * MIB, Footprint::table(Table::of(&file).floor(2 * MIB))).is_ok());
}

#[test]
fn a_section_is_a_table_whatever_it_was_taken_as() {
    let (_directory, path) = file_of(1);
    let file = SharedFile::open(&path).unwrap();
    let (map, names): (SharedMap<u64, u64>, SharedStrs) =
        (file.get("map").unwrap(), file.get("names").unwrap());
    let footprint =
        Footprint::table(&rows_of(&file)).and(Footprint::table(&map)).and(Footprint::table(&names));
    let (map_bytes, name_bytes) = (map.size_bytes(), names.size_bytes());
    let row = |section: &str, bytes| (format!("index.plim: {section}"), bytes, bytes);
    let sections = [row("rows", MIB), row("map", map_bytes), row("names", name_bytes)];
    assert_eq!(counted(footprint), sections);

    // All maps of a file have the same pages.
    let again = SharedFile::open(&path).unwrap();
    let whole = MIB + map_bytes + name_bytes;
    let twice = Footprint::table(&file).and(Footprint::table(&again));
    assert_eq!(counted(twice), [("index.plim".to_owned(), whole, whole)]);

    // Copies do not, and are in memory with all that they have.
    let copies = [SharedFile::load(&path).unwrap(), SharedFile::load(&path).unwrap()];
    let of_copies = copies.iter().map(|copy| Footprint::table(&rows_of(copy)));
    let row = ("index.plim".to_owned(), whole, whole);
    let counts = counted(of_copies.fold(Footprint::none(), Footprint::and));
    assert_eq!(counts, [row.clone(), row]);
}

#[test]
fn what_never_was_in_a_file_is_a_table_too() {
    let slice = Shared::from(vec![1_u32; 1000]);
    let other = slice.clone();
    let list: SharedBytes = [&b"abc"[..]].into_iter().collect();
    let map: SharedMap<u64, u8> = [(1, 2)].into_iter().collect();
    let footprint = Footprint::table(&slice)
        .and(Footprint::table(&other))
        .and(Footprint::table(&list))
        .and(Footprint::table(&map));
    let told = counted(footprint);
    let names: Vec<_> = told.iter().map(|(name, ..)| &**name).collect();
    assert_eq!(names, ["[u32] on the heap", "a list on the heap", "a map on the heap"]);
    assert_eq!((told[0].2, told[1].2, told[2].2), (4_000, 19, map.size_bytes()));
}

#[test]
fn what_is_not_verified_is_told_in_the_plan() {
    let (_directory, path) = file_of(1);
    let verified = |file: &SharedFile| {
        let stage = Stage::memory("a", Footprint::table(&rows_of(file))).map(|n: u64| n);
        let plan = Pipeline::new(stage).plan(&Budget::new(64 * MIB, 2)).expect("it fits");
        let [table] = plan.tables() else { panic!("{plan}") };
        let told = plan.to_string().contains("; not verified (see Verify)\n");
        assert_ne!(table.is_verified(), told, "{plan}");
        table.is_verified()
    };
    for (verify, expected) in [
        (Verify::Header, false),
        (Verify::Auto, true),
        (Verify::FirstUse, true),
        (Verify::Payload, true),
    ] {
        assert_eq!(
            verified(&SharedFile::open_with(&path, verify).unwrap()),
            expected,
            "{verify:?}"
        );
    }
    let later = SharedFile::open_with(&path, Verify::Header).unwrap();
    later.verify().unwrap();
    assert!(verified(&later), "somebody asked for it");
}

#[test]
fn advice_is_taken_and_tells_the_plan() {
    let (_directory, path) = file_of(20);
    for file in [SharedFile::open(&path).unwrap(), SharedFile::load(&path).unwrap()] {
        for advice in [Advice::Normal, Advice::Random, Advice::WillNeed, Advice::Sequential] {
            assert_eq!(file.advise("rows", advice).unwrap(), cfg!(unix), "{advice:?}");
        }
        // Whether it is taken depends on how the kernel was built.
        file.advise("rows", Advice::HugePages).unwrap();
        assert_eq!(rows_of(&file)[77], [77; 512]);
        match file.advise("row", Advice::Random).unwrap_err() {
            Error::SharedFormat { problem: FormatProblem::NoSection { name, .. }, .. } => {
                assert_eq!(name, "row");
            }
            other => panic!("{other}"),
        }
    }
    let file = SharedFile::open(&path).unwrap();
    let counted = || counted(Footprint::table(&rows_of(&file)))[0].2;
    assert_eq!(counted(), 20 * MIB);
    file.advise("rows", Advice::Sequential).unwrap();
    assert_eq!(counted(), 16 * MIB);
    file.advise("rows", Advice::WillNeed).unwrap();
    assert_eq!(counted(), 16 * MIB, "that is not about the order");
    file.advise("rows", Advice::Random).unwrap();
    assert_eq!(counted(), 20 * MIB);
}

/// Bytes of the file at `path` that this process has in its page tables, and of these
/// what is locked.
#[cfg(target_os = "linux")]
fn in_page_tables(path: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let path = path.to_str().unwrap();
    let (mut is_ours, mut resident, mut locked) = (false, 0, 0);
    let number = |line: &str| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10;
    for line in text.lines() {
        if line.contains('-') && line.split(' ').next().is_some_and(|word| !word.ends_with(':')) {
            is_ours = line.ends_with(path);
        } else if is_ours && line.starts_with("Rss:") {
            resident += number(line);
        } else if is_ours && line.starts_with("Locked:") {
            locked += number(line);
        }
    }
    (resident, locked)
}

#[test]
fn sections_are_brought_into_memory_in_the_background() {
    let (_directory, path) = file_of(20);
    let file = SharedFile::open_with(&path, plimsoll::Verify::Header).unwrap();
    // Even where each page would be read by itself.
    file.advise("rows", Advice::Random).unwrap();
    let map: SharedMap<u64, u64> = file.get("map").unwrap();
    let prefault = file.prefault(["rows", "map"]).unwrap();
    assert_eq!(prefault.total(), 20 * MIB + map.size_bytes());
    assert!(common::eventually(|| prefault.is_finished()));
    assert_eq!(prefault.done(), prefault.total());
    prefault.wait().unwrap();
    #[cfg(target_os = "linux")]
    assert!(in_page_tables(&path).0 >= 20 * MIB);
    let all = file.prefault(file.sections().map(|section| section.name)).unwrap();
    all.wait().unwrap();
    assert!(file.prefault(["rows", "row"]).is_err());
}

/// Whoever drops the handle has neither the thread nor the file any more.
#[test]
#[cfg(target_os = "linux")]
fn a_prefault_that_is_dropped_has_ended() {
    let (_directory, path) = file_of(64);
    let file = SharedFile::open_with(&path, plimsoll::Verify::Header).unwrap();
    let prefault = file.prefault(["rows"]).unwrap();
    drop(file);
    assert!(std::fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap()));
    drop(prefault);
    assert!(!std::fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap()));
}

#[test]
#[cfg(target_os = "linux")]
fn a_pinned_file_stays_and_counts_in_full() {
    let (_directory, path) = file_of(2);
    let file = SharedFile::open_with(&path, plimsoll::Verify::Header).unwrap();
    let rows = rows_of(&file);
    assert!(!file.is_pinned());
    // 8 MiB may be locked, unless somebody says otherwise.
    match rows.file().expect("it is in a file").pin() {
        Ok(()) => {}
        Err(error) => return eprintln!("skipped: {error}"),
    }
    assert!(file.is_pinned(), "all handles see it");
    let (resident, locked) = in_page_tables(&path);
    assert!(resident >= 2 * MIB && locked >= 2 * MIB, "{resident} {locked}");
    let size = file.size_bytes();
    assert_eq!(counted(Footprint::table(&rows)), [("index.plim".to_owned(), size, size)]);
    let floor = Table::of(&rows).floor(1);
    match plan_of(MIB, Footprint::table(floor)) {
        Err(Error::NoRoom { needed, what, .. }) => {
            assert_eq!(needed, size);
            assert!(what.contains("it is pinned"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

/// A process that may lock 64 KiB, by a limit that it may lower itself; the privileged
/// give that privilege up with their user.
#[test]
#[cfg(target_os = "linux")]
fn a_refused_pin_tells_the_limit() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    const GIVEN: &str = "PLIMSOLL_TEST_RESIDENCY_PIN";
    if let Some(path) = std::env::var_os(GIVEN) {
        let file = SharedFile::open_with(path, plimsoll::Verify::Header).unwrap();
        let error = file.pin().unwrap_err();
        let Error::SharedPin { bytes, allowed, .. } = &error else { panic!("{error}") };
        assert_eq!((*bytes, *allowed), (file.size_bytes(), Some(64 << 10)));
        assert!(error.to_string().contains("this process may lock 64.0 KiB in all"), "{error}");
        assert!(!file.is_pinned());
        assert_eq!(rows_of(&file)[3], [3; 512]);
        return println!("refused as it should be");
    }
    let (directory, path) = file_in(tempfile::tempdir().unwrap(), 1);
    let is_privileged = directory.path().metadata().unwrap().uid() == 0;
    let mut program = std::env::current_exe().unwrap();
    if is_privileged {
        // A copy of the program where everybody may run it.
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), everybody).unwrap();
        let copy = directory.path().join("test");
        std::fs::copy(&program, &copy).unwrap();
        program = copy;
    }
    let mut child = std::process::Command::new("sh");
    child.args(["-c", "ulimit -l 64 && exec \"$0\" \"$@\""]).arg(&program);
    child.args(["--exact", "a_refused_pin_tells_the_limit", "--nocapture"]);
    child.env(GIVEN, &path).current_dir("/");
    if is_privileged {
        child.uid(65_534).gid(65_534);
    }
    let ended = child.output().unwrap();
    let (told, cried) =
        (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && told.contains("refused as it should be"), "{told}\n{cried}");
}

/// Two stages work with a table of 64 MiB. Then one takes 80 MiB that nobody declared.
#[cfg(target_os = "linux")]
fn only_what_nobody_declares_is_drift(table: &Shared<[[u64; 512]]>) {
    let monitor = plimsoll::Monitor::new();
    let withheld = || monitor.snapshot().is_some_and(|it| it.withheld() > 0);
    let sum = |n: u64| table.iter().map(|row| row[0]).sum::<u64>() + n;
    let job = |greedy| {
        let second = move |n: u64| {
            let taken = std::hint::black_box(vec![1_u8; if greedy { 80 << 20 } else { 0 }]);
            assert!(!greedy || common::eventually(withheld), "what the table counts hides it");
            n + taken.len() as u64
        };
        let first = Stage::memory("first", Footprint::table(table)).map(sum);
        let second = Stage::memory("second", Footprint::table(table)).map(second);
        let budget = Budget::new(256 * MIB, 2);
        let pipeline = Pipeline::new(first).then(second).build(&budget).unwrap();
        assert_eq!(pipeline.plan().tables().len(), 1);
        let line = pipeline.plan().line();
        assert!((180 * MIB..=192 * MIB).contains(&line), "{}", pipeline.plan());
        pipeline.job().monitor(&monitor).run([1], drop).unwrap()
    };
    for _ in 0..2 {
        let report = job(false);
        assert_eq!(report.memory().most_withheld(), 0, "{report}");
        assert!(report.memory().peak_drift() < 16 * MIB, "{report}");
        assert!(job(true).memory().peak_drift() > 60 * MIB);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_mapped_table_is_no_drift_and_hides_none() {
    common::alone("a_mapped_table_is_no_drift_and_hides_none", || {
        let (_directory, path) = file_of(64);
        let file = SharedFile::open_with(&path, plimsoll::Verify::Header).unwrap();
        only_what_nobody_declares_is_drift(&rows_of(&file));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_loaded_copy_is_no_drift_and_hides_none() {
    common::alone("a_loaded_copy_is_no_drift_and_hides_none", || {
        let (_directory, path) = file_of(64);
        only_what_nobody_declares_is_drift(&rows_of(&SharedFile::load(&path).unwrap()));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_sealed_copy_is_no_drift_and_hides_none() {
    common::alone("a_sealed_copy_is_no_drift_and_hides_none", || {
        let (_directory, path) = file_of(64);
        only_what_nobody_declares_is_drift(&rows_of(&SharedFile::seal(&path).unwrap()));
    });
}
