//! The world of a simulation: one thread, one clock that jumps from event to event, and one seed that everything is drawn from.
//!
//! Invariant: the same seed gives the same trace, byte for byte. After each event the invariants are checked; once the faults have
//! stopped every run ends within a bounded time (PROGRESS).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use batteuse_coordinator::claim::Claim;
use batteuse_coordinator::journal::{Journal, StateStore as _};
use batteuse_coordinator::publish::PublishPlan;
use batteuse_coordinator::redrive::{self, Look};
use batteuse_coordinator::scheduler::{Accepted, Event, Fact, Run, Timing};
use batteuse_proto::{CoordinatorSays, WorkerSays};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::time::Millis;
use batteuse_worker::session::Key;

use super::coordinator::{Coordinator, Input};
use super::crew::{self, Worker};
use super::faults::{Fault, Faults};
use super::jobs;
use super::source::Source;
use super::store::{SimFolder, SimStore};
use super::wire::{Way, Wire};
use crate::recovery::Chance;

/// Most slots of a journal: of some hundred partitions, each parsed a few times and failing a few more.
const SLOTS_MAX: usize = 4_000;

/// Most workers that die of one record with one coordinator, and with each that comes after it: it may not live to see why they died, and
/// one that was thought lost may die late.
const DEATHS_MAX: u64 = 4;

/// Something that happens at a time.
#[derive(Debug)]
pub enum Happening {
    Looks(u32),
    Turns(u32),
    GoesOn(u32),
    Ticks(u32),
    Publishes(u32, Box<PublishPlan>),
    Connects(u32),
    Beats(u32),
    BeatsSoon(u32),
    Watches(u32),
    GivesBack(u32),
    GivesUp(u32, u64),
    Goes(u32),
    Ends(u32, Key),
    ToCoordinator(u64, Box<WorkerSays>),
    ToWorker(u64, Box<CoordinatorSays>),
    Closes(u64, Way),
    Submits(usize),
    Unpauses(usize),
    Redrives(usize),
    Comes(Role),
    Chaos,
    Heals,
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Coordinator,
    Worker,
}

/// A run of the simulation.
pub struct Job {
    pub accepted: Accepted,
    pub source: Source,
}

pub struct World {
    pub now: Millis,
    queue: BTreeMap<(Millis, u64), Happening>,
    order: u64,
    pub chance: Chance,
    pub store: SimStore,
    pub wire: Wire,
    pub coordinators: BTreeMap<u32, Coordinator>,
    pub workers: BTreeMap<u32, Worker>,
    /// Processes that are stopped, and until when.
    pub paused: BTreeMap<u32, Millis>,
    processes: u32,
    pub jobs: Vec<Job>,
    pub timing: Timing,
    pub latency_ms: u64,
    /// Workers that died of a record, by run.
    pub deaths: BTreeMap<RunId, u64>,
    pub violations: Vec<String>,
    healed_at: Option<Millis>,
    /// Runs that have ended for good.
    ended: BTreeSet<usize>,
    events: u64,
    /// All that happened, line by line, when it is wanted.
    trace: Trace,
}

/// See [`World`].
struct Trace(Option<String>);

impl Trace {
    fn add(&mut self, now: Millis, happening: &Happening) {
        let Some(text) = &mut self.0 else { return };
        let shown = match happening {
            Happening::Publishes(process, plan) => write!(text, "{} Publishes({process}, {})", now.0, plan.run),
            Happening::ToWorker(stream, says) => match &**says {
                CoordinatorSays::Grant(lease) => {
                    write!(text, "{} ToWorker({stream}, Grant {} {})", now.0, lease.run, lease.attempt)
                }
                says => write!(text, "{} ToWorker({stream}, {says:?})", now.0),
            },
            Happening::ToCoordinator(stream, says) => match &**says {
                WorkerSays::Report { run, attempt, outcome } => {
                    let failed = matches!(outcome, batteuse_shared::task::Outcome::Failed(_));
                    write!(text, "{} ToCoordinator({stream}, Report {run} {attempt} failed {failed})", now.0)
                }
                says => write!(text, "{} ToCoordinator({stream}, {says:?})", now.0),
            },
            other => write!(text, "{} {other:?}", now.0),
        };
        shown.expect("a string takes everything");
        text.push('\n');
    }
}

/// What a simulation came to.
pub struct Told {
    pub violations: Vec<String>,
    pub came: BTreeMap<Fault, u64>,
    pub trace: Option<String>,
    pub events: u64,
}

