//! Rows as PostgreSQL's binary COPY takes them.
//!
//! Invariant: what is written of a row depends on that row alone, so rows can be sent in any pieces; a value that its column's type
//! cannot hold is told before anything is sent. Own code, because no crate writes dictionaries of texts and decimals, narrows
//! integers to the table's, or tells where a row begins, which finding a refused one needs.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt16Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt16Array};
use arrow_schema::DataType;
use batteuse_shared::table::ColumnType;
use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::types::Type;

/// What stands before the rows: the signature, no flags, no extension.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands behind them.
pub const TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// PostgreSQL counts from 2000-01-01. Days, and microseconds, since 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A byte.
    Boolean,
    /// An integer of so many bytes.
    Integer(u8),
    /// A double.
    Double,
    /// Digits to the base of 10,000, of which so many decimals lie behind the point.
    Numeric(u8),
    /// Days.
    Date,
    /// Microseconds.
    Moment,
    /// UTF-8.
    Text,
}

/// How values of a column of the source are written into a column of the table; none where that would change them.
pub fn form(ctype: ColumnType, stored: &Type) -> Option<Form> {
    Some(match (ctype, stored) {
        (ColumnType::Boolean, &Type::BOOL) => Form::Boolean,
        (ColumnType::Int64, &Type::INT2) => Form::Integer(2),
        (ColumnType::Int64, &Type::INT4) => Form::Integer(4),
        (ColumnType::Int64, &Type::INT8) => Form::Integer(8),
        (ColumnType::Float64, &Type::FLOAT8) => Form::Double,
        (ColumnType::Int64, &Type::NUMERIC) => Form::Numeric(0),
        (ColumnType::Decimal { scale, .. }, &Type::NUMERIC) => Form::Numeric(scale),
        (ColumnType::Date, &Type::DATE) => Form::Date,
        (ColumnType::Timestamp, &Type::TIMESTAMP) | (ColumnType::TimestampUtc, &Type::TIMESTAMPTZ) => Form::Moment,
        (ColumnType::Text, &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR) => Form::Text,
        _ => return None,
    })
}

/// The values of one column of a batch.
enum Cells<'a> {
    Plain(&'a ArrayRef),
    Texts(&'a StringArray),
    Coded(&'a UInt16Array, &'a StringArray),
}

impl<'a> Cells<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Texts(array.as_string()),
            DataType::Dictionary(..) => {
                let coded = array.as_dictionary::<UInt16Type>();
                Self::Coded(coded.keys(), coded.values().as_string())
            }
            _ => Self::Plain(array),
        }
    }

    fn text(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Texts(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Self::Coded(codes, texts) => codes.is_valid(row).then(|| texts.value(codes.value(row) as usize)),
            Self::Plain(_) => unreachable!("texts are texts or coded"),
        }
    }
}

/// A value that its column's type cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Index of the column.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// The rows of a batch, as COPY takes them.
#[derive(Debug)]
pub struct Rows {
    bytes: Bytes,
    /// Where each row begins, and where the last one ends. An unfit row is empty.
    starts: Vec<usize>,
}

impl Rows {
    /// The rows of `batch` in these forms; each is followed by its number, counted from `first`. Of those that do not fit it tells
    /// the first reason.
    pub fn new(batch: &RecordBatch, forms: &[Form], first: u64) -> (Self, Vec<(usize, Unfit)>) {
        let columns: Vec<(Cells<'_>, Form)> =
            batch.columns().iter().map(Cells::of).zip(forms.iter().copied()).collect();
        let fields = i16::try_from(columns.len() + 1).expect("a table has at most 1,600 columns");
        let (mut bytes, mut starts, mut unfit) = (BytesMut::new(), vec![0], Vec::new());
        for row in 0..batch.num_rows() {
            let start = bytes.len();
            bytes.put_i16(fields);
            let written = columns.iter().enumerate().try_for_each(|(column, (cells, form))| {
                write(cells, *form, row, &mut bytes).map_err(|message| Unfit { column, message })
            });
            match written {
                Ok(()) => {
                    bytes.put_i32(8);
                    bytes.put_u64(first + row as u64);
                }
                Err(why) => {
                    bytes.truncate(start);
                    unfit.push((row, why));
                }
            }
            starts.push(bytes.len());
        }
        (Self { bytes: bytes.freeze(), starts }, unfit)
    }

    /// Some of the rows.
    pub fn piece(&self, rows: Range<usize>) -> Bytes {
        self.bytes.slice(self.starts[rows.start]..self.starts[rows.end])
    }

    /// How many of these rows are there to be sent.
    pub fn count(&self, rows: Range<usize>) -> u64 {
        self.starts[rows.start..=rows.end].windows(2).filter(|ends| ends[0] < ends[1]).count() as u64
    }
}

fn write(cells: &Cells<'_>, form: Form, row: usize, out: &mut BytesMut) -> Result<(), String> {
    let array = match cells {
        Cells::Plain(array) => array,
        texts => {
            let Some(text) = texts.text(row) else {
                out.put_i32(-1);
                return Ok(());
            };
            return sized(out, text.as_bytes()).map_err(str::to_owned);
        }
    };
    if array.is_null(row) {
        out.put_i32(-1);
        return Ok(());
    }
    match form {
        Form::Boolean => {
            out.put_i32(1);
            out.put_u8(array.as_boolean().value(row).into());
        }
        Form::Integer(bytes) => integer(out, bytes, array.as_primitive::<Int64Type>().value(row))?,
        Form::Double => {
            out.put_i32(8);
            out.put_f64(array.as_primitive::<Float64Type>().value(row));
        }
        Form::Numeric(scale) => match array.data_type() {
            DataType::Int64 => numeric(out, array.as_primitive::<Int64Type>().value(row).into(), scale),
            _ => numeric(out, array.as_primitive::<Decimal128Type>().value(row), scale),
        },
        Form::Date => {
            out.put_i32(4);
            out.put_i32(array.as_primitive::<Date32Type>().value(row) - EPOCH_DAYS);
        }
        Form::Moment => {
            out.put_i32(8);
            out.put_i64(array.as_primitive::<TimestampMicrosecondType>().value(row) - EPOCH_MICROS);
        }
        Form::Text => unreachable!("texts are written above"),
    }
    Ok(())
}

fn sized(out: &mut BytesMut, text: &[u8]) -> Result<(), &'static str> {
    if memchr::memchr(0, text).is_some() {
        return Err("the text holds a NUL character, which no text of PostgreSQL can");
    }
    let bytes = i32::try_from(text.len()).map_err(|_| "the text is longer than any of PostgreSQL can be")?;
    out.put_i32(bytes);
    out.put_slice(text);
    Ok(())
}

