//! What a table of a database that is an output asks of a run: of its tasks, of the number of its leases, of its publishing.
//!
//! Invariant: at most `maxConnections` leases of a run may have a connection to its database at once. Pure; it knows no SQL.

use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::layout;
use batteuse_shared::spec::Postgres;
use batteuse_shared::status::Waits;
use batteuse_shared::task::TableRef;

use super::kept::Kept;
use super::messages::TaskKey;
use super::run::Run;
use super::sound::Wanted;
use crate::publish::{TablePlan, TableRows};

impl Run {
    fn postgres(&self) -> Option<&Postgres> {
        self.accepted.job.spec.output.postgres.as_ref()
    }

    /// The table as tasks are told of it.
    pub(super) fn table(&self) -> Option<TableRef> {
        let Postgres { url, table, key, .. } = self.postgres()?;
        Some(TableRef { url: url.clone(), table: table.clone(), key: key.clone() })
    }

    /// Whether a task of this kind would be one connection too many.
    pub(super) fn connections_are_out(&self, key: TaskKey) -> bool {
        let parses = |key: TaskKey| matches!(key, TaskKey::Parse(_));
        let out = || self.leases.iter().filter(|(_, lease)| parses(lease.task)).count();
        self.postgres().is_some_and(|postgres| parses(key) && out() >= postgres.max_connections as usize)
    }

    /// What the run waits for, if more of its tasks would be too many connections.
    pub(super) fn waits_for_connections(&self) -> Option<Waits> {
        let most = self.postgres()?.max_connections;
        let next = self.waiting.first()?;
        self.connections_are_out(*next).then_some(Waits::Connections { most })
    }

    /// What `attempt` at a partition is to stage.
    pub(super) fn wanted(&self, attempt: AttemptId) -> Wanted<'_> {
        Wanted {
            columns: self.inspected.as_ref().map_or(0, |inspected| inspected.columns.len()),
            uploads: self.uploads(),
            parts: self.accepted.job.spec.output.parquet.is_some(),
            partition_by: self.accepted.job.spec.output.partition_by(),
            table: self.postgres().map(|_| layout::staging_table(&self.accepted.nonce, attempt)),
        }
    }

    /// What publishing has to do in the database, if a table is an output.
    #[must_use]
    pub fn table_plan(&self) -> Option<TablePlan> {
        let postgres = self.postgres()?.clone();
        let rows = |(partition, _, parsed): (PartitionId, _, &Kept)| {
            let table = parsed.table.as_ref()?;
            let attempt = self.partitions[partition.0 as usize].holder()?;
            Some(TableRows { attempt, name: table.name.clone(), rows: table.rows })
        };
        Some(TablePlan {
            postgres,
            run: self.id().clone(),
            epoch: self.epoch(),
            staging: layout::staging_tables(&self.accepted.nonce),
            columns: self.current_columns(),
            digest: self.digest(),
            staged: self.is_published().then(|| self.proven_prefix().filter_map(rows).collect()),
        })
    }
}
