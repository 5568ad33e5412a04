//! Attempts that are late when slots are idle: their unread rest is given away, and where that cannot be, another worker begins the same
//! once more, and the first that stages wins (Dean and Ghemawat, MapReduce, OSDI 2004, 3.6).
//!
//! Invariants: a task has at most two attempts at once, of two workers; all this is hints (LEASE-IS-HINT): what an attempt gave away is
//! known by its own word alone, and whoever stages first is judged as any other. Pure.

use std::collections::VecDeque;

use batteuse_shared::ids::{AttemptId, PartitionId, WorkerId};
use batteuse_shared::limits::{PACES_KEPT, STRAGGLER_TIMES};
use batteuse_shared::task::{Lease, Task};
use batteuse_shared::time::Millis;

use super::Scheduler;
use super::leases::Out;
use super::messages::{Action, TaskKey, Timing};
use super::run::Run;

/// Bytes of the unit of a pace.
const MIB: u64 = 1 << 20;

/// How fast attempts were that ended well. Microseconds a mebibyte, the latest ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Paces(VecDeque<u64>);

impl Paces {
    /// One more: so many bytes in so many milliseconds.
    pub(super) fn add(&mut self, ms: u64, bytes: u64) {
        if bytes > 0 {
            self.0.push_back(pace(ms, bytes));
            if self.0.len() > PACES_KEPT {
                self.0.pop_front();
            }
        }
    }

    /// That in the middle.
    fn median(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

fn pace(ms: u64, bytes: u64) -> u64 {
    ratio(ms.saturating_mul(1_000), MIB, bytes)
}

/// `a * b / c`, without overflow on the way.
fn ratio(a: u64, b: u64, c: u64) -> u64 {
    u64::try_from(u128::from(a) * u128::from(b) / u128::from(c.max(1))).unwrap_or(u64::MAX)
}

/// What to do about an attempt that is late.
#[derive(Debug, PartialEq)]
enum Late {
    /// Ask it to let its range end here.
    Shorten(AttemptId, u64),
    /// Begin the same once more, elsewhere.
    BackUp(TaskKey, WorkerId),
}

impl Run {
    /// Whether there is nothing else for idle slots, and most of the work is done.
    fn is_at_its_end(&self) -> bool {
        let most = 2 * (self.staged.1 + self.leases.bytes()) > self.accepted.source.version.bytes;
        self.waiting.is_empty() && self.decision.is_none() && self.failing.is_none() && most
    }

    /// The first attempt that is late, and what is to be done about it.
    fn late(&self, timing: Timing, now: Millis) -> Option<Late> {
        let median = self.paces.median().filter(|_| self.is_at_its_end())?;
        let single = |task: TaskKey| self.leases.at(task).count() == 1;
        self.leases.iter().find_map(|(attempt, lease)| {
            let TaskKey::Parse(id) = lease.task else { return None };
            let bytes = self.partitions[id.0 as usize].range.bytes();
            let expected = ratio(median, bytes, MIB) / 1_000;
            let (elapsed, projected) = (now.since(lease.began), lease.projected(bytes, now));
            let late = projected > STRAGGLER_TIMES * expected + timing.suspect_ms;
            // What kills one worker is not given to a second one at once.
            if !late || !single(lease.task) || self.runs_alone(id) {
                return None;
            }
            let worth = || projected.saturating_sub(elapsed) > expected || lease.done.bytes == 0;
            match (self.cut(id, lease, median, timing, now), lease.asked) {
                (Some(at), None) => Some(Late::Shorten(attempt, at)),
                (_, Some(asked)) if now.since(asked) < timing.suspect_ms => None,
                _ => worth().then(|| Late::BackUp(lease.task, lease.worker.clone())),
            }
        })
    }

    /// Where a late attempt's range may end, so that it and whoever takes the rest are done at once; none where that is not worth it.
    fn cut(&self, id: PartitionId, lease: &Out, median: u64, timing: Timing, now: Millis) -> Option<u64> {
        let (told, range) = (lease.told?, self.partitions[id.0 as usize].range);
        let took = told.since(lease.began).max(1);
        let own = pace(took, lease.done.bytes);
        // It has gone on since it told.
        let here = range.start + lease.done.bytes + ratio(lease.done.bytes, now.since(told), took);
        let keeps = ratio(range.end.checked_sub(here)?, median, median.saturating_add(own));
        let at = here + keeps + timing.split_bytes_min;
        (lease.done.bytes > 0 && at + timing.split_bytes_min <= range.end && self.can_split(id, at)).then_some(at)
    }

    /// A second attempt at a task that has one.
    fn back_up(&mut self, task: TaskKey, worker: &WorkerId, now: Millis) -> Option<(AttemptId, Task)> {
        let may = !self.is_held(now) && !self.connections_are_out(task);
        may.then(|| self.issue(task, worker, now))
    }
}

impl Scheduler {
    /// Idle slots are put to use where attempts are late.
    pub(super) fn hasten(&mut self, now: Millis, out: &mut Vec<Action>) {
        let timing = self.timing;
        if self.stepping_down || !timing.speculates {
            return;
        }
        if self.workers.idle(timing, now).next().is_none() {
            return;
        }
        for (id, run) in &mut self.runs {
            match run.late(timing, now) {
                None => {}
                Some(Late::Shorten(attempt, end)) => {
                    let Some(lease) = run.leases.get_mut(attempt) else { continue };
                    lease.asked = Some(now);
                    out.push(Action::Shorten { worker: lease.worker.clone(), run: id.clone(), attempt, end });
                }
                Some(Late::BackUp(task, but)) => {
                    let elsewhere = self.workers.idle(timing, now).find(|name| **name != but).cloned();
                    let Some(worker) = elsewhere else { continue };
                    let Some((attempt, task)) = run.back_up(task, &worker, now) else { continue };
                    self.workers.change(&worker, |w| w.leases.insert((id.clone(), attempt)));
                    let lease = Box::new(Lease { run: id.clone(), attempt, task });
                    out.push(Action::Grant { worker, lease });
                }
            }
        }
    }
}
