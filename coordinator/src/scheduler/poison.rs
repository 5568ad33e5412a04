//! What a run does about a range that kills whoever parses it: it is tried alone, cut in halves, and what is left is set aside unread.
//!
//! Invariants: all of it is a function of the facts, so that whoever takes the run over goes on alike; only failures that accuse the
//! content (a crash, a hang) cut a range or set it aside, never the loss of a worker alone, and none under a guess of its start sets it aside; what is set aside is bounded by the spec, and
//! in nothing else than in its own count is it published (CONSERVATION). Pure.

use batteuse_shared::ids::PartitionId;
use batteuse_shared::limits::{QUARANTINE_BYTES_MAX, QUARANTINE_PARTITION_SHARE};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::report::{Quarantine, Reason};
use batteuse_shared::span::Span;
use batteuse_shared::task::Failure;

use super::messages::{Action, Fact, TaskKey};
use super::partition::Partition;
use super::retry::{self, Spent};
use super::run::Run;

impl Run {
    /// Takes in a failure that accuses a task, and what follows from it.
    pub(super) fn take_accused(&mut self, task: TaskKey, failure: &Failure, given: bool) {
        let spent = self.budgets.entry(task).or_default().count(task, failure);
        match (spent, task) {
            (None, _) => {}
            (Some(Spent::Fails(reason)), _) => self.fail(Some(reason), task),
            (Some(Spent::Condemned), TaskKey::Parse(id)) if self.open(task) => {
                let due = given || planted(Mutant::GuessAccuses) || self.is_to_be_cut(id);
                match self.why_not_go_on(id, failure).filter(|_| due) {
                    Some(reason) => self.fail(Some(reason), task),
                    None => {
                        self.condemned.insert(id, due);
                        self.waiting.remove(&task);
                    }
                }
            }
            (Some(Spent::Condemned), _) => {}
        }
    }

    /// Whether a range that kills is large enough to be cut, and may be.
    fn is_to_be_cut(&self, id: PartitionId) -> bool {
        let Partition { range, quarantine, .. } = &self.partitions[id.0 as usize];
        !quarantine && range.bytes() > self.smallest() && self.can_split(id, middle(*range))
    }

    /// Why a range that kills can neither be cut nor set aside.
    fn why_not_go_on(&self, id: PartitionId, failure: &Failure) -> Option<Reason> {
        let partition = &self.partitions[id.0 as usize];
        let range = partition.range;
        let allowed = self.accepted.job.spec.rejects.quarantine_bytes;
        let wanted = self.quarantined_bytes().saturating_add(range.bytes());
        let what_to_do = if partition.quarantine {
            "it cannot even be passed over".to_owned()
        } else if self.is_to_be_cut(id) || range.bytes() <= self.smallest() && wanted <= allowed {
            return None;
        } else if range.bytes() > self.smallest() {
            "and cannot be cut: a run has no more partitions".to_owned()
        } else {
            format!(
                "and rejects.quarantineBytes is {allowed}: with {wanted} or more the run sets such ranges aside and goes on"
            )
        };
        let Span { start, end } = range;
        let message = format!(
            "{}, bytes {start} to {end} of {}, kills whoever parses it, {what_to_do}; the last time: {}",
            retry::name(TaskKey::Parse(id)),
            self.accepted.source.url,
            failure.message
        );
        Some(Reason::TaskFailed { message })
    }

    /// Bytes of a range that is cut no further.
    fn smallest(&self) -> u64 {
        (self.planned_bytes / QUARANTINE_PARTITION_SHARE).clamp(1, QUARANTINE_BYTES_MAX)
    }

    /// Bytes of the ranges that are set aside.
    fn quarantined_bytes(&self) -> u64 {
        self.partitions.iter().filter(|p| p.quarantine).map(|p| p.range.bytes()).sum()
    }

    /// Bytes in the spans that were set aside, once they are known: a record may reach far beyond its range.
    pub(super) fn quarantined_too_much(&self) -> Option<Reason> {
        let allowed = self.accepted.job.spec.rejects.quarantine_bytes;
        let bytes: u64 = self.quarantines().map(|q| q.end - q.start).sum();
        let message = || {
            format!(
                "{bytes} bytes are in records that kill whoever parses them, and rejects.quarantineBytes is {allowed}: give a larger one"
            )
        };
        // What a range holds was allowed; a record that begins in it may reach beyond.
        (bytes > allowed && allowed > 0).then(|| Reason::TaskFailed { message: message() })
    }

    /// What was set aside, in the order of the source.
    pub(super) fn quarantines(&self) -> impl Iterator<Item = Quarantine> {
        let aside = self.proven_prefix().filter_map(|(id, _, parsed)| {
            let sha256 = *parsed.quarantined.as_deref()?;
            let reason = self.partitions[id.0 as usize].reason.clone();
            let (Span { start, end }, records) = (parsed.span, parsed.counts.quarantined);
            Some(Quarantine { start, end, records, sha256, reason })
        });
        aside.filter(|q| q.records > 0)
    }

    /// Cuts what is condemned, or sets it aside; what crashed under a guess is tried once more as soon as its start is known.
    pub(super) fn judge_condemned(&mut self, out: &mut Vec<Action>) {
        let condemned: Vec<(PartitionId, bool)> = self.condemned.iter().map(|(id, due)| (*id, *due)).collect();
        for (id, due) in condemned {
            let range = self.partitions[id.0 as usize].range;
            if due && range.bytes() > self.smallest() {
                self.split(id, middle(range), None, out);
            } else if due {
                let reason = self.budgets.get(&TaskKey::Parse(id)).map(|b| b.message().to_owned()).unwrap_or_default();
                self.record(Fact::Quarantined { partition: id, reason }, out);
                self.revoke_others(TaskKey::Parse(id), None, out);
                self.want_again(TaskKey::Parse(id));
            } else if self.start_of(id).is_some() {
                self.condemned.remove(&id);
                self.want_again(TaskKey::Parse(id));
            }
        }
    }

    /// Takes in that a partition is set aside.
    pub(super) fn take_quarantined(&mut self, id: PartitionId, reason: &str) {
        let partition = &mut self.partitions[id.0 as usize];
        (partition.quarantine, partition.reason) = (true, reason.to_owned());
        self.condemned.remove(&id);
        // To pass over it has a budget of its own.
        self.budgets.insert(TaskKey::Parse(id), retry::Budget::alone());
        self.want_again(TaskKey::Parse(id));
    }

    /// Takes in that a range was cut: if it was condemned, both halves are suspects.
    pub(super) fn suspect_halves(&mut self, id: PartitionId, child: PartitionId) {
        let was = self.budgets.get(&TaskKey::Parse(id)).is_some_and(retry::Budget::is_suspect);
        if self.condemned.remove(&id).is_some() || was {
            for half in [id, child] {
                self.budgets.insert(TaskKey::Parse(half), retry::Budget::suspect());
            }
        }
    }

    /// Whether attempts at a partition run alone, in a process that may die.
    pub(super) fn runs_alone(&self, id: PartitionId) -> bool {
        self.budgets.get(&TaskKey::Parse(id)).is_some_and(retry::Budget::runs_alone) && !planted(Mutant::NeverAlone)
    }
}

fn middle(range: Span) -> u64 {
    range.start + range.bytes() / 2
}
