//! Budgets and back-off: how often a task may fail, by kind of failure, and how long a run waits for its environment.
//!
//! Invariants: a budget is a function of the failures journalled, and each kind that accuses the task is bounded by a number
//! in `limits`; the environment (disk, store) never fails a run, it only holds it up. Pure.

use batteuse_shared::limits::{
    FAILURES_CRASH_MAX, FAILURES_HUNG_MAX, FAILURES_LOST_MAX, HOLD_DOUBLINGS_MAX, HOLD_TTLS, KILLS_BEFORE_ALONE,
    RETRY_BACKOFF_MS, RETRY_BACKOFF_MS_MAX,
};
use batteuse_shared::report::Reason;
use batteuse_shared::task::{Failure, FailureClass};
use batteuse_shared::time::Millis;

use super::messages::TaskKey;

/// Failures of one task so far that accuse it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Budget {
    crash: u32,
    hung: u32,
    lost: u32,
    /// Whether it runs alone from its first attempt on.
    alone: bool,
    /// Whether it is a part of a range that kills: then one crash more is enough.
    suspect: bool,
    /// Of the last failure.
    message: String,
}

/// What is due when a task has failed once too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spent {
    /// Its run fails.
    Fails(Reason),
    /// Its range is cut in halves, or set aside.
    Condemned,
}

impl Budget {
    /// Of a part of a range that kills.
    pub(super) fn suspect() -> Self {
        Self { alone: true, suspect: true, ..Self::default() }
    }

    /// Of a range that is passed over.
    pub(super) fn alone() -> Self {
        Self { alone: true, ..Self::default() }
    }

    /// Whether it is a part of a range that kills.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Whether it is tried in a process of its own: who killed twice may do so again.
    pub(super) fn runs_alone(&self) -> bool {
        self.alone || self.crash + self.hung + self.lost >= KILLS_BEFORE_ALONE
    }

    /// The last failure in words.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Counts `failure`; tells what is due, if that was one too many. Of a worker that is lost nobody knows why: that accuses a range only
    /// together with a crash or a hang.
    pub(super) fn count(&mut self, task: TaskKey, failure: &Failure) -> Option<Spent> {
        let message = failure.message.clone();
        self.message.clone_from(&message);
        let range = matches!(task, TaskKey::Parse(_));
        let spent = match failure.class {
            FailureClass::Crash => {
                self.crash += 1;
                self.crash >= FAILURES_CRASH_MAX
            }
            FailureClass::Hung => {
                self.hung += 1;
                self.hung >= FAILURES_HUNG_MAX
            }
            FailureClass::Lost => {
                self.lost += 1;
                self.lost >= FAILURES_LOST_MAX
            }
            FailureClass::Refused => return Some(Spent::Fails(Reason::Refused { message })),
            FailureClass::SourceChanged => return Some(Spent::Fails(Reason::SourceChanged { message })),
            FailureClass::Environment | FailureClass::Released | FailureClass::Unseen => false,
        };
        let accuses = range && matches!(failure.class, FailureClass::Crash | FailureClass::Hung);
        let kills = self.crash + self.hung + self.lost;
        if accuses && (self.suspect || kills > KILLS_BEFORE_ALONE) {
            return Some(Spent::Condemned);
        }
        spent.then(|| Spent::Fails(Reason::TaskFailed { message: format!("{}: {message}", name(task)) }))
    }
}

/// How the environment has been failing a run: a hint, gone with the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stall {
    /// Failures by the environment since the last attempt that went well.
    pub(super) failures: u32,
    /// Times that the run waited because workers crashed at once, since then.
    holds: u32,
    /// The latest one.
    pub(super) message: String,
    /// Nothing is leased before this time.
    pub(super) until: Millis,
}

impl Stall {
    /// One more failure at `now`: the wait doubles, up to a bound. One during the wait is of an attempt that was begun before
    /// it, and tells nothing new.
    pub(super) fn fail(&mut self, message: String, now: Millis) {
        if now < self.until {
            return;
        }
        let wait = RETRY_BACKOFF_MS << self.failures.min(16);
        self.failures += 1;
        self.message = message;
        self.until = now.plus(wait.min(RETRY_BACKOFF_MS_MAX));
    }

