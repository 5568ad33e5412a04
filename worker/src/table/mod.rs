//! The staging table of an attempt: its rows in a table of its own beside the one that is an output, where nobody reads them before
//! publishing.
//!
//! Invariants: its name is the attempt's alone; one that is not kept is removed; which rows the database refuses, and why, is a
//! function of each row and of the table, not of what else was sent with it. It stays in one session, so that no row is lost with a
//! server that was away meanwhile. Staging tables are not logged: a crash of the server empties them, which publishing sees.

mod binary;

use std::ops::Range;
use std::path::PathBuf;

use arrow_array::RecordBatch;
use batteuse_shared::ids::AttemptId;
use batteuse_shared::layout;
use batteuse_shared::limits::{TABLE_COLUMNS_MAX, TABLE_NAME_BYTES_MAX, TABLE_STATEMENT_MS_MAX};
use batteuse_shared::spec::TableName;
use batteuse_shared::table::{Column, ColumnType, Digest};
use batteuse_shared::task::{StagedTable, TableRef};
use batteuse_store::database::{columns_sql, quoted, quoted_table};
use batteuse_store::{Database, DatabaseError, DatabaseUrlError, Stores};
use futures::SinkExt;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use self::binary::{Form, Rows};

/// Why rows were not staged.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The URL names no database.
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    /// The table cannot take the file's columns.
    #[error("{table} cannot take this file: {why}")]
    Refused {
        /// Which table.
        table: TableName,
        /// Why, and what to do.
        why: String,
    },
    /// The database failed, or does not allow it.
    #[error("cannot {what} beside {table} in {}", place.display())]
    Database {
        /// What was tried.
        what: &'static str,
        /// Which table.
        table: TableName,
        /// Which database.
        place: PathBuf,
        /// Why it failed.
        source: DatabaseError,
    },
    /// It took another number of rows than were sent.
    #[error("the database took {taken} rows of {sent} that were sent to the staging table {name}")]
    Miscounted {
        /// The staging table.
        name: String,
        /// Rows sent.
        sent: u64,
        /// Rows taken.
        taken: u64,
    },
}

/// A row that the database does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its index in the batch.
    pub row: usize,
    /// Index of the column to blame, where one is.
    pub column: Option<u32>,
    /// Why.
    pub message: String,
}

/// A column of the table as it is.
struct Stored {
    name: String,
    oid: u32,
    /// What limits its values, as PostgreSQL writes it down; -1: nothing.
    modifier: i32,
    generated: bool,
    /// Its type in words.
    words: String,
}

/// A database and the table in it that is an output.
struct Place {
    database: Database,
    target: TableRef,
    /// Of the staging table.
    name: TableName,
}

