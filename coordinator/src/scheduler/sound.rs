//! Whether an outcome can be true: a worker's arithmetic is not trusted blindly.
//!
//! Invariant: what passes here cannot make the scheduler's sums overflow, its fold stand still, or a file of another attempt be
//! taken or deleted. Pure; it knows no state but what it is given.

use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::layout;
use batteuse_shared::limits::COLUMNS_MAX;
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::task::{FailureClass, Inspected, Parsed, Seam};

use super::partition::keys;

/// Failures that say nothing about the task.
pub(super) fn blameless(class: FailureClass) -> bool {
    matches!(class, FailureClass::Released | FailureClass::Unseen)
}

/// The names of what an attempt staged that are its own: others may be somebody else's files.
pub(super) fn own_keys(parsed: &Parsed, attempt: AttemptId) -> impl Iterator<Item = String> {
    let own = attempt.to_string();
    keys(parsed).into_iter().filter(move |key| key.contains(&own))
}

/// Whether an inspection can be true of a source of `bytes`.
pub(super) fn inspected(found: &Inspected, bytes: u64) -> bool {
    (1..=COLUMNS_MAX).contains(&found.columns.len()) && found.data_start <= bytes && found.preamble_lines <= bytes
}

/// Whether a parse can be true of this partition; `start` is its true start state, where that is known.
pub(super) fn parsed(
    parsed: &Parsed,
    id: PartitionId,
    attempt: AttemptId,
    range: Span,
    start: Option<StateId>,
    columns: usize,
) -> bool {
    let first_inside = parsed.first.is_none_or(|f| range.start <= f && f < range.end.max(range.start + 1));
    let span_fits = match parsed.first {
        Some(first) => parsed.span.start == first && parsed.span.end >= range.end,
        None => parsed.span.is_empty(),
    };
    let rows = parsed.part.as_ref().map_or(0, |p| p.rows);
    let rows_fit = parsed.types.is_none() || rows == parsed.counts.written;
    let rejects_fit = parsed.rejects.as_ref().map_or(0, |r| r.rows) == parsed.counts.rejected;
    let widths = parsed.summaries.len() == columns && parsed.types.as_ref().is_none_or(|t| t.len() == columns);
    let tried = start.is_none_or(|state| parsed.exits.exit(state).is_some());
    let seam_fits = match parsed.seam {
        Seam { given: true, merged_after } => start.is_some() && merged_after.is_none(),
        Seam { given: false, merged_after } => merged_after.is_none_or(|bytes| bytes <= range.bytes()),
    };
    let part_is_own = parsed.part.as_ref().is_none_or(|p| p.key == layout::staged_part(id, attempt));
    let rejects_are_own = parsed.rejects.as_ref().is_none_or(|r| r.key == layout::staged_rejects(id, attempt));
    let figures = rows_fit && rejects_fit && widths && parsed.counts.conserved();
    first_inside && span_fits && figures && tried && seam_fits && part_is_own && rejects_are_own
}
