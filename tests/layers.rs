//! The rules of ARCHITECTURE.md that the compiler does not check: who may import whom,
//! what appears nowhere, how long things get.

#[path = "layers/text.rs"]
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use text::{functions, imports, longest_climb, modules, places, without_tests};

/// From the bottom up. What stands in one row does not import each other, but for
/// the words of level 0 (without cycles) and level 4, where each may import those
/// before it.
const LAYERS: [&[&str]; 6] = [
    &["error", "fault", "item", "units", "signal", "sync", "table", "weight"],
    &[
        "stage", "budget", "buffers", "ledger", "queue", "frontier", "cancel", "report", "shared",
        "drift", "resident", "cores",
    ],
    &["plan"],
    &["engine"],
    &["progress", "outcome", "fallible", "stream", "pipeline", "what_if", "blocks"],
    &["lib"],
];

const MOST_LINES: usize = 500;
const MOST_FUNCTION_LINES: usize = 70;

fn level(module: &str) -> Option<(usize, usize)> {
    LAYERS.iter().enumerate().find_map(|(level, row)| {
        row.iter().position(|name| *name == module).map(|place| (level, place))
    })
}

fn may_import(from: &str, to: &str) -> bool {
    let (Some((above, later)), Some((below, earlier))) = (level(from), level(to)) else {
        return false;
    };
    match above == below {
        true => from == to || above == 0 || (above == 4 && earlier < later),
        false => below < above,
    }
}

/// A file of the crate: its path below `src`, what it says, and that without tests,
/// comments and literals.
struct File {
    path: PathBuf,
    raw: String,
    code: String,
}

impl File {
    fn new(path: &str, raw: &str) -> Self {
        Self { path: path.into(), raw: raw.to_owned(), code: without_tests(raw) }
    }

    /// The module right below the crate's root that it belongs to.
    fn module(&self) -> String {
        let first = self.path.iter().next().expect("a path has a part");
        Path::new(first).file_stem().expect("a file has a name").to_string_lossy().into_owned()
    }

    /// How many modules stand above it, the crate's root included.
    fn depth(&self) -> usize {
        let parts = self.path.iter().count();
        if self.path.ends_with("mod.rs") { parts - 1 } else { parts }
    }

    fn is_test(&self) -> bool {
        self.path.iter().any(|part| part == "tests" || part == "tests.rs")
    }
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("src is a folder") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let raw = fs::read_to_string(&path).expect("a source file is text");
            let source = root().join("src");
            let below = path.strip_prefix(source).expect("it was found there");
            files.push(File::new(below.to_str().expect("a plain name"), &raw));
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files but those that hold only tests.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    files.retain(|file| !file.is_test());
    assert!(files.len() > 30, "the crate has files");
    files
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Imports that go up or sideways.
fn wrong_imports(file: &File) -> Vec<String> {
    let (module, path) = (file.module(), file.path.display());
    if level(&module).is_none() {
        return vec![format!("{path}: {module} is in no layer")];
    }
    let wrong = imports(&file.code).into_iter().filter(|to| !may_import(&module, to));
    let mut problems: Vec<_> =
        wrong.map(|to| format!("{path}: {module} must not import {to}")).collect();
    if longest_climb(&file.code) >= file.depth() {
        problems.push(format!("{path}: `super` leads to the root; say `crate::`"));
    }
    problems
}

/// A module of the bottom row that imports itself through others.
fn cycle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let reaches = |start: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(module) = open.pop() {
            for next in edges.get(module).into_iter().flatten() {
                if next == start {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    };
    edges.keys().find(|module| reaches(module)).cloned()
}

/// Words that may not appear: what, where nevertheless.
const FORBIDDEN: [(&str, &str); 8] = [
    ("unsafe", "shared/pages.rs"),
    ("thread::sleep", "shared/pages.rs"),
    (".unwrap()", ""),
    ("todo!", ""),
    ("unimplemented!", ""),
    ("println!", ""),
    ("eprintln!", ""),
    ("dbg!", ""),
];

fn forbidden(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (word, exempt) in FORBIDDEN {
        if file.path == Path::new(exempt) {
            continue;
        }
        let lines = places(&file.code, word);
        let told = lines.iter().map(|line| format!("{}:{line}: {word}", file.path.display()));
        problems.extend(told);
    }
    problems
}

fn too_long(file: &File) -> Vec<String> {
    let path = file.path.display();
    let mut problems = Vec::new();
    let lines = file.raw.lines().count();
    if lines >= MOST_LINES {
        problems.push(format!("{path}: {lines} lines"));
    }
    for (name, lines) in functions(&file.code) {
        if lines >= MOST_FUNCTION_LINES {
            problems.push(format!("{path}: {name} has {lines} lines"));
        }
    }
    problems
}

#[test]
fn a_file_imports_only_lower_levels() {
    let problems: Vec<_> = files().iter().flat_map(wrong_imports).collect();
    assert_none(&problems);
}

#[test]
fn the_lowest_level_has_no_cycle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files().iter().filter(|file| level(&file.module()).is_some_and(|at| at.0 == 0)) {
        let others = imports(&file.code).into_iter().filter(|to| *to != file.module());
        edges.entry(file.module()).or_default().extend(others);
    }
    assert_eq!(edges.len(), LAYERS[0].len());
    assert_eq!(cycle(&edges), None);
}

#[test]
fn what_must_not_appear_does_not() {
    let problems: Vec<_> = files().iter().flat_map(forbidden).collect();
    assert_none(&problems);
}

#[test]
fn files_and_functions_are_short() {
    let problems: Vec<_> = files().iter().flat_map(too_long).collect();
    assert_none(&problems);
}

/// The rows of the table in ARCHITECTURE.md, from the top down.
fn documented(text: &str) -> Vec<BTreeSet<String>> {
    let table = text.split("```").nth(1).expect("the code map comes first");
    let mut rows: Vec<BTreeSet<String>> = Vec::new();
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let (label, rest) = line.split_at_checked(4).expect("a row has a label or a margin");
        if !label.trim().is_empty() {
            rows.push(BTreeSet::new());
        }
        let names = rest.split("  ").next().expect("a row has names").split(' ');
        let names = names.filter(|name| !matches!(*name, "" | ">")).map(str::to_owned);
        rows.last_mut().expect("the first row is labelled").extend(names);
    }
    rows
}

