//! `batteuse list`: a coordinator's runs, the latest first.

use batteuse_proto::RunList;
use batteuse_proto::v1::ListRequest;

use crate::cli::ListArgs;
use crate::cmd::remote::{self, Remote};
use crate::components;
use crate::exit::{Code, Stop};
use crate::render;

/// Lists the runs.
pub fn list(args: &ListArgs) -> Result<Code, Stop> {
    components::runtime()?.block_on(async {
        let mut remote = Remote::connect(&args.coordinator).await?;
        let reply = remote.client.list(ListRequest {}).await.map_err(remote::refused)?.into_inner();
        let list = RunList::try_from(reply).map_err(Stop::unreachable)?;
        render::list(&list, args.output);
        Ok(Code::Ok)
    })
}
