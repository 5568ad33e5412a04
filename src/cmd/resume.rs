//! `batteuse resume`: finishes an interrupted run. It takes everything from the journal.

use std::path::Path;

use anyhow::{Context, anyhow};
use batteuse_coordinator::admit;
use batteuse_coordinator::journal::{Journal, Position};
use batteuse_coordinator::scheduler::{Fact, Run};
use batteuse_shared::{layout, location};

use crate::cli::ResumeArgs;
use crate::cmd::embedded::{self, Start};
use crate::cmd::status::{current_claim, same_folder};
use crate::components;
use crate::exit::{self, Code, Stop};
use crate::render;

/// Resumes the run that holds the output folder.
pub fn resume(args: &ResumeArgs) -> Result<Code, Stop> {
    let dir = std::path::absolute(&args.to).context("--to").map_err(Stop::refused)?;
    let (run, position) = held(&dir)?;
    if run.done() {
        let report = run.report();
        render::report(&report, &dir, args.output)?;
        return Ok(exit::of(&report));
    }
    if run.decision().is_none() {
        same_source(&run)?;
    }
    let workers = args.workers.unwrap_or_else(components::cores);
    embedded::execute(Start::Replayed(Box::new(run), position), &dir, workers, args.output)
}

/// The embedded run that holds `dir`, rebuilt from its journal.
pub fn held(dir: &Path) -> Result<(Run, Position), Stop> {
    let nothing = || Stop::refused(anyhow!("{}: nothing to resume, use run", dir.display()));
    let (_, claim) = current_claim(dir)?.ok_or_else(nothing)?;
    let state = claim.state_path(dir).map_err(Stop::refused)?;
    if state != dir.join(layout::EMBEDDED_STATE) {
        return Err(Stop::refused(anyhow!(
            "{} is held by run {} of a coordinator with state {}: start that coordinator again and it goes on by itself",
            dir.display(),
            claim.run,
            claim.state
        )));
    }
    let replayed = Journal::read::<Fact>(&state, &claim.run).map_err(Stop::unreachable)?;
    let run = Run::replay(replayed.facts.into_iter().map(|(_, fact)| fact)).ok_or_else(nothing)?;
    same_folder(&run, dir)?;
    Ok((run, replayed.position))
}

/// Refuses to go on with another version of the source (SAME-INPUT).
fn same_source(run: &Run) -> Result<(), Stop> {
    let source = &run.accepted().source;
    let path = location::path_of(&source.url).map_err(Stop::refused)?;
    let is = admit::version_of(&path).map_err(Stop::refused)?;
    if is == source.version {
        return Ok(());
    }
    Err(Stop::refused(anyhow!(
        "the source {} changed since the run began: it was [{}], it is [{is}]. Nothing is published. Put the old file back, \
         or give the run up with `batteuse cancel` and run again",
        path.display(),
        source.version
    )))
}
