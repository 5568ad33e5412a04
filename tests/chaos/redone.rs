//! How much work is done again when workers are killed: one kill in 30 s of a run of two minutes, whatever the machine's speed.
//!
//! What counts as done again are the ranges of all attempts that were lost, by the journal: an upper bound, since a lost attempt had not
//! read all of its range. The run is shortened: it is cut as `auto` cuts at the least, into ten partitions for each slot, and a worker is
//! killed after each fourth of them, as would happen every 30 s of a run of 120 s.

use std::fmt;
use std::fs;

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::limits::{LEASE_TTL_MS, PARTITIONS_PER_SLOT_MIN};
use batteuse_shared::task::{FailureClass, TaskKey};

use super::farm::Farm;
use super::seeds;
use crate::recovery::{Chance, Ground, facts};
use crate::support::binary::until;

/// What may be done again, of a thousand bytes.
pub const PERMILLE_MAX: u64 = 150;
const WORKERS: usize = 4;
const PARTITIONS: u64 = WORKERS as u64 * PARTITIONS_PER_SLOT_MIN;
/// Kills in one run.
const KILLS: u64 = 3;
/// So many that an attempt takes much longer than what is around it, and a kill hits one.
const ROWS: usize = 300_000;

/// What came of a run under kills.
#[derive(Debug, Clone, Copy)]
pub struct Redone {
    kills: u64,
    lost: u64,
    bytes: u64,
    redone_bytes: u64,
}

impl Redone {
    /// What was done again, of a thousand bytes.
    pub fn permille(&self) -> u64 {
        (self.redone_bytes * 1_000).div_ceil(self.bytes)
    }
}

impl fmt::Display for Redone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, lost, bytes, redone_bytes } = self;
        let percent = self.permille() as f64 / 10.0;
        write!(f, "{kills} kills, {lost} attempts lost: {redone_bytes} of {bytes} bytes done again, {percent:.1} %")
    }
}

/// Runs once, and kills a worker after each fourth.
pub fn measure(seed: u64) -> Redone {
    let ground = Ground::of(ROWS, PARTITIONS);
    let (state, dir) = (ground.folder.path().join("life.state"), ground.folder.path().join("redone"));
    let (mut farm, mut chance) = (Farm::start(&state, LEASE_TTL_MS / 1_000, WORKERS), Chance(seed));
    farm.submit(&ground.spec(&dir), &dir);
    let staged = || facts(&state, &dir).iter().filter(|fact| matches!(fact, Fact::Staged { .. })).count() as u64;
    for kill in 1..=KILLS {
        until("a fourth of the run", || (staged() >= kill * PARTITIONS / (KILLS + 1)).then_some(()));
        farm.kill_worker(chance.below(WORKERS as u64) as usize);
        assert!(ground.look(&state, &dir, "killed"), "the run is too short for this test");
    }
    farm.bring_to_its_end(&dir, "the run");
    ground.must_have_ended_well(&state, &dir, "under kills");
    let lost = facts(&state, &dir).iter().filter(|fact| is_lost_parse(fact)).count() as u64;
    let bytes = fs::metadata(&ground.source).unwrap().len();
    Redone { kills: KILLS, lost, bytes, redone_bytes: lost * bytes.div_ceil(PARTITIONS) }
}

fn is_lost_parse(fact: &Fact) -> bool {
    match fact {
        Fact::AttemptFailed { task: TaskKey::Parse(_), failure, .. } => failure.class == FailureClass::Lost,
        _ => false,
    }
}

#[test]
fn kills_cost_little_work() {
    let redone = measure(seeds(1).start);
    println!("{redone}");
    assert!(redone.lost > 0, "no kill hit an attempt");
    assert!(redone.permille() <= PERMILLE_MAX, "{redone}");
}
