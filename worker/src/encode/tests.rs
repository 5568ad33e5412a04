//! Tests of writing and reading Parquet files.

use super::*;
use std::fs::{self, File};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use batteuse_shared::layout;
use batteuse_shared::location::url_of_dir;
use batteuse_shared::task::{SourceVersion, Staging};
use batteuse_store::Stores;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use sha2::{Digest as _, Sha256};

fn staging() -> (tempfile::TempDir, StagingDir) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(layout::staging_dir(&run()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(layout::STAGING_NONCE), "n").unwrap();
    let staging = Staging { output_url: url_of_dir(dir.path()).unwrap(), nonce: "n".to_owned() };
    let entered = StagingDir::enter(&staging, &run(), &Stores::new([])).unwrap();
    (dir, entered)
}

fn reader(staging: &StagingDir, key: &str) -> Result<Reader, EncodeError> {
    Reader::open(staging.output(), &staging.path_of(key))
}

fn batch(from: i64, rows: i64, text: &str) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|_| text)));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("text", texts, true)]).unwrap()
}

fn run() -> RunId {
    RunId::new("job-1").unwrap()
}

#[test]
fn what_is_written_is_read_back_under_every_compression() {
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd(1), Compression::Zstd(22)] {
        let (_dir, staging) = staging();
        let (one, two) = (batch(0, 5, "a"), batch(5, 3, "\u{e9}"));
        let mut encoder = Encoder::new(&staging, "p.tmp".to_owned(), one.schema(), compression, &run()).unwrap();
        encoder.write(&one).unwrap();
        encoder.write(&one.slice(0, 0)).unwrap();
        encoder.write(&two).unwrap();
        let sealed = encoder.finish().unwrap().unwrap();
        let path = sealed.file.place().to_owned();
        assert_eq!((sealed.rows, sealed.bytes), (8, fs::metadata(&path).unwrap().len()));
        let reader = reader(&staging, "p.tmp").unwrap();
        assert_eq!(reader.fields(), one.schema().fields());
        let read: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(read, [arrow_select::concat::concat_batches(&one.schema(), [&one, &two]).unwrap()]);
    }
    let (_dir, staging) = staging();
    let refused = Encoder::new(&staging, "p".to_owned(), batch(0, 1, "").schema(), Compression::Zstd(99), &run());
    assert!(matches!(refused.err(), Some(EncodeError::Write { .. })));
}

#[test]
fn columns_that_may_not_be_null_come_back_too() {
    let (_dir, staging) = staging();
    let columns = batch(0, 5, "a").columns().to_vec();
    let rows = [("id", columns[0].clone(), false), ("text", columns[1].clone(), false)];
    let rows = RecordBatch::try_from_iter_with_nullable(rows).unwrap();
    let mut encoder = Encoder::new(&staging, "p".to_owned(), rows.schema(), Compression::Zstd(3), &run()).unwrap();
    encoder.write(&rows).unwrap();
    encoder.finish().unwrap().unwrap().keep();
    assert_eq!(reader(&staging, "p").unwrap().map(Result::unwrap).collect::<Vec<_>>(), [rows]);
}

