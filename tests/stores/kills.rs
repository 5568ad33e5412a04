//! Rounds of kill -9 of runs into a store that holds their state too: before the decision, and while it is published. What is lost,
//! doubled, seen too early or left over is counted.
//!
//! Invariant: a round counts only when a kill hit a run that was not done. The instants are drawn in facts of the journal and in uploads
//! completed, of which a gate before the store lets so many through. `BATTEUSE_KILLS` tells how many rounds are played: `make kills`.

use std::collections::BTreeSet;
use std::fmt;

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use batteuse_shared::limits::COMPLETIONS_IN_FLIGHT_MAX;
use batteuse_shared::manifest::Success;

use super::runs::{PARTITIONS, Site, decided, facts, json, left_over, seen, table};
use crate::recovery::Chance;
use crate::support::binary::{Process, until};
use crate::support::gate::Gate;
use crate::support::servers::{Azurite, Seaweed};

/// Facts within which a kill before the decision is drawn.
const FACTS: u64 = 20;

/// What came of the rounds.
#[derive(Default)]
struct Tally {
    rounds: u32,
    undecided: u32,
    publishing: u32,
    /// Files seen of a run that was not decided.
    early: usize,
    /// Parts that the manifest names and nobody sees.
    lost: usize,
    /// Parts that are seen and the manifest does not name.
    doubled: usize,
    /// Staged files and uploads that were left for `gc`, and that it left.
    left: [usize; 2],
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, undecided, publishing, early, lost, doubled, left: [before, after] } = self;
        write!(
            f,
            "{rounds} rounds of kill -9, {undecided} kills before the decision, {publishing} while publishing: {early} files visible \
             before decided, {lost} lost, {doubled} duplicated, {before} orphans before `gc`, {after} after"
        )
    }
}

/// Waits for the instant of a kill: some facts later, or, of a run that is to be killed while it is published, when some uploads are
/// completed.
fn wait_for_instant(site: &(Site, Gate), name: &str, process: &mut Process, publishing: bool, chance: &mut Chance) {
    let (site, gate) = site;
    let (state, folder) = (site.state(name), site.output(name));
    let so_far = || facts(&state, &*folder);
    if publishing {
        until("some uploads to be completed", || (gate.holds() > 0 || !process.running()).then_some(()));
    } else {
        let wanted = so_far().len() as u64 + chance.below(FACTS);
        until("the run to go on", || (so_far().len() as u64 >= wanted || !process.running()).then_some(()));
    }
}

/// Plays one round; tells whether a kill hit.
fn round(gated: &(Site, Gate), number: u32, chance: &mut Chance, tally: &mut Tally) -> bool {
    let ((site, gate), publishing) = (gated, number % 2 == 1);
    let close = |chance: &mut Chance| {
        if publishing {
            gate.allow(chance.below(PARTITIONS));
        }
    };
    let name = format!("killed-{number}");
    let (url, folder, state) = (site.url(&name), site.output(&name), site.state(&name));
    let spec = site.spec(&name, &url);
    close(chance);
    let mut process = site.start(&["run", "-f", &spec, "--workers", "2"]);
    let mut hit = false;
    for _ in 0..=chance.below(2) {
        wait_for_instant(gated, &name, &mut process, publishing, chance);
        let killed = process.kill();
        gate.open();
        let left = facts(&state, &*folder);
        let done = matches!(left.last(), Some(Fact::RunDone { .. }));
        match (decided(&left), killed && !done) {
            (false, killed) => {
                tally.early += seen(&*folder).len();
                tally.undecided += u32::from(killed);
            }
            (true, killed) => tally.publishing += u32::from(killed),
        }
        hit |= killed && !done;
        close(chance);
        process = match left.is_empty() {
            true => site.start(&["run", "-f", &spec]),
            false => site.start(&["resume", "--to", &url, "--workers", "2"]),
        };
    }
    gate.open();
    process.wait().expect(4);
    let success: Success = serde_json::from_value(json(&*folder, layout::SUCCESS)).unwrap();
    let named: BTreeSet<String> = success.files.into_iter().map(|file| file.name).collect();
    let parts: BTreeSet<String> = seen(&*folder).into_iter().filter(|name| name != layout::SUCCESS).collect();
    tally.lost += named.difference(&parts).count();
    tally.doubled += parts.difference(&named).count();
    tally.left[0] += left_over(&*folder);
    site.ask(&["gc", &url]).expect(0);
    tally.left[1] += left_over(&*folder);
    site.ask(&["verify", &url]).expect(0);
    hit
}

