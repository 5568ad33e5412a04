//! The job spec as a value: what a user asks for, every field optional but the source and the output.
//!
//! Invariant: a [`Job`] that passed [`Job::check`] is unambiguous. Reading YAML, with lines in errors, is the binary's part.

mod check;
mod declared;
mod forms;
mod given;
mod hive;
mod postgres;

use serde::{Deserialize, Serialize};

pub use check::SpecProblem;
pub use declared::{BadDeclaredType, DeclaredType};
pub use forms::{BadBytes, parse_bytes};
use forms::{byte_size, size_or_auto, text_or_auto, text_or_none, type_or_infer};
pub use given::iconv_command;
pub use hive::unfit_columns;
pub use postgres::{BadTableName, Postgres, TableMode, TableName};

use crate::limits;

/// `apiVersion` of this form of the spec.
pub const API_VERSION: &str = "batteuse.dev/v1alpha1";
/// `kind` of this form of the spec.
pub const KIND: &str = "Ingest";

/// A job: what `run -f` and `submit -f` read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Name of the job.
    pub metadata: Metadata,
    /// What to do.
    pub spec: Spec,
}

impl Job {
    /// Bytes of it as JSON without spaces.
    #[must_use]
    pub fn json_bytes(&self) -> u64 {
        serde_json::to_string(self).expect("a job is plain values under text keys").len() as u64
    }
}

/// Name of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// 1 to 60 characters of `a-z`, `0-9` and `-`: it begins the run's id.
    pub name: String,
}

/// What to read, how, and where to write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// What to read.
    pub source: Source,
    /// How to cut it.
    #[serde(default)]
    pub partition: Partition,
    /// Types of the columns.
    #[serde(default)]
    pub columns: Columns,
    /// Where to write.
    pub output: Output,
    /// How many rejects are borne.
    #[serde(default)]
    pub rejects: Rejects,
    /// Whose turn the next free slot is: -100 to 100, the highest first. Waiting adds to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

/// Whether it is the default, which a spec need not tell.
fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

/// The source file and its dialect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// `file:///absolute/path`.
    pub url: String,
    /// Dialect of a CSV file.
    #[serde(default)]
    pub csv: Csv,
}

/// `auto` or a given value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Auto<T> {
    /// Found by inspection.
    #[default]
    Auto,
    /// Given by the user.
    Given(T),
}

/// The dialect as the user gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Csv {
    /// Text between fields, 1 to 8 bytes in the source's encoding; `tab`, `comma`, `semicolon`, `pipe`, `space`; or `auto`.
    #[serde(with = "text_or_auto")]
    pub delimiter: Auto<String>,
    /// One ASCII character, `none` or `auto`.
    #[serde(with = "text_or_auto")]
    pub quote: Auto<String>,
    /// One ASCII character, not the quote, that escapes the next byte inside quotes; `none` by default (a quote is
    /// doubled, which is always read).
    #[serde(with = "text_or_none")]
    pub escape: Option<String>,
    /// One ASCII character that makes a line a comment when it is the line's first; `none` by default.
    #[serde(with = "text_or_none")]
    pub comment: Option<String>,
    /// `utf-8`, `windows-1252` or `auto`.
    #[serde(with = "text_or_auto")]
    pub encoding: Auto<String>,
    /// Decimal mark: `.`, `,` or `auto`.
    #[serde(with = "text_or_auto")]
    pub decimal: Auto<String>,
    /// Whether the first record names the columns.
    pub header: bool,
    /// Physical lines before the header (or the first record) that are not read.
    pub skip_lines: u64,
    /// Records with another number of fields than the header.
    pub ragged: Ragged,
    /// Decoded values that mean null, for columns that do not give their own.
    pub nulls: Vec<String>,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: Auto::Auto,
            quote: Auto::Auto,
            escape: None,
            comment: None,
            encoding: Auto::Auto,
            decimal: Auto::Auto,
            header: true,
            skip_lines: 0,
            ragged: Ragged::Reject,
            nulls: vec![String::new()],
        }
    }
}

/// What to do with a record that has too few or too many fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ragged {
    /// Reject it.
    #[default]
    Reject,
    /// Pad a short one with nulls; reject a long one unless every extra field is empty.
    Pad,
}

/// How the source is cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Partition {
    /// Bytes of one partition: a number, or text with a unit such as `64MiB`; or `auto`, so that a file comes to
    /// `output.parquet.fileBytes` and every slot has something to do.
    #[serde(with = "size_or_auto")]
    pub bytes: Auto<u64>,
}

/// Types of the columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Columns {
    /// `infer`: every type is inferred.
    #[default]
    Infer,
    /// `text`: every column is declared text.
    AllText,
    /// `{infer: true, name: type, ...}`: these are declared, the others inferred. In the order given.
    Some(Vec<(String, DeclaredType)>),
    /// A list: every column of the file, by name when there is a header, by position when there is none.
    All(Vec<ColumnSpec>),
}

/// One column of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnSpec {
    /// Name in the header, or the name to give.
    pub name: String,
    /// Declared type; absent or `infer`: inferred.
    #[serde(default, rename = "type", with = "type_or_infer")]
    pub ctype: Option<DeclaredType>,
    /// Values that mean null here; absent: those of the dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<Vec<String>>,
}

