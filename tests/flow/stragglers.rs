//! A run with one throttled worker, with and without what is done about attempts that are late.
//!
//! Invariant: the table is the same; the tail is shorter. What throttles waits at each batch, so the machine's speed does not tell.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use batteuse_coordinator::scheduler::Fact;

use crate::recovery::facts;
use crate::support::binary::{Cluster, Process, batteuse, until, write_spec};
use crate::support::published::table;

const PARTITIONS: u64 = 4;

/// How long a run takes with a worker that waits a second at each batch beside one that does not, and its facts.
fn took(source: &Path, dir: &Path, flags: &[&str]) -> (Duration, Vec<Fact>) {
    let bytes = fs::metadata(source).unwrap().len().div_ceil(PARTITIONS);
    let spec = write_spec(&dir.with_extension("yaml"), source, dir, &format!("  partition: {{bytes: {bytes}}}\n"));
    let state = dir.with_extension("state");
    let cluster = Cluster::start_with(&state, flags);
    let slow = ["worker", "--slots", "1", "--coordinator", &cluster.url, "--chaos", "delay=1:1000"];
    let _slow = Process::start(slow);
    cluster.wait_for_workers(1);
    let began = Instant::now();
    let submitted = Process::start(["submit", "-f", spec.to_str().unwrap(), "--wait", "--coordinator", &cluster.url]);
    let inspected = |facts: &[Fact]| facts.iter().any(|fact| matches!(fact, Fact::Inspected(_)));
    until("the slow worker to have a partition", || inspected(&facts(&state, dir)).then_some(()));
    let _fast = Process::start(["worker", "--slots", "1", "--coordinator", &cluster.url]);
    submitted.wait().expect(0);
    let took = began.elapsed();
    (took, facts(&state, dir))
}

#[test]
fn the_tail_of_a_throttled_worker_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("taxi.csv");
    batteuse(["generate", "taxi", "--bytes", "32MB", "--to", source.to_str().unwrap()]).expect(0);
    let dir = |name: &str| folder.path().join(name);
    let (with, facts) = took(&source, &dir("with"), &[]);
    let splits = facts.iter().filter(|fact| matches!(fact, Fact::Split { .. })).count();
    assert!(splits > 0, "nothing was given away: {with:?}");
    let (without, facts) = took(&source, &dir("without"), &["--no-speculation"]);
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::Split { .. })));
    let (a, b) = (table(&dir("with")), table(&dir("without")));
    assert_eq!((a.digest, a.rows.len()), (b.digest, b.rows.len()));
    println!("one throttled worker: {with:.1?} with {splits} splits, {without:.1?} without");
    assert!(with < without, "{with:?} with, {without:?} without");
}
