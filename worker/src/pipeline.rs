//! THE sentence: read, frame, decode, (transform,) encode, stage. One attempt at one task, from its lease to its outcome.
//!
//! Invariant: an outcome is `Parsed` or `Finished` only when every byte came from one version of the source and everything
//! it names is durable in the staging folder; any other outcome leaves nothing there. It blocks, and knows no network.

use batteuse_kernel::arch::Path;
use batteuse_kernel::digest::RowDigester;
use batteuse_kernel::partition::{Batch, Done, PartitionParse, Plan, Progress as Step};
use batteuse_shared::ids::AttemptId;
use batteuse_shared::layout;
use batteuse_shared::limits::{
    BATCH_BYTES_MAX, BATCH_FIELDS_MAX, BATCH_ROWS_MAX, INDEX_BYTES, READ_AHEAD_BYTES, READ_BYTES, RECORD_BYTES_MAX,
};
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Compression, Dialect, Ragged};
use batteuse_shared::table::{Checksum, Column, Digest};
use batteuse_shared::task::{Inspected, Lease, Outcome, ParseTask, Parsed, Phases, StagedPart, StagedRejects, Task};
use batteuse_store::Stores;

use crate::attempt::AttemptError;
pub use crate::attempt::Progress;
use crate::encode::{EncodeError, Encoder, Sealed};
use crate::phases::Phase;
use crate::read::Source;
use crate::rejects::{self, ContentHasher};
use crate::stage::StagingDir;
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
    let mut output = Output::new(lease, task, &staging, &partition)?;
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
            Step::Batch(batch) => output.encode(batch, partition.first())?,
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
    Plan { ragged: task.ragged, start: task.start, ..plan }
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
        index_bytes: INDEX_BYTES,
        path: Path::best(),
    }
}

/// Part and rejects of one attempt, under way.
struct Output<'a> {
    /// The attempt whose name the part is published under.
    named: AttemptId,
    task: &'a ParseTask,
    staging: &'a StagingDir,
    /// None once a value did not fit the guessed types: then only counts, summaries and rejects are of use.
    part: Option<Encoder<'a>>,
    digester: RowDigester,
    rejects: Encoder<'a>,
    content: ContentHasher,
}

/// Part and rejects of one attempt, durable, but removed unless they are kept.
struct Staged {
    part: Option<Sealed>,
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
    ) -> Result<Self, EncodeError> {
        let part = layout::staged_part(task.partition, lease.attempt);
        let rejects = layout::staged_rejects(task.partition, lease.attempt);
        let mut part = Encoder::new(staging, part, partition.schema(), task.compression, &lease.run)?;
        part.read_from(&task.source);
        Ok(Self {
            named: task.replaces.unwrap_or(lease.attempt),
            task,
            staging,
            part: Some(part),
            digester: RowDigester::new(&partition.schema()).expect("every column type has a canonical form"),
            rejects: Encoder::new(staging, rejects, rejects::piece_schema(), Compression::default(), &lease.run)?,
            content: ContentHasher::default(),
        })
    }

    fn encode(&mut self, batch: Batch, first: Option<u64>) -> Result<(), EncodeError> {
        let watch = self.staging.watch();
        watch.enter(Phase::Encode);
        let rejects = rejects::piece(&self.task.columns, &batch.rejects);
        self.content.add(&rejects);
        self.rejects.write(&rejects)?;
        let encoded = match (&mut self.part, batch.rows) {
            (Some(part), Some(rows)) => {
                watch.within(Phase::Parse, || self.digester.add(&rows));
                if part.rows() == 0
                    && let Some(first) = first
                {
                    part.publish_as(layout::part(first, self.named));
                }
                part.write(&rows)
            }
            _ => {
                self.part = None;
                Ok(())
            }
        };
        watch.enter(Phase::Parse);
        encoded
    }

    fn stage(mut self, done: &Done) -> Result<Staged, EncodeError> {
        self.staging.watch().enter(Phase::Encode);
        let first = self.task.partition.0 == 0;
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
        let rejects = self.rejects.finish()?;
        let rows = |sealed: &Option<Sealed>| sealed.as_ref().map_or(0, |sealed| sealed.rows);
        assert!(!done.fits || rows(&part) == done.counts.written, "every row counted as written is in the part");
        assert_eq!(rows(&rejects), done.counts.rejected, "every record counted as rejected is in the rejects");
        if part.is_some() || rejects.is_some() {
            self.staging.sync()?;
        }
        let digest = if part.is_some() { self.digester.digest() } else { Digest::default() };
        Ok(Staged { part, digest, rejects, content: self.content.finish() })
    }
}

impl Staged {
    fn keep(self, task: &ParseTask, done: Done, phases: Phases) -> Parsed {
        let (digest, content) = (self.digest, Some(self.content));
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
        Parsed {
            first: done.first,
            span: done.span,
            exits: done.exits,
            counts: done.counts,
            summaries: done.summaries,
            types: done.fits.then(|| task.columns.iter().map(|column| column.ctype).collect()),
            part,
            rejects,
            seam: done.seam,
            phases,
        }
    }
}

#[cfg(test)]
mod tests;