    /// The run waits, longer each time, up to a bound.
    pub(super) fn hold(&mut self, message: String, now: Millis, lease_ttl_ms: u64) {
        self.until = self.until.max(now.plus((HOLD_TTLS * lease_ttl_ms) << self.holds));
        self.holds = (self.holds + 1).min(HOLD_DOUBLINGS_MAX);
        self.message = message;
    }
}

/// A task in words.
pub(super) fn name(task: TaskKey) -> String {
    match task {
        TaskKey::Inspect => "the inspection".to_owned(),
        TaskKey::Parse(partition) => format!("partition {partition}"),
        TaskKey::Finish => "the finish task".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use batteuse_shared::ids::PartitionId;

    use super::*;

    fn failure(class: FailureClass) -> Failure {
        Failure { class, message: "boom".to_owned() }
    }

    #[test]
    fn each_kind_has_its_own_bound() {
        let mut budget = Budget::default();
        assert!(!budget.runs_alone());
        for _ in 1..FAILURES_CRASH_MAX {
            assert_eq!(budget.count(TaskKey::Inspect, &failure(FailureClass::Crash)), None);
        }
        for class in [FailureClass::Released, FailureClass::Environment, FailureClass::Unseen] {
            for _ in 0..100 {
                assert_eq!(budget.count(TaskKey::Inspect, &failure(class)), None, "{class:?} accuses no task");
            }
        }
        assert_eq!(budget.count(TaskKey::Inspect, &failure(FailureClass::Lost)), None);
        let spent = budget.count(TaskKey::Inspect, &failure(FailureClass::Crash));
        assert_eq!(spent, Some(Spent::Fails(Reason::TaskFailed { message: "the inspection: boom".to_owned() })));
    }

    #[test]
    fn a_range_that_kills_is_tried_alone_and_then_condemned() {
        let range = TaskKey::Parse(PartitionId(4));
        let (crash, lost) = (failure(FailureClass::Crash), failure(FailureClass::Lost));
        for kinds in [[&crash, &crash, &crash], [&lost, &lost, &crash], [&lost, &crash, &crash]] {
            let mut budget = Budget::default();
            assert_eq!((budget.count(range, kinds[0]), budget.runs_alone()), (None, false));
            assert_eq!((budget.count(range, kinds[1]), budget.runs_alone()), (None, true));
            assert_eq!(budget.count(range, kinds[2]), Some(Spent::Condemned));
        }
        let mut budget = Budget::default();
        for _ in 1..FAILURES_LOST_MAX {
            assert_eq!(budget.count(range, &lost), None, "nobody knows why workers are lost");
        }
        let message = "partition 4: boom".to_owned();
        assert_eq!(budget.count(range, &lost), Some(Spent::Fails(Reason::TaskFailed { message })));
        assert_eq!(Budget::suspect().count(range, &lost), None);
        assert_eq!(Budget::suspect().count(range, &crash), Some(Spent::Condemned));
        assert_eq!(Budget::alone().count(range, &crash), None, "to pass over it may fail twice");
    }

    #[test]
    fn the_wait_doubles_up_to_a_bound() {
        let mut stall = Stall::default();
        let (mut waits, mut now) = (Vec::new(), Millis(1_000));
        for _ in 0..20 {
            for _ in 0..8 {
                stall.fail("disk full".to_owned(), now);
            }
            waits.push(stall.until.since(now));
            now = stall.until;
        }
        assert_eq!(stall.failures, 20, "attempts that fail together are one failure");
        assert_eq!(waits[..3], [RETRY_BACKOFF_MS, 2 * RETRY_BACKOFF_MS, 4 * RETRY_BACKOFF_MS]);
        assert_eq!(waits[19], RETRY_BACKOFF_MS_MAX);
    }
}
