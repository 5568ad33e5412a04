//! Whose turn the next free slot is, and what the others wait for.
//!
//! Invariant: no run starves. The run with the higher priority has the turn, and each [`PRIORITY_AGE_MS`] without a lease is worth one
//! point of it; among equals the one with fewer leases, then the one that was accepted first. Pure, and without a line that is kept:
//! the next one is found when a slot is free.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use batteuse_shared::ids::{RunId, WorkerId};
use batteuse_shared::limits::PRIORITY_AGE_MS;
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::status::Waits;
use batteuse_shared::task::Lease;
use batteuse_shared::time::Millis;

use super::Scheduler;
use super::messages::Action;
use super::run::Run;
use super::status::Status;

impl Run {
    /// Whether nothing of it is leased at `now`: it is paused, or waits after a failure of its environment.
    pub(super) fn is_held(&self, now: Millis) -> bool {
        self.stall.until > now || self.paused && !planted(Mutant::LeasedWhilePaused)
    }

    /// Whether a task waits at `now` that nothing but a slot is missing for.
    fn is_ready(&self, now: Millis) -> bool {
        !self.is_held(now) && self.waiting.first().is_some_and(|key| !self.connections_are_out(*key))
    }

    /// Its place among the runs that wait at `now`: the least one has the turn. Equal ones have it in the order of their ids.
    fn place(&self, now: Millis) -> (Reverse<i64>, usize, Millis) {
        let age = i64::try_from(now.since(self.served) / PRIORITY_AGE_MS).unwrap_or(i64::MAX);
        let priority = i64::from(self.accepted.job.spec.priority).saturating_add(age);
        (Reverse(priority), self.leases.len(), self.accepted.at)
    }

    /// Whether its environment failed all that it would have leased.
    fn is_stalled(&self) -> bool {
        !self.stall.message.is_empty() && self.leases.is_empty() && !self.waiting.is_empty()
    }

    /// What it waits for by itself, whatever the others do.
    pub(super) fn waits(&self) -> Option<Waits> {
        let storage = |message: &String, retry_at| Some(Waits::Storage { message: message.clone(), retry_at });
        match self.publish_again_at.filter(|_| self.decision.is_some() && !self.publishing) {
            _ if self.done => None,
            Some(at) => storage(&self.publish_message, at),
            None if self.paused => Some(Waits::Unpause),
            None if self.is_stalled() => storage(&self.stall.message, self.stall.until),
            None => self.waits_for_connections(),
        }
    }
}

impl Scheduler {
    /// How the open runs stand, each with what it waits for.
    pub(super) fn open_statuses(&self) -> impl Iterator<Item = Status> + '_ {
        let line = self.line();
        self.runs.values().map(move |run| {
            let status = run.status();
            let waits = match (status.waits, line.get(run.id())) {
                // Its storage is tried again as soon as it has a slot.
                (Some(Waits::Storage { retry_at, .. }), Some(line)) if retry_at <= self.seen => Some(line.clone()),
                (own, line) => own.or_else(|| line.cloned()),
            };
            Status { waits, ..status }
        })
    }

    /// What the runs wait for that have no lease and lack nothing but a slot.
    fn line(&self) -> BTreeMap<&RunId, Waits> {
        let mut line: Vec<&Run> = self.runs.values().filter(|run| run.is_ready(self.seen)).collect();
        line.sort_by_key(|run| run.place(self.seen));
        let workers = self.workers.values().any(|worker| worker.takes_leases());
        let waits = |runs_before| if workers { Waits::Slot { runs_before } } else { Waits::Worker };
        let without = (0..).zip(line).filter(|(_, run)| run.leases.is_empty());
        without.map(|(before, run)| (run.id(), waits(before))).collect()
    }

    /// Gives every free slot the next task of the run whose turn it is.
    pub(super) fn grant(&mut self, now: Millis, out: &mut Vec<Action>) {
        if self.stepping_down || !self.runs.values().any(|run| run.is_ready(now)) {
            return;
        }
        let idle: Vec<WorkerId> = self.workers.idle(self.timing, now).cloned().collect();
        for id in idle {
            // Runs that have nothing for this worker.
            let mut passed: Vec<RunId> = Vec::new();
            while self.workers.has_room(&id) {
                let ready = self.runs.values_mut().filter(|run| run.is_ready(now) && !passed.contains(run.id()));
                let Some(run) = ready.min_by_key(|run| run.place(now)) else {
                    if passed.is_empty() {
                        return;
                    }
                    break;
                };
                let Some((attempt, task)) = run.lease(&id, now) else {
                    passed.push(run.id().clone());
                    continue;
                };
                run.served = now;
                let run = run.id().clone();
                self.workers.change(&id, |worker| worker.leases.insert((run.clone(), attempt)));
                out.push(Action::Grant { worker: id.clone(), lease: Box::new(Lease { run, attempt, task }) });
            }
        }
    }
}
