//! Every error as its reader sees it, kept in `tests/errors/all.txt`: provoked through the
//! public interface but for what only a broken machine brings about.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::stage::{Footprint, Stage};
use crate::{Budget, CancelToken, Pipeline, Shared, SharedFile, Verify};

/// All variants: a new one does not compile until it is here, and then fails until it is kept.
const VARIANTS: [&str; 20] = [
    "Variable",
    "LimitUnreadable",
    "ZeroBudget",
    "NameClash",
    "StageName",
    "Setting",
    "NoRoom",
    "Item",
    "State",
    "Source",
    "Sink",
    "Cancelled",
    "TimeLimit",
    "Spawn",
    "SharedIo",
    "SharedPin",
    "SharedBusy",
    "SharedSection",
    "HandOver",
    "SharedFormat",
];

fn name(error: &Error) -> &'static str {
    match error {
        Error::Variable { .. } => "Variable",
        Error::LimitUnreadable { .. } => "LimitUnreadable",
        Error::ZeroBudget { .. } => "ZeroBudget",
        Error::NameClash { .. } => "NameClash",
        Error::StageName { .. } => "StageName",
        Error::Setting { .. } => "Setting",
        Error::NoRoom { .. } => "NoRoom",
        Error::Item(_) => "Item",
        Error::State { .. } => "State",
        Error::Source { .. } => "Source",
        Error::Sink { .. } => "Sink",
        Error::Cancelled => "Cancelled",
        Error::TimeLimit { .. } => "TimeLimit",
        Error::Spawn { .. } => "Spawn",
        Error::SharedIo { .. } => "SharedIo",
        Error::SharedPin { .. } => "SharedPin",
        Error::SharedBusy { .. } => "SharedBusy",
        Error::SharedSection { .. } => "SharedSection",
        Error::HandOver { .. } => "HandOver",
        Error::SharedFormat { .. } => "SharedFormat",
    }
}

const MEMORY: u64 = 64 * MIB;

fn budget() -> Budget {
    Budget::new(MEMORY, 2).unmeasured()
}

fn parse() -> Stage<'static, u64, u64> {
    Stage::cpu("parse").map(|n: u64| n)
}

/// What a plan is refused for.
fn of_plans() -> Vec<Error> {
    let plan = |stages: crate::PipelineBuilder<'static, u64, u64>, budget: &Budget| {
        stages.plan(budget).expect_err("it is refused")
    };
    let heavy = || Stage::memory("screen", Footprint::per_worker(3 << 30)).map(|n: u64| n);
    let many = Stage::memory("screen", Footprint::per_worker(20 * MIB)).map(|n: u64| n);
    vec![
        plan(Pipeline::new(parse()), &Budget::new(0, 2)),
        plan(Pipeline::new(parse()), &Budget::new(MEMORY, 0)),
        plan(Pipeline::new(parse()).then(Stage::cpu("PARSE").map(|n| n)), &budget()),
        plan(Pipeline::new(Stage::cpu("??").map(|n: u64| n)), &budget()),
        plan(Pipeline::new(parse()).window(0), &budget()),
        plan(Pipeline::new(parse()), &budget().with_workers("parse", 5_000)),
        plan(Pipeline::new(parse()), &Budget::new(MEMORY, 5_000)),
        plan(Pipeline::new(parse()).then(heavy()), &budget()),
        plan(Pipeline::new(parse()).then(many), &budget().with_workers("screen", 4)),
        plan(Pipeline::new(parse()).largest_item(1 << 30), &budget()),
    ]
}

/// What a run ends with.
fn of_runs() -> Vec<Error> {
    let run = |stage: Stage<'static, u64, u64>| {
        let pipeline = Pipeline::new(stage).build(&budget()).expect("it fits");
        pipeline.run(0..3, drop).expect_err("it fails").into()
    };
    let good = || Pipeline::new(parse()).build(&budget()).expect("it fits");
    let token = CancelToken::new();
    token.cancel();
    let cancelled = good().job().cancel(&token).run(0..3, drop).expect_err("it is cancelled");
    let late = good().job().time_limit(Duration::ZERO).run(0..3, drop).expect_err("it is late");
    let source = (0..3).inspect(|n| assert!(*n < 2, "planned: no more"));
    let source = good().run(source, drop).expect_err("the source panics");
    let full = |_| Err::<(), _>(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
    let ordered = Pipeline::new(parse()).ordered().build(&budget()).expect("it fits");
    let sink = ordered.run(0..3, full).expect_err("the sink fails");
    let failing =
        Stage::cpu("parse").try_map(|n: u64| if n < 2 { Ok(n) } else { Err("no number") });
    let pipeline = Pipeline::new(failing).build(&budget()).expect("it fits");
    let failures = |_| panic!("planned: the list is full");
    let lost = pipeline.job().failures(failures).run(0..3, drop).expect_err("it panics");
    vec![
        run(Stage::cpu("parse").try_map(|_| Err::<u64, _>("invalid digit found in string"))),
        run(Stage::cpu("parse").map(|_| panic!("planned: index out of bounds"))),
        run(Stage::memory("align", Footprint::per_item(|_| 1 << 30)).map(|n| n)),
        run(Stage::memory("embed", Footprint::none()).map_batch(1, |_: Vec<u64>| vec![1, 2])),
        run(Stage::cpu("load").with_state(|| panic!("planned: no model")).map(|(), n: u64| n)),
        source.into(),
        sink.into(),
        lost.into(),
        cancelled.into(),
        late.into(),
    ]
}

