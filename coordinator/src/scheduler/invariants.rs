//! The invariants of a run's state, by their names: checked after every step by `debug_assert!`, and by the simulation.
//!
//! Each is worked out from the state anew, not from what the rules keep for themselves. Pure.

use std::collections::BTreeMap;

use batteuse_shared::ids::{PartitionId, WorkerId};
use batteuse_shared::table::Counts;

use super::messages::TaskKey;
use super::run::Run;

impl Run {
    /// The first invariant that does not hold, with its figures.
    #[must_use]
    pub fn violated(&self) -> Option<String> {
        self.tiles()
            .or_else(|| self.single_decision())
            .or_else(|| self.conservation())
            .or_else(|| self.leases_are_of_use())
    }

    /// TILES: the planned ranges tile the source. Spans are workers' words; they are compared before a run is decided.
    fn tiles(&self) -> Option<String> {
        let inspected = self.inspected.as_ref()?;
        let mut at = inspected.data_start;
        for (_, partition) in self.in_line() {
            if partition.range.start != at {
                return Some(format!("TILES: a range starts at {}, where {at} was to come", partition.range.start));
            }
            at = partition.range.end;
        }
        if at != self.accepted.source.version.bytes {
            return Some(format!("TILES: the ranges end at {at}"));
        }
        None
    }

    /// SINGLE-DECISION: what is accepted is staged, proven and of the settled types, and a table is decided only over all of it.
    fn single_decision(&self) -> Option<String> {
        for (i, partition) in (0u32..).zip(&self.partitions).filter(|(_, p)| p.accepted) {
            let settled =
                partition.staged.as_ref().is_some_and(|(_, kept)| kept.types.as_deref() == self.settled.as_deref());
            let whole = partition.proven && settled;
            if !whole {
                return Some(format!(
                    "SINGLE-DECISION: partition {} is accepted and not what was settled",
                    PartitionId(i)
                ));
            }
        }
        let accepted = self.partitions.iter().filter(|p| p.accepted).count() as u64;
        if accepted != self.accepted_count {
            return Some(format!(
                "SINGLE-DECISION: {accepted} partitions are accepted, {} were counted",
                self.accepted_count
            ));
        }
        if self.is_published() && (accepted != self.partitions.len() as u64 || self.finish.is_none()) {
            return Some(format!("SINGLE-DECISION: decided with {accepted} of {} partitions", self.partitions.len()));
        }
        None
    }

    /// CONSERVATION: each record of a staged partition is in one class, and what a glance shows is their sum.
    fn conservation(&self) -> Option<String> {
        let staged = || self.partitions.iter().filter_map(|p| p.staged.as_ref());
        if let Some((attempt, _)) = staged().find(|(_, parsed)| !parsed.counts.conserved()) {
            return Some(format!("CONSERVATION: attempt {attempt} counts records twice or not at all"));
        }
        let sum = staged().fold(Counts::default(), |sum, (_, parsed)| sum.plus(parsed.counts));
        (sum != self.staged.0).then(|| format!("CONSERVATION: {sum:?} are staged, {:?} are shown", self.staged.0))
    }

    /// LEASE-IS-HINT: of one task at most two leases are out, of two workers, and none waits in line that has one or is done.
    fn leases_are_of_use(&self) -> Option<String> {
        let mut tasks: BTreeMap<TaskKey, Vec<&WorkerId>> = BTreeMap::new();
        for (attempt, lease) in self.leases.iter() {
            let workers = tasks.entry(lease.task).or_default();
            if workers.len() == 2 || workers.contains(&&lease.worker) {
                return Some(format!("LEASE-IS-HINT: attempt {attempt} is one too many at {:?}", lease.task));
            }
            workers.push(&lease.worker);
        }
        let in_vain = |task: &&TaskKey| tasks.contains_key(task) || !self.open(**task);
        let leased = |task: &TaskKey| if tasks.contains_key(task) { "under way" } else { "done" };
        self.waiting.iter().find(in_vain).map(|task| format!("LEASE-IS-HINT: {task:?} waits, and is {}", leased(task)))
    }

    /// REPLAY: what differs from a run that was rebuilt from the journal, if anything does; hints may.
    #[must_use]
    pub fn differs(&self, replayed: &Run) -> Option<&'static str> {
        let checks = [
            ("epoch", self.epoch() == replayed.epoch()),
            ("inspected", self.inspected == replayed.inspected),
            ("partitions", self.partitions == replayed.partitions),
            ("line", self.line == replayed.line),
            ("fold", self.fold == replayed.fold),
            ("settled", self.settled == replayed.settled),
            ("accepted", self.accepted_count == replayed.accepted_count),
            ("finish", self.finish == replayed.finish),
            ("failing", self.failing == replayed.failing),
            ("decision", self.decision == replayed.decision),
            ("done", self.done == replayed.done),
            ("paused", self.paused == replayed.paused),
            ("attempts", self.journalled_attempts == replayed.journalled_attempts),
            ("report", self.report() == replayed.report()),
        ];
        checks.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}