impl Place {
    fn new(target: &TableRef, name: String, stores: &Stores) -> Result<Self, TableError> {
        let database = Database::at(&target.url, stores, "staging", Some(TABLE_STATEMENT_MS_MAX))?;
        Ok(Self { database, target: target.clone(), name: target.table.beside(&name) })
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(DatabaseError) -> TableError {
        let (table, place) = (self.target.table.clone(), self.database.place().to_owned());
        move |source| TableError::Database { what, table, place, source }
    }

    fn refused(&self, why: impl Into<String>) -> TableError {
        TableError::Refused { table: self.target.table.clone(), why: why.into() }
    }

    /// The columns of a table; none when there is none.
    fn columns(&self, table: &TableName) -> Result<Vec<Stored>, TableError> {
        let select = "SELECT attname::text, atttypid, atttypmod, attgenerated::text <> '', \
            format_type(atttypid, atttypmod) FROM pg_attribute \
            WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let name = quoted_table(table);
        let found = self.database.with(async |client| {
            let rows = client.query(select, &[&name]).await?;
            let stored = |row: &tokio_postgres::Row| -> Result<Stored, tokio_postgres::Error> {
                Ok(Stored {
                    name: row.try_get(0)?,
                    oid: row.try_get(1)?,
                    modifier: row.try_get(2)?,
                    generated: row.try_get(3)?,
                    words: row.try_get(4)?,
                })
            };
            rows.iter().map(stored).collect()
        });
        found.map_err(self.failed("look at the columns"))
    }

    /// What makes the staging table: constraints and defaults are the table's, where there is one.
    fn making(&self, kind: &str, columns: &[Column], there: bool) -> String {
        let like = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY";
        let own = match there {
            true => format!("LIKE {} {like}", quoted_table(&self.target.table)),
            false => columns_sql(columns),
        };
        let (name, number) = (quoted_table(&self.name), quoted(layout::ROW_COLUMN));
        let mut sql = format!("CREATE {kind} {name} ({own}, {number} bigint NOT NULL);");
        for key in &self.target.key {
            sql += &format!("ALTER TABLE {name} ALTER COLUMN {} SET NOT NULL;", quoted(key));
        }
        sql
    }

    /// Runs what makes the staging table. What the database finds wrong with it is for the user to mend.
    fn make(&self, sql: &str) -> Result<(), TableError> {
        let made = self.database.with(async |client| client.batch_execute(sql).await);
        made.map_err(|error| {
            let code = error.code().map_or("", |code| code.code());
            // Not: no permission, and a table that came or went just now.
            let passing = ["42501", "42P01", "42P07"].contains(&code);
            match code.get(..2) {
                Some("42" | "54") if !passing => self.refused(told(&error, &self.name, &self.target.table)),
                _ => self.failed("make a staging table")(error),
            }
        })
    }

    /// How each column is written into the one of its name.
    fn forms(&self, columns: &[Column], stored: &[Stored]) -> Result<Vec<Form>, TableError> {
        let form = |column: &Column| {
            let found = stored.iter().find(|stored| stored.name == column.name);
            let found = found.ok_or_else(|| self.refused(no_column(&column.name)))?;
            fits(column, found).map_err(|why| self.refused(why))
        };
        columns.iter().map(form).collect()
    }
}

fn no_column(name: &str) -> String {
    format!("it has no column {name:?}, which the file has: add the column to the table, or write to another one")
}

/// The way of a column of the source into one of the table, if nothing is lost on it.
fn fits(column: &Column, stored: &Stored) -> Result<Form, String> {
    let Stored { name, words, modifier, .. } = stored;
    if stored.generated {
        return Err(format!("its column {name:?} is generated: take it out of the file"));
    }
    let form = Type::from_oid(stored.oid).and_then(|found| binary::form(column.ctype, &found));
    let form = form.ok_or_else(|| {
        format!(
            "its column {name:?} is {words} and the file's is {}: declare one that fits in spec.columns",
            column.ctype
        )
    })?;
    let rounded = match (form, numeric_of(*modifier)) {
        (Form::Numeric(scale), Some((_, places))) => i32::from(scale) > places,
        (Form::Moment, _) => (0..6).contains(modifier),
        _ => false,
    };
    if rounded {
        return Err(format!("its column {name:?}, {words}, would round what the file has as {}", column.ctype));
    }
    Ok(form)
}

/// Precision and scale of a numeric column, where it has them.
fn numeric_of(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    // The scale is signed, of eleven bits.
    Some((packed >> 16, ((packed & 0x7ff) ^ 1024) - 1024))
}

/// The type of a column of the source that a column of the table asks for.
fn asked(stored: &Stored) -> Option<ColumnType> {
    Some(match Type::from_oid(stored.oid)? {
        Type::BOOL => ColumnType::Boolean,
        Type::INT2 | Type::INT4 | Type::INT8 => ColumnType::Int64,
        Type::FLOAT8 => ColumnType::Float64,
        Type::DATE => ColumnType::Date,
        Type::TIMESTAMP => ColumnType::Timestamp,
        Type::TIMESTAMPTZ => ColumnType::TimestampUtc,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => ColumnType::Text,
        Type::NUMERIC => {
            let (precision, scale) = numeric_of(stored.modifier)?;
            let fits = (1..=38).contains(&precision) && (0..=precision).contains(&scale);
            fits.then_some(ColumnType::Decimal { precision: precision as u8, scale: scale as u8 })?
        }
        _ => return None,
    })
}

/// Looks at the table for which `columns` were inspected: where it is there its columns declare the types of those that the spec does
/// not, and where something forbids to stage the run is refused before anything is read. Nothing stays.
///
/// # Errors
/// When the table cannot take the columns, or the database fails.
pub fn inspect(
    target: &TableRef,
    nonce: &str,
    attempt: AttemptId,
    columns: &mut [Column],
    stores: &Stores,
) -> Result<(), TableError> {
    let place = Place::new(target, layout::staging_table(nonce, attempt), stores)?;
    if columns.len() > TABLE_COLUMNS_MAX {
        return Err(place.refused(format!("{} columns are more than {TABLE_COLUMNS_MAX}", columns.len())));
    }
    let unfit = |name: &str| name.is_empty() || name.len() > TABLE_NAME_BYTES_MAX || name.contains('\0');
    if let Some(column) = columns.iter().find(|column| unfit(&column.name)) {
        let most = TABLE_NAME_BYTES_MAX;
        let why = format!("{:?} is no name of a column there, which has 1 to {most} bytes: rename it", column.name);
        return Err(place.refused(why));
    }
    let stored = place.columns(&target.table)?;
    for column in columns.iter_mut().filter(|column| !column.declared && !stored.is_empty()) {
        let found = stored.iter().find(|stored| stored.name == column.name);
        let found = found.ok_or_else(|| place.refused(no_column(&column.name)))?;
        let ctype = asked(found).ok_or_else(|| {
            let words = "which no type of a file's column follows from: declare one in spec.columns if it fits";
            place.refused(format!("its column {:?} is {}, {words}", found.name, found.words))
        })?;
        (column.ctype, column.declared) = (ctype, true);
    }
    if !stored.is_empty() {
        place.forms(columns, &stored)?;
    }
    // A logged one: a server that crashes just after one without a log was rolled back cannot be started again ("could not create file
    // ...: File exists"), since it finds its first file where it makes another.
    place.make(&format!("BEGIN;{}ROLLBACK;", place.making("TABLE", columns, !stored.is_empty())))
}

/// A staging table under way.
pub struct StagingTable {
    place: Place,
    columns: Vec<Column>,
    /// Known once it is made.
    forms: Option<Vec<Form>>,
    /// Rows given to it so far, refused ones among them: each has a number.
    given: u64,
    rows: u64,
    kept: bool,
}

impl StagingTable {
    /// That of `attempt`. It is made when the first row comes.
    ///
    /// # Errors
    /// When the URL names no database.
    pub fn new(
        target: &TableRef,
        nonce: &str,
        attempt: AttemptId,
        columns: &[Column],
        stores: &Stores,
    ) -> Result<Self, TableError> {
        let place = Place::new(target, layout::staging_table(nonce, attempt), stores)?;
        Ok(Self { place, columns: columns.to_vec(), forms: None, given: 0, rows: 0, kept: false })
    }

