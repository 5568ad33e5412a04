//! Where journals lie: a state store has one journal per run, a journal is numbered slots, each made once.
//!
//! Invariant: a slot has one writer, whoever asks and however often; what was called made is read back by everybody.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::limits::{JOURNAL_SLOT_BYTES_MAX, LEADER_BYTES_MAX};
use batteuse_shared::table::Checksum;
use batteuse_store::probe::{self, Check, Found};
use batteuse_store::{
    CreateError, Created, DatabaseUrlError, Folder, Kind, ListError, OpenError, ReadError, Stores, WriteError,
};
use sha2::{Digest as _, Sha256};

use super::JournalError;
use super::postgres::{self, PostgresState};
use crate::lead::{Leader, Write};

/// The slots of one journal. Calls block.
pub trait Slots: Send + Sync {
    /// How a slot is told to people.
    fn place(&self, seq: u64) -> PathBuf;

    /// Makes ready to append: what is there is durable, and what crashes left is gone.
    ///
    /// # Errors
    /// When the disk or store fails.
    fn open(&self) -> io::Result<()>;

    /// Makes the slot `seq`, unless it is there.
    ///
    /// # Errors
    /// [`CreateError::NotWritten`] when it is certain that this call made none, else [`CreateError::Unknown`].
    fn create(&self, seq: u64, bytes: &[u8]) -> Result<Created, CreateError>;

    /// The content of the slot `seq`; none when it is not there.
    ///
    /// # Errors
    /// When it is unfit or cannot be read.
    fn read(&self, seq: u64) -> Result<Option<Vec<u8>>, ReadError>;

    /// Makes durable what was read.
    ///
    /// # Errors
    /// When the disk fails.
    fn secure(&self) -> io::Result<()>;

    /// One more than the number of the highest slot; 0 when there is none.
    ///
    /// # Errors
    /// When they cannot be listed, or something else lies among them.
    fn count(&self) -> Result<u64, JournalError>;
}

/// A store of journals. Calls block.
pub trait StateStore: Send + Sync {
    /// How it is told to people; two that are told alike are one.
    fn place(&self) -> PathBuf;

    /// Whether anything was ever kept in it.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn exists(&self) -> io::Result<bool>;

    /// Tries whether journals may be trusted to it, in a few requests.
    fn probe(&self) -> Found;

    /// Tries all that runs need of it, with so many writers at once; `now` is the clock of this process.
    fn examine(&self, writers: usize, now: SystemTime) -> Vec<Check>;

    /// The slots of the journal of `run`, which may have none yet.
    fn journal(&self, run: &RunId) -> Box<dyn Slots>;

    /// Who leads the coordinators on this store; none when nobody ever did.
    ///
    /// # Errors
    /// When it cannot be read.
    fn leader(&self) -> Result<Option<Leader>, LeaderError>;

    /// Writes who leads, if what it is to replace still stands there; false when something else does.
    ///
    /// # Errors
    /// When the store fails: it may be written.
    fn lead(&self, write: &Write) -> Result<bool, LeaderError>;

    /// The runs that have a journal, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn runs(&self) -> Result<Vec<RunId>, JournalError>;
}

