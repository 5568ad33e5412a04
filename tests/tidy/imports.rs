//! Who may import whom: the crates that only some places may name, read from the manifests and from the paths in the code.
//!
//! Invariant: one table, `PLACES`, decides both, so that a manifest cannot allow what the code may not use. A crate that is not in
//! the table may be named anywhere, except this workspace's own, which must all be there.

use super::Finding;
use super::lex::{lex, paths, test_code};
use super::purity::is_test_file;

/// Crates (a family: the name itself and `name-*`) and where they may be named.
pub struct Place {
    pub family: &'static str,
    /// A folder ends with `/`; otherwise it is a module: `a/b` is `a/b.rs` and all of `a/b/`.
    pub places: &'static [&'static str],
    pub reason: &'static str,
}

/// Outside the product: the integration tests, the benchmarks and the fuzz targets see all crates. Unit tests see all that their
/// package has.
const OUTSIDE: [&str; 3] = ["tests/", "benches/", "fuzz/"];

const fn place(family: &'static str, places: &'static [&'static str], reason: &'static str) -> Place {
    Place { family, places, reason }
}

/// The import rules of the design. To move one, change the design first, then the row.
pub const PLACES: &[Place] = &[
    place(
        "batteuse-shared",
        &["src/", "shared/", "proto/", "store/", "coordinator/", "worker/"],
        "the vocabulary is for all",
    ),
    place("batteuse-proto", &["src/", "proto/", "coordinator/", "worker/src/"], "pure cores do not know the wire"),
    place("batteuse-coordinator", &["src/"], "the coordinator and the worker only meet on the wire"),
    place("batteuse-worker", &["src/"], "the coordinator and the worker only meet on the wire"),
    place("batteuse-store", &["src/", "store/", "coordinator/", "worker/src/"], "pure cores know no folders"),
    place("batteuse-kernel", &["worker/src/", "worker/kernel/"], "only the worker touches content"),
    place("anyhow", &["src/"], "libraries have one error enum per operation"),
    place("clap", &["src/"], "flags are the command line's"),
    place("indicatif", &["src/"], "progress is drawn by the command line"),
    place("tracing-subscriber", &["src/"], "where logs go is decided once, at the start"),
    place("prost", &["proto/"], "proto is the only crate that knows the wire"),
    place("protox", &["proto/"], "proto is the only crate that knows the wire"),
    place("tonic-prost", &["proto/"], "proto is the only crate that knows the wire"),
    // The command line dials: workers and embedded runs in components, the operators' calls in cmd/remote.
    place(
        "tonic",
        &["proto/", "coordinator/src/rpc", "worker/src/agent", "src/components", "src/cmd/remote"],
        "all others speak in the values of proto",
    ),
    // `verify` recounts what `encode` wrote, so it must read it with nothing of ours in between.
    place("parquet", &["worker/src/encode", "worker/src/verify"], "one module knows how a file is written"),
    place("arrow", &["worker/"], "only the worker touches content"),
    place("rayon", &["worker/src/"], "pure cores do not know their pool"),
    place(
        "tokio-postgres",
        &["store/src/database", "coordinator/src/journal", "coordinator/src/publish/table", "worker/src/table"],
        "one module connects; SQL is the journal's, publishing's and staging's",
    ),
    place("object-store", &["store/"], "one crate knows the stores' clients"),
    place("kube", &[], "nothing scales by itself yet; its place will be coordinator/src/autoscale"),
    place("datafusion", &[], "there are no transforms yet; its place will be worker/transform"),
];

/// Modules of the standard library that only the command line and build scripts may name.
const SHELL_ONLY: [&str; 3] = ["std::env", "process::exit", "process::abort"];

fn rule_of(krate: &str) -> Option<&'static Place> {
    let krate = krate.replace('_', "-");
    let of_family =
        |rule: &&Place| krate.strip_prefix(rule.family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    PLACES.iter().filter(of_family).max_by_key(|rule| rule.family.len())
}

fn within(path: &str, place: &str) -> bool {
    match path.strip_prefix(place) {
        Some(rest) => place.ends_with('/') || rest == ".rs" || rest.starts_with('/'),
        None => false,
    }
}

/// Fires on a path whose crate may not be named in this file, and on the process's surroundings outside the command line.
pub fn imports(path: &str, text: &str) -> Vec<Finding> {
    if is_test_file(path) || OUTSIDE.iter().any(|outside| path.starts_with(outside)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let tokens = lex(text);
    let tests = test_code(&tokens);
    for named in paths(&tokens).into_iter().filter(|named| !tests[named.token]) {
        if let Some(rule) = named.root().and_then(rule_of)
            && !rule.places.iter().any(|place| within(path, place))
        {
            let advice = format!("{} is not for this file: {} ({})", rule.family, rule.reason, allowed(rule));
            found.push(Finding::new(path, named.line, "imports", advice));
        }
        let shell = path.starts_with("src/") || path.ends_with("build.rs");
        if let Some(wanted) = SHELL_ONLY.iter().find(|wanted| named.names(wanted))
            && !shell
        {
            let advice = format!("{wanted} belongs to the command line, src/: take the value as an argument");
            found.push(Finding::new(path, named.line, "imports", advice));
        }
    }
    found
}

fn allowed(rule: &Place) -> String {
    if rule.places.is_empty() { "allowed nowhere".to_owned() } else { format!("allowed in {}", rule.places.join(", ")) }
}

/// A line of a manifest: the section it stands in, its key up to the first dot, and its value.
pub struct Entry<'a> {
    pub section: &'a str,
    pub key: &'a str,
    pub value: &'a str,
    pub line: usize,
}

/// The `key = value` lines of a manifest. It reads the TOML that people write in manifests, not all of TOML.
pub fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            if let Some((table, key)) = section.rsplit_once('.')
                && table.ends_with("dependencies")
            {
                found.push(Entry { section: table, key, value: "", line: at + 1 });
            }
        } else if let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let key = key.split('.').next().unwrap_or(key).trim();
            found.push(Entry { section, key, value: value.trim(), line: at + 1 });
        }
    }
    found
}

