//! What a run does once it is decided: its plan is carried out, again and again until that is done.
//!
//! Invariant: nothing is published or deleted before the fact that justifies it is recorded (WRITE-AHEAD).

use batteuse_shared::limits;
use batteuse_shared::time::Millis;

use super::messages::{Action, Fact};
use super::run::Run;

impl Run {
    /// Deletes files of no use. After every record of this step, so that what justifies it is durable.
    pub(super) fn discard(&mut self, out: &mut Vec<Action>) {
        if !self.garbage.is_empty() {
            let unwanted = std::mem::take(&mut self.garbage);
            let output_url = self.output_url().to_owned();
            out.push(Action::Discard { run: self.id().clone(), output_url, unwanted });
        }
    }

    pub(super) fn publish(&mut self, now: Millis, out: &mut Vec<Action>) {
        let due = self.publish_again_at.is_none_or(|at| at <= now);
        if self.decision.is_some() && !self.done && !self.publishing && due && self.gone.is_empty() {
            self.publishing = true;
            out.push(Action::Publish(Box::new(self.publish_plan())));
        }
    }

    /// A publish plan was carried out.
    pub(super) fn published(&mut self, now: Millis, out: &mut Vec<Action>) {
        self.publishing = false;
        if self.decision.is_some() && !self.done {
            self.record(Fact::RunDone { at: now }, out);
        }
    }

    /// A publish plan was not carried out: it is redone for ever, later and later (UNKNOWN-IS-NOT-FAILED).
    pub(super) fn publish_failed(&mut self, message: String, now: Millis) {
        self.publishing = false;
        self.publish_failures += 1;
        self.publish_message = message;
        let wait = limits::RETRY_BACKOFF_MS << self.publish_failures.min(16);
        self.publish_again_at = Some(now.plus(wait.min(limits::RETRY_BACKOFF_MS_MAX)));
    }
}
