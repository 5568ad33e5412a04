//! How long it takes until what a killed worker had is leased again, with leases that live as long as they do by default.
//!
//! Invariant: a sample is an attempt that the journal calls lost with the killed worker, whether it had begun it or not; its time is from
//! before the kill to the first line of another worker's log that tells of an attempt at the same partition.

use std::fmt;
use std::fs;
use std::ops::Range;

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::limits::LEASE_TTL_MS;
use batteuse_shared::task::{FailureClass, TaskKey};
use jiff::Timestamp;

use super::farm::Farm;
use super::log::{Begun, begun};
use super::seeds;
use crate::recovery::{Chance, Ground, facts, slots};
use crate::support::binary::until;

/// Samples of each change.
pub const SAMPLES: u64 = 20;
/// What no more than one in a hundred may take. Milliseconds.
pub const P99_MS_MAX: u64 = 8_000;
const ROWS: usize = 12_000;
const PARTITIONS: u64 = 100;
const WORKERS: usize = 4;
/// Slots of the journal within which workers are killed.
const SLOTS: u64 = 30;

/// Times in milliseconds, from the least to the largest.
#[derive(Debug, Default, Clone)]
pub struct Times(pub Vec<u64>);

impl Times {
    /// The least time that so many percent of them do not exceed.
    pub fn percentile(&self, percent: usize) -> u64 {
        self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(
            f,
            "{} leases lost with their workers: leased again after p50 {p50} ms, p99 {p99} ms, max {max} ms",
            self.0.len()
        )
    }
}

/// A worker that was killed, and when.
struct Killed {
    at: Timestamp,
    log: String,
}

/// One run, of whose workers two are killed; the times until what they had is leased again.
fn round(farm: &mut Farm, ground: &Ground, seed: u64) -> Vec<u64> {
    let mut chance = Chance(seed);
    let dir = ground.folder.path().join(format!("lost-{seed}"));
    let run = farm.submit(&ground.spec(&dir), &dir);
    let wanted = 4 + chance.below(SLOTS);
    until("the run to be on its way", || (slots(&farm.state, &dir) >= wanted || farm.has_done(&dir)).then_some(()));
    let first = chance.below(WORKERS as u64) as usize;
    let mut killed = Vec::new();
    for one in [first, (first + 1) % WORKERS] {
        let at = Timestamp::now();
        let dead = farm.kill_worker(one);
        killed.push(Killed { at, log: dead.err });
    }
    farm.bring_to_its_end(&dir, &format!("seed {seed}"));
    ground.must_have_ended_well(&farm.state, &dir, &format!("seed {seed}"));
    let logs = farm.workers.iter().map(|worker| worker.log()).chain(killed.iter().map(|killed| killed.log.clone()));
    let attempts: Vec<Begun> = logs.flat_map(|log| begun(&log)).filter(|begun| begun.run == run).collect();
    let lost = lost(&facts(&farm.state, &dir));
    fs::remove_dir_all(&dir).unwrap();
    let again = |killed: &Killed, lost: &Lost| {
        // One that had begun nothing yet has told nobody its name.
        let its = begun(&killed.log).last().is_some_and(|begun| lost.message.contains(&begun.worker));
        let again = |begun: &&Begun| {
            begun.partition == lost.partition && begun.attempt != lost.attempt && begun.at >= killed.at
        };
        let at = its.then(|| attempts.iter().filter(again).map(|begun| begun.at).min())?;
        let at = at.unwrap_or_else(|| panic!("seed {seed}: partition {} was not leased again", lost.partition));
        Some(u64::try_from(at.duration_since(killed.at).as_millis()).unwrap())
    };
    killed.iter().flat_map(|killed| lost.iter().filter_map(|lost| again(killed, lost))).collect()
}

/// An attempt that was lost with its worker.
struct Lost {
    partition: u64,
    attempt: String,
    message: String,
}

fn lost(facts: &[Fact]) -> Vec<Lost> {
    let lost = facts.iter().filter_map(|fact| match fact {
        Fact::AttemptFailed { task: TaskKey::Parse(partition), attempt, failure, .. } => {
            let lost = Lost {
                partition: u64::from(partition.0),
                attempt: attempt.to_string(),
                message: failure.message.clone(),
            };
            (failure.class == FailureClass::Lost).then_some(lost)
        }
        _ => None,
    });
    lost.collect()
}

/// Takes so many samples.
pub fn measure(seeds: Range<u64>) -> Times {
    let wanted = (seeds.end - seeds.start) as usize;
    let ground = Ground::of(ROWS, PARTITIONS);
    let mut farm = Farm::start(&ground.folder.path().join("life.state"), LEASE_TTL_MS / 1_000, WORKERS);
    let mut times = Vec::new();
    for seed in seeds.start..seeds.start + 4 * wanted as u64 {
        times.extend(round(&mut farm, &ground, seed));
        if times.len() >= wanted {
            times.sort_unstable();
            return Times(times);
        }
    }
    panic!("only {} of {wanted} leases were lost", times.len());
}

#[test]
fn what_a_killed_worker_had_is_leased_again_soon() {
    let times = measure(seeds(SAMPLES));
    println!("{times}");
    assert!(times.percentile(99) <= P99_MS_MAX, "{times}");
}

#[test]
fn percentiles_are_samples() {
    let times = Times((1..=20).collect());
    assert_eq!([50, 99, 100].map(|percent| times.percentile(percent)), [10, 20, 20]);
    assert_eq!(Times(vec![7]).percentile(50), 7);
}
