//! Rounds of kill -9: embedded runs, workers and coordinators, at instants that nobody chose, and under publishing.

use std::path::Path;

use batteuse_coordinator::scheduler::Fact;

use super::super::kills::rounds;
use super::Barn;
use crate::recovery::{Chance, dirty, facts, state};
use crate::support::binary::{Process, until};

const ROWS: usize = 3_000;
const PARTITIONS: u64 = 24;
const TOLERANT: &str = "  rejects: {tolerate: {count: 1000}}\n";

fn decided(facts: &[Fact]) -> bool {
    facts.iter().any(|fact| matches!(fact, Fact::RunDecided(_)))
}

fn ended(facts: &[Fact]) -> bool {
    matches!(facts.last(), Some(Fact::RunDone { .. }))
}

/// A table that is not there, or has no row.
fn nothing_in(barn: &Barn, table: &str) -> bool {
    barn.sql(&format!("SELECT to_regclass('{table}') IS NULL")) == "t" || barn.content(table).starts_with("0|")
}

fn undisturbed(barn: &Barn) -> String {
    let spec = barn.spec("undisturbed", &dirty(ROWS), PARTITIONS, "table: undisturbed", TOLERANT);
    barn.run(&spec, 4);
    barn.content("undisturbed")
}

#[test]
fn embedded_runs_survive_kill_9() {
    let barn = Barn::new();
    let (want, mut chance) = (undisturbed(&barn), Chance(11));
    let (rounds, mut before, mut behind) = (rounds(8), 0, 0);
    for round in 0..rounds * 4 {
        let (name, out) = (format!("killed{round}"), barn.out(&format!("killed{round}")));
        let spec = barn.spec(&name, &dirty(ROWS), PARTITIONS, &format!("table: {name}"), TOLERANT);
        let mut process = barn.start(&["run", "-f", &spec, "--workers", "2"]);
        let known = || facts(&state(&out), &out);
        // Every other round as soon as it is decided, so that publishing is hit.
        let wanted = known().len() as u64 + chance.below(24);
        let due = || if round % 2 == 0 { known().len() as u64 >= wanted } else { decided(&known()) };
        until("the run to go on", || (due() || !process.running()).then_some(()));
        let killed = process.kill();
        let left = known();
        if !decided(&left) {
            assert!(nothing_in(&barn, &name), "VISIBLE-IS-DECIDED");
            before += u32::from(killed);
        } else if !ended(&left) {
            behind += u32::from(killed);
        }
        process = match left.is_empty() {
            true => barn.start(&["run", "-f", &spec]),
            false => barn.start(&["resume", "--to", out.to_str().unwrap(), "--workers", "2"]),
        };
        process.wait().expect(4);
        assert_eq!(barn.content(&name), want, "round {round}");
        must_be_swept(&barn, &out);
        if before + behind >= rounds && before > 0 && behind > 0 {
            println!(
                "{before} kills before the decision, {behind} while publishing: 0 rows seen before it, 0 lost, 0 doubled, 0 tables left"
            );
            return;
        }
    }
    panic!("too few kills hit: {before} before the decision, {behind} behind it");
}

/// A killed process may have been at work beside the one that went on: what it left `gc` drops.
fn must_be_swept(barn: &Barn, out: &Path) {
    barn.ask(&["gc", out.to_str().unwrap()]).expect(0);
    assert_eq!(barn.staged(), [""; 0], "no staging table is left");
}

#[test]
fn a_cluster_survives_kill_9_of_its_workers_and_its_coordinator() {
    let barn = Barn::new();
    let want = undisturbed(&barn);
    let kept = barn.out("state");
    let listening = |listen: &str| {
        let process = barn.start(&["coordinator", "--listen", listen, "--state", kept.to_str().unwrap()]);
        let line = process.line_of_out("listening on ");
        (process, line.trim_start_matches("listening on ").trim().to_owned())
    };
    let (mut coordinator, at) = listening("127.0.0.1:0");
    let hire = || barn.start(&["worker", "--coordinator", &at, "--slots", "1"]);
    let mut workers: Vec<Process> = (0..2).map(|_| hire()).collect();
    let out = barn.out("cluster");
    let spec = barn.spec("cluster", &dirty(ROWS), PARTITIONS, "table: cluster", TOLERANT);
    barn.ask(&["submit", "-f", &spec, "--coordinator", &at]).expect(0);
    let known = || facts(&kept, &out);
    let staged = || known().iter().filter(|fact| matches!(fact, Fact::Staged { .. })).count();
    let mut hits = 0;
    for wanted in [3, 8] {
        until("partitions to be staged", || (staged() >= wanted).then_some(()));
        assert!(workers.remove(0).killed());
        workers.push(hire());
        hits += u32::from(!decided(&known()));
    }
    until("partitions to be staged", || (staged() >= 12).then_some(()));
    assert!(coordinator.kill());
    hits += u32::from(!decided(&known()));
    assert_eq!(hits, 3, "all of them hit a run that was not decided");
    assert!(nothing_in(&barn, "cluster"), "VISIBLE-IS-DECIDED");
    let (_coordinator, _) = listening(at.trim_start_matches("http://"));
    until("the run to end", || ended(&known()).then_some(()));
    assert_eq!(barn.content("cluster"), want);
    must_be_swept(&barn, &out);
}
