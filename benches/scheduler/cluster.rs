//! Workers around a scheduler, in virtual time: they take what they are granted, tell how far they have come, and report.
//!
//! Invariant: nothing befalls them, so the order of events follows from the number of partitions alone; every partition must be staged,
//! accepted once and decided, and only what was guessed wrong is staged twice.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use batteuse_coordinator::scheduler::{Action, Done, Event, Fact, Scheduler, Timing};
use batteuse_shared::ids::{AttemptId, WorkerId};
use batteuse_shared::limits::{HEARTBEAT_MS_MAX, TABLE_FILES_MAX, TICK_MS};
use batteuse_shared::report::{Reason, Report, RunState};
use batteuse_shared::task::{Outcome, Task};
use batteuse_shared::time::Millis;

use super::HEAP;
use super::run::{self, Leased};

pub const WORKERS: u64 = 1_000;
/// Least time of an attempt, and how much longer one may take.
const ATTEMPT_MS: [u64; 2] = [400, 200];

/// A kind of events, and what they took.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    events: u64,
    time: Duration,
    longest: Duration,
}

impl Took {
    fn add(&mut self, time: Duration) {
        self.events += 1;
        self.time += time;
        self.longest = self.longest.max(time);
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.time.as_secs_f64() * 1e6 / self.events.max(1) as f64;
        write!(f, "{} in {mean:.1} µs each, {:.1} ms at most", self.events, self.longest.as_secs_f64() * 1e3)
    }
}

/// What was measured of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    decisions: Took,
    heartbeats: Took,
    ticks: Took,
    /// Most bytes that the run kept while it ran.
    pub kept_bytes: usize,
    /// With all that its last steps returned: facts, manifest, report, plan.
    pub peak_bytes: usize,
}

impl Told {
    /// In all the time that the scheduler took.
    pub fn decisions_per_s(&self) -> f64 {
        let time = self.decisions.time + self.heartbeats.time + self.ticks.time;
        self.decisions.events as f64 / time.as_secs_f64()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decisions {}; heartbeats {}; ticks {}", self.decisions, self.heartbeats, self.ticks)
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Due {
    Inspected(usize, AttemptId),
    Parsed(usize, AttemptId, Leased),
    Finished(usize, AttemptId),
    Heartbeat(usize),
    Tick,
}

/// Facts that were recorded, by what must hold of them in the end.
#[derive(Debug, Default)]
struct Facts {
    staged: u64,
    accepted: Vec<u8>,
    settled: u64,
    decided: u64,
    done: u64,
}

impl Facts {
    fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Staged { .. } => self.staged += 1,
            Fact::Accepted { partition, .. } => self.accepted[partition.0 as usize] += 1,
            Fact::SchemaSettled { .. } => self.settled += 1,
            Fact::RunDecided(_) => self.decided += 1,
            Fact::RunDone { .. } => self.done += 1,
            Fact::RunAccepted(_) | Fact::EpochBegun { .. } | Fact::Inspected(_) | Fact::FinishStaged { .. } => {}
            odd => panic!("{odd:?}"),
        }
    }
}

/// A scheduler, its workers, and what is due when.
pub struct Cluster {
    partitions: u64,
    first_last: bool,
    scheduler: Scheduler,
    workers: Vec<WorkerId>,
    /// What each worker runs: since when, for how long, over how many bytes.
    running: Vec<BTreeMap<AttemptId, (Millis, u64, u64)>>,
    due: BTreeMap<(Millis, u64), Due>,
    counter: u64,
    now: Millis,
    facts: Facts,
    parsed: u64,
    guessed_wrong: u64,
    told: Told,
}

impl Cluster {
    /// With a run of so many partitions; the first one may be late until all others are staged.
    pub fn new(partitions: u64, first_last: bool) -> Self {
        let name = |number| WorkerId::new(&format!("batteuse-worker-{number:04}")).unwrap();
        Self {
            partitions,
            first_last,
            scheduler: Scheduler::new(Timing { speculates: !first_last, ..Timing::default() }),
            workers: (0..WORKERS).map(name).collect(),
            running: vec![BTreeMap::new(); WORKERS as usize],
            due: BTreeMap::new(),
            counter: 0,
            now: Millis(0),
            facts: Facts { accepted: vec![0; partitions as usize], ..Facts::default() },
            parsed: 0,
            guessed_wrong: 0,
            told: Told::default(),
        }
    }

    /// Plays the run to its end, and compares what came of it.
    pub fn play(mut self) -> Told {
        for at in 0..self.workers.len() {
            let (worker, slots) = (self.workers[at].clone(), 1 + (at as u32) % 2);
            self.decide(Event::WorkerJoined { worker, slots, running: Vec::new() });
            self.after(at as u64 % HEARTBEAT_MS_MAX, Due::Heartbeat(at));
        }
        self.after(TICK_MS, Due::Tick);
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        self.decide(Event::Submitted(Box::new(run::accepted(self.partitions))));
        while self.facts.done == 0 {
            let ((at, _), due) = self.due.pop_first().expect("a tick follows each tick");
            self.now = at;
            let kept =
                matches!(due, Due::Tick | Due::Finished(..)).then(|| HEAP.current_usage().saturating_sub(before));
            self.told.kept_bytes = self.told.kept_bytes.max(kept.unwrap_or(0));
            self.happens(due);
        }
        self.told.peak_bytes = HEAP.peak_usage() - before;
        self.compare();
        self.told
    }

