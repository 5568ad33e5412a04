//! `batteuse verify`: reads a published run again, recounts, re-digests, and states the equation.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use batteuse_shared::manifest::{Manifest, Success};
use batteuse_shared::report::Report;
use batteuse_shared::{layout, location};
use batteuse_worker::verify;
use serde::de::DeserializeOwned;

use crate::cli::VerifyArgs;
use crate::cmd::remote::{self, Remote};
use crate::cmd::status;
use crate::components;
use crate::exit::{Code, Stop};

/// Verifies one run.
pub fn verify(args: &VerifyArgs) -> Result<Code, Stop> {
    let dir = match &args.coordinator {
        Some(url) => components::runtime()?.block_on(async {
            let run = remote::run_id(&args.run)?;
            let status = Remote::connect(url).await?.status(&run).await?;
            location::path_of(&status.output_url).map_err(Stop::refused)
        })?,
        None => status::folder(&args.run)?,
    };
    folder(&dir)?;
    Ok(Code::Ok)
}

/// Verifies the table in `dir` and prints what was found.
///
/// # Errors
/// When there is none, it cannot be read, or it is not what its manifest and report say.
pub fn folder(dir: &Path) -> Result<(), Stop> {
    let success = dir.join(layout::SUCCESS);
    if !success.exists() {
        return Err(Stop::refused(anyhow!(
            "{} holds no published table: there is no {}",
            dir.display(),
            layout::SUCCESS
        )));
    }
    let success: Success = read(&success)?;
    let manifest: Manifest = read(&dir.join(layout::manifest(&success.run)))?;
    let report: Report = read(&dir.join(layout::report(&success.run)))?;
    let found = verify::verify(dir, &manifest, &report).map_err(Stop::unreachable)?;
    println!(
        "   {}: {} files, {} bytes, {} rows, {} rejects",
        success.run, found.files, found.bytes, found.rows, found.rejects
    );
    println!("   {}", found.equation.records);
    println!("   {}", found.equation.bytes);
    println!("   digest {}", found.digest);
    if found.discrepancies.is_empty() {
        println!("   verified");
        return Ok(());
    }
    for discrepancy in &found.discrepancies {
        println!("   NOT AS REPORTED: {discrepancy}");
    }
    Err(Stop::failed(anyhow!(
        "{} is not what its manifest and report say: {} differences",
        dir.display(),
        found.discrepancies.len()
    )))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Stop> {
    let text = fs::read(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let error = anyhow!("{}: {error}", path.display());
        if missing { Stop::failed(error) } else { Stop::unreachable(error) }
    })?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not what was written there", path.display()))
        .map_err(Stop::failed)
}
