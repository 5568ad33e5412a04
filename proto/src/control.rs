//! What an operator asks of a coordinator, as plain values.
//!
//! Invariant: a job that was read has the form of the spec; whether it is unambiguous is judged by `Job::check`.

use batteuse_shared::ids::{RunId, WorkerId};
use batteuse_shared::limits::{FAILURE_MESSAGE_BYTES_MAX, RUNS_LISTED_MAX, SPEC_BYTES_MAX, WORKERS_LISTED_MAX};
use batteuse_shared::spec::Job;
use batteuse_shared::status::WorkerStatus;

use crate::convert::{Read, cut, list, messages, name, required, run_id, text, worker_id};
use crate::error::WireError;
use crate::status::RunStatus;
use crate::v1;

/// A job to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The spec, not yet checked.
    pub job: Job,
    /// Chosen by the client, 1 to 100 bytes, kept when it asks again after a lost answer: the same id, the same run.
    pub client_request_id: String,
}

/// A run to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// Which.
    pub run: RunId,
    /// By whom or why. Cut at [`FAILURE_MESSAGE_BYTES_MAX`] bytes when it is sent.
    pub message: String,
}

/// Runs that a coordinator knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunList {
    /// At most [`RUNS_LISTED_MAX`], the newest first.
    pub runs: Vec<RunStatus>,
    /// Whether older runs were left out.
    pub more: bool,
}

/// Workers that a coordinator knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerList {
    /// At most [`WORKERS_LISTED_MAX`], in the order of their names.
    pub workers: Vec<WorkerStatus>,
    /// Whether others were left out.
    pub more: bool,
}

impl From<Submission> for v1::SubmitRequest {
    fn from(submission: Submission) -> Self {
        let Submission { job, client_request_id } = submission;
        let job = serde_json::to_string(&job).expect("a job is plain values under text keys");
        Self { job, client_request_id }
    }
}

impl TryFrom<v1::SubmitRequest> for Submission {
    type Error = WireError;

    fn try_from(wire: v1::SubmitRequest) -> Read<Self> {
        let spec = text("SubmitRequest.job", required("SubmitRequest.job", wire.job)?, SPEC_BYTES_MAX)?;
        Ok(Self {
            job: serde_json::from_str(&spec).map_err(|bad| WireError::invalid("SubmitRequest.job", bad))?,
            client_request_id: name("SubmitRequest.client_request_id", wire.client_request_id)?,
        })
    }
}

impl From<RunId> for v1::SubmitReply {
    fn from(run: RunId) -> Self {
        Self { run: run.into() }
    }
}

impl TryFrom<v1::SubmitReply> for RunId {
    type Error = WireError;

    fn try_from(wire: v1::SubmitReply) -> Read<Self> {
        run_id("SubmitReply.run", &wire.run)
    }
}

/// Requests that name a run and nothing more.
macro_rules! names_a_run {
    ($($request:ident $field:literal),+) => {
        $(impl From<RunId> for v1::$request {
            fn from(run: RunId) -> Self {
                Self { run: run.into() }
            }
        }

        impl TryFrom<v1::$request> for RunId {
            type Error = WireError;

            fn try_from(wire: v1::$request) -> Read<Self> {
                run_id($field, &wire.run)
            }
        })+
    };
}
names_a_run!(StatusRequest "StatusRequest.run", PauseRequest "PauseRequest.run", UnpauseRequest "UnpauseRequest.run", RedriveRequest "RedriveRequest.run");

impl From<WorkerId> for v1::DrainRequest {
    fn from(worker: WorkerId) -> Self {
        Self { worker: worker.into() }
    }
}

impl TryFrom<v1::DrainRequest> for WorkerId {
    type Error = WireError;

    fn try_from(wire: v1::DrainRequest) -> Read<Self> {
        worker_id("DrainRequest.worker", &wire.worker)
    }
}

impl From<Cancellation> for v1::CancelRequest {
    fn from(cancellation: Cancellation) -> Self {
        let Cancellation { run, message } = cancellation;
        Self { run: run.into(), message: cut(message, FAILURE_MESSAGE_BYTES_MAX) }
    }
}

impl TryFrom<v1::CancelRequest> for Cancellation {
    type Error = WireError;

    fn try_from(wire: v1::CancelRequest) -> Read<Self> {
        Ok(Self {
            run: run_id("CancelRequest.run", &wire.run)?,
            message: text("CancelRequest.message", wire.message, FAILURE_MESSAGE_BYTES_MAX)?,
        })
    }
}

impl From<WorkerList> for v1::WorkersReply {
    fn from(list: WorkerList) -> Self {
        Self { workers: messages(list.workers), more: list.more }
    }
}

impl TryFrom<v1::WorkersReply> for WorkerList {
    type Error = WireError;

    fn try_from(wire: v1::WorkersReply) -> Read<Self> {
        Ok(Self { workers: list("WorkersReply.workers", wire.workers, WORKERS_LISTED_MAX)?, more: wire.more })
    }
}

impl From<RunList> for v1::ListReply {
    fn from(list: RunList) -> Self {
        Self { runs: messages(list.runs), more: list.more }
    }
}

impl TryFrom<v1::ListReply> for RunList {
    type Error = WireError;

    fn try_from(wire: v1::ListReply) -> Read<Self> {
        Ok(Self { runs: list("ListReply.runs", wire.runs, RUNS_LISTED_MAX)?, more: wire.more })
    }
}
