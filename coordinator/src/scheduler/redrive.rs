//! A run that has ended without all of its rows goes on: what failed or was set aside is tried once more, in the same run.
//!
//! Invariants: what was accepted is accepted once more as it is, unless what is read now has other types (SINGLE-DECISION, EXACT); a run is
//! redriven or released, never both, because each would be the next fact of its journal: so whoever takes the output folder of such a run
//! releases it first, and what it staged is kept until then. A table that it published stands until the next one takes its place. Pure.

use std::collections::BTreeSet;

use batteuse_shared::ids::{AttemptId, PartitionId, RunId};
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
    /// None of its partitions failed, and none was set aside.
    #[error(
        "run {run} has ended, as {state:?}{}: only what failed because tasks did, or was set aside, is redriven. Submit its job again",
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
    /// It is published into a table of a database.
    #[error(
        "run {run} is published into a table of a database, which takes a run once: submit its job again, with the mode replace or upsert"
    )]
    InTable {
        /// Which.
        run: RunId,
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
        if !self.has_left_something() {
            let reason = self.decision().and_then(|decision| decision.reason.clone());
            return Err(NotRedrivable::Ended { run, state: self.state(), reason });
        }
        if self.is_in_table() { Err(NotRedrivable::InTable { run }) } else { Ok(()) }
    }

    /// Whether its rows are in a table of a database.
    fn is_in_table(&self) -> bool {
        self.is_published() && self.accepted.job.spec.output.postgres.is_some()
    }

    /// Whether a table of it is visible: of this ending, or of one before.
    #[must_use]
    pub fn has_been_published(&self) -> bool {
        self.is_published() || self.stood.is_some()
    }

    /// Whether what it was decided to be is a table.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.decision().is_some_and(|decision| decision.manifest_sha256.is_some())
    }

    /// Whether it was decided without all of its rows, because tasks failed.
    fn has_left_something(&self) -> bool {
        let failed = |reason: &Option<Reason>| matches!(reason, Some(Reason::TaskFailed { .. }));
        let aside = || self.is_published() && self.partitions.iter().any(|partition| partition.quarantine);
        self.decision().is_some_and(|decision| failed(&decision.reason)) || aside()
    }

    /// Whether what it staged is kept when it ends, because it may be redriven.
    #[must_use]
    pub fn keeps_staged(&self) -> bool {
        self.released.is_none() && self.has_left_something() && !self.is_in_table()
    }

    /// Partitions of which not all is there that was staged; of parts it is asked with the path under which they are published, too.
    #[must_use]
    pub fn lost(&self, there: impl Fn(&Staged, Option<&str>) -> bool) -> Vec<PartitionId> {
        let whole = |attempt: AttemptId, kept: &Kept| {
            let paths = kept.parts.iter().map(|part| Some(self.path_of(part, kept, attempt)));
            let paths = paths.chain(std::iter::repeat(None));
            kept.staged().iter().zip(paths).all(|(staged, path)| there(staged, path.as_deref()))
        };
        let ids = (0u32..).map(PartitionId).zip(&self.partitions);
        let lost = ids.filter(|(_, p)| p.staged.as_ref().is_some_and(|(attempt, kept)| !whole(*attempt, kept)));
        lost.map(|(id, _)| id).collect()
    }

    /// Takes in that it goes on. What is under way of it, if anything, is nobody's: it was revoked when the run was decided.
    pub(super) fn take_redriven(&mut self, remains: &Remains) {
        (self.redrives, self.since) = (self.redrives + 1, self.epoch());
        self.replaces.clone_from(&remains.visible);
        if self.is_published() {
            let parts = self.published_parts();
            self.stood.get_or_insert_default().extend(parts);
        }
        self.unsettle();
        (self.decision, self.failing, self.finish, self.done) = (None, None, None, false);
        self.finish_given_up = false;
        self.budgets.clear();
        self.condemned.clear();
        let lost: BTreeSet<PartitionId> = remains.lost.iter().copied().collect();
        for id in (0u32..).map(PartitionId).take(self.partitions.len()) {
            let aside = std::mem::take(&mut self.partitions[id.0 as usize].quarantine);
            if aside || lost.contains(&id) {
                self.take_up_again(id);
            }
        }
        self.waiting = self.still_to_do();
    }

    /// A partition that was passed over, or of which something is lost, is to be read.
    fn take_up_again(&mut self, id: PartitionId) {
        let partition = &mut self.partitions[id.0 as usize];
        partition.reason.clear();
        self.take_out(id);
    }

    /// What is read now may have other types: those that were settled are the guess, and all is accepted once more when they are again.
    fn unsettle(&mut self) {
        if let (Some(types), Some(inspected)) = (self.settled.take(), &mut self.inspected) {
            inspected.columns.iter_mut().zip(types).for_each(|(column, ctype)| column.ctype = ctype);
        }
        self.partitions.iter_mut().for_each(|partition| partition.accepted = false);
        (self.accepted_count, self.to_accept) = (0, BTreeSet::new());
    }

    fn still_to_do(&self) -> BTreeSet<TaskKey> {
        if self.inspected.is_none() {
            return BTreeSet::from([TaskKey::Inspect]);
        }
        self.line.iter().map(|id| TaskKey::Parse(*id)).filter(|task| self.open(*task)).collect()
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
