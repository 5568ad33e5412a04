//! `batteuse status`: how a run stands, from its coordinator or from its journal.

use std::path::{Path, PathBuf};

use anyhow::Context;
use batteuse_coordinator::claim::{self, ClaimError};
use batteuse_coordinator::journal::{Journal, Position};
use batteuse_coordinator::scheduler::{Fact, Run};
use batteuse_proto::RunStatus;
use batteuse_shared::location;

use crate::cli::RunRefArgs;
use crate::cmd::remote::{self, Remote};
use crate::components;
use crate::exit::{Code, Stop};
use crate::render;

/// Shows one run.
pub fn status(args: &RunRefArgs) -> Result<Code, Stop> {
    let status = match &args.coordinator {
        Some(url) => components::runtime()?.block_on(async {
            let run = remote::run_id(&args.run)?;
            Remote::connect(url).await?.status(&run).await
        })?,
        None => glance(&journalled(&folder(&args.run)?)?.run),
    };
    render::status(&status, args.output);
    Ok(Code::Ok)
}

/// An output folder as the user gave it: a URL or a path.
pub fn folder(text: &str) -> Result<PathBuf, Stop> {
    if text.contains("://") {
        return location::path_of(text).map_err(Stop::refused);
    }
    std::path::absolute(text)
        .with_context(|| format!("RUN {text}: without --coordinator, an output folder"))
        .map_err(Stop::refused)
}

/// A run as its journal tells it.
pub struct Journalled {
    /// The run.
    pub run: Run,
    /// Where its journal goes on.
    pub position: Position,
    /// The state folder that holds it.
    pub state: PathBuf,
}

/// The run that holds `dir`, whoever works on it.
pub fn journalled(dir: &Path) -> Result<Journalled, Stop> {
    let nothing =
        || Stop::refused(anyhow::anyhow!("{} holds no run; with --coordinator, give a run's id", dir.display()));
    read(dir)?.ok_or_else(nothing)
}

/// The run that holds `dir`, rebuilt from its journal; none when no run began there.
pub fn read(dir: &Path) -> Result<Option<Journalled>, Stop> {
    let unread =
        |error: ClaimError| if error.is_environment() { Stop::unreachable(error) } else { Stop::refused(error) };
    let Some((_, claim)) = claim::current(dir).map_err(unread)? else { return Ok(None) };
    let state = claim.state_path(dir).map_err(Stop::refused)?;
    let replayed = Journal::read::<Fact>(&state, &claim.run).map_err(Stop::unreachable)?;
    let run = Run::replay(replayed.facts.into_iter().map(|(_, fact)| fact));
    Ok(run.map(|run| Journalled { run, position: replayed.position, state }))
}

/// Refuses an unfinished run whose output is another folder than `dir`: this is a copy, or the folder was moved.
pub fn same_folder(run: &Run, dir: &Path) -> Result<(), Stop> {
    let began_in = location::path_of(&run.accepted().job.spec.output.parquet.url).map_err(Stop::refused)?;
    // Through links too.
    let same = matches!((began_in.canonicalize(), dir.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if run.done() || same {
        return Ok(());
    }
    Err(Stop::refused(anyhow::anyhow!(
        "{} holds the unfinished run {}, which began in {}: move the folder back, then go on there",
        dir.display(),
        run.id(),
        began_in.display()
    )))
}

/// A run of a journal in the form that a coordinator tells.
pub fn glance(run: &Run) -> RunStatus {
    batteuse_coordinator::rpc::wire(run.status(), true)
}
