//! A run that failed goes on: what failed or was set aside is tried once more, in the same run.
//!
//! Invariants: what was accepted stays accepted, but for what was passed over unread (SINGLE-DECISION); a run is redriven or released,
//! never both, because each would be the next fact of its journal: so whoever takes the output folder of a run that failed releases it
//! first, and what it staged is kept until then. Pure.

use std::collections::BTreeSet;

use batteuse_shared::ids::{PartitionId, RunId};
use batteuse_shared::report::{Reason, RunState};
use batteuse_shared::time::Millis;

use super::Scheduler;
use super::kept::Kept;
use super::messages::{Action, Fact, Remains, TaskKey};
use super::run::Run;
use crate::publish::Staged;

/// Why a run cannot be redriven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRedrivable {
    /// It has not ended.
    #[error("run {run} has not ended")]
    Open {
        /// Which.
        run: RunId,
    },
    /// None of its partitions failed.
    #[error(
        "run {run} has ended, as {state:?}{}: only a run that failed because its tasks did is redriven. Submit its job again",
        why(.reason)
    )]
    Ended {
        /// Which.
        run: RunId,
        /// How.
        state: RunState,
        /// Why.
        reason: Option<Reason>,
    },
    /// Another run has its folder, or what it staged was given up.
    #[error("run {run} cannot be redriven any more: {reason}. Submit its job again")]
    Released {
        /// Which.
        run: RunId,
        /// What became of what it staged.
        reason: String,
    },
}

fn why(reason: &Option<Reason>) -> String {
    reason.as_ref().map(|reason| format!(" ({})", reason.message())).unwrap_or_default()
}

impl Run {
    /// Whether what failed can be tried once more.
    ///
    /// # Errors
    /// When it cannot, with the reason.
    pub fn redrivable(&self) -> Result<(), NotRedrivable> {
        let run = self.id().clone();
        if !self.done() {
            return Err(NotRedrivable::Open { run });
        }
        if let Some(reason) = self.released.clone() {
            return Err(NotRedrivable::Released { run, reason });
        }
        match self.decision() {
            Some(decision) if matches!(decision.reason, Some(Reason::TaskFailed { .. })) => Ok(()),
            decision => {
                let reason = decision.and_then(|decision| decision.reason.clone());
                Err(NotRedrivable::Ended { run, state: self.state(), reason })
            }
        }
    }

    /// Whether what it staged is kept when it ends, because it may be redriven.
    #[must_use]
    pub fn keeps_staged(&self) -> bool {
        let failed = |reason: &Option<Reason>| matches!(reason, Some(Reason::TaskFailed { .. }));
        self.released.is_none()
            && self.decision().is_some_and(|decision| failed(&decision.reason))
            && self.partitions.iter().any(|partition| partition.staged.is_some())
    }

    /// Partitions of which not all is there that was staged.
    #[must_use]
    pub fn lost(&self, there: impl Fn(&Staged) -> bool) -> Vec<PartitionId> {
        let whole = |kept: &Kept| kept.staged().iter().all(&there);
        let ids = (0u32..).map(PartitionId).zip(&self.partitions);
        ids.filter(|(_, p)| p.staged.as_ref().is_some_and(|(_, kept)| !whole(kept))).map(|(id, _)| id).collect()
    }

    /// Takes in that it goes on. What is under way of it, if anything, is nobody's: it was revoked when the run was decided.
    pub(super) fn take_redriven(&mut self, remains: &Remains) {
        self.redrives += 1;
        self.replaces.clone_from(&remains.visible);
        (self.decision, self.failing, self.finish, self.done) = (None, None, None, false);
        self.finish_given_up = false;
        self.budgets.clear();
        self.condemned.clear();
        for id in (0u32..).map(PartitionId).take(self.partitions.len()) {
            let aside = std::mem::take(&mut self.partitions[id.0 as usize].quarantine);
            if aside || remains.lost.contains(&id) {
                self.take_up_again(id);
            }
        }
        self.waiting = self.still_to_do();
    }

    /// A partition that was passed over, or of which something is lost, is to be read.
    fn take_up_again(&mut self, id: PartitionId) {
        let partition = &mut self.partitions[id.0 as usize];
        partition.reason.clear();
        self.accepted_count -= u64::from(std::mem::take(&mut partition.accepted));
        self.to_accept.remove(&id);
        self.take_out(id);
    }

    fn still_to_do(&self) -> BTreeSet<TaskKey> {
        if self.inspected.is_none() {
            return BTreeSet::from([TaskKey::Inspect]);
        }
        let parse = self.line.iter().map(|id| TaskKey::Parse(*id)).filter(|task| self.open(*task));
        let finish = (self.accepted_count == self.partitions.len() as u64).then_some(TaskKey::Finish);
        parse.chain(finish).collect()
    }
}

impl Scheduler {
    /// A run that was rebuilt from its journal, and is [`Run::redrivable`], goes on: its next epoch begins.
    pub fn redrive(&mut self, mut run: Run, remains: Remains, now: Millis) -> Vec<Action> {
        debug_assert_eq!(run.redrivable(), Ok(()));
        let mut out = Vec::new();
        run.begin_epoch(now, &mut out);
        run.record(Fact::Redriven { at: now, remains }, &mut out);
        run.advance(now, &mut out);
        self.ended.remove(run.id());
        self.runs.insert(run.id().clone(), run);
        out
    }
}
