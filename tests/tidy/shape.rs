//! The shape of the code: sizes, the opening of a file, and that every file belongs to a crate.
//!
//! Invariant: lines are counted as a reader counts them, comments and blank lines included, so that a screen is a screen.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::imports::entries;
use super::lex::{Kind, Token, closing, item_end, lex, unclosed};

/// Lines of a function, from `fn` to its closing brace: what fits a screen.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Lines of a file: one concept. Aim at 400.
pub const FILE_LINES_MAX: usize = 600;

/// Fires on a function that is too long.
pub fn function_lines(path: &str, text: &str) -> Vec<Finding> {
    let tokens = lex(text);
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        if (keyword.kind, keyword.text, name.kind) != (Kind::Name, "fn", Kind::Name) {
            continue;
        }
        let lines = tokens[item_end(&tokens, at)].line + 1 - keyword.line;
        if lines > FUNCTION_LINES_MAX {
            let advice = format!("`{}` has {lines} lines, at most {FUNCTION_LINES_MAX}: name its steps", name.text);
            found.push(Finding::new(path, keyword.line, "function size", advice));
        }
    }
    found
}

/// Fires on a file that is too long.
pub fn file_lines(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let advice = format!("{lines} lines, at most {FILE_LINES_MAX}: it holds more than one concept, split it");
    vec![Finding::new(path, FILE_LINES_MAX + 1, "file size", advice)]
}

/// Fires on a file that does not open with `//!` and a sentence.
pub fn opening(path: &str, text: &str) -> Vec<Finding> {
    let says =
        text.strip_prefix("//!").and_then(|rest| rest.lines().next()).is_some_and(|line| !line.trim().is_empty());
    if says {
        return Vec::new();
    }
    let advice = "open with `//!`: what the file is, its invariant, what it does not do".to_owned();
    vec![Finding::new(path, 1, "opening", advice)]
}

/// Fires on a file whose brackets do not close: the other rules would be blind in it.
pub fn readable(path: &str, text: &str) -> Vec<Finding> {
    let advice = || "a bracket without partner: teach tests/tidy/lex.rs what it misread".to_owned();
    unclosed(&lex(text)).map(|line| Finding::new(path, line, "lexer", advice())).into_iter().collect()
}

/// Fires on source files that no crate reaches by `mod`. `files` and `manifests` map paths to texts.
pub fn orphans(files: &BTreeMap<String, String>, manifests: &BTreeMap<String, String>) -> Vec<Finding> {
    let roots = manifests.iter().flat_map(|(path, text)| crate_roots(path, text));
    let mut waiting: Vec<(String, bool)> =
        roots.filter(|path| files.contains_key(path)).map(|path| (path, true)).collect();
    let mut reached = BTreeSet::new();
    while let Some((path, is_root)) = waiting.pop() {
        let Some(text) = files.get(&path) else { continue };
        if reached.insert(path.clone()) {
            let candidates = modules(&path, is_root, text).into_iter();
            waiting.extend(candidates.map(|candidate| (candidate, false)));
        }
    }
    let unreached = files.keys().filter(|path| !reached.contains(*path));
    let advice = || "no `mod` reaches this file, so it is never compiled: declare it or delete it".to_owned();
    unreached.map(|path| Finding::new(path, 1, "orphan", advice())).collect()
}

/// The files that Cargo compiles by itself for a manifest: the usual ones and those of its target sections.
fn crate_roots(manifest: &str, text: &str) -> Vec<String> {
    let folder = manifest.trim_end_matches("Cargo.toml");
    let mut roots: Vec<_> = ["src/main.rs", "src/lib.rs", "build.rs"].map(|file| format!("{folder}{file}")).to_vec();
    for entry in entries(text) {
        let usual = match entry.section {
            "bin" => "src/bin",
            "test" => "tests",
            "bench" => "benches",
            "example" => "examples",
            _ => continue,
        };
        let value = entry.value.trim_matches('"');
        match entry.key {
            "path" => roots.push(format!("{folder}{value}")),
            "name" => roots.push(format!("{folder}{usual}/{value}.rs")),
            _ => {}
        }
    }
    roots
}

