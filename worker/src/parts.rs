//! The Parquet files of one attempt: one, or one for each combination of the values of some columns.
//!
//! Invariants: files are told in the order of their folders' first rows; rows of a file keep the order of the source; digests are over all columns, those
//! too that only the folder tells. The files share one budget of memory: above it the largest row group under way ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use batteuse_kernel::digest::RowDigester;
use batteuse_shared::ids::{AttemptId, RunId};
use batteuse_shared::limits::{HIVE_UNSENT_BYTES_MAX, ROW_GROUP_MEMORY_BYTES_MAX};
use batteuse_shared::spec::Compression;
use batteuse_shared::table::Digest;
use batteuse_shared::task::{ParseTask, StagedPart};
use batteuse_shared::{hive, layout};

use crate::attempt::{AttemptError, Progress};
use crate::encode::{EncodeError, Encoder, Sealed};
use crate::folders::{Folders, Split, TooManyFolders};
use crate::phases::Phase;
use crate::slots::Slots;
use crate::stage::StagingDir;
use crate::table::Refused;

/// Why rows were not written into folders.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// A file could not be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// There would be too many.
    #[error(transparent)]
    TooMany(#[from] TooManyFolders),
    /// They hold back too much.
    #[error(
        "{files} files of one partition hold back more than {most} bytes, which a store takes in large pieces only: give a smaller \
         partition.bytes, or workers more memory"
    )]
    Unsent {
        /// How many.
        files: usize,
        /// What they may hold back.
        most: usize,
    },
}

impl PartsError {
    /// Whether it follows from the rows, so that the same rows end alike.
    #[must_use]
    pub fn is_of_the_rows(&self) -> bool {
        !matches!(self, Self::Encode(_))
    }
}

/// The files under way.
pub(crate) struct Parts<'a> {
    staging: &'a StagingDir,
    task: &'a ParseTask,
    attempt: AttemptId,
    /// The one file, or what those in folders are begun like.
    model: Encoder<'a>,
    in_folders: Option<InFolders<'a>>,
}

struct InFolders<'a> {
    folders: Folders,
    schema: SchemaRef,
    /// By the folders' numbers. A folder whose rows are all refused elsewhere has none.
    files: BTreeMap<usize, (Encoder<'a>, Digest)>,
    /// Bytes of memory at which a row group ends, and of what is not sent at which the run does.
    most: (usize, usize),
}

/// A file, complete and durable, that is removed unless it is kept.
pub(crate) struct SealedPart {
    sealed: Sealed,
    values: Vec<Option<String>>,
    digest: Digest,
}

impl SealedPart {
    pub(crate) fn rows(&self) -> u64 {
        self.sealed.rows
    }

    /// Leaves the file where it is staged.
    pub(crate) fn keep(self) -> StagedPart {
        let Self { sealed, values, digest } = self;
        let (rows, bytes, sha256) = (sealed.rows, sealed.bytes, sealed.sha256);
        let (key, upload) = sealed.keep();
        StagedPart { key, values, bytes, rows, digest, sha256, upload }
    }
}

impl<'a> Parts<'a> {
    /// No files yet, of rows of `schema`. The columns of folders fit.
    ///
    /// # Errors
    /// When Zstandard has no such level.
    pub(crate) fn new(
        staging: &'a StagingDir,
        task: &'a ParseTask,
        attempt: AttemptId,
        run: &RunId,
        schema: &SchemaRef,
        compression: Compression,
    ) -> Result<Self, EncodeError> {
        let folders = (!task.partition_by.is_empty()).then(|| Folders::new(&task.partition_by, &task.columns));
        let in_files = folders.as_ref().map_or(schema.clone(), |folders| folders.in_files(schema));
        let key = layout::staged_part(task.partition, attempt, 0);
        let mut model = Encoder::new(staging, key, in_files.clone(), compression, run)?;
        model.read_from(&task.source);
        let most = (ROW_GROUP_MEMORY_BYTES_MAX, HIVE_UNSENT_BYTES_MAX);
        let in_folders = folders.map(|folders| InFolders { folders, schema: in_files, files: BTreeMap::new(), most });
        Ok(Self { staging, task, attempt, model, in_folders })
    }

    /// Has idle ones of these slots encode columns too.
    pub(crate) fn helped_by(&mut self, slots: Arc<Slots>) {
        self.model.helped_by(slots);
    }

