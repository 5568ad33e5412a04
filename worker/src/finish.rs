//! The finish task: the staged rejects of all partitions become `rejects.parquet`, in source order with absolute numbers.
//!
//! Invariant: every announced reject is written once, in the order of the pieces; a run without rejects has the file too,
//! with its schema and no row. It opens no source.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use batteuse_shared::layout;
use batteuse_shared::limits::REJECTS_SHOWN;
use batteuse_shared::spec::Compression;
use batteuse_shared::task::{FinishTask, Finished, Lease, RejectPiece, StagedRejects};
use batteuse_store::Stores;

use crate::attempt::{AttemptError, Progress};
use crate::encode::{Encoder, Reader};
use crate::rejects::{self, ContentHasher};
use crate::stage::StagingDir;

/// Why staged rejects are not what the task announced: the file was changed or belongs to something else.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// Another number of rows.
    #[error("the staged rejects {path} hold {found} rows where {announced} were announced; the file was changed since it was staged", path = path.display())]
    Rows {
        /// Which file.
        path: PathBuf,
        /// Rows in the task.
        announced: u64,
        /// Rows in the file.
        found: u64,
    },
    /// Other values.
    #[error("the staged rejects {path} do not read as what was written; the file was changed since it was staged, or altered on its way", path = path.display())]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// Other columns.
    #[error("the staged rejects {path} have other columns than this version of batteuse stages; coordinator and workers must be of one version", path = path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
    },
}

/// Stages `rejects.parquet`.
///
/// # Errors
/// When a piece cannot be read or is not what was announced, the file cannot be staged, or the attempt is revoked.
pub fn finish(
    lease: &Lease,
    task: &FinishTask,
    progress: &Progress,
    stores: &Stores,
) -> Result<Finished, AttemptError> {
    let staging = StagingDir::enter(&task.staging, &lease.run, stores)?;
    let key = layout::staged_finish(lease.attempt);
    let mut encoder = Encoder::new(&staging, key, rejects::schema(), Compression::default(), &lease.run)?;
    encoder.publish_as(layout::rejects(&lease.run));
    encoder.read_from(&task.source);
    encoder.create()?;
    let mut shown = Vec::new();
    for piece in &task.pieces {
        copy(piece, &staging, progress, |batch| {
            let batch = rejects::absolute(batch, &task.source.url, piece);
            shown.extend(rejects::shown(&batch, REJECTS_SHOWN - shown.len()));
            Ok(encoder.write(&batch)?)
        })?;
    }
    progress.check()?;
    let sealed = encoder.finish()?.expect("it was created");
    staging.sync()?;
    let (rows, bytes) = (sealed.rows, sealed.bytes);
    let (key, upload) = sealed.keep();
    Ok(Finished { rejects: StagedRejects { key, rows, bytes, content: None, upload }, shown })
}

/// Hands on the batches of one piece, and proves that they are what was announced.
fn copy(
    piece: &RejectPiece,
    staging: &StagingDir,
    progress: &Progress,
    mut write: impl FnMut(&RecordBatch) -> Result<(), AttemptError>,
) -> Result<(), AttemptError> {
    let path = staging.place(&piece.key);
    let reader = Reader::open(staging.output(), &staging.path_of(&piece.key))?;
    if reader.fields() != rejects::piece_schema().fields() {
        return Err(PieceError::Schema { path }.into());
    }
    let (mut found, mut content) = (0, ContentHasher::default());
    for batch in reader {
        progress.check()?;
        let batch = batch?;
        found += batch.num_rows() as u64;
        content.add(&batch);
        write(&batch)?;
        progress.advance(batch.get_array_memory_size() as u64);
    }
    if found != piece.rows {
        return Err(PieceError::Rows { path, announced: piece.rows, found }.into());
    }
    if piece.content.is_some_and(|announced| announced != content.finish()) {
        return Err(PieceError::Content { path }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
