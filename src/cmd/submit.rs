//! `batteuse submit`: gives a coordinator a job, and waits for it where that is wished.

use anyhow::anyhow;
use batteuse_proto::Submission;
use batteuse_proto::v1::{StatusRequest, SubmitRequest};
use batteuse_shared::ids::RunId;

use crate::cli::SubmitArgs;
use crate::cmd::output::OutputDir;
use crate::cmd::remote::{self, Remote};
use crate::components;
use crate::config;
use crate::exit::{self, Code, Stop};
use crate::render;

/// Submits the spec.
pub fn submit(args: &SubmitArgs) -> Result<Code, Stop> {
    let job = config::read_job(&args.file).map_err(Stop::refused)?;
    let dir = OutputDir::at(job.spec.output.folder_url())?;
    let submission = Submission { job, client_request_id: components::run_suffix() };
    components::runtime()?.block_on(async {
        let mut remote = Remote::connect(&args.coordinator).await?;
        let request = SubmitRequest::from(submission);
        let reply = remote.client.submit(request).await.map_err(remote::refused)?.into_inner();
        let run = RunId::try_from(reply).map_err(Stop::unreachable)?;
        if !args.wait {
            println!("{run}");
            return Ok(Code::Ok);
        }
        eprintln!("run {run} is accepted");
        let mut seen =
            remote.client.watch(StatusRequest::from(run.clone())).await.map_err(remote::refused)?.into_inner();
        // However the stream ends before the run does: the coordinator is gone, and the run is not.
        while let Ok(Some(wire)) = seen.message().await {
            let status = remote::read(wire)?;
            if let Some(report) = remote::report_of(&status)? {
                render::report(&report, &dir, args.output);
                return Ok(exit::of(&report));
            }
        }
        Err(Stop::unreachable(anyhow!(
            "the coordinator stopped before run {run} ended; it goes on when the coordinator is started again: batteuse status {run} \
             --coordinator {}",
            args.coordinator
        )))
    })
}