impl World {
    /// A world of this seed.
    pub fn new(seed: u64, traced: bool) -> Self {
        let mut chance = Chance(seed);
        chance.below(1);
        let ttl = [40, 200, 3_000, 15_000][chance.below(4) as usize];
        let faults = Faults::draw(&mut chance);
        let jobs: Vec<Job> = (0..1 + chance.below(2)).map(|number| jobs::draw(number, &mut chance)).collect();
        let latency_ms = [0, 1, ttl / 50 + 1, ttl / 10 + 1][chance.below(4) as usize];
        let suspect_ms = Timing::with_ttl(ttl).suspect_ms / [1, 8][chance.below(2) as usize];
        let split_bytes_min = [1, 3, 20, 1 << 20][chance.below(4) as usize];
        let mut world = Self {
            now: Millis(1_000_000),
            queue: BTreeMap::new(),
            order: 0,
            store: SimStore::new(faults),
            wire: Wire::default(),
            coordinators: BTreeMap::new(),
            workers: BTreeMap::new(),
            paused: BTreeMap::new(),
            processes: 0,
            jobs,
            timing: Timing { hung_ms: 4 * ttl, suspect_ms, split_bytes_min, ..Timing::with_ttl(ttl) },
            latency_ms,
            deaths: BTreeMap::new(),
            violations: Vec::new(),
            healed_at: None,
            ended: BTreeSet::new(),
            events: 0,
            trace: Trace(traced.then(String::new)),
            chance,
        };
        for job in 0..world.jobs.len() {
            world.prepare(job);
        }
        for role in [Role::Coordinator, Role::Coordinator, Role::Worker, Role::Worker, Role::Worker] {
            if role == Role::Worker || world.coordinators.is_empty() || world.chance.below(3) > 0 {
                world.come(role);
            }
        }
        world.after(ttl / 4, Happening::Chaos);
        let storm = ttl * (3 + world.chance.below(15));
        world.after(storm, Happening::Heals);
        world
    }

    /// What admission prepares: the claim, the staging folder and its nonce.
    fn prepare(&mut self, job: usize) {
        let accepted = &self.jobs[job].accepted;
        let (run, nonce) = (accepted.run.clone(), accepted.nonce.clone());
        let claim = Claim { run, state: "file:///state/".to_owned(), nonce };
        let text = serde_json::to_vec(&claim).expect("plain values");
        self.store.put(format!("{}/{}/{}", accepted.run, layout::CLAIMS, layout::slot(0)), &text);
        self.make_staging(job);
        let delay = self.chance.below(self.timing.lease_ttl_ms);
        self.after(delay, Happening::Submits(job));
    }

    fn make_staging(&self, job: usize) {
        let Accepted { run, nonce, .. } = &self.jobs[job].accepted;
        let path = format!("{run}/{}/{}", layout::staging_dir(run), layout::STAGING_NONCE);
        self.store.put(path, nonce.as_bytes());
    }

    pub fn run_of(&self, job: usize) -> RunId {
        self.jobs[job].accepted.run.clone()
    }

    pub fn job_of(&self, run: &RunId) -> &Job {
        self.jobs.iter().find(|job| job.accepted.run == *run).expect("it is one of this world's")
    }

    /// Something happens so many milliseconds from now.
    pub fn after(&mut self, ms: u64, happening: Happening) {
        self.at(self.now.plus(ms), happening);
    }

    pub fn at(&mut self, time: Millis, happening: Happening) {
        self.order += 1;
        self.queue.insert((time, self.order), happening);
    }

    /// A short while: as long as a call takes.
    pub fn moment(&mut self) -> u64 {
        1 + self.chance.below(self.latency_ms + 2)
    }

    pub fn befalls(&mut self, fault: Fault) -> bool {
        self.store.faults(|faults| faults.befalls(fault))
    }

    /// A process comes.
    pub fn come(&mut self, role: Role) {
        self.processes += 1;
        let number = self.processes;
        match role {
            Role::Coordinator => {
                let beat = (self.timing.lease_ttl_ms / 15).max(2);
                self.coordinators.insert(number, Coordinator::new(number, self.store.clone(), self.timing, beat));
                let (look, tick) = (self.moment(), self.tick_ms());
                self.after(look, Happening::Looks(number));
                self.after(tick, Happening::Ticks(number));
            }
            Role::Worker => {
                let name = crew::name(number);
                let slots = 1 + self.chance.below(3) as u32;
                self.workers.insert(number, Worker::new(&name, slots));
                let connect = self.moment();
                self.after(connect, Happening::Connects(number));
                self.after(connect + 1, Happening::Beats(number));
                self.after(connect + 1, Happening::Watches(number));
            }
        }
    }