/// Why it cannot be told who leads.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The store failed, or did not answer.
    #[error("{}: {error}", path.display())]
    Io {
        /// Where the record is.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
    /// What stands there is no record of a leader.
    #[error("{} does not say who leads ({reason}): remove it, once no coordinator runs", path.display())]
    Damaged {
        /// Where the record is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A state store, shared.
pub type State = Arc<dyn StateStore>;

/// A state store that is a folder, on a disk or in an object store.
#[derive(Debug, Clone)]
pub struct StateFolder {
    folder: Arc<dyn Folder>,
    /// Its path in `folder`; empty or without a `/` at its end.
    path: String,
}

/// The folder of a state folder that holds one folder per run, as in [`layout::journal_dir`].
const RUNS: &str = "runs";

impl StateFolder {
    /// The state folder `path` in `folder`; `""` is `folder` itself.
    #[must_use]
    pub fn new(folder: Arc<dyn Folder>, path: &str) -> Self {
        Self { folder, path: path.to_owned() }
    }

    fn within(&self, path: &str) -> String {
        if self.path.is_empty() { path.to_owned() } else { format!("{}/{path}", self.path) }
    }
}

impl StateStore for StateFolder {
    fn place(&self) -> PathBuf {
        self.folder.place(&self.path)
    }

    fn exists(&self) -> io::Result<bool> {
        Ok(self.folder.kind(&self.path)? == Some(Kind::Folder))
    }

    fn probe(&self) -> Found {
        probe::quick(&*self.folder)
    }

    fn examine(&self, writers: usize, now: SystemTime) -> Vec<Check> {
        probe::full(&*self.folder, writers, now)
    }

    fn journal(&self, run: &RunId) -> Box<dyn Slots> {
        Box::new(FolderSlots { folder: self.folder.clone(), dir: self.within(&layout::journal_dir(run)) })
    }

    fn leader(&self) -> Result<Option<Leader>, LeaderError> {
        let path = self.within(layout::LEADER);
        let failed = |error| LeaderError::Io { path: self.folder.place(&path), error };
        let damaged = |reason: String| LeaderError::Damaged { path: self.folder.place(&path), reason };
        match self.folder.read(&path, LEADER_BYTES_MAX) {
            Ok(Some(text)) => serde_json::from_slice(&text).map(Some).map_err(|error| damaged(error.to_string())),
            Ok(None) => Ok(None),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(ReadError::Io(error)) => Err(failed(error)),
            Err(unfit) => Err(damaged(unfit.to_string())),
        }
    }

    fn lead(&self, write: &Write) -> Result<bool, LeaderError> {
        let path = self.within(layout::LEADER);
        let failed = |error| LeaderError::Io { path: self.folder.place(&path), error };
        let record = write.record.text().into_bytes();
        let Some(before) = &write.before else {
            self.folder.make(&self.path).map_err(failed)?;
            return match self.folder.create_if_absent(&path, &record) {
                Ok(Created::Done) => Ok(true),
                Ok(Created::Exists) => Ok(false),
                Err(CreateError::NotWritten(error) | CreateError::Unknown(error)) => Err(failed(error)),
            };
        };
        let before = Checksum(Sha256::digest(before.text()).into());
        match self.folder.replace(&path, &before, &record) {
            Ok(()) => Ok(true),
            Err(WriteError::Different) => Ok(false),
            Err(WriteError::Io(error)) => Err(failed(error)),
        }
    }

    fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        let dir = self.within(RUNS);
        let mut runs = Vec::new();
        for entry in listed(&*self.folder, &dir)? {
            match RunId::new(&entry.name) {
                Ok(run) => runs.push(run),
                _ => tracing::warn!(name = entry.name, "passed over: no run has this name"),
            }
        }
        runs.sort();
        Ok(runs)
    }
}

/// Slots that are files of a folder.
struct FolderSlots {
    folder: Arc<dyn Folder>,
    dir: String,
}

impl FolderSlots {
    fn path(&self, seq: u64) -> String {
        format!("{}/{}", self.dir, layout::slot(seq))
    }
}

impl Slots for FolderSlots {
    fn place(&self, seq: u64) -> PathBuf {
        self.folder.place(&self.path(seq))
    }

    fn open(&self) -> io::Result<()> {
        self.folder.make(&self.dir)?;
        self.folder.sweep(&self.dir)?;
        self.folder.secure(&self.dir)
    }

    fn create(&self, seq: u64, bytes: &[u8]) -> Result<Created, CreateError> {
        self.folder.create_if_absent(&self.path(seq), bytes)
    }

    fn read(&self, seq: u64) -> Result<Option<Vec<u8>>, ReadError> {
        self.folder.read(&self.path(seq), JOURNAL_SLOT_BYTES_MAX)
    }

    fn secure(&self) -> io::Result<()> {
        self.folder.secure(&self.dir)
    }

    fn count(&self) -> Result<u64, JournalError> {
        let mut slots = 0;
        for entry in listed(&*self.folder, &self.dir)? {
            if entry.name.starts_with('.') {
                continue;
            }
            let stray = || JournalError::Stray { path: self.folder.place(&format!("{}/{}", self.dir, entry.name)) };
            slots = slots.max(slot_number(&entry.name).ok_or_else(stray)?.saturating_add(1));
        }
        Ok(slots)
    }
}

fn listed(folder: &dyn Folder, path: &str) -> Result<Vec<batteuse_store::Entry>, JournalError> {
    let failed = |error| JournalError::Io { path: folder.place(path), error };
    match folder.list(path) {
        Ok(list) => Ok(list.unwrap_or_default()),
        Err(ListError::Io(error)) => Err(failed(error)),
        Err(error @ ListError::NotAFolder) => Err(failed(io::Error::new(io::ErrorKind::NotADirectory, error))),
    }
}

/// The number of the slot (of a journal or of claims) that is called `name`.
pub(crate) fn slot_number(name: &str) -> Option<u64> {
    name.parse().ok().filter(|seq| layout::slot(*seq) == name)
}

/// Why a state store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is no folder that can be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It names no database that can be used.
    #[error(transparent)]
    Database(#[from] DatabaseUrlError),
}

/// The state store at `url`: a folder on a disk or in an object store, or a PostgreSQL database. It is not looked at.
///
/// # Errors
/// When `url` names none, or its client refuses the settings.
pub fn state_at(url: &str, stores: &Stores) -> Result<State, StateError> {
    if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(Arc::new(PostgresState { database: Arc::new(postgres::database(url, stores)?) }));
    }
    Ok(Arc::new(StateFolder::new(stores.folder(url)?, "")))
}