    /// Writes rows; returns those that the database refuses, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Refused>, TableError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let forms = match self.forms.take() {
            Some(forms) => forms,
            None => self.make()?,
        };
        let (rows, unfit) = Rows::new(batch, &forms, self.given);
        self.forms = Some(forms);
        self.given += batch.num_rows() as u64;
        let unfit =
            unfit.into_iter().map(|(row, why)| Refused { row, column: Some(why.column as u32), message: why.message });
        let mut refused: Vec<Refused> = unfit.collect();
        self.copy(&rows, 0..batch.num_rows(), &mut refused)?;
        refused.sort_by_key(|refused| refused.row);
        Ok(refused)
    }

    fn make(&self) -> Result<Vec<Form>, TableError> {
        let there = !self.place.columns(&self.place.target.table)?.is_empty();
        self.place.make(&self.place.making("UNLOGGED TABLE", &self.columns, there))?;
        let stored = self.place.columns(&self.place.name)?;
        if stored.is_empty() {
            return Err(self.place.failed("find the staging table")(DatabaseError::Silent));
        }
        self.place.forms(&self.columns, &stored)
    }

    /// Sends some rows. If the database refuses them each half is sent by itself, until it is known which it does not take.
    fn copy(&mut self, rows: &Rows, range: Range<usize>, refused: &mut Vec<Refused>) -> Result<(), TableError> {
        let sent = rows.count(range.clone());
        if sent == 0 {
            return Ok(());
        }
        match self.send(rows.piece(range.clone())) {
            Ok(taken) if taken == sent => {
                self.rows += sent;
                Ok(())
            }
            Ok(taken) => Err(TableError::Miscounted { name: self.place.name.to_string(), sent, taken }),
            Err(error) if refuses(&error) && range.len() == 1 => {
                let column = self.blamed(&error);
                let message = told(&error, &self.place.name, &self.place.target.table);
                refused.push(Refused { row: range.start, column, message });
                Ok(())
            }
            Err(error) if refuses(&error) => {
                let middle = range.start + range.len() / 2;
                self.copy(rows, range.start..middle, refused)?;
                self.copy(rows, middle..range.end, refused)
            }
            Err(error) => Err(self.place.failed("write to the staging table")(error)),
        }
    }

    fn send(&self, piece: bytes::Bytes) -> Result<u64, DatabaseError> {
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let (names, number) = (names.join(", "), quoted(layout::ROW_COLUMN));
        let copy = format!("COPY {} ({names}, {number}) FROM STDIN (FORMAT binary)", quoted_table(&self.place.name));
        self.place.database.within(async |client: &Client| {
            let sink = client.copy_in(&copy).await?;
            let mut sink = std::pin::pin!(sink);
            sink.send(bytes::Bytes::from_static(binary::HEADER)).await?;
            sink.send(piece).await?;
            sink.send(bytes::Bytes::from_static(binary::TRAILER)).await?;
            sink.finish().await
        })
    }

    /// The column that the database blames.
    fn blamed(&self, error: &DatabaseError) -> Option<u32> {
        let DatabaseError::Failed(failed) = error else { return None };
        let said = failed.as_db_error()?;
        let context = said.where_().and_then(|context| context.lines().next()?.split_once(", column "));
        let name = said.column().or(context.map(|(_, name)| name))?;
        let at = self.columns.iter().position(|column| column.name == name)?;
        u32::try_from(at).ok()
    }

    /// The staged rows, kept; none when there are none, and then there is no table.
    #[must_use]
    pub fn keep(mut self, digest: Digest) -> Option<StagedTable> {
        self.kept = self.rows > 0;
        let name = self.place.name.name.clone();
        self.kept.then_some(StagedTable { name, rows: self.rows, digest })
    }

    /// Rows staged so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl Drop for StagingTable {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let drop = format!("DROP TABLE IF EXISTS {}", quoted_table(&self.place.name));
        // What stays, because the session has ended, the end of the run sweeps.
        let _ = self.place.database.within(async |client: &Client| client.batch_execute(&drop).await);
    }
}

/// Whether the database found fault with a row: a bad value (but not how it was sent), a constraint, a row that is too long, or an
/// exception that a check raised.
fn refuses(error: &DatabaseError) -> bool {
    let code = error.code().map_or("", |code| code.code());
    let sent_badly = ["22P03", "22P04"].contains(&code);
    !sent_badly && (code.starts_with("22") || code.starts_with("23") || ["54000", "P0001"].contains(&code))
}

/// What the database says, of the table instead of the staging table.
fn told(error: &DatabaseError, staging: &TableName, target: &TableName) -> String {
    let said = match error {
        DatabaseError::Failed(failed) => failed.as_db_error().map(|said| said.message().to_owned()),
        DatabaseError::Silent => None,
    };
    said.unwrap_or_else(|| error.to_string()).replace(&staging.name, &target.name)
}
