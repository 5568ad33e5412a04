//! `batteuse workers`: a coordinator's workers, in the order of their names.

use crate::cli::ListArgs;
use crate::cmd::remote::Remote;
use crate::components;
use crate::exit::{Code, Stop};
use crate::render;

/// Lists the workers.
pub fn workers(args: &ListArgs) -> Result<Code, Stop> {
    components::runtime()?.block_on(async {
        let list = Remote::connect(&args.coordinator).await?.workers().await?;
        render::workers(&list, args.output);
        Ok(Code::Ok)
    })
}
