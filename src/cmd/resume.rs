//! `batteuse resume`: finishes an interrupted run. It takes everything from the journal.

use anyhow::anyhow;
use batteuse_coordinator::admit;

use crate::cli::ResumeArgs;
use crate::cmd::embedded::{self, Start};
use crate::cmd::output::OutputDir;
use crate::cmd::status::{Journalled, is_embedded, read, same_folder};
use crate::components;
use crate::exit::{self, Code, Stop};
use crate::render;

/// Resumes the run that holds the output folder.
pub fn resume(args: &ResumeArgs) -> Result<Code, Stop> {
    let dir = OutputDir::given("--to", &args.to)?;
    let nothing = || Stop::refused(anyhow!("{dir}: nothing to resume, use run"));
    let Journalled { run, position, state } = read(&dir)?.ok_or_else(nothing)?;
    if run.done() {
        let report = run.report();
        render::report(&report, &dir, args.output);
        return Ok(exit::of(&report));
    }
    if !is_embedded(&state, &dir) {
        return Err(Stop::refused(anyhow!(
            "{dir} is held by run {} of the coordinator with state {}: start that coordinator again and the run goes on by itself",
            run.id(),
            state.place().display()
        )));
    }
    same_folder(&run, &dir)?;
    if run.is_paused() {
        return Err(Stop::refused(anyhow!(
            "run {id} is paused: start its coordinator again, then batteuse unpause {id} --coordinator URL",
            id = run.id()
        )));
    }
    // A run that is failing already reads nothing more of it.
    if run.decision().is_none() && run.status().reason.is_none() {
        admit::same_source(&run).map_err(Stop::refused)?;
    }
    let workers = args.here.workers.unwrap_or_else(components::cores);
    embedded::execute(Start::Replayed(Box::new(run), position), &dir, (workers, args.here.memory), args.output)
}
