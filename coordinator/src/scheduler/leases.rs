//! The leases of a run: who has which task, and when that is over without a report.
//!
//! Invariant (LEASE-IS-HINT): they are gone with the process and nothing is decided by them; what an attempt staged counts whether its
//! lease is still out or not. Pure.

use std::collections::{BTreeMap, BTreeSet};

use batteuse_shared::ids::{AttemptId, WorkerId};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::task::{Failure, FailureClass, Task};
use batteuse_shared::time::Millis;

use super::messages::{Action, Done, TaskKey};
use super::run::Run;

/// A lease that is out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Out {
    pub(super) worker: WorkerId,
    pub(super) task: TaskKey,
    pub(super) done: Done,
    /// When it began, as far as this coordinator knows.
    pub(super) began: Millis,
    /// When it last told how far it had come.
    pub(super) told: Option<Millis>,
    /// When it was last heard that it had done something.
    moved: Millis,
    /// When it was asked to give its rest away, since its range last changed.
    pub(super) asked: Option<Millis>,
}

impl Out {
    fn new(worker: &WorkerId, task: TaskKey, now: Millis) -> Self {
        let (worker, done) = (worker.clone(), Done::default());
        Self { worker, task, done, began: now, told: None, moved: now, asked: None }
    }

    /// Takes in how far it has come.
    pub(super) fn progress(&mut self, done: Done, now: Millis) {
        if done.work > self.done.work {
            self.moved = now;
        }
        if done.bytes > self.done.bytes {
            self.told = Some(now);
        }
        self.done = Done { bytes: self.done.bytes.max(done.bytes), work: self.done.work.max(done.work), end: done.end };
    }

    /// How long it takes in all, by what it told. Milliseconds; at least as long as it is under way.
    pub(super) fn projected(&self, bytes: u64, now: Millis) -> u64 {
        let told = self.told.map_or(0, |told| {
            let took = u128::from(told.since(self.began)) * u128::from(bytes) / u128::from(self.done.bytes.max(1));
            u64::try_from(took).unwrap_or(u64::MAX)
        });
        told.max(now.since(self.began))
    }
}

/// The leases of a run that are out, by attempts and by tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    out: BTreeMap<AttemptId, Out>,
    by_task: BTreeSet<(TaskKey, AttemptId)>,
}

impl Leases {
    pub(super) fn get(&self, attempt: AttemptId) -> Option<&Out> {
        self.out.get(&attempt)
    }

