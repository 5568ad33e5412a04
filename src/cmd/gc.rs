//! `batteuse gc`: removes what lost attempts and crashes left in an output folder whose run has ended, and beside its table.

use std::path::Path;

use anyhow::anyhow;
use batteuse_coordinator::{publish, redrive};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_store::ListError;

use crate::cli::{GcArgs, OutputForm};
use crate::cmd::output::OutputDir;
use crate::cmd::status::journalled;
use crate::components;
use crate::exit::{Code, Stop};

/// Sweeps one output folder.
pub fn gc(args: &GcArgs) -> Result<Code, Stop> {
    components::logs("warn");
    let dir = OutputDir::given("DIR", Path::new(&args.dir))?;
    // Listed before the holder is asked for: a run that begins later is not among them.
    let listed = runs(&dir)?;
    let held = journalled(&dir)?;
    if !held.run.done() {
        return Err(Stop::refused(anyhow!(
            "{dir} holds the unfinished run {}: what it staged is still wanted. Let it finish, `batteuse resume` it, or `batteuse cancel` it",
            held.run.id()
        )));
    }
    let copied = redrive::began_elsewhere(&held.run, &*dir.folder, &dir.stores);
    let kept = held.run.keeps_staged() && !copied;
    if kept && args.give_up {
        let reason = "what it had staged was given up by `batteuse gc`".to_owned();
        redrive::release(&held.run, (&*held.state, held.position), reason, components::writer())
            .map_err(Stop::unreachable)?;
    }
    let keeps = kept && !args.give_up;
    let uploads = match keeps {
        true => 0,
        false => publish::abort_orphans(&*dir.folder, held.run.id()).map_err(Stop::unreachable)?,
    };
    let mut staging = 0;
    for run in listed.into_iter().filter(|run| !(keeps && run == held.run.id())) {
        let there = dir.folder.kind(&layout::staging_dir(&run)).map_err(Stop::unreachable)?;
        publish::sweep(&*dir.folder, &run).map_err(Stop::unreachable)?;
        staging += u32::from(there.is_some());
    }
    let plan = held.run.table_plan().filter(|_| !keeps && !copied);
    let swept = plan.map(|plan| publish::sweep_tables(&plan, &dir.stores)).transpose().map_err(Stop::unreachable)?;
    let tables = swept.unwrap_or(0);
    if keeps {
        eprintln!(
            "run {} failed, and what it staged is kept: `batteuse redrive` lets it go on, `batteuse gc --give-up {dir}` removes it",
            held.run.id()
        );
    }
    match args.output {
        OutputForm::Text => {
            println!(
                "{dir}: {uploads} uploads aborted, {staging} staging folders removed, {tables} staging tables dropped"
            );
        }
        OutputForm::Json => {
            let removed = serde_json::json!({ "uploads": uploads, "stagingFolders": staging, "stagingTables": tables });
            println!("{removed}");
        }
    }
    Ok(Code::Ok)
}

/// All runs that ever held the folder: but for the one that holds it, they have ended.
fn runs(dir: &OutputDir) -> Result<Vec<RunId>, Stop> {
    match dir.folder.list(layout::RUNS_DIR) {
        Ok(list) => Ok(list.unwrap_or_default().iter().filter_map(|entry| RunId::new(&entry.name).ok()).collect()),
        Err(ListError::Io(error)) => Err(Stop::unreachable(error)),
        Err(error @ ListError::NotAFolder) => Err(Stop::refused(error)),
    }
}