#[test]
fn the_file_names_its_writer_and_run_and_has_a_page_index() {
    let (_dir, staging) = staging();
    let rows = batch(0, 5, "a");
    let mut encoder = Encoder::new(&staging, "p".to_owned(), rows.schema(), Compression::Zstd(3), &run()).unwrap();
    let version = SourceVersion { inode: 1, mtime_ns: 2, bytes: 3 };
    encoder.read_from(&SourceRef { url: "file:///s.csv".to_owned(), version });
    encoder.write(&rows).unwrap();
    encoder.finish().unwrap().unwrap().keep();
    let options = ReadOptionsBuilder::new().with_page_index();
    let options = options.with_reader_properties(ReaderProperties::builder().build()).build();
    let file = File::open(staging.place("p")).unwrap();
    let reader = SerializedFileReader::new_with_options(file, options).unwrap();
    let about = reader.metadata().file_metadata();
    assert_eq!(about.created_by(), Some(CREATED_BY));
    let keys = about.key_value_metadata().unwrap();
    let source = r#"{"url":"file:///s.csv","version":{"inode":1,"mtimeNs":2,"bytes":3}}"#;
    let schema = format!("{:x}", Sha256::digest(r#"[["id","int64"],["text","text"]]"#));
    for (key, value) in [(RUN_KEY, "job-1"), (SOURCE_KEY, source), (SCHEMA_KEY, &schema)] {
        assert!(keys.contains(&KeyValue::new(key.to_owned(), value.to_owned())), "{key}: {keys:?}");
    }
    assert!(reader.metadata().column_index().is_some() && reader.metadata().offset_index().is_some());
}

#[test]
fn a_file_is_created_by_its_first_row_or_on_demand_and_removed_when_dropped() {
    let (dir, staging) = staging();
    let rows = batch(0, 1, "a");
    let new = || Encoder::new(&staging, "p".to_owned(), rows.schema(), Compression::Snappy, &run()).unwrap();
    let files = || fs::read_dir(dir.path().join(layout::staging_dir(&run()))).unwrap().count() - 1;
    assert!(new().finish().unwrap().is_none());
    assert_eq!(files(), 0);
    let mut dropped = new();
    dropped.write(&rows).unwrap();
    assert_eq!(files(), 1);
    drop(dropped);
    assert_eq!(files(), 0);
    let mut empty = new();
    empty.create().unwrap();
    let sealed = empty.finish().unwrap().unwrap();
    assert_eq!((sealed.rows, sealed.keep().0.as_str(), files()), (0, "p", 1));
    let mut reader = reader(&staging, "p").unwrap();
    assert_eq!(reader.fields(), rows.schema().fields());
    assert!(reader.next().is_none());
}

#[test]
fn a_row_group_is_bounded_in_memory_however_well_it_compresses() {
    let (_dir, staging) = staging();
    let wide = "x".repeat(ROW_GROUP_BYTES_MAX / 8);
    let mut encoder =
        Encoder::new(&staging, "p".to_owned(), batch(0, 1, "").schema(), Compression::Zstd(1), &run()).unwrap();
    for at in 0..20 {
        encoder.write(&batch(at, 1, &wide)).unwrap();
    }
    let sealed = encoder.finish().unwrap().unwrap();
    assert!(sealed.bytes < ROW_GROUP_BYTES_MAX as u64 / 100, "it compresses well: {}", sealed.bytes);
    let mut ids = Vec::new();
    for read in reader(&staging, "p").unwrap() {
        let read = read.unwrap();
        assert!(read.num_rows() <= 8, "{}", read.num_rows());
        ids.extend_from_slice(read.column(0).as_primitive::<Int64Type>().values());
    }
    assert_eq!(ids, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_file_cut_short_is_an_error_that_names_it() {
    let (dir, staging) = staging();
    let path = dir.path().join(layout::staging_dir(&run())).join("cut");
    fs::write(&path, "PAR1").unwrap();
    assert!(matches!(reader(&staging, "cut"), Err(EncodeError::Read { path: named, .. }) if named == path));
    assert!(matches!(reader(&staging, "none"), Err(EncodeError::Open { .. })));
}

#[test]
fn a_row_group_of_many_columns_ends_when_its_dictionaries_take_the_memory() {
    let (columns, rows, batches) = (110, 10_000_i64, 12_i64);
    // Three of four values are new: a dictionary is made of them, and what finds them takes more than they do.
    let value = |i: i64| (i - i % 4 / 3) as f64;
    let column = |from: i64| -> ArrayRef { Arc::new(Float64Array::from_iter_values((from..from + rows).map(value))) };
    let names: Vec<String> = (0..columns).map(|i| format!("c{i}")).collect();
    let wide = |from: i64| {
        let columns = names.iter().map(|name| (name, column(from), true));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let (_dir, staging) = staging();
    let mut encoder = Encoder::new(&staging, "p".to_owned(), wide(0).schema(), Compression::Zstd(1), &run()).unwrap();
    let mut most = 0;
    for at in 0..batches {
        encoder.write(&wide(at * rows)).unwrap();
        most = most.max(encoder.file.as_ref().unwrap().memory());
    }
    assert!(most < ROW_GROUP_MEMORY_BYTES_MAX, "what is left open is below the cap: {most}");
    encoder.finish().unwrap().unwrap().keep();
    let file = SerializedFileReader::new(File::open(staging.place("p")).unwrap()).unwrap();
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    // All the rows would fit one row group by their number and by their bytes.
    let raw = (rows * batches) as usize * columns * size_of::<f64>();
    assert!(groups.len() > 1 && raw < ROW_GROUP_BYTES_MAX, "{groups:?}");
    assert_eq!(groups.iter().sum::<i64>(), rows * batches);
}

#[test]
fn a_file_does_not_depend_on_who_helped() {
    let columns = 12;
    let column = |at: usize, from: i64| -> (String, ArrayRef) {
        let ids = move |i: i64| (i + 1).wrapping_mul(0x5851_f42d_4c95_7f2d >> at | 1);
        let rows = from..from + 7_000;
        let array: ArrayRef = match at % 4 {
            0 => Arc::new(Int64Array::from_iter_values(rows.map(ids))),
            1 => Arc::new(Float64Array::from_iter(rows.map(|i| (i % 5 > 0).then(|| ids(i % 400) as f64)))),
            2 => Arc::new(StringArray::from_iter(rows.map(|i| (i % 7 > 0).then(|| format!("{:x}", ids(i / 3)))))),
            // In the crate's hands.
            _ => Arc::new(BooleanArray::from_iter(rows.map(|i| Some(ids(i) % 3 == 0)))),
        };
        (format!("c{at}"), array)
    };
    let batch = |from: i64| {
        let columns = (0..columns).map(|at| column(at, from)).map(|(name, array)| (name, array, true));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let written = |slots: Option<Arc<Slots>>| {
        let (_dir, staging) = staging();
        let schema = batch(0).schema();
        let mut encoder = Encoder::new(&staging, "p".to_owned(), schema, Compression::Zstd(3), &run()).unwrap();
        slots.into_iter().for_each(|slots| encoder.helped_by(slots));
        (0..6).for_each(|at| encoder.write(&batch(at * 7_000)).unwrap());
        // More than one row group.
        encoder.end_group().unwrap();
        encoder.write(&batch(42_000)).unwrap();
        let sealed = encoder.finish().unwrap().unwrap();
        fs::read(sealed.file.place()).unwrap()
    };
    let alone = written(None);
    for slots in [1, 2, 5] {
        assert!(written(Some(Arc::new(Slots::new(slots)))) == alone, "{slots} slots");
    }
}