/// Where to write: Parquet files, a table of PostgreSQL, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Parquet files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet: Option<Parquet>,
    /// A table of PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
    /// The folder of the run's report, rejects and manifest where there are no Parquet files, in whose folder they lie otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

impl Output {
    /// Parquet files alone.
    #[must_use]
    pub fn parquet(parquet: Parquet) -> Self {
        Self { parquet: Some(parquet), postgres: None, folder: None }
    }

    /// What becomes of the table of earlier runs in the folder. One of a run without files has none: the next run follows it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.parquet.as_ref().map_or(Mode::Overwrite, |parquet| parquet.mode)
    }

    /// Names of the columns by whose values files lie in folders.
    #[must_use]
    pub fn partition_by(&self) -> &[String] {
        self.parquet.as_ref().map_or(&[], |parquet| &parquet.partition_by)
    }

    /// URL of the folder that the run claims; empty in a job that [`Job::check`] refuses.
    #[must_use]
    pub fn folder_url(&self) -> &str {
        self.parquet.as_ref().map(|parquet| &parquet.url).or(self.folder.as_ref()).map_or("", String::as_str)
    }
}

/// Parquet output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parquet {
    /// `file:///absolute/folder/`, `s3://bucket/prefix/`, `gs://bucket/prefix/` or `az://container/prefix/`.
    pub url: String,
    /// `zstd(1)` to `zstd(22)`, `snappy` or `none`.
    #[serde(default)]
    pub compression: Compression,
    /// Size of a file at which `partition.bytes: auto` aims.
    #[serde(default = "file_bytes", with = "byte_size")]
    pub file_bytes: u64,
    /// What becomes of a table of ours that stands in the folder.
    #[serde(default)]
    pub mode: Mode,
    /// Names of columns by whose values files lie in folders (`year=2024/`), as Hive has them; empty: there are no folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
}

/// What a run does with the table of earlier runs in its output folder. What is not theirs is refused under every mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is refused.
    #[default]
    Error,
    /// It stays, and the run's files are added; the columns must be the same.
    Append,
    /// The run's files take its place; it stands until they do.
    Overwrite,
    /// As `Overwrite`, but files in folders that the run writes nothing into stay; columns and `partition_by` must be the same.
    OverwritePartition,
}

fn file_bytes() -> u64 {
    limits::FILE_BYTES_DEFAULT
}

/// What a run bears and still succeeds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rejects {
    /// How many rejects.
    pub tolerate: Tolerance,
    /// Bytes in records that kill whoever parses them, which the run may set aside unread. 0: such a record fails the run.
    #[serde(with = "byte_size")]
    pub quarantine_bytes: u64,
}

/// Within tolerance when rejects are at most `count` *or* at most `percent`; one given: that one alone; none: zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tolerance {
    /// Rejected records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Rejected records in percent of the records read, and bytes of cut records in percent of the bytes in spans. 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

impl Tolerance {
    /// Whether a run with these rejects is within tolerance.
    #[must_use]
    pub fn bears(&self, rejected: u64, read: u64, cut_bytes: u64, span_bytes: u64) -> bool {
        let share = |part: u64, whole: u64, percent: f64| part as f64 * 100.0 <= percent * whole as f64;
        let by_count = self.count.map(|max| rejected <= max);
        let by_percent = self.percent.map(|max| share(rejected, read, max) && share(cut_bytes, span_bytes, max));
        match (by_count, by_percent) {
            (None, None) => rejected == 0,
            (count, percent) => count == Some(true) || percent == Some(true),
        }
    }
}

/// Compression of Parquet pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// No compression.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard at a level, 1 to 22.
    Zstd(u8),
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(3)
    }
}

/// Why a text names no compression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no compression: use zstd(1) to zstd(22), snappy or none")]
pub struct BadCompression(String);

impl TryFrom<String> for Compression {
    type Error = BadCompression;

    fn try_from(text: String) -> Result<Self, BadCompression> {
        match text.as_str() {
            "none" => Ok(Self::None),
            "snappy" => Ok(Self::Snappy),
            _ => {
                let level = text.strip_prefix("zstd(").and_then(|t| t.strip_suffix(')')).and_then(|t| t.parse().ok());
                level.filter(|l| (1..=22).contains(l)).map(Self::Zstd).ok_or(BadCompression(text))
            }
        }
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => "none".to_owned(),
            Compression::Snappy => "snappy".to_owned(),
            Compression::Zstd(level) => format!("zstd({level})"),
        }
    }
}

/// Encoding of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8; an invalid sequence rejects its record.
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1252 as the WHATWG Encoding Standard defines it: every byte is a character.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// The dialect as it was settled by the spec and by inspection: what the automaton is built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dialect {
    /// 1 to 8 bytes between fields.
    pub delimiter: Vec<u8>,
    /// The quote, if any.
    pub quote: Option<u8>,
    /// Escapes the next byte inside quotes.
    pub escape: Option<u8>,
    /// Makes a line a comment when it is its first byte.
    pub comment: Option<u8>,
    /// Encoding of the bytes.
    pub encoding: Encoding,
    /// Decimal mark of floats and decimals, `.` or `,`.
    pub decimal: u8,
}

#[cfg(test)]
mod tests;
