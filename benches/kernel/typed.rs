//! Typed CSV to Arrow: the kernel as a worker drives it, and arrow-csv over the same memory.

use std::hint::black_box;
use std::io::Cursor;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_csv::ReaderBuilder;
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use batteuse_kernel::arch::Path as Instructions;
use batteuse_kernel::automaton::Automaton;
use batteuse_kernel::digest::RowDigester;
use batteuse_kernel::partition::{PartitionParse, Plan, Progress};
use batteuse_shared::format::Format;
use batteuse_shared::limits::{BATCH_BYTES_MAX, BATCH_FIELDS_MAX, BATCH_ROWS_MAX, INDEX_BYTES, RECORD_BYTES_MAX};
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Dialect, Encoding, Ragged};
use batteuse_shared::table::{Column, ColumnType, Digest};
use bytes::Bytes;

use super::table::Row;

/// Rows of arrow-csv's batches: of 1,024 (its own choice) to 65,536 the fastest, or within noise of it, on sirene and taxi.
const ARROW_CSV_BATCH_ROWS: usize = 4_096;

/// A text with a header, and how it is to be read.
#[derive(Clone)]
pub struct Source<'a> {
    pub text: Bytes,
    pub dialect: Dialect,
    pub schema: &'a SchemaRef,
    /// How its dates are written, if not as ISO 8601.
    pub dates: Option<Format>,
    /// Whether the types are declared: then a value that misses its type is a reject.
    pub declared: bool,
    /// The columns wanted, when not all are.
    pub few: Option<Vec<usize>>,
}

/// Reads a source, hands out each batch, and gives seconds and rows.
pub type Read = fn(&Source, &mut dyn FnMut(&RecordBatch)) -> (f64, usize);

/// Compares the rows of both, then times them.
pub fn line(row: &Row, ours: (Read, &Source), peer: (Read, &Source)) {
    let rows = compare(row, ours, peer);
    time(row, (rows, ours.0, ours.1), (rows, peer.0, peer.1));
}

/// Compares the rows of both; how many there are. None are compared of a line that is not asked for.
pub fn compare(row: &Row, ours: (Read, &Source), peer: (Read, &Source)) -> usize {
    if !row.asked() {
        return 0;
    }
    let rows = told(ours);
    assert_eq!(rows, told(peer), "{}: both must read the same rows", row.measure);
    rows.0
}

/// Times both, which must have so many rows.
pub fn time(row: &Row, ours: (usize, Read, &Source), peer: (usize, Read, &Source)) {
    let run = |(rows, read, source): (usize, Read, &Source)| {
        let (seconds, count) = read(source, &mut |batch| {
            black_box(batch);
        });
        assert_eq!(count, rows);
        seconds
    };
    row.time(|| run(ours), || run(peer));
}

fn batch_schema(source: &Source) -> Schema {
    match &source.few {
        Some(few) => source.schema.project(few).unwrap(),
        None => source.schema.as_ref().clone(),
    }
}

/// Rows, and their digest.
fn told((read, source): (Read, &Source)) -> (usize, Digest) {
    let mut digester = RowDigester::new(&batch_schema(source)).unwrap();
    let rows = read(source, &mut |batch| _ = digester.add(batch));
    (rows.1, digester.digest())
}

/// Commas, quotes, UTF-8.
pub fn plain_dialect() -> Dialect {
    Dialect {
        delimiter: b",".to_vec(),
        quote: Some(b'"'),
        escape: None,
        comment: None,
        encoding: Encoding::Utf8,
        decimal: b'.',
    }
}

fn column(source: &Source, field: &FieldRef) -> Column {
    let ctype = match field.data_type() {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int64 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Float64,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::Timestamp,
        _ => ColumnType::Text,
    };
    let format = source.dates.filter(|_| ctype == ColumnType::Date);
    Column {
        name: field.name().clone(),
        ctype,
        declared: source.declared || format.is_some(),
        format,
        nulls: vec![String::new()],
    }
}

/// The whole file as one partition whose start is known.
fn plan(source: &Source) -> Plan {
    let header = source.text.iter().position(|&byte| byte == b'\n').unwrap() as u64 + 1;
    Plan {
        dialect: source.dialect.clone(),
        ragged: Ragged::Reject,
        columns: source.schema.fields().iter().map(|field| column(source, field)).collect(),
        read: source.few.clone().unwrap_or_else(|| (0..source.schema.fields().len()).collect()),
        range: Span::new(header, source.text.len() as u64),
        source_bytes: source.text.len() as u64,
        start: Some(Automaton::new(&source.dialect, RECORD_BYTES_MAX).record_start()),
        record_bytes_max: RECORD_BYTES_MAX,
        read_bytes: LENT_BYTES,
        batch_rows_max: BATCH_ROWS_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
        batch_fields_max: BATCH_FIELDS_MAX,
        placed: false,
        index_bytes: INDEX_BYTES,
        path: Instructions::best(),
    }
}

/// Bytes lent at a time, as a store gives them.
const LENT_BYTES: usize = 8 << 20;

/// The kernel, which parses the memory where it lies, as from a store: all but the records that lie over two pieces.
pub fn ours(source: &Source, take: &mut dyn FnMut(&RecordBatch)) -> (f64, usize) {
    let plan = plan(source);
    let began = Instant::now();
    let mut parse = PartitionParse::new(plan);
    let mut rows = 0;
    loop {
        match parse.step() {
            Progress::Wants { offset, bytes } => {
                let piece = offset as usize..offset as usize + bytes;
                parse.lend(source.text.slice(piece));
            }
            Progress::Batch(batch) => {
                assert!(source.declared || batch.rejects.is_empty());
                let batch = batch.rows.expect("the types fit");
                rows += batch.num_rows();
                take(&batch);
            }
            Progress::Done(_) => return (began.elapsed().as_secs_f64(), rows),
        }
    }
}

/// arrow-csv, which parses the memory where it lies.
pub fn arrow(source: &Source, take: &mut dyn FnMut(&RecordBatch)) -> (f64, usize) {
    let began = Instant::now();
    let mut builder = ReaderBuilder::new(source.schema.clone()).with_header(true).with_batch_size(ARROW_CSV_BATCH_ROWS);
    if let Some(few) = &source.few {
        builder = builder.with_projection(few.clone());
    }
    let mut rows = 0;
    for batch in builder.build_buffered(Cursor::new(&source.text)).unwrap() {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        take(&batch);
    }
    (began.elapsed().as_secs_f64(), rows)
}
