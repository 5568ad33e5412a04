//! Dialects, given and settled, given types and compression on the wire.
//!
//! Invariant: a settled dialect has bytes where bytes are meant. Whether a given one is ambiguous is judged by
//! `Job::check` before it is ever sent.

use batteuse_shared::limits::{COLUMNS_MAX, DELIMITER_BYTES_MAX, SKIP_LINES_MAX};
use batteuse_shared::spec::{Auto, ColumnSpec, Columns, Compression, Csv, DeclaredType, Dialect, Encoding, Ragged};

use super::table::format_of;
use super::{Read, Twinned, byte, length, list, messages, optional, optional_byte, present, twinned, within};
use crate::error::{BadValue, WireError};
use crate::v1;

twinned!(Encoding, v1::Encoding, Utf8, Windows1252);
twinned!(Ragged, v1::Ragged, Reject, Pad);

impl From<Dialect> for v1::Dialect {
    fn from(dialect: Dialect) -> Self {
        let Dialect { delimiter, quote, escape, comment, encoding, decimal } = dialect;
        Self {
            delimiter,
            quote: quote.map(u32::from),
            escape: escape.map(u32::from),
            comment: comment.map(u32::from),
            encoding: encoding.write(),
            decimal: decimal.into(),
        }
    }
}

impl TryFrom<v1::Dialect> for Dialect {
    type Error = WireError;

    fn try_from(wire: v1::Dialect) -> Read<Self> {
        length("Dialect.delimiter", wire.delimiter.len(), 1, DELIMITER_BYTES_MAX)?;
        let decimal = byte("Dialect.decimal", wire.decimal)?;
        if !matches!(decimal, b'.' | b',') {
            return Err(WireError::invalid("Dialect.decimal", BadValue::DecimalMark(decimal)));
        }
        Ok(Self {
            delimiter: wire.delimiter,
            quote: optional_byte("Dialect.quote", wire.quote)?,
            escape: optional_byte("Dialect.escape", wire.escape)?,
            comment: optional_byte("Dialect.comment", wire.comment)?,
            encoding: Encoding::read("Dialect.encoding", wire.encoding)?,
            decimal,
        })
    }
}

fn given(value: Auto<String>) -> Option<String> {
    match value {
        Auto::Auto => None,
        Auto::Given(text) => Some(text),
    }
}

fn or_auto(value: Option<String>) -> Auto<String> {
    value.map_or(Auto::Auto, Auto::Given)
}

impl From<Csv> for v1::Csv {
    fn from(csv: Csv) -> Self {
        let Csv { delimiter, quote, escape, comment, encoding, decimal, header, skip_lines, ragged, nulls } = csv;
        Self {
            delimiter: given(delimiter),
            quote: given(quote),
            escape,
            comment,
            encoding: given(encoding),
            decimal: given(decimal),
            header,
            skip_lines,
            ragged: ragged.write(),
            nulls,
        }
    }
}

impl TryFrom<v1::Csv> for Csv {
    type Error = WireError;

    fn try_from(wire: v1::Csv) -> Read<Self> {
        Ok(Self {
            delimiter: or_auto(wire.delimiter),
            quote: or_auto(wire.quote),
            escape: wire.escape,
            comment: wire.comment,
            encoding: or_auto(wire.encoding),
            decimal: or_auto(wire.decimal),
            header: wire.header,
            skip_lines: within("Csv.skip_lines", wire.skip_lines, 0, SKIP_LINES_MAX)?,
            ragged: Ragged::read("Csv.ragged", wire.ragged)?,
            nulls: wire.nulls,
        })
    }
}

impl From<Columns> for v1::Columns {
    fn from(columns: Columns) -> Self {
        use v1::columns::Kind;
        let declared = |(name, DeclaredType { ctype, format }): (String, DeclaredType)| v1::DeclaredType {
            name,
            column_type: Some(ctype.into()),
            format: format.map(String::from),
        };
        let kind = match columns {
            Columns::Infer => Kind::Infer(v1::Nothing {}),
            Columns::AllText => Kind::AllText(v1::Nothing {}),
            Columns::Some(types) => Kind::Some(v1::DeclaredTypes { types: types.into_iter().map(declared).collect() }),
            Columns::All(columns) => Kind::All(v1::ColumnSpecs { columns: messages(columns) }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Columns> for Columns {
    type Error = WireError;

    fn try_from(wire: v1::Columns) -> Read<Self> {
        use v1::columns::Kind;
        let declared = |wire: v1::DeclaredType| {
            let ctype = present("DeclaredType.column_type", wire.column_type)?;
            let format = format_of(ctype, "DeclaredType.format", wire.format)?;
            Ok((wire.name, DeclaredType { ctype, format }))
        };
        Ok(match wire.kind.ok_or(WireError::Missing("Columns.kind"))? {
            Kind::Infer(v1::Nothing {}) => Self::Infer,
            Kind::AllText(v1::Nothing {}) => Self::AllText,
            Kind::Some(v1::DeclaredTypes { types }) => {
                super::at_most("DeclaredTypes.types", types.len(), COLUMNS_MAX)?;
                Self::Some(types.into_iter().map(declared).collect::<Read<_>>()?)
            }
            Kind::All(v1::ColumnSpecs { columns }) => Self::All(list("ColumnSpecs.columns", columns, COLUMNS_MAX)?),
        })
    }
}

impl From<ColumnSpec> for v1::ColumnSpec {
    fn from(column: ColumnSpec) -> Self {
        let ColumnSpec { name, ctype, nulls } = column;
        Self {
            name,
            column_type: ctype.map(|declared| declared.ctype.into()),
            nulls: nulls.map(|values| v1::Nulls { values }),
            format: ctype.and_then(|declared| declared.format).map(String::from),
        }
    }
}

impl TryFrom<v1::ColumnSpec> for ColumnSpec {
    type Error = WireError;

    fn try_from(wire: v1::ColumnSpec) -> Read<Self> {
        let v1::ColumnSpec { name, column_type, nulls, format } = wire;
        let ctype = match optional(column_type)? {
            Some(ctype) => Some(DeclaredType { ctype, format: format_of(ctype, "ColumnSpec.format", format)? }),
            None if format.is_some() => {
                return Err(WireError::invalid("ColumnSpec.format", BadValue::FormatOfInferred));
            }
            None => None,
        };
        Ok(Self { name, ctype, nulls: nulls.map(|n| n.values) })
    }
}

impl From<Compression> for v1::Compression {
    fn from(compression: Compression) -> Self {
        use v1::compression::Kind;
        let kind = match compression {
            Compression::None => Kind::None(v1::Nothing {}),
            Compression::Snappy => Kind::Snappy(v1::Nothing {}),
            Compression::Zstd(level) => Kind::Zstd(level.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Compression> for Compression {
    type Error = WireError;

    fn try_from(wire: v1::Compression) -> Read<Self> {
        use v1::compression::Kind;
        // The levels of `zstd(1)` to `zstd(22)`, as in the spec.
        const LEVEL_MAX: u64 = 22;
        Ok(match wire.kind.ok_or(WireError::Missing("Compression.kind"))? {
            Kind::None(v1::Nothing {}) => Self::None,
            Kind::Snappy(v1::Nothing {}) => Self::Snappy,
            Kind::Zstd(level) => {
                within("Compression.zstd", level.into(), 1, LEVEL_MAX)?;
                Self::Zstd(byte("Compression.zstd", level)?)
            }
        })
    }
}
