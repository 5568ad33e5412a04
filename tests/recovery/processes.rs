//! Rounds of kill -9 with real processes: embedded runs, workers and coordinators, at instants that nobody chose.
//!
//! Invariant: a round counts only when a kill hit a run that was not decided. The instants are drawn in slots of the journal, and
//! where in the work between two slots a kill falls is up to the machine.

use std::fs;
use std::path::{Path, PathBuf};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use batteuse_store::Disk;
use tempfile::TempDir;

use super::ledger::{self, Firsts};
use super::life::{RAGGED_EACH, dirty};
use super::{Chance, facts, must_be_swept, must_show_no_more_than_decided, outcome, run_of, state};
use crate::flow::Outcome;
use crate::support::binary::{Cluster, Process, until, write_spec};

/// Rounds that must hit, of each kind.
const ROUNDS: u32 = 20;
/// Rounds that may be played to get there.
const TRIES_MAX: u32 = 30;
const ROWS: usize = 12_000;
const PARTITIONS: u64 = 100;
/// Slots within which a kill is drawn: fewer than any run of so many partitions writes.
const SLOTS: u64 = 24;

/// A source, and what an undisturbed run of it comes to.
struct Ground {
    folder: TempDir,
    source: PathBuf,
    outcome: Outcome,
    firsts: Firsts,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("dirty.csv");
        fs::write(&source, dirty(ROWS)).unwrap();
        let dir = folder.path().join("undisturbed");
        let spec = spec(&source, &dir);
        crate::support::binary::batteuse(["run", "-f", spec.to_str().unwrap()]).expect(4);
        let firsts = ledger::firsts(&facts(&state(&dir), &dir));
        assert_eq!(firsts.len() as u64, PARTITIONS);
        Self { outcome: outcome(&dir), firsts, source, folder }
    }

    /// Looks at what a kill left, by the journal in `state`; tells whether the run was not decided yet.
    fn look(&self, state: &Path, dir: &Path, how: &str) -> bool {
        let facts = facts(state, dir);
        must_show_no_more_than_decided(&facts, dir, how);
        ledger::must_be_lawful(&facts, &self.firsts, how);
        !facts.iter().any(|fact| matches!(fact, Fact::RunDecided(_)))
    }

    fn must_have_ended_well(&self, state: &Path, dir: &Path, how: &str) {
        let facts = facts(state, dir);
        assert!(matches!(facts.last(), Some(Fact::RunDone { .. })), "{how}: {:?}", facts.last());
        ledger::must_be_lawful(&facts, &self.firsts, how);
        must_be_swept(dir, how);
        self.outcome.must_equal(&outcome(dir), how);
    }
}

/// The spec of a run into `dir`, written beside it.
fn spec(source: &Path, dir: &Path) -> PathBuf {
    let bytes = fs::metadata(source).unwrap().len().div_ceil(PARTITIONS);
    let rejects = ROWS / RAGGED_EACH + 1;
    let more = format!("  partition: {{bytes: {bytes}}}\n  rejects: {{tolerate: {{count: {rejects}}}}}\n");
    write_spec(&dir.with_extension("yaml"), source, dir, &more)
}

/// Slots of the journal of the run that holds `dir`.
fn slots(state: &Path, dir: &Path) -> u64 {
    let Ok(Some((_, claim))) = batteuse_coordinator::claim::current(&Disk::new(dir)) else { return 0 };
    fs::read_dir(state.join(layout::journal_dir(&claim.run))).map_or(0, |slots| slots.count() as u64)
}

/// Waits until so many slots are there, or the run has ended.
fn wait_for_slots(state: &Path, dir: &Path, wanted: u64, mut ended: impl FnMut() -> bool) {
    until("the run to go on", || (slots(state, dir) >= wanted || ended()).then_some(()));
}

