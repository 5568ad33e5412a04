//! Outcomes of attempts on the wire.
//!
//! Invariant: staged names that were read stay inside the staging folder. Whether an outcome agrees with its lease is
//! the scheduler's to judge.

use batteuse_shared::limits::{
    COLUMNS_MAX, FAILURE_MESSAGE_BYTES_MAX, HIVE_COLUMNS_MAX, HIVE_FILES_MAX, HIVE_NAME_BYTES_MAX, PHASE_US_MAX,
    REJECTS_SHOWN, TABLE_NAME_BYTES_MAX, UPLOAD_ID_BYTES_MAX, UPLOAD_PARTS_MAX,
};
use batteuse_shared::task::{
    Failure, FailureClass, Finished, Inspected, Measured, Outcome, Parsed, Phases, RejectShown, Seam, StagedPart,
    StagedRejects, StagedTable, Upload,
};

use super::table::{checksum, columns, digest, digest_bytes, exit_map, exits, summaries};
use super::{
    Read, Twinned, at_most, cut, key, list, messages, optional, optional_size, present, required, size, state, text,
    twinned, within,
};
use crate::error::WireError;
use crate::v1;

twinned!(FailureClass, v1::FailureClass, Environment, Crash, Lost, Refused, SourceChanged, Released, Unseen, Hung);

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        use v1::outcome::Kind;
        let kind = match outcome {
            Outcome::Inspected(inspected) => Kind::Inspected((*inspected).into()),
            Outcome::Parsed(parsed) => Kind::Parsed((*parsed).into()),
            Outcome::Finished(finished) => Kind::Finished(finished.into()),
            Outcome::Failed(failure) => Kind::Failed(failure.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Outcome> for Outcome {
    type Error = WireError;

    fn try_from(wire: v1::Outcome) -> Read<Self> {
        use v1::outcome::Kind;
        Ok(match wire.kind.ok_or(WireError::Missing("Outcome.kind"))? {
            Kind::Inspected(inspected) => Self::Inspected(Box::new(inspected.try_into()?)),
            Kind::Parsed(parsed) => Self::Parsed(Box::new(parsed.try_into()?)),
            Kind::Finished(finished) => Self::Finished(finished.try_into()?),
            Kind::Failed(failure) => Self::Failed(failure.try_into()?),
        })
    }
}

impl From<Inspected> for v1::Inspected {
    fn from(inspected: Inspected) -> Self {
        // How the source is cut is the coordinator's to decide, and does not travel.
        let Inspected { dialect, data_start, start, preamble_lines, columns, measured, partition_bytes: _ } = inspected;
        Self {
            dialect: Some(dialect.into()),
            data_start,
            start: start.0.into(),
            preamble_lines,
            columns: messages(columns),
            measured_read_bytes: measured.read_bytes,
            measured_encoded_bytes: measured.encoded_bytes,
        }
    }
}

impl TryFrom<v1::Inspected> for Inspected {
    type Error = WireError;

    fn try_from(wire: v1::Inspected) -> Read<Self> {
        Ok(Self {
            dialect: present("Inspected.dialect", wire.dialect)?,
            data_start: size("Inspected.data_start", wire.data_start)?,
            start: state("Inspected.start", wire.start)?,
            preamble_lines: size("Inspected.preamble_lines", wire.preamble_lines)?,
            columns: columns("Inspected.columns", wire.columns)?,
            measured: Measured {
                read_bytes: size("Inspected.measured_read_bytes", wire.measured_read_bytes)?,
                encoded_bytes: size("Inspected.measured_encoded_bytes", wire.measured_encoded_bytes)?,
            },
            partition_bytes: None,
        })
    }
}

impl From<Parsed> for v1::Parsed {
    fn from(parsed: Parsed) -> Self {
        let Parsed { first, span, end, exits: map, counts, summaries, types, parts, table, rejects, .. } = parsed;
        let Parsed { seam, phases, quarantined, .. } = parsed;
        Self {
            first,
            span: Some(span.into()),
            end,
            exits: exits(map),
            counts: Some(counts.into()),
            summaries: summaries.into_iter().map(|classes| classes.0.into()).collect(),
            types: types.map(|types| v1::ColumnTypes { types: messages(types) }),
            parts: messages(parts),
            table: table.map(Into::into),
            rejects: rejects.map(Into::into),
            seam: Some(seam.into()),
            phases: Some(phases.into()),
            quarantined: quarantined.map(|sum| sum.0.to_vec()),
        }
    }
}

impl TryFrom<v1::Parsed> for Parsed {
    type Error = WireError;

    fn try_from(wire: v1::Parsed) -> Read<Self> {
        let types = wire.types.map(|wire| list("ColumnTypes.types", wire.types, COLUMNS_MAX));
        Ok(Self {
            first: optional_size("Parsed.first", wire.first)?,
            span: present("Parsed.span", wire.span)?,
            end: size("Parsed.end", wire.end)?,
            exits: exit_map(wire.exits)?,
            counts: present("Parsed.counts", wire.counts)?,
            summaries: summaries("Parsed.summaries", &wire.summaries)?,
            types: types.transpose()?,
            parts: list("Parsed.parts", wire.parts, HIVE_FILES_MAX)?,
            table: optional(wire.table)?,
            rejects: optional(wire.rejects)?,
            seam: present("Parsed.seam", wire.seam)?,
            phases: present("Parsed.phases", wire.phases)?,
            quarantined: wire.quarantined.map(|sum| checksum("Parsed.quarantined", &sum)).transpose()?,
        })
    }
}

impl From<Seam> for v1::Seam {
    fn from(seam: Seam) -> Self {
        let Seam { given, merged_after } = seam;
        Self { given, merged_after }
    }
}

impl TryFrom<v1::Seam> for Seam {
    type Error = WireError;

    fn try_from(wire: v1::Seam) -> Read<Self> {
        Ok(Self { given: wire.given, merged_after: optional_size("Seam.merged_after", wire.merged_after)? })
    }
}

impl From<Phases> for v1::Phases {
    fn from(phases: Phases) -> Self {
        let Phases { read_us, parse_us, encode_us, stage_us } = phases;
        Self { read_us, parse_us, encode_us, stage_us }
    }
}

impl TryFrom<v1::Phases> for Phases {
    type Error = WireError;

    fn try_from(wire: v1::Phases) -> Read<Self> {
        let time = |field, us| within(field, us, 0, PHASE_US_MAX);
        Ok(Self {
            read_us: time("Phases.read_us", wire.read_us)?,
            parse_us: time("Phases.parse_us", wire.parse_us)?,
            encode_us: time("Phases.encode_us", wire.encode_us)?,
            stage_us: time("Phases.stage_us", wire.stage_us)?,
        })
    }
}

impl From<Upload> for v1::Upload {
    fn from(upload: Upload) -> Self {
        let Upload { key, id, parts } = upload;
        Self { key, id, parts }
    }
}

impl TryFrom<v1::Upload> for Upload {
    type Error = WireError;

    fn try_from(wire: v1::Upload) -> Read<Self> {
        at_most("Upload.parts", wire.parts.len(), UPLOAD_PARTS_MAX)?;
        let tag = |part| text("Upload.parts", part, UPLOAD_ID_BYTES_MAX);
        Ok(Self {
            key: text("Upload.key", required("Upload.key", wire.key)?, UPLOAD_ID_BYTES_MAX)?,
            id: text("Upload.id", wire.id, UPLOAD_ID_BYTES_MAX)?,
            parts: wire.parts.into_iter().map(tag).collect::<Read<_>>()?,
        })
    }
}

impl From<StagedPart> for v1::StagedPart {
    fn from(part: StagedPart) -> Self {
        let StagedPart { key, values, bytes, rows, digest, sha256, upload } = part;
        let (digest, sha256) = (digest_bytes(digest), sha256.0.to_vec());
        let values = values.into_iter().map(|text| v1::FolderValue { text }).collect();
        Self { key, values, bytes, rows, digest, sha256, upload: upload.map(Into::into) }
    }
}

impl TryFrom<v1::StagedPart> for StagedPart {
    type Error = WireError;

    fn try_from(wire: v1::StagedPart) -> Read<Self> {
        at_most("StagedPart.values", wire.values.len(), HIVE_COLUMNS_MAX)?;
        let value = |value: v1::FolderValue| {
            value.text.map(|told| text("FolderValue.text", told, HIVE_NAME_BYTES_MAX)).transpose()
        };
        Ok(Self {
            key: key("StagedPart.key", wire.key)?,
            values: wire.values.into_iter().map(value).collect::<Read<_>>()?,
            bytes: size("StagedPart.bytes", wire.bytes)?,
            rows: size("StagedPart.rows", wire.rows)?,
            digest: digest("StagedPart.digest", &wire.digest)?,
            sha256: checksum("StagedPart.sha256", &wire.sha256)?,
            upload: optional(wire.upload)?,
        })
    }
}

impl From<StagedTable> for v1::StagedTable {
    fn from(table: StagedTable) -> Self {
        let StagedTable { name, rows, digest } = table;
        Self { name, rows, digest: digest_bytes(digest) }
    }
}

impl TryFrom<v1::StagedTable> for StagedTable {
    type Error = WireError;

    fn try_from(wire: v1::StagedTable) -> Read<Self> {
        Ok(Self {
            name: text("StagedTable.name", required("StagedTable.name", wire.name)?, TABLE_NAME_BYTES_MAX)?,
            rows: size("StagedTable.rows", wire.rows)?,
            digest: digest("StagedTable.digest", &wire.digest)?,
        })
    }
}

impl From<StagedRejects> for v1::StagedRejects {
    fn from(rejects: StagedRejects) -> Self {
        let StagedRejects { key, rows, bytes, content, upload } = rejects;
        Self { key, rows, bytes, content: content.map(|sum| sum.0.to_vec()), upload: upload.map(Into::into) }
    }
}

impl TryFrom<v1::StagedRejects> for StagedRejects {
    type Error = WireError;

    fn try_from(wire: v1::StagedRejects) -> Read<Self> {
        Ok(Self {
            key: key("StagedRejects.key", wire.key)?,
            rows: size("StagedRejects.rows", wire.rows)?,
            bytes: size("StagedRejects.bytes", wire.bytes)?,
            content: wire.content.map(|sum| checksum("StagedRejects.content", &sum)).transpose()?,
            upload: optional(wire.upload)?,
        })
    }
}

impl From<Finished> for v1::Finished {
    fn from(finished: Finished) -> Self {
        let Finished { rejects, shown } = finished;
        Self { rejects: Some(rejects.into()), shown: messages(shown) }
    }
}

impl TryFrom<v1::Finished> for Finished {
    type Error = WireError;

    fn try_from(wire: v1::Finished) -> Read<Self> {
        Ok(Self {
            rejects: present("Finished.rejects", wire.rejects)?,
            shown: list("Finished.shown", wire.shown, REJECTS_SHOWN)?,
        })
    }
}

impl From<RejectShown> for v1::RejectShown {
    fn from(reject: RejectShown) -> Self {
        let RejectShown { line, column, reason } = reject;
        Self { line, column, reason }
    }
}

impl TryFrom<v1::RejectShown> for RejectShown {
    type Error = WireError;

    fn try_from(wire: v1::RejectShown) -> Read<Self> {
        let v1::RejectShown { line, column, reason } = wire;
        Ok(Self { line: size("RejectShown.line", line)?, column, reason })
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        let Failure { class, message } = failure;
        Self { class: class.write(), message: cut(message, FAILURE_MESSAGE_BYTES_MAX) }
    }
}

impl TryFrom<v1::Failure> for Failure {
    type Error = WireError;

    fn try_from(wire: v1::Failure) -> Read<Self> {
        Ok(Self {
            class: FailureClass::read("Failure.class", wire.class)?,
            message: text("Failure.message", wire.message, FAILURE_MESSAGE_BYTES_MAX)?,
        })
    }
}
