//! The Parquet form of parts and rejects, written and read back: the only file that names the format.
//!
//! Invariant: what is written is a function of the batches and the settings, and a row group holds at most
//! [`ROW_GROUP_BYTES_MAX`] bytes and one batch in memory, encoded or not, so that whoever reads it back is bounded too.

mod coded;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Fields, SchemaRef};
use batteuse_shared::ids::RunId;
use batteuse_shared::limits::{BATCH_ROWS_MAX, DICTIONARY_COLUMNS_MAX, ROW_GROUP_BYTES_MAX, ROW_GROUP_ROWS_MAX};
use batteuse_shared::spec::Compression;
use batteuse_shared::table::Checksum;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use self::coded::CodedColumn;
use crate::stage::{StageError, StagedFile, StagingDir};

/// Key of the run's id in a file's metadata.
pub const RUN_KEY: &str = "batteuse.run";

/// The form `application version number` is the specification's: parquet-mr trusts no statistics of a writer whose name
/// it cannot read.
const CREATED_BY: &str = concat!("batteuse version ", env!("CARGO_PKG_VERSION"));

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The staging folder could not be used.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The encoder or the disk below it failed.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
    /// The file could not be opened.
    #[error("cannot open {path}", path = path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no Parquet file, is damaged, or the disk below it failed.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
}

/// Encodes batches into a staged file that is created when its first row comes.
pub struct Encoder<'a> {
    staging: &'a StagingDir,
    key: String,
    schema: SchemaRef,
    codec: Codec,
    properties: WriterProperties,
    file: Option<OpenFile>,
    rows: u64,
}

/// The file, and the row group under way.
struct OpenFile {
    file: SerializedFileWriter<StagedFile>,
    factory: ArrowRowGroupWriterFactory,
    /// None before the group's first batch.
    columns: Vec<ColumnEncoder>,
    rows: usize,
    /// Bytes in memory of the batches in it.
    batch_bytes: usize,
}

/// A column of the row group under way.
enum ColumnEncoder {
    Plain(Box<ArrowColumnWriter>),
    /// Of texts that came with codes at first.
    Coded(Box<CodedColumn>),
}

impl ColumnEncoder {
    fn write(&mut self, field: &Field, array: &ArrayRef) -> Result<(), ParquetError> {
        match self {
            Self::Coded(column) => column.append(array),
            Self::Plain(column) => compute_leaves(field, array)?.iter().try_for_each(|leaf| column.write(leaf)),
        }
    }

    /// Bytes encoded so far, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Coded(column) => column.bytes(),
            Self::Plain(column) => column.get_estimated_total_bytes(),
        }
    }
}

impl OpenFile {
    fn new(file: StagedFile, schema: SchemaRef, properties: WriterProperties) -> Result<Self, ParquetError> {
        let (file, factory) = ArrowWriter::try_new(file, schema, Some(properties))?.into_serialized_writer()?;
        Ok(Self { file, factory, columns: Vec::new(), rows: 0, batch_bytes: 0 })
    }

    fn write(&mut self, batch: &RecordBatch, codec: Codec) -> Result<(), ParquetError> {
        let bytes = batch.get_array_memory_size();
        let rows = self.rows + batch.num_rows();
        if rows > ROW_GROUP_ROWS_MAX || self.batch_bytes + bytes > ROW_GROUP_BYTES_MAX {
            self.end_group()?;
        }
        if self.columns.is_empty() {
            self.begin_group(batch, codec)?;
        }
        let schema = batch.schema();
        let given = std::iter::zip(schema.fields(), batch.columns());
        for (column, (field, array)) in std::iter::zip(&mut self.columns, given) {
            column.write(field, array)?;
        }
        self.rows += batch.num_rows();
        self.batch_bytes += bytes;
        if self.columns.iter().map(ColumnEncoder::bytes).sum::<usize>() >= ROW_GROUP_BYTES_MAX {
            self.end_group()?;
        }
        Ok(())
    }

