//! THE sentence: read, frame, decode, (transform,) encode, stage. One attempt at one task, from its lease to its outcome.
//!
//! Invariant: an outcome is `Parsed` or `Finished` only when every byte came from one version of the source and everything
//! it names is durable in the staging folder; any other outcome leaves nothing there. It blocks, and knows no network.

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use batteuse_kernel::arch::Path;
use batteuse_kernel::digest::RowDigester;
use batteuse_kernel::partition::{Batch, Done, PartitionParse, Placed, Plan, Progress as Step, Reject};
use batteuse_shared::layout;
use batteuse_shared::limits::{
    BATCH_BYTES_MAX, BATCH_FIELDS_MAX, BATCH_ROWS_MAX, INDEX_BYTES, READ_AHEAD_BYTES, READ_BYTES, RECORD_BYTES_MAX,
    SLOT_MEMORY_PARTS,
};
use batteuse_shared::report::RejectKind;
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Compression, Dialect, Ragged};
use batteuse_shared::table::{Checksum, Column, Digest};
use batteuse_shared::task::{Inspected, Lease, Outcome, ParseTask, Parsed, Phases, StagedRejects, StagedTable, Task};
use batteuse_store::Stores;

pub use crate::attempt::Progress;
use crate::attempt::{AttemptError, Moment};
use crate::encode::{Encoder, Sealed};
use crate::parts::{Parts, SealedPart};
use crate::phases::Phase;
use crate::read::Source;
use crate::rejects::{self, ContentHasher};
use crate::stage::StagingDir;
use crate::table::{Refused, StagingTable};
use crate::{finish, folders, inspect, quarantine};

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
    if task.quarantine {
        return quarantine::quarantine(task, &plan(task), progress);
    }
    let staging = StagingDir::enter(&task.staging, &lease.run, stores)?;
    let watch = staging.watch();
    watch.enter(Phase::Read);
    let source = Source::open(&task.source)?;
    watch.enter(Phase::Parse);
    let mut partition = PartitionParse::new(plan(task));
    let mut output = Output::new(lease, task, &staging, &partition, stores)?;
    if let (Some(parts), Some(slots)) = (&mut output.parts, progress.slots()) {
        parts.helped_by(slots.clone());
    }
    if let Some(bytes) = progress.memory_bytes() {
        output.bounded(bytes);
    }
    let done = loop {
        progress.check()?;
        if let Some(end) = progress.wanted_end().filter(|end| partition.shorten(*end)) {
            progress.shortened(end);
        }
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
            Step::Batch(batch) => {
                let first = partition.first();
                progress.meet(lease, Moment::Framed(Span::new(first.unwrap_or(partition.at()), partition.at())));
                watch.within(Phase::Encode, || output.take(batch, first, &source))?;
            }
            Step::Done(done) => {
                progress.meet(lease, Moment::Framed(done.span));
                break *done;
            }
        }
    };
    let staged = output.stage(&done, progress)?;
    watch.enter(Phase::Read);
    source.still_same()?;
    Ok(staged.keep(task, done, watch.phases()))
}

fn plan(task: &ParseTask) -> Plan {
    let (range, source_bytes) = (task.range, task.source.version.bytes);
    let plan = plan_of(&task.dialect, &task.columns, range, source_bytes);
    // Rows that an output does not take become rejects.
    let placed = task.table.is_some() || !task.partition_by.is_empty();
    Plan { ragged: task.ragged, start: task.start, placed, ..plan }
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
    task: &'a ParseTask,
    staging: &'a StagingDir,
    /// Whether what is staged is of use: until a value does not fit the guessed types, or rows cannot lie in folders. Then only counts,
    /// summaries and rejects are.
    fits: bool,
    /// None where none are wanted, and when nothing fits any more.
    parts: Option<Parts<'a>>,
    /// The same.
    table: Option<StagingTable>,
    /// Rows that an output refused.
    refused: u64,
    digester: RowDigester,
    rejects: Encoder<'a>,
    content: ContentHasher,
}

