//! The run report: what a run did, as a pure function of its journal.
//!
//! Invariant: it states the equation of CONSERVATION and whether it holds; the same journal gives the same bytes.

use serde::{Deserialize, Serialize};

use crate::ids::RunId;
use crate::spec::TableName;
use crate::table::{Checksum, Counts, Digest};
use crate::task::{Phases, RejectShown, SourceRef};

/// States of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// Accepted, not inspected.
    Pending,
    /// Being inspected.
    Planning,
    /// Partitions are being worked on.
    Running,
    /// Held by an operator.
    Paused,
    /// Decided, being published.
    Publishing,
    /// Published without rejects.
    Succeeded,
    /// Published, with rejects within tolerance.
    SucceededWithRejects,
    /// Nothing published but rejects and report.
    Failed,
    /// Given up by an operator.
    Cancelled,
}

impl RunState {
    /// Whether the run has ended.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::SucceededWithRejects | Self::Failed | Self::Cancelled)
    }
}

/// Why a run failed; decides its exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Reason {
    /// More rejects than the spec bears.
    TooManyRejects,
    /// The source cannot be read as the spec asks.
    Refused {
        /// What, where, what to do.
        message: String,
    },
    /// The source changed under the run.
    SourceChanged {
        /// Both versions.
        message: String,
    },
    /// A task crashed or lost its workers too often.
    TaskFailed {
        /// Which, and the last failure.
        message: String,
    },
    /// An invariant did not hold: a bug. Nothing is published.
    Invariant {
        /// Which, and the figures.
        message: String,
    },
    /// Given up by an operator.
    Cancelled {
        /// By whom or why.
        message: String,
    },
}

impl Reason {
    /// The words for the operator.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::TooManyRejects => "more rejects than the spec tolerates",
            Self::Refused { message }
            | Self::SourceChanged { message }
            | Self::TaskFailed { message }
            | Self::Invariant { message }
            | Self::Cancelled { message } => message,
        }
    }
}

/// How many partitions were parsed again, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reruns {
    /// Because the settled types were not the guessed ones.
    pub types: u64,
    /// Because the guessed start was not the true one.
    pub guesses: u64,
}

/// How the partitions' true starts were met. In a run that read its whole source the first three add up to the partitions.
///
/// It tells how the work went, as [`Reruns`] does: another cut, more workers and faults change it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seams {
    /// Partitions whose start was given from the beginning.
    pub certain: u64,
    /// Partitions whose guessed start was the true one.
    pub guessed_right: u64,
    /// Partitions whose guessed start was not the true one: they were parsed again with it given.
    pub guessed_wrong: u64,
    /// Of those that were guessed: in how many all start states merged within the range.
    pub merged: u64,
    /// Of those that were guessed: in how many they did not.
    pub never_merged: u64,
    /// Bytes after which they had merged, where they did; none where there is no such partition.
    pub bytes_to_merge: Option<BytesToMerge>,
}

/// After how many bytes all start states had merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BytesToMerge {
    /// In half of the partitions at most this.
    pub median: u64,
    /// In all of them at most this.
    pub max: u64,
}

impl BytesToMerge {
    /// Of these figures, if there are any. The median is one of them: of an even number the lower.
    #[must_use]
    pub fn of(mut bytes: Vec<u64>) -> Option<Self> {
        bytes.sort_unstable();
        let max = *bytes.last()?;
        Some(Self { median: bytes[(bytes.len() - 1) / 2], max })
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The job's name.
    pub job: String,
    /// Final state.
    pub state: RunState,
    /// Why it failed or was cancelled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// What was read.
    pub source: SourceRef,
    /// Planned partitions.
    pub partitions: u64,
    /// Partitions accepted.
    pub accepted: u64,
    /// Ranges that were cut once more, because an attempt was late or its range killed whoever parsed it.
    #[serde(default)]
    pub splits: u64,
    /// Attempts whose outcome is journalled.
    pub attempts: u64,
    /// How often the run went on after it had failed.
    #[serde(default)]
    pub redrives: u64,
    /// Partitions parsed again.
    pub reruns: Reruns,
    /// How the partitions' true starts were met.
    #[serde(default)]
    pub seams: Seams,
    /// How long all staged attempts took together, those that were done again too. Inspecting, waiting, the rejects' task and
    /// publishing are in none of them.
    #[serde(default)]
    pub phases: Phases,
    /// Bytes of the source.
    pub bytes: u64,
    /// Bytes before the first record: BOM, skipped lines, header.
    pub data_start: u64,
    /// Bytes in spans.
    pub span_bytes: u64,
    /// Records and lines.
    #[serde(flatten)]
    pub counts: Counts,
    /// Digest of the table.
    pub digest: Digest,
    /// Wall-clock seconds from acceptance to decision.
    pub seconds: f64,
    /// Parts published.
    pub files: u64,
    /// Bytes of the parts published.
    pub output_bytes: u64,
    /// The table of a database into which the rows were published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table: Option<TableName>,
    /// The equation of CONSERVATION.
    pub equation: Equation,
    /// What was set aside unread, in the order of the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantines: Vec<Quarantine>,
    /// The first few rejects.
    pub rejects_shown: Vec<RejectShown>,
}

/// Records that were set aside unread, because they kill whoever parses them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// Offset in the source of the first record's first byte.
    pub start: u64,
    /// Offset behind the last record.
    pub end: u64,
    /// How many.
    pub records: u64,
    /// sha256 of these bytes.
    pub sha256: Checksum,
    /// How the last attempt to parse them failed.
    pub reason: String,
}

