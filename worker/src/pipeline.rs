//! THE sentence: read, frame, decode, (transform,) encode, stage. One attempt at one task, from its lease to its outcome.
//!
//! Invariant: an outcome is `Parsed` or `Finished` only when every byte came from one version of the source and everything
//! it names is durable in the staging folder; any other outcome leaves nothing there. It blocks, and knows no network.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use batteuse_kernel::arch::Path;
use batteuse_kernel::digest::RowDigester;
use batteuse_kernel::partition::{Batch, Done, PartitionParse, Placed, Plan, Progress as Step, Reject};
use batteuse_shared::ids::AttemptId;
use batteuse_shared::layout;
use batteuse_shared::limits::{
    BATCH_BYTES_MAX, BATCH_FIELDS_MAX, BATCH_ROWS_MAX, INDEX_BYTES, READ_AHEAD_BYTES, READ_BYTES, RECORD_BYTES_MAX,
};
use batteuse_shared::report::RejectKind;
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Compression, Dialect, Ragged};
use batteuse_shared::table::{Checksum, Column, Digest};
use batteuse_shared::task::{
    Inspected, Lease, Outcome, ParseTask, Parsed, Phases, StagedPart, StagedRejects, StagedTable, Task,
};
use batteuse_store::Stores;

use crate::attempt::AttemptError;
pub use crate::attempt::Progress;
use crate::encode::{EncodeError, Encoder, Sealed};
use crate::phases::Phase;
use crate::read::Source;
use crate::rejects::{self, ContentHasher};
use crate::stage::StagingDir;
use crate::table::{Refused, StagingTable};
use crate::{finish, inspect};

/// Does what the lease asks for. Content never makes it panic; a panic is a bug, and is the caller's to catch.
#[must_use]
pub fn execute(lease: &Lease, progress: &Progress, stores: &Stores) -> Outcome {
    let outcome = match &lease.task {
        Task::Inspect(task) => {
            inspect::inspect(lease, task, progress, stores).map(|found| Outcome::Inspected(Box::new(found)))
        }
        Task::Parse(task) => parse(lease, task, progress, stores).map(|parsed| Outcome::Parsed(Box::new(parsed))),
        Task::Finish(task) => finish::finish(lease, task, progress, stores).map(Outcome::Finished),
    };
    outcome.unwrap_or_else(|error| Outcome::Failed(error.failure()))
}

/// Parses one partition. There is no transformation yet: it will stand between decode and encode.
fn parse(lease: &Lease, task: &ParseTask, progress: &Progress, stores: &Stores) -> Result<Parsed, AttemptError> {
    let staging = StagingDir::enter(&task.staging, &lease.run, stores)?;
    let watch = staging.watch();
    watch.enter(Phase::Read);
    let source = Source::open(&task.source)?;
    watch.enter(Phase::Parse);
    let mut partition = PartitionParse::new(plan(task));
    let mut output = Output::new(lease, task, &staging, &partition, stores)?;
    let done = loop {
        progress.check()?;
        match partition.step() {
            Step::Wants { offset, bytes } => {
                watch.enter(Phase::Read);
                // What lies between was expected at earlier reads; at the first ones the system helps itself.
                let ahead = offset + READ_AHEAD_BYTES;
                if ahead < task.range.end {
                    source.expect(ahead, bytes as u64);
                }
                source.read(offset, partition.space())?;
                watch.enter(Phase::Parse);
                partition.filled(bytes);
                progress.advance(bytes as u64);
            }
            Step::Batch(batch) => watch.within(Phase::Encode, || output.take(batch, partition.first(), &source))?,
            Step::Done(done) => break *done,
        }
    };
    let staged = output.stage(&done)?;
    watch.enter(Phase::Read);
    source.still_same()?;
    Ok(staged.keep(task, done, watch.phases()))
}

fn plan(task: &ParseTask) -> Plan {
    let (range, source_bytes) = (task.range, task.source.version.bytes);
    let plan = plan_of(&task.dialect, &task.columns, range, source_bytes);
    Plan { ragged: task.ragged, start: task.start, placed: task.table.is_some(), ..plan }
}

