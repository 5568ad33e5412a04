//! Tasks that a coordinator leases and outcomes that a worker reports: the values that cross the wire.
//!
//! Invariant: a task carries everything its attempt needs, so a worker keeps nothing between attempts.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::{AttemptId, PartitionId, RunId};
use crate::span::{ExitMap, Span, StateId};
use crate::spec::{Columns, Compression, Csv, Dialect, Ragged, TableName};
use crate::table::{Checksum, Classes, Column, ColumnType, Counts, Digest};

/// One version of a source: two readers that see the same version see the same bytes (SAME-INPUT).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceVersion {
    /// Inode number.
    pub inode: u64,
    /// Modification time, nanoseconds since the Unix epoch.
    pub mtime_ns: u64,
    /// Size in bytes.
    pub bytes: u64,
}

impl SourceVersion {
    /// The version of a file of `bytes`, modified at so many seconds and nanoseconds since the Unix epoch; of an earlier time
    /// the parts below zero count as zero.
    #[must_use]
    pub fn new(inode: u64, seconds: i64, nanoseconds: i64, bytes: u64) -> Self {
        let part = |part: i64| u64::try_from(part).unwrap_or(0);
        let mtime_ns = part(seconds).saturating_mul(1_000_000_000).saturating_add(part(nanoseconds));
        Self { inode, mtime_ns, bytes }
    }
}

impl fmt::Display for SourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "inode {} mtime {}.{:09} size {}",
            self.inode,
            self.mtime_ns / 1_000_000_000,
            self.mtime_ns % 1_000_000_000,
            self.bytes
        )
    }
}

/// A source at a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRef {
    /// `file:///...`.
    pub url: String,
    /// The version that every read must see.
    pub version: SourceVersion,
}

/// The output folder, and the proof that a worker sees the coordinator's staging folder in it, not another of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Staging {
    /// URL of the output folder.
    pub output_url: String,
    /// What the file `nonce` in the run's staging folder must hold.
    pub nonce: String,
}

/// A task granted to one worker for one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whose task.
    pub run: RunId,
    /// This try.
    pub attempt: AttemptId,
    /// What to do.
    pub task: Task,
}

/// Names a task of a run: the unit of retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaskKey {
    /// The run's inspection.
    Inspect,
    /// One partition.
    Parse(PartitionId),
    /// The rejects.
    Finish,
}

impl Task {
    /// Its name in the run.
    #[must_use]
    pub fn key(&self) -> TaskKey {
        match self {
            Self::Inspect(_) => TaskKey::Inspect,
            Self::Parse(task) => TaskKey::Parse(task.partition),
            Self::Finish(_) => TaskKey::Finish,
        }
    }
}

/// An attempt that a worker has: it runs, or ended and was not acknowledged. Tells all by which a coordinator that knows nothing of its
/// lease can take it on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// Whose task.
    pub run: RunId,
    /// Which try.
    pub attempt: AttemptId,
    /// At what.
    pub task: TaskKey,
}

/// What an attempt does.
#[expect(clippy::large_enum_variant, reason = "a task is boxed wherever it waits")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Find dialect, encoding, header and a guess of the types.
    Inspect(InspectTask),
    /// Parse, transform, encode and stage one partition.
    Parse(Box<ParseTask>),
    /// Write the run's rejects in source order with absolute numbers.
    Finish(FinishTask),
}

/// Inspects a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectTask {
    /// What to read.
    pub source: SourceRef,
    /// What the user gave of the dialect.
    pub csv: Csv,
    /// What the user gave of the types.
    pub columns: Columns,
    /// With which compression a sample is measured.
    pub compression: Compression,
    /// The table that is an output: what types its columns have, and whether the worker may stage beside it.
    #[serde(default)]
    pub table: Option<TableRef>,
    /// Where this run stages; inspection only proves that the worker sees it.
    pub staging: Staging,
}

/// A table of a database that is an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableRef {
    /// `postgres://...`, without a password.
    pub url: String,
    /// Which table.
    pub table: TableName,
    /// Columns that may not be null, because rows are known again by them.
    pub key: Vec<String>,
}

