//! Why a message is refused.
//!
//! Invariant: an error names the field, so that the side that wrote it can be mended.

use batteuse_shared::format::BadFormat;
use batteuse_shared::ids::BadName;
use batteuse_shared::spec::BadTableName;

/// Why a message from the wire is not a value of the vocabulary.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is absent, empty, or of a kind that this version does not know.
    #[error("{0} is missing, or of a kind that this version does not know: run the same version on both sides")]
    Missing(&'static str),
    /// An enum holds a number that this version does not know.
    #[error("{field} is {value}, which this version does not know: run the same version on both sides")]
    Unknown {
        /// Message and field.
        field: &'static str,
        /// What it holds.
        value: i32,
    },
    /// A field holds what its type forbids.
    #[error("{field}: {source}")]
    Invalid {
        /// Message and field.
        field: &'static str,
        /// What is wrong with it.
        source: BadValue,
    },
}

/// What is wrong with a value that is there.
#[derive(Debug, thiserror::Error)]
pub enum BadValue {
    /// Not an id.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A number out of its range.
    #[error("{value} is not between {min} and {max}")]
    Range {
        /// What it is.
        value: u64,
        /// Least allowed.
        min: u64,
        /// Most allowed.
        max: u64,
    },
    /// A text or byte string of a forbidden length.
    #[error("{bytes} bytes, where {min} to {max} are allowed")]
    Length {
        /// What it has.
        bytes: usize,
        /// Least allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// A list that is too long.
    #[error("{count} entries, where at most {max} are allowed")]
    TooMany {
        /// What it has.
        count: usize,
        /// Most allowed.
        max: usize,
    },
    /// A span that ends before it starts.
    #[error("the span ends at {end}, before its start {start}")]
    Backward {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// A staged name that could leave the staging folder.
    #[error("{0:?} is no name in a staging folder: 1 to 255 of a-z, 0-9, '-' and '.', not beginning with '.'")]
    Key(String),
    /// A decimal mark that is none.
    #[error("byte {0} is no decimal mark: use '.' or ','")]
    DecimalMark(u8),
    /// Not a format, or not one of the column's type.
    #[error(transparent)]
    Format(#[from] BadFormat),
    /// A format of a column whose type is inferred.
    #[error("a column whose type is not declared has no format")]
    FormatOfInferred,
    /// Not the name of a table.
    #[error(transparent)]
    Table(#[from] BadTableName),
    /// Two exits for one start state.
    #[error("state {0} is listed twice")]
    StateTwice(u8),
    /// Two columns of one name.
    #[error("column {0:?} is listed twice")]
    ColumnTwice(String),
    /// The text is no job.
    #[error("no valid job: {0}")]
    Job(#[from] serde_json::Error),
}

impl WireError {
    /// Blames `source` on `field`.
    pub(crate) fn invalid(field: &'static str, source: impl Into<BadValue>) -> Self {
        Self::Invalid { field, source: source.into() }
    }
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}
