//! `batteuse run`: one command, on a laptop.

use anyhow::anyhow;
use batteuse_coordinator::admit::{self, About, Admission, AdmitError};

use crate::cli::RunArgs;
use crate::cmd::embedded::{self, Start};
use crate::cmd::output::OutputDir;
use crate::components;
use crate::config;
use crate::exit::{Code, Stop};

/// Runs the job that the flags or the spec ask for.
pub fn run(args: &RunArgs) -> Result<Code, Stop> {
    let job = config::job_of(args).map_err(Stop::refused)?;
    let dir = OutputDir::at(job.spec.output.folder_url())?;
    let ground = embedded::ground(&dir);
    match admit::admit(job, &components::run_suffix(), &ground).map_err(|error| stop(error, args))? {
        Admission::New(accepted) => {
            let workers = args.here.workers.unwrap_or_else(components::cores);
            embedded::execute(Start::New(accepted), &dir, (workers, args.here.memory), args.output)
        }
        Admission::Known(run) => Err(Stop::refused(anyhow!("run {run} exists"))),
    }
}

/// Says what the error is about in the words of the user: a flag, or a field of the spec.
fn stop(error: AdmitError, args: &RunArgs) -> Stop {
    let (environment, about) = (error.is_environment(), error.about());
    let error = match (&args.file, about) {
        (_, None) => anyhow::Error::from(error),
        (None, Some(about)) => anyhow!("{}: {error}", flag(about)),
        (Some(file), Some(about)) => anyhow!("{}: {}: {error}", file.display(), field(about)),
    };
    if environment { Stop::unreachable(error) } else { Stop::refused(error) }
}

fn flag(about: About) -> &'static str {
    match about {
        About::Source => "--from",
        About::Partition => "--partition-bytes",
        About::Output => "--to",
    }
}

fn field(about: About) -> &'static str {
    match about {
        About::Source => "spec.source.url",
        About::Partition => "spec.partition.bytes",
        About::Output => "spec.output",
    }
}
