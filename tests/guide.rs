//! The pages of the guide tell what really happens: what they show of programs is compared
//! with what these print. (Their Rust is tested as documentation.)

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use plimsoll::{Budget, Footprint, GIB, Pipeline, Stage};

/// Which program of a page this process is.
const PROGRAM: &str = "GUIDE_PROGRAM";
/// What stands for anything: within a line for any text, alone for any number of lines.
const ANYTHING: char = '…';

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide").join(name);
    fs::read_to_string(path).expect("the page is there")
}

/// A command that a page shows, and the lines below it.
struct Shown<'a> {
    command: &'a str,
    lines: Vec<&'a str>,
}

fn shown(page: &str) -> Vec<Shown<'_>> {
    let blocks = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut shown: Vec<Shown<'_>> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => shown.push(Shown { command, lines: Vec::new() }),
            None => shown.last_mut().expect("a command comes first").lines.push(line),
        }
    }
    shown
}

/// Whether `text` is what `pattern` shows.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// Whether `printed` is what `lines` show.
fn are_like(printed: &[&str], lines: &[&str]) -> bool {
    match lines {
        [] => printed.is_empty(),
        [first, rest @ ..] if first.chars().eq([ANYTHING]) => {
            (0..=printed.len()).any(|skipped| are_like(&printed[skipped..], rest))
        }
        [first, rest @ ..] => {
            printed.first().is_some_and(|line| is_like(line, first))
                && are_like(&printed[1..], rest)
        }
    }
}

/// Runs `VARIABLE=value … program` and takes what it prints.
fn run(command: &str) -> String {
    let (variables, program) = command.rsplit_once(' ').expect("variables come first");
    let mut child = Command::new(std::env::current_exe().expect("it runs"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PLIMSOLL_") {
            child.env_remove(name);
        }
    }
    for setting in variables.split(' ') {
        let (name, value) = setting.split_once('=').expect("a variable has a value");
        child.env(name, OsStr::new(value));
    }
    child.env(PROGRAM, program).args(["--exact", "as_a_program", "--nocapture"]);
    let printed = String::from_utf8(child.output().expect("it runs").stdout).expect("it is text");
    let (_, after) = printed.split_once("<<<\n").expect("the program begins");
    after.split_once(">>>").expect("the program ends").0.to_owned()
}

/// What the programs of the page print.
fn printed(program: &str) -> Result<String, plimsoll::Error> {
    let budget = Budget::from_env()?;
    Ok(match program {
        "budget" => format!("{budget}\n"),
        "plan" => {
            let perceive = Stage::cpu("perceive").map(|n: u64| n);
            let look_up = Stage::memory("look up", Footprint::per_worker(GIB)).map(|n: u64| n);
            Pipeline::new(perceive).then(look_up).plan(&budget)?.to_string()
        }
        other => panic!("{other} is no program of the guide"),
    })
}

#[test]
fn as_a_program() {
    let Ok(program) = std::env::var(PROGRAM) else { return };
    let text = printed(&program).unwrap_or_else(|error| format!("{error}\n"));
    println!("\n<<<\n{text}>>>");
}

#[test]
fn variables_do_what_their_page_shows() {
    let page = page("variables.md");
    let shown = shown(&page);
    assert!(shown.len() > 15, "the page shows commands");
    for Shown { command, lines } in shown {
        let printed = run(command);
        let told: Vec<&str> = printed.lines().collect();
        assert!(are_like(&told, &lines), "$ {command}\n{printed}");
    }
}

#[test]
fn what_differs_would_be_found() {
    assert!(is_like("cores: 4 (given)", "cores: 4 (given)"));
    assert!(is_like("cores: 4 (given)", "cores: … (…)"));
    assert!(!is_like("cores: 4 (given)", "cores: 4"));
    assert!(!is_like("cores: 4 (given)", "cores: … (found)"));
    assert!(are_like(&["a", "b", "c"], &["…", "b", "…"]));
    assert!(are_like(&["a", "b"], &["a", "…", "b"]));
    assert!(!are_like(&["a", "b", "c"], &["…", "b"]));
    assert!(!are_like(&["a"], &["a", "b"]));
}
