//! What operators ask for: a run that is held and let go, a worker that is to leave; and how workers stand.
//!
//! Invariant: a pause is a fact, so take-over and restart keep it. It holds back leases and nothing else: what is under way ends and counts,
//! and a paused run comes to what it would have come to. A drain is a hint: the worker itself knows that it leaves. Pure.

use batteuse_shared::ids::WorkerId;
use batteuse_shared::status::WorkerStatus;
use batteuse_shared::time::Millis;

use super::Scheduler;
use super::messages::{Action, Fact};
use super::run::Run;
use super::workers::Worker;

impl Run {
    /// Whether an operator holds it. Its decision ends that.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Holds the run, if it is neither held nor decided.
    pub(super) fn pause(&mut self, now: Millis, out: &mut Vec<Action>) {
        if !self.paused && self.decision.is_none() {
            self.record(Fact::Paused { at: now }, out);
        }
    }

    /// Lets the run go on, if it is held.
    pub(super) fn unpause(&mut self, now: Millis, out: &mut Vec<Action>) {
        if self.paused {
            self.record(Fact::Unpaused { at: now }, out);
        }
    }
}

impl Worker {
    /// Whether it may be given leases at all, if it is heard.
    pub(super) fn takes_leases(&self) -> bool {
        self.left.is_none() && !self.draining && self.slots > 0
    }

    fn status(&self, id: &WorkerId, now: Millis) -> WorkerStatus {
        WorkerStatus {
            worker: id.clone(),
            slots: self.slots,
            leases: u32::try_from(self.leases.len()).unwrap_or(u32::MAX),
            silent_ms: now.since(self.last_seen),
            connected: self.left.is_none(),
            // One that leaves by itself says that it has none.
            draining: self.draining || self.slots == 0,
            aside: self.is_aside(now),
        }
    }
}

impl Scheduler {
    /// How all workers stand at `now`, in the order of their names.
    pub fn workers(&self, now: Millis) -> impl Iterator<Item = WorkerStatus> + '_ {
        self.workers.iter().map(move |(id, worker)| worker.status(id, now))
    }

    /// Asks a worker to leave; from now on it is given nothing more.
    pub(super) fn drain(&mut self, worker: WorkerId, out: &mut Vec<Action>) {
        if self.workers.change(&worker, |found| found.draining = true).is_some() {
            out.push(Action::Drain { worker });
        }
    }
}
