//! One column of a batch under construction: values appended a block of rows at a time.
//!
//! Invariant: a value is appended as its type's value, as null, or as a placeholder of a value that does not fit, so the
//! column stays aligned with the rows. Who is rejected for a misfit is decided elsewhere.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use batteuse_shared::table::{Classes, ColumnType};

use super::value::{Nulls, Values};
use crate::infer::{ShortNumber, Value, classify, midnight, parse, parse_decimal, short_number};

/// Rows of a block: their fields stay in the nearest caches for every column, and their validity is one word.
pub(super) const BLOCK_ROWS: usize = 64;

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

/// The values of one column, a placeholder where one is null.
enum Held {
    /// A word of bits a block.
    Boolean(Vec<u64>),
    Int64(Vec<i64>),
    /// Exact ones only, or long integers too.
    Float64(Vec<f64>, LongIntegers),
    Decimal(Vec<i128>, u8, u8),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    TimestampUtc(Vec<i64>),
    /// Ends of the texts, and the texts; validated as UTF-8 once, whole, when the column is finished.
    Text(Vec<i32>, Vec<u8>),
}

/// One column.
pub(super) struct Cells {
    held: Held,
    /// A word of bits a block: which values are not null.
    valid: Vec<u64>,
    rows: usize,
}

/// Whether a column of doubles takes integers of more than 15 digits, which it may have to round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LongIntegers {
    Rounded,
    Refused,
}

/// What a block of values came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Appended {
    /// A bit for each row of the block whose value does not fit the type.
    pub(super) misfits: u64,
    /// The join of the values' classes (of no use for decimals and declared text, which are never inferred).
    pub(super) classes: Classes,
}

/// Where the values of a block come from.
pub(super) struct Block<'b, 'r, 'd, 's> {
    pub(super) values: &'b mut Values<'r, 'd, 's>,
    pub(super) column: usize,
    pub(super) rows: Range<usize>,
    pub(super) nulls: &'b Nulls,
    /// Rows that are set aside: their values are nulls.
    pub(super) rejected: &'b [bool],
    pub(super) decimal: u8,
}

impl Block<'_, '_, '_, '_> {
    /// Hands each value to `put`, none for a null, with the row's bit; the word of those for which it says yes.
    #[inline(always)]
    fn each(&mut self, mut put: impl FnMut(u64, Option<&[u8]>) -> bool) -> u64 {
        let mut valid = 0;
        for (bit, row) in self.rows.clone().enumerate() {
            let text = self.values.get(row, self.column);
            let text = text.filter(|text| !self.nulls.contain(text) && !self.rejected[row]);
            valid |= u64::from(put(1 << bit, text)) << bit;
        }
        valid
    }

    /// As [`Block::append`], with `short` for short numbers: nearly all there are.
    #[inline(always)]
    fn append_numbers<T: Copy + Default>(
        &mut self,
        out: &mut Vec<T>,
        appended: &mut Appended,
        short: impl Fn(ShortNumber) -> Option<T>,
        read: impl Fn(Value, &[u8]) -> Option<T>,
    ) -> u64 {
        if !self.nulls.is_only_empty() {
            return self.append(out, appended, read);
        }
        let (decimal, rows) = (self.decimal, self.rows.clone());
        let mut valid = 0;
        for (bit, row) in rows.enumerate() {
            let number = self.values.word(row, self.column).filter(|_| !self.rejected[row]);
            let number = number.and_then(|(word, len)| short_number(word, len, decimal));
            if let Some((number, value)) = number.and_then(|number| Some((number, short(number)?))) {
                appended.classes = appended.classes.join(number.class());
                out.push(value);
                valid |= 1 << bit;
            } else {
                self.rows = row..row + 1;
                let mut one = Appended::default();
                valid |= self.append(out, &mut one, &read) << bit;
                appended.misfits |= one.misfits << bit;
                appended.classes = appended.classes.join(one.classes);
            }
        }
        valid
    }

