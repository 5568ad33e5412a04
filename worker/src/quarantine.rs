//! A range set aside: it is read and gone over, so that its neighbours are proven and its bytes can be told again, and that is all.
//!
//! Invariant: nothing is decoded, encoded or staged, and as little as can be is done that a parse does: these records have killed those
//! who parsed them.

use batteuse_kernel::partition::Plan;
use batteuse_kernel::quarantine::QuarantineScan;
use batteuse_shared::limits::READ_BYTES;
use batteuse_shared::table::Classes;
use batteuse_shared::task::{ParseTask, Parsed};

use crate::attempt::{AttemptError, Progress};
use crate::phases::{Phase, Stopwatch};
use crate::read::Source;

/// Goes over the range of a task. Types are the task's: no record has told of others.
pub(crate) fn quarantine(task: &ParseTask, plan: &Plan, progress: &Progress) -> Result<Parsed, AttemptError> {
    let watch = Stopwatch::start(Phase::Read);
    let source = Source::open(&task.source)?;
    let mut scan = QuarantineScan::new(plan);
    let mut bytes = vec![0; READ_BYTES];
    while let Some(at) = scan.wants() {
        progress.check()?;
        let end = if at < task.range.end { task.range.end } else { source.bytes() };
        let bytes = &mut bytes[..(end - at).min(READ_BYTES as u64) as usize];
        source.read(at, bytes)?;
        watch.within(Phase::Parse, || scan.feed(bytes));
        progress.advance(bytes.len() as u64);
    }
    source.still_same()?;
    let found = scan.done();
    Ok(Parsed {
        first: found.first,
        span: found.span,
        end: task.range.end,
        exits: found.exits,
        counts: found.counts,
        summaries: vec![Classes::default(); task.columns.len()],
        types: Some(task.columns.iter().map(|column| column.ctype).collect()),
        parts: Vec::new(),
        table: None,
        rejects: None,
        seam: found.seam,
        phases: watch.phases(),
        quarantined: Some(found.sha256),
    })
}
