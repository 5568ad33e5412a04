//! Whether an outcome can be true: a worker's arithmetic is not trusted blindly.
//!
//! Invariant: what passes here cannot make the scheduler's sums overflow, its fold stand still, or a file of another attempt be
//! taken or deleted. Pure; it knows no state but what it is given.

use std::collections::BTreeSet;

use batteuse_shared::ids::{AttemptId, PartitionId, RunId};
use batteuse_shared::limits::{COLUMNS_MAX, HIVE_FILES_MAX, UPLOAD_ID_BYTES_MAX, UPLOAD_PARTS_MAX};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::table::{Classes, Digest};
use batteuse_shared::task::{FailureClass, Finished, Inspected, Parsed, Seam, StagedPart, StagedRejects, Upload};
use batteuse_shared::{hive, layout};

use super::kept::staged;
use crate::publish::Staged;

/// Failures that say nothing about the task.
pub(super) fn blameless(class: FailureClass) -> bool {
    let counted = class == FailureClass::Released && planted(Mutant::PreemptionCounted);
    matches!(class, FailureClass::Released | FailureClass::Unseen) && !counted
}

/// What an attempt staged that is its own by name: other names may be somebody else's files.
pub(super) fn own(parsed: &Parsed, attempt: AttemptId) -> impl Iterator<Item = Staged> {
    let own = attempt.to_string();
    staged(&parsed.parts, parsed.rejects.as_ref()).into_iter().filter(move |staged| {
        staged.name.contains(&own) && staged.upload.as_ref().is_none_or(|upload| upload.key.contains(&own))
    })
}

/// Whether an upload can be one to `key`; where the output folder takes `uploads`, there must be one.
fn upload(found: Option<&Upload>, key: &str, uploads: bool) -> bool {
    match found {
        None => !uploads,
        Some(upload) => {
            let short = |text: &str| text.len() <= UPLOAD_ID_BYTES_MAX;
            let parts =
                (1..=UPLOAD_PARTS_MAX).contains(&upload.parts.len()) && upload.parts.iter().all(|part| short(part));
            uploads && upload.key == key && short(&upload.id) && parts
        }
    }
}

/// Whether the rejects of the finish task can be what `attempt` staged.
pub(super) fn finished(found: &Finished, run: &RunId, attempt: AttemptId, uploads: bool) -> bool {
    let rejects = &found.rejects;
    rejects.key == layout::staged_finish(attempt) && upload(rejects.upload.as_ref(), &layout::rejects(run), uploads)
}

/// Whether an inspection can be true of a source of `bytes`.
pub(super) fn inspected(found: &Inspected, bytes: u64) -> bool {
    (1..=COLUMNS_MAX).contains(&found.columns.len()) && found.data_start <= bytes && found.preamble_lines <= bytes
}

/// What attempts of a run stage.
pub(super) struct Wanted<'a> {
    /// How many columns.
    pub(super) columns: usize,
    /// Whether the output folder takes uploads.
    pub(super) uploads: bool,
    /// Whether there are Parquet files.
    pub(super) parts: bool,
    /// By the values of which columns they lie in folders.
    pub(super) partition_by: &'a [String],
    /// Where a table is an output: the name of the attempt's staging table.
    pub(super) table: Option<String>,
}

/// Whether what was staged of the rows is all that was written of them, in every output that is wanted.
fn rows_fit(parsed: &Parsed, wanted: &Wanted<'_>) -> bool {
    let Parsed { parts, table, counts, types, .. } = parsed;
    let all = |rows: Option<u64>| types.is_none() || rows.unwrap_or(0) == counts.written;
    let sum = parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.rows));
    let parts_fit = if wanted.parts { all(Some(sum)) } else { parts.is_empty() };
    let table_fits = match &wanted.table {
        Some(name) => {
            all(table.as_ref().map(|table| table.rows)) && table.as_ref().is_none_or(|table| table.name == *name)
        }
        None => table.is_none(),
    };
    let digest = || parts.iter().fold(Digest::default(), |sum, part| sum.plus(part.digest));
    let alike = parts.is_empty() || table.as_ref().is_none_or(|table| table.digest == digest());
    parts_fit && table_fits && alike
}

/// What was asked of an attempt at a partition.
pub(super) struct Asked<'a> {
    pub(super) partition: PartitionId,
    pub(super) attempt: AttemptId,
    /// The attempt whose name the parts are to be published under.
    pub(super) named: AttemptId,
    pub(super) range: Span,
    /// The true start state, where that is known.
    pub(super) start: Option<StateId>,
    /// Whether ranges were cut once more: then a start may have been given that is not known now.
    pub(super) splits: bool,
    pub(super) wanted: Wanted<'a>,
}

