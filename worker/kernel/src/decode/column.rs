//! One column of a batch under construction: typed values appended one by one.
//!
//! Invariant: a value is appended as its type's value, as null, or as a placeholder of a value that does not fit, so the
//! column stays aligned with the rows. Who is rejected for a misfit is decided elsewhere.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, TimeUnit};
use batteuse_shared::table::{Classes, ColumnType};

use crate::infer::{Value, midnight, parse, parse_decimal};

/// The Arrow type in which a column's values are held.
pub(super) fn data_type(ctype: ColumnType) -> DataType {
    match ctype {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        // At most 38, so it fits.
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Text => DataType::Utf8,
    }
}

/// The values of one column.
pub(super) enum Cells {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    /// Exact ones only, or long integers too.
    Float64(Float64Builder, LongIntegers),
    Decimal(Decimal128Builder, u8, u8),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampUtc(TimestampMicrosecondBuilder),
    /// Validated as UTF-8 once, whole, when it is finished.
    Text(BinaryBuilder),
}

/// Whether a column of doubles takes integers of more than 15 digits, which it may have to round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LongIntegers {
    Rounded,
    Refused,
}

impl Cells {
    /// An empty column with room for so many rows and bytes of text.
    pub(super) fn new(ctype: ColumnType, declared: bool, rows: usize, text_bytes: usize) -> Self {
        let dtype = data_type(ctype);
        match ctype {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            ColumnType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            ColumnType::Float64 => {
                let long = if declared { LongIntegers::Rounded } else { LongIntegers::Refused };
                Self::Float64(Float64Builder::with_capacity(rows), long)
            }
            ColumnType::Decimal { precision, scale } => {
                Self::Decimal(Decimal128Builder::with_capacity(rows).with_data_type(dtype), precision, scale)
            }
            ColumnType::Date => Self::Date(Date32Builder::with_capacity(rows)),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows)),
            ColumnType::TimestampUtc => {
                Self::TimestampUtc(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(dtype))
            }
            ColumnType::Text => Self::Text(BinaryBuilder::with_capacity(rows, text_bytes)),
        }
    }

    /// Appends a null, or holds the place of a row that will be dropped.
    #[inline]
    pub(super) fn push_null(&mut self) {
        match self {
            Self::Boolean(cells) => cells.append_null(),
            Self::Int64(cells) => cells.append_null(),
            Self::Float64(cells, _) => cells.append_null(),
            Self::Decimal(cells, ..) => cells.append_null(),
            Self::Date(cells) => cells.append_null(),
            Self::Timestamp(cells) | Self::TimestampUtc(cells) => cells.append_null(),
            Self::Text(cells) => cells.append_null(),
        }
    }

    /// Appends a decoded non-null value of a column that is not text. Tells whether it fitted, else a null holds its
    /// place, and the value's class (of no use for decimals, which are never inferred).
    #[inline]
    pub(super) fn push(&mut self, text: &[u8], decimal: u8) -> (bool, Classes) {
        if let Self::Decimal(cells, precision, scale) = self {
            let value = parse_decimal(text, decimal, *precision, *scale);
            cells.append_option(value);
            return (value.is_some(), Classes::default());
        }
        let value = parse(text, decimal);
        let class = value.class();
        match (self, value) {
            (Self::Boolean(cells), Value::Boolean(b)) => cells.append_value(b),
            (Self::Int64(cells), Value::Integer(n)) => cells.append_value(n),
            (Self::Float64(cells, _), Value::Float(x)) => cells.append_value(x),
            (Self::Float64(cells, long), Value::Integer(n))
                if class == Classes::INT_SHORT || *long == LongIntegers::Rounded =>
            {
                // An integer has no negative zero; a double has.
                cells.append_value(if n == 0 && text[0] == b'-' { -0.0 } else { n as f64 });
            }
            (Self::Date(cells), Value::Date(days)) => cells.append_value(days),
            (Self::Timestamp(cells), Value::Timestamp(micros)) => cells.append_value(micros),
            (Self::Timestamp(cells), Value::Date(days)) => cells.append_value(midnight(days)),
            (Self::TimestampUtc(cells), Value::TimestampUtc(micros)) => cells.append_value(micros),
            (cells, _) => {
                cells.push_null();
                return (false, class);
            }
        }
        (true, class)
    }

    /// Bytes of text held.
    pub(super) fn text_bytes(&self) -> usize {
        if let Self::Text(cells) = self { cells.values_slice().len() } else { 0 }
    }

    /// The column as an array.
    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(mut cells) => Arc::new(cells.finish()),
            Self::Int64(mut cells) => Arc::new(cells.finish()),
            Self::Float64(mut cells, _) => Arc::new(cells.finish()),
            Self::Decimal(mut cells, ..) => Arc::new(cells.finish()),
            Self::Date(mut cells) => Arc::new(cells.finish()),
            Self::Timestamp(mut cells) | Self::TimestampUtc(mut cells) => Arc::new(cells.finish()),
            Self::Text(mut cells) => Arc::new(
                StringArray::try_from_binary(cells.finish())
                    .expect("records are validated, and delimiters, quotes and escapes are whole characters"),
            ),
        }
    }
}
