//! Columns, types, counts, digests, spans and exit maps on the wire.
//!
//! Invariant: column names are unique in their list, spans run forward, a start state has one exit.

use std::collections::{BTreeMap, BTreeSet};

use batteuse_shared::format::Format;
use batteuse_shared::limits::COLUMNS_MAX;
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::table::{Checksum, Classes, Column, ColumnType, Counts, Digest};

use super::{Read, at_most, byte, list, optional_size, present, size, state, within};
use crate::error::{BadValue, WireError};
use crate::v1;

/// Most digits of a decimal.
const PRECISION_MAX: u64 = 38;

impl From<ColumnType> for v1::ColumnType {
    fn from(ctype: ColumnType) -> Self {
        use v1::PlainType as P;
        let plain = match ctype {
            ColumnType::Boolean => P::Boolean,
            ColumnType::Int64 => P::Int64,
            ColumnType::Float64 => P::Float64,
            ColumnType::Date => P::Date,
            ColumnType::Timestamp => P::Timestamp,
            ColumnType::TimestampUtc => P::TimestampUtc,
            ColumnType::Text => P::Text,
            ColumnType::Decimal { precision, scale } => {
                let decimal = v1::Decimal { precision: precision.into(), scale: scale.into() };
                return Self { kind: Some(v1::column_type::Kind::Decimal(decimal)) };
            }
        };
        Self { kind: Some(v1::column_type::Kind::Plain(plain.into())) }
    }
}

impl TryFrom<v1::ColumnType> for ColumnType {
    type Error = WireError;

    fn try_from(wire: v1::ColumnType) -> Read<Self> {
        match wire.kind.ok_or(WireError::Missing("ColumnType.kind"))? {
            v1::column_type::Kind::Plain(raw) => plain_type(raw),
            v1::column_type::Kind::Decimal(v1::Decimal { precision, scale }) => {
                within("Decimal.precision", precision.into(), 1, PRECISION_MAX)?;
                within("Decimal.scale", scale.into(), 0, precision.into())?;
                Ok(Self::Decimal {
                    precision: byte("Decimal.precision", precision)?,
                    scale: byte("Decimal.scale", scale)?,
                })
            }
        }
    }
}

fn plain_type(raw: i32) -> Read<ColumnType> {
    use v1::PlainType as P;
    const FIELD: &str = "ColumnType.plain";
    Ok(match P::try_from(raw).map_err(|_| WireError::Unknown { field: FIELD, value: raw })? {
        P::Unspecified => return Err(WireError::Missing(FIELD)),
        P::Boolean => ColumnType::Boolean,
        P::Int64 => ColumnType::Int64,
        P::Float64 => ColumnType::Float64,
        P::Date => ColumnType::Date,
        P::Timestamp => ColumnType::Timestamp,
        P::TimestampUtc => ColumnType::TimestampUtc,
        P::Text => ColumnType::Text,
    })
}

impl From<Column> for v1::Column {
    fn from(column: Column) -> Self {
        let Column { name, ctype, declared, format, nulls } = column;
        Self { name, column_type: Some(ctype.into()), declared, nulls, format: format.map(String::from) }
    }
}

impl TryFrom<v1::Column> for Column {
    type Error = WireError;

    fn try_from(wire: v1::Column) -> Read<Self> {
        let v1::Column { name, column_type, declared, nulls, format } = wire;
        let ctype = present("Column.column_type", column_type)?;
        let format = format_of(ctype, "Column.format", format)?;
        if format.is_some() && !declared {
            return Err(WireError::invalid("Column.format", BadValue::FormatOfInferred));
        }
        Ok(Self { name, ctype, declared, format, nulls })
    }
}

/// The format of values of a type, where there is one.
pub(super) fn format_of(ctype: ColumnType, field: &'static str, wire: Option<String>) -> Read<Option<Format>> {
    let format = wire.map(|text| text.parse().and_then(|format: Format| format.of(ctype))).transpose();
    format.map_err(|bad| WireError::invalid(field, bad))
}

