//! Before a run that failed goes on, and when it cannot any more: looks at its source and its folder, and releases what it staged.
//!
//! Invariant: a run is released before anybody else takes its folder, and before anything that it keeps is removed. Writes nothing else
//! than the fact that releases it and the staging folder that it may have lost.

use std::collections::BTreeSet;
use std::path::PathBuf;

use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::task::Upload;
use batteuse_store::{Folder, ListError, OpenError, Stores, tree};

use crate::admit::{self, AdmitError, Ground};
use crate::claim::{self, ClaimError};
use crate::journal::{AppendError, Journal, JournalError, Position, StateStore};
use crate::publish::{self, PublishError, Staged, TableError};
use crate::scheduler::{Fact, NotRedrivable, Remains, Run};

/// Why a run does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// There is no such run.
    #[error("no run {run} here; `batteuse list` shows those there are")]
    Unknown {
        /// Which.
        run: RunId,
    },
    /// It cannot.
    #[error(transparent)]
    Not(#[from] NotRedrivable),
    /// Its folder is another run's.
    #[error("{} is held by run {by} now: submit the job of run {run} again", dir.display())]
    Taken {
        /// The run.
        run: RunId,
        /// Who holds the folder.
        by: RunId,
        /// The folder.
        dir: PathBuf,
    },
    /// Its folder is nobody's.
    #[error("{} is not claimed any more: put the folder of run {run} back, or submit its job again", dir.display())]
    Unclaimed {
        /// The run.
        run: RunId,
        /// The folder.
        dir: PathBuf,
    },
    /// Its source, or the folder that it stages in.
    #[error(transparent)]
    Ground(#[from] AdmitError),
    /// Its folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Whose its folder is cannot be told.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Its journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What it left when it failed cannot be told.
    #[error(transparent)]
    Remains(#[from] PublishError),
}

impl RedriveError {
    /// Whether the system is to blame: it may be tried again.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Ground(error) => error.is_environment(),
            Self::Claim(error) => error.is_environment(),
            Self::Journal(error) => matches!(error, JournalError::Io { .. }),
            Self::Remains(error) => matches!(error, PublishError::Io { .. }),
            _ => false,
        }
    }
}

/// A run that may go on, as it was when that was looked at.
#[derive(Debug)]
pub struct Look {
    /// The run.
    pub run: Run,
    /// Where its journal goes on: where another fact comes first, the look is void.
    pub position: Position,
    /// What its ending left.
    pub remains: Remains,
}

/// Looks whether `run`, as its journal tells it, may go on. None when it does already.
///
/// # Errors
/// When it may not.
pub fn look(run: &RunId, ground: &Ground) -> Result<Option<Look>, RedriveError> {
    let read = Journal::read::<Fact>(&*ground.state, run)?;
    let found = Run::replay(read.facts.into_iter().map(|(_, fact)| fact));
    let found = found.ok_or_else(|| RedriveError::Unknown { run: run.clone() })?;
    match found.redrivable() {
        Err(NotRedrivable::Open { .. }) => Ok(None),
        Err(not) => Err(not.into()),
        Ok(()) => {
            let remains = prepare(&found, &ground.stores)?;
            Ok(Some(Look { run: found, position: read.position, remains }))
        }
    }
}

/// Makes a run that is redrivable ready to go on: tells what its ending left.
///
/// # Errors
/// When its source changed, or its folder is not its own any more.
pub fn prepare(run: &Run, stores: &Stores) -> Result<Remains, RedriveError> {
    let (id, accepted) = (run.id(), run.accepted());
    admit::same_source(run)?;
    let dir = stores.folder(accepted.job.spec.output.folder_url())?;
    let place = || dir.place("");
    match claim::current(&*dir)? {
        Some((_, claim)) if claim.run == *id => {}
        Some((_, claim)) => return Err(RedriveError::Taken { run: id.clone(), by: claim.run, dir: place() }),
        None => return Err(RedriveError::Unclaimed { run: id.clone(), dir: place() }),
    }
    admit::prepare_staging(&*dir, id, &accepted.nonce)?;
    remains(run, &*dir)
}

