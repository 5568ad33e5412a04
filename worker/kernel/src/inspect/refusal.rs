//! Why a source is refused: one kind per reason, each saying what, where, and what to do.
//!
//! Invariant: no kind means "something went wrong"; the caller adds the file's name, never more advice.

use std::fmt;

use batteuse_shared::limits;
use batteuse_shared::spec::SpecProblem;

use super::container::Container;

/// Why a source cannot be read as the spec asks.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// No record and no header.
    #[error("the file is empty: {0}")]
    EmptyFile(Emptiness),
    /// A compressed file or an archive.
    #[error("the file is {0}, which is not read: unpack it first: {cmd}", cmd = .0.command())]
    Compressed(Container),
    /// UTF-16 or UTF-32.
    #[error(
        "the file is encoded in {encoding}, which is not read: convert it first: iconv -f {encoding} -t UTF-8 FILE > FILE.utf8"
    )]
    WideEncoding {
        /// Name of the encoding, as `iconv` knows it.
        encoding: &'static str,
    },
    /// A file of another format, by its first bytes.
    #[error("the file is {looks_like}, not delimited text: export it as CSV first")]
    Binary {
        /// What it looks like.
        looks_like: &'static str,
    },
    /// Many NUL bytes near the start.
    #[error(
        "the file holds NUL bytes, the first at byte offset {offset}, so it looks binary: delimited text in UTF-8 or Windows-1252 has none"
    )]
    NulBytes {
        /// Of the first one.
        offset: u64,
    },
    /// Skipped, blank and comment lines go on for too long.
    #[error(
        "no record starts within the first {max} bytes: check `skipLines` (`--skip-lines`) and `comment`, or cut the lines before the header off the file",
        max = limits::PREAMBLE_BYTES_MAX
    )]
    PreambleTooLong,
    /// The header, or the first record where there is none, does not end in time.
    #[error(
        "the {record} at byte offset {offset} does not end within {max} bytes: check `quote` (`--quote none` when quotes are plain text) and that the file is delimited text"
    )]
    HeaderTooLong {
        /// `header` or `first record`.
        record: &'static str,
        /// Where it starts.
        offset: u64,
        /// Most bytes it may have.
        max: u64,
    },
    /// A quote is open at the end of the file, and it was opened in the header.
    #[error(
        "a quote that is opened in the header at byte offset {offset} is never closed: mend the header, or give `--quote none` when quotes are plain text"
    )]
    UnterminatedHeader {
        /// Where the header starts.
        offset: u64,
    },
    /// The header is not in the file's encoding.
    #[error(
        "the header is not valid UTF-8 at byte offset {offset}: give the encoding, `--encoding windows-1252`, or mend the header"
    )]
    InvalidHeaderEncoding {
        /// Of the first bad byte.
        offset: u64,
    },
    /// Two columns of one name.
    #[error(
        "the column name {name:?} is given {count} times, to the columns {positions}: names must differ; rename them in the file, or read without header (`header: false`, with `skipLines` past it) and name the columns in a list",
        count = positions.0.len()
    )]
    DuplicateColumns {
        /// The name.
        name: String,
        /// Its columns, from 1.
        positions: Names,
    },
    /// A column without name whose substitute is another column's name.
    #[error(
        "column {position} has no name in the header, and {name:?}, which it would be called, is the name of column {other}: name it in the file"
    )]
    EmptyColumnName {
        /// Of the nameless column, from 1.
        position: usize,
        /// The substitute.
        name: String,
        /// The column that has it, from 1.
        other: usize,
    },
    /// Wider than any honest file.
    #[error(
        "the {record} has {columns} fields, and at most {max} columns are read: check the delimiter (`--delimiter`)",
        max = limits::COLUMNS_MAX
    )]
    TooManyColumns {
        /// `header` or `first record`.
        record: &'static str,
        /// Its fields.
        columns: usize,
    },
    /// Names and null tokens of all columns are too long for a lease.
    #[error(
        "names and null tokens of the {columns} columns take {bytes} bytes, and at most {max} are carried: give fewer or shorter `nulls`",
        max = limits::COLUMN_TEXT_BYTES_MAX
    )]
    ColumnsTooLong {
        /// Columns.
        columns: usize,
        /// What they take.
        bytes: usize,
    },
    /// More than one reading fits, or header and records disagree.
    #[error("the delimiter is not clear ({}): {advice}", .candidates.iter().map(Reading::to_string).collect::<Vec<_>>().join("; "))]
    AmbiguousDialect {
        /// The readings, at least one.
        candidates: Vec<Reading>,
        /// What to do.
        advice: &'static str,
    },
    /// The spec declares a column that the file does not have.
    #[error("`columns` names {name:?}, which is no column of the file: nearest are {nearest}")]
    UnknownColumn {
        /// As declared.
        name: String,
        /// At most three, the nearest first.
        nearest: Names,
    },
    /// The list of columns leaves one out.
    #[error(
        "column {position}, {name:?}, is not in the list `columns`: a list names every column of the file; add it, or write a map with `infer: true`"
    )]
    MissingInList {
        /// As in the header.
        name: String,
        /// From 1.
        position: usize,
    },
    /// Without header, the list of columns is longer or shorter than the first record.
    #[error(
        "the list `columns` names {listed} columns, and the first record has {found} fields: name every column in file order, or check the delimiter (`--delimiter`)"
    )]
    ColumnCount {
        /// In the list.
        listed: usize,
        /// In the first record.
        found: usize,
    },
    /// What was found clashes with what was given.
    #[error("the dialect is refused: {}", .0.iter().map(SpecProblem::to_string).collect::<Vec<_>>().join("; "))]
    DialectRefused(Vec<SpecProblem>),
}

/// What a file without records holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptiness {
    /// Nothing.
    NoBytes,
    /// A byte order mark alone.
    Bom,
    /// No more lines than are skipped.
    SkippedLines {
        /// Lines to skip.
        skip: u64,
    },
    /// Blank or comment lines alone, after what is skipped.
    BlankLines,
}

impl fmt::Display for Emptiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBytes => f.write_str("it has 0 bytes; check that it was written or downloaded whole"),
            Self::Bom => f.write_str("it holds a byte order mark and nothing else; check that it was written whole"),
            Self::SkippedLines { skip } => {
                write!(f, "nothing is left after the {skip} skipped lines; check `skipLines` (`--skip-lines`)")
            }
            Self::BlankLines => f.write_str("it holds only blank or comment lines; check `comment` and `skipLines`"),
        }
    }
}

/// Names or numbers in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// What the file looks like under one delimiter.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The delimiter.
    pub delimiter: u8,
    /// Fields of the first record.
    pub first_fields: usize,
    /// The commonest number of fields of the other sampled records.
    pub usual_fields: usize,
    /// Share of the other sampled records that have it, 0 to 1.
    pub usual_share: f64,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = match self.delimiter {
            b'\t' => "--delimiter tab".to_owned(),
            byte => format!("--delimiter '{}'", byte.escape_ascii()),
        };
        write!(f, "with {flag} the first record has {} fields", self.first_fields)?;
        if self.usual_fields == 0 {
            return Ok(());
        }
        write!(f, " and {:.0} % of the others have {}", self.usual_share * 100.0, self.usual_fields)
    }
}
