//! A worker's side of the protocol as a pure machine: what happened in, what is to be said and done out.
//!
//! Invariants: a report is kept until the coordinator acknowledges it, over any number of streams; what is revoked is forgotten; a
//! worker whose coordinator has not answered for a lease's time, counted from when the worker itself last spoke and was answered,
//! stops its attempts before anybody else may begin them. It holds no thread, stream or clock: the agent is its shell.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use batteuse_proto::{CoordinatorSays, Hello, PROTOCOL, Progress, WorkerSays};
use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::limits::LEASE_TTL_MS;
use batteuse_shared::task::{Failure, FailureClass, Held, Lease, Outcome, TaskKey};
use batteuse_shared::time::Millis;

/// Names an attempt.
pub type Key = (RunId, AttemptId);

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Far {
    /// Bytes of its range that it has read.
    pub bytes: u64,
    /// A count that grows with any work at all.
    pub work: u64,
    /// Where its range ends, once its rest was given away.
    pub end: Option<u64>,
}

/// Something that happened to a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A stream was opened at this time, and the coordinator has answered the greeting.
    Welcome {
        /// When the greeting was sent.
        asked_at: Millis,
        /// How long a lease lives without a word. Milliseconds.
        lease_ttl_ms: u64,
    },
    /// The coordinator said something more.
    Said(CoordinatorSays),
    /// The stream is gone.
    Closed,
    /// An attempt ended.
    Ended(Key, Outcome),
    /// It is time for a heartbeat.
    Beat {
        /// How far each attempt has come.
        progress: BTreeMap<Key, Far>,
    },
    /// Time has passed.
    Tick,
    /// This worker is asked to leave: it takes nothing more, and finishes what it has.
    Leave,
    /// It is time to be gone: what still runs is given back.
    GiveBack,
}

/// Something for the shell to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Say this on the stream there is.
    Say(WorkerSays),
    /// Begin an attempt.
    Start(Box<Lease>),
    /// Ask an attempt to stop.
    Stop(Key),
    /// Ask an attempt to let its range end here.
    Shorten(Key, u64),
    /// Leave the stream, and connect again.
    HangUp,
    /// The coordinator does not want this worker: end.
    Refused(String),
}

/// An attempt that this worker has.
#[derive(Debug, Clone, PartialEq)]
struct Had {
    task: TaskKey,
    /// How it ended; kept until acknowledged.
    outcome: Option<Outcome>,
    /// Whether it was asked to stop.
    stopping: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    worker: WorkerId,
    slots: u32,
    held: BTreeMap<Key, Had>,
    /// Attempts that were asked to stop and are forgotten, but whose threads are not free yet.
    stopping: BTreeSet<Key>,
    /// How many streams it has opened.
    streams: u64,
    connected: bool,
    leaving: bool,
    lease_ttl_ms: u64,
    /// When the last thing that was answered had been said.
    answered: Millis,
    beat: u64,
    /// Heartbeats that were not answered yet, by number, with the time at which each was sent.
    unanswered: VecDeque<(u64, Millis)>,
}

impl Session {
    /// A worker that nobody has heard of yet.
    #[must_use]
    pub fn new(worker: WorkerId, slots: u32) -> Self {
        Self {
            worker,
            slots,
            held: BTreeMap::new(),
            stopping: BTreeSet::new(),
            streams: 0,
            connected: false,
            leaving: false,
            lease_ttl_ms: LEASE_TTL_MS,
            answered: Millis(0),
            beat: 0,
            unanswered: VecDeque::new(),
        }
    }

    /// The first message of a stream.
    pub fn hello(&mut self) -> WorkerSays {
        self.streams += 1;
        WorkerSays::Hello(Hello {
            worker: self.worker.clone(),
            slots: self.slots,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            running: self.held.iter().map(|(key, had)| told(key, had)).collect(),
            stream: self.streams,
        })
    }

    /// Whether it holds nothing that anybody waits for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether it was asked to leave.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// How long a lease lives without a word. Milliseconds.
    #[must_use]
    pub fn lease_ttl_ms(&self) -> u64 {
        self.lease_ttl_ms
    }

    /// Takes in what happened.
    pub fn step(&mut self, heard: Heard, now: Millis) -> Vec<Act> {
        let mut out = Vec::new();
        match heard {
            Heard::Welcome { asked_at, lease_ttl_ms } => self.welcome(asked_at, lease_ttl_ms, &mut out),
            Heard::Said(says) => self.hear(says, &mut out),
            Heard::Closed => {
                self.connected = false;
                self.unanswered.clear();
            }
            Heard::Ended(key, outcome) => self.end(key, outcome, &mut out),
            Heard::Beat { progress } => self.beat(&progress, now, &mut out),
            Heard::Tick => {}
            Heard::Leave => self.leave(&mut out),
            Heard::GiveBack => self.stop_all(&mut out),
        }
        self.stop_in_silence(now, &mut out);
        out
    }