    pub fn tick_ms(&self) -> u64 {
        (self.timing.lease_ttl_ms / 10).max(2)
    }

    /// Lives on until all is over, and tells what went wrong.
    pub fn live(&mut self) -> Told {
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            self.now = self.now.max(at);
            if let Some(happening) = self.if_awake(happening) {
                self.trace.add(self.now, &happening);
                self.happen(happening);
                self.events += 1;
            }
            self.check();
            if !self.violations.is_empty() || self.is_over() {
                break;
            }
        }
        if self.violations.is_empty() {
            self.conclude();
        }
        let violations = std::mem::take(&mut self.violations);
        self.told(violations)
    }

    /// What it came to, with these violations.
    pub fn told(&mut self, violations: Vec<String>) -> Told {
        let came = self.store.faults(|faults| std::mem::take(&mut faults.came));
        Told { violations, came, trace: self.trace.0.take(), events: self.events }
    }

    /// What a stopped process should do waits until it goes on; what a dead one should do does not happen.
    fn if_awake(&mut self, happening: Happening) -> Option<Happening> {
        let process = match &happening {
            Happening::Looks(c)
            | Happening::Turns(c)
            | Happening::GoesOn(c)
            | Happening::Ticks(c)
            | Happening::Publishes(c, _) => Some(*c),
            Happening::Connects(w)
            | Happening::Beats(w)
            | Happening::BeatsSoon(w)
            | Happening::Watches(w)
            | Happening::GivesBack(w)
            | Happening::GivesUp(w, _)
            | Happening::Goes(w)
            | Happening::Ends(w, _) => Some(*w),
            Happening::ToCoordinator(stream, _) | Happening::Closes(stream, Way::ToCoordinator) => {
                self.wire.streams.get(stream).map(|stream| stream.coordinator)
            }
            Happening::ToWorker(stream, _) | Happening::Closes(stream, Way::ToWorker) => {
                self.wire.streams.get(stream).map(|stream| stream.worker)
            }
            Happening::Submits(_)
            | Happening::Unpauses(_)
            | Happening::Redrives(_)
            | Happening::Comes(_)
            | Happening::Chaos
            | Happening::Heals => None,
        };
        let Some(until) = process.and_then(|process| self.paused.get(&process).copied()) else {
            return Some(happening);
        };
        if until <= self.now {
            process.map(|process| self.paused.remove(&process));
            return Some(happening);
        }
        self.at(until, happening);
        None
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Looks(c) => self.looks(c),
            Happening::Turns(c) => self.turns(c),
            Happening::GoesOn(c) => self.goes_on(c),
            Happening::Ticks(c) => self.ticks(c),
            Happening::Publishes(c, plan) => self.publishes(c, *plan),
            Happening::Connects(w) => self.connects(w),
            Happening::Beats(w) => self.beats(w),
            Happening::BeatsSoon(w) => self.beats_soon(w),
            Happening::Watches(w) => self.watches(w),
            Happening::GivesBack(w) => self.gives_back(w),
            Happening::GivesUp(w, stream) => self.gives_up(w, stream),
            Happening::Goes(w) => self.goes(w),
            Happening::Ends(w, key) => self.ends(w, &key),
            Happening::ToCoordinator(stream, says) => self.heard_by_coordinator(stream, *says),
            Happening::ToWorker(stream, says) => self.heard_by_worker(stream, *says),
            Happening::Closes(stream, side) => self.closes(stream, side),
            Happening::Submits(job) => self.submits(job),
            Happening::Unpauses(job) => self.unpauses(job),
            Happening::Redrives(job) => self.redrives(job),
            Happening::Comes(role) => self.come(role),
            Happening::Chaos => self.chaos(),
            Happening::Heals => self.heals(),
        }
    }

    /// A client submits, again and again until its run is durable.
    fn submits(&mut self, job: usize) {
        let run = self.run_of(job);
        let durable = self.store.slots(&run) > 0;
        let serving = self.coordinators.iter_mut().find(|(_, c)| c.serves());
        if let Some((_, coordinator)) = &serving
            && durable
            && coordinator.knows(&run)
            && self.store.leader().is_ok_and(|leader| leader.as_ref() == coordinator.lead.leader())
        {
            return;
        }
        if let Some((&number, coordinator)) = serving {
            coordinator.push(Input::Submit(Box::new(self.jobs[job].accepted.clone())));
            self.after(1, Happening::Turns(number));
        }
        self.after(self.timing.lease_ttl_ms / 3 + 1, Happening::Submits(job));
    }

    fn heals(&mut self) {
        self.store.heal();
        self.healed_at = Some(self.now);
        self.paused.clear();
        if self.coordinators.is_empty() {
            self.come(Role::Coordinator);
        }
        if self.workers.is_empty() {
            self.come(Role::Worker);
        }
        (0..self.jobs.len()).for_each(|job| self.after(1, Happening::Redrives(job)));
        if self.store.faults(|faults| faults.came.contains_key(&Fault::RunPaused)) {
            (0..self.jobs.len()).for_each(|job| self.after(1, Happening::Unpauses(job)));
        }
    }

    /// Who leads, as far as operators find them.
    pub fn leading(&self) -> Option<u32> {
        self.coordinators.iter().find(|(_, c)| c.serves()).map(|(number, _)| *number)
    }

    /// An operator lets a run go on. Once no more faults come they see to it that it does: a pause that was under way may come late.
    fn unpauses(&mut self, job: usize) {
        let run = self.run_of(job);
        if let Some(number) = self.leading() {
            self.tell(number, Input::Event(Event::Unpaused { run: run.clone() }));
        }
        if self.healed_at.is_some() && !self.is_done(&run) {
            self.after(self.timing.lease_ttl_ms / 2 + 1, Happening::Unpauses(job));
        }
    }

    /// Once no more faults come, what killed is mended in a run that failed, and it goes on, until it has ended for good.
    fn redrives(&mut self, job: usize) {
        let run = self.run_of(job);
        self.after(self.timing.lease_ttl_ms / 2 + 1, Happening::Redrives(job));
        let Some(number) = self.leading().filter(|_| !self.ended.contains(&job)) else { return };
        if !self.is_done(&run) {
            // One that another coordinator redrove, and did not live to tell: whoever asks again is told by the one that leads.
            return self.tell(number, Input::Redrive { run, look: None });
        }
        let failed = Run::replay(self.store.facts(&run)).expect("it is done");
        if failed.redrivable().is_err() {
            self.ended.insert(job);
        } else {
            let wrong = self.judge(job);
            self.violations.extend(wrong.err().map(|what| format!("{run}: {what}")));
            self.jobs[job].source.mended = true;
            let folder = SimFolder { store: self.store.clone(), run: run.clone() };
            self.make_staging(job);
            let remains = redrive::remains(&failed, &folder).expect("no faults come any more");
            self.store.faults(|faults| faults.count(Fault::Redriven));
            self.healed_at = Some(self.now);
            let read = Journal::read::<Fact>(&self.store, &run).expect("no faults come any more");
            let look = Box::new(Look { run: failed, position: read.position, remains });
            self.tell(number, Input::Redrive { run, look: Some(look) });
        }
    }

    fn is_done(&self, run: &RunId) -> bool {
        self.store.last_fact(run).is_some_and(|fact| matches!(fact, Fact::RunDone { .. }))
    }

    fn is_over(&mut self) -> bool {
        let Some(healed) = self.healed_at else { return false };
        // Hundreds of partitions, each of up to a lease's time, may be left to a single slot: hung attempts hold the others.
        let patience = 150 * self.timing.lease_ttl_ms + 120_000;
        let done = self.ended.len() == self.jobs.len();
        if !done && self.now.since(healed) > patience {
            let open: BTreeSet<_> =
                self.jobs.iter().map(|job| &job.accepted.run).filter(|run| !self.is_done(run)).collect();
            self.violations.push(format!("PROGRESS: {open:?} have not ended {patience} ms after the last fault"));
        }
        // What is late comes late: it must change nothing.
        done && self.now.since(healed) > 2 * self.timing.lease_ttl_ms
    }

    fn check(&mut self) {
        self.violations.extend(self.store.violations());
        let broken = self.coordinators.values().find_map(Coordinator::violated);
        self.violations.extend(broken);
        let many = |(run, deaths): &(&RunId, &u64)| {
            **deaths > DEATHS_MAX && **deaths > DEATHS_MAX + 2 * self.store.epochs(run)
        };
        if let Some((run, deaths)) = self.deaths.iter().find(many) {
            self.violations.push(format!("BOUNDED: {deaths} workers died of one record of {run}"));
        }
        let longest = self.jobs.iter().map(|job| self.store.slots(&job.accepted.run)).max().unwrap_or_default();
        if longest > SLOTS_MAX {
            self.violations.push(format!("BOUNDED: a journal has {longest} slots: work is done again without end"));
        }
    }
}
