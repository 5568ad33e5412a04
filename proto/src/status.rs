//! How runs and workers stand, as plain values.
//!
//! Invariant: it is a picture of a moment for an operator; nothing decides by it.

use batteuse_shared::ids::RunId;
use batteuse_shared::limits::FAILURE_MESSAGE_BYTES_MAX;
use batteuse_shared::report::{Reason, RunState};
use batteuse_shared::status::{Waits, WorkerStatus};
use batteuse_shared::time::Millis;

use crate::convert::{Read, Twinned, cut, optional, required, run_id, text, twinned, worker_id};
use crate::error::WireError;
use crate::v1;

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStatus {
    /// The run.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// Its state.
    pub state: RunState,
    /// Why it failed or was cancelled. Its message is cut at [`FAILURE_MESSAGE_BYTES_MAX`] bytes when it is sent.
    pub reason: Option<Reason>,
    /// Folder of the output, `file:///.../`.
    pub output_url: String,
    /// Planned partitions; 0 until they are planned.
    pub partitions: u64,
    /// Partitions accepted.
    pub accepted: u64,
    /// Attempts leased so far.
    pub attempts: u64,
    /// Leases held by workers now.
    pub running: u32,
    /// Size of the source in bytes.
    pub bytes: u64,
    /// Bytes accepted, plus those that running attempts say they have done.
    pub bytes_done: u64,
    /// Records read in accepted partitions.
    pub read: u64,
    /// Records rejected in accepted partitions.
    pub rejected: u64,
    /// When it was accepted.
    pub started: Millis,
    /// What holds it up now, in words; cut at [`FAILURE_MESSAGE_BYTES_MAX`] bytes when it is sent.
    pub trouble: Option<String>,
    /// What it waits for, if it waits. A message is cut at [`FAILURE_MESSAGE_BYTES_MAX`] bytes when it is sent.
    pub waits: Option<Waits>,
    /// The run report, the bytes of `report.json`, once the run has ended; left out of a list of runs.
    pub report_json: Option<String>,
}

twinned!(
    RunState,
    v1::RunState,
    Pending,
    Planning,
    Running,
    Paused,
    Publishing,
    Succeeded,
    SucceededWithRejects,
    Failed,
    Cancelled
);

impl From<Reason> for v1::Reason {
    fn from(reason: Reason) -> Self {
        use v1::ReasonKind as Kind;
        let (kind, message) = match reason {
            Reason::TooManyRejects => (Kind::TooManyRejects, String::new()),
            Reason::Refused { message } => (Kind::Refused, message),
            Reason::SourceChanged { message } => (Kind::SourceChanged, message),
            Reason::TaskFailed { message } => (Kind::TaskFailed, message),
            Reason::Invariant { message } => (Kind::Invariant, message),
            Reason::Cancelled { message } => (Kind::Cancelled, message),
        };
        Self { kind: kind.into(), message: cut(message, FAILURE_MESSAGE_BYTES_MAX) }
    }
}

impl TryFrom<v1::Reason> for Reason {
    type Error = WireError;

    fn try_from(wire: v1::Reason) -> Read<Self> {
        use v1::ReasonKind as Kind;
        let message = text("Reason.message", wire.message, FAILURE_MESSAGE_BYTES_MAX)?;
        let unknown = |_| WireError::Unknown { field: "Reason.kind", value: wire.kind };
        Ok(match Kind::try_from(wire.kind).map_err(unknown)? {
            Kind::Unspecified => return Err(WireError::Missing("Reason.kind")),
            Kind::TooManyRejects => Self::TooManyRejects,
            Kind::Refused => Self::Refused { message },
            Kind::SourceChanged => Self::SourceChanged { message },
            Kind::TaskFailed => Self::TaskFailed { message },
            Kind::Invariant => Self::Invariant { message },
            Kind::Cancelled => Self::Cancelled { message },
        })
    }
}

