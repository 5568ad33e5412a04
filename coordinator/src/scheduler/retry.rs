//! Budgets and back-off: how often a task may fail, by kind of failure, and how long a run waits for its environment.
//!
//! Invariants: a budget is a function of the failures journalled, and each kind that accuses the task is bounded by a number
//! in `limits`; the environment (disk, store) never fails a run, it only holds it up. Pure.

use batteuse_shared::limits::{
    FAILURES_CRASH_MAX, FAILURES_HUNG_MAX, FAILURES_LOST_MAX, RETRY_BACKOFF_MS, RETRY_BACKOFF_MS_MAX,
};
use batteuse_shared::report::Reason;
use batteuse_shared::task::{Failure, FailureClass};
use batteuse_shared::time::Millis;

use super::messages::TaskKey;

/// Failures of one task so far that accuse it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Budget {
    crash: u32,
    hung: u32,
    lost: u32,
}

impl Budget {
    /// Counts `failure`; tells why the run has failed, if that was one too many.
    pub(super) fn count(&mut self, task: TaskKey, failure: &Failure) -> Option<Reason> {
        let message = failure.message.clone();
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
            FailureClass::Refused => return Some(Reason::Refused { message }),
            FailureClass::SourceChanged => return Some(Reason::SourceChanged { message }),
            FailureClass::Environment | FailureClass::Released | FailureClass::Unseen => false,
        };
        spent.then(|| Reason::TaskFailed { message: format!("{}: {message}", name(task)) })
    }
}

/// How the environment has been failing a run: a hint, gone with the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stall {
    /// Failures by the environment since the last attempt that went well.
    pub(super) failures: u32,
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
    use super::*;

    fn failure(class: FailureClass) -> Failure {
        Failure { class, message: "boom".to_owned() }
    }

    #[test]
    fn each_kind_has_its_own_bound() {
        let mut budget = Budget::default();
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
        assert_eq!(spent, Some(Reason::TaskFailed { message: "the inspection: boom".to_owned() }));
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