/// Parses one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParseTask {
    /// What to read.
    pub source: SourceRef,
    /// Settled dialect.
    pub dialect: Dialect,
    /// What to do with ragged records.
    pub ragged: Ragged,
    /// Columns, with declared, guessed or settled types.
    pub columns: Vec<Column>,
    /// Which partition.
    pub partition: PartitionId,
    /// Its planned range `[a, b)`; the attempt reads past `b` to finish its last record.
    pub range: Span,
    /// The true state before byte `a`, where it is known; absent: all states are tried and one is guessed.
    pub start: Option<StateId>,
    /// Compression of the part; none: no part is wanted.
    pub compression: Option<Compression>,
    /// Names of the columns by whose values rows go into folders; they are in no file. Empty: there are no folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// The table that is an output.
    #[serde(default)]
    pub table: Option<TableRef>,
    /// Where to stage.
    pub staging: Staging,
    /// The decided attempt whose lost parts this one replaces, under their published names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<AttemptId>,
    /// Whether it has crashed before, and so is tried in a process of its own, which may die of it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub alone: bool,
    /// Whether its records are only counted and set aside: nothing is decoded or staged.
    #[serde(default, skip_serializing_if = "is_not")]
    pub quarantine: bool,
}

/// Whether a flag is not set; what is journalled then is as it was before there was the flag.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_not(flag: &bool) -> bool {
    !flag
}

/// Writes `rejects.parquet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishTask {
    /// What was read: its URL goes into the column `source`.
    pub source: SourceRef,
    /// Staged rejects in source order.
    pub pieces: Vec<RejectPiece>,
    /// Where to stage, and to read the pieces.
    pub staging: Staging,
}

/// Staged rejects of one partition, with what must be added to make their numbers absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectPiece {
    /// Name in the staging folder.
    pub key: String,
    /// Rejects in it.
    pub rows: u64,
    /// As in [`StagedRejects::content`].
    #[serde(default)]
    pub content: Option<Checksum>,
    /// Physical lines before the span.
    pub lines_before: u64,
    /// Records before the span.
    pub records_before: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// An inspection.
    Inspected(Box<Inspected>),
    /// A partition, staged.
    Parsed(Box<Parsed>),
    /// The rejects, staged.
    Finished(Finished),
    /// Nothing is staged.
    Failed(Failure),
}

/// What inspection found: it decides dialect, encoding and header; the types are a guess.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspected {
    /// Settled dialect.
    pub dialect: Dialect,
    /// Offset after BOM, skipped lines and header.
    pub data_start: u64,
    /// The automaton's state before the byte at `data_start`: at a record's start.
    pub start: StateId,
    /// Physical lines before `data_start`.
    pub preamble_lines: u64,
    /// Columns in file order.
    pub columns: Vec<Column>,
    /// How small the source becomes, by a sample.
    #[serde(default)]
    pub measured: Measured,
    /// Bytes of a partition, once the coordinator has decided them; none as a worker tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_bytes: Option<u64>,
}

/// What a sample of a source was encoded to; zeros when none was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Bytes of the sample.
    pub read_bytes: u64,
    /// Bytes of its encoded columns.
    pub encoded_bytes: u64,
}

/// What one attempt found out about its partition, and where it staged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parsed {
    /// The first boundary in the range under the start state that the attempt took; none: the span is empty.
    pub first: Option<u64>,
    /// The span it parsed; empty at the range's end when `first` is none.
    pub span: Span,
    /// Where its range ended: as its task has it, or before that, where the rest was given away.
    #[serde(default)]
    pub end: u64,
    /// Exits of the range under every start state tried.
    pub exits: ExitMap,
    /// Counts over the span.
    pub counts: Counts,
    /// Summary of each column over the span's written records; empty classes for declared columns.
    pub summaries: Vec<Classes>,
    /// Types of the staged parts; none when a value did not fit the guess, or no folder is named after a type: then no part is staged.
    pub types: Option<Vec<ColumnType>>,
    /// The staged parts, by the first row of each in source order: one for each combination of the values of `partition_by`, so at most
    /// one without it. None when no row was written (but partition 0 always stages one where there are no folders), `types` is none,
    /// or none is wanted.
    #[serde(alias = "part", deserialize_with = "one_or_many")]
    pub parts: Vec<StagedPart>,
    /// The staging table of a database; none when no row was written, `types` is none, or none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<StagedTable>,
    /// The staged rejects; none when there are none.
    pub rejects: Option<StagedRejects>,
    /// How the start was known and when the states merged.
    pub seam: Seam,
    /// How long it took.
    #[serde(default)]
    pub phases: Phases,
    /// sha256 of the span's bytes where its records were set aside unread: then nothing is staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Checksum>,
}

/// How long the stages of attempts took: every moment of an attempt is in exactly one of them. Microseconds of a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
    /// Reading the source.
    pub read_us: u64,
    /// Framing, decoding and taking the digest.
    pub parse_us: u64,
    /// Encoding and compressing.
    pub encode_us: u64,
    /// Entering the staging folder, writing into it and making it durable.
    pub stage_us: u64,
}