#[test]
fn the_documented_layers_are_those_of_the_crate() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let rows = documented(&text);
    let set = |row: &&[&str]| row.iter().map(|name| (*name).to_owned()).collect();
    let wanted: Vec<BTreeSet<String>> = LAYERS.iter().rev().map(set).collect();
    assert_eq!(rows, wanted);
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("it is there");
    let mut named: BTreeSet<_> = rows.into_iter().flatten().collect();
    assert!(named.remove("lib"));
    assert_eq!(named, modules(&without_tests(&lib)));
}

#[test]
fn a_wrong_import_would_be_found() {
    let wrong = |path: &str, code: &str| wrong_imports(&File::new(path, code)).len();
    assert_eq!(wrong("queue.rs", "use crate::item::ItemId;\n"), 0);
    assert_eq!(wrong("queue.rs", "use crate::ledger::Permit;\n"), 1, "sideways");
    assert_eq!(wrong("plan/mod.rs", "use crate::engine::Run;\n"), 1, "upward");
    assert_eq!(wrong("plan/mod.rs", "fn f() { crate::engine::run(); }\n"), 1, "in a body");
    assert_eq!(wrong("error.rs", "use crate::{item::{ItemId, X}, stage, units as u};\n"), 1);
    assert_eq!(wrong("error.rs", "pub(in crate::stage) struct A;\n"), 1);
    assert_eq!(wrong("stream.rs", "use crate::outcome::RunError;\n"), 0);
    assert_eq!(wrong("outcome.rs", "use crate::stream::Stream;\n"), 1, "the wrong way round");
    assert_eq!(wrong("error.rs", "use crate::units::Bytes;\n"), 0);
    assert_eq!(wrong("pool.rs", ""), 1, "in no layer");
    assert_eq!(wrong("plan/planner.rs", "use super::Plan;\n"), 0);
    assert_eq!(wrong("plan/planner.rs", "use super::super::engine::Run;\n"), 1);
    assert_eq!(wrong("plan/mod.rs", "use super::engine::Run;\n"), 1);
    assert_eq!(wrong("plan/mod.rs", "/// See [`crate::engine`].\n// crate::engine\n"), 0);
    let tests = "#[cfg(test)]\nmod tests {\n use crate::engine::Run;\n}\n";
    assert_eq!(wrong("plan/mod.rs", tests), 0);
    assert_eq!(wrong("plan/mod.rs", "#[cfg(test)]\nmod tests;\nuse crate::engine::Run;\n"), 1);
}

#[test]
fn a_cycle_would_be_found() {
    let edge = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    assert_eq!(cycle(&BTreeMap::from([edge("error", "item"), edge("item", "units")])), None);
    let round =
        BTreeMap::from([edge("error", "item"), edge("item", "units"), edge("units", "error")]);
    assert!(cycle(&round).is_some());
}

#[test]
fn what_is_forbidden_would_be_found() {
    let found = |path: &str, code: &str| forbidden(&File::new(path, code)).len();
    assert_eq!(found("plan/mod.rs", "fn f() {\n unsafe { g() }\n h().unwrap();\n}\n"), 2);
    assert_eq!(found("shared/pages.rs", "unsafe fn f() { std::thread::sleep(x) }\n"), 0);
    assert_eq!(found("signal.rs", "fn f() { thread::sleep(x); todo!() }\n"), 2);
    assert_eq!(found("plan/mod.rs", "#![deny(unsafe_code)]\n// unsafe\n/// println!\n"), 0);
    assert_eq!(found("plan/mod.rs", "const A: &str = \"unsafe // \\\" todo!\"; f(a, 'u');\n"), 0);
    assert_eq!(
        found("plan/mod.rs", "const A: &str = r#\"un\"safe\"#; fn f<'a>() { dbg!(1) }\n"),
        1
    );
    assert_eq!(found("plan/mod.rs", "fn f() { eprintln!(\"x\") }\n"), 1);
}

#[test]
fn what_is_too_long_would_be_found() {
    let long = |code: &str| too_long(&File::new("a.rs", code));
    let body = |lines: usize| "    let _ = [0; 3];\n".repeat(lines);
    assert!(long(&format!("fn f(a: [u8; 3]) -> fn(u8) {{\n{}}}\n", body(67))).is_empty());
    assert_eq!(long(&format!("fn f(a: [u8; 3]) -> fn(u8) {{\n{}}}\n", body(68))).len(), 1);
    assert_eq!(long(&format!("trait T {{\n fn f(a: [u8; 3]);\n{}}}\n", body(80))).len(), 0);
    assert_eq!(long(&"// line\n".repeat(500)).len(), 1);
}
