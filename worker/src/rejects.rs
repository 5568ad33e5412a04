//! The table of rejects: its schema, its rows from the kernel's rejects, and the step from relative to absolute numbers.
//!
//! Invariant: a staged piece and `rejects.parquet` have one schema, but for `source`, which only the latter has; in a
//! piece `line` and `record` count from 0 at the span's start, in the file from 1 at the source's.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int32Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use batteuse_kernel::partition::Reject;
use batteuse_shared::table::{Checksum, Column};
use batteuse_shared::task::{RejectPiece, RejectShown};
use sha2::{Digest as _, Sha256};

/// Index of `line` in a piece.
const LINE: usize = 0;
/// Index of `record` in a piece.
const RECORD: usize = 1;
/// Index of `byte_offset` in `rejects.parquet`.
pub(crate) const BYTE_OFFSET: usize = 3;
/// Index of `column_name` in `rejects.parquet`.
const COLUMN_NAME: usize = 6;
/// Index of `message` in `rejects.parquet`.
const MESSAGE: usize = 8;

fn fields() -> Vec<Field> {
    // Signed, as every reader knows them; offsets and counts stay far below 2^63.
    vec![
        Field::new("line", DataType::Int64, false),
        Field::new("record", DataType::Int64, false),
        Field::new("byte_offset", DataType::Int64, false),
        Field::new("byte_length", DataType::Int64, false),
        Field::new("column_idx", DataType::Int32, true),
        Field::new("column_name", DataType::Utf8, true),
        Field::new("error_type", DataType::Utf8, false),
        Field::new("message", DataType::Utf8, false),
        Field::new("raw", DataType::Binary, false),
    ]
}

/// Schema of a staged piece.
#[must_use]
pub fn piece_schema() -> SchemaRef {
    Arc::new(Schema::new(fields()))
}

/// Schema of `rejects.parquet`. `line`, `record` and `column_idx` count from 1, `byte_offset` from 0; `raw` is the record
/// without its line end, of a cut record its head.
#[must_use]
pub fn schema() -> SchemaRef {
    let source = Field::new("source", DataType::Utf8, false);
    Arc::new(Schema::new([vec![source], fields()].concat()))
}

/// The sha256 over the values of a piece's rows, in order, however they are cut into batches.
#[derive(Debug, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Adds the rows of a batch of [`piece_schema`].
    ///
    /// # Panics
    /// When `batch` is of another schema.
    pub fn add(&mut self, batch: &RecordBatch) {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                self.add_value(column, row);
            }
        }
    }

    /// A value: whether there is one, how long it is, and what it is, so that no two rows read alike.
    fn add_value(&mut self, column: &ArrayRef, row: usize) {
        if column.is_null(row) {
            return self.0.update([0]);
        }
        self.0.update([1]);
        match column.data_type() {
            DataType::Int64 => self.0.update(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
            DataType::Int32 => self.0.update(column.as_primitive::<Int32Type>().value(row).to_le_bytes()),
            DataType::Utf8 => self.add_bytes(column.as_string::<i32>().value(row).as_bytes()),
            DataType::Binary => self.add_bytes(column.as_binary::<i32>().value(row)),
            other => unreachable!("a piece has no column of {other}"),
        }
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// What all rows come to.
    #[must_use]
    pub fn finish(self) -> Checksum {
        Checksum(self.0.finalize().into())
    }
}

/// The rows of a piece.
///
/// # Panics
/// When a reject blames a column that is not in `columns`.
#[must_use]
pub fn piece(columns: &[Column], rejects: &[Reject]) -> RecordBatch {
    let raw_bytes = rejects.iter().map(|reject| reject.raw.len()).sum();
    let numbers = |number: fn(&Reject) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|reject| number(reject) as i64)))
    };
    let mut places = Int32Builder::new();
    let mut names = StringBuilder::new();
    let mut messages = StringBuilder::new();
    let mut raws = BinaryBuilder::with_capacity(rejects.len(), raw_bytes);
    for reject in rejects {
        places.append_option(reject.column.map(|index| index as i32 + 1));
        names.append_option(reject.column.map(|index| &columns[index as usize].name));
        messages.append_value(&reject.message);
        raws.append_value(&reject.raw);
    }
    let words: ArrayRef = Arc::new(StringArray::from_iter_values(rejects.iter().map(|reject| reject.kind.word())));
    let arrays = vec![
        numbers(|reject| reject.line),
        numbers(|reject| reject.record),
        numbers(|reject| reject.byte_offset),
        numbers(|reject| reject.byte_length),
        Arc::new(places.finish()),
        Arc::new(names.finish()),
        words,
        Arc::new(messages.finish()),
        Arc::new(raws.finish()),
    ];
    RecordBatch::try_new(piece_schema(), arrays).expect("the arrays are of the schema")
}

/// The rows of a piece with absolute numbers, as `rejects.parquet` holds them.
///
/// # Panics
/// When `batch` is not of [`piece_schema`].
#[must_use]
pub fn absolute(batch: &RecordBatch, source_url: &str, piece: &RejectPiece) -> RecordBatch {
    let shift = |index: usize, before: u64| -> ArrayRef {
        let relative: &Int64Array = batch.column(index).as_primitive::<Int64Type>();
        let before = before as i64 + 1;
        Arc::new(Int64Array::from_iter_values(relative.values().iter().map(|number| number.wrapping_add(before))))
    };
    let source: ArrayRef = Arc::new(StringArray::from_iter_values((0..batch.num_rows()).map(|_| source_url)));
    let mut arrays = vec![source];
    arrays.extend(batch.columns().iter().cloned());
    arrays[1 + LINE] = shift(LINE, piece.lines_before);
    arrays[1 + RECORD] = shift(RECORD, piece.records_before);
    RecordBatch::try_new(schema(), arrays).expect("the arrays are of the schema")
}

/// The first `most` rejects of rows with absolute numbers, for the operator.
///
/// # Panics
/// When `batch` is not of [`schema`].
#[must_use]
pub fn shown(batch: &RecordBatch, most: usize) -> Vec<RejectShown> {
    let lines = batch.column(1 + LINE).as_primitive::<Int64Type>();
    let names: &StringArray = batch.column(COLUMN_NAME).as_string();
    let messages: &StringArray = batch.column(MESSAGE).as_string();
    let rows = lines.iter().zip(names).zip(messages).take(most);
    let shown = rows.map(|((line, name), message)| RejectShown {
        line: line.expect("the schema has no null here") as u64,
        column: name.map(str::to_owned),
        reason: message.expect("the schema has no null here").to_owned(),
    });
    shown.collect()
}