    /// Appends each value as `read` makes it out, a placeholder for the others; the word of those that are not null.
    #[inline(always)]
    fn append<T: Copy + Default>(
        &mut self,
        out: &mut Vec<T>,
        appended: &mut Appended,
        read: impl Fn(Value, &[u8]) -> Option<T>,
    ) -> u64 {
        let decimal = self.decimal;
        self.each(|bit, text| {
            let value = text.and_then(|text| {
                let value = parse(text, decimal);
                appended.classes = appended.classes.join(value.class());
                let read = read(value, text);
                appended.misfits |= if read.is_none() { bit } else { 0 };
                read
            });
            out.push(value.unwrap_or_default());
            value.is_some()
        })
    }
}

impl Cells {
    /// An empty column with room for so many rows and bytes of text.
    pub(super) fn new(ctype: ColumnType, declared: bool, rows: usize, text_bytes: usize) -> Self {
        let held = match ctype {
            ColumnType::Boolean => Held::Boolean(Vec::with_capacity(rows.div_ceil(BLOCK_ROWS))),
            ColumnType::Int64 => Held::Int64(Vec::with_capacity(rows)),
            ColumnType::Float64 => {
                let long = if declared { LongIntegers::Rounded } else { LongIntegers::Refused };
                Held::Float64(Vec::with_capacity(rows), long)
            }
            ColumnType::Decimal { precision, scale } => Held::Decimal(Vec::with_capacity(rows), precision, scale),
            ColumnType::Date => Held::Date(Vec::with_capacity(rows)),
            ColumnType::Timestamp => Held::Timestamp(Vec::with_capacity(rows)),
            ColumnType::TimestampUtc => Held::TimestampUtc(Vec::with_capacity(rows)),
            ColumnType::Text => Held::Text(Vec::with_capacity(rows), Vec::with_capacity(text_bytes)),
        };
        Self { held, valid: Vec::with_capacity(rows.div_ceil(BLOCK_ROWS)), rows: 0 }
    }

    /// Appends a block of a column that is not text: [`BLOCK_ROWS`] rows, the last one perhaps fewer.
    pub(super) fn append(&mut self, block: &mut Block<'_, '_, '_, '_>) -> Appended {
        let rows = block.rows.len();
        let mut appended = Appended::default();
        let valid = match &mut self.held {
            Held::Boolean(out) => {
                let mut values = Vec::with_capacity(BLOCK_ROWS);
                let valid = block.append(&mut values, &mut appended, boolean);
                out.push((0..).zip(values).fold(0, |word, (bit, value)| word | u64::from(value) << bit));
                valid
            }
            Held::Int64(out) => block.append_numbers(
                out,
                &mut appended,
                |number| (number.places == 0).then_some(i64::from(number.digits)),
                integer,
            ),
            Held::Float64(out, long) => {
                let long = *long;
                block.append_numbers(
                    out,
                    &mut appended,
                    |number| Some(number.double()),
                    |value, text| double(value, text, long),
                )
            }
            Held::Decimal(out, precision, scale) => {
                let (decimal, precision, scale) = (block.decimal, *precision, *scale);
                // Decimals are declared, so they have no class.
                block.each(|bit, text| {
                    let value = text.and_then(|text| parse_decimal(text, decimal, precision, scale));
                    appended.misfits |= if text.is_some() && value.is_none() { bit } else { 0 };
                    out.push(value.unwrap_or_default());
                    value.is_some()
                })
            }
            Held::Date(out) => block.append(out, &mut appended, date),
            Held::Timestamp(out) => block.append(out, &mut appended, timestamp),
            Held::TimestampUtc(out) => block.append(out, &mut appended, timestamp_utc),
            Held::Text(..) => unreachable!("text is appended as text"),
        };
        self.valid.push(valid);
        self.rows += rows;
        appended
    }

