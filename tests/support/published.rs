//! What a run leaves in its output folder, read with nothing of ours in between but the digest's definition.
//!
//! Invariant: it reads files as any Parquet or JSON reader would, in source order; it starts no process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use batteuse_kernel::digest::RowDigester;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// The published parts of an output folder, in source order, and those in its folders by values behind each other.
pub fn parts(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut parts = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.file_name().unwrap().to_str() {
            Some(name) if name.starts_with("part-") => parts.push(path),
            Some(name) if name.contains('=') && path.is_dir() => parts.extend(self::parts(&path)),
            _ => {}
        }
    }
    parts.sort();
    parts
}

/// A file of the run in `dir` that was the last to begin: `report.json`, `rejects.parquet`, `manifest.json`.
pub fn run_file(dir: &Path, name: &str) -> PathBuf {
    let runs = fs::read_dir(dir.join("_batteuse/runs")).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    // A run's name ends with the time of its admission.
    let newest = runs.map(|run| run.unwrap().path()).max_by_key(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        name.rsplit('-').nth(1).unwrap_or_default().to_owned()
    });
    newest.expect("a run").join(name)
}

/// A JSON file.
pub fn json_file(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A Parquet file: its schema, and all its batches.
pub fn parquet(path: &Path) -> (SchemaRef, Vec<RecordBatch>) {
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let schema = builder.schema().clone();
    (schema, builder.build().unwrap().map(Result::unwrap).collect())
}

/// A published table as its files hold it. Rows are in source order, values as text, null is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names and types, as a spec writes them.
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Recomputed from the rows of the files.
    pub digest: String,
}

impl Table {
    /// The type of a column.
    #[track_caller]
    pub fn type_of(&self, column: &str) -> &str {
        let found = self.columns.iter().find(|(name, _)| name == column);
        &found.unwrap_or_else(|| panic!("no column {column} in {:?}", self.columns)).1
    }
}

/// Reads every part of `dir`; all must have one schema. Of parts in folders by values the columns are those of the files and then those
/// that the folders tell, rows are sorted, and the digest, which is over the columns in the table's order, is as the manifest says.
pub fn table(dir: &Path) -> Table {
    let parts = parts(dir);
    if parts.iter().any(|part| part.parent() != Some(dir)) {
        return table_in_folders(dir, &parts);
    }
    assert!(!parts.is_empty(), "{} holds no part", dir.display());
    let mut table: Option<(Table, RowDigester)> = None;
    for part in &parts {
        let (schema, batches) = parquet(part);
        let columns: Vec<_> = schema.fields().iter().map(|f| (f.name().clone(), type_name(f.data_type()))).collect();
        let (table, digester) = table.get_or_insert_with(|| {
            let digester = RowDigester::new(&schema).unwrap();
            (Table { columns: columns.clone(), rows: Vec::new(), digest: String::new() }, digester)
        });
        assert_eq!(table.columns, columns, "{}: all parts have one schema", part.display());
        for batch in &batches {
            digester.add(batch);
            table.rows.extend(rows(batch));
        }
    }
    let (table, digester) = table.expect("there is a part");
    Table { digest: digester.digest().to_string(), ..table }
}

fn table_in_folders(dir: &Path, parts: &[PathBuf]) -> Table {
    let success = json_file(&dir.join("_SUCCESS"));
    let manifest = json_file(&dir.join(success["manifest"].as_str().unwrap()));
    let by: Vec<&str> = manifest["partitionBy"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut table =
        Table { columns: Vec::new(), rows: Vec::new(), digest: success["digest"].as_str().unwrap().to_owned() };
    for part in parts {
        let folder = part.parent().unwrap().strip_prefix(dir).unwrap().to_str().unwrap();
        let pairs: Vec<_> = folder.split('/').map(|pair| pair.split_once('=').unwrap()).collect();
        assert_eq!(pairs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), by, "{folder}");
        let (schema, batches) = parquet(part);
        let columns = schema.fields().iter().map(|f| (f.name().clone(), type_name(f.data_type())));
        let columns: Vec<_> = columns.chain(by.iter().map(|&name| (name.to_owned(), "folder".to_owned()))).collect();
        assert!(table.columns.is_empty() || table.columns == columns, "{}: all parts have one schema", part.display());
        table.columns = columns;
        let values = pairs.iter().map(|(_, value)| (*value != "__HIVE_DEFAULT_PARTITION__").then(|| plain(value)));
        let values: Vec<_> = values.collect();
        let whole = |row: Vec<Option<String>>| row.into_iter().chain(values.iter().cloned()).collect();
        table.rows.extend(batches.iter().flat_map(rows).map(whole));
    }
    table.rows.sort();
    table
}

/// A value without the escapes of a folder's name.
fn plain(value: &str) -> String {
    let mut pieces = value.split('%');
    let mut out = pieces.next().unwrap().to_owned();
    for piece in pieces {
        out.push(char::from(u8::from_str_radix(&piece[..2], 16).unwrap()));
        out.push_str(&piece[2..]);
    }
    out
}

/// A type in the words of a spec.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamptz".to_owned(),
        DataType::Utf8 => "text".to_owned(),
        DataType::Binary => "binary".to_owned(),
        other => panic!("no column of ours has the type {other}"),
    }
}

/// The rows of a batch as text: numbers as Rust writes them, dates and times as ISO 8601, bytes in hexadecimal.
fn rows(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let columns: Vec<Vec<Option<String>>> = batch.columns().iter().map(|column| cells(column)).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

fn cells(column: &dyn arrow_array::Array) -> Vec<Option<String>> {
    fn texts<T: ToString>(values: impl IntoIterator<Item = Option<T>>) -> Vec<Option<String>> {
        values.into_iter().map(|value| value.map(|v| v.to_string())).collect()
    }
    match column.data_type() {
        DataType::Boolean => texts(column.as_boolean()),
        DataType::Int32 => texts(column.as_primitive::<Int32Type>()),
        DataType::Int64 => texts(column.as_primitive::<Int64Type>()),
        DataType::Float64 => texts(column.as_primitive::<Float64Type>()),
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            texts(column.as_primitive::<Decimal128Type>().iter().map(|v| v.map(|v| format!("{v}e-{scale}"))))
        }
        DataType::Date32 => texts(column.as_primitive::<Date32Type>().iter().map(|v| v.map(date))),
        DataType::Timestamp(..) => texts(column.as_primitive::<TimestampMicrosecondType>().iter().map(|v| v.map(time))),
        DataType::Binary => {
            let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
            texts(column.as_binary::<i32>().iter().map(|v| v.map(hex)))
        }
        _ => texts(column.as_string::<i32>()),
    }
}

fn date(days: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.checked_add(jiff::Span::new().days(days)).unwrap().to_string()
}

fn time(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap().to_string()
}

/// Every row and every column of a `rejects.parquet`, but `source` where it is `source`.
pub fn rejects(path: &Path) -> (Vec<String>, Vec<Vec<Option<String>>>) {
    let (schema, batches) = parquet(path);
    (schema.fields().iter().map(|f| f.name().clone()).collect(), batches.iter().flat_map(rows).collect())
}

/// Every file under `dir` by its path in it, with its bytes.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}