/// What the ending of `run` left in `dir`.
///
/// # Errors
/// When that cannot be told.
pub fn remains(run: &Run, dir: &dyn Folder) -> Result<Remains, RedriveError> {
    let staging = layout::staging_dir(run.id());
    let listed = dir.list(&staging).map_err(unlisted(dir, &staging))?;
    let names: BTreeSet<String> = listed.unwrap_or_default().into_iter().map(|entry| entry.name).collect();
    let pending = dir.pending_uploads().map_err(|error| unlisted(dir, "")(ListError::Io(error)))?;
    let uploads: Option<BTreeSet<(String, String)>> =
        pending.map(|pending| pending.into_iter().map(|upload| (upload.key, upload.id)).collect());
    let mut seen: BTreeSet<String> = BTreeSet::new();
    if run.has_been_published() {
        let listed = tree(dir).map_err(unlisted(dir, ""))?;
        seen.extend(listed.unwrap_or_default().into_iter().map(|entry| entry.name));
    }
    let there = |staged: &Staged, published: Option<&str>| match &staged.upload {
        _ if published.is_some_and(|path| seen.contains(path)) => true,
        None => names.contains(&staged.name),
        // Where the store has no list of them, publishing finds what is gone.
        Some(Upload { key, id, .. }) => uploads.as_ref().is_none_or(|all| all.contains(&(key.clone(), id.clone()))),
    };
    let of_run = [layout::rejects(run.id()), layout::report(run.id()), layout::manifest(run.id())];
    let paths = of_run.into_iter().chain(run.has_been_published().then(|| layout::SUCCESS.to_owned()));
    let visible = paths.filter_map(|path| publish::visible(dir, &path).transpose());
    Ok(Remains { visible: visible.collect::<Result<_, _>>()?, lost: run.lost(there) })
}

fn unlisted(dir: &dyn Folder, path: &str) -> impl FnOnce(ListError) -> PublishError + use<> {
    let path = dir.place(path);
    |error| match error {
        ListError::Io(error) => PublishError::Io { path, error },
        ListError::NotAFolder => PublishError::Foreign { path },
    }
}

/// Why a run that failed is not released. It may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Its journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The fact cannot be written, or another one came before it.
    #[error("run {run} failed and may be redriven; that it is given up cannot be journalled: {source}")]
    Append {
        /// The run.
        run: RunId,
        /// What happened.
        source: AppendError,
    },
}

/// Gives up what a run that failed keeps: it cannot be redriven any more.
///
/// # Errors
/// When its journal cannot be written, or went on from `position`: it may have been redriven.
pub fn release(
    run: &Run,
    (state, position): (&dyn StateStore, Position),
    reason: String,
    writer: uuid::Uuid,
) -> Result<(), ReleaseError> {
    let id = run.id().clone();
    let mut journal = Journal::open(state, &id, writer, position)?;
    let written = journal.append(run.epoch(), &[Fact::Released { reason }]);
    written.map_err(|source| ReleaseError::Append { run: id, source })
}

/// Whether `dir` is a copy of the folder that `run` began in: what is done in the copy is nothing to it.
#[must_use]
pub fn began_elsewhere(run: &Run, dir: &dyn Folder, stores: &Stores) -> bool {
    let Ok(own) = stores.folder(run.accepted().job.spec.output.folder_url()) else { return false };
    let (there, here) = (own.place(""), dir.place(""));
    // Through links too; a folder that was moved has left nothing where it was.
    match (there.canonicalize(), here.canonicalize()) {
        (Ok(there), Ok(here)) => there != here,
        _ => dir.has_uploads() && there != here,
    }
}

/// Why what a run kept is not removed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// In its folder.
    #[error(transparent)]
    Folder(#[from] PublishError),
    /// In its database.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Removes what a released run kept, but for uploads: they are aborted with those of lost attempts.
///
/// # Errors
/// When something is there and cannot be removed.
pub fn sweep(run: &Run, dir: &dyn Folder, stores: &Stores) -> Result<(), SweepError> {
    publish::sweep(dir, run.id())?;
    run.table_plan().map_or(Ok(0), |plan| publish::sweep_tables(&plan, stores))?;
    Ok(())
}
