//! The manifest of a published run, and what `_SUCCESS` holds.
//!
//! Invariant: parts are listed in source order and their spans tile the data (TILES).

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptId, PartitionId, RunId};
use crate::span::Span;
use crate::table::{Checksum, Column, Digest};
use crate::task::SourceRef;

/// Everything a reader needs to know of a published table.
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
    /// Rows in all parts.
    pub rows: u64,
    /// Digest of the table.
    pub digest: Digest,
    /// Every accepted partition in source order.
    pub parts: Vec<ManifestPart>,
}

/// One accepted partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestPart {
    /// The partition.
    pub partition: PartitionId,
    /// The accepted attempt.
    pub attempt: AttemptId,
    /// Bytes of the source it covers.
    pub span: Span,
    /// Name in the output folder; none when it wrote no row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Digest of its rows.
    pub digest: Digest,
    /// sha256 of the file's bytes; none where there is no file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Checksum>,
}

/// The content of `_SUCCESS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// The run.
    pub run: RunId,
    /// Path of the manifest, relative to the output folder.
    pub manifest: String,
    /// Parts.
    pub files: Vec<String>,
    /// Rows.
    pub rows: u64,
    /// Bytes of the parts.
    pub bytes: u64,
    /// What was read.
    pub source: SourceRef,
    /// Digest of the table.
    pub digest: Digest,
}
