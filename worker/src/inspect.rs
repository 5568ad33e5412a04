//! Inspection's reads: brings the kernel the samples it wants of the source.
//!
//! Invariant: what is read depends on the source's size and content alone. It decides nothing and stages nothing; it enters
//! the staging folder only to prove that this worker sees it.

use batteuse_kernel::inspect::{self, Sample, Verdict};
use batteuse_shared::span::Span;
use batteuse_shared::task::{InspectTask, Inspected, Lease};
use batteuse_store::Stores;

use crate::attempt::{AttemptError, Progress};
use crate::read::Source;
use crate::stage::StagingDir;

/// Inspects the source.
///
/// # Errors
/// When the source is refused, cannot be read or changes, the staging folder is not seen, or the attempt is revoked.
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
    // Before a refusal too: it must not be about another version.
    source.still_same()?;
    verdict.map_err(|refusal| AttemptError::Refused { url: task.source.url.clone(), source: refusal })
}

fn sample(source: &Source, span: Span, progress: &Progress) -> Result<Sample, AttemptError> {
    progress.check()?;
    let mut bytes = vec![0; span.bytes() as usize];
    source.read(span.start, &mut bytes)?;
    progress.advance(span.bytes());
    Ok(Sample { span, bytes })
}