/// The columns of a table: at most [`COLUMNS_MAX`], names unique.
pub(super) fn columns(field: &'static str, wire: Vec<v1::Column>) -> Read<Vec<Column>> {
    let columns: Vec<Column> = list(field, wire, COLUMNS_MAX)?;
    let mut names = BTreeSet::new();
    match columns.iter().find(|c| !names.insert(c.name.as_str())) {
        Some(twice) => Err(WireError::invalid(field, BadValue::ColumnTwice(twice.name.clone()))),
        None => Ok(columns),
    }
}

impl From<Counts> for v1::Counts {
    fn from(counts: Counts) -> Self {
        let Counts { read, written, filtered, rejected, quarantined, blank, comment, lines, cut_bytes } = counts;
        Self { read, written, filtered, rejected, quarantined, blank, comment, lines, cut_bytes }
    }
}

impl TryFrom<v1::Counts> for Counts {
    type Error = WireError;

    fn try_from(wire: v1::Counts) -> Read<Self> {
        Ok(Self {
            read: size("Counts.read", wire.read)?,
            written: size("Counts.written", wire.written)?,
            filtered: size("Counts.filtered", wire.filtered)?,
            rejected: size("Counts.rejected", wire.rejected)?,
            quarantined: size("Counts.quarantined", wire.quarantined)?,
            blank: size("Counts.blank", wire.blank)?,
            comment: size("Counts.comment", wire.comment)?,
            lines: size("Counts.lines", wire.lines)?,
            cut_bytes: size("Counts.cut_bytes", wire.cut_bytes)?,
        })
    }
}

/// A digest as bytes, most significant first.
pub(super) fn digest_bytes(digest: Digest) -> Vec<u8> {
    digest.0.to_be_bytes().to_vec()
}

/// A digest from its bytes.
pub(super) fn digest(field: &'static str, bytes: &[u8]) -> Read<Digest> {
    exactly(field, bytes).map(|exact| Digest(u128::from_be_bytes(exact)))
}

/// A checksum from its bytes.
pub(super) fn checksum(field: &'static str, bytes: &[u8]) -> Read<Checksum> {
    exactly(field, bytes).map(Checksum)
}

/// Just as many bytes as are due.
fn exactly<const N: usize>(field: &'static str, bytes: &[u8]) -> Read<[u8; N]> {
    let wrong = |_| WireError::invalid(field, BadValue::Length { bytes: bytes.len(), min: N, max: N });
    bytes.try_into().map_err(wrong)
}

/// Summaries of at most [`COLUMNS_MAX`] columns.
pub(super) fn summaries(field: &'static str, bits: &[u32]) -> Read<Vec<Classes>> {
    at_most(field, bits.len(), COLUMNS_MAX)?;
    let max = u16::MAX.into();
    let one = |&bits: &u32| {
        let wide = |_| WireError::invalid(field, BadValue::Range { value: bits.into(), min: 0, max });
        u16::try_from(bits).map(Classes).map_err(wide)
    };
    bits.iter().map(one).collect()
}

impl From<Span> for v1::Span {
    fn from(span: Span) -> Self {
        Self { start: span.start, end: span.end }
    }
}

impl TryFrom<v1::Span> for Span {
    type Error = WireError;

    fn try_from(wire: v1::Span) -> Read<Self> {
        let (start, end) = (size("Span.start", wire.start)?, size("Span.end", wire.end)?);
        if start > end {
            return Err(WireError::invalid("Span.end", BadValue::Backward { start, end }));
        }
        Ok(Self::new(start, end))
    }
}

/// The exits of a range, in the order of their start states.
pub(super) fn exits(map: ExitMap) -> Vec<v1::Exit> {
    let one = |(start, exit): (StateId, Exit)| v1::Exit {
        start: start.0.into(),
        state: exit.state.0.into(),
        first: exit.first,
    };
    map.0.into_iter().map(one).collect()
}

/// An exit map: no start state twice, so at most 256 entries.
pub(super) fn exit_map(wire: Vec<v1::Exit>) -> Read<ExitMap> {
    let mut map = BTreeMap::new();
    for exit in wire {
        let start = state("Exit.start", exit.start)?;
        let first = optional_size("Exit.first", exit.first)?;
        if map.insert(start, Exit { state: state("Exit.state", exit.state)?, first }).is_some() {
            return Err(WireError::invalid("Parsed.exits", BadValue::StateTwice(start.0)));
        }
    }
    Ok(ExitMap(map))
}