/// Whether these can be the parts that were asked for, each for other values, and under names of their attempt's own.
fn parts_fit(parts: &[StagedPart], span: Span, asked: &Asked<'_>) -> bool {
    let Asked { partition, attempt, named, ref wanted, .. } = *asked;
    let by = wanted.partition_by;
    // A number may be missing: of a folder whose rows were all refused.
    let mut numbers = 0..HIVE_FILES_MAX;
    let mut numbered = |key: &str| numbers.any(|number| key == layout::staged_part(partition, attempt, number));
    let own = |part: &StagedPart| {
        let values = || part.values.iter().map(Option::as_deref);
        let published = layout::part_in(&hive::folder(by, &part.values), span.start, named);
        part.values.len() == by.len()
            && hive::fit(by, values()).is_ok()
            && (part.rows > 0 || by.is_empty())
            && numbered(&part.key)
            && upload(part.upload.as_ref(), &published, wanted.uploads)
    };
    let folders: BTreeSet<_> = parts.iter().map(|part| &part.values).collect();
    folders.len() == parts.len() && parts.iter().all(own)
}

/// Whether what is told of records that were set aside unread can be true: then they are all that was read, and nothing is staged.
fn quarantine_fits(parsed: &Parsed) -> bool {
    let Parsed { counts, summaries, types, parts, table, rejects, quarantined, .. } = parsed;
    let nothing_staged = || parts.is_empty() && table.is_none() && rejects.is_none();
    let nothing_told = || types.is_some() && summaries.iter().all(|summary| *summary == Classes::default());
    match quarantined {
        Some(_) => counts.quarantined == counts.read && nothing_staged() && nothing_told(),
        None => counts.quarantined == 0,
    }
}

/// Whether a parse can be true of this partition.
pub(super) fn parsed(parsed: &Parsed, asked: &Asked<'_>) -> bool {
    let Asked { partition, attempt, range, start, ref wanted, .. } = *asked;
    let columns = wanted.columns;
    let first_inside = parsed.first.is_none_or(|f| range.start <= f && f < range.end.max(range.start + 1));
    let span_fits = match parsed.first {
        Some(first) => parsed.span.start == first && parsed.span.end >= range.end,
        None => parsed.span.is_empty(),
    };
    let rejects_fit = parsed.rejects.as_ref().map_or(0, |r| r.rows) == parsed.counts.rejected;
    let widths = parsed.summaries.len() == columns && parsed.types.as_ref().is_none_or(|t| t.len() == columns);
    let tried = start.is_none_or(|state| parsed.exits.exit(state).is_some());
    let seam_fits = match parsed.seam {
        Seam { given: true, merged_after } => (start.is_some() || asked.splits) && merged_after.is_none(),
        Seam { given: false, merged_after } => merged_after.is_none_or(|bytes| bytes <= range.bytes()),
    };
    let tells_range = parsed.end >= range.end;
    let parts_are_own = parts_fit(&parsed.parts, parsed.span, asked);
    // They are read by their name before the run is decided.
    let own_rejects = |r: &StagedRejects| r.key == layout::staged_rejects(partition, attempt) && r.upload.is_none();
    let rejects_are_own = parsed.rejects.as_ref().is_none_or(own_rejects);
    let figures =
        rows_fit(parsed, wanted) && rejects_fit && widths && parsed.counts.conserved() && quarantine_fits(parsed);
    first_inside && tells_range && span_fits && figures && tried && seam_fits && parts_are_own && rejects_are_own
}

#[cfg(test)]
mod tests {
    use batteuse_shared::span::{Exit, ExitMap};
    use batteuse_shared::table::{Checksum, ColumnType, Counts};
    use batteuse_shared::task::Phases;

    use super::*;

    /// Partition 0 of one column, set aside with three records in it.
    fn set_aside() -> Parsed {
        let (first, state) = (Some(4), StateId(0));
        Parsed {
            first,
            span: Span::new(4, 10),
            end: 10,
            exits: ExitMap([(state, Exit { state, first })].into()),
            counts: Counts { read: 3, quarantined: 3, lines: 4, blank: 1, ..Counts::default() },
            summaries: vec![Classes::default()],
            types: Some(vec![ColumnType::Int64]),
            parts: Vec::new(),
            table: None,
            rejects: None,
            seam: Seam { given: true, merged_after: None },
            phases: Phases::default(),
            quarantined: Some(Checksum::default()),
        }
    }

    fn fits(told: &Parsed) -> bool {
        let wanted = Wanted { columns: 1, uploads: false, parts: true, partition_by: &[], table: None };
        let (attempt, range, start) = (AttemptId(7), Span::new(4, 10), Some(StateId(0)));
        parsed(told, &Asked { partition: PartitionId(0), attempt, named: attempt, range, start, splits: false, wanted })
    }

    #[test]
    fn what_is_set_aside_stages_nothing_and_tells_nothing_but_its_records() {
        assert!(fits(&set_aside()));
        let part = StagedPart {
            key: layout::staged_part(PartitionId(0), AttemptId(7), 0),
            values: Vec::new(),
            bytes: 9,
            rows: 0,
            digest: Digest::default(),
            sha256: Checksum::default(),
            upload: None,
        };
        let counts = set_aside().counts;
        let untrue = [
            Parsed { quarantined: None, ..set_aside() },
            Parsed { counts: Counts { read: 2, ..counts }, ..set_aside() },
            Parsed { counts: Counts { quarantined: 2, filtered: 1, ..counts }, ..set_aside() },
            Parsed { parts: vec![part], ..set_aside() },
            Parsed { summaries: vec![Classes::TEXT], ..set_aside() },
            Parsed { types: None, ..set_aside() },
        ];
        for told in untrue {
            assert!(!fits(&told), "{told:?}");
        }
    }
}
