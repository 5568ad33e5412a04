//! The table that stands in an output folder: read when a run is admitted, and journalled with it.
//!
//! Invariant: every file told is one that `_SUCCESS` and the manifest behind it list alike, under a name that only parts have; so
//! whoever removes these files removes nothing of anybody else. Reads no file of the table; whose the folder is, `claim` tells.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use batteuse_shared::ids::RunId;
use batteuse_shared::limits::{TABLE_FILES_MAX, TEXT_BYTES_MAX};
use batteuse_shared::manifest::{Manifest, ManifestPart, Standing, Success};
use batteuse_shared::table::Checksum;
use batteuse_shared::{hive, layout};
use batteuse_store::{Folder, ListError, ReadError, tree};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// Why the table cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// The disk or store failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
    /// Manifest or `_SUCCESS` are not what a run writes.
    #[error("{} is not what a run of this version writes ({reason}): put it back, or name another folder", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many files to go on with.
    #[error("the table in {} has {files} files, and at most {TABLE_FILES_MAX} are gone on from: write it anew, into another folder, with larger output.parquet.fileBytes, or fewer columns in output.parquet.partitionBy", dir.display())]
    TooMany {
        /// The folder.
        dir: PathBuf,
        /// Its files.
        files: usize,
    },
}

/// The run whose table stands in `dir`, and the table; none when there is no `_SUCCESS`.
///
/// # Errors
/// When it cannot be read, or is not what a run writes.
pub fn read(dir: &dyn Folder) -> Result<Option<(RunId, Standing)>, StandingError> {
    let Some(text) = content(dir, layout::SUCCESS)? else { return Ok(None) };
    let success: Success = parsed(dir, layout::SUCCESS, &text)?;
    let path = layout::manifest(&success.run);
    let damaged =
        |path: &str, reason: &str| StandingError::Damaged { path: dir.place(path), reason: reason.to_owned() };
    let found = content(dir, &path)?.ok_or_else(|| damaged(&path, "it is missing"))?;
    let manifest: Manifest = parsed(dir, &path, &found)?;
    if Success::of(&manifest) != success {
        return Err(damaged(layout::SUCCESS, "it does not list what the manifest lists"));
    }
    let (run, standing) = (success.run, Standing::new(manifest, Checksum(Sha256::digest(&text).into())));
    let named = |part: &ManifestPart| {
        layout::part_in(&hive::folder(&standing.partition_by, &part.values), part.span.start, part.attempt)
    };
    let misnamed = |part: &&ManifestPart| part.file.as_ref().is_some_and(|file| *file != named(part));
    if let Some(file) = standing.parts().find(misnamed).and_then(|part| part.file.as_ref()) {
        return Err(damaged(&path, &format!("it lists {file:?}, which is not the name of that part")));
    }
    match standing.files().count() {
        files if files > TABLE_FILES_MAX => Err(StandingError::TooMany { dir: dir.place(""), files }),
        _ => Ok(Some((run, standing))),
    }
}

fn content(dir: &dyn Folder, path: &str) -> Result<Option<Vec<u8>>, StandingError> {
    dir.read(path, TEXT_BYTES_MAX).map_err(|error| match error {
        ReadError::Io(error) => StandingError::Io { path: dir.place(path), error },
        unfit => StandingError::Damaged { path: dir.place(path), reason: unfit.to_string() },
    })
}

fn parsed<T: DeserializeOwned>(dir: &dyn Folder, path: &str, text: &[u8]) -> Result<T, StandingError> {
    serde_json::from_slice(text)
        .map_err(|error| StandingError::Damaged { path: dir.place(path), reason: error.to_string() })
}

/// Paths in the folder that readers take for the table's and `standing` does not have; of several, the first by name.
///
/// # Errors
/// When the folder cannot be listed.
pub fn stray(dir: &dyn Folder, standing: Option<&Standing>) -> Result<Option<String>, StandingError> {
    let failed = |error| StandingError::Io { path: dir.place(""), error };
    let listed = tree(dir).map_err(|error| match error {
        ListError::Io(error) => failed(error),
        error @ ListError::NotAFolder => failed(io::Error::new(io::ErrorKind::NotADirectory, error)),
    })?;
    let known: BTreeSet<&str> = standing.iter().flat_map(|standing| standing.files()).collect();
    let names = listed.unwrap_or_default().into_iter().map(|entry| entry.name);
    Ok(names.filter(|name| name.ends_with(".parquet") && !known.contains(name.as_str())).min())
}
