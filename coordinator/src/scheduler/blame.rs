//! Whose fault it is: a worker on which different partitions crash is set aside for a while, and where different partitions crash on many
//! workers at once the run waits, for then it is none of theirs.
//!
//! Invariants: a worker is set aside only while another one takes leases, and only for a while, so one that is well is enough for every
//! run to end (PROGRESS); all this is hints, and no fact rests on it. Pure.

use std::collections::BTreeSet;

use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::limits::{ASIDE_TASKS, ASIDE_TTLS, CRASHED_TASKS, CRASHED_WORKERS};
use batteuse_shared::task::{FailureClass, Outcome};
use batteuse_shared::time::Millis;

use super::Scheduler;
use super::messages::{TaskKey, Timing};
use super::run::Run;
use super::workers::Worker;

/// A crash or the loss of a worker, as a run remembers it for a short while.
#[derive(Debug, Clone)]
pub(super) struct Crashed {
    at: Millis,
    worker: WorkerId,
    task: TaskKey,
}

impl Worker {
    /// Whether it is set aside.
    pub(super) fn is_aside(&self, now: Millis) -> bool {
        self.aside.is_some_and(|until| now < until)
    }
}

impl Run {
    /// A worker crashed or was lost with a task. Many at once, with different tasks: the run waits.
    pub(super) fn saw_crash(&mut self, worker: &WorkerId, task: TaskKey, timing: Timing, now: Millis) {
        self.crashed.retain(|crashed| now.since(crashed.at) < timing.lease_ttl_ms);
        self.crashed.push(Crashed { at: now, worker: worker.clone(), task });
        let workers = self.crashed.iter().map(|c| &c.worker).collect::<BTreeSet<_>>().len();
        let tasks = self.crashed.iter().map(|c| c.task).collect::<BTreeSet<_>>().len();
        if workers >= CRASHED_WORKERS && tasks >= CRASHED_TASKS {
            self.crashed.clear();
            let message = format!(
                "{workers} workers crashed at once, with {tasks} different tasks of this run: it waits a while. Look at their logs"
            );
            self.stall.hold(message, now, timing.lease_ttl_ms);
        }
    }
}

impl Scheduler {
    /// An attempt that was leased to `worker` ended so.
    pub(super) fn judge(&mut self, worker: &WorkerId, run: &RunId, attempt: AttemptId, outcome: &Outcome, now: Millis) {
        let timing = self.timing;
        let Some(r) = self.runs.get_mut(run) else { return };
        let Some(task) = r.leases.get(attempt).map(|lease| lease.task) else { return };
        match outcome {
            Outcome::Failed(failure) if failure.class == FailureClass::Crash => {
                r.saw_crash(worker, task, timing, now);
                self.blame(worker, run, task, now);
            }
            Outcome::Failed(_) => {}
            _ => {
                r.crashed.clear();
                self.workers.change(worker, |w| w.blamed.clear());
            }
        }
    }

    /// A task crashed or hung on a worker that lives.
    pub(super) fn blame(&mut self, worker: &WorkerId, run: &RunId, task: TaskKey, now: Millis) {
        let well = |w: &Worker| w.hears(self.timing, now) && !w.is_aside(now) && w.slots > 0;
        let others = self.workers.iter().any(|(name, w)| name != worker && well(w) && w.blamed.len() < ASIDE_TASKS);
        let until = now.plus(ASIDE_TTLS * self.timing.lease_ttl_ms);
        self.workers.change(worker, |w| {
            w.blamed.insert((run.clone(), task));
            if w.blamed.len() >= ASIDE_TASKS && others {
                w.blamed.clear();
                w.aside = Some(until);
            }
        });
    }

    /// Nobody is set aside when nobody else is left.
    pub(super) fn take_back_aside(&mut self, now: Millis) {
        let takes = |w: &Worker| w.hears(self.timing, now) && !w.is_aside(now) && w.slots > 0;
        if !self.workers.values().any(takes) {
            self.workers.change_all(|w| w.aside = None);
        }
    }
}