/// What one attempt staged, durable, but removed unless it is kept.
struct Staged {
    fits: bool,
    parts: Vec<SealedPart>,
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
        let rejects = layout::staged_rejects(task.partition, lease.attempt);
        let (schema, nonce) = (partition.schema(), &task.staging.nonce);
        // A guess may be a type that no folder is named after.
        let fits = folders::fit(&task.partition_by, &task.columns);
        let table = task.table.as_ref().filter(|_| fits);
        let table = table.map(|table| StagingTable::new(table, nonce, lease.attempt, &task.columns, stores));
        let parts = task.compression.filter(|_| fits);
        let parts = parts.map(|how| Parts::new(staging, task, lease.attempt, &lease.run, &schema, how));
        Ok(Self {
            task,
            staging,
            fits,
            parts: parts.transpose()?,
            table: table.transpose()?,
            refused: 0,
            digester: RowDigester::new(&schema).expect("every column type has a canonical form"),
            rejects: Encoder::new(staging, rejects, rejects::piece_schema(), Compression::default(), &lease.run)?,
            content: ContentHasher::default(),
        })
    }

    /// Lets what is encoded take no more than its part of an attempt's memory.
    fn bounded(&mut self, memory_bytes: u64) {
        let bytes = usize::try_from(memory_bytes / SLOT_MEMORY_PARTS).unwrap_or(usize::MAX);
        if let Some(parts) = &mut self.parts {
            parts.bounded(bytes);
        }
        self.rejects.bounded(bytes);
    }

    /// Takes a batch. What has no folder, or the database refuses, is in no output; so that is found out first.
    fn take(&mut self, batch: Batch, first: Option<u64>, source: &Source) -> Result<(), AttemptError> {
        let Batch { rows, places, mut rejects } = batch;
        let rows = rows.filter(|_| self.fits).map(|rows| Rows { rows, places, numbers: Vec::new() });
        let taken = rows.map(|rows| {
            let rows = self.refuse(rows, source, &mut rejects)?;
            self.write(&rows, first)
        });
        match taken.transpose() {
            Ok(None) => self.give_up(),
            // What a wrong guess of the start makes of the rows says nothing about them.
            Err(AttemptError::Parts(error)) if error.is_of_the_rows() && self.task.start.is_none() => self.give_up(),
            taken => taken.map(drop)?,
        }
        let rejects = rejects::piece(&self.task.columns, &rejects);
        self.content.add(&rejects);
        self.rejects.write(&rejects)?;
        Ok(())
    }

    /// Nothing that is staged of the rows will be of use.
    fn give_up(&mut self) {
        (self.fits, self.parts, self.table) = (false, None, None);
    }

    /// Sets aside the rows that an output does not take; the others, with the numbers of their folders.
    fn refuse(&mut self, mut rows: Rows, source: &Source, rejects: &mut Vec<Reject>) -> Result<Rows, AttemptError> {
        if let Some(parts) = &mut self.parts {
            let (numbers, refused) = parts.look(&rows.rows)?;
            rows.numbers = numbers;
            self.refused += refused.len() as u64;
            set_aside(&refused, RejectKind::NoFolder, &rows.places, source, rejects)?;
            rows = rows.without(&refused);
        }
        if let Some(table) = &mut self.table {
            let refused = self.staging.watch().within(Phase::Stage, || table.write(&rows.rows))?;
            self.refused += refused.len() as u64;
            set_aside(&refused, RejectKind::Refused, &rows.places, source, rejects)?;
            rows = rows.without(&refused);
        }
        Ok(rows)
    }

    fn write(&mut self, rows: &Rows, first: Option<u64>) -> Result<(), AttemptError> {
        let Rows { rows, numbers, .. } = rows;
        match (&mut self.parts, first) {
            (Some(parts), Some(first)) => parts.write(rows, numbers, first, &mut self.digester)?,
            _ => {
                self.staging.watch().within(Phase::Parse, || self.digester.add(rows));
            }
        }
        Ok(())
    }

    fn stage(mut self, done: &Done, progress: &Progress) -> Result<Staged, AttemptError> {
        self.staging.watch().enter(Phase::Encode);
        let fits = done.fits && self.fits;
        let empty = (self.task.partition.0 == 0).then_some(done.span.start);
        let wanted = fits && self.parts.is_some();
        let digest = self.digester.digest();
        let parts = self.parts.take().filter(|_| fits);
        let parts = parts.map(|parts| parts.finish(empty, digest, progress)).transpose()?.unwrap_or_default();
        let table = self.table.take().filter(|_| fits);
        let rejects = self.rejects.finish()?;
        let in_parts: u64 = parts.iter().map(SealedPart::rows).sum();
        let written = done.counts.written - self.refused;
        assert!(!wanted || in_parts == written, "every row counted as written is in a part");
        let in_table = table.as_ref().map_or(written, StagingTable::rows);
        assert_eq!(in_table, written, "every row counted as written is in the table");
        let rejected = done.counts.rejected + self.refused;
        let in_rejects = rejects.as_ref().map_or(0, |sealed| sealed.rows);
        assert_eq!(in_rejects, rejected, "every record counted as rejected is in the rejects");
        if !parts.is_empty() || rejects.is_some() {
            self.staging.sync()?;
        }
        let content = self.content.finish();
        Ok(Staged { fits, parts, table, refused: self.refused, digest, rejects, content })
    }
}

/// Rows on their way to the outputs.
struct Rows {
    rows: RecordBatch,
    /// Where each lies; empty unless some may be refused.
    places: Vec<Placed>,
    /// Of the folder of each; empty where there are no folders.
    numbers: Vec<u32>,
}

impl Rows {
    /// Those that were not refused.
    fn without(self, refused: &[Refused]) -> Self {
        if refused.is_empty() {
            return self;
        }
        let Self { rows, mut places, mut numbers } = self;
        let mut kept = vec![true; rows.num_rows()];
        refused.iter().for_each(|refused| kept[refused.row] = false);
        let mut keeps = kept.iter();
        places.retain(|_| keeps.next() == Some(&true));
        let mut keeps = kept.iter();
        numbers.retain(|_| keeps.next() == Some(&true));
        let rows = filter_record_batch(&rows, &BooleanArray::from(kept)).expect("the mask is as long as the batch");
        Self { rows, places, numbers }
    }
}

/// Makes rejects of rows that an output refused.
fn set_aside(
    refused: &[Refused],
    kind: RejectKind,
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
        let (column, message) = (refused.column, refused.message.clone());
        rejects.push(Reject { line, record, byte_offset, byte_length, column, kind, message, raw });
    }
    rejects.sort_by_key(|reject| reject.record);
    Ok(())
}

impl Staged {
    fn keep(self, task: &ParseTask, done: Done, phases: Phases) -> Parsed {
        let (digest, content) = (self.digest, Some(self.content));
        let table: Option<StagedTable> = self.table.and_then(|table| table.keep(digest));
        let parts = self.parts.into_iter().map(SealedPart::keep).collect();
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
            end: done.end,
            exits: done.exits,
            counts,
            summaries: done.summaries,
            types: self.fits.then(|| task.columns.iter().map(|column| column.ctype).collect()),
            parts,
            table,
            rejects,
            seam: done.seam,
            phases,
            quarantined: None,
        }
    }
}

#[cfg(test)]
mod tests;
