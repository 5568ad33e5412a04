//! Databases: from a URL to a session, said once for journals and for tables.
//!
//! Invariants: the password is no part of a URL and comes from the settings (NO-SECRET); what was committed is durable
//! (`synchronous_commit` is on for our sessions); a server that says nothing is given up, so that no caller waits for ever: what
//! became of the work is unknown then. It knows no SQL but settings.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batteuse_shared::limits::CALL_MS_MAX;
use batteuse_shared::location;
use batteuse_shared::spec::TableName;
use batteuse_shared::table::{Column, ColumnType};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{OpenError, Stores, Waiter};

/// Why a URL names no database that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It is none of a database.
    #[error("{url} names no database: {source}: write postgres://user@host:port/database")]
    Url {
        /// Which URL.
        url: String,
        /// Why.
        source: Error,
    },
    /// It holds a password, and URLs are told to everybody.
    #[error("the URL of the database holds a password: leave it out, and give it in the variable PGPASSWORD")]
    Password,
    /// Encryption cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
    /// The runtime of the clients cannot be started.
    #[error(transparent)]
    Open(OpenError),
}

/// Why the database did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It said so, or the connection failed.
    #[error("{}", words(.0))]
    Failed(Error),
    /// It said nothing.
    #[error("the database does not answer")]
    Silent,
}

impl DatabaseError {
    /// What the database called it; none when the connection is to blame, and then what became of the work is unknown.
    #[must_use]
    pub fn code(&self) -> Option<&SqlState> {
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

impl From<DatabaseError> for io::Error {
    fn from(error: DatabaseError) -> Self {
        let kind = match &error {
            DatabaseError::Silent => io::ErrorKind::TimedOut,
            DatabaseError::Failed(failed) => match failed.code() {
                Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => io::ErrorKind::PermissionDenied,
                _ if failed.is_closed() => io::ErrorKind::NotConnected,
                _ => io::ErrorKind::Other,
            },
        };
        io::Error::new(kind, error.to_string())
    }
}

/// The cause is the part that says something.
fn words(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// A database, and the session in use.
pub struct Database {
    /// As it is told to people.
    place: PathBuf,
    config: Config,
    tls: MakeRustlsConnect,
    waiter: Waiter,
    /// How long one piece of work may take; none: as long as the connection lives.
    patience: Option<Duration>,
    session: Mutex<Option<Arc<Client>>>,
}

impl Database {
    /// The database at `url`, `postgres://[user@]host[:port]/database`; the password, and what else is not said, come from the
    /// settings `PGPASSWORD`, `PGUSER`. `purpose` tells the database's people whose sessions they are; a statement may take
    /// `statement_ms_max` milliseconds, or as long as it likes. Nothing is connected yet.
    ///
    /// # Errors
    /// When `url` names no database or holds a password.
    pub fn at(
        url: &str,
        stores: &Stores,
        purpose: &str,
        statement_ms_max: Option<u64>,
    ) -> Result<Self, DatabaseUrlError> {
        let bad = |source| DatabaseUrlError::Url { url: location::shown(url), source };
        let mut config: Config = url.parse().map_err(bad)?;
        if config.get_password().is_some() {
            return Err(DatabaseUrlError::Password);
        }
        if let Some(password) = stores.setting("pgpassword") {
            config.password(password);
        }
        if let Some(user) = stores.setting("pguser").filter(|_| config.get_user().is_none()) {
            config.user(user);
        }
        config.connect_timeout(Duration::from_millis(CALL_MS_MAX));
        config.tcp_user_timeout(Duration::from_millis(statement_ms_max.unwrap_or(3 * CALL_MS_MAX)));
        config.application_name(format!("batteuse {purpose}"));
        config
            .keepalives_idle(Duration::from_millis(CALL_MS_MAX))
            .keepalives_interval(Duration::from_millis(CALL_MS_MAX));
        // A standby may lag behind what is durable.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let given = config.get_options().map(|given| format!("{given} ")).unwrap_or_default();
        let statement = statement_ms_max.unwrap_or(0);
        config.options(format!("{given}-c synchronous_commit=on -c statement_timeout={statement}"));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(DatabaseUrlError::Tls)?.with_root_certificates(roots).with_no_client_auth();
        let (tls, waiter) = (MakeRustlsConnect::new(tls), stores.waiter().map_err(DatabaseUrlError::Open)?);
        let patience = statement_ms_max.map(|most| Duration::from_millis(CALL_MS_MAX + most));
        let place = PathBuf::from(location::shown(url));
        Ok(Self { place, config, tls, waiter, patience, session: Mutex::new(None) })
    }

    /// The same database, with a session of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            place: self.place.clone(),
            config: self.config.clone(),
            tls: self.tls.clone(),
            waiter: self.waiter.clone(),
            patience: self.patience,
            session: Mutex::new(None),
        }
    }

    /// How it is told to people.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Does `work` in the session; one that has ended is replaced first.
    ///
    /// # Errors
    /// When the database refuses, fails or says nothing.
    pub fn with<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, DatabaseError> {
        let done = self.bounded(async {
            let client = self.connected().await?;
            work(&client).await
        });
        if done.as_ref().is_err_and(DatabaseError::ends_the_session) {
            *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        done
    }

    /// Does `work` in the session that is there, and in no other: for what a new session would not know of.
    ///
    /// # Errors
    /// As [`Database::with`], and when there is none any more.
    pub fn within<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Result<T, DatabaseError> {
        let known = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(client) = known else { return Err(DatabaseError::Silent) };
        self.bounded(async { work(&client).await })
    }

    fn bounded<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, DatabaseError> {
        let done = self.waiter.wait(async {
            match self.patience {
                Some(patience) => tokio::time::timeout(patience, work).await,
                None => Ok(work.await),
            }
        });
        done.map_err(|_| DatabaseError::Silent)?.map_err(DatabaseError::Failed)
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

/// A name as SQL takes it, whatever characters it has.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table as SQL takes it.
#[must_use]
pub fn quoted_table(table: &TableName) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

/// Columns as a table is made of them.
#[must_use]
pub fn columns_sql(columns: &[Column]) -> String {
    let column = |column: &Column| format!("{} {}", quoted(&column.name), type_sql(column.ctype));
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn type_sql(ctype: ColumnType) -> String {
    match ctype {
        ColumnType::Boolean => "boolean".to_owned(),
        ColumnType::Int64 => "bigint".to_owned(),
        ColumnType::Float64 => "double precision".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Timestamp => "timestamp".to_owned(),
        ColumnType::TimestampUtc => "timestamptz".to_owned(),
        ColumnType::Text => "text".to_owned(),
    }
}