/// Where the modules that a file declares may lie.
fn modules(path: &str, is_root: bool, text: &str) -> Vec<String> {
    let (folder, stem) = path.trim_end_matches(".rs").rsplit_once('/').unwrap_or(("", path.trim_end_matches(".rs")));
    let base = if is_root || stem == "mod" { folder.to_owned() } else { join(folder, stem) };
    let tokens = lex(text);
    let mut found = Vec::new();
    collect(&tokens, &base, folder, &mut found);
    found
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn collect(tokens: &[Token], base: &str, folder: &str, found: &mut Vec<String>) {
    let mut at = 0;
    while at + 2 < tokens.len() {
        let (keyword, name, end) = (&tokens[at], &tokens[at + 1], &tokens[at + 2]);
        if (keyword.kind, keyword.text, name.kind) != (Kind::Name, "mod", Kind::Name) {
            at += 1;
            continue;
        }
        if end.text == "{" {
            let close = closing(tokens, at + 2);
            collect(&tokens[at + 3..close], &join(base, name.text), folder, found);
            at = close;
        } else if let Some(given) = path_attribute(&tokens[..at]) {
            found.push(join(folder, given));
        } else {
            found.extend(["", "/mod"].map(|tail| format!("{}{tail}.rs", join(base, name.text))));
        }
        at += 1;
    }
}

/// The path in `#[path = ".."]` right before a declaration, visibility between them or not.
fn path_attribute<'a>(before: &[Token<'a>]) -> Option<&'a str> {
    let close = before.iter().rposition(|token| token.text != "pub")?;
    match &before[..=close] {
        [.., hash, open, key, equals, value, end]
            if [hash, open, key, equals, end].map(|token| token.text) == ["#", "[", "path", "=", "]"] =>
        {
            Some(value.text.trim_matches('"'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_fit_a_screen() {
        let body = |lines: usize| {
            format!("trait T {{ fn declared(a: [u8; 2]); }}\nfn f()\nwhere\n{{\n{}}}\n", "//\n".repeat(lines))
        };
        assert_eq!(function_lines("a.rs", &body(66)), []);
        let found = function_lines("a.rs", &body(67));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
        let inside = format!("proptest! {{\n#[test]\nfn f(a in 0..2) {{{}}}\n}}", "\n".repeat(70));
        assert_eq!(function_lines("a.rs", &inside).len(), 1, "macros hide nothing");
        assert_eq!(function_lines("a.rs", &format!("static F: fn() = g;{}", "\n".repeat(90))), []);
    }

    #[test]
    fn files_hold_one_concept_and_say_which() {
        assert_eq!(file_lines("a.rs", &"x\n".repeat(600)), []);
        assert_eq!(file_lines("a.rs", &"x\n".repeat(601)).len(), 1);
        assert_eq!(opening("a.rs", "//! What it is.\n"), []);
        for bad in ["//!\nmod x;", "// no\n", "use x;\n//! late", ""] {
            assert_eq!(opening("a.rs", bad).len(), 1, "{bad}");
        }
        assert_eq!(readable("a.rs", "fn a() { '{' }"), []);
        assert_eq!(readable("a.rs", "fn a() {\n").len(), 1);
    }

    #[test]
    fn every_file_belongs_to_a_crate() {
        let map =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
        let manifests =
            map(&[("Cargo.toml", "[[test]]\nname = \"x\"\npath = \"tests/main.rs\"\n"), ("w/Cargo.toml", "")]);
        let files: BTreeMap<String, String> = map(&[
            ("src/main.rs", "mod a; mod b { mod c; } #[path = \"odd.rs\"] pub mod d; // mod f;"),
            ("src/a.rs", "pub(crate) mod e;"),
            ("src/a/e.rs", ""),
            ("src/b/c/mod.rs", "mod g;"),
            ("src/b/c/g.rs", ""),
            ("src/odd.rs", ""),
            ("tests/main.rs", "mod tidy;"),
            ("tests/tidy.rs", ""),
            ("w/src/lib.rs", "#[cfg(test)] mod tests;"),
            ("w/src/tests.rs", ""),
        ]);
        assert_eq!(orphans(&files, &manifests), []);
        for lost in ["src/f.rs", "src/e.rs", "tests/flow.rs", "w/src/a.rs", "benches/b.rs"] {
            let mut more = files.clone();
            more.insert(lost.to_owned(), String::new());
            let found = orphans(&more, &manifests);
            assert_eq!(found.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), [lost]);
        }
    }
}
