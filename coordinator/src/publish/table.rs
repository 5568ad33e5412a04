//! Publishing into a table of PostgreSQL: one transaction moves the rows of all accepted attempts and enters the run in the ledger.
//!
//! Invariants: the ledger's row and the rows of the run become visible together, once: a redo finds the row and does nothing, and a
//! commit whose reply is lost is settled by reading it (UNKNOWN-IS-NOT-FAILED). The row carries an epoch; who finds a higher one stops
//! before anything is moved. Staging tables go only after that. What a table is emptied of by a crash of the server is missed before
//! the commit.

use std::path::PathBuf;

use batteuse_shared::ids::{AttemptId, Epoch, RunId};
use batteuse_shared::layout;
use batteuse_shared::limits::{TABLE_LOCK_MS_MAX, TABLE_STATEMENT_MS_MAX};
use batteuse_shared::spec::{Postgres, TableMode, TableName};
use batteuse_shared::table::{Column, Digest};
use batteuse_store::database::{columns_sql, quoted, quoted_table};
use batteuse_store::{Database, DatabaseError, DatabaseUrlError, Stores};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

/// What publishing a run does in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePlan {
    /// Which table, and what becomes of the rows that are there.
    pub postgres: Postgres,
    /// The run.
    pub run: RunId,
    /// Of the coordinator that publishes.
    pub epoch: Epoch,
    /// What the names of the run's staging tables begin with.
    pub staging: String,
    /// Columns with settled types.
    pub columns: Vec<Column>,
    /// Digest of the rows.
    pub digest: Digest,
    /// Staging tables of the accepted attempts that have rows, in source order; none of a run that failed.
    pub staged: Option<Vec<TableRows>>,
}

/// The staged rows of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// Whose.
    pub attempt: AttemptId,
    /// Name of the staging table.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
}

/// What the ledger says of a run that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Rows that it wrote.
    pub rows: u64,
    /// Their digest.
    pub digest: String,
}

/// Why the rows of a run were not published in a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The URL names no database.
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    /// Staged rows are lost.
    #[error(
        "the staging table {first} {}, and {rows} rows were staged in it{}: such tables are not logged, so a crash of the server empties \
         them. It is made again from the source, as long as that is unchanged",
        found.map_or("is gone".to_owned(), |found| format!("holds {found} rows")), super::and_more(attempts.len())
    )]
    Gone {
        /// Whose staging tables are lost.
        attempts: Vec<AttemptId>,
        /// The first of them.
        first: TableName,
        /// Rows that were staged in it.
        rows: u64,
        /// Rows that are there; none: no table is.
        found: Option<u64>,
    },
    /// Another coordinator has the run.
    #[error("run {run} was taken over in epoch {found}, and this coordinator has it in epoch {}: nothing was touched", epoch.0)]
    Superseded {
        /// The run.
        run: RunId,
        /// This one's.
        epoch: Epoch,
        /// The one in the ledger.
        found: i64,
    },
    /// The table does not take the rows as a whole.
    #[error(
        "{table} does not take the rows of this run: {why}. Nothing of it is in the table. Mend the table, then it can be published"
    )]
    Refused {
        /// Which table.
        table: TableName,
        /// Why.
        why: String,
    },
    /// The database failed; if it was during the commit, the rows may be there.
    #[error("cannot {what} {table} in {}: {source}", place.display())]
    Database {
        /// What was tried.
        what: &'static str,
        /// With which table.
        table: TableName,
        /// In which database.
        place: PathBuf,
        /// Why it failed.
        source: DatabaseError,
    },
}

/// Whether a table of this name is there.
const THERE: &str = "SELECT to_regclass($1::text) IS NOT NULL";

/// Where a run is published, and the session in which that is done. What is not committed goes with it.
struct Session {
    database: Database,
    target: TableName,
    ledger: String,
}

