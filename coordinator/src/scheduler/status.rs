//! What a run is doing, for people: a value, read off the state.

use batteuse_shared::ids::{Epoch, RunId};
use batteuse_shared::report::{Reason, Report, RunState};
use batteuse_shared::status::Waits;
use batteuse_shared::table::Counts;
use batteuse_shared::time::Millis;

use super::run::Run;

/// A glance at a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The run.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// Bytes of its spec as JSON.
    pub spec_bytes: u64,
    /// Where it stands.
    pub state: RunState,
    /// Why it fails or failed.
    pub reason: Option<Reason>,
    /// Output folder.
    pub output_url: String,
    /// The epoch of the coordinator that has it.
    pub epoch: Epoch,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// Planned partitions; 0 before inspection.
    pub partitions: u64,
    /// Accepted partitions.
    pub accepted: u64,
    /// Attempts whose outcome is journalled.
    pub attempts: u64,
    /// Leases that are out.
    pub leases: u64,
    /// Size of the source.
    pub bytes: u64,
    /// Bytes of ranges that are staged, and of running attempts what they said.
    pub bytes_done: u64,
    /// Counts over the partitions staged so far, proven or not: for the eye only.
    pub counts: Counts,
    /// What it waits for, if it waits.
    pub waits: Option<Waits>,
    /// Failures by the environment since the last attempt that went well, and the last one's message.
    pub stalled: Option<(u32, String)>,
    /// Publish attempts that failed, and the last one's message.
    pub publish_failures: Option<(u32, String)>,
    /// Whether it is decided: nothing but publishing is left.
    pub decided: bool,
    /// The report, once the run has ended and everything is published.
    pub report: Option<Box<Report>>,
}

impl Run {
    /// Where the run stands.
    #[must_use]
    pub fn state(&self) -> RunState {
        match (&self.decision, self.done) {
            (Some(decision), true) => decision.state,
            (Some(_), false) => RunState::Publishing,
            (None, _) if self.paused => RunState::Paused,
            (None, _) if self.inspected.is_some() => RunState::Running,
            (None, _) if self.leases.is_empty() => RunState::Pending,
            (None, _) => RunState::Planning,
        }
    }

    /// A glance; whether it waits for a slot or a worker the scheduler tells.
    #[must_use]
    pub fn status(&self) -> Status {
        let (counts, staged_bytes) = self.staged;
        Status {
            run: self.id().clone(),
            job: self.accepted.job.metadata.name.clone(),
            spec_bytes: self.spec_bytes,
            state: self.state(),
            reason: self.decision.as_ref().and_then(|d| d.reason.clone()).or_else(|| self.failing.clone()),
            output_url: self.output_url().to_owned(),
            epoch: self.epoch(),
            accepted_at: self.accepted.at,
            partitions: self.partitions.len() as u64,
            accepted: self.accepted_count,
            attempts: self.journalled_attempts,
            leases: self.leases.len() as u64,
            bytes: self.accepted.source.version.bytes,
            bytes_done: (staged_bytes + self.leases.bytes()).min(self.accepted.source.version.bytes),
            counts,
            waits: self.waits(),
            stalled: (!self.stall.message.is_empty()).then(|| (self.stall.failures, self.stall.message.clone())),
            publish_failures: (self.publish_failures > 0)
                .then(|| (self.publish_failures, self.publish_message.clone())),
            decided: self.decision.is_some(),
            report: self.done.then(|| Box::new(self.report())),
        }
    }
}