    /// To change what is known of its progress; its task stays.
    pub(super) fn get_mut(&mut self, attempt: AttemptId) -> Option<&mut Out> {
        self.out.get_mut(&attempt)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (AttemptId, &Out)> {
        self.out.iter().map(|(attempt, lease)| (*attempt, lease))
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Bytes that all of them have read.
    pub(super) fn bytes(&self) -> u64 {
        self.out.values().map(|lease| lease.done.bytes).sum()
    }

    /// The attempts at a task.
    pub(super) fn at(&self, task: TaskKey) -> impl Iterator<Item = AttemptId> {
        self.by_task.range((task, AttemptId(0))..=(task, AttemptId(u64::MAX))).map(|(_, attempt)| *attempt)
    }

    fn insert(&mut self, attempt: AttemptId, lease: Out) {
        self.by_task.insert((lease.task, attempt));
        self.out.insert(attempt, lease);
    }

    pub(super) fn remove(&mut self, attempt: AttemptId) -> Option<Out> {
        let lease = self.out.remove(&attempt)?;
        self.by_task.remove(&(lease.task, attempt));
        Some(lease)
    }
}

impl Run {
    /// Whether a task is still to be done and nobody has it.
    fn free(&self, task: TaskKey) -> bool {
        let waits = || matches!(task, TaskKey::Parse(id) if self.condemned.contains_key(&id));
        self.open(task) && !waits() && self.leases.at(task).next().is_none()
    }

    /// Puts a task back in line, if it is free.
    pub(super) fn want_again(&mut self, task: TaskKey) {
        if self.free(task) {
            self.waiting.insert(task);
        }
    }

    /// A worker is back with an attempt that has no lease here: if nobody has its task, it has the lease again.
    pub(super) fn take_back(&mut self, attempt: AttemptId, task: TaskKey, worker: &WorkerId, now: Millis) -> bool {
        let known = self.issued.get(&attempt) == Some(&task);
        // One that has ended is told of again when its report was not acknowledged: it counts once.
        let new = (known || self.is_of_predecessor(attempt)) && !self.ended.contains(&attempt);
        if !new || !self.is_there_yet(task) || !self.free(task) {
            return false;
        }
        self.issued.insert(attempt, task);
        self.waiting.remove(&task);
        self.leases.insert(attempt, Out::new(worker, task, now));
        true
    }

    /// Whether a coordinator before this one leased it, since the run last went on. What it comes to is judged like that of any other; after the decision only
    /// attempts that were leased to replace something may.
    fn is_of_predecessor(&self, attempt: AttemptId) -> bool {
        (self.since..self.epoch()).contains(&attempt.epoch()) && self.decision.is_none()
    }

    /// Whether the run has such a task: workers' words are not trusted.
    fn is_there_yet(&self, task: TaskKey) -> bool {
        match task {
            TaskKey::Inspect => true,
            TaskKey::Parse(partition) => (partition.0 as usize) < self.partitions.len(),
            TaskKey::Finish => self.waiting.contains(&TaskKey::Finish),
        }
    }

    /// A lease is lost with its worker.
    pub(super) fn lose(&mut self, attempt: AttemptId, now: Millis, out: &mut Vec<Action>) {
        let Some(lost) = self.leases.remove(attempt).filter(|lost| self.open(lost.task)) else { return };
        let message = format!("worker {} was lost while it ran {}", lost.worker, super::retry::name(lost.task));
        let failure = Failure { class: FailureClass::Lost, message };
        self.take_failure(lost.task, attempt, failure, now, out);
        self.advance(now, out);
    }

    /// Attempts that have done nothing for so long, while their workers' heartbeats go on, are given up. Whose they were.
    pub(super) fn give_up_hung(
        &mut self,
        hung_ms: u64,
        now: Millis,
        out: &mut Vec<Action>,
    ) -> Vec<(WorkerId, TaskKey)> {
        let hung = |lease: &Out| now.since(lease.moved) >= hung_ms && !planted(Mutant::LeaseForEver);
        let hung: Vec<AttemptId> = self.leases.iter().filter(|(_, lease)| hung(lease)).map(|(id, _)| id).collect();
        let mut workers = Vec::new();
        for attempt in hung {
            let Some(lease) = self.leases.remove(attempt) else { continue };
            let (worker, run) = (lease.worker.clone(), self.id().clone());
            out.push(Action::Revoke { worker: worker.clone(), run, attempt });
            if self.open(lease.task) {
                let message = format!(
                    "worker {worker} has done nothing for {} s while it ran {}",
                    now.since(lease.moved) / 1_000,
                    super::retry::name(lease.task)
                );
                self.take_failure(lease.task, attempt, Failure { class: FailureClass::Hung, message }, now, out);
            }
            workers.push((worker, lease.task));
        }
        workers
    }

    /// A lease never began, or its worker came back without it: no fault of the task.
    pub(super) fn release(&mut self, attempt: AttemptId) {
        if let Some(lease) = self.leases.remove(attempt) {
            self.issued.remove(&attempt);
            self.want_again(lease.task);
        }
    }

    /// The next task to lease to `worker`, if one is ready.
    pub(super) fn lease(&mut self, worker: &WorkerId, now: Millis) -> Option<(AttemptId, Task)> {
        if self.is_held(now) {
            return None;
        }
        let key = self.waiting.first().copied().filter(|key| !self.connections_are_out(*key))?;
        self.waiting.remove(&key);
        Some(self.issue(key, worker, now))
    }

    /// A new attempt at a task, and its lease.
    pub(super) fn issue(&mut self, key: TaskKey, worker: &WorkerId, now: Millis) -> (AttemptId, Task) {
        self.counter += 1;
        let attempt = AttemptId::new(self.epoch(), self.counter);
        self.issued.insert(attempt, key);
        if let TaskKey::Parse(id) = key
            && self.start_of(id).is_some()
        {
            self.given.insert(attempt);
        }
        self.leases.insert(attempt, Out::new(worker, key, now));
        (attempt, self.task(key))
    }

    /// Attempts at a task, but for `by`, are told to stop: they are at what it was before, or somebody else has staged it.
    pub(super) fn revoke_others(&mut self, task: TaskKey, by: Option<AttemptId>, out: &mut Vec<Action>) {
        let others: Vec<AttemptId> = self.leases.at(task).filter(|attempt| Some(*attempt) != by).collect();
        for attempt in others {
            if let Some(lease) = self.leases.remove(attempt) {
                self.issued.remove(&attempt);
                out.push(Action::Revoke { worker: lease.worker, run: self.id().clone(), attempt });
            }
        }
    }

    /// Attempts at tasks that are done, or not wanted any more, are told to stop.
    pub(super) fn revoke(&mut self, out: &mut Vec<Action>) {
        let run = self.id().clone();
        let stop: Vec<AttemptId> = self.leases.iter().filter(|(_, l)| !self.open(l.task)).map(|(a, _)| a).collect();
        for attempt in stop {
            if let Some(lease) = self.leases.remove(attempt) {
                out.push(Action::Revoke { worker: lease.worker, run: run.clone(), attempt });
            }
        }
    }
}
