//! `batteuse cancel`: gives a run up, through its coordinator or through its journal.

use anyhow::anyhow;
use batteuse_coordinator::driver::{Driver, Until};
use batteuse_coordinator::scheduler::Timing;
use batteuse_proto::Cancellation;
use batteuse_proto::v1::CancelRequest;
use batteuse_shared::report::Reason;
use tokio::sync::watch;

use crate::cli::RunRefArgs;
use crate::cmd::embedded;
use crate::cmd::remote::{self, Remote};
use crate::cmd::status::{folder, glance, is_embedded, journalled, same_folder};
use crate::components;
use crate::exit::{Code, Stop};
use crate::render;

const BY_OPERATOR: &str = "cancelled by an operator";

/// Cancels one run.
pub fn cancel(args: &RunRefArgs) -> Result<Code, Stop> {
    let status = match &args.coordinator {
        Some(url) => components::runtime()?.block_on(async {
            let run = remote::run_id(&args.run)?;
            let request = CancelRequest::from(Cancellation { run, message: BY_OPERATOR.to_owned() });
            let reply = Remote::connect(url).await?.client.cancel(request).await.map_err(remote::refused)?;
            remote::read(reply.into_inner())
        })?,
        None => in_folder(&args.run)?,
    };
    render::status(&status, args.output);
    // Decided is enough: the report follows as soon as it can be written.
    if matches!(status.reason, Some(Reason::Cancelled { .. })) {
        return Ok(Code::Ok);
    }
    Err(Stop::failed(anyhow!("run {} could not be cancelled any more: it is {:?}", status.run, status.state)))
}

/// Takes the run over and aborts it: whoever works on it finds the higher epoch and stops.
fn in_folder(text: &str) -> Result<batteuse_proto::RunStatus, Stop> {
    let dir = folder(text)?;
    let held = journalled(&dir)?;
    if held.run.done() {
        return Ok(glance(&held.run));
    }
    same_folder(&held.run, &dir)?;
    if !is_embedded(&held.state, &dir) {
        let state = held.state.place();
        let state = state.display();
        return Err(Stop::refused(anyhow!(
            "run {} belongs to the coordinator with state {state}: give --coordinator",
            held.run.id()
        )));
    }
    let ground = embedded::ground(&dir);
    components::runtime()?.block_on(async {
        let (mut driver, handle) = Driver::new(embedded::components(&ground, Timing::default()));
        let run = held.run.id().clone();
        driver.adopt(held.run, held.position).await.map_err(Stop::unreachable)?;
        driver.cancel(&run, BY_OPERATOR).await.map_err(Stop::unreachable)?;
        let (_stay, stop) = watch::channel(false);
        driver.run(Until::NoOpenRun, stop).await.map_err(Stop::unreachable)?;
        drop(handle);
        Ok::<_, Stop>(())
    })?;
    Ok(glance(&journalled(&dir)?.run))
}
