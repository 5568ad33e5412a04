//! What a run leases: its tasks as workers are told of them.
//!
//! Invariant: a task carries everything its attempt needs, as the facts have it now. Pure.

use batteuse_shared::location::{self, Scheme};
use batteuse_shared::task::{FinishTask, InspectTask, ParseTask, RejectPiece, Staging, Task};

use super::messages::TaskKey;
use super::run::Run;

impl Run {
    fn staging(&self) -> Staging {
        Staging { output_url: self.output_url().to_owned(), nonce: self.accepted.nonce.clone() }
    }

    /// Whether what attempts stage are uploads to an object store.
    pub(super) fn uploads(&self) -> bool {
        location::folder_of(self.output_url()).is_ok_and(|folder| folder.scheme != Scheme::File)
    }

    pub(super) fn output_url(&self) -> &str {
        self.accepted.job.spec.output.folder_url()
    }

    pub(super) fn task(&self, key: TaskKey) -> Task {
        let spec = &self.accepted.job.spec;
        let source = self.accepted.source.clone();
        match (key, &self.inspected) {
            (TaskKey::Parse(id), Some(inspected)) => Task::Parse(Box::new(ParseTask {
                source,
                dialect: inspected.dialect.clone(),
                ragged: spec.source.csv.ragged,
                columns: self.current_columns(),
                partition: id,
                range: self.partitions[id.0 as usize].range,
                start: self.start_of(id),
                compression: spec.output.parquet.as_ref().map(|parquet| parquet.compression),
                partition_by: spec.output.partition_by().to_vec(),
                table: self.table(),
                staging: self.staging(),
                replaces: self.replaces(id),
                alone: self.runs_alone(id),
                quarantine: self.partitions[id.0 as usize].quarantine,
            })),
            (TaskKey::Finish, _) => Task::Finish(FinishTask { source, pieces: self.pieces(), staging: self.staging() }),
            _ => Task::Inspect(InspectTask {
                source,
                csv: spec.source.csv.clone(),
                columns: spec.columns.clone(),
                compression: spec.output.parquet.as_ref().map(|parquet| parquet.compression).unwrap_or_default(),
                table: self.table(),
                staging: self.staging(),
            }),
        }
    }

    fn pieces(&self) -> Vec<RejectPiece> {
        let mut lines_before = self.inspected.as_ref().map_or(0, |i| i.preamble_lines);
        let mut records_before = 0;
        let mut pieces = Vec::new();
        for (_, _, parsed) in self.proven_prefix() {
            if let Some(staged) = &parsed.rejects {
                let (key, rows, content) = (staged.key.clone(), staged.rows, staged.content);
                pieces.push(RejectPiece { key, rows, content, lines_before, records_before });
            }
            lines_before += parsed.counts.lines;
            records_before += parsed.counts.read;
        }
        pieces
    }
}