    fn begin_group(&mut self, batch: &RecordBatch, codec: Codec) -> Result<(), ParquetError> {
        let plain = self.factory.create_column_writers(self.file.flushed_row_groups().len())?;
        let described = self.file.schema_descr().columns();
        for ((array, plain), column) in std::iter::zip(batch.columns(), plain).zip(described) {
            self.columns.push(match array.data_type() {
                DataType::Dictionary(..) => ColumnEncoder::Coded(Box::new(CodedColumn::new(column.clone(), codec)?)),
                _ => ColumnEncoder::Plain(Box::new(plain)),
            });
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in self.columns.drain(..) {
            match column {
                ColumnEncoder::Plain(column) => column.close()?.append_to_row_group(&mut group)?,
                ColumnEncoder::Coded(column) => {
                    let (chunk, close) = column.close()?;
                    group.append_column(&chunk, close)?;
                }
            }
        }
        group.close()?;
        (self.rows, self.batch_bytes) = (0, 0);
        Ok(())
    }

    fn finish(mut self) -> Result<StagedFile, ParquetError> {
        self.end_group()?;
        self.file.into_inner()
    }
}

/// A staged file, complete and durable, that is removed unless it is kept.
#[derive(Debug)]
pub struct Sealed {
    file: StagedFile,
    /// Rows in it.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// sha256 of its bytes.
    pub sha256: Checksum,
}

impl Sealed {
    /// Leaves the file in the staging folder and tells its name there.
    pub fn keep(self) -> String {
        self.file.keep()
    }
}

impl<'a> Encoder<'a> {
    /// An encoder into the file `key`, which is not created yet.
    ///
    /// # Errors
    /// When Zstandard has no such level.
    pub fn new(
        staging: &'a StagingDir,
        key: String,
        schema: SchemaRef,
        compression: Compression,
        run: &RunId,
    ) -> Result<Self, EncodeError> {
        let codec = match compression {
            Compression::None => Ok(Codec::UNCOMPRESSED),
            Compression::Snappy => Ok(Codec::SNAPPY),
            Compression::Zstd(level) => ZstdLevel::try_new(i32::from(level)).map(Codec::ZSTD),
        };
        let codec = codec.map_err(|source| EncodeError::Write { path: staging.path_of(&key), source })?;
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(RUN_KEY.to_owned(), run.to_string())]))
            .set_compression(codec)
            .set_dictionary_enabled(schema.fields().len() <= DICTIONARY_COLUMNS_MAX)
            // Statistics of every page, in the page index: readers skip pages without touching them.
            .set_statistics_enabled(EnabledStatistics::Page)
            .build();
        Ok(Self { staging, key, schema, codec, properties, file: None, rows: 0 })
    }

    /// Encodes the rows of `batch`, which is of the encoder's schema.
    ///
    /// # Errors
    /// When the file cannot be created or written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let codec = self.codec;
        let written = self.open()?.write(batch, codec);
        written.map_err(|source| EncodeError::Write { path: self.path(), source })?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Creates the file even if no row comes: it will have the schema.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(&mut self) -> Result<(), EncodeError> {
        self.open().map(|_| ())
    }

    /// Completes the file and makes its content durable; none when none was created.
    ///
    /// # Errors
    /// When it cannot be written; then it is removed.
    pub fn finish(mut self) -> Result<Option<Sealed>, EncodeError> {
        let Some(file) = self.file.take() else { return Ok(None) };
        let path = self.path();
        let mut file = file.finish().map_err(|source| EncodeError::Write { path, source })?;
        let (bytes, sha256) = file.seal()?;
        Ok(Some(Sealed { file, rows: self.rows, bytes, sha256 }))
    }

    fn path(&self) -> PathBuf {
        self.staging.path_of(&self.key)
    }

    fn open(&mut self) -> Result<&mut OpenFile, EncodeError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = self.staging.create(self.key.clone())?;
                let made = OpenFile::new(file, self.schema.clone(), self.properties.clone());
                made.map_err(|source| EncodeError::Write { path: self.path(), source })?
            }
        };
        Ok(self.file.insert(file))
    }
}

/// Reads a file back, batch by batch, one row group after the other: no batch is larger than a row group.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    /// The next row group to read.
    group: usize,
    batches: Option<ParquetRecordBatchReader>,
}

impl Reader {
    /// Opens the Parquet file at `path`.
    ///
    /// # Errors
    /// When there is none, or it has no readable footer.
    pub fn open(path: &Path) -> Result<Self, EncodeError> {
        let file = File::open(path).map_err(|source| EncodeError::Open { path: path.to_owned(), source })?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        let metadata = metadata.map_err(|source| EncodeError::Read { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, metadata, group: 0, batches: None })
    }

