//! Style is a test: the rules of the house that a compiler does not know, checked over the whole tree.
//!
//! Invariant: each rule is a pure function of a path and a text, has its own tests beside it that it fires and stays silent, and
//! one test below that runs it over the tree. There are no exceptions but those in the rules' tables, each with its reason.

mod imports;
mod lex;
mod names;
mod purity;
mod shape;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub rule: &'static str,
    pub advice: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, rule: &'static str, advice: String) -> Self {
        Finding { path: path.to_owned(), line, rule, advice }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// The text files of the repository by path, `/` between parts.
type Files = BTreeMap<String, String>;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads the tree, but for hidden folders except `.ci`, and what Cargo built (it marks its folders with a CACHEDIR.TAG).
fn walk(folder: &Path, prefix: &str, files: &mut Files) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a folder that opens can be listed");
        let name = entry.file_name().into_string().expect("names in the repository are UTF-8");
        let (path, inner) = (format!("{prefix}{name}"), entry.path());
        if name == ".git" {
            // In a second working tree it is a file, with a path of this machine in it.
            continue;
        }
        if inner.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci";
            if !hidden && name != "target" && !inner.join("CACHEDIR.TAG").exists() {
                walk(&inner, &format!("{path}/"), files);
            }
        } else if let Ok(text) = fs::read_to_string(&inner) {
            files.insert(path, text);
        }
    }
}

fn tree(wanted: impl Fn(&str) -> bool) -> Files {
    let mut files = Files::new();
    walk(&root(), "", &mut files);
    files.retain(|path, _| wanted(path));
    assert!(!files.is_empty(), "{} holds none of the files that this rule reads", root().display());
    files
}

fn sources() -> Files {
    tree(|path| path.ends_with(".rs"))
}

fn manifests() -> Files {
    tree(|path| path == "Cargo.toml" || path.ends_with("/Cargo.toml"))
}

/// Fails with all findings, each on its line once.
fn pass(mut findings: Vec<Finding>) {
    findings.sort();
    findings.dedup();
    let lines: Vec<_> = findings.iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "the house is not tidy:\n{}", lines.join("\n"));
}

fn check_sources(rule: impl Fn(&str, &str) -> Vec<Finding>) {
    pass(sources().iter().flat_map(|(path, text)| rule(path, text)).collect());
}

#[test]
fn code_imports_what_it_may() {
    check_sources(imports::imports);
}

#[test]
fn manifests_import_what_they_may() {
    let manifests = manifests();
    let packages: Vec<_> = manifests.keys().map(|path| path.trim_end_matches("Cargo.toml").to_owned()).collect();
    pass(manifests.iter().flat_map(|(path, text)| imports::manifest(path, text, &packages)).collect());
}

#[test]
fn names_say_something() {
    check_sources(names::banned_names);
    check_sources(|path, _| names::banned_file(path));
}

#[test]
fn text_speaks_of_the_project_alone() {
    let texts = tree(|path| ![".csv", ".txt", ".lock"].iter().any(|end| path.ends_with(end)));
    pass(texts.iter().flat_map(|(path, text)| names::foreign_text(path, text)).collect());
}

#[test]
fn functions_fit_a_screen() {
    check_sources(shape::function_lines);
}

#[test]
fn files_hold_one_concept() {
    check_sources(shape::file_lines);
}

#[test]
fn files_say_what_they_are() {
    check_sources(shape::opening);
}

#[test]
fn every_file_can_be_read() {
    check_sources(shape::readable);
}

#[test]
fn every_file_belongs_to_a_crate() {
    pass(shape::orphans(&sources(), &manifests()));
}

#[test]
fn unsafe_has_one_home() {
    check_sources(purity::unsafe_code);
}

#[test]
fn unwrap_is_for_tests() {
    check_sources(purity::unwraps);
}

#[test]
fn pure_cores_are_pure() {
    check_sources(purity::impure);
}