    /// Lets the files take at most so much memory, and hold back no more, if that is less than they may anyway.
    pub(crate) fn bounded(&mut self, bytes: usize) {
        self.model.bounded(bytes);
        if let Some(InFolders { most, .. }) = &mut self.in_folders {
            *most = (most.0.min(bytes), most.1.min(bytes));
        }
    }

    /// The attempt whose name the files are published under.
    fn named(&self) -> AttemptId {
        self.task.replaces.unwrap_or(self.attempt)
    }

    /// Of each row the number of its folder, and the rows that have none; empty where there are no folders.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn look(&mut self, rows: &RecordBatch) -> Result<(Vec<u32>, Vec<Refused>), PartsError> {
        match &mut self.in_folders {
            Some(in_folders) => Ok(in_folders.folders.look(rows)?),
            None => Ok((Vec::new(), Vec::new())),
        }
    }

    /// Writes rows that have these numbers and lie in the span that begins at `start`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn write(
        &mut self,
        rows: &RecordBatch,
        numbers: &[u32],
        start: u64,
        digester: &mut RowDigester,
    ) -> Result<(), PartsError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let (watch, named) = (self.staging.watch(), self.named());
        let Some(in_folders) = &mut self.in_folders else {
            watch.within(Phase::Parse, || digester.add(rows));
            if self.model.rows() == 0 {
                self.model.publish_as(layout::part(start, named));
            }
            return Ok(self.model.write(rows)?);
        };
        let InFolders { folders, schema, files, .. } = in_folders;
        let Split { rows, folders: split } = folders.split(rows, numbers);
        let kept = folders.for_files(&rows, schema);
        let bytes_a_row = kept.get_array_memory_size() / rows.num_rows();
        for (number, range) in split {
            let (encoder, digest) = files.entry(number).or_insert_with(|| {
                let key = layout::staged_part(self.task.partition, self.attempt, number);
                let folder = hive::folder(&self.task.partition_by, &folders.values(number));
                (self.model.sibling(key, layout::part_in(&folder, start, named)), Digest::default())
            });
            let slice = |rows: &RecordBatch| rows.slice(range.start, range.len());
            *digest = digest.plus(watch.within(Phase::Parse, || digester.add(&slice(&rows))));
            encoder.write_slice(&slice(&kept), bytes_a_row * range.len())?;
        }
        in_folders.bound()
    }

    /// Completes the files. `empty`: where there are no folders, an empty table has a file, in the span that begins there.
    ///
    /// # Errors
    /// When one cannot be written, or the attempt is revoked: of many files each may take a while.
    pub(crate) fn finish(
        mut self,
        empty: Option<u64>,
        digest: Digest,
        progress: &Progress,
    ) -> Result<Vec<SealedPart>, AttemptError> {
        let named = self.named();
        if let Some(InFolders { folders, files, .. }) = self.in_folders {
            let sealed = files.into_iter().map(|(number, (encoder, digest))| {
                progress.check()?;
                let values = folders.values(number);
                Ok(encoder.finish()?.map(|sealed| SealedPart { sealed, values, digest }))
            });
            return sealed.filter_map(Result::transpose).collect();
        }
        if let Some(start) = empty.filter(|_| self.model.rows() == 0) {
            self.model.publish_as(layout::part(start, named));
            self.model.create()?;
        }
        let sealed = self.model.finish()?.map(|sealed| SealedPart { sealed, values: Vec::new(), digest });
        Ok(sealed.into_iter().collect())
    }
}

impl InFolders<'_> {
    /// Keeps what the files take in memory within bounds.
    fn bound(&mut self) -> Result<(), PartsError> {
        let (memory_max, unsent_max) = self.most;
        let mut sum: usize = self.files.values().map(|(encoder, _)| encoder.memory()).sum();
        while sum >= memory_max {
            let largest = self.files.values_mut().map(|(encoder, _)| encoder).max_by_key(|encoder| encoder.memory());
            let largest = largest.expect("a sum is of something");
            sum -= largest.memory();
            largest.end_group()?;
        }
        let unsent: usize = self.files.values().map(|(encoder, _)| encoder.unsent()).sum();
        let held_back = PartsError::Unsent { files: self.files.len(), most: unsent_max };
        if unsent > unsent_max { Err(held_back) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
