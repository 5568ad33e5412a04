//! What a database must do to hold journals: tried on the database itself, said in words.
//!
//! Invariant: it works in a table of its own, which it drops, and touches nothing that was there.
#![expect(clippy::disallowed_methods, reason = "a shell: it draws a name")]

use std::panic::resume_unwind;
use std::time::SystemTime;

use batteuse_shared::limits::PROBE_SESSIONS;
use batteuse_store::probe::{Check, Found, apart, at_once};
use batteuse_store::{Database, DatabaseError};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const NOT_DURABLE: &str =
    "the server syncs nothing (fsync is off): after a crash a decided run could be undecided; set fsync = on";
const MAY_NOT_MAKE: &str = "GRANT CREATE ON SCHEMA ... TO the user";

/// Whether the journal's table is there; whether the user may read and append to it; whether a slot in it is made once; whether a
/// crash leaves it.
const JOURNAL: &str = "SELECT has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'), \
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate \
            AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 2 AND i.indnatts = 2 \
            AND ARRAY['run', 'seq'] <@ (SELECT array_agg(a.attname::text) FROM pg_attribute a \
                                        WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[]))), \
    c.relpersistence = 'p' \
    FROM pg_class c WHERE c.oid = to_regclass('batteuse_journal')";

/// The checks without which no coordinator may begin.
pub(super) fn quick(database: &Database) -> Found {
    let both = || match durable(database)? {
        Found::Holds | Found::Note(_) => journal(database),
        unfit => Ok(unfit),
    };
    both().unwrap_or_else(untried)
}

/// Tries everything, with `writers` at once in the race. `now` is the clock of this process.
pub(super) fn full(database: &Database, writers: usize, now: SystemTime) -> Vec<Check> {
    let table = format!("batteuse_doctor_{}", Uuid::new_v4().simple());
    let clocks = clocks(database, now);
    let journal = journal(database).unwrap_or_else(untried);
    let access = access(database, &table, &journal).unwrap_or_else(untried);
    let made = access == Found::Holds;
    let mut checks = vec![Check { what: "tables can be made, written and read", found: access }];
    let mut check = |what, found: Result<Found, DatabaseError>| {
        checks.push(Check { what, found: found.unwrap_or_else(untried) });
    };
    if made {
        check("a slot is made once", once(database, &table));
        check("of many writers at once one makes the slot", race(database, &table, writers));
    }
    check("the journal that is there is fit to be read and appended to", Ok(journal));
    check("what is committed outlives a crash", durable(database));
    check("the clocks agree", clocks);
    // Whatever was told: a table whose making was not answered may be there.
    let dropped = database.with(async |client| client.batch_execute(&format!("DROP TABLE IF EXISTS {table}")).await);
    if let Err(error) = dropped {
        check("nothing is left behind", Ok(Found::Note(format!("the table {table} may be left: {error}"))));
    }
    checks
}

fn untried(error: DatabaseError) -> Found {
    Found::Untried(error.to_string())
}

fn access(database: &Database, table: &str, journal: &Found) -> Result<Found, DatabaseError> {
    let make = format!("CREATE TABLE {table} (seq bigint NOT NULL, slot text NOT NULL, PRIMARY KEY (seq))");
    let refusals = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_SCHEMA_NAME];
    match database.with(async |client| client.batch_execute(&make).await) {
        Err(error) if error.code().is_some_and(|code| refusals.contains(code)) => {
            return Ok(match journal {
                // Its table is there: nothing else is made.
                Found::Holds => {
                    Found::Note(format!("{error}: runs into tables of this database need that: {MAY_NOT_MAKE}"))
                }
                _ => Found::Fails(format!("{error}: the first coordinator makes a table: {MAY_NOT_MAKE}")),
            });
        }
        made => made?,
    }
    insert(database, table, 0, "x")?;
    Ok(match slot(database, table, 0)?.as_deref() {
        Some("x") => Found::Holds,
        _ => Found::Fails("a row that was just committed is not read back".to_owned()),
    })
}

fn once(database: &Database, table: &str) -> Result<Found, DatabaseError> {
    let both = [insert(database, table, 1, "first")?, insert(database, table, 1, "second")?];
    Ok(match (both, slot(database, table, 1)?.as_deref()) {
        ([true, false], Some("first")) => Found::Holds,
        _ => Found::Fails("a second writer replaced what the first one made".to_owned()),
    })
}

