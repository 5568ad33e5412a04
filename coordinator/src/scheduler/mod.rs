//! The scheduler: a pure state machine over all runs and workers.
//!
//! `step(event, now) -> Vec<Action>`: all it knows arrives as an argument, all it wants leaves as a value. Invariant: the
//! order of the actions is the protocol (WRITE-AHEAD); safety never rests on a lease or on `now` (LEASE-IS-HINT).

mod blame;
mod invariants;
mod kept;
mod leases;
pub mod messages;
mod operator;
mod outcome;
mod partition;
mod poison;
mod publishing;
mod queue;
mod redrive;
mod replacing;
mod retry;
mod run;
mod sound;
mod split;
mod status;
mod stragglers;
mod table;
mod tasks;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeMap, BTreeSet};

use batteuse_shared::ids::{AttemptId, Epoch, RunId, WorkerId};
use batteuse_shared::limits::{RUNS_LISTED_MAX, SLOTS_MAX};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::task::{FailureClass, Held, Outcome};
use batteuse_shared::time::Millis;

pub use self::messages::{Accepted, Action, Decision, Done, Event, Fact, Remains, TaskKey, Timing};
pub use self::redrive::NotRedrivable;
pub use self::run::Run;
pub use self::status::Status;
use self::workers::{Worker, Workers};

/// All runs and workers.
#[derive(Debug, Default)]
pub struct Scheduler {
    timing: Timing,
    runs: BTreeMap<RunId, Run>,
    ended: BTreeMap<RunId, Status>,
    workers: Workers,
    stepping_down: bool,
    /// When the last event was taken in.
    seen: Millis,
}

