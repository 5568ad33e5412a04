//! Leases and tasks on the wire.
//!
//! Invariant: a lease that was read carries everything its attempt needs.

use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::limits::{COLUMNS_MAX, HIVE_COLUMNS_MAX, PARTITIONS_MAX};
use batteuse_shared::spec::{BadTableName, Ragged};
use batteuse_shared::task::{
    FinishTask, InspectTask, Lease, ParseTask, RejectPiece, SourceRef, SourceVersion, Staging, TableRef, Task,
};

use super::table::{checksum, columns};
use super::{
    Read, Twinned, at_most, key, list, messages, name, optional, present, required, run_id, size, state, within,
};
use crate::error::WireError;
use crate::v1;

impl From<Lease> for v1::Lease {
    fn from(lease: Lease) -> Self {
        let Lease { run, attempt, task } = lease;
        Self { run: run.into(), attempt: attempt.0, task: Some(task.into()) }
    }
}

impl TryFrom<v1::Lease> for Lease {
    type Error = WireError;

    fn try_from(wire: v1::Lease) -> Read<Self> {
        Ok(Self {
            run: run_id("Lease.run", &wire.run)?,
            attempt: AttemptId(wire.attempt),
            task: present("Lease.task", wire.task)?,
        })
    }
}

impl From<Task> for v1::Task {
    fn from(task: Task) -> Self {
        use v1::task::Kind;
        let kind = match task {
            Task::Inspect(inspect) => Kind::Inspect(inspect.into()),
            Task::Parse(parse) => Kind::Parse((*parse).into()),
            Task::Finish(finish) => Kind::Finish(finish.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Task> for Task {
    type Error = WireError;

    fn try_from(wire: v1::Task) -> Read<Self> {
        use v1::task::Kind;
        Ok(match wire.kind.ok_or(WireError::Missing("Task.kind"))? {
            Kind::Inspect(inspect) => Self::Inspect(inspect.try_into()?),
            Kind::Parse(parse) => Self::Parse(Box::new(parse.try_into()?)),
            Kind::Finish(finish) => Self::Finish(finish.try_into()?),
        })
    }
}

impl From<InspectTask> for v1::InspectTask {
    fn from(task: InspectTask) -> Self {
        let InspectTask { source, csv, columns, compression, table, staging } = task;
        Self {
            source: Some(source.into()),
            csv: Some(csv.into()),
            columns: Some(columns.into()),
            compression: Some(compression.into()),
            table: table.map(Into::into),
            staging: Some(staging.into()),
        }
    }
}

impl TryFrom<v1::InspectTask> for InspectTask {
    type Error = WireError;

    fn try_from(wire: v1::InspectTask) -> Read<Self> {
        Ok(Self {
            source: present("InspectTask.source", wire.source)?,
            csv: present("InspectTask.csv", wire.csv)?,
            columns: present("InspectTask.columns", wire.columns)?,
            compression: present("InspectTask.compression", wire.compression)?,
            table: optional(wire.table)?,
            staging: present("InspectTask.staging", wire.staging)?,
        })
    }
}

impl From<TableRef> for v1::TableRef {
    fn from(target: TableRef) -> Self {
        let TableRef { url, table, key } = target;
        Self { url, table: table.into(), key }
    }
}

impl TryFrom<v1::TableRef> for TableRef {
    type Error = WireError;

    fn try_from(wire: v1::TableRef) -> Read<Self> {
        at_most("TableRef.key", wire.key.len(), COLUMNS_MAX)?;
        let table = wire.table.parse().map_err(|bad: BadTableName| WireError::invalid("TableRef.table", bad))?;
        Ok(Self { url: required("TableRef.url", wire.url)?, table, key: wire.key })
    }
}

impl From<ParseTask> for v1::ParseTask {
    fn from(task: ParseTask) -> Self {
        let ParseTask {
            source,
            dialect,
            ragged,
            columns,
            partition,
            range,
            start,
            compression,
            partition_by,
            table,
            staging,
            replaces,
            alone,
            quarantine,
        } = task;
        Self {
            source: Some(source.into()),
            dialect: Some(dialect.into()),
            ragged: ragged.write(),
            columns: messages(columns),
            partition: partition.0,
            range: Some(range.into()),
            start: start.map(|s| s.0.into()),
            compression: compression.map(Into::into),
            partition_by,
            table: table.map(Into::into),
            staging: Some(staging.into()),
            replaces: replaces.map(|attempt| attempt.0),
            alone,
            quarantine,
        }
    }
}

impl TryFrom<v1::ParseTask> for ParseTask {
    type Error = WireError;

    fn try_from(wire: v1::ParseTask) -> Read<Self> {
        within("ParseTask.partition", wire.partition.into(), 0, PARTITIONS_MAX - 1)?;
        at_most("ParseTask.partition_by", wire.partition_by.len(), HIVE_COLUMNS_MAX)?;
        Ok(Self {
            source: present("ParseTask.source", wire.source)?,
            dialect: present("ParseTask.dialect", wire.dialect)?,
            ragged: Ragged::read("ParseTask.ragged", wire.ragged)?,
            columns: columns("ParseTask.columns", wire.columns)?,
            partition: PartitionId(wire.partition),
            range: present("ParseTask.range", wire.range)?,
            start: wire.start.map(|s| state("ParseTask.start", s)).transpose()?,
            compression: optional(wire.compression)?,
            partition_by: wire.partition_by,
            table: optional(wire.table)?,
            staging: present("ParseTask.staging", wire.staging)?,
            replaces: wire.replaces.map(AttemptId),
            alone: wire.alone,
            quarantine: wire.quarantine,
        })
    }
}

impl From<FinishTask> for v1::FinishTask {
    fn from(task: FinishTask) -> Self {
        let FinishTask { source, pieces, staging } = task;
        Self { source: Some(source.into()), pieces: messages(pieces), staging: Some(staging.into()) }
    }
}

impl TryFrom<v1::FinishTask> for FinishTask {
    type Error = WireError;

    fn try_from(wire: v1::FinishTask) -> Read<Self> {
        let pieces_max = usize::try_from(PARTITIONS_MAX).unwrap_or(usize::MAX);
        Ok(Self {
            source: present("FinishTask.source", wire.source)?,
            pieces: list("FinishTask.pieces", wire.pieces, pieces_max)?,
            staging: present("FinishTask.staging", wire.staging)?,
        })
    }
}

impl From<RejectPiece> for v1::RejectPiece {
    fn from(piece: RejectPiece) -> Self {
        let RejectPiece { key, rows, content, lines_before, records_before } = piece;
        Self { key, rows, content: content.map(|sum| sum.0.to_vec()), lines_before, records_before }
    }
}

impl TryFrom<v1::RejectPiece> for RejectPiece {
    type Error = WireError;

    fn try_from(wire: v1::RejectPiece) -> Read<Self> {
        Ok(Self {
            key: key("RejectPiece.key", wire.key)?,
            rows: size("RejectPiece.rows", wire.rows)?,
            content: wire.content.map(|sum| checksum("RejectPiece.content", &sum)).transpose()?,
            lines_before: size("RejectPiece.lines_before", wire.lines_before)?,
            records_before: size("RejectPiece.records_before", wire.records_before)?,
        })
    }
}

impl From<SourceRef> for v1::SourceRef {
    fn from(source: SourceRef) -> Self {
        let SourceRef { url, version } = source;
        Self { url, version: Some(version.into()) }
    }
}

impl TryFrom<v1::SourceRef> for SourceRef {
    type Error = WireError;

    fn try_from(wire: v1::SourceRef) -> Read<Self> {
        Ok(Self { url: required("SourceRef.url", wire.url)?, version: present("SourceRef.version", wire.version)? })
    }
}

impl From<SourceVersion> for v1::SourceVersion {
    fn from(version: SourceVersion) -> Self {
        let SourceVersion { inode, mtime_ns, bytes } = version;
        Self { inode, mtime_ns, bytes }
    }
}

impl TryFrom<v1::SourceVersion> for SourceVersion {
    type Error = WireError;

    fn try_from(wire: v1::SourceVersion) -> Read<Self> {
        let v1::SourceVersion { inode, mtime_ns, bytes } = wire;
        Ok(Self { inode, mtime_ns, bytes: size("SourceVersion.bytes", bytes)? })
    }
}

impl From<Staging> for v1::Staging {
    fn from(staging: Staging) -> Self {
        let Staging { output_url, nonce } = staging;
        Self { output_url, nonce }
    }
}

impl TryFrom<v1::Staging> for Staging {
    type Error = WireError;

    fn try_from(wire: v1::Staging) -> Read<Self> {
        let output_url = required("Staging.output_url", wire.output_url)?;
        Ok(Self { output_url, nonce: name("Staging.nonce", wire.nonce)? })
    }
}
