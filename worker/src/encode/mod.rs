//! The Parquet form of parts and rejects, written and read back: the only place that names the format.
//!
//! Invariant: what is written is a function of the batches and the settings, and a row group holds at most
//! [`ROW_GROUP_BYTES_MAX`] bytes and one batch in memory, encoded or not, so that whoever reads it back is bounded too; whoever
//! writes it holds at most [`ROW_GROUP_MEMORY_BYTES_MAX`] and what one batch adds.

mod about;
mod chunk;
mod delta;
mod fixed;
mod pages;
mod reader;
mod slots;
mod texts;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use batteuse_shared::ids::RunId;
use batteuse_shared::limits::{
    DICTIONARY_COLUMNS_MAX, ROW_GROUP_BYTES_MAX, ROW_GROUP_MEMORY_BYTES_MAX, ROW_GROUP_ROWS_MAX,
};
use batteuse_shared::spec::Compression;
use batteuse_shared::table::Checksum;
use batteuse_shared::task::{SourceRef, Upload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescPtr;

pub use self::about::{RUN_KEY, SCHEMA_KEY, SOURCE_KEY};
use self::chunk::{Compressor, Compressors};
use self::fixed::FixedColumn;
use self::pages::Pages;
pub use self::reader::Reader;
use self::texts::TextColumn;
use crate::slots::Slots;
use crate::stage::{StageError, StagedFile, StagingDir};

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
    published: Option<String>,
    about_source: Option<KeyValue>,
    schema: SchemaRef,
    compressors: Arc<Compressors>,
    slots: Option<Arc<Slots>>,
    properties: WriterProperties,
    /// Bytes of memory at which a row group ends.
    memory_max: usize,
    /// Whether the file is begun as late as can be, because it is one of many.
    late: bool,
    file: Option<OpenFile>,
    rows: u64,
}

/// The file, and the row group under way.
struct OpenFile {
    file: SerializedFileWriter<StagedFile>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Shared by the files of an attempt: what they work on is large.
    compressors: Arc<Compressors>,
    /// Whose idle ones encode columns too.
    slots: Option<Arc<Slots>>,
    /// Bytes of memory at which a row group ends.
    memory_max: usize,
    /// None before the group's first batch.
    columns: Vec<ColumnEncoder>,
    rows: usize,
    /// Bytes in memory of the batches in it.
    batch_bytes: usize,
}

/// A column of the row group under way.
enum ColumnEncoder {
    Texts(Box<TextColumn>),
    Longs(Box<FixedColumn<i64>>),
    Doubles(Box<FixedColumn<f64>>),
    Days(Box<FixedColumn<i32>>),
    /// Of another type, or without nulls: in the crate's hands.
    Other(Box<ArrowColumnWriter>),
}

impl ColumnEncoder {
    fn new(field: &Field, column: &ColumnDescPtr, dictionary: bool, other: ArrowColumnWriter) -> Self {
        match field.data_type() {
            // Our pages have levels, which a column without nulls has not.
            _ if !field.is_nullable() => Self::Other(Box::new(other)),
            DataType::Utf8 => Self::Texts(Box::new(TextColumn::new(column.clone(), dictionary))),
            DataType::Int64 | DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Longs(Box::new(FixedColumn::new(column.clone(), dictionary)))
            }
            DataType::Float64 => Self::Doubles(Box::new(FixedColumn::new(column.clone(), dictionary))),
            DataType::Date32 => Self::Days(Box::new(FixedColumn::new(column.clone(), dictionary))),
            _ => Self::Other(Box::new(other)),
        }
    }

    fn write(&mut self, field: &Field, array: &ArrayRef, compressor: &mut Compressor) -> Result<(), ParquetError> {
        match self {
            Self::Texts(column) => column.append(array, compressor),
            Self::Longs(column) => match array.as_primitive_opt::<Int64Type>() {
                Some(longs) => column.append(longs, compressor),
                None => column.append(array.as_primitive::<TimestampMicrosecondType>(), compressor),
            },
            Self::Doubles(column) => column.append(array.as_primitive::<Float64Type>(), compressor),
            Self::Days(column) => column.append(array.as_primitive::<Date32Type>(), compressor),
            Self::Other(column) => compute_leaves(field, array)?.iter().try_for_each(|leaf| column.write(leaf)),
        }
    }

    /// Bytes encoded so far, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Texts(column) => column.bytes(),
            Self::Longs(column) => column.bytes(),
            Self::Doubles(column) => column.bytes(),
            Self::Days(column) => column.bytes(),
            Self::Other(column) => column.get_estimated_total_bytes(),
        }
    }

    /// Bytes that it takes in memory, about.
    fn memory(&self) -> usize {
        match self {
            Self::Texts(column) => column.memory(),
            Self::Longs(column) => column.memory(),
            Self::Doubles(column) => column.memory(),
            Self::Days(column) => column.memory(),
            Self::Other(column) => column.memory_size(),
        }
    }

    fn close(self, compressor: &mut Compressor) -> Result<Closed, ParquetError> {
        let (chunk, close) = match self {
            Self::Texts(column) => column.close(compressor)?,
            Self::Longs(column) => column.close(compressor)?,
            Self::Doubles(column) => column.close(compressor)?,
            Self::Days(column) => column.close(compressor)?,
            Self::Other(column) => return Ok(Closed::Other(Box::new(column.close()?))),
        };
        Ok(Closed::Ours(chunk, Box::new(close)))
    }
}