/// CONSERVATION, stated and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equation {
    /// `read = written + filtered + rejected + quarantined`, with figures.
    pub records: String,
    /// `dataStart + spans = size`, with figures.
    pub bytes: String,
    /// Whether both hold. A run that did not read the whole source holds neither and has failed.
    pub holds: bool,
}

impl Equation {
    /// States the equation for these figures.
    #[must_use]
    pub fn state(c: &Counts, data_start: u64, span_bytes: u64, size: u64) -> Self {
        let sign = |holds: bool| if holds { "=" } else { "≠" };
        let bytes_hold = data_start + span_bytes == size;
        Self {
            records: format!(
                "read {} {} written {} + filtered {} + rejected {} + quarantined {}",
                c.read,
                sign(c.conserved()),
                c.written,
                c.filtered,
                c.rejected,
                c.quarantined
            ),
            bytes: format!("size {size} {} before the data {data_start} + spans {span_bytes}", sign(bytes_hold)),
            holds: c.conserved() && bytes_hold,
        }
    }
}

/// Kinds of reject, in order of precedence; the words of `error_type` in `rejects.parquet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RejectKind {
    /// The record met its second mark and was cut.
    RecordTooLong,
    /// A quote is open at the end of the file.
    UnterminatedQuote,
    /// Bytes that are not the dialect's encoding.
    InvalidEncoding,
    /// Fewer fields than the header.
    MissingColumns,
    /// More fields than the header.
    TooManyColumns,
    /// A value that does not fit its declared type.
    Cast,
    /// A row that the database does not take: a constraint of its table, or a value that its type does not hold.
    Refused,
    /// A row whose value in a column of `partitionBy` no folder can be named after.
    NoFolder,
}

impl RejectKind {
    /// The word in `error_type`: DuckDB's (`reject_errors`) where it has one.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RecordTooLong => "LINE SIZE OVER MAXIMUM",
            Self::UnterminatedQuote => "UNQUOTED VALUE",
            Self::InvalidEncoding => "INVALID ENCODING",
            Self::MissingColumns => "MISSING COLUMNS",
            Self::TooManyColumns => "TOO MANY COLUMNS",
            Self::Cast => "CAST",
            Self::Refused => "REFUSED BY TABLE",
            Self::NoFolder => "NO FOLDER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_figures() {
        let of = |bytes: &[u64]| BytesToMerge::of(bytes.to_vec()).map(|b| (b.median, b.max));
        let cases = [of(&[]), of(&[7]), of(&[9, 3]), of(&[64, 1_000, 128]), of(&[4, 1, 3, 2])];
        assert_eq!(cases, [None, Some((7, 7)), Some((3, 9)), Some((128, 1_000)), Some((2, 4))]);
    }

    #[test]
    fn the_equation_is_checked_not_only_stated() {
        let good = Counts { read: 10, written: 7, rejected: 3, ..Counts::default() };
        assert!(Equation::state(&good, 4, 6, 10).holds);
        assert!(!Equation::state(&good, 4, 5, 10).holds);
        let lost = Counts { read: 10, written: 7, rejected: 2, ..Counts::default() };
        let said = Equation::state(&lost, 4, 6, 10);
        assert!(!said.holds && said.records.contains('≠') && said.bytes.contains('='), "{said:?}");
    }
}
