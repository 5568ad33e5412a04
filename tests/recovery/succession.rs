//! Succession: a second coordinator on the same state waits, and takes over when the first one is killed, stands still or leaves.
//!
//! Invariant: the run goes on without anybody's help, the table is the undisturbed one's, and who was taken over does nothing more.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use batteuse_coordinator::scheduler::Fact;
use tempfile::TempDir;

use super::life::{RAGGED_EACH, dirty};
use super::{facts, outcome, state};
use crate::support::binary::{Cluster, Process, batteuse, until, write_spec};

const ROWS: usize = 60_000;
const PARTITIONS: u64 = 200;

/// A run under way on two workers, and a coordinator that waits.
struct Stage {
    folder: TempDir,
    cluster: Cluster,
    second: Process,
    second_url: String,
    run: String,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("dirty.csv");
        fs::write(&source, dirty(ROWS)).unwrap();
        let mut cluster = Cluster::start(&folder.path().join("out.state"));
        let (second, second_url) = cluster.second();
        second.line_of_err("another coordinator leads");
        (0..2).for_each(|_| cluster.hire_for(&[&second_url]));
        cluster.wait_for_workers(2);
        let bytes = fs::metadata(&source).unwrap().len().div_ceil(PARTITIONS);
        let rejects = ROWS / RAGGED_EACH + 1;
        let more = format!("  partition: {{bytes: {bytes}}}\n  rejects: {{tolerate: {{count: {rejects}}}}}\n");
        let spec = |name: &str| {
            let dir = folder.path().join(name);
            write_spec(&folder.path().join(format!("{name}.yaml")), &source, &dir, &more)
        };
        batteuse(["run", "-f", spec("undisturbed").to_str().unwrap()]).expect(4);
        let run = cluster.submit(&spec("out"), &[]).expect(0).out.trim().to_owned();
        let stage = Self { folder, cluster, second, second_url, run };
        until("the run to be on its way", || (stage.staged() > 5).then_some(()));
        stage
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn facts(&self) -> Vec<Fact> {
        facts(&self.folder.path().join("out.state"), &self.dir())
    }

    fn staged(&self) -> usize {
        self.facts().iter().filter(|fact| matches!(fact, Fact::Staged { .. })).count()
    }

    /// Time until an attempt of the next epoch has staged: it was leased before that.
    fn next_lease(&self) -> Duration {
        let began = Instant::now();
        until("a lease of the second coordinator", || {
            let leased = |fact: &Fact| matches!(fact, Fact::Staged { attempt, .. } if attempt.epoch().0 == 2);
            self.facts().iter().any(leased).then_some(())
        });
        began.elapsed()
    }

    /// The run ends under the second coordinator, and its table is the undisturbed one's.
    fn must_end_well(&self) {
        until("the run to end", || matches!(self.facts().last(), Some(Fact::RunDone { .. })).then_some(()));
        batteuse(["verify", &self.run, "--coordinator", &self.second_url]).expect(0);
        let want = outcome(&self.folder.path().join("undisturbed"));
        want.must_equal(&outcome(&self.dir()), "taken over");
        let epochs: Vec<u32> = self
            .facts()
            .iter()
            .filter_map(|fact| if let Fact::EpochBegun { epoch, .. } = fact { Some(epoch.0) } else { None })
            .collect();
        assert_eq!(epochs, [1, 2]);
    }
}

#[test]
fn a_coordinator_that_is_killed_is_succeeded() {
    let mut stage = Stage::new();
    assert!(stage.cluster.coordinator.take().unwrap().killed());
    let waited = stage.next_lease();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    stage.must_end_well();
}

#[test]
fn a_coordinator_that_leaves_hands_over() {
    let mut stage = Stage::new();
    let first = stage.cluster.coordinator.take().unwrap();
    first.signal("TERM");
    let waited = stage.next_lease();
    first.wait().expect(0);
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    stage.must_end_well();
}

#[test]
fn a_coordinator_that_stood_still_is_deposed() {
    let mut stage = Stage::new();
    let first = stage.cluster.coordinator.take().unwrap();
    first.signal("STOP");
    stage.next_lease();
    first.signal("CONT");
    first.wait().expect(16).says(&["another"]);
    stage.must_end_well();
}

#[test]
fn one_that_waits_sends_on_to_the_one_that_leads() {
    let stage = Stage::new();
    let asked = batteuse(["status", &stage.run, "--coordinator", &stage.second_url]);
    asked.expect(16).says(&["waits to lead", &stage.cluster.url, "ask there"]);
    drop(stage.second);
    assert!(state(&stage.folder.path().join("undisturbed")).exists());
}
