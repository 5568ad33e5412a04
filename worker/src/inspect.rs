//! Inspection's reads: brings the kernel the samples it wants of the source.
//!
//! Invariant: what is read depends on the source's size and content alone. It decides nothing and stages nothing; it enters
//! the staging folder only to prove that this worker sees it, and looks at the table that is an output.

use batteuse_kernel::inspect::{self, Sample, Verdict};
use batteuse_kernel::partition::{PartitionParse, Progress as Step};
use batteuse_shared::limits::MEASURED_BYTES;
use batteuse_shared::span::Span;
use batteuse_shared::spec::Compression;
use batteuse_shared::task::{InspectTask, Inspected, Lease, Measured};
use batteuse_store::Stores;

use crate::attempt::{AttemptError, Progress};
use crate::read::Source;
use crate::stage::StagingDir;
use crate::{encode, pipeline, table};

/// Inspects the source.
///
/// # Errors
/// When the source or the table is refused, either cannot be read, the source changes, the staging folder is not seen, or the attempt
/// is revoked.
pub fn inspect(
    lease: &Lease,
    task: &InspectTask,
    progress: &Progress,
    stores: &Stores,
) -> Result<Inspected, AttemptError> {
    StagingDir::enter(&task.staging, &lease.run, stores)?;
    let source = Source::open(&task.source)?;
    let spans = inspect::wants(source.bytes());
    let samples: Result<Vec<_>, _> = spans.into_iter().map(|span| sample(&source, span, progress)).collect();
    let mut samples = samples?;
    let verdict = loop {
        match inspect::inspect(source.bytes(), &task.csv, &task.columns, &samples) {
            Ok(Verdict::NeedsHead { bytes }) => {
                let head = samples.first_mut().expect("an empty source wants no longer head");
                assert!(bytes > head.span.end, "a head is wanted longer each time, so this ends");
                *head = sample(&source, Span::new(0, bytes), progress)?;
            }
            Ok(Verdict::Inspected(found)) => break Ok(*found),
            Err(refusal) => break Err(refusal),
        }
    };
    let verdict = match verdict {
        Ok(mut found) => {
            if let Some(table) = &task.table {
                table::inspect(table, &task.staging.nonce, lease.attempt, &mut found.columns, stores)?;
            }
            Ok(Inspected { measured: measure(&source, &found, task.compression, progress)?, ..found })
        }
        Err(refusal) => Err(refusal),
    };
    // Before a refusal too: it must not be about another version.
    source.still_same()?;
    verdict.map_err(|refusal| AttemptError::Refused { url: task.source.url.clone(), source: refusal })
}

/// Encodes a stretch from the middle of the source: how small it becomes tells how large partitions should be.
fn measure(
    source: &Source,
    found: &Inspected,
    compression: Compression,
    progress: &Progress,
) -> Result<Measured, AttemptError> {
    let start = found.data_start.max(source.bytes() / 2);
    let range = Span::new(start, source.bytes().min(start + MEASURED_BYTES));
    if range.is_empty() {
        return Ok(Measured::default());
    }
    let mut partition = PartitionParse::new(pipeline::stretch(found, range, source.bytes()));
    let mut batches = Vec::new();
    loop {
        progress.check()?;
        match partition.step() {
            Step::Wants { offset, bytes } => {
                source.read(offset, partition.space())?;
                partition.filled(bytes);
                progress.advance(bytes as u64);
            }
            Step::Batch(batch) => batches.extend(batch.rows),
            Step::Done(_) => break,
        }
    }
    Ok(Measured { read_bytes: range.bytes(), encoded_bytes: encode::encoded_bytes(&batches, compression)? })
}

fn sample(source: &Source, span: Span, progress: &Progress) -> Result<Sample, AttemptError> {
    progress.check()?;
    let mut bytes = vec![0; span.bytes() as usize];
    source.read(span.start, &mut bytes)?;
    progress.advance(span.bytes());
    Ok(Sample { span, bytes })
}