/// What shared files are refused for.
fn of_files(folder: &Path) -> Vec<Error> {
    let path = folder.join("table.plim");
    let writer = SharedFile::create(&path).expect("it can be begun");
    let busy = SharedFile::create(&path).expect_err("there is one");
    writer.slice("lengths").and_then(|slice| slice.fill([4_u64, 5])).expect("it can be written");
    let Err(taken) = writer.slice::<u64>("lengths") else { panic!("the name is taken") };
    writer.finish().expect("it can be finished");
    let file = SharedFile::open(&path).expect("it is there");
    let other = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let path = folder.join(name);
        let mut bytes = fs::read(folder.join("table.plim")).expect("it is there");
        change(&mut bytes);
        fs::write(&path, bytes).expect("it can be written");
        let mut permissions = fs::metadata(&path).expect("it is there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).expect("it is ours");
        SharedFile::open_with(&path, Verify::Payload).expect_err("it is not usable")
    };
    let refused = |error: Option<Error>| error.expect("it is refused");
    let mut errors = vec![
        busy,
        taken,
        SharedFile::open(folder.join("missing.plim")).expect_err("there is none"),
        refused(file.get::<Shared<[u64]>>("weights").err()),
        refused(file.get::<Shared<[u32]>>("lengths").err()),
        refused(file.get::<crate::SharedStrs>("lengths").err()),
        other("empty.plim", &|bytes| bytes.clear()),
        other("foreign.plim", &|bytes| bytes[0] = b'#'),
        other("cut.plim", &|bytes| bytes.truncate(4_100)),
        other("flipped.plim", &|bytes| bytes[100] ^= 1),
        other("damaged.plim", &|bytes| bytes[4_096] ^= 1),
        SharedFile::open(folder).expect_err("a directory is no file"),
        "nonsense".parse::<crate::HandOver>().expect_err("it is none"),
    ];
    let open = folder.join("open.plim");
    fs::copy(&path, &open).expect("it can be copied");
    let mut permissions = fs::metadata(&open).expect("it is there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&open, permissions).expect("it is ours");
    errors.push(SharedFile::open(&open).expect_err("it may change"));
    errors
}

/// What only a broken machine brings about.
fn of_machines() -> Vec<Error> {
    let refused = |kind| io::Error::from(kind);
    vec![
        Error::LimitUnreadable {
            path: "/sys/fs/cgroup/memory.max".into(),
            source: refused(io::ErrorKind::PermissionDenied),
        },
        Error::Spawn { index: 31, threads: 65, source: refused(io::ErrorKind::WouldBlock) },
        Error::SharedPin {
            path: "reactions.plim".into(),
            bytes: 3 << 30,
            allowed: Some(8 << 20),
            source: refused(io::ErrorKind::OutOfMemory),
        },
    ]
}

/// What this process's variables are refused for; a run of its own of this test binary.
fn of_variable(variable: &str, value: &str) -> String {
    let program = std::env::current_exe().expect("a test has a path");
    let test = "error::tests::the_variables_of_this_process_are_read";
    let child = Command::new(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, value)
        .env("ERROR_OF_VARIABLES", "1")
        .output()
        .expect("a test can be started");
    let told = String::from_utf8_lossy(&child.stdout);
    let (_, behind) = told.split_once("refused: ").expect("it is refused");
    behind.lines().next().expect("a line").to_owned()
}

#[test]
fn the_variables_of_this_process_are_read() {
    match Budget::from_env() {
        Err(error) if std::env::var_os("ERROR_OF_VARIABLES").is_some() => {
            assert_eq!(name(&error), "Variable");
            println!("refused: {error}");
        }
        other => drop(other.expect("nothing is set for the tests")),
    }
}

#[test]
fn every_error_reads_as_it_is_kept() {
    let folder = tempfile::tempdir().expect("there is room");
    let errors: Vec<_> = [of_plans(), of_runs(), of_files(folder.path()), of_machines()]
        .into_iter()
        .flatten()
        .collect();
    let place = folder.path().display().to_string();
    let mut told: Vec<_> = [("PLIMSOLL_MEMORY", "lots"), ("PLIMSOLL_WORKERS_SCREEN", "0")]
        .into_iter()
        .chain([("PLIMSOLL_MEMROY", "8GiB")])
        .map(|(variable, value)| format!("Variable\n    {}", of_variable(variable, value)))
        .collect();
    told.extend(errors.iter().map(|error| {
        let text = error.to_string().replace(&place, "/data");
        format!("{}\n    {text}", name(error))
    }));
    for variant in VARIANTS {
        let known = |told: &String| told.lines().next() == Some(variant);
        assert!(told.iter().any(known), "{variant} is not provoked");
    }
    let text = told.join("\n\n") + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors/all.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &text).expect("it can be written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "errors read otherwise than kept; UPDATE=1 rewrites. Now:\n{text}");
}