#[track_caller]
fn must_survive(gated: &(Site, Gate), rounds: u32) {
    let (site, _) = gated;
    let undisturbed = site.on_a_disk();
    let (mut tally, mut chance) = (Tally::default(), Chance(7));
    for number in 0..rounds * 2 {
        tally.rounds += u32::from(round(gated, number, &mut chance, &mut tally));
        let folder = site.output(&format!("killed-{number}"));
        assert_eq!(table(&*folder, site.folder.path()), undisturbed, "round {number}");
        if tally.rounds == rounds {
            println!("{tally}");
            let harm = (tally.early, tally.lost, tally.doubled, tally.left[1]);
            assert_eq!(harm, (0, 0, 0, 0), "{tally}");
            assert!(tally.undecided > 0 && tally.publishing > 0, "{tally}");
            return;
        }
    }
    panic!("too few kills hit: {tally}");
}

/// How many rounds are played.
pub fn rounds(by_default: u32) -> u32 {
    let told = std::env::var("BATTEUSE_KILLS").ok().filter(|text| !text.is_empty());
    told.map_or(by_default, |text| text.parse().expect("BATTEUSE_KILLS is a number"))
}

#[test]
fn killed_runs_into_s3_are_finished() {
    let server = Seaweed::start();
    must_survive(&Site::gated(server.bucket("grain"), server.env()), rounds(8));
}

#[test]
fn killed_runs_into_folders_of_s3_are_finished() {
    let server = Seaweed::start();
    let (site, gate) = Site::gated(server.bucket("grain"), server.env());
    must_survive(&(site.in_folders(), gate), 4);
}

#[test]
fn killed_runs_into_azure_are_finished() {
    let server = Azurite::start();
    must_survive(&Site::gated(server.container("grain"), server.env()), 4);
}

/// As a lifecycle rule of the bucket does it to a decided run while nobody is there.
#[test]
fn uploads_that_are_aborted_after_the_decision_are_made_again() {
    let server = Seaweed::start();
    let (site, gate) = Site::gated(server.bucket("grain"), server.env());
    let undisturbed = site.on_a_disk();
    let at_once = COMPLETIONS_IN_FLIGHT_MAX as u64;
    for completed in [0, at_once] {
        let name = format!("aborted-{completed}");
        let (url, folder, state) = (site.url(&name), site.output(&name), site.state(&name));
        gate.allow(completed);
        let mut process = site.start(&["run", "-f", &site.spec(&name, &url), "--workers", "2"]);
        // What is allowed is answered then, and nothing is still on its way to the gate, which it would find open.
        until("the gate to hold all that is under way", || (gate.holds() == at_once).then_some(()));
        assert!(process.kill(), "it is held");
        gate.open();
        assert!(decided(&facts(&state, &*folder)));
        let pending = folder.pending_uploads().unwrap().unwrap();
        pending.iter().for_each(|upload| folder.discard(&upload.key, Some(upload)).unwrap());
        site.ask(&["resume", "--to", &url]).expect(4);
        assert_eq!(table(&*folder, site.folder.path()), undisturbed);
        site.ask(&["verify", &url]).expect(0);
        assert_eq!(left_over(&*folder), 0);
        let replaced = |fact: &&Fact| matches!(fact, Fact::PartitionReplaced { .. });
        let replaced = facts(&state, &*folder).iter().filter(replaced).count() as u64;
        assert_eq!(replaced, PARTITIONS - completed);
    }
}
