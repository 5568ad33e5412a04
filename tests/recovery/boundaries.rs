//! Every boundary: the driver is stopped dead before each of its actions in turn, and the run goes on.
//!
//! Invariant: the number of an action names the same instant in every life of a scenario, which is checked by the names of the
//! actions before it.

use std::path::Path;

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::report::RunState;
use batteuse_shared::spec::Mode;
use batteuse_shared::task::Task;

use super::ledger::{self, Firsts};
use super::life::{End, Life, PARTITIONS, Scenario, Stage, held, live};
use super::{Chance, facts, must_be_swept, must_show_no_more_than_decided, outcome, state};
use crate::flow::Outcome;

/// Lives that are stopped dead twice, for each scenario.
const TWICE: u64 = 12;

/// An undisturbed run and what it came to.
struct Reference {
    stage: Stage,
    /// The names of its actions.
    actions: Vec<String>,
    outcome: Outcome,
    firsts: Firsts,
}

impl Reference {
    fn new(stage: Stage) -> Self {
        let scenario = stage.scenario;
        let dir = stage.dir("undisturbed");
        let first = live(&stage, &dir, None);
        assert!(first.spared.is_empty(), "{scenario:?}: {:?} did not happen", first.spared);
        let stepped_down = matches!(first.end, End::SteppedDown);
        assert_eq!(stepped_down, scenario == Scenario::SteppedDown, "{:?}", first.end);
        finish(&stage, &dir);
        let firsts = true_firsts(&stage);
        ledger::must_be_lawful(&facts(&state(&dir), &dir), &firsts, "undisturbed");
        Self { outcome: outcome(&dir), actions: first.actions, firsts, stage }
    }
}

/// The first boundaries of the file that a scenario reads, by a run that nothing befalls.
fn true_firsts(of: &Stage) -> Firsts {
    let scenario = if of.scenario == Scenario::Plain { Scenario::Plain } else { Scenario::Whole };
    let stage = Stage::new(scenario);
    std::fs::copy(&of.source, &stage.source).unwrap();
    let dir = stage.dir("firsts");
    live(&stage, &dir, None);
    ledger::firsts(&facts(&state(&dir), &dir))
}

/// Lives on to the end.
fn finish(stage: &Stage, dir: &Path) -> Vec<Life> {
    let mut lives = Vec::new();
    while !held(dir).is_some_and(|(run, _)| run.done()) {
        lives.push(live(stage, dir, None));
        assert!(lives.len() < 4, "PROGRESS: undisturbed lives do not end the run");
    }
    lives
}

/// What is true of every life that has ended: of the journal, of what is visible, and of what was leased.
fn must_be_sound(reference: &Reference, dir: &Path, leases: &[(usize, Task)], how: &str) {
    let facts = facts(&state(dir), dir);
    must_show_no_more_than_decided(&facts, dir, how);
    ledger::must_be_lawful(&facts, &reference.firsts, how);
    for (durable, task) in leases {
        ledger::must_be_wanted(task, &facts[..*durable], &reference.firsts, how);
    }
}

/// Stops the run dead at each of `kills`, one life after the other, and lets it go on to its end.
fn killed_at(reference: &Reference, dir: &Path, kills: &[usize], how: &str) -> usize {
    let mut hits = 0;
    for (nth, &kill) in kills.iter().enumerate() {
        let life = live(&reference.stage, dir, Some(kill));
        hits += usize::from(matches!(life.end, End::Killed));
        if nth == 0 {
            assert!(matches!(life.end, End::Killed), "{how}: the life was not stopped: {:?}", life.end);
            assert_eq!(life.actions, reference.actions[..kill], "{how}: a life lived again is the same");
        }
        must_be_sound(reference, dir, &life.leases, how);
    }
    for life in finish(&reference.stage, dir) {
        must_be_sound(reference, dir, &life.leases, how);
    }
    must_be_swept(dir, how);
    let (run, _) = held(dir).expect("the run is there");
    // REPLAY: what is rebuilt from the journal tells what was published.
    let report = serde_json::to_value(run.report()).unwrap();
    assert_eq!(crate::support::published::json_file(&dir.join(batteuse_shared::layout::report(run.id()))), report);
    let aborted = facts(&state(dir), dir).iter().any(|fact| matches!(fact, Fact::RunAborted(_)));
    if reference.stage.scenario == Scenario::Cancelled && !aborted {
        // Killed before the operator's word was durable: the run goes on as if it had not been said.
        assert_eq!(run.state(), RunState::SucceededWithRejects, "{how}");
    } else {
        reference.outcome.must_equal(&outcome(dir), how);
    }
    hits
}

fn every_boundary_of(scenario: Scenario) {
    every_boundary_on(Stage::new(scenario));
}

fn every_boundary_on(stage: Stage) {
    let scenario = stage.scenario;
    let reference = Reference::new(stage);
    let count = reference.actions.len();
    let least = if scenario == Scenario::Plain { 15 } else { 2 * PARTITIONS as usize + 15 };
    assert!(count >= least, "{scenario:?}: {count} actions: {:?}", reference.actions);
    for kill in 0..count {
        let dir = reference.stage.dir(&format!("at-{kill}"));
        let how = format!("{scenario:?} killed before action {kill}, {}", reference.actions[kill]);
        assert_eq!(killed_at(&reference, &dir, &[kill], &how), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
    let (mut chance, mut twice) = (Chance(count as u64), 0);
    for round in 0..TWICE {
        let kills = [chance.below(count as u64) as usize, chance.below(12) as usize];
        let dir = reference.stage.dir(&format!("twice-{round}"));
        twice += usize::from(killed_at(&reference, &dir, &kills, &format!("{scenario:?} killed at {kills:?}")) == 2);
    }
    assert!(twice as u64 * 2 >= TWICE, "{scenario:?}: only {twice} of {TWICE} second kills hit");
}

#[test]
fn a_plain_run_killed_at_every_boundary() {
    every_boundary_of(Scenario::Plain);
}

#[test]
fn a_run_with_every_mishap_killed_at_every_boundary() {
    every_boundary_of(Scenario::Whole);
}

#[test]
fn a_run_that_fails_killed_at_every_boundary() {
    every_boundary_of(Scenario::TooManyRejects);
}

#[test]
fn a_cancelled_run_killed_at_every_boundary() {
    every_boundary_of(Scenario::Cancelled);
}

#[test]
fn a_decided_run_that_loses_parts_killed_at_every_boundary() {
    every_boundary_of(Scenario::Lost);
}

#[test]
fn a_decided_run_that_loses_files_of_folders_killed_at_every_boundary() {
    every_boundary_on(Stage::in_folders(Scenario::Lost, Mode::Error, 2));
}

#[test]
fn a_run_that_is_left_in_order_killed_at_every_boundary() {
    every_boundary_of(Scenario::SteppedDown);
}
