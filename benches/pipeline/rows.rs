//! What lies in Parquet files, whoever wrote them: how many rows, and the digest of their names, types and values.
//!
//! The types are those of Parquet: what a writer noted of its own (large texts, views) is passed over.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use batteuse_kernel::digest::RowDigester;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

/// Rows, and their digest in words.
pub type Table = (u64, String);

/// The table in a file, or in the files of a folder.
pub fn table(path: &Path) -> Table {
    let (mut rows, mut digester) = (0, None);
    for file in files(path) {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let file = File::open(file).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap().build().unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let (schema, digester) =
                digester.get_or_insert_with(|| (batch.schema(), RowDigester::new(&batch.schema()).unwrap()));
            assert_eq!(schema.fields(), batch.schema().fields(), "all files have one schema");
            digester.add(&batch);
            rows += batch.num_rows() as u64;
        }
    }
    let (_, digester) = digester.expect("there are rows");
    (rows, digester.digest().to_string())
}

/// Bytes of the files.
pub fn bytes(path: &Path) -> u64 {
    files(path).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect()
}
