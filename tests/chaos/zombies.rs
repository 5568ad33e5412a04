//! Zombies: a worker, or the coordinator that leads, is stopped for longer than a lease lives, others take its place, and it comes back.
//!
//! Invariant: a round counts only when another attempt has staged what the zombie had while it stood still, and the run goes on when it
//! comes back; then what it says changes nothing. So that the run is not over by then the network is slow meanwhile.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::task::{FailureClass, TaskKey};

use super::farm::Farm;
use super::log::begun;
use super::{Replay, seeds};
use crate::recovery::{Chance, Ground, facts};
use crate::support::binary::until;
use crate::support::proxy::{Fault, Proxy};

/// Rounds of each change, of workers and of coordinators.
pub const ROUNDS: u64 = 3;
const PARTITIONS: u64 = 300;
const ROWS: usize = 12_000;
const WORKERS: usize = 2;
const TTL_S: u64 = 3;
/// How long each word takes while the zombie stands still: a partition takes two, so both waits of a round end before the run does.
const SLOWLY: Fault = Fault::Delay(Duration::from_millis(60));

/// What came of the rounds.
#[derive(Debug, Default)]
pub struct Tally {
    pub workers: u64,
    pub coordinators: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} workers and {} coordinators came back and changed nothing", self.workers, self.coordinators)
    }
}

/// A run on its way.
struct Round<'a> {
    farm: &'a mut Farm,
    proxies: &'a [Proxy; 2],
    ground: &'a Ground,
    dir: PathBuf,
    how: String,
}

impl Round<'_> {
    fn facts(&self) -> Vec<Fact> {
        facts(&self.farm.state, &self.dir)
    }

    fn begin(&self, chance: &mut Chance) {
        self.farm.submit(&self.ground.spec(&self.dir), &self.dir);
        let wanted = 5 + chance.below(40) as usize;
        let staged = |facts: Vec<Fact>| facts.iter().filter(|fact| matches!(fact, Fact::Staged { .. })).count();
        until("the run to be on its way", || (staged(self.facts()) >= wanted).then_some(()));
        self.proxies.iter().for_each(|proxy| proxy.fault(SLOWLY));
    }

    fn is_undecided(&self) -> bool {
        self.ground.look(&self.farm.state, &self.dir, &self.how)
    }

    fn end(self) {
        self.proxies.iter().for_each(Proxy::heal);
        self.farm.bring_to_its_end(&self.dir, &self.how);
        self.ground.must_have_ended_well(&self.farm.state, &self.dir, &self.how);
        fs::remove_dir_all(&self.dir).unwrap();
    }

    /// The first attempt that was lost with its worker.
    fn lost(&self) -> Option<(PartitionId, AttemptId)> {
        self.facts().iter().find_map(|fact| match fact {
            Fact::AttemptFailed { task: TaskKey::Parse(partition), attempt, failure, .. }
                if failure.class == FailureClass::Lost =>
            {
                Some((*partition, *attempt))
            }
            _ => None,
        })
    }

    /// The attempt whose staging of a partition stands last.
    fn staged_by(&self, of: PartitionId) -> Option<AttemptId> {
        self.facts().iter().rev().find_map(|fact| match fact {
            Fact::Staged { partition, attempt, .. } if *partition == of => Some(*attempt),
            _ => None,
        })
    }

    /// Tells whether it counts.
    fn of_a_worker(self, chance: &mut Chance) -> bool {
        self.begin(chance);
        let one = chance.below(WORKERS as u64) as usize;
        let (zombie, began) = (&self.farm.workers[one], Instant::now());
        zombie.signal("STOP");
        let lost = until("the zombie's lease to be lost", || {
            let lost = self.lost().map(Some);
            lost.or_else(|| (!self.is_undecided()).then_some(None))
        });
        let Some((partition, attempt)) = lost else {
            zombie.signal("CONT");
            self.end();
            return false;
        };
        // Twice that, counted from its last word, which was before it was stopped.
        assert!(began.elapsed() > Duration::from_secs(TTL_S), "{}: lost after {:?}", self.how, began.elapsed());
        until("another attempt to stage", || self.staged_by(partition).filter(|by| *by != attempt));
        let open = self.is_undecided();
        let name = begun(&zombie.log()).last().expect("it has worked").worker.clone();
        let comings = || {
            let logs = self.farm.posts.iter().map(|post| post.coordinator.log());
            let come = |line: &&str| line.contains("a worker has come") && line.contains(&name);
            logs.map(|log| log.lines().filter(come).count()).sum::<usize>()
        };
        let before = comings();
        zombie.signal("CONT");
        until("the zombie to come back", || (comings() > before).then_some(()));
        assert_ne!(self.staged_by(partition), Some(attempt), "{}: a late report counted", self.how);
        self.end();
        open
    }

    /// Tells whether it counts.
    fn of_a_coordinator(self, chance: &mut Chance) -> bool {
        self.begin(chance);
        let epoch = |facts: &[Fact]| {
            facts
                .iter()
                .filter_map(|fact| if let Fact::EpochBegun { epoch, .. } = fact { Some(epoch.0) } else { None })
                .max()
        };
        let (before, began) = (epoch(&self.facts()), Instant::now());
        let (leader, deposed) = (self.farm.wait_for_leader(), self.farm.deposed);
        self.farm.posts[leader].coordinator.signal("STOP");
        let of_next = |fact: &Fact| matches!(fact, Fact::Staged { attempt, .. } if Some(attempt.epoch().0) > before);
        until("an attempt of the next coordinator to stage", || {
            let facts = self.facts();
            let ended = matches!(facts.last(), Some(Fact::RunDone { .. }));
            let stood = began.elapsed() >= Duration::from_secs(TTL_S);
            (stood && (ended || facts.iter().any(of_next))).then_some(())
        });
        let open = self.is_undecided();
        self.farm.posts[leader].coordinator.signal("CONT");
        until("the zombie to end", || (!self.farm.posts[leader].coordinator.running()).then_some(()));
        self.farm.mend();
        assert_eq!(self.farm.deposed, deposed + 1, "{}: it ended with 16", self.how);
        self.end();
        open
    }
}

/// Plays so many rounds of each kind that count, from the first seed on.
pub fn play(seeds: Range<u64>) -> Tally {
    let (wanted, ground) = (seeds.end - seeds.start, Ground::of(ROWS, PARTITIONS));
    let mut tally = Tally::default();
    let (mut farm, proxies) = Farm::start_behind(&ground.folder.path().join("life.state"), TTL_S, WORKERS);
    for seed in seeds.start..seeds.start + wanted * 2 {
        let _replay = Replay { test: "chaos::zombies", seed };
        for coordinator in [false, true] {
            let played = if coordinator { &mut tally.coordinators } else { &mut tally.workers };
            if *played == wanted {
                continue;
            }
            let how = format!("seed {seed}, {}", if coordinator { "a coordinator" } else { "a worker" });
            let dir = ground.folder.path().join(format!("zombie-{seed}-{coordinator}"));
            let round = Round { farm: &mut farm, proxies: &proxies, ground: &ground, dir, how };
            let mut chance = Chance(seed);
            let counts = if coordinator { round.of_a_coordinator(&mut chance) } else { round.of_a_worker(&mut chance) };
            *played += u64::from(counts);
        }
        if (tally.workers, tally.coordinators) == (wanted, wanted) {
            return tally;
        }
    }
    panic!("too few rounds were hit: {tally}");
}

#[test]
fn who_comes_back_changes_nothing() {
    let began = Instant::now();
    println!("{}, {:.0} s", play(seeds(ROUNDS)), began.elapsed().as_secs_f64());
}
