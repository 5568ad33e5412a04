//! Talking to a coordinator as an operator.

use std::time::Duration;

use anyhow::{Context, anyhow};
use batteuse_proto::v1::control_service_client::ControlServiceClient;
use batteuse_proto::{RunStatus, WorkerList};
use batteuse_shared::ids::RunId;
use batteuse_shared::limits::MESSAGE_BYTES_MAX;
use batteuse_shared::report::Report;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::cli::OutputForm;
use crate::cmd::output::OutputDir;
use crate::components;
use crate::exit::{self, Code, Stop};
use crate::render;

/// A connected operator.
pub struct Remote {
    /// The calls.
    pub client: ControlServiceClient<Channel>,
}

impl Remote {
    /// Connects to the coordinator at `url`.
    pub async fn connect(url: &str) -> Result<Self, Stop> {
        let channel = components::connect(url).await?;
        Ok(Self { client: ControlServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX) })
    }

    /// How a run stands.
    pub async fn status(&mut self, run: &RunId) -> Result<RunStatus, Stop> {
        let reply = self.client.status(batteuse_proto::v1::StatusRequest::from(run.clone())).await.map_err(refused)?;
        read(reply.into_inner())
    }

    /// Waits for a run to end, and prints its report: `url` is the coordinator's, for who is told where to ask again.
    pub async fn wait(mut self, run: &RunId, dir: &OutputDir, url: &str, form: OutputForm) -> Result<Code, Stop> {
        let request = batteuse_proto::v1::StatusRequest::from(run.clone());
        let mut seen = self.client.watch(request).await.map_err(refused)?.into_inner();
        // However the stream ends before the run does: the coordinator is gone, and the run is not.
        while let Ok(Some(wire)) = seen.message().await {
            let status = read(wire)?;
            if let Some(report) = report_of(&status)? {
                render::report(&report, dir, form);
                return Ok(exit::of(&report));
            }
        }
        Err(Stop::unreachable(anyhow!(
            "the coordinator stopped before run {run} ended; it goes on when the coordinator is started again: batteuse status {run} \
             --coordinator {url}"
        )))
    }

    /// The workers that the coordinator knows.
    pub async fn workers(&mut self) -> Result<WorkerList, Stop> {
        let reply = self.client.workers(batteuse_proto::v1::WorkersRequest {}).await.map_err(refused)?;
        WorkerList::try_from(reply.into_inner()).context("the coordinator's answer").map_err(Stop::unreachable)
    }
}

/// A status off the wire.
pub fn read(wire: batteuse_proto::v1::RunStatus) -> Result<RunStatus, Stop> {
    RunStatus::try_from(wire).context("the coordinator's answer").map_err(Stop::unreachable)
}

/// The report inside a status, once the run has ended.
pub fn report_of(status: &RunStatus) -> Result<Option<Report>, Stop> {
    let text = status.report_json.as_deref();
    text.map(serde_json::from_str).transpose().context("the coordinator's report").map_err(Stop::unreachable)
}

/// A run's id as the user gave it.
pub fn run_id(text: &str) -> Result<RunId, Stop> {
    RunId::new(text).context("with --coordinator, RUN is a run's id").map_err(Stop::refused)
}

/// Whether nobody could take a request, or nobody knows whether it was taken: the connection broke, or no answer came in time.
pub fn is_unanswered(status: &tonic::Status) -> bool {
    use tonic::Code as C;
    matches!(status.code(), C::Unavailable | C::Unknown | C::Internal | C::Cancelled | C::DeadlineExceeded)
}

/// When a request may be told again that found no room.
pub fn retry_after(status: &tonic::Status) -> Option<Duration> {
    let full = status.code() == tonic::Code::ResourceExhausted;
    status.get_details_retry_info().filter(|_| full)?.retry_delay
}

/// An answer that is not the wished one.
pub fn refused(status: tonic::Status) -> Stop {
    let error = anyhow!("{}", status.message());
    match status.code() {
        tonic::Code::InvalidArgument | tonic::Code::FailedPrecondition | tonic::Code::NotFound => Stop::refused(error),
        _ => Stop::unreachable(anyhow!("the coordinator: {} ({:?})", status.message(), status.code())),
    }
}