/// Fires on a dependency that no file of the package may name. `dev-dependencies` may serve tests and benchmarks too, and all of a
/// package outside the product is like them.
pub fn manifest(path: &str, text: &str, packages: &[String]) -> Vec<Finding> {
    let package = path.trim_end_matches("Cargo.toml");
    let mut found = Vec::new();
    for entry in entries(text) {
        if !entry.section.ends_with("dependencies") || entry.section.starts_with("workspace") {
            continue;
        }
        let Some(rule) = rule_of(entry.key) else {
            if entry.key.starts_with("batteuse") {
                let advice = format!("{} has no import rule: add a row to PLACES in tests/tidy/imports.rs", entry.key);
                found.push(Finding::new(path, entry.line, "imports", advice));
            }
            continue;
        };
        let serves = entry.section == "dev-dependencies" || OUTSIDE.contains(&package);
        let outside = if serves { &OUTSIDE[..] } else { &[] };
        let mut places = rule.places.iter().chain(outside);
        if !places.any(|place| package.starts_with(place) || package_of(place, packages) == package) {
            let advice = format!("{} is not for this package: {} ({})", entry.key, rule.reason, allowed(rule));
            found.push(Finding::new(path, entry.line, "imports", advice));
        }
    }
    found
}

/// The folder of the package that a place lies in: the longest that it starts with. The root package's is empty.
fn package_of<'a>(place: &str, packages: &'a [String]) -> &'a str {
    packages.iter().filter(|folder| place.starts_with(*folder)).max_by_key(|folder| folder.len()).map_or("", |f| f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages() -> Vec<String> {
        ["", "shared/", "proto/", "coordinator/", "worker/", "worker/kernel/"].map(str::to_owned).to_vec()
    }

    #[test]
    fn code_names_only_the_crates_that_its_place_allows() {
        let fires = |path, text| imports(path, text).len();
        assert_eq!(fires("worker/src/read.rs", "use parquet::arrow::ArrowWriter;"), 1);
        assert_eq!(fires("worker/src/encode.rs", "use parquet::arrow::ArrowWriter;"), 0);
        assert_eq!(fires("worker/src/encode/page.rs", "parquet::write();"), 0);
        assert_eq!(fires("worker/src/encoder.rs", "parquet::write();"), 1);
        assert_eq!(fires("coordinator/src/driver.rs", "fn f() -> Result<(), tonic::Status> {}"), 1);
        assert_eq!(fires("coordinator/src/rpc/mod.rs", "use {std::fmt, tonic_health::pb};"), 0);
        assert_eq!(fires("coordinator/src/rpc/mod.rs", "use tonic_prost::ProstCodec;"), 1);
        assert_eq!(fires("coordinator/src/plan.rs", "use batteuse_worker::encode;"), 1);
        assert_eq!(fires("worker/src/lib.rs", "use anyhow::Context as _;"), 1);
        assert_eq!(
            fires("worker/src/lib.rs", "/// See `parquet::x`.\nlet parquet = \"tonic::x\"; crate::kube::f();"),
            0
        );
        assert_eq!(fires("worker/src/pipeline.rs", "#[cfg(test)] mod tests { use parquet::file::reader; }"), 0);
        assert_eq!(fires("tests/flow.rs", "use parquet::file::reader;"), 0);
        assert_eq!(fires("fuzz/src/cell.rs", "use arrow_array::RecordBatch;"), 0);
        assert_eq!(fires("coordinator/src/autoscale.rs", "use kube::Client;"), 1);
    }

    #[test]
    fn only_the_command_line_asks_the_process() {
        let fires = |path, text| imports(path, text).len();
        assert_eq!(fires("worker/src/lib.rs", "use std::{env, fmt};"), 1);
        assert_eq!(fires("worker/src/lib.rs", "std::env::var(\"X\"); env!(\"X\");"), 1);
        assert_eq!(fires("coordinator/src/driver.rs", "use std::process; fn f() { process::exit(1) }"), 1);
        assert_eq!(fires("src/cli.rs", "std::env::var(\"X\"); std::process::exit(1);"), 0);
        assert_eq!(fires("proto/build.rs", "std::env::var(\"OUT_DIR\")"), 0);
    }

    #[test]
    fn manifests_hold_only_what_their_code_may_name() {
        let fires = |path, text| manifest(path, text, &packages()).len();
        assert_eq!(fires("coordinator/Cargo.toml", "[dependencies]\nbatteuse-worker.workspace = true\n"), 1);
        assert_eq!(fires("coordinator/Cargo.toml", "[dev-dependencies]\nbatteuse-worker.workspace = true\n"), 1);
        assert_eq!(
            fires("coordinator/Cargo.toml", "[dependencies]\ntonic-health = \"1\"\nbatteuse-proto = \"1\"\n"),
            0
        );
        assert_eq!(fires("Cargo.toml", "[dependencies]\nparquet.workspace = true\n"), 1);
        assert_eq!(fires("Cargo.toml", "[dependencies.parquet]\nversion = \"1\"\n"), 1);
        assert_eq!(fires("Cargo.toml", "[dev-dependencies]\nparquet.workspace = true\n"), 0);
        assert_eq!(fires("Cargo.toml", "[workspace.dependencies]\nkube = \"1\"\nparquet = { version = \"1\" }\n"), 0);
        assert_eq!(fires("worker/kernel/Cargo.toml", "[dependencies]\nrayon.workspace = true\n"), 1);
        assert_eq!(fires("worker/kernel/Cargo.toml", "[dependencies]\narrow-array.workspace = true\n"), 0);
        assert_eq!(fires("proto/Cargo.toml", "[build-dependencies]\ntonic-prost-build.workspace = true\n"), 0);
        assert_eq!(fires("fuzz/Cargo.toml", "[dependencies]\nbatteuse-kernel = { path = \"../worker/kernel\" }\n"), 0);
        assert_eq!(fires("Cargo.toml", "[dependencies]\nbatteuse-new.workspace = true\n"), 1);
    }
}