impl Scheduler {
    /// Without runs and workers.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self { timing, ..Self::default() }
    }

    /// How long things may take.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// A run rebuilt from its journal joins: its next epoch begins.
    pub fn adopt(&mut self, mut run: Run, now: Millis) -> Vec<Action> {
        let mut out = Vec::new();
        if !run.done() {
            run.begin_epoch(now, &mut out);
        }
        let id = run.id().clone();
        self.runs.insert(id.clone(), run);
        self.retire(&id);
        out
    }

    /// What was accepted of a run, if there is such a run and it has not ended.
    #[must_use]
    pub fn accepted(&self, run: &RunId) -> Option<&Accepted> {
        self.runs.get(run).map(Run::accepted)
    }

    /// Whether there is such a run, be it ended or not.
    #[must_use]
    pub fn knows(&self, run: &RunId) -> bool {
        self.runs.contains_key(run) || self.ended.contains_key(run)
    }

    /// Forgets a run that never became durable, because another one has its place.
    pub fn forget(&mut self, run: &RunId) {
        self.runs.remove(run);
        self.workers.change_all(|worker| worker.leases.retain(|(of, _)| of != run));
    }

    /// The epoch in which a run's next fact is written.
    #[must_use]
    pub fn epoch(&self, run: &RunId) -> Option<Epoch> {
        self.runs.get(run).map(Run::epoch).or_else(|| self.ended.get(run).map(|s| s.epoch))
    }

    /// What is known of every run: of the open ones, then of those that have ended.
    pub fn statuses(&self) -> impl Iterator<Item = Status> + '_ {
        self.open_statuses().chain(self.ended.values().cloned())
    }

    /// Runs that have not ended.
    pub fn open_runs(&self) -> impl Iterator<Item = &RunId> {
        self.runs.values().filter(|r| !r.done()).map(Run::id)
    }

    /// Takes one event in.
    pub fn step(&mut self, event: Event, now: Millis) -> Vec<Action> {
        let mut out = Vec::new();
        self.seen = now;
        match event {
            Event::Submitted(accepted) => self.submitted(*accepted, now, &mut out),
            Event::WorkerJoined { worker, slots, running } => self.joined(worker, slots, running, now, &mut out),
            Event::Offered { worker, slots } => {
                let offered = |w: &mut Worker| (w.slots, w.last_seen) = (slots.min(SLOTS_MAX), now);
                if self.workers.change(&worker, offered).is_none() {
                    out.push(Action::Close { worker });
                }
            }
            Event::WorkerLeft { worker } => {
                self.workers.change(&worker, |w| *w.left.get_or_insert(now));
            }
            Event::Heartbeat { worker, beat, progress } => self.heartbeat(worker, beat, progress, now, &mut out),
            Event::Reported { worker, run, attempt, outcome } => {
                self.reported(worker, run, attempt, outcome, now, &mut out);
            }
            Event::Cancelled { run, message } => {
                if let Some(r) = self.runs.get_mut(&run) {
                    r.cancel(message, now, &mut out);
                }
            }
            Event::Paused { run } => {
                if let Some(r) = self.runs.get_mut(&run) {
                    r.pause(now, &mut out);
                }
            }
            Event::Unpaused { run } => {
                if let Some(r) = self.runs.get_mut(&run) {
                    r.unpause(now, &mut out);
                }
            }
            Event::Draining { worker } => self.drain(worker, &mut out),
            Event::Published { run } => {
                if let Some(r) = self.runs.get_mut(&run) {
                    r.published(now, &mut out);
                }
                self.retire(&run);
            }
            Event::PublishFailed { run, message, gone } => {
                if let Some(r) = self.runs.get_mut(&run) {
                    r.publish_failed(message, now);
                    r.miss(&gone);
                }
            }
            Event::Tick => self.tick(now, &mut out),
            Event::SteppingDown => {
                self.stepping_down = true;
                for run in self.runs.values_mut() {
                    run.step_down(&mut out);
                }
            }
        }
        self.forget_revoked(&out);
        self.grant(now, &mut out);
        debug_assert_eq!(self.violated(), None);
        out
    }

    /// The first invariant that does not hold of any run, with its figures.
    #[must_use]
    pub fn violated(&self) -> Option<String> {
        self.runs.values().find_map(Run::violated)
    }

    /// A run that has not ended.
    #[must_use]
    pub fn run(&self, run: &RunId) -> Option<&Run> {
        self.runs.get(run)
    }

    fn reported(
        &mut self,
        worker: WorkerId,
        run: RunId,
        attempt: AttemptId,
        outcome: Outcome,
        now: Millis,
        out: &mut Vec<Action>,
    ) {
        self.workers.change(&worker, |w| {
            w.last_seen = now;
            w.leases.remove(&(run.clone(), attempt))
        });
        if self.is_ahead(&run, attempt) {
            return;
        }
        // A staging folder that was swept after its run is not seen either: only a lease that is out accuses the worker.
        let out_now = self.runs.get(&run).is_some_and(|r| r.leases.get(attempt).is_some());
        let unseen = match &outcome {
            Outcome::Failed(failure) if failure.class == FailureClass::Unseen && out_now => {
                Some(failure.message.clone())
            }
            _ => None,
        };
        let slots = self.workers.slots();
        self.judge(&worker, &run, attempt, &outcome, now);
        if let Some(r) = self.runs.get_mut(&run) {
            r.take_outcome(attempt, outcome, slots, now, out);
        }
        out.push(Action::Ack { worker: worker.clone(), run, attempt });
        if let Some(reason) = unseen
            && let Some(refused) = self.workers.remove(&worker)
        {
            for (run, attempt) in refused.leases {
                if let Some(r) = self.runs.get_mut(&run) {
                    r.release(attempt);
                }
            }
            out.push(Action::Refuse { worker, reason });
        }
    }

    /// Whether another coordinator has leased `attempt` since it took `run` over: this one was stalled, and will find that out at its next
    /// append. Until then it has no say in what is that one's.
    fn is_ahead(&self, run: &RunId, attempt: AttemptId) -> bool {
        self.runs.get(run).is_some_and(|r| attempt.epoch() > r.epoch())
    }

    /// Keeps no more of a run that is done than a glance.
    fn retire(&mut self, id: &RunId) {
        if let Some(run) = self.runs.get(id).filter(|r| r.done()) {
            self.ended.insert(id.clone(), run.status());
            self.runs.remove(id);
        }
        while self.ended.len() > RUNS_LISTED_MAX {
            let oldest = self.ended.values().min_by_key(|s| (s.accepted_at, s.run.clone())).map(|s| s.run.clone());
            oldest.and_then(|id| self.ended.remove(&id));
        }
    }

    fn submitted(&mut self, accepted: Accepted, now: Millis, out: &mut Vec<Action>) {
        if self.knows(&accepted.run) {
            return;
        }
        let run = accepted.run.clone();
        out.push(Action::Record { run: run.clone(), fact: Fact::RunAccepted(Box::new(accepted.clone())) });
        let mut machine = Run::new(accepted);
        machine.begin_epoch(now, out);
        self.runs.insert(run, machine);
    }

    fn joined(&mut self, worker: WorkerId, slots: u32, running: Vec<Held>, now: Millis, out: &mut Vec<Action>) {
        if running.iter().any(|held| self.is_ahead(&held.run, held.attempt)) {
            // It works for the coordinator that took over.
            return out.push(Action::Close { worker });
        }
        let before = self.workers.get(&worker);
        let draining = before.is_some_and(|w| w.draining);
        let had = before.map(|w| w.leases.clone()).unwrap_or_default();
        let has: BTreeSet<_> = running.iter().map(|held| (held.run.clone(), held.attempt)).collect();
        for (run, attempt) in had.difference(&has) {
            if let Some(r) = self.runs.get_mut(run) {
                r.release(*attempt);
            }
        }
        let mut leases: BTreeSet<_> = had.intersection(&has).cloned().collect();
        for Held { run, attempt, task } in running {
            if leases.contains(&(run.clone(), attempt)) {
                continue;
            }
            // It was given up while it was away, or leased by the coordinator before: what nobody has taken over goes on.
            if self.runs.get_mut(&run).is_some_and(|r| r.take_back(attempt, task, &worker, now)) {
                leases.insert((run, attempt));
            } else {
                out.push(Action::Revoke { worker: worker.clone(), run, attempt });
            }
        }
        if draining {
            // It may not have heard it on the stream before.
            out.push(Action::Drain { worker: worker.clone() });
        }
        // One that was set aside stays so, though its stream broke.
        let (blamed, aside) = self.workers.remove(&worker).map(|w| (w.blamed, w.aside)).unwrap_or_default();
        let slots = slots.min(SLOTS_MAX);
        self.workers.insert(worker, Worker { slots, last_seen: now, left: None, draining, leases, blamed, aside });
    }

    fn heartbeat(
        &mut self,
        worker: WorkerId,
        beat: u64,
        progress: Vec<(RunId, AttemptId, Done)>,
        now: Millis,
        out: &mut Vec<Action>,
    ) {
        if self.workers.change(&worker, |w| w.last_seen = now).is_none() {
            // It was given up while its stream stayed open: closed, it comes back and is greeted anew.
            return out.push(Action::Close { worker });
        }
        for (run, attempt, done) in progress {
            let Some(r) = self.runs.get_mut(&run) else { continue };
            if let Some(lease) = r.leases.get_mut(attempt) {
                lease.progress(done, now);
            }
            if let Some(end) = done.end {
                r.shortened(attempt, end, out);
            }
        }
        out.push(Action::Alive { worker, beat });
    }

    /// Time passes: workers that are gone lose their leases; publishing is tried again.
    fn tick(&mut self, now: Millis, out: &mut Vec<Action>) {
        let Timing { lease_ttl_ms, suspect_ms, hung_ms, .. } = self.timing;
        // By then one that is only silent has stopped by itself.
        let silent = |w: &Worker| now.since(w.last_seen) >= 2 * lease_ttl_ms;
        let kept = planted(Mutant::LeaseForEver);
        let gone = |w: &Worker| !kept && (w.left.is_some_and(|at| now.since(at) >= suspect_ms) || silent(w));
        let lost: Vec<WorkerId> = self.workers.iter().filter(|(_, w)| gone(w)).map(|(id, _)| id.clone()).collect();
        for id in lost {
            let Some(worker) = self.workers.remove(&id) else { continue };
            if worker.left.is_none() {
                out.push(Action::Close { worker: id.clone() });
            }
            for (run, attempt) in worker.leases {
                if let Some(r) = self.runs.get_mut(&run) {
                    if let Some(task) = r.leases.get(attempt).map(|lease| lease.task) {
                        r.saw_crash(&id, task, self.timing, now);
                    }
                    r.lose(attempt, now, out);
                }
            }
        }
        let mut hung = Vec::new();
        for (id, run) in &mut self.runs {
            for (worker, task) in run.give_up_hung(hung_ms, now, out) {
                // Its thread is not free; the worker says when it is.
                self.workers.change(&worker, |w| w.slots = w.slots.saturating_sub(1));
                hung.push((worker, id.clone(), task));
            }
            run.advance(now, out);
        }
        hung.iter().for_each(|(worker, run, task)| self.blame(worker, run, *task, now));
        self.take_back_aside(now);
        self.hasten(now, out);
    }

    fn forget_revoked(&mut self, out: &[Action]) {
        for action in out {
            if let Action::Revoke { worker, run, attempt } = action {
                self.workers.change(worker, |w| w.leases.remove(&(run.clone(), *attempt)));
            }
        }
    }
}
