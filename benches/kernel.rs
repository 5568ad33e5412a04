//! The kernel alone, one thread, over files warm in memory: the structural index, and typed CSV to Arrow beside arrow-csv.
//!
//! Counts and digests of all rows are compared before anything is timed. Both get the same types; runs go in turns (A B A B ...)
//! and the figure to quote is the median of the paired ratios. Ours digests every row as well, as every run does.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark: it reads clocks, starts processes and stops at the first failure"
)]

mod common;

use std::fs;
use std::io::Cursor;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_csv::ReaderBuilder;
use arrow_schema::{DataType, SchemaRef};
use batteuse_kernel::arch::{self, Carry, Marks, Path as Instructions, Structure};
use batteuse_kernel::automaton::Automaton;
use batteuse_kernel::digest::RowDigester;
use batteuse_kernel::partition::{PartitionParse, Plan, Progress};
use batteuse_shared::limits::{
    BATCH_BYTES_MAX, BATCH_FIELDS_MAX, BATCH_ROWS_MAX, INDEX_BYTES, READ_BYTES, RECORD_BYTES_MAX,
};
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Dialect, Encoding, Ragged};
use batteuse_shared::table::{Column, ColumnType, Digest};

use self::common::{bytes_asked, generate, schema, spread};

/// Pairs that are timed, after one that is not.
const PAIRS: usize = 5;

fn main() {
    let bytes = bytes_asked();
    let dir = tempfile::Builder::new().prefix("batteuse-bench-").tempdir().unwrap();
    println!("{bytes} a file, one thread, {PAIRS} pairs, medians");
    for shape in ["sirene", "taxi"] {
        let file = dir.path().join(format!("{shape}.csv"));
        generate(shape, &bytes, &file);
        let schema = schema(&file);
        let text = fs::read(&file).unwrap();
        index(shape, &text);
        typed(shape, &text, &schema);
        fs::remove_file(&file).unwrap();
    }
}

/// The structural index by every set of instructions, which must find the same.
fn index(shape: &str, text: &[u8]) {
    let mut first = None;
    for path in Instructions::available().into_iter().rev() {
        let found = indexed(path, text).1;
        assert_eq!(*first.get_or_insert(found), found, "{shape}: {} finds what the others find", path.name());
        let mut seconds: Vec<f64> = (0..PAIRS).map(|_| indexed(path, text).0).collect();
        let rate = text.len() as f64 / 1e9 / spread(&mut seconds)[1];
        println!("{shape:<7} structural index, {:<9} {rate:>6.2} GB/s", path.name());
    }
}

/// Seconds, and the number and the sum of the positions.
fn indexed(path: Instructions, text: &[u8]) -> (f64, (u64, u64)) {
    let marks = Marks { delimiter: b',', quote: Some(b'"'), escape: None };
    let (mut carry, mut out) = (Carry::record_start(), Structure::default());
    let (mut count, mut last) = (0, 0);
    let began = Instant::now();
    for window in text.chunks(INDEX_BYTES) {
        out.truncate(0);
        arch::index(path, marks, window, 0, &mut carry, &mut out).expect("the generated files are regular");
        count += out.ends.len() as u64;
        last += u64::from(out.ends.last().copied().unwrap_or_default());
    }
    (began.elapsed().as_secs_f64(), (count, last))
}

/// Typed CSV to Arrow, all columns.
fn typed(shape: &str, text: &[u8], schema: &SchemaRef) {
    let (mut mine, mut theirs) = (RowDigester::new(schema).unwrap(), RowDigester::new(schema).unwrap());
    let rows = (ours(text, schema, |batch| mine.add(batch)), arrow(text, schema, |batch| theirs.add(batch)));
    assert_eq!((rows.0.1, mine.digest()), (rows.1.1, theirs.digest()), "{shape}: both must read the same rows");
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let nothing = |_: &RecordBatch| Digest::default();
    for _ in 0..PAIRS {
        let (x, y) = (ours(text, schema, nothing).0, arrow(text, schema, nothing).0);
        a.push(x);
        b.push(y);
        ratios.push(y / x);
    }
    let rate = |seconds: &mut [f64]| text.len() as f64 / 1e9 / spread(seconds)[1];
    let (ours, peer, ratio) = (rate(&mut a), rate(&mut b), spread(&mut ratios));
    println!(
        "{shape:<7} typed, {} columns, {} rows: {ours:.3} GB/s, arrow-csv {peer:.3} GB/s, ratio {:.2} / {:.2} / {:.2}",
        schema.fields().len(),
        rows.0.1,
        ratio[0],
        ratio[1],
        ratio[2],
    );
}

fn column_type(data_type: &DataType) -> ColumnType {
    match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int64 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Float64,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::Timestamp,
        _ => ColumnType::Text,
    }
}

/// Seconds and rows of the kernel.
fn ours(text: &[u8], schema: &SchemaRef, mut take: impl FnMut(&RecordBatch) -> Digest) -> (f64, usize) {
    let header = text.iter().position(|&byte| byte == b'\n').unwrap() as u64 + 1;
    let column = |field: &arrow_schema::FieldRef| Column {
        name: field.name().clone(),
        ctype: column_type(field.data_type()),
        declared: false,
        nulls: vec![String::new()],
    };
    let dialect = Dialect {
        delimiter: b",".to_vec(),
        quote: Some(b'"'),
        escape: None,
        comment: None,
        encoding: Encoding::Utf8,
        decimal: b'.',
    };
    let start = Some(Automaton::new(&dialect, RECORD_BYTES_MAX).record_start());
    let began = Instant::now();
    let mut parse = PartitionParse::new(Plan {
        dialect,
        ragged: Ragged::Reject,
        columns: schema.fields().iter().map(column).collect(),
        range: Span::new(header, text.len() as u64),
        source_bytes: text.len() as u64,
        start,
        record_bytes_max: RECORD_BYTES_MAX,
        read_bytes: READ_BYTES,
        batch_rows_max: BATCH_ROWS_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
        batch_fields_max: BATCH_FIELDS_MAX,
        index_bytes: INDEX_BYTES,
        path: Instructions::best(),
    });
    let mut rows = 0;
    loop {
        match parse.step() {
            Progress::Wants { offset, bytes } => {
                parse.space().copy_from_slice(&text[offset as usize..][..bytes]);
                parse.filled(bytes);
            }
            Progress::Batch(batch) => {
                assert!(batch.rejects.is_empty());
                let batch = batch.rows.expect("the types fit");
                rows += batch.num_rows();
                take(&batch);
            }
            Progress::Done(_) => return (began.elapsed().as_secs_f64(), rows),
        }
    }
}

/// Seconds and rows of arrow-csv.
fn arrow(text: &[u8], schema: &SchemaRef, mut take: impl FnMut(&RecordBatch) -> Digest) -> (f64, usize) {
    let began = Instant::now();
    let builder = ReaderBuilder::new(schema.clone()).with_header(true).with_batch_size(8_192);
    let mut rows = 0;
    for batch in builder.build_buffered(Cursor::new(text)).unwrap() {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        take(&batch);
    }
    (began.elapsed().as_secs_f64(), rows)
}