    fn after(&mut self, ms: u64, due: Due) {
        self.counter += 1;
        self.due.insert((self.now.plus(ms), self.counter), due);
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Inspected(worker, attempt) => self.report(worker, attempt, run::inspected()),
            // All others come before it.
            Due::Parsed(_, _, leased)
                if self.first_last && leased.partition.0 == 0 && self.parsed + 1 < self.partitions =>
            {
                self.after(TICK_MS, due);
            }
            Due::Parsed(worker, attempt, leased) => {
                self.parsed += 1;
                self.report(worker, attempt, leased.outcome(attempt, self.partitions));
            }
            Due::Finished(worker, attempt) => self.report(worker, attempt, run::finished(attempt, self.partitions)),
            Due::Heartbeat(worker) => {
                let progress = self.running[worker].iter().map(|(attempt, (began, ms, bytes))| {
                    let gone = self.now.since(*began).min(*ms);
                    (run::id(), *attempt, Done { bytes: bytes * gone / ms, work: self.now.0, end: None })
                });
                let (worker_id, progress) = (self.workers[worker].clone(), progress.collect());
                let beat = Event::Heartbeat { worker: worker_id, beat: self.counter, progress };
                let time = self.step(beat);
                self.told.heartbeats.add(time);
                self.after(HEARTBEAT_MS_MAX, Due::Heartbeat(worker));
            }
            Due::Tick => {
                let time = self.step(Event::Tick);
                self.told.ticks.add(time);
                self.after(TICK_MS, Due::Tick);
            }
        }
    }

    fn report(&mut self, worker: usize, attempt: AttemptId, outcome: Outcome) {
        self.running[worker].remove(&attempt);
        self.decide(Event::Reported { worker: self.workers[worker].clone(), run: run::id(), attempt, outcome });
    }

    fn decide(&mut self, event: Event) {
        let time = self.step(event);
        self.told.decisions.add(time);
    }

    /// How long the scheduler took for an event; what it wants done is done.
    fn step(&mut self, event: Event) -> Duration {
        let began = Instant::now();
        let actions = self.scheduler.step(event, self.now);
        let took = began.elapsed();
        for action in actions {
            match action {
                Action::Record { fact, .. } => self.facts.add(&fact),
                Action::Grant { worker, lease } => self.granted(&worker, lease.attempt, &lease.task),
                Action::Publish(plan) => {
                    let published = self.partitions <= TABLE_FILES_MAX as u64;
                    assert_eq!(plan.parts.len() as u64, if published { self.partitions } else { 0 });
                    drop(plan);
                    self.decide(Event::Published { run: run::id() });
                }
                Action::Ack { .. } | Action::Alive { .. } | Action::Discard { .. } => {}
                odd => panic!("{odd:?}"),
            }
        }
        took
    }

    fn granted(&mut self, worker: &WorkerId, attempt: AttemptId, task: &Task) {
        let worker = self.workers.binary_search(worker).unwrap();
        let ms = ATTEMPT_MS[0] + self.counter * 7_919 % ATTEMPT_MS[1];
        let bytes = match task {
            Task::Inspect(_) => {
                self.after(ms, Due::Inspected(worker, attempt));
                0
            }
            Task::Parse(task) => {
                let leased = Leased::of(task);
                self.guessed_wrong += u64::from(leased.guesses_wrong(self.partitions));
                self.after(ms, Due::Parsed(worker, attempt, leased));
                leased.range.bytes()
            }
            Task::Finish(task) => {
                assert_eq!(task.pieces.len() as u64, run::rejected(self.partitions));
                self.after(ms, Due::Finished(worker, attempt));
                0
            }
        };
        self.running[worker].insert(attempt, (self.now, ms, bytes));
    }

    /// What came of it is what must come of it.
    fn compare(&self) {
        let Facts { staged, accepted, settled, decided, done } = &self.facts;
        assert_eq!((*settled, *decided, *done), (1, 1, 1));
        assert!(accepted.iter().all(|times| *times == 1), "each partition is accepted, and once");
        assert_eq!(
            *staged,
            self.partitions + self.guessed_wrong,
            "what was guessed wrong is staged twice, and nothing else"
        );
        assert!(self.guessed_wrong > 0, "no guess was wrong");
        let report: Report =
            *self.scheduler.statuses().next().and_then(|status| status.report).expect("the run is done");
        assert!(report.equation.holds, "{:?}", report.equation);
        assert_eq!((report.accepted, report.partitions), (self.partitions, self.partitions));
        assert_eq!((report.reruns.guesses, report.reruns.types), (self.guessed_wrong, 0));
        assert_eq!(report.counts.rejected, run::rejected(self.partitions));
        // A table of more files no later run could go on from: then its run is decided, too, but fails.
        let many = report.partitions > TABLE_FILES_MAX as u64;
        assert_eq!(report.state, if many { RunState::Failed } else { RunState::SucceededWithRejects });
        assert_eq!(matches!(report.reason, Some(Reason::Refused { .. })), many, "{:?}", report.reason);
    }
}
