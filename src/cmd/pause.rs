//! `batteuse pause` and `batteuse unpause`: hold a run of a coordinator, and let it go on.

use anyhow::anyhow;
use batteuse_proto::v1::{PauseRequest, UnpauseRequest};
use batteuse_shared::report::RunState;

use crate::cli::PauseArgs;
use crate::cmd::remote::{self, Remote};
use crate::components;
use crate::exit::{Code, Stop};
use crate::render;

/// Holds one run.
pub fn pause(args: &PauseArgs) -> Result<Code, Stop> {
    let run = remote::run_id(&args.run)?;
    let status = components::runtime()?.block_on(async {
        let mut remote = Remote::connect(&args.coordinator).await?;
        let reply = remote.client.pause(PauseRequest::from(run)).await.map_err(remote::refused)?;
        remote::read(reply.into_inner())
    })?;
    render::status(&status, args.output);
    match status.state {
        RunState::Paused => Ok(Code::Ok),
        state => Err(Stop::failed(anyhow!("run {} could not be paused any more: it is {state:?}", status.run))),
    }
}

/// Lets one run go on.
pub fn unpause(args: &PauseArgs) -> Result<Code, Stop> {
    let run = remote::run_id(&args.run)?;
    let status = components::runtime()?.block_on(async {
        let mut remote = Remote::connect(&args.coordinator).await?;
        let reply = remote.client.unpause(UnpauseRequest::from(run)).await.map_err(remote::refused)?;
        remote::read(reply.into_inner())
    })?;
    render::status(&status, args.output);
    Ok(Code::Ok)
}