    /// Appends a block of a column of text; joins the values' classes to `summary` until it is text.
    pub(super) fn append_text(&mut self, block: &mut Block<'_, '_, '_, '_>, mut summary: Option<Classes>) -> Classes {
        let Held::Text(ends, bytes) = &mut self.held else { unreachable!("cells are made for their column") };
        let (decimal, only_empty, empty) = (block.decimal, block.nulls.is_only_empty(), block.nulls.has_empty());
        let mut learn = |text: &[u8]| {
            if let Some(classes) = summary.as_mut().filter(|classes| **classes != Classes::TEXT) {
                *classes = classes.join(classify(text, decimal));
            }
        };
        let mut valid = 0;
        for (bit, row) in block.rows.clone().enumerate() {
            // Most texts are short or empty: those are copied at full width, and what is too much is cut off again.
            if only_empty
                && let Some((text, length)) = block.values.short_text(row, block.column)
                && !block.rejected[row]
            {
                if length > 0 || !empty {
                    learn(&text[..length]);
                    let end = bytes.len() + length;
                    bytes.extend_from_slice(&text);
                    bytes.truncate(end);
                    valid |= 1 << bit;
                }
                ends.push(bytes.len() as i32);
                continue;
            }
            let text = block.values.get(row, block.column);
            if let Some(text) = text.filter(|text| !block.nulls.contain(text) && !block.rejected[row]) {
                learn(text);
                bytes.extend_from_slice(text);
                valid |= 1 << bit;
            }
            // A batch holds far less than 2 GiB.
            ends.push(bytes.len() as i32);
        }
        self.valid.push(valid);
        self.rows += block.rows.len();
        summary.unwrap_or_default()
    }

    /// Bytes of text held.
    pub(super) fn text_bytes(&self) -> usize {
        if let Held::Text(_, bytes) = &self.held { bytes.len() } else { 0 }
    }

    /// The column as an array.
    pub(super) fn finish(self) -> ArrayRef {
        let (rows, bits) = (self.rows, |words: Vec<u64>, rows| BooleanBuffer::new(Buffer::from_vec(words), 0, rows));
        let nulls = Some(NullBuffer::new(bits(self.valid, rows))).filter(|nulls| nulls.null_count() > 0);
        match self.held {
            Held::Boolean(words) => Arc::new(BooleanArray::new(bits(words, rows), nulls)),
            Held::Int64(values) => primitive::<Int64Type>(values, nulls, ColumnType::Int64),
            Held::Float64(values, _) => primitive::<Float64Type>(values, nulls, ColumnType::Float64),
            Held::Decimal(values, precision, scale) => {
                primitive::<Decimal128Type>(values, nulls, ColumnType::Decimal { precision, scale })
            }
            Held::Date(values) => primitive::<Date32Type>(values, nulls, ColumnType::Date),
            Held::Timestamp(values) => primitive::<TimestampMicrosecondType>(values, nulls, ColumnType::Timestamp),
            Held::TimestampUtc(values) => {
                primitive::<TimestampMicrosecondType>(values, nulls, ColumnType::TimestampUtc)
            }
            Held::Text(ends, bytes) => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from_iter(std::iter::once(0).chain(ends)));
                let binary = BinaryArray::new(offsets, Buffer::from_vec(bytes), nulls);
                Arc::new(
                    StringArray::try_from_binary(binary)
                        .expect("records are validated, and delimiters, quotes and escapes are whole characters"),
                )
            }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>, ctype: ColumnType) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type(ctype)))
}

fn boolean(value: Value, _: &[u8]) -> Option<bool> {
    if let Value::Boolean(value) = value { Some(value) } else { None }
}

fn integer(value: Value, _: &[u8]) -> Option<i64> {
    if let Value::Integer(n) = value { Some(n) } else { None }
}

fn double(value: Value, text: &[u8], long: LongIntegers) -> Option<f64> {
    match value {
        Value::Float(x) => Some(x),
        // An integer has no negative zero; a double has.
        Value::Integer(0) if text[0] == b'-' => Some(-0.0),
        Value::Integer(n) if long == LongIntegers::Rounded || value.class() == Classes::INT_SHORT => Some(n as f64),
        _ => None,
    }
}

fn date(value: Value, _: &[u8]) -> Option<i32> {
    if let Value::Date(days) = value { Some(days) } else { None }
}

fn timestamp(value: Value, _: &[u8]) -> Option<i64> {
    match value {
        Value::Timestamp(micros) => Some(micros),
        Value::Date(days) => Some(midnight(days)),
        _ => None,
    }
}

fn timestamp_utc(value: Value, _: &[u8]) -> Option<i64> {
    if let Value::TimestampUtc(micros) = value { Some(micros) } else { None }
}