/// One embedded run, killed up to three times; tells whether a kill hit it.
fn embedded_round(ground: &Ground, round: u32, chance: &mut Chance) -> bool {
    let dir = ground.folder.path().join(format!("embedded-{round}"));
    let state = state(&dir);
    let path = spec(&ground.source, &dir);
    let mut process = Process::start(["run", "-f", path.to_str().unwrap(), "--workers", "2"]);
    let resume = || Process::start(["resume", "--to", dir.to_str().unwrap(), "--workers", "2"]);
    let mut hit = false;
    for kill in 0..=chance.below(3) {
        let how = format!("round {round}, kill {kill}");
        let wanted = slots(&state, &dir) + chance.below(SLOTS);
        wait_for_slots(&state, &dir, wanted, || !process.running());
        hit |= process.kill() && ground.look(&state, &dir, &how);
        // Killed before its run was accepted it left nothing to resume.
        let begun = !facts(&state, &dir).is_empty();
        process = if begun { resume() } else { Process::start(["run", "-f", path.to_str().unwrap()]) };
    }
    process.wait().expect(4);
    ground.must_have_ended_well(&state, &dir, &format!("round {round}"));
    fs::remove_dir_all(&dir).unwrap();
    hit
}

/// One run of a cluster whose workers or coordinator are killed up to three times; tells whether a kill hit it.
fn cluster_round(ground: &Ground, round: u32, chance: &mut Chance) -> (bool, bool) {
    let dir = ground.folder.path().join(format!("cluster-{round}"));
    let state = dir.with_extension("state");
    let mut cluster = Cluster::start(&state);
    (0..3).for_each(|_| cluster.hire(1));
    cluster.submit(&spec(&ground.source, &dir), &[]).expect(0);
    let ended = || matches!(facts(&state, &dir).last(), Some(Fact::RunDone { .. }));
    let (mut of_worker, mut of_coordinator) = (false, false);
    for kill in 0..=chance.below(3) {
        let how = format!("round {round}, kill {kill}");
        let wanted = slots(&state, &dir) + 1 + chance.below(SLOTS);
        wait_for_slots(&state, &dir, wanted, ended);
        match chance.below(4) as usize {
            0 => {
                let killed = cluster.coordinator.as_mut().unwrap().kill();
                of_coordinator |= killed && ground.look(&state, &dir, &how);
                cluster.restart();
            }
            worker => {
                let killed = cluster.workers.remove(worker - 1).killed();
                of_worker |= killed && ground.look(&state, &dir, &how);
                cluster.hire(1);
            }
        }
    }
    until(&format!("round {round} to end"), || ended().then_some(()));
    let run = run_of(&dir).unwrap().to_string();
    cluster.ask(&["verify", &run]).expect(0);
    ground.must_have_ended_well(&state, &dir, &format!("round {round}"));
    fs::remove_dir_all(&dir).unwrap();
    (of_worker, of_coordinator)
}

#[test]
fn embedded_runs_survive_twenty_rounds_of_kill_9() {
    let (ground, mut chance) = (Ground::new(), Chance(1));
    let mut hits = 0;
    for round in 0.. {
        assert!(round < TRIES_MAX, "only {hits} of {round} rounds were hit");
        hits += u32::from(embedded_round(&ground, round, &mut chance));
        if hits == ROUNDS {
            return;
        }
    }
}

#[test]
fn clusters_survive_twenty_rounds_of_kill_9() {
    let (ground, mut chance) = (Ground::new(), Chance(2));
    let (mut hits, mut workers, mut coordinators) = (0, 0, 0);
    for round in 0.. {
        assert!(round < TRIES_MAX, "only {hits} of {round} rounds were hit");
        let (of_worker, of_coordinator) = cluster_round(&ground, round, &mut chance);
        hits += u32::from(of_worker || of_coordinator);
        workers += u32::from(of_worker);
        coordinators += u32::from(of_coordinator);
        if hits == ROUNDS {
            break;
        }
    }
    assert!(
        workers >= ROUNDS / 4 && coordinators >= ROUNDS / 4,
        "{workers} of workers, {coordinators} of coordinators"
    );
}
