//! Source text without what is no code, and what is said in it. No parser: enough for
//! sources that `rustfmt` has formatted.

use std::collections::BTreeSet;

/// The code of `source`: comments and the contents of literals blank, test items gone.
/// Lines stay where they are.
pub(crate) fn without_tests(source: &str) -> String {
    let blank = blanked(source);
    let mut code = String::with_capacity(blank.len());
    let mut lines = blank.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            code.push_str(line);
            continue;
        }
        code.push('\n');
        let mut depth = 0;
        for line in lines.by_ref() {
            code.push('\n');
            depth += balance(line);
            let ends = line.trim_end().ends_with(['}', ';', ',']);
            if depth == 0 && ends && !line.trim_start().starts_with("#[") {
                break;
            }
        }
    }
    code
}

fn balance(line: &str) -> i64 {
    let count = |wanted: [char; 3]| line.matches(wanted).count() as i64;
    count(['{', '(', '[']) - count(['}', ')', ']'])
}

/// `source` with spaces for comments and for what is between quotes.
fn blanked(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            'r' if !out.ends_with(is_word) => raw(rest).unwrap_or(0),
            '\'' => character(rest).unwrap_or(0),
            _ => 0,
        };
        if length == 0 {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            let blank = rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' });
            out.extend(blank);
            rest = &rest[length..];
        }
    }
    out
}

/// The length of the string literal that `text` starts with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (place, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the raw string literal that `text` starts with, if it does.
fn raw(text: &str) -> Option<usize> {
    let hashes = text[1..].chars().take_while(|next| *next == '#').count();
    let body = 1 + hashes + 1;
    text[1 + hashes..].starts_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(hashes));
    text[body..].find(&end).map(|place| body + place + end.len())
}

/// The length of the character literal that `text` starts with, unless it is a
/// lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = text[1..].chars().next()?;
    if inner == '\\' {
        let end = text.char_indices().skip(3).find(|(_, next)| *next == '\'');
        return end.map(|(place, _)| place + 1);
    }
    let end = 1 + inner.len_utf8();
    text[end..].starts_with('\'').then_some(end + 1)
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

fn word(text: &str) -> &str {
    text.split(|next| !is_word(next)).next().unwrap_or("")
}

/// The lines on which `wanted` stands as a word of its own.
pub(crate) fn places(code: &str, wanted: &str) -> Vec<usize> {
    let found = code.match_indices(wanted).filter(|(place, _)| {
        let before = code[..*place].ends_with(is_word) && wanted.starts_with(is_word);
        let after = code[place + wanted.len()..].starts_with(is_word) && wanted.ends_with(is_word);
        !before && !after
    });
    found.map(|(place, _)| code[..place].matches('\n').count() + 1).collect()
}

/// The modules below the crate's root that `code` names by `crate::`.
pub(crate) fn imports(code: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for (place, path) in code.match_indices("crate::") {
        let rest = &code[place + path.len()..];
        if code[..place].ends_with('$') {
            continue;
        }
        match rest.strip_prefix('{') {
            Some(group) => modules.extend(members(group)),
            None => _ = modules.insert(word(rest).to_owned()),
        }
    }
    modules
}

/// The first word of each member of a group of imports that has just been opened.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (place, next) in group.char_indices() {
        match next {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(word(group[start..place].trim()).to_owned());
                start = place + 1;
                if next == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The most `super::` in a row.
pub(crate) fn longest_climb(code: &str) -> usize {
    let climb = |place: usize| {
        let mut rest = &code[place..];
        let mut steps = 0;
        while let Some(more) = rest.strip_prefix("super::") {
            rest = more;
            steps += 1;
        }
        steps
    };
    code.match_indices("super::").map(|(place, _)| climb(place)).max().unwrap_or(0)
}

/// The modules that `code` declares.
pub(crate) fn modules(code: &str) -> BTreeSet<String> {
    let declared = code.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    declared.map(str::to_owned).collect()
}

/// The functions that have a body, each with its lines from `fn` to the last brace.
pub(crate) fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (place, _) in code.match_indices("fn ") {
        let name = word(&code[place + 3..]);
        if name.is_empty() || code[..place].ends_with(is_word) {
            continue;
        }
        let (mut depth, mut begun) = (0i64, false);
        for (end, next) in code[place..].char_indices() {
            match next {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                ';' if depth == 0 => break,
                _ => {}
            }
            begun |= next == '{' && depth == 1;
            if begun && depth == 0 {
                let lines = code[place..place + end].matches('\n').count() + 1;
                found.push((name.to_owned(), lines));
                break;
            }
        }
    }
    found
}