impl From<Waits> for v1::Waits {
    fn from(waits: Waits) -> Self {
        use v1::waits::Kind;
        Self {
            kind: Some(match waits {
                Waits::Unpause => Kind::Unpause(v1::WaitsUnpause {}),
                Waits::Worker => Kind::Worker(v1::WaitsWorker {}),
                Waits::Slot { runs_before } => Kind::Slot(v1::WaitsSlot { runs_before }),
                Waits::Storage { message, retry_at } => Kind::Storage(v1::WaitsStorage {
                    message: cut(message, FAILURE_MESSAGE_BYTES_MAX),
                    retry_at_ms: retry_at.0,
                }),
                Waits::Connections { most } => Kind::Connections(v1::WaitsConnections { most }),
            }),
        }
    }
}

impl TryFrom<v1::Waits> for Waits {
    type Error = WireError;

    fn try_from(wire: v1::Waits) -> Read<Self> {
        use v1::waits::Kind;
        Ok(match wire.kind.ok_or(WireError::Missing("Waits.kind"))? {
            Kind::Unpause(v1::WaitsUnpause {}) => Self::Unpause,
            Kind::Worker(v1::WaitsWorker {}) => Self::Worker,
            Kind::Slot(v1::WaitsSlot { runs_before }) => Self::Slot { runs_before },
            Kind::Storage(v1::WaitsStorage { message, retry_at_ms }) => {
                let message = text("WaitsStorage.message", message, FAILURE_MESSAGE_BYTES_MAX)?;
                Self::Storage { message, retry_at: Millis(retry_at_ms) }
            }
            Kind::Connections(v1::WaitsConnections { most }) => Self::Connections { most },
        })
    }
}

impl From<WorkerStatus> for v1::WorkerStatus {
    fn from(status: WorkerStatus) -> Self {
        let WorkerStatus { worker, slots, leases, silent_ms, connected, draining, aside } = status;
        Self { worker: worker.into(), slots, leases, silent_ms, connected, draining, aside }
    }
}

impl TryFrom<v1::WorkerStatus> for WorkerStatus {
    type Error = WireError;

    fn try_from(wire: v1::WorkerStatus) -> Read<Self> {
        let v1::WorkerStatus { worker, slots, leases, silent_ms, connected, draining, aside } = wire;
        Ok(Self {
            worker: worker_id("WorkerStatus.worker", &worker)?,
            slots,
            leases,
            silent_ms,
            connected,
            draining,
            aside,
        })
    }
}

impl From<RunStatus> for v1::RunStatus {
    fn from(status: RunStatus) -> Self {
        Self {
            run: status.run.into(),
            job: status.job,
            state: status.state.write(),
            reason: status.reason.map(Into::into),
            output_url: status.output_url,
            partitions: status.partitions,
            accepted: status.accepted,
            attempts: status.attempts,
            running: status.running,
            bytes: status.bytes,
            bytes_done: status.bytes_done,
            read: status.read,
            rejected: status.rejected,
            started_ms: status.started.0,
            report_json: status.report_json,
            trouble: status.trouble.map(|trouble| cut(trouble, FAILURE_MESSAGE_BYTES_MAX)),
            waits: status.waits.map(Into::into),
        }
    }
}

impl TryFrom<v1::RunStatus> for RunStatus {
    type Error = WireError;

    fn try_from(wire: v1::RunStatus) -> Read<Self> {
        Ok(Self {
            run: run_id("RunStatus.run", &wire.run)?,
            job: required("RunStatus.job", wire.job)?,
            state: RunState::read("RunStatus.state", wire.state)?,
            reason: optional(wire.reason)?,
            output_url: required("RunStatus.output_url", wire.output_url)?,
            partitions: wire.partitions,
            accepted: wire.accepted,
            attempts: wire.attempts,
            running: wire.running,
            bytes: wire.bytes,
            bytes_done: wire.bytes_done,
            read: wire.read,
            rejected: wire.rejected,
            started: Millis(wire.started_ms),
            report_json: wire.report_json,
            trouble: wire.trouble.map(|t| text("RunStatus.trouble", t, FAILURE_MESSAGE_BYTES_MAX)).transpose()?,
            waits: optional(wire.waits)?,
        })
    }
}
