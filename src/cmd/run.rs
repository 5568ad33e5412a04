//! `batteuse run`: one command, on a laptop.

use anyhow::anyhow;
use batteuse_coordinator::admit::{self, Admission, AdmitError};
use batteuse_shared::location;

use crate::cli::RunArgs;
use crate::cmd::embedded::{self, Start};
use crate::components;
use crate::config;
use crate::exit::{Code, Stop};

/// Runs the job that the flags or the spec ask for.
pub fn run(args: &RunArgs) -> Result<Code, Stop> {
    let job = config::job_of(args).map_err(Stop::refused)?;
    let dir = location::path_of(&job.spec.output.parquet.url).map_err(Stop::refused)?;
    let ground = embedded::ground(&dir);
    match admit::admit(job, &components::run_suffix(), &ground).map_err(stop)? {
        Admission::New(accepted) => {
            let workers = args.workers.unwrap_or_else(components::cores);
            embedded::execute(Start::New(accepted), &dir, workers, args.output)
        }
        Admission::Known(run) => Err(Stop::refused(anyhow!("run {run} exists"))),
    }
}

fn stop(error: AdmitError) -> Stop {
    if error.is_environment() { Stop::unreachable(error) } else { Stop::refused(error) }
}
