//! `batteuse manifest`: the files of a published table, for programs that read it.

use std::path::Path;

use anyhow::anyhow;
use batteuse_shared::layout;
use batteuse_shared::manifest::{Manifest, Success};

use crate::cli::{ManifestArgs, OutputForm};
use crate::cmd::output::OutputDir;
use crate::cmd::verify::{needed, read};
use crate::exit::{Code, Stop};

/// Shows the manifest of the table in one output folder.
pub fn manifest(args: &ManifestArgs) -> Result<Code, Stop> {
    let dir = OutputDir::given("DIR", Path::new(&args.dir))?;
    let Some(success) = read::<Success>(&dir, layout::SUCCESS)? else {
        return Err(Stop::refused(anyhow!("{dir} holds no published table: there is no {}", layout::SUCCESS)));
    };
    let manifest: Manifest = needed(&dir, &layout::manifest(&success.run))?;
    match args.output {
        OutputForm::Json => println!("{}", serde_json::to_string_pretty(&manifest).map_err(Stop::failed)?),
        OutputForm::Text => {
            if let Some(postgres) = &manifest.postgres {
                println!("{} {} rows", postgres.table, manifest.rows);
            }
            for part in manifest.kept.iter().flat_map(|share| &share.parts).chain(&manifest.parts) {
                if let Some(file) = &part.file {
                    println!("{} {} rows {} bytes", dir.folder.place(file).display(), part.rows, part.bytes);
                }
            }
        }
    }
    Ok(Code::Ok)
}