/// A column of a row group that has ended.
enum Closed {
    Ours(Pages, Box<ColumnCloseResult>),
    Other(Box<ArrowColumnChunk>),
}

impl Closed {
    fn append_to<W: Write + Send>(self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        match self {
            Self::Ours(chunk, close) => group.append_column(&chunk, *close),
            Self::Other(chunk) => chunk.append_to_row_group(group),
        }
    }
}

/// Does all of `work`, where there are slots on idle ones too.
fn each<W: Send>(
    slots: Option<&Slots>,
    mut work: impl ExactSizeIterator<Item = W> + Send,
    act: impl Fn(W) -> Result<(), ParquetError> + Sync,
) -> Result<(), ParquetError> {
    match slots {
        Some(slots) => slots.each(work, act),
        None => work.try_for_each(act),
    }
}

impl OpenFile {
    fn new(
        file: StagedFile,
        schema: SchemaRef,
        properties: WriterProperties,
        compressors: Arc<Compressors>,
        slots: Option<Arc<Slots>>,
        memory_max: usize,
    ) -> Result<Self, ParquetError> {
        let (file, factory) = ArrowWriter::try_new(file, schema.clone(), Some(properties))?.into_serialized_writer()?;
        let columns = Vec::new();
        Ok(Self { file, factory, schema, compressors, slots, memory_max, columns, rows: 0, batch_bytes: 0 })
    }

    fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), ParquetError> {
        let rows = self.rows + batch.num_rows();
        if rows > ROW_GROUP_ROWS_MAX || self.batch_bytes + bytes > ROW_GROUP_BYTES_MAX {
            self.end_group()?;
        }
        if self.columns.is_empty() {
            self.begin_group()?;
        }
        let given = std::iter::zip(self.schema.fields(), batch.columns());
        let compressors = &self.compressors;
        each(self.slots.as_deref(), std::iter::zip(&mut self.columns, given), |(column, (field, array))| {
            compressors.with(|compressor| column.write(field, array, compressor))
        })?;
        self.rows += batch.num_rows();
        self.batch_bytes += bytes;
        let encoded = self.columns.iter().map(ColumnEncoder::bytes).sum::<usize>();
        if encoded >= ROW_GROUP_BYTES_MAX || self.memory() >= self.memory_max {
            self.end_group()?;
        }
        Ok(())
    }

    /// Bytes that the row group under way takes in memory, about.
    fn memory(&self) -> usize {
        self.columns.iter().map(ColumnEncoder::memory).sum()
    }

    fn begin_group(&mut self) -> Result<(), ParquetError> {
        let others = self.factory.create_column_writers(self.file.flushed_row_groups().len())?;
        let dictionary = self.schema.fields().len() <= DICTIONARY_COLUMNS_MAX;
        let described = std::iter::zip(self.schema.fields(), self.file.schema_descr().columns());
        for ((field, column), other) in described.zip(others) {
            self.columns.push(ColumnEncoder::new(field, column, dictionary, other));
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let (columns, compressors) = (std::mem::take(&mut self.columns), &self.compressors);
        let mut closed: Vec<Option<Closed>> = columns.iter().map(|_| None).collect();
        each(self.slots.as_deref(), std::iter::zip(&mut closed, columns), |(closed, column)| {
            *closed = Some(compressors.with(|compressor| column.close(compressor))?);
            Ok(())
        })?;
        let mut group = self.file.next_row_group()?;
        closed.into_iter().flatten().try_for_each(|column| column.append_to(&mut group))?;
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
    key: String,
    file: StagedFile,
    /// Rows in it.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// sha256 of its bytes.
    pub sha256: Checksum,
}

impl Sealed {
    /// Leaves the file where it is staged, and tells its name in the staging folder and the upload that holds it.
    pub fn keep(self) -> (String, Option<Upload>) {
        (self.key, self.file.keep())
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
        let codec = codec(compression).map_err(|source| EncodeError::Write { path: staging.place(&key), source })?;
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_key_value_metadata(Some(about::metadata(run, schema.fields())))
            .set_compression(codec)
            .set_dictionary_enabled(schema.fields().len() <= DICTIONARY_COLUMNS_MAX)
            // Statistics of every page, in the page index: readers skip pages without touching them.
            .set_statistics_enabled(EnabledStatistics::Page)
            .build();
        let compressors = Compressors::new(codec);
        let compressors = compressors.map_err(|source| EncodeError::Write { path: staging.place(&key), source })?;
        Ok(Self {
            staging,
            key,
            published: None,
            about_source: None,
            schema,
            compressors: Arc::new(compressors),
            slots: None,
            properties,
            memory_max: ROW_GROUP_MEMORY_BYTES_MAX,
            late: false,
            file: None,
            rows: 0,
        })
    }

    /// Has idle ones of these slots encode columns too; the file is the same.
    pub fn helped_by(&mut self, slots: Arc<Slots>) {
        self.slots = Some(slots);
    }

    /// Has row groups end at so many bytes of memory, if that is less than it is anyway; before anything is written.
    pub fn bounded(&mut self, memory_bytes: usize) {
        self.memory_max = self.memory_max.min(memory_bytes);
    }

    /// Says as what the file will be published; before anything is written. One of which nothing is said can be read by its name in
    /// the staging folder.
    pub fn publish_as(&mut self, published: String) {
        debug_assert!(self.file.is_none(), "its name is told before it is created");
        self.published = Some(published);
    }

    /// Says of which source the rows are; before anything is written.
    pub fn read_from(&mut self, source: &SourceRef) {
        debug_assert!(self.file.is_none(), "it is told before the file is created");
        self.about_source = Some(about::of_source(source));
    }

    /// Encodes the rows of `batch`, which is of the encoder's schema.
    ///
    /// # Errors
    /// When the file cannot be created or written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), EncodeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.write_slice(batch, batch.get_array_memory_size())
    }

    /// As [`Encoder::write`], of a batch that is a slice of a larger one: its own values take `bytes` in memory.
    ///
    /// # Errors
    /// Likewise.
    pub fn write_slice(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), EncodeError> {
        let written = self.open()?.write(batch, bytes);
        written.map_err(|source| EncodeError::Write { path: self.path(), source })?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// An encoder of the same kind into another file, of which there are many: they share what one takes for itself, and the file is
    /// begun when a row group ends.
    #[must_use]
    pub fn sibling(&self, key: String, published: String) -> Self {
        let (compressors, slots, properties) = (self.compressors.clone(), self.slots.clone(), self.properties.clone());
        let (published, about_source) = (Some(published), self.about_source.clone());
        let (schema, memory_max, late, file) = (self.schema.clone(), self.memory_max, true, None);
        Self {
            staging: self.staging,
            key,
            published,
            about_source,
            schema,
            compressors,
            slots,
            properties,
            memory_max,
            late,
            file,
            rows: 0,
        }
    }

    /// Bytes that the row group under way takes in memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.file.as_ref().map_or(0, OpenFile::memory)
    }

    /// Bytes of what is encoded that lie in memory until more comes.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.file.inner().unsent())
    }

    /// Ends the row group under way, so that it takes no memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_group(&mut self) -> Result<(), EncodeError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let ended = file.end_group().and_then(|()| file.file.flush().map_err(ParquetError::from));
        ended.map_err(|source| EncodeError::Write { path: self.path(), source })
    }

    /// Rows written so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
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
        let sealed = file.seal();
        let failed = |source| StageError::Io { what: "write and sync", path: file.place().to_owned(), source };
        let (bytes, sha256) = sealed.map_err(failed)?;
        Ok(Some(Sealed { key: self.key, file, rows: self.rows, bytes, sha256 }))
    }

    fn path(&self) -> PathBuf {
        self.staging.place(&self.key)
    }

    fn open(&mut self) -> Result<&mut OpenFile, EncodeError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = match &self.published {
                    Some(published) if self.late => self.staging.create_late(&self.key, published),
                    published => self.staging.create(&self.key, published.as_deref())?,
                };
                let (schema, properties) = (self.schema.clone(), self.properties.clone());
                let (compressors, slots, most) = (self.compressors.clone(), self.slots.clone(), self.memory_max);
                let made = OpenFile::new(file, schema, properties, compressors, slots, most);
                let mut made = made.map_err(|source| EncodeError::Write { path: self.path(), source })?;
                if let Some(about) = &self.about_source {
                    made.file.append_key_value_metadata(about.clone());
                }
                made
            }
        };
        Ok(self.file.insert(file))
    }
}

/// Bytes that the columns of `batches`, all of one schema, come to; 0 when there are none. Without what a file has around them.
///
/// # Errors
/// When Zstandard has no such level.
pub fn encoded_bytes(batches: &[RecordBatch], compression: Compression) -> Result<u64, EncodeError> {
    let Some(first) = batches.first() else { return Ok(0) };
    let encoded = || -> Result<u64, ParquetError> {
        let properties = WriterProperties::builder().set_compression(codec(compression)?).build();
        let mut writer = ArrowWriter::try_new(io::sink(), first.schema(), Some(properties))?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        let groups = writer.close()?;
        Ok(groups.row_groups().iter().map(|group| group.compressed_size().max(0) as u64).sum())
    };
    encoded().map_err(|source| EncodeError::Write { path: PathBuf::from("a sample"), source })
}

fn codec(compression: Compression) -> Result<Codec, ParquetError> {
    match compression {
        Compression::None => Ok(Codec::UNCOMPRESSED),
        Compression::Snappy => Ok(Codec::SNAPPY),
        Compression::Zstd(level) => ZstdLevel::try_new(i32::from(level)).map(Codec::ZSTD),
    }
}

#[cfg(test)]
mod tests;