fn race(database: &Database, table: &str, writers: usize) -> Result<Found, DatabaseError> {
    let sessions: Vec<Database> = (0..PROBE_SESSIONS).map(|_| database.another()).collect();
    // Connected first: or each writer would connect, and all come at different times.
    sessions.iter().try_for_each(|session| session.with(async |client| client.batch_execute("").await))?;
    let enter = |i: usize| insert(&sessions[i % sessions.len()], table, 2, &format!("writer {i}"));
    let ended = at_once(writers, enter).into_iter().map(|ended| ended.unwrap_or_else(|died| resume_unwind(died)));
    let told: Result<Vec<bool>, DatabaseError> = ended.collect();
    let winners: Vec<usize> = told?.into_iter().enumerate().filter(|(_, told)| *told).map(|(i, _)| i).collect();
    let there = slot(database, table, 2)?;
    Ok(match (&winners[..], there) {
        ([winner], Some(there)) if there == format!("writer {winner}") => Found::Holds,
        ([_], _) => {
            Found::Fails(format!("one of {writers} writers was told that it had made the slot, which is another's"))
        }
        _ => Found::Fails(format!(
            "of {writers} writers at once, {} were told that they had made the slot",
            winners.len()
        )),
    })
}

/// What is to be said of a journal that others made.
fn journal(database: &Database) -> Result<Found, DatabaseError> {
    let told: Option<(bool, bool, bool)> = database.with(async |client| {
        let row = client.query_opt(JOURNAL, &[]).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).transpose()
    })?;
    Ok(match told {
        Some((true, true, true)) => Found::Holds,
        Some((false, ..)) => Found::Fails(
            "the user may not use the table batteuse_journal: GRANT SELECT, INSERT ON batteuse_journal TO the user".to_owned(),
        ),
        Some((_, false, _)) => Found::Fails(
            "the table batteuse_journal lets a slot be made twice, so that two coordinators could own a run: ALTER TABLE \
             batteuse_journal ADD PRIMARY KEY (run, seq)"
                .to_owned(),
        ),
        Some(_) => Found::Fails(
            "the table batteuse_journal is not logged, so that a crash empties it: ALTER TABLE batteuse_journal SET LOGGED".to_owned(),
        ),
        None => Found::Note("there is none yet: the first coordinator makes it".to_owned()),
    })
}

fn durable(database: &Database) -> Result<Found, DatabaseError> {
    let settings = "SELECT current_setting('fsync', true), current_setting('full_page_writes', true)";
    let (syncs, pages): (Option<String>, Option<String>) = database.with(async |client| {
        let row = client.query_one(settings, &[]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    })?;
    Ok(match (syncs.as_deref(), pages.as_deref()) {
        (Some("on"), Some("on")) => Found::Holds,
        (Some("on"), _) => Found::Note(
            "full_page_writes is off: that is sound only where the file system under the database writes whole pages"
                .to_owned(),
        ),
        (None, _) => Found::Note("the server does not tell whether it syncs (it has no setting fsync)".to_owned()),
        (Some(_), _) => Found::Fails(NOT_DURABLE.to_owned()),
    })
}

fn clocks(database: &Database, now: SystemTime) -> Result<Found, DatabaseError> {
    let there: SystemTime =
        database.with(async |client| client.query_one("SELECT clock_timestamp()", &[]).await?.try_get(0))?;
    Ok(match apart(there, now) {
        None => Found::Holds,
        Some(apart) => Found::Note(format!("the database's clock is {} s apart from this machine's", apart.as_secs())),
    })
}

/// Whether this call made the row.
fn insert(database: &Database, table: &str, seq: i64, slot: &str) -> Result<bool, DatabaseError> {
    let insert = format!("INSERT INTO {table} (seq, slot) VALUES ($1, $2)");
    match database.with(async |client| client.execute(&insert, &[&seq, &slot]).await) {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(false),
        made => made.map(|_| true),
    }
}

fn slot(database: &Database, table: &str, seq: i64) -> Result<Option<String>, DatabaseError> {
    let select = format!("SELECT slot FROM {table} WHERE seq = $1");
    database.with(async |client| client.query_opt(&select, &[&seq]).await?.map(|row| row.try_get(0)).transpose())
}
