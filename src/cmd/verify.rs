//! `batteuse verify`: reads a published run again, recounts, re-digests, and states the equation.

use anyhow::{Context, anyhow};
use batteuse_coordinator::publish::{self, Entry};
use batteuse_shared::layout;
use batteuse_shared::limits::TEXT_BYTES_MAX;
use batteuse_shared::manifest::{Manifest, Success};
use batteuse_shared::report::Report;
use batteuse_shared::spec::Postgres;
use batteuse_store::ReadError;
use batteuse_worker::verify;
use serde::de::DeserializeOwned;

use crate::cli::VerifyArgs;
use crate::cmd::output::OutputDir;
use crate::cmd::remote::{self, Remote};
use crate::cmd::status;
use crate::components;
use crate::exit::{Code, Stop};

/// Verifies one run.
pub fn verify(args: &VerifyArgs) -> Result<Code, Stop> {
    let dir = match &args.coordinator {
        Some(url) => {
            let status = components::runtime()?.block_on(async {
                let run = remote::run_id(&args.run)?;
                Remote::connect(url).await?.status(&run).await
            })?;
            OutputDir::at(&status.output_url)?
        }
        None => status::folder(&args.run)?,
    };
    folder(&dir)?;
    Ok(Code::Ok)
}

/// Verifies the table in `dir` and prints what was found.
///
/// # Errors
/// When there is none, it cannot be read, or it is not what its manifest and report say.
pub fn folder(dir: &OutputDir) -> Result<(), Stop> {
    let Some(success) = read::<Success>(dir, layout::SUCCESS)? else {
        return Err(Stop::refused(anyhow!("{dir} holds no published table: there is no {}", layout::SUCCESS)));
    };
    let manifest: Manifest = needed(dir, &layout::manifest(&success.run))?;
    let report: Report = needed(dir, &layout::report(&success.run))?;
    let found = verify::verify(&dir.folder, &success, &manifest, &report).map_err(Stop::unreachable)?;
    println!(
        "   {}: {} files, {} bytes, {} rows, {} rejects",
        success.run, found.files, found.bytes, found.rows, found.rejects
    );
    println!("   {}", found.equation.records);
    println!("   {}", found.equation.bytes);
    println!("   digest {}", found.digest);
    let mut differences: Vec<String> = found.discrepancies.iter().map(ToString::to_string).collect();
    if let Some(postgres) = &manifest.postgres {
        differences.extend(in_ledger(dir, postgres, &manifest)?);
    }
    if differences.is_empty() {
        println!("   verified");
        return Ok(());
    }
    for difference in &differences {
        println!("   NOT AS REPORTED: {difference}");
    }
    Err(Stop::failed(anyhow!("{dir} is not what its manifest and report say: {} differences", differences.len())))
}

/// Compares what the ledger beside a table says of the run. The table's rows are not read: whose they are they do not tell, and others
/// may have changed them since.
fn in_ledger(dir: &OutputDir, postgres: &Postgres, manifest: &Manifest) -> Result<Option<String>, Stop> {
    let entry = publish::entry(postgres, &manifest.run, &dir.stores).map_err(Stop::unreachable)?;
    let table = &postgres.table;
    let stated = Entry { rows: manifest.rows, digest: manifest.digest.to_string() };
    Ok(match entry {
        None => Some(format!("the ledger beside {table} does not know the run")),
        Some(entry) if entry != stated => {
            let Entry { rows, digest } = entry;
            Some(format!(
                "the ledger beside {table} has {rows} rows of digest {digest}, the manifest {} of {}",
                stated.rows, stated.digest
            ))
        }
        Some(entry) => {
            println!("   table {table}: {} rows by its ledger (the table itself is not read)", entry.rows);
            None
        }
    })
}

/// A file that must be there.
pub fn needed<T: DeserializeOwned>(dir: &OutputDir, path: &str) -> Result<T, Stop> {
    let missing = || Stop::failed(anyhow!("{} is missing", dir.folder.place(path).display()));
    read(dir, path)?.ok_or_else(missing)
}

/// A file that may be there.
pub fn read<T: DeserializeOwned>(dir: &OutputDir, path: &str) -> Result<Option<T>, Stop> {
    let place = dir.folder.place(path);
    let text = dir.folder.read(path, TEXT_BYTES_MAX).map_err(|error| {
        let unreachable = matches!(error, ReadError::Io(_));
        let error = anyhow!("{}: {error}", place.display());
        if unreachable { Stop::unreachable(error) } else { Stop::failed(error) }
    })?;
    let Some(text) = text else { return Ok(None) };
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not what was written there", place.display()))
        .map(Some)
        .map_err(Stop::failed)
}
