//! A Parquet file of a folder, read back.
//!
//! Invariant: batches come in the order of the file, none larger than a row group; after an error there are no more.

use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Fields;
use batteuse_shared::limits::BATCH_ROWS_MAX;
use batteuse_store::{Folder, ReadError};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::EncodeError;

/// A file of a folder, of which one stretch is in memory.
#[derive(Debug, Clone)]
struct Stretch {
    folder: Arc<dyn Folder>,
    path: String,
    /// Size of the file.
    file_bytes: u64,
    /// Where the stretch begins.
    start: u64,
    bytes: Bytes,
}

impl Stretch {
    fn slice(&self, start: u64, length: u64) -> Option<Bytes> {
        let from = start.checked_sub(self.start)?;
        let to = from.checked_add(length).filter(|to| *to <= self.bytes.len() as u64)?;
        Some(self.bytes.slice(from as usize..to as usize))
    }
}

impl Length for Stretch {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Stretch {
    type T = Cursor<Bytes>;

    /// To the end of the stretch, of what lies in it; else to the end of the file: so the footer is asked for.
    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let end = self.start + self.bytes.len() as u64;
        let end = if (self.start..end).contains(&start) { end } else { self.file_bytes };
        self.get_bytes(start, end.saturating_sub(start) as usize).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self.slice(start, length as u64) {
            Some(bytes) => Ok(bytes),
            None => Ok(self.folder.read_range(&self.path, start, length)?),
        }
    }
}

/// Reads a file back, batch by batch, one row group after the other: no batch is larger than a row group.
#[derive(Debug)]
pub struct Reader {
    place: PathBuf,
    file: Stretch,
    metadata: ArrowReaderMetadata,
    /// The next row group to read.
    group: usize,
    batches: Option<ParquetRecordBatchReader>,
}

impl Reader {
    /// Opens the Parquet file `path` of `folder`.
    ///
    /// # Errors
    /// When there is none, or it has no readable footer.
    pub fn open(folder: &Arc<dyn Folder>, path: &str) -> Result<Self, EncodeError> {
        let place = folder.place(path);
        let unread = |source| EncodeError::Open { path: place.clone(), source };
        let bytes = match folder.size(path) {
            Ok(bytes) => bytes.ok_or_else(|| unread(io::Error::from(io::ErrorKind::NotFound)))?,
            Err(ReadError::Io(error)) => return Err(unread(error)),
            Err(unfit) => return Err(unread(io::Error::other(unfit))),
        };
        let (folder, path) = (folder.clone(), path.to_owned());
        let file = Stretch { folder, path, file_bytes: bytes, start: 0, bytes: Bytes::new() };
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        let metadata = metadata.map_err(|source| EncodeError::Read { path: place.clone(), source })?;
        Ok(Self { place, file, metadata, group: 0, batches: None })
    }

    /// Columns of the batches.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        self.metadata.schema().fields()
    }

    fn next_group(&mut self) -> Result<ParquetRecordBatchReader, ParquetError> {
        let group = self.group;
        self.group += 1;
        // In one read: an object store answers each in its own time, and a row group is bounded.
        let columns = self.metadata.metadata().row_group(group).columns().iter().map(|column| column.byte_range());
        let (start, end) =
            columns.fold((u64::MAX, 0), |(start, end), (at, bytes)| (start.min(at), end.max(at.saturating_add(bytes))));
        let length = end.min(self.file.file_bytes).saturating_sub(start);
        let bytes = self.file.folder.read_range(&self.file.path, start, length as usize)?;
        let stretch = Stretch { start, bytes, ..self.file.clone() };
        ParquetRecordBatchReaderBuilder::new_with_metadata(stretch, self.metadata.clone())
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
        let read = self.read().map_err(|source| EncodeError::Read { path: self.place.clone(), source });
        if read.is_err() {
            // What follows a damaged row group is not to be trusted.
            (self.group, self.batches) = (self.metadata.metadata().num_row_groups(), None);
        }
        read.transpose()
    }
}
