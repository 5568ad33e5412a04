//! What a decided run does when content that it staged is proven gone: the task is leased once more, and what comes of it takes the
//! place of what was lost, if it is the same.
//!
//! Invariants: what was decided stays decided, down to the bytes that the manifest tells, so the digest in `RunDecided` stays true
//! and a manifest that is visible already too; nothing else is ever published. A part keeps its published name: had "gone" been wrong
//! (a late coordinator's request is still under way), one name would still hold one part once, where a second name would show its rows
//! twice. A decided run has no budgets: whatever goes wrong holds it up, and never fails it. What is gone is a hint, gone with the
//! process: publishing finds it out again. Pure.

use std::collections::BTreeMap;

use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::task::{Finished, Outcome, Parsed, StagedPart, StagedRejects, StagedTable};
use batteuse_shared::time::Millis;

use super::kept::{Kept, staged};
use super::messages::{Action, Fact, TaskKey};
use super::retry::{self, Stall};
use super::run::Run;
use super::sound;
use crate::publish::Staged;

impl Run {
    /// Takes in that what these attempts staged is gone. One that holds nothing of the run any more changes nothing.
    pub(super) fn miss(&mut self, gone: &[AttemptId]) {
        if gone.is_empty() || self.decision.is_none() || self.done {
            return;
        }
        let partitions = (0u32..).zip(&self.partitions);
        let held = partitions.filter_map(|(i, p)| Some((p.holder()?, TaskKey::Parse(PartitionId(i)))));
        let finish = self.finish.iter().map(|(attempt, _)| (*attempt, TaskKey::Finish));
        let held: BTreeMap<AttemptId, TaskKey> = held.chain(finish).collect();
        for task in gone.iter().filter_map(|attempt| held.get(attempt)) {
            self.gone.insert(*task);
            self.want_again(*task);
        }
    }

    /// What `task` staged is there, as far as anybody knows.
    pub(super) fn is_there(&mut self, task: TaskKey) {
        self.waiting.remove(&task);
        self.gone.remove(&task);
    }

    /// The attempt that an attempt at `partition` replaces, once the run is decided.
    pub(super) fn replaces(&self, partition: PartitionId) -> Option<AttemptId> {
        let staged = self.partitions[partition.0 as usize].staged.as_ref();
        staged.filter(|_| self.decision.is_some()).map(|(accepted, _)| *accepted)
    }

    /// Takes in what came of a task whose content is gone.
    pub(super) fn take_again(
        &mut self,
        task: TaskKey,
        attempt: AttemptId,
        outcome: Outcome,
        now: Millis,
        out: &mut Vec<Action>,
    ) {
        let taken = match (task, outcome) {
            (TaskKey::Parse(id), Outcome::Parsed(again)) if self.is_sound(id, attempt, &again) => {
                self.same_part(id, attempt, *again)
            }
            (TaskKey::Finish, Outcome::Finished(again))
                if sound::finished(&again, self.id(), attempt, self.uploads()) =>
            {
                self.same_rejects(attempt, again)
            }
            (_, Outcome::Failed(failure)) if sound::blameless(failure.class) => return self.want_again(task),
            (_, Outcome::Failed(failure)) => Err(failure.message),
            (_, outcome) => {
                if let Outcome::Parsed(parsed) = &outcome {
                    self.garbage.extend(sound::own(parsed, attempt));
                }
                Err(format!("attempt {attempt} reported figures that cannot be true"))
            }
        };
        match taken {
            Ok(fact) => {
                self.record(fact, out);
                self.stall = Stall::default();
                // Lost again, it waits longer and longer: a store that keeps nothing must not have the source read on and on.
                if self.gone.is_empty() && self.publish_failures == 1 {
                    self.publish_again_at = None;
                }
            }
            Err(reason) => {
                let task_name = retry::name(task);
                let message =
                    format!("what {task_name} staged is lost after the run was decided, and not replaced: {reason}");
                self.stall.fail(message, now);
                self.want_again(task);
            }
        }
    }

    /// The fact that `attempt` replaces the part of `id`, or in which way it differs.
    fn same_part(&mut self, id: PartitionId, attempt: AttemptId, again: Parsed) -> Result<Fact, String> {
        let accepted = self.partitions[id.0 as usize].staged.as_ref().map(|(_, parsed)| parsed.as_ref());
        let differs = accepted.and_then(|accepted| difference(accepted, &again));
        match (differs, again) {
            (None, Parsed { parts, table, rejects, .. }) if !parts.is_empty() || table.is_some() => {
                Ok(Fact::PartitionReplaced { partition: id, attempt, parts, table, rejects })
            }
            (differs, again) => {
                // Only a partition that has rows somewhere is ever said to be lost.
                let differs = differs.unwrap_or("part");
                self.garbage.extend(staged(&again.parts, again.rejects.as_ref()));
                Err(other(attempt, differs))
            }
        }
    }

    /// The fact that `attempt` has staged the run's rejects again, or in which way they differ.
    fn same_rejects(&mut self, attempt: AttemptId, again: Finished) -> Result<Fact, String> {
        let before = self.finish.as_ref().map(|(_, finished)| finished);
        if before.is_some_and(|before| before.rejects.rows == again.rejects.rows && before.shown == again.shown) {
            return Ok(Fact::FinishStaged { attempt, finished: again });
        }
        self.garbage.push(Staged { name: again.rejects.key, upload: again.rejects.upload });
        Err(other(attempt, "rejects"))
    }
}

fn other(attempt: AttemptId, what: &str) -> String {
    format!(
        "attempt {attempt} made another {what} than the decided one. The source has changed under its version, or this version of \
         batteuse writes other bytes: resume with the one that began the run, or run again into another folder"
    )
}

/// The first thing in which two attempts at one span differ, of those that were decided.
fn difference(accepted: &Kept, again: &Parsed) -> Option<&'static str> {
    let part = |p: &StagedPart| (p.values.clone(), p.rows, p.digest, p.bytes, p.sha256);
    let table = |t: &StagedTable| (t.rows, t.digest);
    let rejects = |r: &StagedRejects| (r.rows, r.content);
    [
        ("span", (again.first, again.span) == (accepted.first, accepted.span)),
        ("count", again.counts == accepted.counts),
        ("type", again.types.as_deref() == accepted.types.as_deref()),
        ("list of rejects", again.rejects.as_ref().map(rejects) == accepted.rejects.as_deref().map(rejects)),
        ("part", again.parts.iter().map(part).eq(accepted.parts.iter().map(part))),
        ("staging table", again.table.as_ref().map(table) == accepted.table.as_deref().map(table)),
    ]
    .into_iter()
    .find_map(|(what, same)| (!same).then_some(what))
}