    /// Columns of the batches.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        self.metadata.schema().fields()
    }

    fn next_group(&mut self) -> Result<ParquetRecordBatchReader, ParquetError> {
        let group = self.group;
        self.group += 1;
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone())
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS_MAX)
            .build()
    }

    fn read(&mut self) -> Result<Option<RecordBatch>, ParquetError> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                return Ok(Some(batch?));
            }
            if self.group == self.metadata.metadata().num_row_groups() {
                return Ok(None);
            }
            self.batches = Some(self.next_group()?);
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, EncodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().map_err(|source| EncodeError::Read { path: self.path.clone(), source });
        if read.is_err() {
            // What follows a damaged row group is not to be trusted.
            (self.group, self.batches) = (self.metadata.metadata().num_row_groups(), None);
        }
        read.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use batteuse_shared::layout;
    use batteuse_shared::location::url_of_dir;
    use batteuse_shared::task::Staging;
    use parquet::file::properties::ReaderProperties;
    use parquet::file::reader::FileReader;
    use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

    fn staging() -> (tempfile::TempDir, StagingDir) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(layout::STAGING_NONCE), "n").unwrap();
        let entered =
            StagingDir::enter(&Staging { url: url_of_dir(dir.path()).unwrap(), nonce: "n".to_owned() }).unwrap();
        (dir, entered)
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
            let path = staging.path_of(&sealed.file.path().file_name().unwrap().to_string_lossy());
            assert_eq!((sealed.rows, sealed.bytes), (8, fs::metadata(&path).unwrap().len()));
            let reader = Reader::open(&path).unwrap();
            assert_eq!(reader.fields(), one.schema().fields());
            let read: Vec<_> = reader.map(Result::unwrap).collect();
            assert_eq!(read, [arrow_select::concat::concat_batches(&one.schema(), [&one, &two]).unwrap()]);
        }
        let (_dir, staging) = staging();
        let refused = Encoder::new(&staging, "p".to_owned(), batch(0, 1, "").schema(), Compression::Zstd(99), &run());
        assert!(matches!(refused.err(), Some(EncodeError::Write { .. })));
    }

    #[test]
    fn the_file_names_its_writer_and_run_and_has_a_page_index() {
        let (_dir, staging) = staging();
        let rows = batch(0, 5, "a");
        let mut encoder = Encoder::new(&staging, "p".to_owned(), rows.schema(), Compression::Zstd(3), &run()).unwrap();
        encoder.write(&rows).unwrap();
        encoder.finish().unwrap().unwrap().keep();
        let options = ReadOptionsBuilder::new().with_page_index();
        let options = options.with_reader_properties(ReaderProperties::builder().build()).build();
        let file = File::open(staging.path_of("p")).unwrap();
        let reader = SerializedFileReader::new_with_options(file, options).unwrap();
        let about = reader.metadata().file_metadata();
        assert_eq!(about.created_by(), Some(CREATED_BY));
        let keys = about.key_value_metadata().unwrap();
        assert!(keys.contains(&KeyValue::new(RUN_KEY.to_owned(), "job-1".to_owned())), "{keys:?}");
        assert!(reader.metadata().column_index().is_some() && reader.metadata().offset_index().is_some());
    }

    #[test]
    fn a_file_is_created_by_its_first_row_or_on_demand_and_removed_when_dropped() {
        let (dir, staging) = staging();
        let rows = batch(0, 1, "a");
        let new = || Encoder::new(&staging, "p".to_owned(), rows.schema(), Compression::Snappy, &run()).unwrap();
        let files = || fs::read_dir(dir.path()).unwrap().count() - 1;
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
        assert_eq!((sealed.rows, sealed.keep().as_str(), files()), (0, "p", 1));
        let mut reader = Reader::open(&staging.path_of("p")).unwrap();
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
        for read in Reader::open(&staging.path_of("p")).unwrap() {
            let read = read.unwrap();
            assert!(read.num_rows() <= 8, "{}", read.num_rows());
            ids.extend_from_slice(read.column(0).as_primitive::<Int64Type>().values());
        }
        assert_eq!(ids, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_cut_short_is_an_error_that_names_it() {
        let (dir, staging) = staging();
        let path = dir.path().join("cut");
        fs::write(&path, "PAR1").unwrap();
        assert!(matches!(Reader::open(&path), Err(EncodeError::Read { path: named, .. }) if named == path));
        assert!(matches!(Reader::open(&staging.path_of("none")), Err(EncodeError::Open { .. })));
    }
}
