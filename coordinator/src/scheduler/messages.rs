//! What the scheduler is told, what it wants done, and what it writes down.
//!
//! Invariant: values only. `Vec<Action>` is a protocol: actions are performed in order, and a `Record` is durable before
//! the next one starts.

use batteuse_shared::ids::{AttemptId, Epoch, PartitionId, RunId, WorkerId};
use batteuse_shared::limits::{HUNG_MS_MIN, HUNG_TTLS, LEASE_TTL_MS, SPLIT_BYTES_MIN, SUSPECT_MS};
use batteuse_shared::manifest::Standing;
use batteuse_shared::report::{Reason, RunState};
use batteuse_shared::spec::Job;
use batteuse_shared::table::ColumnType;
pub use batteuse_shared::task::TaskKey;
use batteuse_shared::task::{
    Failure, Finished, Held, Inspected, Lease, Outcome, Parsed, SourceRef, StagedPart, StagedRejects, StagedTable,
    one_or_many,
};
use batteuse_shared::time::Millis;
use serde::{Deserialize, Serialize};

use crate::publish::{PublishPlan, Staged, Visible};

/// A durable record of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// The run exists: everything that `resume` needs. Durable before inspection.
    RunAccepted(Box<Accepted>),
    /// A coordinator took the run over.
    EpochBegun {
        /// Its epoch.
        epoch: Epoch,
        /// When.
        at: Millis,
    },
    /// Dialect, encoding and header are decided; types are guessed.
    Inspected(Box<Inspected>),
    /// An attempt has staged its partition.
    Staged {
        /// Which partition.
        partition: PartitionId,
        /// Which attempt.
        attempt: AttemptId,
        /// What it found.
        parsed: Box<Parsed>,
    },
    /// A partition ends earlier than planned; its rest is a new one, whose id is the next number.
    Split {
        /// Which partition.
        partition: PartitionId,
        /// Where it ends, and the new one begins.
        at: u64,
    },
    /// A range that kills whoever parses it is passed over unread.
    Quarantined {
        /// Which partition.
        partition: PartitionId,
        /// How it last failed.
        reason: String,
    },
    /// The types of all columns are final.
    SchemaSettled {
        /// In file order.
        types: Vec<ColumnType>,
    },
    /// A staged attempt is the partition's, for ever (SINGLE-DECISION).
    Accepted {
        /// Which partition.
        partition: PartitionId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An attempt failed; counts against its task's budget.
    AttemptFailed {
        /// Which task.
        task: TaskKey,
        /// Which attempt.
        attempt: AttemptId,
        /// Why.
        failure: Failure,
        /// Whether it was given the true start of its partition: what a wrong guess makes of the bytes says nothing about them.
        #[serde(default)]
        given: bool,
    },
    /// The rejects are staged with absolute numbers. After the decision: once more, because what was staged is proven gone.
    FinishStaged {
        /// Which attempt.
        attempt: AttemptId,
        /// What it staged.
        finished: Finished,
    },
    /// The point of no return.
    RunDecided(Decision),
    /// What an accepted attempt staged is proven gone after the decision, and another attempt has staged the same, byte for byte.
    PartitionReplaced {
        /// Which partition.
        partition: PartitionId,
        /// The attempt that holds its content now; the accepted one stays the accepted one.
        attempt: AttemptId,
        /// The parts that are published in place of its, under the same names; none where there are no files.
        #[serde(alias = "part", deserialize_with = "one_or_many")]
        parts: Vec<StagedPart>,
        /// The same rows in another staging table; none where no table is an output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<StagedTable>,
        /// The same rejects, staged again.
        rejects: Option<StagedRejects>,
    },
    /// An operator holds the run: nothing of it is leased.
    Paused {
        /// When.
        at: Millis,
    },
    /// It goes on.
    Unpaused {
        /// When.
        at: Millis,
    },
    /// Everything decided is published and swept.
    RunDone {
        /// When.
        at: Millis,
    },
    /// Given up before a decision; nothing will be published but a report.
    RunAborted(Decision),
    /// A run that failed goes on: what failed or was set aside is tried once more, what is accepted stays.
    Redriven {
        /// When.
        at: Millis,
        /// What its ending before left.
        remains: Remains,
    },
    /// A run that failed can be redriven no more, and what it staged is nobody's.
    Released {
        /// Why.
        reason: String,
    },
    /// The coordinator left in order.
    SteppedDown {
        /// The epoch that ends.
        epoch: Epoch,
    },
}