fn integer(out: &mut BytesMut, bytes: u8, value: i64) -> Result<(), String> {
    out.put_i32(bytes.into());
    let out_of_range = |name: &str| format!("{value} is out of range for type {name}");
    match bytes {
        2 => out.put_i16(i16::try_from(value).map_err(|_| out_of_range("smallint"))?),
        4 => out.put_i32(i32::try_from(value).map_err(|_| out_of_range("integer"))?),
        _ => out.put_i64(value),
    }
    Ok(())
}

/// `value / 10^scale`: groups of four decimal digits, aligned at the point, without zeros at either end.
fn numeric(out: &mut BytesMut, value: i128, scale: u8) {
    let digits = value.unsigned_abs().to_string();
    let point = digits.len() as i32 - i32::from(scale);
    // Behind the point they are filled up to whole groups, before it too.
    let before = point.rem_euclid(4);
    let lead = (4 - before) % 4;
    let padded = "0".repeat(lead as usize) + &digits;
    let padded = padded.clone() + &"0".repeat((4 - padded.len() % 4) % 4);
    let groups: Vec<i16> =
        padded.as_bytes().chunks(4).map(|four| four.iter().fold(0, |n, d| n * 10 + i16::from(d - b'0'))).collect();
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    let end = groups.len() - groups.iter().rev().take_while(|group| **group == 0).count();
    let groups = if zeros < end { &groups[zeros..end] } else { &[] };
    let weight = (point + lead) / 4 - 1 - zeros as i32;
    out.put_i32(8 + 2 * groups.len() as i32);
    out.put_i16(groups.len() as i16);
    out.put_i16(if groups.is_empty() { 0 } else { weight as i16 });
    out.put_i16(if value < 0 { 0x4000 } else { 0 });
    out.put_i16(scale.into());
    groups.iter().for_each(|group| out.put_i16(*group));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Count, weight, sign, scale and groups.
    fn groups(value: i128, scale: u8) -> Vec<i16> {
        let mut out = BytesMut::new();
        numeric(&mut out, value, scale);
        assert_eq!(out[..4], (out.len() as i32 - 4).to_be_bytes());
        out[4..].chunks(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect()
    }

    #[test]
    fn numbers_are_grouped_at_the_point() {
        const MINUS: i16 = 0x4000;
        assert_eq!(groups(0, 2), [0, 0, 0, 2]);
        assert_eq!(groups(1, 0), [1, 0, 0, 0, 1]);
        assert_eq!(groups(10_000, 0), [1, 1, 0, 0, 1]);
        assert_eq!(groups(123_456, 0), [2, 1, 0, 0, 12, 3456]);
        assert_eq!(groups(-123_456, 2), [2, 0, MINUS, 2, 1234, 5600]);
        assert_eq!(groups(12_345, 3), [2, 0, 0, 3, 12, 3450]);
        assert_eq!(groups(5, 6), [1, -2, 0, 6, 500]);
        assert_eq!(groups(50, 4), [1, -1, 0, 4, 50]);
        assert_eq!(groups(1, 38), [1, -10, 0, 38, 100]);
    }

    #[test]
    fn rows_are_told_apart_and_unfit_ones_left_out() {
        use std::sync::Arc;
        let numbers: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![Some(1), Some(40_000), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c\0"]));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
        let (rows, unfit) = Rows::new(&batch, &[Form::Integer(2), Form::Text], 7);
        let unfit: Vec<_> = unfit.into_iter().map(|(row, why)| (row, why.column, why.message)).collect();
        assert_eq!(unfit[0], (1, 0, "40000 is out of range for type smallint".to_owned()));
        assert_eq!((unfit.len(), unfit[1].0, unfit[1].1), (2, 2, 1));
        assert_eq!(rows.count(0..3), 1);
        let one =
            [&[0, 3][..], &[0, 0, 0, 2, 0, 1], &[0, 0, 0, 1, b'a'], &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7]].concat();
        assert_eq!(rows.piece(0..3), one);
        assert!(rows.piece(1..3).is_empty());
    }
}
