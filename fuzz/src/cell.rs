//! The simple twin of decoding: one value of one column, by the grammars, and what a batch holds in the same form.
//!
//! Invariant: a value is read by [`parse`] and by nothing of the decoder; numbers are compared with the standard library's.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt16Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use batteuse_kernel::infer::{Value, midnight, parse, parse_decimal};
use batteuse_shared::table::{Classes, Column, ColumnType};

use crate::case::Values;

/// A value in a column of its type. Doubles by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Boolean(bool),
    Integer(i64),
    Double(u64),
    Decimal(i128),
    Days(i32),
    Micros(i64),
    Text(String),
}

/// The cells of a row, none where one is null.
pub type Cells = Vec<Option<Cell>>;

/// What a value that is not null is in `column`; none if it does not fit.
pub fn cell(column: &Column, text: &str, decimal: u8) -> Option<Cell> {
    if let ColumnType::Decimal { precision, scale } = column.ctype {
        return parse_decimal(text.as_bytes(), decimal, precision, scale).map(Cell::Decimal);
    }
    let value = parse(text.as_bytes(), decimal);
    must_be_standard(value, text, decimal);
    match (column.ctype, value) {
        (ColumnType::Boolean, Value::Boolean(value)) => Some(Cell::Boolean(value)),
        (ColumnType::Int64, Value::Integer(n)) => Some(Cell::Integer(n)),
        (ColumnType::Float64, Value::Float(x)) => Some(Cell::Double(x.to_bits())),
        // An integer has no negative zero; a double has.
        (ColumnType::Float64, Value::Integer(0)) if text.starts_with('-') => Some(Cell::Double((-0.0_f64).to_bits())),
        // A long integer may have to be rounded, which is right only where it is declared.
        (ColumnType::Float64, Value::Integer(n)) => {
            (column.declared || value.class() == Classes::INT_SHORT).then_some(Cell::Double((n as f64).to_bits()))
        }
        (ColumnType::Date, Value::Date(days)) => Some(Cell::Days(days)),
        (ColumnType::Timestamp, Value::Timestamp(micros)) => Some(Cell::Micros(micros)),
        (ColumnType::Timestamp, Value::Date(days)) => Some(Cell::Micros(midnight(days))),
        (ColumnType::TimestampUtc, Value::TimestampUtc(micros)) => Some(Cell::Micros(micros)),
        (ColumnType::Text, _) => Some(Cell::Text(text.to_owned())),
        _ => None,
    }
}

/// The standard library reads the same number.
fn must_be_standard(value: Value, text: &str, decimal: u8) {
    match value {
        Value::Integer(n) => assert_eq!(text.parse(), Ok(n), "an integer"),
        Value::Float(x) => {
            let pointed = text.replace(char::from(decimal), ".");
            assert_eq!(pointed.parse().map(f64::to_bits), Ok(x.to_bits()), "a double, of {text}");
        }
        _ => {}
    }
}

/// The cells of a row under `columns`; none if a value does not fit.
pub fn cells(columns: &[Column], row: &Values, decimal: u8) -> Option<Cells> {
    let each = |(column, value): (&Column, &Option<String>)| match value {
        Some(value) => cell(column, value, decimal).map(Some),
        None => Some(None),
    };
    std::iter::zip(columns, row).map(each).collect()
}

/// The rows of a batch as cells, dictionaries written out.
pub fn rows(batch: &RecordBatch, columns: &[Column]) -> Vec<Cells> {
    assert_eq!(batch.num_columns(), columns.len(), "a batch has the columns of its plan");
    for (column, (array, field)) in columns.iter().zip(batch.columns().iter().zip(batch.schema().fields())) {
        let (plain, held) = (data_type(column.ctype), array.data_type());
        let coded = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        assert!(*held == plain || plain == DataType::Utf8 && *held == coded, "{held} for {plain}");
        assert_eq!((field.name(), field.data_type()), (&column.name, held));
    }
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|array| held(array, row)).collect()).collect()
}

fn held(array: &ArrayRef, row: usize) -> Option<Cell> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Boolean => Cell::Boolean(array.as_boolean().value(row)),
        DataType::Int64 => Cell::Integer(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Double(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(..) => Cell::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Date32 => Cell::Days(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(..) => Cell::Micros(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        _ => {
            let coded = array.as_dictionary::<UInt16Type>();
            let code = coded.key(row).expect("it is not null");
            Cell::Text(coded.values().as_string::<i32>().value(code).to_owned())
        }
    })
}

/// The Arrow type of a column.
pub fn data_type(ctype: ColumnType) -> DataType {
    match ctype {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Text => DataType::Utf8,
    }
}