impl Fact {
    /// How many staged parts it names.
    #[must_use]
    pub fn parts(&self) -> usize {
        match self {
            Self::Staged { parsed, .. } => parsed.parts.len(),
            Self::PartitionReplaced { parts, .. } => parts.len(),
            _ => 0,
        }
    }
}

/// The content of [`Fact::RunAccepted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The run.
    pub run: RunId,
    /// The whole spec.
    pub job: Job,
    /// The input and its version.
    pub source: SourceRef,
    /// What the staging folder's nonce file holds.
    pub nonce: String,
    /// The table that stands in the output folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Box<Standing>>,
    /// When.
    pub at: Millis,
}

/// What a run that failed left in its output folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// What it published, and its next ending replaces.
    pub visible: Vec<Visible>,
    /// Partitions of which not all is there any more that was staged.
    pub lost: Vec<PartitionId>,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Succeeded, SucceededWithRejects, Failed or Cancelled.
    pub state: RunState,
    /// Why it failed or was cancelled.
    pub reason: Option<Reason>,
    /// sha256 of the manifest that publishing will write; none when nothing is published.
    pub manifest_sha256: Option<String>,
    /// When.
    pub at: Millis,
}

/// How far a running attempt has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Bytes of its range that it has read.
    pub bytes: u64,
    /// A count that grows with whatever it does.
    pub work: u64,
    /// Where its range ends, once its rest was given away.
    pub end: Option<u64>,
}

/// How long things may take before something is done about them, in milliseconds, and what is worth doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease lives without a word: its worker stops then, and after twice that others may begin what it had.
    pub lease_ttl_ms: u64,
    /// How long the attempts of a closed stream are kept for their worker to come back.
    pub suspect_ms: u64,
    /// How long an attempt may do nothing while its worker's heartbeats go on.
    pub hung_ms: u64,
    /// Least bytes of a rest that is given away.
    pub split_bytes_min: u64,
    /// Whether anything is done about attempts that are late.
    pub speculates: bool,
}