    fn welcome(&mut self, asked_at: Millis, lease_ttl_ms: u64, out: &mut Vec<Act>) {
        (self.connected, self.lease_ttl_ms) = (true, lease_ttl_ms);
        self.answered = self.answered.max(asked_at);
        for (key, held) in &self.held {
            out.extend(held.outcome.clone().map(|outcome| report(key, outcome)));
        }
        if self.leaving || !self.stopping.is_empty() {
            self.offer(out);
        }
    }

    /// Says how many attempts it can run: not those whose threads are still at work.
    fn offer(&self, out: &mut Vec<Act>) {
        let busy = u32::try_from(self.stopping.len()).unwrap_or(u32::MAX);
        let slots = if self.leaving { 0 } else { self.slots.saturating_sub(busy) };
        if self.connected {
            out.push(Act::Say(WorkerSays::Wanted { slots }));
        }
    }

    fn hear(&mut self, says: CoordinatorSays, out: &mut Vec<Act>) {
        match says {
            CoordinatorSays::Welcome { .. } => {}
            CoordinatorSays::Refused { reason } => out.push(Act::Refused(reason)),
            CoordinatorSays::Grant(lease) if self.leaving => {
                // It was granted before the coordinator heard that this worker leaves.
                let (task, outcome) = (lease.task.key(), released("the worker is leaving"));
                let key = (lease.run, lease.attempt);
                out.push(report(&key, outcome.clone()));
                self.held.insert(key, Had { task, outcome: Some(outcome), stopping: false });
            }
            CoordinatorSays::Grant(lease) => {
                let had = Had { task: lease.task.key(), outcome: None, stopping: false };
                self.held.insert((lease.run.clone(), lease.attempt), had);
                out.push(Act::Start(lease));
            }
            CoordinatorSays::Revoke { run, attempt } => {
                let key = (run, attempt);
                if self.held.remove(&key).is_some_and(|held| held.outcome.is_none()) {
                    out.push(Act::Stop(key.clone()));
                    self.stopping.insert(key);
                    self.offer(out);
                }
            }
            CoordinatorSays::Shorten { run, attempt, end } => {
                let key = (run, attempt);
                let runs = self.held.get(&key).is_some_and(|held| held.outcome.is_none() && !held.stopping);
                out.extend(runs.then_some(Act::Shorten(key, end)));
            }
            CoordinatorSays::Ack { run, attempt } => {
                self.held.remove(&(run, attempt));
            }
            CoordinatorSays::Alive { beat } => {
                while let Some((number, at)) = self.unanswered.pop_front_if(|(number, _)| *number <= beat) {
                    if number == beat {
                        self.answered = self.answered.max(at);
                    }
                }
            }
            CoordinatorSays::Drain => self.leave(out),
        }
    }

    fn end(&mut self, key: Key, outcome: Outcome, out: &mut Vec<Act>) {
        if self.stopping.remove(&key) {
            self.offer(out);
        }
        let Some(held) = self.held.get_mut(&key) else { return };
        held.outcome = Some(outcome.clone());
        if self.connected {
            out.push(report(&key, outcome));
        }
    }

    fn beat(&mut self, progress: &BTreeMap<Key, Far>, now: Millis, out: &mut Vec<Act>) {
        if !self.connected {
            return;
        }
        self.beat += 1;
        self.unanswered.push_back((self.beat, now));
        let told = |key: &Key| {
            let Far { bytes, work, end } = progress.get(key).copied().unwrap_or_default();
            Progress { run: key.0.clone(), attempt: key.1, bytes_done: bytes, work, end }
        };
        let progress = self.held.keys().map(told).collect();
        out.push(Act::Say(WorkerSays::Heartbeat { beat: self.beat, progress }));
    }

    /// Nobody has answered for a lease's time: somebody else will soon begin what runs here.
    fn stop_in_silence(&mut self, now: Millis, out: &mut Vec<Act>) {
        if now.since(self.answered) < self.lease_ttl_ms {
            return;
        }
        self.stop_all(out);
        if self.connected {
            // Another coordinator may lead by now, and answer.
            out.push(Act::HangUp);
        }
    }

    fn stop_all(&mut self, out: &mut Vec<Act>) {
        let running = self.held.iter_mut().filter(|(_, held)| held.outcome.is_none() && !held.stopping);
        for (key, held) in running {
            held.stopping = true;
            out.push(Act::Stop(key.clone()));
        }
    }

    fn leave(&mut self, out: &mut Vec<Act>) {
        self.leaving = true;
        self.offer(out);
    }
}

fn told((run, attempt): &Key, had: &Had) -> Held {
    Held { run: run.clone(), attempt: *attempt, task: had.task }
}

fn report((run, attempt): &Key, outcome: Outcome) -> Act {
    Act::Say(WorkerSays::Report { run: run.clone(), attempt: *attempt, outcome })
}

fn released(message: &str) -> Outcome {
    Outcome::Failed(Failure { class: FailureClass::Released, message: message.to_owned() })
}

#[cfg(test)]
mod tests;