impl Session {
    fn new(postgres: &Postgres, stores: &Stores, statement_ms_max: Option<u64>) -> Result<Self, TableError> {
        let database = Database::at(&postgres.url, stores, "publishing", statement_ms_max)?;
        let ledger = quoted_table(&postgres.table.beside(layout::LEDGER));
        Ok(Self { database, target: postgres.table.clone(), ledger })
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(DatabaseError) -> TableError {
        let (table, place) = (self.target.clone(), self.database.place().to_owned());
        move |source| TableError::Database { what, table, place, source }
    }

    /// Connects, and asks whether a table is there.
    fn there(&self, name: &str) -> Result<bool, TableError> {
        let found = self.database.with(async |client| client.query_one(THERE, &[&name]).await?.try_get(0));
        found.map_err(self.failed("look for"))
    }

    /// Runs one statement in the session that is there; the rows that it returns.
    fn query(&self, what: &'static str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, TableError> {
        self.database.within(async |client: &Client| client.query(sql, values).await).map_err(self.failed(what))
    }

    /// Runs one statement in the session that is there; tells how many rows it changed. What the table refuses is for people to mend.
    fn change(&self, what: &'static str, sql: &str) -> Result<u64, TableError> {
        let done = self.database.within(async |client: &Client| client.execute(sql, &[]).await);
        done.map_err(|error| match refusal(&error) {
            Some(why) => TableError::Refused { table: self.target.clone(), why },
            None => self.failed(what)(error),
        })
    }

    /// Makes the ledger, if it is not there.
    fn open_ledger(&self) -> Result<(), TableError> {
        if self.there(&self.ledger)? {
            return Ok(());
        }
        let make = format!(
            "CREATE TABLE IF NOT EXISTS {} (run text PRIMARY KEY, epoch bigint NOT NULL, target text NOT NULL, rows bigint, \
             digest text, published_at timestamptz)",
            self.ledger
        );
        let made = self.database.within(async |client: &Client| client.batch_execute(&make).await);
        match made {
            // Two that make it at once: one of them loses in the catalogue, and the table is there.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
            made => made.map_err(self.failed("make a ledger beside")),
        }
    }

    /// Makes sure that no coordinator of an earlier epoch will commit; tells whether the run is published already.
    fn fence(&self, plan: &TablePlan) -> Result<bool, TableError> {
        let sql = format!(
            "INSERT INTO {0} AS ledger (run, epoch, target) VALUES ($1, $2, $3) ON CONFLICT (run) DO UPDATE \
             SET epoch = greatest(ledger.epoch, excluded.epoch) RETURNING epoch, rows IS NOT NULL",
            self.ledger
        );
        let (run, epoch, target) = (plan.run.as_str(), i64::from(plan.epoch.0), self.target.to_string());
        let rows = self.query("enter the run in the ledger of", &sql, &[&run, &epoch, &target])?;
        self.ours(plan, &rows)
    }

    /// Whether the run is published; refuses where it is not and a later epoch has it.
    fn ours(&self, plan: &TablePlan, rows: &[Row]) -> Result<bool, TableError> {
        let told = |row: &Row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, bool>(1)?));
        let read = rows.first().map(told).transpose().map_err(DatabaseError::Failed);
        let (epoch, published) = read.map_err(self.failed("read the ledger of"))?.unwrap_or((i64::MAX, false));
        if !published && epoch != i64::from(plan.epoch.0) {
            return Err(TableError::Superseded { run: plan.run.clone(), epoch: plan.epoch, found: epoch });
        }
        Ok(published)
    }

    /// Locks the run's row, so that whoever else is about to commit it has done so or waits.
    fn lock(&self, plan: &TablePlan) -> Result<bool, TableError> {
        let sql = format!("SELECT epoch, rows IS NOT NULL FROM {} WHERE run = $1 FOR UPDATE", self.ledger);
        let rows = self.query("read the ledger of", &sql, &[&plan.run.as_str()])?;
        self.ours(plan, &rows)
    }

    /// Makes the table, if it is not there, and empties it, if it is to be replaced. Readers see the old rows meanwhile.
    fn prepare(&self, plan: &TablePlan) -> Result<(), TableError> {
        let Postgres { table, mode, key, .. } = &plan.postgres;
        let target = quoted_table(table);
        if !self.there_within(&target)? {
            let key = match key.is_empty() {
                true => String::new(),
                false => format!(", PRIMARY KEY ({})", names(key.iter())),
            };
            let make = format!("CREATE TABLE {target} ({}{key})", columns_sql(&plan.columns));
            self.change("make", &make)?;
        }
        if *mode == TableMode::Replace {
            self.change("lock", &format!("LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE"))?;
            self.change("empty", &format!("DELETE FROM {target}"))?;
        }
        Ok(())
    }

    fn there_within(&self, name: &str) -> Result<bool, TableError> {
        let rows = self.query("look for", THERE, &[&name])?;
        Ok(rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false)))
    }

    /// Makes sure that all staged rows are there; what is lost is told at once, so that it is made again at once.
    fn count(&self, staged: &[TableRows]) -> Result<(), TableError> {
        let mut lost: Option<TableError> = None;
        for TableRows { attempt, name, rows } in staged {
            let staging = self.target.beside(name);
            let found = self.rows_in(&quoted_table(&staging))?;
            match &mut lost {
                _ if found == Some(*rows) => {}
                Some(TableError::Gone { attempts, .. }) => attempts.push(*attempt),
                _ => lost = Some(TableError::Gone { attempts: vec![*attempt], first: staging, rows: *rows, found }),
            }
        }
        lost.map_or(Ok(()), Err)
    }

    /// Rows of a table; none when it is not there.
    fn rows_in(&self, table: &str) -> Result<Option<u64>, TableError> {
        if !self.there_within(table)? {
            return Ok(None);
        }
        let rows = self.query("count what was staged for", &format!("SELECT count(*) FROM {table}"), &[])?;
        let count = rows.first().and_then(|row| row.try_get::<_, i64>(0).ok());
        Ok(count.and_then(|count| u64::try_from(count).ok()))
    }

    /// Moves the rows of one attempt, all of them.
    fn take(&self, plan: &TablePlan, staged: &TableRows) -> Result<(), TableError> {
        let staging = self.target.beside(&staged.name);
        let moved = self.change("write to", &insert(plan, &staging))?;
        if plan.postgres.mode != TableMode::Upsert && moved != staged.rows {
            let why = format!("it kept {moved} of {} rows, so a trigger or rule of it drops some", staged.rows);
            return Err(TableError::Refused { table: self.target.clone(), why });
        }
        Ok(())
    }

    fn commit(&self, plan: &TablePlan, rows: i64) -> Result<(), TableError> {
        let digest = plan.digest.to_string();
        let sql = format!("UPDATE {} SET rows = $2, digest = $3, published_at = now() WHERE run = $1", self.ledger);
        self.query("enter the run in the ledger of", &sql, &[&plan.run.as_str(), &rows, &digest])?;
        let done = self.database.within(async |client: &Client| client.batch_execute("COMMIT").await);
        done.map_err(self.failed("commit to"))
    }
}