/// The plan of a stretch of a source that was inspected: to see what it is like, not to keep it.
pub(crate) fn stretch(found: &Inspected, range: Span, source_bytes: u64) -> Plan {
    plan_of(&found.dialect, &found.columns, range, source_bytes)
}

fn plan_of(dialect: &Dialect, columns: &[Column], range: Span, source_bytes: u64) -> Plan {
    Plan {
        dialect: dialect.clone(),
        ragged: Ragged::default(),
        columns: columns.to_vec(),
        // There is no transformation yet: every column is written.
        read: (0..columns.len()).collect(),
        range,
        source_bytes,
        start: None,
        record_bytes_max: RECORD_BYTES_MAX,
        read_bytes: READ_BYTES,
        batch_rows_max: BATCH_ROWS_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
        batch_fields_max: BATCH_FIELDS_MAX,
        placed: false,
        index_bytes: INDEX_BYTES,
        path: Path::best(),
    }
}

/// What one attempt stages, under way.
struct Output<'a> {
    /// The attempt whose name the part is published under.
    named: AttemptId,
    task: &'a ParseTask,
    staging: &'a StagingDir,
    /// None where none is wanted, and once a value did not fit the guessed types: then only counts, summaries and rejects are of use.
    part: Option<Encoder<'a>>,
    /// The same.
    table: Option<StagingTable>,
    /// Rows that the database refused.
    refused: u64,
    digester: RowDigester,
    rejects: Encoder<'a>,
    content: ContentHasher,
}

/// What one attempt staged, durable, but removed unless it is kept.
struct Staged {
    part: Option<Sealed>,
    table: Option<StagingTable>,
    refused: u64,
    digest: Digest,
    rejects: Option<Sealed>,
    content: Checksum,
}

impl<'a> Output<'a> {
    fn new(
        lease: &Lease,
        task: &'a ParseTask,
        staging: &'a StagingDir,
        partition: &PartitionParse,
        stores: &Stores,
    ) -> Result<Self, AttemptError> {
        let part = layout::staged_part(task.partition, lease.attempt);
        let rejects = layout::staged_rejects(task.partition, lease.attempt);
        let (schema, nonce) = (partition.schema(), &task.staging.nonce);
        let table = task.table.as_ref();
        let table = table.map(|table| StagingTable::new(table, nonce, lease.attempt, &task.columns, stores));
        let part = task.compression.map(|how| Encoder::new(staging, part, schema.clone(), how, &lease.run));
        let mut part = part.transpose()?;
        part.iter_mut().for_each(|part| part.read_from(&task.source));
        Ok(Self {
            named: task.replaces.unwrap_or(lease.attempt),
            task,
            staging,
            part,
            table: table.transpose()?,
            refused: 0,
            digester: RowDigester::new(&schema).expect("every column type has a canonical form"),
            rejects: Encoder::new(staging, rejects, rejects::piece_schema(), Compression::default(), &lease.run)?,
            content: ContentHasher::default(),
        })
    }

    /// Takes a batch: the table first, since what the database refuses is in no output.
    fn take(&mut self, batch: Batch, first: Option<u64>, source: &Source) -> Result<(), AttemptError> {
        let watch = self.staging.watch();
        let Batch { rows, places, mut rejects } = batch;
        let rows = match (&mut self.table, rows) {
            (Some(table), Some(rows)) => {
                let refused = watch.within(Phase::Stage, || table.write(&rows))?;
                self.refused += refused.len() as u64;
                set_aside(&refused, &places, source, &mut rejects)?;
                Some(without(rows, &refused))
            }
            (_, rows) => rows,
        };
        let rejects = rejects::piece(&self.task.columns, &rejects);
        self.content.add(&rejects);
        self.rejects.write(&rejects)?;
        let Some(rows) = rows else {
            (self.part, self.table) = (None, None);
            return Ok(());
        };
        watch.within(Phase::Parse, || self.digester.add(&rows));
        if let Some(part) = self.part.as_mut().filter(|_| rows.num_rows() > 0) {
            if part.rows() == 0
                && let Some(first) = first
            {
                part.publish_as(layout::part(first, self.named));
            }
            part.write(&rows)?;
        }
        Ok(())
    }