impl Timing {
    /// With leases that live so long.
    #[must_use]
    pub fn with_ttl(lease_ttl_ms: u64) -> Self {
        Self {
            lease_ttl_ms,
            suspect_ms: SUSPECT_MS.min(lease_ttl_ms),
            hung_ms: (HUNG_TTLS * lease_ttl_ms).max(HUNG_MS_MIN),
            split_bytes_min: SPLIT_BYTES_MIN,
            speculates: true,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::with_ttl(LEASE_TTL_MS)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A run was admitted: its output folder is claimed, its source was looked at.
    Submitted(Box<Accepted>),
    /// A worker's stream opened.
    WorkerJoined {
        /// Who.
        worker: WorkerId,
        /// Attempts it can run at once.
        slots: u32,
        /// Attempts that it is running, or whose report it holds.
        running: Vec<Held>,
    },
    /// A worker offers another number of slots in all (0: it drains).
    Offered {
        /// Who.
        worker: WorkerId,
        /// Attempts it can run at once.
        slots: u32,
    },
    /// A worker's stream closed.
    WorkerLeft {
        /// Who.
        worker: WorkerId,
    },
    /// A worker is alive.
    Heartbeat {
        /// Who.
        worker: WorkerId,
        /// Which heartbeat: what answers it names it.
        beat: u64,
        /// How far its attempts have come.
        progress: Vec<(RunId, AttemptId, Done)>,
    },
    /// An attempt ended.
    Reported {
        /// Who tells it.
        worker: WorkerId,
        /// Whose attempt.
        run: RunId,
        /// Which.
        attempt: AttemptId,
        /// How.
        outcome: Outcome,
    },
    /// An operator gives a run up.
    Cancelled {
        /// Which.
        run: RunId,
        /// Why.
        message: String,
    },
    /// An operator holds a run: what is under way goes on, nothing more is leased.
    Paused {
        /// Which.
        run: RunId,
    },
    /// An operator lets a run go on.
    Unpaused {
        /// Which.
        run: RunId,
    },
    /// An operator wants a worker to leave.
    Draining {
        /// Which.
        worker: WorkerId,
    },
    /// A publish plan was carried out and the staging folder is gone.
    Published {
        /// Which run's.
        run: RunId,
    },
    /// A publish plan could not be carried out to its end.
    PublishFailed {
        /// Which run's.
        run: RunId,
        /// What happened.
        message: String,
        /// Attempts whose staged content is proven gone.
        gone: Vec<AttemptId>,
    },
    /// Time has passed.
    Tick,
    /// The coordinator is asked to leave in order.
    SteppingDown,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write a fact down; the next action waits until it is durable.
    Record {
        /// Whose journal.
        run: RunId,
        /// What.
        fact: Fact,
    },
    /// Give a worker a lease.
    Grant {
        /// To whom.
        worker: WorkerId,
        /// What.
        lease: Box<Lease>,
    },
    /// Tell a worker to stop an attempt.
    Revoke {
        /// Whom.
        worker: WorkerId,
        /// Whose attempt.
        run: RunId,
        /// Which.
        attempt: AttemptId,
    },
    /// Ask a worker to let an attempt's range end earlier.
    Shorten {
        /// Whom.
        worker: WorkerId,
        /// Whose attempt.
        run: RunId,
        /// Which.
        attempt: AttemptId,
        /// Where it is to end.
        end: u64,
    },
    /// Tell a worker that a report is durable or stale: it may forget it.
    Ack {
        /// Whom.
        worker: WorkerId,
        /// Whose attempt.
        run: RunId,
        /// Which.
        attempt: AttemptId,
    },
    /// Tell a worker that its heartbeat was heard.
    Alive {
        /// Whom.
        worker: WorkerId,
        /// Which heartbeat.
        beat: u64,
    },
    /// Delete what was staged and no fact will ever use.
    Discard {
        /// Whose.
        run: RunId,
        /// Output folder.
        output_url: String,
        /// What to delete.
        unwanted: Vec<Staged>,
    },
    /// Close the stream of a worker that was given up, so that it comes back and is greeted anew.
    Close {
        /// Whose.
        worker: WorkerId,
    },
    /// Tell a worker to leave: it takes nothing more, and finishes what fits its grace.
    Drain {
        /// Whom.
        worker: WorkerId,
    },
    /// Tell a worker that it cannot be used, and forget it.
    Refuse {
        /// Whom.
        worker: WorkerId,
        /// Why, and what to do.
        reason: String,
    },
    /// Carry out what was decided, and delete the staging folder; the answer is [`Event::Published`] or
    /// [`Event::PublishFailed`].
    Publish(Box<PublishPlan>),
}

impl Action {
    /// Its name, for probes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Record { .. } => "record",
            Self::Grant { .. } => "grant",
            Self::Revoke { .. } => "revoke",
            Self::Shorten { .. } => "shorten",
            Self::Ack { .. } => "ack",
            Self::Alive { .. } => "alive",
            Self::Refuse { .. } => "refuse",
            Self::Drain { .. } => "drain",
            Self::Close { .. } => "close",
            Self::Discard { .. } => "discard",
            Self::Publish(_) => "publish",
        }
    }
}
