//! `batteuse submit`: gives a coordinator a job, and waits for it where that is wished.

use std::time::Duration;

use backon::BackoffBuilder as _;
use batteuse_proto::Submission;
use batteuse_proto::v1::SubmitRequest;
use batteuse_shared::ids::RunId;
use batteuse_shared::limits::SUBMIT_TRIES_MAX;

use crate::cli::SubmitArgs;
use crate::cmd::output::OutputDir;
use crate::cmd::remote::{self, Remote};
use crate::components;
use crate::config;
use crate::exit::{Code, Stop};

/// Submits until the run is durable, always under the same request id: one run comes of it, however many answers are lost, also while one
/// coordinator takes over from another. Where there is no room it comes again when it is told to, as long as `patience_ms` lasts.
async fn accepted(url: &str, request: &SubmitRequest, patience_ms: u64) -> Result<(Remote, RunId), Stop> {
    let (began, mut tried) = (components::now(), false);
    let mut waits = backon::ExponentialBuilder::default().with_max_times(SUBMIT_TRIES_MAX).with_jitter().build();
    loop {
        let mut remote = match (Remote::connect(url).await, tried) {
            (Ok(remote), _) => remote,
            (Err(stop), false) => return Err(stop),
            // It was there a moment ago.
            (Err(stop), true) => match waits.next() {
                Some(wait) => {
                    tokio::time::sleep(wait).await;
                    continue;
                }
                None => return Err(stop),
            },
        };
        tried = true;
        let status = match remote.client.submit(request.clone()).await {
            Ok(reply) => return Ok((remote, RunId::try_from(reply.into_inner()).map_err(Stop::unreachable)?)),
            Err(status) => status,
        };
        if let Some(after) = remote::retry_after(&status) {
            let left = Duration::from_millis(patience_ms.saturating_sub(components::now().since(began)));
            if after > left {
                return Err(remote::refused(status));
            }
            eprintln!("{}", status.message());
            tokio::time::sleep(components::jittered(after).min(left)).await;
            continue;
        }
        match waits.next() {
            Some(wait) if remote::is_unanswered(&status) => tokio::time::sleep(wait).await,
            _ => return Err(remote::refused(status)),
        }
    }
}

/// Submits the spec.
pub fn submit(args: &SubmitArgs) -> Result<Code, Stop> {
    let job = config::read_job(&args.file).map_err(Stop::refused)?;
    let dir = OutputDir::at(job.spec.output.folder_url())?;
    let patience_ms = u64::from(args.patience) * 1_000;
    let submission = Submission { job, client_request_id: components::run_suffix() };
    components::runtime()?.block_on(async {
        let (remote, run) = accepted(&args.coordinator, &SubmitRequest::from(submission), patience_ms).await?;
        if !args.wait {
            println!("{run}");
            return Ok(Code::Ok);
        }
        eprintln!("run {run} is accepted");
        remote.wait(&run, &dir, &args.coordinator, args.output).await
    })
}