    fn stage(mut self, done: &Done) -> Result<Staged, EncodeError> {
        self.staging.watch().enter(Phase::Encode);
        let first = self.task.partition.0 == 0;
        let wanted = done.fits && self.part.is_some();
        let part = match self.part.take().filter(|_| done.fits) {
            Some(mut part) => {
                if first && part.rows() == 0 {
                    // An empty table has its schema.
                    part.publish_as(layout::part(done.span.start, self.named));
                    part.create()?;
                }
                part.finish()?
            }
            None => None,
        };
        let table = self.table.take().filter(|_| done.fits);
        let rejects = self.rejects.finish()?;
        let rows = |sealed: &Option<Sealed>| sealed.as_ref().map_or(0, |sealed| sealed.rows);
        let written = done.counts.written - self.refused;
        assert!(!wanted || rows(&part) == written, "every row counted as written is in the part");
        let in_table = table.as_ref().map_or(written, StagingTable::rows);
        assert_eq!(in_table, written, "every row counted as written is in the table");
        let rejected = done.counts.rejected + self.refused;
        assert_eq!(rows(&rejects), rejected, "every record counted as rejected is in the rejects");
        if part.is_some() || rejects.is_some() {
            self.staging.sync()?;
        }
        let digest = if part.is_some() || table.is_some() { self.digester.digest() } else { Digest::default() };
        Ok(Staged { part, table, refused: self.refused, digest, rejects, content: self.content.finish() })
    }
}

/// Makes rejects of the rows that the database refused.
fn set_aside(
    refused: &[Refused],
    places: &[Placed],
    source: &Source,
    rejects: &mut Vec<Reject>,
) -> Result<(), AttemptError> {
    for refused in refused {
        let Placed { line, record, byte_offset, byte_length } = places[refused.row];
        // Its bytes have left the window; a record that is written is at most two marks long.
        let mut raw = vec![0; byte_length as usize];
        source.read(byte_offset, &mut raw)?;
        for end in [b'\n', b'\r'] {
            raw.pop_if(|last| *last == end);
        }
        let (column, kind, message) = (refused.column, RejectKind::Refused, refused.message.clone());
        rejects.push(Reject { line, record, byte_offset, byte_length, column, kind, message, raw });
    }
    rejects.sort_by_key(|reject| reject.record);
    Ok(())
}

/// The rows that were not refused.
fn without(rows: RecordBatch, refused: &[Refused]) -> RecordBatch {
    if refused.is_empty() {
        return rows;
    }
    let mut kept = vec![true; rows.num_rows()];
    refused.iter().for_each(|refused| kept[refused.row] = false);
    filter_record_batch(&rows, &BooleanArray::from(kept)).expect("the mask is as long as the batch")
}

impl Staged {
    fn keep(self, task: &ParseTask, done: Done, phases: Phases) -> Parsed {
        let (digest, content) = (self.digest, Some(self.content));
        let table: Option<StagedTable> = self.table.and_then(|table| table.keep(digest));
        let part = self.part.map(|sealed| {
            let (rows, bytes, sha256) = (sealed.rows, sealed.bytes, sealed.sha256);
            let (key, upload) = sealed.keep();
            StagedPart { key, bytes, rows, digest, sha256, upload }
        });
        let rejects = self.rejects.map(|sealed| {
            let (rows, bytes) = (sealed.rows, sealed.bytes);
            let (key, upload) = sealed.keep();
            StagedRejects { key, rows, bytes, content, upload }
        });
        let mut counts = done.counts;
        counts.written -= self.refused;
        counts.rejected += self.refused;
        Parsed {
            first: done.first,
            span: done.span,
            exits: done.exits,
            counts,
            summaries: done.summaries,
            types: done.fits.then(|| task.columns.iter().map(|column| column.ctype).collect()),
            part,
            table,
            rejects,
            seam: done.seam,
            phases,
        }
    }
}

#[cfg(test)]
mod tests;
