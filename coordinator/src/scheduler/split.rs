//! A planned range that is cut once more: its rest becomes a partition of its own, whose start the fold tells like any other's.
//!
//! Invariants: only what nobody has staged is cut, so what was accepted stays whole (TILES); where an attempt is at the range it is cut
//! where that attempt says that it ends, and nowhere else, so no byte is parsed for two partitions. Pure.

use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::task::Parsed;

use super::kept::Exits;
use super::messages::{Action, Fact, TaskKey};
use super::partition::Partition;
use super::run::Run;
use crate::plan;

impl Run {
    /// The how-manieth a partition is in the source, from 0.
    pub(super) fn place_of(&self, id: PartitionId) -> usize {
        if self.splits == 0 {
            return id.0 as usize;
        }
        let start = self.partitions[id.0 as usize].range.start;
        self.line.partition_point(|other| self.partitions[other.0 as usize].range.start < start)
    }

    /// All partitions in the order of the source.
    pub(super) fn in_line(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        self.line.iter().map(|id| (*id, &self.partitions[id.0 as usize]))
    }

    /// The true state before a partition's range, where it is known.
    pub(super) fn start_of(&self, id: PartitionId) -> Option<StateId> {
        self.fold.as_ref().and_then(|fold| fold.start(self.place_of(id)))
    }

    /// Takes in that a partition ends at `at`, and another one begins there.
    pub(super) fn take_split(&mut self, id: PartitionId, at: u64) {
        let place = self.place_of(id);
        let parent = &mut self.partitions[id.0 as usize];
        debug_assert!(parent.staged.is_none() && parent.range.start < at && at < parent.range.end, "TILES");
        let rest = Span::new(at, parent.range.end);
        parent.range = Span::new(parent.range.start, at);
        // They were those of the whole range, and what is known of its right neighbours may rest on them.
        parent.exits = Exits::default();
        if let Some(fold) = &mut self.fold {
            fold.forget_after(place);
        }
        let child = PartitionId(u32::try_from(self.partitions.len()).expect("checked before it is recorded"));
        self.partitions.push(Partition::new(rest));
        self.line.insert(place + 1, child);
        self.splits += 1;
        self.suspect_halves(id, child);
        self.want_again(TaskKey::Parse(id));
        if !planted(Mutant::RestForgotten) {
            self.want_again(TaskKey::Parse(child));
        }
    }

    /// Whether a partition may be cut at `at`.
    pub(super) fn can_split(&self, id: PartitionId, at: u64) -> bool {
        let partition = &self.partitions[id.0 as usize];
        let room = (self.partitions.len() as u64) < plan::partitions_max(&self.accepted.job.spec.output);
        let inside = partition.range.start < at && at < partition.range.end;
        self.open(TaskKey::Parse(id)) && self.decision.is_none() && room && inside
    }

    /// Cuts a partition at `at`; attempts at it but for `by` are at what it was before.
    pub(super) fn split(&mut self, id: PartitionId, at: u64, by: Option<AttemptId>, out: &mut Vec<Action>) {
        self.record(Fact::Split { partition: id, at }, out);
        if !planted(Mutant::OldRangeAccepted) {
            self.revoke_others(TaskKey::Parse(id), by, out);
        }
        self.want_again(TaskKey::Parse(id));
    }

    /// An attempt that runs says that its range ends at `end`.
    pub(super) fn shortened(&mut self, attempt: AttemptId, end: u64, out: &mut Vec<Action>) {
        let Some(TaskKey::Parse(id)) = self.leases.get(attempt).map(|lease| lease.task) else { return };
        if self.partitions[id.0 as usize].range.end == end {
            return;
        }
        if self.can_split(id, end) {
            self.split(id, end, Some(attempt), out);
            if let Some(lease) = self.leases.get_mut(attempt) {
                lease.asked = None;
            }
        } else if let Some(lease) = self.leases.get(attempt) {
            // What lies behind its end nobody would parse, or somebody else does.
            out.push(Action::Revoke { worker: lease.worker.clone(), run: self.id().clone(), attempt });
            self.release(attempt);
        }
    }

    /// Makes a partition what a sound report about a shorter range says it is. False: it is about another range, or of an
    /// attempt that was to do something else with it, and of no use.
    pub(super) fn fits_range(
        &mut self,
        id: PartitionId,
        attempt: AttemptId,
        parsed: &Parsed,
        out: &mut Vec<Action>,
    ) -> bool {
        let partition = &self.partitions[id.0 as usize];
        let planned = partition.range.end;
        if partition.quarantine != parsed.quarantined.is_some() {
            return false;
        }
        if parsed.end != planned && self.can_split(id, parsed.end) {
            self.split(id, parsed.end, Some(attempt), out);
            return true;
        }
        parsed.end == planned || planted(Mutant::OldRangeAccepted)
    }
}
