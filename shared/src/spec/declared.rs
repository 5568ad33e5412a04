//! Types as a spec declares them: a column type, and for dates and timestamps perhaps the format of their values.
//!
//! Invariant: the text of a declared type reads back as the same one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::format::{BadFormat, Format};
use crate::table::{BadColumnType, ColumnType};

/// A declared type, as `decimal(12,2)` or `date(%d/%m/%Y)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeclaredType {
    /// What the column holds.
    pub ctype: ColumnType,
    /// How its values are written, which only a date and a timestamp can say; none: as ISO 8601.
    pub format: Option<Format>,
}

/// Why a text is no declared type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDeclaredType {
    /// The type itself.
    #[error(transparent)]
    Type(#[from] BadColumnType),
    /// What stands in its brackets.
    #[error("{0:?} is no column type: {1}")]
    Format(String, BadFormat),
}

impl From<ColumnType> for DeclaredType {
    fn from(ctype: ColumnType) -> Self {
        Self { ctype, format: None }
    }
}

impl fmt::Display for DeclaredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Some(format) => write!(f, "{}({format})", self.ctype),
            None => self.ctype.fmt(f),
        }
    }
}

impl FromStr for DeclaredType {
    type Err = BadDeclaredType;

    fn from_str(text: &str) -> Result<Self, BadDeclaredType> {
        for ctype in [ColumnType::Date, ColumnType::Timestamp] {
            let inner = text.strip_prefix(&format!("{ctype}(")).and_then(|rest| rest.strip_suffix(')'));
            if let Some(inner) = inner {
                let format = inner.parse().and_then(|format: Format| format.of(ctype));
                let format = format.map_err(|why| BadDeclaredType::Format(text.to_owned(), why))?;
                return Ok(Self { ctype, format: Some(format) });
            }
        }
        Ok(text.parse::<ColumnType>()?.into())
    }
}

impl From<DeclaredType> for String {
    fn from(declared: DeclaredType) -> Self {
        declared.to_string()
    }
}

impl TryFrom<String> for DeclaredType {
    type Error = BadDeclaredType;

    fn try_from(text: String) -> Result<Self, BadDeclaredType> {
        text.parse()
    }
}
