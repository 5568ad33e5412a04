//! Rounds of random kill -9, STOP and CONT, and TERM of workers and coordinators, under one run each.
//!
//! Invariant: a round counts only when a kill -9 hit a run that was not decided. Which faults come is the seed's; where in the work they
//! fall is up to the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::farm::Farm;
use super::{Replay, seeds};
use crate::recovery::{Chance, Ground, slots};
use crate::support::binary::{Process, until};

/// Rounds of each change.
pub const ROUNDS: u64 = 40;
/// Rounds that one cluster lives through.
const ROUNDS_PER_LIFE: u64 = 10;
/// Faults after which a run is left alone.
const FAULTS_MAX: u64 = 6;
const ROWS: usize = 12_000;
const PARTITIONS: u64 = 100;
const WORKERS: usize = 3;
/// Seconds that a lease lives: one that was killed is taken over after one.
const TTL_S: u64 = 3;
/// Slots of the journal within which the next fault comes.
const SLOTS: u64 = 16;
/// Time within which it comes where the run stands still. Milliseconds.
const PATIENCE_MS: u64 = 1_500;

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Worker,
    Leader,
    Waiting,
}

/// By what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// It is started anew, at once or a little later.
    Kill,
    /// It goes on a little later.
    Stop,
    /// It must leave in order, and is started anew.
    Term,
}

const ALL: [Who; 3] = [Who::Worker, Who::Leader, Who::Waiting];
const SIGNALS: [Signal; 3] = [Signal::Kill, Signal::Stop, Signal::Term];

/// What came of the rounds.
#[derive(Debug, Default)]
pub struct Tally {
    /// Those that a kill -9 hit.
    pub rounds: u64,
    pub faults: BTreeMap<(Who, Signal), u64>,
    /// Coordinators that found another one in their place.
    pub deposed: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, faults, deposed } = self;
        write!(f, "{rounds} rounds, 0 lost, 0 duplicated, {deposed} coordinators deposed; faults: {faults:?}")
    }
}

/// A run that is being disturbed.
struct Round<'a> {
    farm: &'a mut Farm,
    ground: &'a Ground,
    dir: PathBuf,
    how: String,
    chance: Chance,
    tally: &'a mut Tally,
}

impl Round<'_> {
    fn state(&self) -> &Path {
        &self.farm.state
    }

    /// Waits for the instant of the next fault: some slots later, or some time where the run stands still.
    fn wait_for_instant(&mut self) {
        let (slots_more, patience) = (self.chance.below(SLOTS), self.chance.below(PATIENCE_MS));
        let (began, patience) = (Instant::now(), Duration::from_millis(patience));
        let wanted = slots(self.state(), &self.dir) + 1 + slots_more;
        let due = || slots(self.state(), &self.dir) >= wanted || began.elapsed() >= patience;
        until("the instant of a fault", || (due() || self.farm.has_done(&self.dir)).then_some(()));
    }

    /// The first is a kill -9.
    fn draw(&mut self, first: bool) -> (Who, Signal) {
        let who = match self.chance.below(6) {
            0..3 => Who::Worker,
            3..5 => Who::Leader,
            _ => Who::Waiting,
        };
        let signal = match self.chance.below(6) {
            3 | 4 if !first => Signal::Stop,
            5 if !first => Signal::Term,
            _ => Signal::Kill,
        };
        if first && who == Who::Waiting { (Who::Leader, signal) } else { (who, signal) }
    }

    fn victim(&mut self, who: Who) -> &mut Process {
        let leader = self.farm.leader().unwrap_or(0);
        match who {
            Who::Worker => {
                let one = self.chance.below(WORKERS as u64) as usize;
                &mut self.farm.workers[one]
            }
            Who::Leader => &mut self.farm.posts[leader].coordinator,
            Who::Waiting => &mut self.farm.posts[1 - leader].coordinator,
        }
    }

    /// Tells whether it was a kill -9 of a run that was not decided.
    fn strike(&mut self, who: Who, signal: Signal) -> bool {
        let (how, at_once) = (format!("{}, {signal:?} of {who:?}", self.how), self.chance.below(2) == 0);
        *self.tally.faults.entry((who, signal)).or_default() += 1;
        match signal {
            Signal::Kill => {
                let killed = self.victim(who).kill();
                let hit = killed && self.ground.look(self.state(), &self.dir, &how);
                if !at_once {
                    self.wait_for_instant();
                }
                return hit;
            }
            Signal::Stop => {
                let victim = self.victim(who);
                victim.signal("STOP");
                let stopped = victim.id();
                self.wait_for_instant();
                self.ground.look(self.state(), &self.dir, &how);
                crate::support::binary::signal(stopped, "CONT");
            }
            Signal::Term => {
                let victim = self.victim(who);
                victim.signal("TERM");
                until(&format!("{how} to leave"), || (!victim.running()).then_some(()));
                self.ground.look(self.state(), &self.dir, &how);
            }
        }
        false
    }

    /// Plays it; tells whether it counts.
    fn play(mut self) -> bool {
        let spec = self.ground.spec(&self.dir);
        self.farm.submit(&spec, &self.dir);
        let mut hit = false;
        for fault in 0..FAULTS_MAX {
            self.wait_for_instant();
            self.farm.mend();
            if self.farm.has_done(&self.dir) {
                break;
            }
            let (who, signal) = self.draw(fault == 0);
            hit |= self.strike(who, signal);
            self.farm.mend();
        }
        self.farm.bring_to_its_end(&self.dir, &self.how);
        self.ground.must_have_ended_well(self.state(), &self.dir, &self.how);
        fs::remove_dir_all(&self.dir).unwrap();
        hit
    }
}

/// Plays rounds from the first seed on, until so many were hit.
pub fn play(seeds: Range<u64>) -> Tally {
    let (wanted, ground) = (seeds.end - seeds.start, Ground::of(ROWS, PARTITIONS));
    let (mut tally, mut farm) = (Tally::default(), None);
    for (n, seed) in (seeds.start..seeds.start + wanted * 2).enumerate() {
        let _replay = Replay { test: "chaos::rounds", seed };
        if (n as u64).is_multiple_of(ROUNDS_PER_LIFE) {
            let life = ground.folder.path().join(format!("life-{seed}.state"));
            farm = Some(Farm::start(&life, TTL_S, WORKERS));
        }
        let farm = farm.as_mut().expect("started with the first round");
        let (dir, how) = (ground.folder.path().join(format!("round-{seed}")), format!("seed {seed}"));
        let deposed = farm.deposed;
        let round = Round { farm, ground: &ground, dir, how, chance: Chance(seed), tally: &mut tally };
        let hit = round.play();
        tally.rounds += u64::from(hit);
        tally.deposed += farm.deposed - deposed;
        if tally.rounds == wanted {
            return tally;
        }
    }
    panic!("too few rounds were hit: {tally}");
}

#[test]
fn clusters_survive_kill_9_stop_and_term() {
    let seeds = seeds(ROUNDS);
    let (many, began) = (seeds.end - seeds.start >= ROUNDS, Instant::now());
    let tally = play(seeds);
    println!("{tally}, {:.0} s", began.elapsed().as_secs_f64());
    for fault in ALL.iter().flat_map(|who| SIGNALS.map(|signal| (*who, signal))) {
        assert!(!many || tally.faults.contains_key(&fault), "{fault:?} never came: {tally}");
    }
}