/// What moves the rows of a staging table.
fn insert(plan: &TablePlan, staging: &TableName) -> String {
    let Postgres { table, mode, key, .. } = &plan.postgres;
    let (target, staging) = (quoted_table(table), quoted_table(staging));
    let columns = names(plan.columns.iter().map(|column| &column.name));
    // A file that has values of an identity column means them.
    let head = format!("INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE SELECT");
    if *mode != TableMode::Upsert {
        return format!("{head} {columns} FROM {staging}");
    }
    let keys = names(key.iter());
    let number = quoted(layout::ROW_COLUMN);
    let others = plan.columns.iter().map(|column| &column.name).filter(|name| !key.contains(name));
    let sets: Vec<String> = others.map(|name| format!("{0} = EXCLUDED.{0}", quoted(name))).collect();
    let then = if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
    format!(
        "{head} DISTINCT ON ({keys}) {columns} FROM {staging} ORDER BY {keys}, {number} DESC ON CONFLICT ({keys}) DO {then}"
    )
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// What the database has against the rows or the table, in words; none when it failed otherwise. What is not allowed may be soon.
fn refusal(error: &DatabaseError) -> Option<String> {
    let DatabaseError::Failed(failed) = error else { return None };
    let said = failed.as_db_error()?;
    let code = said.code().code();
    let about_rows = ["22", "23", "42"].iter().any(|class| code.starts_with(class)) || code == "P0001";
    let detail = said.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    (about_rows && code != "42501").then(|| format!("{}{detail}", said.message()))
}

/// Publishes the rows of a run that is decided.
///
/// # Errors
/// See [`TableError`]; nothing of the run is visible then, unless the commit's outcome is unknown.
pub(super) fn publish(plan: &TablePlan, stores: &Stores) -> Result<(), TableError> {
    // What moves all rows may take as long as it likes.
    let session = Session::new(&plan.postgres, stores, None)?;
    session.open_ledger()?;
    if session.fence(plan)? {
        return Ok(());
    }
    session.query("begin with", "BEGIN", &[])?;
    if session.lock(plan)? {
        return Ok(());
    }
    let staged = plan.staged.as_deref().unwrap_or_default();
    session.count(staged)?;
    session.prepare(plan)?;
    for rows in staged {
        session.take(plan, rows)?;
    }
    let rows: u64 = staged.iter().map(|staged| staged.rows).sum();
    let Err(error) = session.commit(plan, i64::try_from(rows).unwrap_or(i64::MAX)) else { return Ok(()) };
    if !matches!(&error, TableError::Database { source, .. } if source.code().is_none()) {
        return Err(error);
    }
    // The reply is lost. Whoever still commits has the row locked, so what is read then is the outcome.
    drop(session);
    let session = Session::new(&plan.postgres, stores, None)?;
    session.there(&session.ledger)?;
    if session.lock(plan)? { Ok(()) } else { Err(error) }
}

/// Drops the staging tables of a run of which nothing will be wanted any more; tells how many.
///
/// # Errors
/// When the database fails, or an attempt that nobody wants still writes to one.
pub fn sweep_tables(plan: &TablePlan, stores: &Stores) -> Result<usize, TableError> {
    let session = Session::new(&plan.postgres, stores, Some(TABLE_STATEMENT_MS_MAX))?;
    session.there(&session.ledger)?;
    let select = "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace($1::text) \
        AND starts_with(relname::text, $2) AND relkind = 'r' ORDER BY relname";
    let (schema, staging) = (quoted(&session.target.schema), &plan.staging);
    let found = session.query("look for staging tables beside", select, &[&schema, staging])?;
    session.query("set a bound beside", &format!("SET lock_timeout = {TABLE_LOCK_MS_MAX}"), &[])?;
    for row in &found {
        let name: String =
            row.try_get(0).map_err(|error| session.failed("read the names beside")(DatabaseError::Failed(error)))?;
        let drop = format!("DROP TABLE IF EXISTS {}", quoted_table(&session.target.beside(&name)));
        session.query("drop a staging table beside", &drop, &[])?;
    }
    Ok(found.len())
}

/// What the ledger says of `run`; none when it was not published there.
///
/// # Errors
/// When the database fails.
pub fn entry(postgres: &Postgres, run: &RunId, stores: &Stores) -> Result<Option<Entry>, TableError> {
    let session = Session::new(postgres, stores, Some(TABLE_STATEMENT_MS_MAX))?;
    if !session.there(&session.ledger)? {
        return Ok(None);
    }
    let select = format!("SELECT rows, digest FROM {} WHERE run = $1 AND rows IS NOT NULL", session.ledger);
    let rows = session.query("read the ledger of", &select, &[&run.as_str()])?;
    let entry = |row: &Row| -> Result<Entry, tokio_postgres::Error> {
        let rows: i64 = row.try_get(0)?;
        Ok(Entry { rows: u64::try_from(rows).unwrap_or(0), digest: row.try_get(1)? })
    };
    let read = rows.first().map(entry).transpose().map_err(DatabaseError::Failed);
    read.map_err(session.failed("read the ledger of"))
}
