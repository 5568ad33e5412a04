//! Rounds of kill -9 with real processes: embedded runs, workers and coordinators, at instants that nobody chose.
//!
//! Invariant: a round counts only when a kill hit a run that was not decided. The instants are drawn in slots of the journal, and
//! where in the work between two slots a kill falls is up to the machine.

use std::fs;

use batteuse_coordinator::scheduler::Fact;

use super::ground::{Ground, slots, wait_for_slots};
use super::{Chance, facts, run_of, state};
use crate::support::binary::{Cluster, Process, until};

/// Rounds that must hit, of each kind.
const ROUNDS: u32 = 20;
/// Rounds that may be played to get there.
const TRIES_MAX: u32 = 30;
const ROWS: usize = 12_000;
const PARTITIONS: u64 = 100;
/// Slots within which a kill is drawn: fewer than any run of so many partitions writes.
const SLOTS: u64 = 24;

/// One embedded run, killed up to three times; tells whether a kill hit it.
fn embedded_round(ground: &Ground, round: u32, chance: &mut Chance) -> bool {
    let dir = ground.folder.path().join(format!("embedded-{round}"));
    let state = state(&dir);
    let path = ground.spec(&dir);
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
    cluster.submit(&ground.spec(&dir), &[]).expect(0);
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
    let (ground, mut chance) = (Ground::of(ROWS, PARTITIONS), Chance(1));
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
    let (ground, mut chance) = (Ground::of(ROWS, PARTITIONS), Chance(2));
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
