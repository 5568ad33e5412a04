//! Journals in PostgreSQL: one row a slot, of which the primary key makes sure that it has one writer.
//!
//! Invariant: a row is seen by anybody only when it is durable (`synchronous_commit` is on for our sessions), so what is read needs
//! no second look; an insert whose reply is lost is settled by reading the row. The password is no part of a URL (NO-SECRET).

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batteuse_shared::ids::RunId;
use batteuse_shared::limits::{CALL_MS_MAX, JOURNAL_SLOT_BYTES_MAX, JOURNAL_STATEMENT_MS_MAX};
use batteuse_shared::location;
use batteuse_store::probe::Found;
use batteuse_store::{CreateError, Created, ReadError, Stores, Waiter};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::slots::StateError;
use super::{JournalError, Slots, StateStore};

/// Made by the first coordinator. `seq` counts from 0.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS batteuse_journal \
    (run text NOT NULL, seq bigint NOT NULL, slot bytea NOT NULL, PRIMARY KEY (run, seq))";

/// Whether it was made.
const KNOWN: &str = "SELECT to_regclass('batteuse_journal') IS NOT NULL";

/// A database that holds journals, and the session in use.
pub(super) struct Database {
    /// As it is told to people.
    place: PathBuf,
    config: Config,
    tls: MakeRustlsConnect,
    waiter: Waiter,
    session: Mutex<Option<Arc<Client>>>,
}

impl Database {
    /// The database at `url`, `postgres://[user@]host[:port]/database`; the password, and what else is not said, come from the
    /// settings `PGPASSWORD`, `PGUSER`. Nothing is connected yet.
    pub(super) fn at(url: &str, stores: &Stores) -> Result<Self, StateError> {
        let bad = |source| StateError::Postgres { url: location::shown(url), source };
        let mut config: Config = url.parse().map_err(bad)?;
        if config.get_password().is_some() {
            return Err(StateError::Password);
        }
        if let Some(password) = stores.setting("pgpassword") {
            config.password(password);
        }
        if let Some(user) = stores.setting("pguser").filter(|_| config.get_user().is_none()) {
            config.user(user);
        }
        config.connect_timeout(Duration::from_millis(CALL_MS_MAX));
        config.tcp_user_timeout(Duration::from_millis(JOURNAL_STATEMENT_MS_MAX));
        config.application_name("batteuse journal");
        config
            .keepalives_idle(Duration::from_millis(CALL_MS_MAX))
            .keepalives_interval(Duration::from_millis(CALL_MS_MAX));
        // A standby may lag behind what is durable.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let given = config.get_options().map(|given| format!("{given} ")).unwrap_or_default();
        config.options(format!("{given}-c synchronous_commit=on -c statement_timeout={JOURNAL_STATEMENT_MS_MAX}"));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(StateError::Tls)?.with_root_certificates(roots).with_no_client_auth();
        let (tls, waiter) = (MakeRustlsConnect::new(tls), stores.waiter().map_err(StateError::Open)?);
        Ok(Self { place: PathBuf::from(location::shown(url)), config, tls, waiter, session: Mutex::new(None) })
    }

    /// Does `work` in the session; a session that has ended is replaced first. A server that says nothing is given up, so that no
    /// caller waits for ever: what became of the work is unknown then.
    fn with<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, DatabaseError> {
        let patience = Duration::from_millis(CALL_MS_MAX + JOURNAL_STATEMENT_MS_MAX);
        let done = self.waiter.wait(async {
            let attempt = async {
                let client = self.connected().await?;
                work(&client).await
            };
            tokio::time::timeout(patience, attempt).await
        });
        let done = match done {
            Ok(done) => done.map_err(DatabaseError::Failed),
            Err(_) => Err(DatabaseError::Silent),
        };
        if done.as_ref().is_err_and(DatabaseError::ends_the_session) {
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        done
    }

    async fn connected(&self) -> Result<Arc<Client>, Error> {
        let known = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(client) = known.filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        // It ends with the client; its last error is the next call's too.
        self.waiter.handle().spawn(connection);
        let client = Arc::new(client);
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }
}

/// Why the database did not do as it was asked.
enum DatabaseError {
    /// It said so, or the connection failed.
    Failed(Error),
    /// It said nothing.
    Silent,
}

impl DatabaseError {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Failed(error) => error.code(),
            Self::Silent => None,
        }
    }

    /// Whatever became of it: the next call connects again.
    fn ends_the_session(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_closed() || error.code().is_none(),
            Self::Silent => true,
        }
    }
}

fn io_error(error: DatabaseError) -> io::Error {
    let DatabaseError::Failed(error) = error else {
        return io::Error::new(io::ErrorKind::TimedOut, "the database does not answer");
    };
    let kind = match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => io::ErrorKind::PermissionDenied,
        _ if error.is_closed() => io::ErrorKind::NotConnected,
        _ => io::ErrorKind::Other,
    };
    // The cause is the part that says something.
    let text = std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    io::Error::new(kind, text)
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
        self.database.place.clone()
    }

    fn exists(&self) -> io::Result<bool> {
        self.database.with(async |client| client.query_one(KNOWN, &[]).await?.try_get(0)).map_err(io_error)
    }

    /// A primary key makes sure of it; what cannot be connected to is told by the first read.
    fn probe(&self) -> Found {
        Found::Holds
    }

    fn journal(&self, run: &RunId) -> Box<dyn Slots> {
        Box::new(PostgresSlots { database: self.database.clone(), run: run.clone() })
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        let runs = "SELECT DISTINCT run FROM batteuse_journal";
        let found: Result<Vec<String>, DatabaseError> = self.database.with(async |client| {
            let rows = client.query(runs, &[]).await?;
            rows.iter().map(|row| row.try_get(0)).collect()
        });
        let found = match found {
            Err(error) if untouched(&error) => Vec::new(),
            found => found.map_err(|error| JournalError::Io { path: self.place(), error: io_error(error) })?,
        };
        let mut runs: Vec<RunId> = found.iter().filter_map(|name| RunId::new(name).ok()).collect();
        runs.sort();
        Ok(runs)
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
        self.database.place.join(format!("batteuse_journal, run {}, seq {seq}", self.run))
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
            made => made.map_err(io_error),
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
            Err(error) => Err(CreateError::Unknown(io_error(error))),
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
            Err(error) => Err(ReadError::Io(io_error(error))),
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
            Err(error) => Err(JournalError::Io { path: self.place(0), error: io_error(error) }),
        }
    }
}