impl Phases {
    /// Those of two together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            read_us: self.read_us.saturating_add(other.read_us),
            parse_us: self.parse_us.saturating_add(other.parse_us),
            encode_us: self.encode_us.saturating_add(other.encode_us),
            stage_us: self.stage_us.saturating_add(other.stage_us),
        }
    }
}

impl Parsed {
    /// Rows staged, and their digest: of every output the same.
    #[must_use]
    pub fn rows(&self) -> (u64, Digest) {
        match (&self.parts[..], &self.table) {
            ([], Some(table)) => (table.rows, table.digest),
            (parts, _) => {
                parts.iter().fold((0, Digest::default()), |(rows, sum), part| (rows + part.rows, sum.plus(part.digest)))
            }
        }
    }
}

/// Rows that an attempt staged in a table of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagedTable {
    /// Its name, beside the table it is for.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Digest of its rows, as they were read from the source.
    pub digest: Digest,
}

/// How an attempt came to its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seam {
    /// Whether the start state was given.
    pub given: bool,
    /// Bytes after which all states had merged; none: they never did, or the start was given.
    pub merged_after: Option<u64>,
}

/// An upload to an object store that nobody sees before it is completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Where it will be seen: a path in the output folder.
    pub key: String,
    /// The store's name for it; empty where the store has none (Azure).
    pub id: String,
    /// What the store answered to each part, in order.
    pub parts: Vec<String>,
}

/// A part that an attempt staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagedPart {
    /// Name in the staging folder.
    pub key: String,
    /// Of each column of `partition_by`, what all its rows have in it, as text; none: null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Option<String>>,
    /// Size in bytes.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
    /// Digest of its rows, with the columns of `partition_by`.
    pub digest: Digest,
    /// sha256 of its bytes.
    pub sha256: Checksum,
    /// In an object store: the upload that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
}

/// Reads a list of parts; what was written when there was one at most too.
///
/// # Errors
/// When it is neither.
pub fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<StagedPart>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<StagedPart>),
        One(Option<Box<StagedPart>>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::Many(parts) => parts,
        OneOrMany::One(part) => part.map(|part| *part).into_iter().collect(),
    })
}

/// Rejects that an attempt staged, with numbers relative to its span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StagedRejects {
    /// Name in the staging folder.
    pub key: String,
    /// Rejects in it.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// sha256 over the values of its rows, in order: what is read again to be copied is what was written. None of the finish task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Checksum>,
    /// In an object store, of the finish task: the upload that holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
}

/// What the finish task staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// `rejects.parquet`, staged, with absolute numbers.
    pub rejects: StagedRejects,
    /// The first few rejects, for the operator.
    pub shown: Vec<RejectShown>,
}

/// A reject as the report shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RejectShown {
    /// Line at which the record starts, from 1.
    pub line: u64,
    /// Column, where one is to blame.
    pub column: Option<String>,
    /// Reason in words.
    pub reason: String,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What to do about it.
    pub class: FailureClass,
    /// What happened, where, and what to do, in words. At most [`crate::limits::FAILURE_MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

/// Kinds of failure, by what the scheduler does about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureClass {
    /// Disk or store: try again later, elsewhere.
    Environment,
    /// The attempt panicked, or the process that it had for itself died.
    Crash,
    /// The worker was lost. Only the coordinator says this.
    Lost,
    /// The attempt has done nothing for long, while its worker lives. Only the coordinator says this.
    Hung,
    /// The source cannot be read as the spec asks: trying again is no use.
    Refused,
    /// The source is no longer the version of the run.
    SourceChanged,
    /// The worker gave the lease back: no fault of the task.
    Released,
    /// The worker does not see the coordinator's staging folder: no fault of the task, and no use of the worker.
    Unseen,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_they_were_written_when_there_was_one_at_most() {
        #[derive(Deserialize)]
        struct Told {
            #[serde(alias = "part", deserialize_with = "one_or_many")]
            parts: Vec<StagedPart>,
        }
        let sum = "0".repeat(64);
        let digest = serde_json::to_string(&Digest(7)).unwrap();
        let part = format!(r#"{{"key": "k", "bytes": 1, "rows": 2, "digest": {digest}, "sha256": "{sum}"}}"#);
        let read = |text: String| serde_json::from_str::<Told>(&text).unwrap().parts.len();
        assert_eq!(read(format!(r#"{{"part": {part}}}"#)), 1);
        assert_eq!(read(r#"{"part": null}"#.to_owned()), 0);
        assert_eq!(read(format!(r#"{{"parts": [{part}, {part}]}}"#)), 2);
        assert_eq!(read(r#"{"parts": []}"#.to_owned()), 0);
    }
}
