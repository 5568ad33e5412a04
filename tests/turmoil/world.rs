//! One simulation: its hosts, the loop that steps them, and what befalls them.
//!
//! Invariant: between two steps every attempt is held or over and every fault that is due strikes; after the last one is mended PROGRESS
//! is demanded within a bound of simulated time, and the outcome must be the undisturbed one's.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::turmoil::{Builder, Sim};
use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use batteuse_shared::spec::Job;
use batteuse_shared::task::FailureClass;
use batteuse_shared::time::Millis;
use serde_json::Value;

use super::Tally;
use super::cast::{self, Cast};
use super::faults::{ALL, Fault, Mending, STRUCK};
use super::net::Host;
use crate::recovery::{Chance, Ground, facts, kept_in, run_of};
use crate::support::published;

/// Simulated time of a step. Milliseconds.
const TICK_MS: u64 = 5;
/// Within this time faults strike. Milliseconds.
const FAULTS_MS: u64 = 9_000;
/// How long a fault lasts at least, and how much more. Milliseconds.
const LASTS_MS: [u64; 2] = [200, 7_000];
/// Simulated time after the last fault within which a run must end. Milliseconds: above all waits of workers and scheduler together.
const PROGRESS_MS: u64 = 300_000;
/// Simulations that run at once at most.
pub const LANES: usize = 4;
/// When simulations begin: not at 0, so that a coordinator's clock can be behind. Milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// What the second coordinator's clock is behind or before the first one's at most. Milliseconds.
const SKEW_MS: u64 = 20_000;

/// Simulated time as the coordinators of each lane see it: a clock is a plain function, which attempts at blocking I/O ask too.
static CLOCKS: [AtomicU64; 2 * LANES] = [const { AtomicU64::new(0) }; 2 * LANES];

fn clock<const N: usize>() -> Millis {
    Millis(CLOCKS[N].load(Ordering::Relaxed))
}

const CLOCKS_OF: [[fn() -> Millis; 2]; LANES] =
    [[clock::<0>, clock::<1>], [clock::<2>, clock::<3>], [clock::<4>, clock::<5>], [clock::<6>, clock::<7>]];

/// See the module.
pub struct World<'g> {
    seed: u64,
    lane: usize,
    chance: Chance,
    ground: &'g Ground,
    dir: PathBuf,
    state: PathBuf,
    cast: Rc<Cast>,
    sim: Sim<'static>,
    workers: usize,
    skew_ms: [u64; 2],
    /// When the next faults strike, the next one last. Milliseconds.
    strikes: Vec<u64>,
    mendings: Vec<(u64, Mending)>,
    tally: Tally,
    log: Log,
}

/// What befell, told when the test fails.
struct Log {
    seed: u64,
    lines: Vec<String>,
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.lines.join("\n"));
            println!("replay it: BATTEUSE_SEED={} make turmoil", self.seed);
        }
    }
}

fn sorted(a: Host, b: Host) -> (Host, Host) {
    (a.min(b), a.max(b))
}

impl<'g> World<'g> {
    /// Of a seed, in a lane that is no other's meanwhile.
    pub fn new(seed: u64, ground: &'g Ground, lane: usize) -> Self {
        let mut chance = Chance(seed);
        let dir = ground.folder.path().join(format!("seed-{seed}"));
        let state = dir.with_extension("state");
        let workers = 2 + chance.below(2) as usize;
        let skew_ms = [0, 0].map(|_: u64| chance.below(SKEW_MS));
        let usual_ms = [50, 300, 1_500][chance.below(3) as usize];
        let latency_ms = [2, 20, 100][chance.below(3) as usize];
        let mut strikes: Vec<u64> = (0..3 + chance.below(6)).map(|_| 100 + chance.below(FAULTS_MS)).collect();
        strikes.sort_unstable_by(|a, b| b.cmp(a));
        let cast = Cast::new(&state, CLOCKS_OF[lane], seed, usual_ms);
        let sim = Builder::new()
            .rng_seed(seed)
            .tick_duration(Duration::from_millis(TICK_MS))
            .max_message_latency(Duration::from_millis(latency_ms))
            .simulation_duration(Duration::from_millis(FAULTS_MS + LASTS_MS[0] + LASTS_MS[1] + PROGRESS_MS))
            .tcp_capacity(1_024)
            .enable_random_order()
            .build();
        let (mendings, tally) = (Vec::new(), Tally::default());
        let log = Log { seed, lines: Vec::new() };
        Self { seed, lane, chance, ground, dir, state, cast, sim, workers, skew_ms, strikes, mendings, tally, log }
    }

