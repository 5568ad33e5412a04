//! `batteuse status`: how a run stands, from its coordinator or from its journal.

use std::path::Path;

use anyhow::anyhow;
use batteuse_coordinator::claim::{self, ClaimError};
use batteuse_coordinator::journal::{Journal, Position, State};
use batteuse_coordinator::scheduler::{Fact, Run};
use batteuse_proto::RunStatus;
use batteuse_shared::layout;

use crate::cli::RunRefArgs;
use crate::cmd::output::OutputDir;
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
pub fn folder(text: &str) -> Result<OutputDir, Stop> {
    OutputDir::given(&format!("RUN {text}: without --coordinator, an output folder"), Path::new(text))
}

/// A run as its journal tells it.
pub struct Journalled {
    /// The run.
    pub run: Run,
    /// Where its journal goes on.
    pub position: Position,
    /// The state store that holds it.
    pub state: State,
}

/// The run that holds `dir`, whoever works on it.
pub fn journalled(dir: &OutputDir) -> Result<Journalled, Stop> {
    let nothing = || Stop::refused(anyhow!("{dir} holds no run; with --coordinator, give a run's id"));
    read(dir)?.ok_or_else(nothing)
}

/// The run that holds `dir`, rebuilt from its journal; none when no run began there.
pub fn read(dir: &OutputDir) -> Result<Option<Journalled>, Stop> {
    let unread =
        |error: ClaimError| if error.is_environment() { Stop::unreachable(error) } else { Stop::refused(error) };
    let Some((_, claim)) = claim::current(&*dir.folder).map_err(unread)? else { return Ok(None) };
    let state = claim.state(&dir.folder, &dir.stores).map_err(Stop::refused)?;
    let replayed = Journal::read::<Fact>(&*state, &claim.run).map_err(Stop::unreachable)?;
    let run = Run::replay(replayed.facts.into_iter().map(|(_, fact)| fact));
    Ok(run.map(|run| Journalled { run, position: replayed.position, state }))
}

/// Whether `state` is that of embedded runs into `dir`.
pub fn is_embedded(state: &State, dir: &OutputDir) -> bool {
    state.place() == dir.folder.place(layout::EMBEDDED_STATE)
}

/// Refuses an unfinished run whose output is another folder than `dir`.
pub fn same_folder(run: &Run, dir: &OutputDir) -> Result<(), Stop> {
    if run.done() { Ok(()) } else { began_in(run, dir) }
}

/// Refuses a run whose output is another folder than `dir`: this is a copy, or the folder was moved.
pub fn began_in(run: &Run, dir: &OutputDir) -> Result<(), Stop> {
    let began_in = OutputDir::at(run.accepted().job.spec.output.folder_url())?;
    let (there, here) = (began_in.folder.place(""), dir.folder.place(""));
    // Through links too.
    let same = there == here || matches!((there.canonicalize(), here.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same {
        return Ok(());
    }
    Err(Stop::refused(anyhow!(
        "{dir} holds the run {}, which began in {began_in}: move the folder back, then go on there",
        run.id(),
    )))
}

/// A run of a journal in the form that a coordinator tells.
pub fn glance(run: &Run) -> RunStatus {
    batteuse_coordinator::rpc::wire(run.status(), true)
}
