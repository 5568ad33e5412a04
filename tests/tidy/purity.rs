//! What product code may not do: `unsafe` outside the vector kernels, `unwrap`, and anything impure in a pure core.
//!
//! Invariant: a pure core gets all it knows as arguments. Test code may do as it likes, but for `unsafe`. What a called crate does
//! is not seen; which crates a package may have at all is the import rules' concern.

use super::Finding;
use super::lex::{Kind, lex, paths, test_code};

/// Code that is a function of its arguments: the vocabulary, the kernel, the planner, the fold, the scheduler, who leads, and a
/// worker's side of the protocol.
const PURE: [&str; 8] = [
    "shared/src/",
    "worker/kernel/src/",
    "coordinator/src/plan.rs",
    "coordinator/src/fold.rs",
    "coordinator/src/lead.rs",
    "coordinator/src/scheduler/",
    "coordinator/src/turn.rs",
    "worker/src/session.rs",
];

/// The one home of `unsafe`.
const UNSAFE: &str = "worker/kernel/src/arch/";

/// Paths that are impure, with what to do instead.
const IMPURE: [(&str, &str); 14] = [
    ("Instant::now", CLOCK),
    ("SystemTime::now", CLOCK),
    ("std::thread", RUNTIME),
    ("thread::spawn", RUNTIME),
    ("std::sync::mpsc", RUNTIME),
    ("HashMap", ORDER),
    ("HashSet", ORDER),
    ("hash_map", ORDER),
    ("hash_set", ORDER),
    ("RandomState", ORDER),
    ("std::fs", OUTSIDE),
    ("std::net", OUTSIDE),
    ("std::process", OUTSIDE),
    ("std::env", OUTSIDE),
];

/// Crates that no pure core may name.
const IMPURE_CRATES: [(&str, &str); 10] = [
    ("tokio", RUNTIME),
    ("tokio_stream", RUNTIME),
    ("futures", RUNTIME),
    ("rayon", RUNTIME),
    ("rand", CHANCE),
    ("fastrand", CHANCE),
    ("uuid", CHANCE),
    ("tracing", "return a value that says it; the shell logs it, once"),
    ("log", "return a value that says it; the shell logs it, once"),
    ("tempfile", OUTSIDE),
];

const CLOCK: &str = "take the time as an argument (`now: Millis`)";
const RUNTIME: &str = "return an action; the shell runs it";
const ORDER: &str = "its order changes from run to run; take BTreeMap, BTreeSet or a sorted Vec";
const CHANCE: &str = "take the number or the id as an argument";
const OUTSIDE: &str = "no I/O here: take bytes, return values";

/// Test code lies in `tests/` of the root or of a module, or in a file `tests.rs`.
pub fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// Fires on `unsafe` outside its home, in tests too.
pub fn unsafe_code(path: &str, text: &str) -> Vec<Finding> {
    if path.starts_with(UNSAFE) {
        return Vec::new();
    }
    let tokens = lex(text);
    let uses = tokens.iter().filter(|token| (token.kind, token.text) == (Kind::Name, "unsafe"));
    let advice = || format!("unsafe lives in {UNSAFE} only, behind a safe function");
    uses.map(|token| Finding::new(path, token.line, "unsafe", advice())).collect()
}

/// Fires on `.unwrap()` outside tests and benchmarks, which stop at the first failure.
pub fn unwraps(path: &str, text: &str) -> Vec<Finding> {
    if is_test_file(path) || path.starts_with("benches/") {
        return Vec::new();
    }
    let tokens = lex(text);
    let tests = test_code(&tokens);
    let mut found = Vec::new();
    for (at, call) in tokens.windows(3).enumerate() {
        if [call[0].text, call[1].text, call[2].text] == [".", "unwrap", "("] && !tests[at] {
            let advice = "return the error, or `expect(\"why it cannot fail\")` where it truly cannot".to_owned();
            found.push(Finding::new(path, call[1].line, "unwrap", advice));
        }
    }
    found
}

/// Fires on a clock, chance, thread, hash order or I/O in a pure core.
pub fn impure(path: &str, text: &str) -> Vec<Finding> {
    if is_test_file(path) || !PURE.iter().any(|pure| path.starts_with(pure)) {
        return Vec::new();
    }
    let tokens = lex(text);
    let tests = test_code(&tokens);
    let mut found = Vec::new();
    for named in paths(&tokens).into_iter().filter(|named| !tests[named.token]) {
        let path_rule = IMPURE.iter().find(|(wanted, _)| named.names(wanted));
        let crate_rule = IMPURE_CRATES.iter().find(|(krate, _)| named.root() == Some(krate));
        if let Some((wanted, instead)) = path_rule.or(crate_rule) {
            let advice = format!("{wanted} in a pure core: {instead}");
            found.push(Finding::new(path, named.line, "purity", advice));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_has_one_home() {
        let text = "#![deny(unsafe_code)] // unsafe\nfn f() { unsafe { g() } }";
        assert_eq!(unsafe_code("worker/src/read.rs", text).len(), 1);
        assert_eq!(unsafe_code("tests/flow.rs", text).len(), 1);
        assert_eq!(unsafe_code("worker/kernel/src/arch/avx2.rs", text), []);
    }

    #[test]
    fn unwrap_is_for_tests() {
        let fires = |path, text| unwraps(path, text).len();
        assert_eq!(fires("src/cli.rs", "fn f() { a()\n.unwrap(); b.unwrap_or(0); c.expect(\"x.unwrap()\") }"), 1);
        assert_eq!(fires("src/cli.rs", "#[cfg(test)] mod tests { fn f() { a.unwrap() } }"), 0);
        assert_eq!(fires("src/cli.rs", "#[test] fn f() { a.unwrap() } fn g() { b.unwrap() }"), 1);
        assert_eq!(fires("tests/flow.rs", "a.unwrap()"), 0);
        assert_eq!(fires("coordinator/src/scheduler/tests.rs", "a.unwrap()"), 0);
    }

    #[test]
    fn pure_cores_are_pure() {
        let pure = "coordinator/src/scheduler/retry.rs";
        let fires = |text| impure(pure, text).len();
        for bad in [
            "use std::collections::{BTreeMap, HashMap};",
            "let now = std::time::Instant::now();",
            "fn f(x: &HashSet<u8>) {}",
            "tokio::spawn(f());",
            "use std::thread;",
            "let id = uuid::Uuid::new_v4();",
            "use rand::Rng as _;",
            "std::fs::read(p)",
        ] {
            assert_eq!(fires(bad), 1, "{bad}");
            assert_eq!(impure("coordinator/src/driver.rs", bad), [], "{bad}");
        }
        assert_eq!(
            fires("use std::collections::BTreeMap; let rand = now.0; // HashMap\n#[test] fn t() { std::fs::read(p); }"),
            0
        );
        assert_eq!(impure("coordinator/src/plan.rs", "use rayon::prelude::*;").len(), 1);
    }
}
