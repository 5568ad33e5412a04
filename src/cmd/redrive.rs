//! `batteuse redrive`: lets a run that failed go on, through its coordinator or in its output folder.

use anyhow::anyhow;
use batteuse_coordinator::redrive;
use batteuse_proto::v1::RedriveRequest;

use crate::cli::RedriveArgs;
use crate::cmd::embedded::{self, Start};
use crate::cmd::output::OutputDir;
use crate::cmd::remote::{self, Remote};
use crate::cmd::status::{began_in, folder, is_embedded, journalled};
use crate::components;
use crate::exit::{Code, Stop};
use crate::render;

/// Redrives one run.
pub fn redrive(args: &RedriveArgs) -> Result<Code, Stop> {
    match &args.coordinator {
        Some(url) => components::runtime()?.block_on(through(url, args)),
        None => in_folder(args),
    }
}

async fn through(url: &str, args: &RedriveArgs) -> Result<Code, Stop> {
    let run = remote::run_id(&args.run)?;
    let mut remote = Remote::connect(url).await?;
    let reply = remote.client.redrive(RedriveRequest::from(run.clone())).await.map_err(remote::refused)?;
    let status = remote::read(reply.into_inner())?;
    if args.wait {
        return remote.wait(&run, &OutputDir::at(&status.output_url)?, url, args.output).await;
    }
    render::status(&status, args.output);
    Ok(Code::Ok)
}

fn in_folder(args: &RedriveArgs) -> Result<Code, Stop> {
    let dir = folder(&args.run)?;
    let held = journalled(&dir)?;
    if !is_embedded(&held.state, &dir) {
        return Err(Stop::refused(anyhow!(
            "run {} belongs to the coordinator with state {}: give its id and --coordinator",
            held.run.id(),
            held.state.place().display()
        )));
    }
    if let Err(not) = held.run.redrivable() {
        let advice = if held.run.done() { "" } else { ": go on with `batteuse resume`" };
        return Err(Stop::refused(anyhow!("{not}{advice}")));
    }
    began_in(&held.run, &dir)?;
    let remains = redrive::prepare(&held.run, &dir.stores)
        .map_err(|error| if error.is_environment() { Stop::unreachable(error) } else { Stop::refused(error) })?;
    let workers = args.here.workers.unwrap_or_else(components::cores);
    let start = Start::Redriven(Box::new(held.run), held.position, remains);
    embedded::execute(start, &dir, (workers, args.here.memory), args.output)
}
