//! Journals in PostgreSQL: one row a slot, of which the primary key makes sure that it has one writer.
//!
//! Invariant: a row is seen by anybody only when it is durable, so what is read needs no second look; an insert whose reply is lost
//! is settled by reading the row.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use batteuse_shared::ids::RunId;
use batteuse_shared::limits::{JOURNAL_SLOT_BYTES_MAX, JOURNAL_STATEMENT_MS_MAX};
use batteuse_store::probe::{Check, Found};
use batteuse_store::{CreateError, Created, Database, DatabaseError, DatabaseUrlError, ReadError, Stores};
use tokio_postgres::error::SqlState;

use super::doctor;
use super::{JournalError, LeaderError, Slots, StateStore};
use crate::lead::{Leader, Write};

/// Made by the first coordinator. `seq` counts from 0.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS batteuse_journal \
    (run text NOT NULL, seq bigint NOT NULL, slot bytea NOT NULL, PRIMARY KEY (run, seq))";

/// One row says who leads.
const LEADER_TABLE: &str = "CREATE TABLE IF NOT EXISTS batteuse_leader \
    (one boolean PRIMARY KEY DEFAULT true CHECK (one), record text NOT NULL)";

/// Whether it was made.
const KNOWN: &str = "SELECT to_regclass('batteuse_journal') IS NOT NULL";

/// The database of journals at `url`.
pub(super) fn database(url: &str, stores: &Stores) -> Result<Database, DatabaseUrlError> {
    Database::at(url, stores, "journal", Some(JOURNAL_STATEMENT_MS_MAX))
}

/// The table is not there: nothing was ever journalled in this database.
fn untouched(error: &DatabaseError) -> bool {
    error.code() == Some(&SqlState::UNDEFINED_TABLE)
}

/// Journals of a database.
pub(super) struct PostgresState {
    pub(super) database: Arc<Database>,
}

impl StateStore for PostgresState {
    fn place(&self) -> PathBuf {
        self.database.place().to_owned()
    }

    fn exists(&self) -> io::Result<bool> {
        self.database.with(async |client| client.query_one(KNOWN, &[]).await?.try_get(0)).map_err(io::Error::from)
    }

    /// A primary key makes sure that a slot is made once, where there is one and what is committed stays.
    fn probe(&self) -> Found {
        doctor::quick(&self.database)
    }

    fn examine(&self, writers: usize, now: SystemTime) -> Vec<Check> {
        doctor::full(&self.database, writers, now)
    }

    fn journal(&self, run: &RunId) -> Box<dyn Slots> {
        Box::new(PostgresSlots { database: self.database.clone(), run: run.clone() })
    }

    fn leader(&self) -> Result<Option<Leader>, LeaderError> {
        let select = "SELECT record FROM batteuse_leader";
        let found: Result<Option<String>, DatabaseError> = self.database.with(async |client| {
            let row = client.query_opt(select, &[]).await?;
            row.map(|row| row.try_get(0)).transpose()
        });
        match found {
            Ok(None) => Ok(None),
            Ok(Some(text)) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| LeaderError::Damaged { path: self.leader_place(), reason: error.to_string() }),
            Err(error) if untouched(&error) => Ok(None),
            Err(error) => Err(LeaderError::Io { path: self.leader_place(), error: error.into() }),
        }
    }

    fn lead(&self, write: &Write) -> Result<bool, LeaderError> {
        let record = write.record.text();
        let written = match &write.before {
            Some(before) => self.database.with(async |client| {
                let update = "UPDATE batteuse_leader SET record = $2 WHERE record = $1";
                client.execute(update, &[&before.text(), &record]).await
            }),
            None => self.database.with(async |client| {
                client.batch_execute(LEADER_TABLE).await?;
                let insert = "INSERT INTO batteuse_leader (record) VALUES ($1) ON CONFLICT DO NOTHING";
                client.execute(insert, &[&record]).await
            }),
        };
        match written {
            Ok(rows) => Ok(rows == 1),
            // Two coordinators that make the table at once: one of them loses in the catalogue, and looks again.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(false),
            Err(error) => Err(LeaderError::Io { path: self.leader_place(), error: error.into() }),
        }
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        let runs = "SELECT DISTINCT run FROM batteuse_journal";
        let found: Result<Vec<String>, DatabaseError> = self.database.with(async |client| {
            let rows = client.query(runs, &[]).await?;
            rows.iter().map(|row| row.try_get(0)).collect()
        });
        let found = match found {
            Err(error) if untouched(&error) => Vec::new(),
            found => found.map_err(|error| JournalError::Io { path: self.place(), error: error.into() })?,
        };
        let mut runs: Vec<RunId> = found.iter().filter_map(|name| RunId::new(name).ok()).collect();
        runs.sort();
        Ok(runs)
    }
}