    fn how(&self) -> String {
        format!("turmoil seed {}", self.seed)
    }

    fn tell(&mut self, what: &str) {
        self.log.lines.push(format!("{:>7} ms: {what}", self.cast.now.get()));
    }

    fn hire(&mut self) {
        for which in 0..2 {
            let cast = self.cast.clone();
            self.sim.host(Host::Coordinator(which).to_string(), move || cast::coordinate(cast.clone(), which));
        }
        for which in 0..self.workers {
            let cast = self.cast.clone();
            self.sim.host(Host::Worker(which).to_string(), move || cast::work(cast.clone(), which));
        }
        let spec = fs::read_to_string(self.ground.spec(&self.dir)).unwrap();
        let job: Job = serde_saphyr::from_str(&spec).unwrap();
        self.sim.client(Host::Client.to_string(), cast::submit(self.cast.clone(), job));
    }

    /// Lives until the run is done and its client has seen that; panics at a violation.
    pub fn live(mut self) -> Tally {
        self.set_clocks();
        self.hire();
        let mut seen = false;
        while !(seen && self.is_done()) {
            self.start_who_ended();
            self.cast.paces().iter().for_each(|(_, pace)| pace.settle(self.cast.now.get()));
            self.mend();
            self.strike();
            seen |= self.step();
        }
        self.conclude();
        self.tally
    }

    /// One step of all hosts; tells whether the client is content.
    fn step(&mut self) -> bool {
        let stepped = self.sim.step();
        self.set_clocks();
        stepped.unwrap_or_else(|error| {
            let last = facts(&self.state, &self.dir).into_iter().next_back();
            panic!("{} at {} ms: {error}; the last fact: {last:?}", self.how(), self.cast.now.get())
        })
    }

    fn set_clocks(&self) {
        let now = u64::try_from(self.sim.elapsed().as_millis()).expect("minutes");
        self.cast.now.set(now);
        for (which, skew_ms) in self.skew_ms.iter().enumerate() {
            CLOCKS[2 * self.lane + which].store(EPOCH_MS + now + skew_ms, Ordering::Relaxed);
        }
    }

    fn is_done(&self) -> bool {
        matches!(facts(&self.state, &self.dir).last(), Some(Fact::RunDone { .. }))
    }

    fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        [0, 1].map(Host::Coordinator).into_iter().chain((0..self.workers).map(Host::Worker))
    }

    /// Starts anew who has ended by itself, as a supervisor would. Who is killed is started when that is mended.
    fn start_who_ended(&mut self) {
        for host in self.hosts() {
            if !self.is_down(host) && !self.sim.is_host_running(host.to_string()) {
                self.tell(&format!("{host} has ended"));
                self.let_go(host, false);
                self.sim.bounce(host.to_string());
            }
        }
    }

    /// What the attempts of a worker that is no more still do.
    fn let_go(&self, host: Host, later: bool) {
        self.cast.paces().iter().filter(|(of, _)| *of == host).for_each(|(_, pace)| pace.kill(later));
    }

    fn is_down(&self, host: Host) -> bool {
        self.mendings.iter().any(|(_, mending)| *mending == Mending::Start(host))
    }

    fn mend(&mut self) {
        let now = self.cast.now.get();
        let due: Vec<Mending> =
            self.mendings.extract_if(.., |(at, _)| *at <= now).map(|(_, mending)| mending).collect();
        for mending in due {
            self.tell(&format!("{mending:?}"));
            let of = |(a, b): (Host, Host)| (a.to_string(), b.to_string());
            let (a, b) = mending.link().map(of).unwrap_or_default();
            match mending {
                Mending::Repair(..) => self.sim.repair(a, b),
                Mending::RepairOneWay(..) => self.sim.repair_oneway(a, b),
                Mending::Release(..) => self.sim.release(a, b),
                Mending::Quicken(..) => self.sim.set_link_latency(a, b, Duration::from_millis(TICK_MS)),
                Mending::Calm(..) => self.sim.set_link_fail_rate(a, b, 0.0),
                Mending::Start(host) => self.sim.bounce(host.to_string()),
            }
        }
    }

    fn strike(&mut self) {
        while self.strikes.last().is_some_and(|at| *at <= self.cast.now.get()) {
            self.strikes.pop();
            let fault = ALL[self.chance.below(STRUCK as u64) as usize];
            let until = self.cast.now.get() + LASTS_MS[0] + self.chance.below(LASTS_MS[1]);
            let Some(whom) = self.strike_with(fault, until) else { continue };
            *self.tally.faults.entry(fault).or_default() += 1;
            self.tell(&format!("{fault:?} of {whom} until {until}"));
            self.ground.look(&self.state, &self.dir, &self.how());
        }
    }

    /// Whom it has hit; nobody, where another fault lies on it.
    fn strike_with(&mut self, fault: Fault, until: u64) -> Option<String> {
        match fault {
            Fault::LinkCut | Fault::OneWayCut | Fault::HeldBack | Fault::SlowLink | Fault::LossyLink => {
                self.strike_link(fault, until)
            }
            Fault::HostCutOff => self.cut_off(until),
            Fault::WorkerCrashes => {
                let host = Host::Worker(self.chance.below(self.workers as u64) as usize);
                self.kill(host, until)
            }
            Fault::LeaderCrashes => self.kill(Host::Coordinator(self.leader()?), until),
            Fault::WaitingCrashes => self.kill(Host::Coordinator(1 - self.leader()?), until),
            Fault::WorkerLeaves => {
                let host = Host::Worker(self.chance.below(self.workers as u64) as usize);
                self.leave(host)
            }
            Fault::LeaderLeaves => self.leave(Host::Coordinator(self.leader()?)),
            Fault::AttemptLate => unreachable!("it is the pace's"),
        }
    }

    /// Which coordinator leads, as far as the state store tells.
    fn leader(&self) -> Option<usize> {
        let leader = kept_in(&self.state).leader().unwrap().filter(|leader| !leader.left)?;
        [0, 1].into_iter().find(|which| Host::Coordinator(*which).url() == leader.url)
    }

    fn is_free(&self, a: Host, b: Host) -> bool {
        let taken = |mending: &Mending| mending.link().is_some_and(|(x, y)| sorted(x, y) == sorted(a, b));
        !self.mendings.iter().any(|(_, mending)| taken(mending))
    }

    /// Whoever talks to coordinators.
    fn callers(&self) -> Vec<Host> {
        (0..self.workers).map(Host::Worker).chain([Host::Client]).collect()
    }

    fn strike_link(&mut self, fault: Fault, until: u64) -> Option<String> {
        let callers = self.callers();
        let caller = callers[self.chance.below(callers.len() as u64) as usize];
        let (post, back) = (Host::Coordinator(self.chance.below(2) as usize), self.chance.below(2) == 0);
        let (a, b) = if back { (post, caller) } else { (caller, post) };
        if !self.is_free(a, b) {
            return None;
        }
        let (from, to) = (a.to_string(), b.to_string());
        let mending = match fault {
            Fault::LinkCut => {
                self.sim.partition(from, to);
                Mending::Repair(a, b)
            }
            Fault::OneWayCut => {
                self.sim.partition_oneway(from, to);
                Mending::RepairOneWay(a, b)
            }
            Fault::HeldBack => {
                self.sim.hold(from, to);
                Mending::Release(a, b)
            }
            Fault::SlowLink => {
                let ms = 200 + self.chance.below(4_000);
                self.sim.set_link_latency(from, to, Duration::from_millis(ms));
                Mending::Quicken(a, b)
            }
            _ => {
                let percent = 1 + self.chance.below(20);
                self.sim.set_link_fail_rate(from, to, percent as f64 / 100.0);
                Mending::Calm(a, b)
            }
        };
        self.mendings.push((until, mending));
        Some(format!("{a} to {b}"))
    }

    fn cut_off(&mut self, until: u64) -> Option<String> {
        let hosts: Vec<Host> = self.hosts().collect();
        let host = hosts[self.chance.below(hosts.len() as u64) as usize];
        let others = match host {
            Host::Coordinator(_) => self.callers(),
            _ => [0, 1].map(Host::Coordinator).to_vec(),
        };
        let free: Vec<Host> = others.into_iter().filter(|other| self.is_free(host, *other)).collect();
        for other in &free {
            self.sim.partition(host.to_string(), other.to_string());
            self.mendings.push((until, Mending::Repair(host, *other)));
        }
        (!free.is_empty()).then(|| host.to_string())
    }

    fn kill(&mut self, host: Host, until: u64) -> Option<String> {
        if self.is_down(host) || !self.sim.is_host_running(host.to_string()) {
            return None;
        }
        self.sim.crash(host.to_string());
        let later = self.chance.below(2) == 0;
        self.let_go(host, later);
        self.mendings.push((until, Mending::Start(host)));
        Some(host.to_string())
    }

    fn leave(&mut self, host: Host) -> Option<String> {
        (!self.is_down(host) && self.cast.leave(host)).then(|| host.to_string())
    }

    /// Looks at what the run came to.
    fn conclude(&mut self) {
        let how = self.how();
        self.ground.must_have_ended_well(&self.state, &self.dir, &how);
        let run = run_of(&self.dir).expect("a run holds the folder");
        let told = self.cast.report.borrow().clone().expect("the client was told");
        let kept = published::json_file(&self.dir.join(layout::report(&run)));
        assert_eq!(
            serde_json::from_str::<Value>(&told).unwrap(),
            kept,
            "{how}: what the client was told is what is kept"
        );
        // Those that were killed with an attempt that came to nothing: now it finds no folder to stage in.
        self.cast.paces().iter().for_each(|(_, pace)| pace.let_go());
        self.ground.must_have_ended_well(&self.state, &self.dir, &format!("{how}, after who was killed"));
        self.count();
        fs::remove_dir_all(&self.dir).unwrap();
        fs::remove_dir_all(&self.state).unwrap();
    }

    fn count(&mut self) {
        let facts = facts(&self.state, &self.dir);
        let epochs: BTreeSet<u32> = facts
            .iter()
            .filter_map(|fact| if let Fact::EpochBegun { epoch, .. } = fact { Some(epoch.0) } else { None })
            .collect();
        let lost =
            |fact: &&Fact| matches!(fact, Fact::AttemptFailed { failure, .. } if failure.class == FailureClass::Lost);
        let late: u64 = self.cast.paces().iter().map(|(_, pace)| pace.late()).sum();
        if late > 0 {
            *self.tally.faults.entry(Fault::AttemptLate).or_default() += late;
        }
        self.tally = Tally {
            seeds: 1,
            faults: std::mem::take(&mut self.tally.faults),
            reconnections: self.cast.reconnections(),
            taken_over: epochs.len().saturating_sub(1) as u64,
            lost: facts.iter().filter(lost).count() as u64,
            simulated_ms: self.cast.now.get(),
        };
    }
}
