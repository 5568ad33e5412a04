//! What a Parquet file says of itself beside its rows: key-value metadata of the whole file.
//!
//! Invariant: it is a function of the run, the source's version and the columns, so an attempt that is made again writes the same.

use arrow_schema::{DataType, Fields};
use batteuse_kernel::digest::column_type;
use batteuse_shared::ids::RunId;
use batteuse_shared::task::SourceRef;
use parquet::file::metadata::KeyValue;
use sha2::{Digest as _, Sha256};

/// Key of the run's id.
pub const RUN_KEY: &str = "batteuse.run";
/// Key of the source and its version: JSON, as the manifest has it.
pub const SOURCE_KEY: &str = "batteuse.source";
/// Key of the schema's hash: sha256, in hexadecimal, of the columns as JSON without spaces: `[["name","type"],...]`, in the file's
/// order, types in the words of a spec.
pub const SCHEMA_KEY: &str = "batteuse.schema";

/// What a file of `run` with these columns says of itself.
pub(super) fn metadata(run: &RunId, columns: &Fields) -> Vec<KeyValue> {
    let named: Vec<_> = columns.iter().map(|column| (column.name(), word(column.data_type()))).collect();
    let json = serde_json::to_vec(&named).expect("texts serialise");
    let hash = format!("{:x}", Sha256::digest(json));
    vec![KeyValue::new(RUN_KEY.to_owned(), run.to_string()), KeyValue::new(SCHEMA_KEY.to_owned(), hash)]
}

/// What a file of a source's rows says besides.
pub(super) fn of_source(source: &SourceRef) -> KeyValue {
    let json = serde_json::to_string(source).expect("plain values with text keys serialise");
    KeyValue::new(SOURCE_KEY.to_owned(), json)
}

/// A type in the words of a spec; `int32` and `binary`, which only rejects have, as they are called elsewhere.
fn word(data_type: &DataType) -> String {
    match data_type {
        DataType::Int32 => "int32".to_owned(),
        DataType::Binary => "binary".to_owned(),
        other => column_type(other).expect("every other column of ours is one of the output's").to_string(),
    }
}
