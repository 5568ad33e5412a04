//! `batteuse drain`: asks a worker to leave, through its coordinator, and waits for that where it is wished.

use std::time::Duration;

use anyhow::Context;
use batteuse_proto::v1::DrainRequest;
use batteuse_shared::ids::WorkerId;
use batteuse_shared::status::WorkerStatus;

use crate::cli::DrainArgs;
use crate::cmd::remote::{self, Remote};
use crate::components;
use crate::exit::{Code, Stop};
use crate::render;

/// How often it is asked whether the worker has left.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Drains one worker.
pub fn drain(args: &DrainArgs) -> Result<Code, Stop> {
    let worker =
        WorkerId::new(&args.worker).context("WORKER is a name that `batteuse workers` lists").map_err(Stop::refused)?;
    components::runtime()?.block_on(async {
        let mut remote = Remote::connect(&args.coordinator).await?;
        let reply = remote.client.drain(DrainRequest::from(worker.clone())).await.map_err(remote::refused)?;
        let read = WorkerStatus::try_from(reply.into_inner()).context("the coordinator's answer");
        let status = read.map_err(Stop::unreachable)?;
        while args.wait && remote.workers().await?.workers.iter().any(|w| w.worker == worker && w.connected) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        render::worker(&status, args.output);
        Ok(Code::Ok)
    })
}
