//! The workers as the scheduler knows them, and which of them have a slot free.
//!
//! Invariant: what is known of all together is the sum of what is known of each, so they change by [`Workers::change`] alone. Who is
//! heard, and who may be given what, follows from the time and is not kept. Pure.

use std::collections::{BTreeMap, BTreeSet};

use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::time::Millis;

use super::messages::{TaskKey, Timing};

/// A worker as the scheduler knows it.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    /// Attempts that it can run at once.
    pub(super) slots: u32,
    pub(super) last_seen: Millis,
    /// When its stream closed, if it is closed.
    pub(super) left: Option<Millis>,
    /// An operator wants it to leave.
    pub(super) draining: bool,
    pub(super) leases: BTreeSet<(RunId, AttemptId)>,
    /// Tasks that crashed or hung on it since one went well.
    pub(super) blamed: BTreeSet<(RunId, TaskKey)>,
    /// Until when it gets nothing, because it is to blame.
    pub(super) aside: Option<Millis>,
}

impl Worker {
    /// Whether it may be given leases at `now`, and would hear of them.
    pub(super) fn hears(&self, timing: Timing, now: Millis) -> bool {
        self.takes_leases() && now.since(self.last_seen) < timing.lease_ttl_ms
    }

    /// Whether it has fewer leases than slots.
    fn has_room(&self) -> bool {
        (self.leases.len() as u64) < u64::from(self.slots)
    }
}

/// All workers, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Workers {
    all: BTreeMap<WorkerId, Worker>,
    /// Those that have room.
    idle: BTreeSet<WorkerId>,
    /// Of all together.
    slots: u64,
}

impl Workers {
    pub(super) fn get(&self, id: &WorkerId) -> Option<&Worker> {
        self.all.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        self.all.iter()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Worker> {
        self.all.values()
    }

    /// Slots that all of them offer.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.slots).unwrap_or(u32::MAX)
    }

    /// Those that have a slot free, and may be given something for it at `now`.
    pub(super) fn idle(&self, timing: Timing, now: Millis) -> impl Iterator<Item = &WorkerId> {
        self.idle.iter().filter(move |id| self.all.get(*id).is_some_and(|w| w.hears(timing, now) && !w.is_aside(now)))
    }

    /// Whether one of them has a slot free.
    pub(super) fn has_room(&self, id: &WorkerId) -> bool {
        self.idle.contains(id)
    }

    /// Takes one in, in place of the one that had its name.
    pub(super) fn insert(&mut self, id: WorkerId, worker: Worker) {
        self.remove(&id);
        self.slots += u64::from(worker.slots);
        if worker.has_room() {
            self.idle.insert(id.clone());
        }
        self.all.insert(id, worker);
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, id: &WorkerId) -> Option<Worker> {
        let worker = self.all.remove(id)?;
        self.slots -= u64::from(worker.slots);
        self.idle.remove(id);
        Some(worker)
    }

    /// Changes one, if it is there.
    pub(super) fn change<T>(&mut self, id: &WorkerId, change: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        let worker = self.all.get_mut(id)?;
        let (slots, had_room) = (worker.slots, worker.has_room());
        let told = change(worker);
        self.slots = self.slots - u64::from(slots) + u64::from(worker.slots);
        match (had_room, worker.has_room()) {
            (false, true) => drop(self.idle.insert(id.clone())),
            (true, false) => drop(self.idle.remove(id)),
            _ => {}
        }
        Some(told)
    }

    /// Changes each.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&mut Worker)) {
        for worker in self.all.values_mut() {
            change(worker);
        }
        let room = self.all.iter().filter(|(_, worker)| worker.has_room());
        self.idle = room.map(|(id, _)| id.clone()).collect();
        self.slots = self.all.values().map(|worker| u64::from(worker.slots)).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(slots: u32) -> Worker {
        let (leases, blamed) = (BTreeSet::new(), BTreeSet::new());
        Worker { slots, last_seen: Millis(0), left: None, draining: false, leases, blamed, aside: None }
    }

    fn id(name: &str) -> WorkerId {
        WorkerId::new(name).unwrap()
    }

    fn idle(workers: &Workers) -> Vec<&str> {
        workers.idle(Timing::default(), Millis(0)).map(WorkerId::as_str).collect()
    }

    #[test]
    fn what_is_known_of_all_follows_from_each() {
        let mut workers = Workers::default();
        for (name, slots) in [("c", 1), ("a", 2), ("b", 0)] {
            workers.insert(id(name), worker(slots));
        }
        assert_eq!((idle(&workers), workers.slots()), (vec!["a", "c"], 3));
        let lease = |n| (RunId::new("r").unwrap(), AttemptId(n));
        assert_eq!(workers.change(&id("c"), |w| w.leases.insert(lease(1))), Some(true));
        workers.change(&id("a"), |w| w.leases.insert(lease(2)));
        assert_eq!((idle(&workers), workers.has_room(&id("c"))), (vec!["a"], false));
        workers.change(&id("a"), |w| w.slots = 1);
        workers.change(&id("b"), |w| w.slots = 7);
        assert_eq!((idle(&workers), workers.slots()), (vec!["b"], 9));
        workers.change_all(|w| w.leases.clear());
        assert_eq!(idle(&workers), ["a", "b", "c"]);
        workers.change(&id("b"), |w| w.draining = true);
        assert_eq!((idle(&workers), workers.has_room(&id("b"))), (vec!["a", "c"], true));
        workers.insert(id("a"), worker(0));
        assert_eq!(workers.remove(&id("b")).map(|w| w.slots), Some(7));
        assert_eq!(workers.change(&id("b"), |_| ()), None);
        assert_eq!((idle(&workers), workers.slots()), (vec!["c"], 1));
    }
}
