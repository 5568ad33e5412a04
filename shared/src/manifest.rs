//! The manifest of a published run, what `_SUCCESS` holds, and the table that a run finds in its output folder.
//!
//! Invariant: parts are listed in source order and their spans tile the data (TILES); of a partition that wrote several files each has
//! an entry, with the same span. What earlier runs wrote is listed apart, the oldest first, and is never changed; it may become less.

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptId, Epoch, PartitionId, RunId};
use crate::layout;
use crate::span::Span;
use crate::spec::Postgres;
use crate::table::{Checksum, Column, Digest};
use crate::task::SourceRef;

/// Everything a reader needs to know of a published table. Rows, digest and parts are the run's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The run.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// What was read.
    pub source: SourceRef,
    /// Columns with settled types.
    pub columns: Vec<Column>,
    /// Names of those by whose values the files lie in folders; the files have no such column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// Rows in all parts.
    pub rows: u64,
    /// Digest of their rows.
    pub digest: Digest,
    /// The table of a database into which the rows were published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub postgres: Option<Postgres>,
    /// Every accepted partition in source order, once for each of its files.
    pub parts: Vec<ManifestPart>,
    /// What earlier runs wrote and the table still has, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Share>,
}

impl Manifest {
    /// The span of each accepted partition, once, in source order.
    pub fn spans(&self) -> impl Iterator<Item = (PartitionId, Span)> {
        let mut before = None;
        self.parts.iter().map(|part| (part.partition, part.span)).filter(move |of| before.replace(*of) != Some(*of))
    }
}

/// What one earlier run has in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The run.
    pub run: RunId,
    /// What it read.
    pub source: SourceRef,
    /// Its partitions that have a file.
    pub parts: Vec<ManifestPart>,
}

/// The table that stands in an output folder when a run takes the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// sha256 of `_SUCCESS`.
    pub success_sha256: Checksum,
    /// Its columns.
    pub columns: Vec<Column>,
    /// As [`Manifest::partition_by`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// All that it holds; the last is the share of the run that `_SUCCESS` names.
    pub shares: Vec<Share>,
}

impl Standing {
    /// The table of `manifest`, whose `_SUCCESS` has this checksum.
    #[must_use]
    pub fn new(manifest: Manifest, success_sha256: Checksum) -> Self {
        let Manifest { run, source, columns, partition_by, mut parts, kept: mut shares, .. } = manifest;
        parts.retain(|part| part.file.is_some());
        shares.push(Share { run, source, parts });
        Self { success_sha256, columns, partition_by, shares }
    }

    /// The paths of its files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.parts().filter_map(|part| part.file.as_deref())
    }

    /// The highest epoch in which a part of it was made: later ones name no file that it has.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.parts().map(|part| part.attempt.epoch()).max().unwrap_or(Epoch(0))
    }

    /// Its files, those of the oldest run first.
    pub fn parts(&self) -> impl Iterator<Item = &ManifestPart> {
        self.shares.iter().flat_map(|share| &share.parts)
    }
}

/// One accepted partition, or one of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestPart {
    /// The partition.
    pub partition: PartitionId,
    /// The accepted attempt.
    pub attempt: AttemptId,
    /// Bytes of the source it covers.
    pub span: Span,
    /// Path in the output folder; none when it wrote no row, or there are no files.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Of each column of `partition_by`, what all rows of the file have in it, as text; null: null.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub values: Vec<Option<String>>,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Digest of its rows, with the columns of `partition_by`.
    pub digest: Digest,
    /// sha256 of the file's bytes; none where there is no file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Checksum>,
}

/// The content of `_SUCCESS`: the whole table, whoever wrote its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// The run that was the last to write.
    pub run: RunId,
    /// Path of its manifest, relative to the output folder.
    pub manifest: String,
    /// The table's files.
    pub files: Vec<SuccessFile>,
    /// Rows.
    pub rows: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What was read, the oldest first.
    pub inputs: Vec<SourceRef>,
    /// Digest of the table.
    pub digest: Digest,
}

/// One file of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuccessFile {
    /// Path in the output folder.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// sha256 of its bytes.
    pub sha256: Option<Checksum>,
}

impl Success {
    /// What stands in `_SUCCESS` beside this manifest.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let file = |part: &ManifestPart| {
            let (rows, bytes, sha256) = (part.rows, part.bytes, part.sha256);
            part.file.clone().map(|name| SuccessFile { name, rows, bytes, sha256 })
        };
        let kept = || manifest.kept.iter().flat_map(|share| &share.parts);
        let files: Vec<SuccessFile> = kept().chain(&manifest.parts).filter_map(file).collect();
        let inputs = manifest.kept.iter().map(|share| &share.source).chain([&manifest.source]);
        Self {
            run: manifest.run.clone(),
            manifest: layout::manifest(&manifest.run),
            rows: kept().map(|part| part.rows).sum::<u64>() + manifest.rows,
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
            inputs: inputs.cloned().collect(),
            digest: kept().fold(manifest.digest, |sum, part| sum.plus(part.digest)),
        }
    }
}
