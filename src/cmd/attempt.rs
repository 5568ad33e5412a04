//! `batteuse attempt`: one attempt in a process of its own, for the worker that holds the other ends of its pipes. Nobody types it.

use std::io;
use std::sync::Arc;

use batteuse_worker::alone::inside;
use batteuse_worker::attempt::{Chaos, Progress};

use crate::cli::AttemptArgs;
use crate::components;
use crate::exit::{Code, Stop};

/// Makes the attempt that comes in.
pub fn attempt(args: &AttemptArgs) -> Result<Code, Stop> {
    components::die_with_parent();
    if let Some(bytes) = args.memory {
        components::limit_memory(bytes)?;
    }
    components::logs("warn");
    components::runtime()?.block_on(components::pass_signals())?;
    let chaos = args.chaos.clone().map(|chaos| -> Arc<dyn Chaos> { Arc::new(chaos) });
    let (progress, stores) = (Progress::new().bounded(args.memory).befallen(chaos), components::stores());
    inside::serve(io::stdin(), io::stdout(), &progress, &stores, || components::die()).map_err(Stop::unreachable)?;
    Ok(Code::Ok)
}
