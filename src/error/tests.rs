//! Every error as its reader sees it, kept in `tests/errors/all.txt`: provoked through the
//! public interface but for what only a broken machine brings about.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

mod files;

use super::*;
use crate::stage::{Footprint, Stage};
use crate::units::MIB;
use crate::{Budget, CancelToken, Pipeline, Shared};

/// All variants: a new one does not compile until it is here, and then fails until it is kept.
const VARIANTS: [&str; 21] = [
    "Variable",
    "LimitUnreadable",
    "ZeroBudget",
    "NameClash",
    "StageName",
    "Setting",
    "LargestItem",
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
        Error::LargestItem { .. } => "LargestItem",
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

/// The variant's name, and those of the problems within.
fn names(error: &Error) -> Vec<&'static str> {
    let mut names = vec![name(error)];
    if let Error::SharedFormat { problem, .. } = error {
        names.extend(files::names(problem));
    }
    names
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
    let many = || Stage::memory("screen", Footprint::per_worker(20 * MIB)).map(|n: u64| n);
    let copied: Shared<[u64]> = vec![0; 4 << 20].into();
    let with_table = Footprint::table(&copied).and(Footprint::per_worker(20 * MIB));
    let align = Stage::memory("align", with_table).map(|n: u64| n);
    vec![
        plan(Pipeline::new(parse()), &Budget::new(0, 2)),
        plan(Pipeline::new(parse()), &Budget::new(MEMORY, 0)),
        plan(Pipeline::new(parse()).then(Stage::cpu("PARSE").map(|n| n)), &budget()),
        plan(Pipeline::new(Stage::cpu("??").map(|n: u64| n)), &budget()),
        plan(Pipeline::new(parse()).window(0), &budget()),
        plan(Pipeline::new(parse()), &budget().with_workers("parse", 5_000)),
        plan(Pipeline::new(parse()), &Budget::new(MEMORY, 5_000)),
        plan(Pipeline::new(parse()).largest_item(2), &budget()),
        plan(Pipeline::new(parse()).then(heavy()), &budget()),
        plan(Pipeline::new(parse()).then(many()), &budget().with_workers("screen", 4)),
        plan(Pipeline::new(align).then(many()), &budget()),
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
    let load = Stage::cpu("load").map(|n: u64| n).weigh(|_| 100 * MIB);
    let pipeline = Pipeline::new(load).then(parse()).build(&budget()).expect("it fits");
    let output = pipeline.run(0..3, drop).expect_err("it is too large");
    let token = CancelToken::new();
    token.cancel();
    let cancelled = good().job().cancel(&token).run(0..3, drop).expect_err("it is cancelled");
    let late = good().job().time_limit(Duration::ZERO).run(0..3, drop).expect_err("it is late");
    let source = (0..3).inspect(|n| assert!(*n < 2, "planned: no more"));
    let source = good().run(source, drop).expect_err("the source panics");
    let broken = [Ok(1), Ok(2), Err("stream did not contain valid UTF-8")];
    let broken = good().try_run(broken, drop).expect_err("the source fails");
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
        run(Stage::memory("align", Footprint::per_item(|_| 32 * MIB)).map(|n| n)),
        output.into(),
        run(Stage::memory("embed", Footprint::none()).map_batch(1, |_: Vec<u64>| vec![1, 2])),
        run(Stage::cpu("load").with_state(|| panic!("planned: no model")).map(|(), n: u64| n)),
        run(parse().weigh(|_| panic!("planned: index out of bounds"))),
        source.into(),
        broken.into(),
        sink.into(),
        lost.into(),
        cancelled.into(),
        late.into(),
    ]
}

/// What only a broken machine brings about.
fn of_machines() -> Vec<Error> {
    let refused = |kind| io::Error::from(kind);
    vec![
        Error::LimitUnreadable {
            path: "/sys/fs/cgroup/memory.max".into(),
            source: refused(io::ErrorKind::PermissionDenied),
        },
        Error::Spawn {
            index: 31,
            threads: 65,
            source: refused(io::ErrorKind::WouldBlock),
            by_variable: true,
        },
        Error::SharedPin {
            path: "reactions.plim".into(),
            bytes: 3 << 30,
            allowed: Some(8 << 20),
            source: refused(io::ErrorKind::OutOfMemory),
        },
        // Provoked by `tests/archives.rs`, with the feature `rkyv` alone.
        Error::SharedFormat {
            path: "reactions.plim".into(),
            problem: FormatProblem::Section {
                name: "grammar".to_owned(),
                problem: FormatProblem::Archive { problem: "pointer out of bounds".into() }.into(),
            },
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
    let errors: Vec<_> = [of_plans(), of_runs(), files::all(folder.path()), of_machines()]
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
        format!("{}\n    {text}", names(error).join(": "))
    }));
    let provoked: BTreeSet<_> = errors.iter().flat_map(names).chain(["Variable"]).collect();
    let wanted: BTreeSet<_> = VARIANTS.into_iter().chain(files::PROBLEMS).collect();
    assert_eq!(provoked, wanted, "what is provoked, and what there is");
    let text = told.join("\n\n") + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors/all.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &text).expect("it can be written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "errors read otherwise than kept; UPDATE=1 rewrites. Now:\n{text}");
}