impl PostgresState {
    fn leader_place(&self) -> PathBuf {
        self.database.place().join("batteuse_leader")
    }
}

/// The rows of one run.
struct PostgresSlots {
    database: Arc<Database>,
    run: RunId,
}

/// A slot's number as the database counts.
fn number(seq: u64) -> io::Result<i64> {
    i64::try_from(seq).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

impl Slots for PostgresSlots {
    fn place(&self, seq: u64) -> PathBuf {
        self.database.place().join(format!("batteuse_journal, run {}, seq {seq}", self.run))
    }

    fn open(&self) -> io::Result<()> {
        let made = self.database.with(async |client| {
            // Where the table is there, the right to make one is not needed.
            let there: bool = client.query_one(KNOWN, &[]).await?.try_get(0)?;
            if there { Ok(()) } else { client.batch_execute(TABLE).await }
        });
        match made {
            // Two coordinators that make it at once: one of them loses in the catalogue, and the table is there.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
            made => made.map_err(io::Error::from),
        }
    }

    fn create(&self, seq: u64, bytes: &[u8]) -> Result<Created, CreateError> {
        let seq = number(seq).map_err(CreateError::NotWritten)?;
        let insert = "INSERT INTO batteuse_journal (run, seq, slot) VALUES ($1, $2, $3)";
        let made = self.database.with(async |client| {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&self.run.as_str(), &seq, &bytes];
            client.execute(insert, &values).await
        });
        match made {
            Ok(_) => Ok(Created::Done),
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Created::Exists),
            Err(error) => Err(CreateError::Unknown(error.into())),
        }
    }

    fn read(&self, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let seq = number(seq).map_err(ReadError::Io)?;
        let select = "SELECT slot FROM batteuse_journal WHERE run = $1 AND seq = $2";
        let row: Result<Option<Vec<u8>>, DatabaseError> = self.database.with(async |client| {
            let row = client.query_opt(select, &[&self.run.as_str(), &seq]).await?;
            row.map(|row| row.try_get(0)).transpose()
        });
        match row {
            Ok(Some(bytes)) if bytes.len() as u64 > JOURNAL_SLOT_BYTES_MAX => {
                Err(ReadError::TooLarge { bytes: bytes.len() as u64 })
            }
            Ok(bytes) => Ok(bytes),
            Err(error) if untouched(&error) => Ok(None),
            Err(error) => Err(ReadError::Io(error.into())),
        }
    }

    fn secure(&self) -> io::Result<()> {
        Ok(())
    }

    fn count(&self) -> Result<u64, JournalError> {
        let select = "SELECT max(seq) FROM batteuse_journal WHERE run = $1";
        let highest: Result<Option<i64>, DatabaseError> =
            self.database.with(async |client| client.query_one(select, &[&self.run.as_str()]).await?.try_get(0));
        match highest {
            Ok(highest) => Ok(highest.map_or(0, |seq| seq.max(0) as u64 + 1)),
            Err(error) if untouched(&error) => Ok(0),
            Err(error) => Err(JournalError::Io { path: self.place(0), error: error.into() }),
        }
    }
}
