//! Admission: from a job to an accepted run, and whether its output folder may take it.
//!
//! Invariant: nothing is written before every check has passed, and an output folder that holds somebody else's work is
//! never touched. What makes a folder ours is its claim; what makes a claim void is a fact in its own run's journal.
#![expect(clippy::disallowed_methods, reason = "a shell: it draws nonces")]

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batteuse_shared::ids::{BadName, Epoch, RunId};
use batteuse_shared::limits::SOURCE_BYTES_MAX;
use batteuse_shared::location::{self, BadUrl};
use batteuse_shared::manifest::Standing;
use batteuse_shared::report::{Reason, RunState};
use batteuse_shared::spec::{Auto, Job, Mode, Output, SpecProblem};
use batteuse_shared::task::{SourceRef, SourceVersion};
use batteuse_shared::time::Millis;
use batteuse_shared::{hive, layout, limits};
use batteuse_store::probe::{self, Found};
use batteuse_store::{CreateError, Entry, Folder, Kind, ListError, OpenError, ReadError, Stores, tree};

use crate::claim::{self, Claim, ClaimError, ClaimOutcome, Holding};
use crate::journal::{AppendError, Journal, JournalError, Position, State, StateError, StateStore};
use crate::plan;
use crate::redrive::{self, ReleaseError};
use crate::scheduler::{Accepted, Decision, Fact, Run};
use crate::standing::{self, StandingError};

/// Where a coordinator keeps its state, and its clock.
#[derive(Clone)]
pub struct Ground {
    /// The state store as claims tell it: a URL, or a path relative to the output folder.
    pub claimed_as: String,
    /// The state store.
    pub state: State,
    /// Opens output folders.
    pub stores: Arc<Stores>,
    /// The clock.
    pub clock: fn() -> Millis,
    /// Names this process in journals.
    pub writer: uuid::Uuid,
}

/// An admitted job.
#[derive(Debug)]
pub enum Admission {
    /// A new run; it exists once the driver has journalled it.
    New(Box<Accepted>),
    /// The same request was admitted before.
    Known(RunId),
}

/// A part of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// `spec.source.url`.
    Source,
    /// `spec.partition.bytes`.
    Partition,
    /// `spec.output.parquet.url` or `spec.output.folder`.
    Output,
}

/// Why a job is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The spec is wrong.
    #[error("the spec is refused: {}", words(.0))]
    Spec(Vec<SpecProblem>),
    /// The request's id is no part of a run's id.
    #[error("the request id is refused: {0}")]
    Name(#[from] BadName),
    /// The source's URL names no local path.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The output folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The state store of the run that holds the output folder cannot be opened.
    #[error("the state of the run that holds the output folder: {0}")]
    State(#[from] StateError),
    /// The source cannot be read.
    #[error("the source {} cannot be read: {error}: check the path and its permissions", path.display())]
    Source {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The run was given up before it began.
    #[error(
        "run {run} was given up before it began, because another run took its output folder: submit it again, into another folder if that one is taken"
    )]
    GivenUp {
        /// The run.
        run: RunId,
    },
    /// The request's id was used for another job.
    #[error("run {run} exists with another job: give each job its own request id")]
    Reused {
        /// The run.
        run: RunId,
    },
    /// The journal of the run that holds the output folder is not there.
    #[error("{} holds files of run {run}, whose journal is not in {}: put the journal back, or name another folder", dir.display(), state.display())]
    JournalGone {
        /// The folder.
        dir: PathBuf,
        /// Its run.
        run: RunId,
        /// Where its journal should be.
        state: PathBuf,
    },
    /// The source is not a file.
    #[error("the source {} is not a regular file: name one file", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// The source is too large.
    #[error(
        "the source has {bytes} bytes, more than the {SOURCE_BYTES_MAX} that a run takes: split it into several files"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The partitions are too small.
    #[error(
        "{bytes} bytes in partitions of {partition_bytes} make more than the {most} partitions that such a run may have: raise partition.bytes"
    )]
    TooManyPartitions {
        /// Size of the source.
        bytes: u64,
        /// Asked for.
        partition_bytes: u64,
        /// Most partitions of a run into such an output.
        most: u64,
    },
    /// The output folder holds an unfinished run.
    #[error("{} holds the unfinished run {run}: finish it with `batteuse resume --to {}`, or give it up with `batteuse cancel {}`", dir.display(), dir.display(), dir.display())]
    Unfinished {
        /// The folder.
        dir: PathBuf,
        /// Its run.
        run: RunId,
    },
    /// The output folder holds an unfinished run of a coordinator.
    #[error("{} holds the unfinished run {run} of the coordinator with state {state}: let that finish, give it up with `batteuse cancel {run} --coordinator URL`, or name another folder", dir.display())]
    Elsewhere {
        /// The folder.
        dir: PathBuf,
        /// Its run.
        run: RunId,
        /// Whose state tells.
        state: String,
    },
    /// The output folder holds a table.
    #[error("{} holds the table of run {run}: name another folder, delete this one, or give output.parquet.mode append or overwrite (--mode)", dir.display())]
    Finished {
        /// The folder.
        dir: PathBuf,
        /// Its run.
        run: RunId,
    },
    /// The output folder holds a table with other folders.
    #[error("{} holds a table with {is}, and this run writes {wants}: give output.parquet.partitionBy (--partition-by) as that table has it, or use the mode overwrite", dir.display())]
    OtherFolders {
        /// The folder.
        dir: PathBuf,
        /// What the table has.
        is: String,
        /// What the run would add.
        wants: String,
    },
    /// The output folder holds other things.
    #[error("{} is not empty: it holds {name}, which is not ours: name an absent or empty folder", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// One of them.
        name: String,
    },
    /// The store of the output is not fit to hold a run.
    #[error("{} is not fit for output: {why}; `batteuse doctor` tells all", dir.display())]
    Unfit {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The store of the output cannot be tried.
    #[error("{} cannot be tried: {why}", dir.display())]
    Untried {
        /// The folder.
        dir: PathBuf,
        /// What happened.
        why: String,
    },
    /// Another run claimed the folder at the same time.
    #[error("{} was claimed by run {by} just now: name another folder", dir.display())]
    Lost {
        /// The folder.
        dir: PathBuf,
        /// The winner.
        by: RunId,
    },
    /// The claim cannot be read or written.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The table that stands in the folder cannot be told.
    #[error("the table in the output folder: {0}")]
    Standing(#[from] StandingError),
    /// The journal of the run that holds the folder cannot be read.
    #[error("whether the run that holds the output folder has ended cannot be told: {0}")]
    Journal(#[from] JournalError),
    /// The claim of a run that never began cannot be made void.
    #[error("the claim of a run that never began cannot be made void: {0}")]
    Void(AppendError),
    /// The run that failed in this folder keeps what it staged.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The source is another version than a run began with.
    #[error(
        "the source {} changed since the run began: it was [{was}], it is [{is}]. Nothing is published. Put the old file back, or give \
         the run up with `batteuse cancel` and run again", path.display()
    )]
    Changed {
        /// Where.
        path: PathBuf,
        /// What the run began with.
        was: SourceVersion,
        /// What is there.
        is: SourceVersion,
    },
    /// The disk failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
}

impl AdmitError {
    /// The part of the job that it is about, where there is one.
    #[must_use]
    pub fn about(&self) -> Option<About> {
        match self {
            Self::Source { .. } | Self::NotAFile { .. } | Self::TooLarge { .. } | Self::Changed { .. } => {
                Some(About::Source)
            }
            Self::TooManyPartitions { .. } => Some(About::Partition),
            Self::Unfit { .. }
            | Self::Unfinished { .. }
            | Self::Elsewhere { .. }
            | Self::Finished { .. }
            | Self::Standing(_)
            | Self::OtherFolders { .. }
            | Self::Foreign { .. } => Some(About::Output),
            Self::Claim(ClaimError::NotAFolder { .. }) | Self::JournalGone { .. } | Self::Lost { .. } => {
                Some(About::Output)
            }
            _ => None,
        }
    }

    /// Whether the system is to blame, not the job: the same job may be admitted later.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Untried { .. } => true,
            Self::Claim(error) => error.is_environment(),
            Self::Standing(error) => matches!(error, StandingError::Io { .. }),
            Self::Journal(error) | Self::Release(ReleaseError::Journal(error)) => {
                matches!(error, JournalError::Io { .. })
            }
            Self::Void(error) | Self::Release(ReleaseError::Append { source: error, .. }) => {
                matches!(error, AppendError::Io { .. } | AppendError::Unknown { .. })
            }
            _ => false,
        }
    }
}

fn words(problems: &[SpecProblem]) -> String {
    let shown: Vec<String> = problems.iter().take(limits::PROBLEMS_SHOWN).map(ToString::to_string).collect();
    shown.join("; ")
}

/// The version of the file at `path` (SAME-INPUT).
///
/// # Errors
/// When it is no regular file or cannot be looked at.
pub fn version_of(path: &Path) -> Result<SourceVersion, AdmitError> {
    let unread = |error| AdmitError::Source { path: path.to_owned(), error };
    if !fs::metadata(path).map_err(unread)?.is_file() {
        return Err(AdmitError::NotAFile { path: path.to_owned() });
    }
    // Opened, so that a source which may not be read is refused before anything is written.
    let found = fs::File::open(path).and_then(|file| file.metadata()).map_err(unread)?;
    Ok(SourceVersion::new(found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

/// Refuses another version of the source than `run` began with (SAME-INPUT).
///
/// # Errors
/// When it is another one, or cannot be looked at.
pub fn same_source(run: &Run) -> Result<(), AdmitError> {
    let source = &run.accepted().source;
    let path = location::path_of(&source.url)?;
    let is = version_of(&path)?;
    if is == source.version { Ok(()) } else { Err(AdmitError::Changed { path, was: source.version, is }) }
}

/// The run that `job` is under this request.
///
/// # Errors
/// When they make no id.
pub fn run_id(job: &Job, request: &str) -> Result<RunId, BadName> {
    RunId::new(&format!("{}-{request}", job.metadata.name))
}

/// Admits `job` as the run `<job>-<request>`, and claims its output folder. Asked again with the same request it finds what
/// the first try left, and goes on from there.
///
/// # Errors
/// When the spec, the source or the state of the output folder forbid it; the disk.
pub fn admit(job: Job, request: &str, ground: &Ground) -> Result<Admission, AdmitError> {
    job.check().map_err(AdmitError::Spec)?;
    let run = run_id(&job, request)?;
    let dir = ground.stores.folder(job.spec.output.folder_url())?;
    let holding = claim::look(&*dir)?;
    let begun = Journal::read::<Fact>(&*ground.state, &run)?;
    let any = !begun.facts.is_empty();
    if let Some(known) = Run::replay(begun.facts.into_iter().map(|(_, fact)| fact)) {
        if known.accepted().job != job {
            return Err(AdmitError::Reused { run });
        }
        // Whoever is told so may rely on it: its first slot may be there and not be durable yet.
        let slots = ground.state.journal(&run);
        slots.secure().map_err(|error| AdmitError::Io { path: slots.place(0), error })?;
        return Ok(Admission::Known(run));
    }
    if any {
        return Err(AdmitError::GivenUp { run });
    }
    let source_path = location::path_of(&job.spec.source.url)?;
    let version = version_of(&source_path)?;
    if version.bytes > SOURCE_BYTES_MAX {
        return Err(AdmitError::TooLarge { bytes: version.bytes });
    }
    let most = plan::partitions_max(&job.spec.output);
    if let Auto::Given(partition_bytes) = job.spec.partition.bytes
        && version.bytes / partition_bytes >= most
    {
        return Err(AdmitError::TooManyPartitions { bytes: version.bytes, partition_bytes, most });
    }
    let mode = job.spec.output.mode();
    let free = free_slot(&dir, holding, &run, mode, ground)?;
    // Whoever held the folder has ended, and the next claim is this run's or another's, which is noticed: so nobody changes the table
    // before this run does.
    let standing = standing(&*dir, &job.spec.output)?;
    if let Some(Free { seq, holder }) = free {
        fit(&*dir)?;
        if let Some(holder) = &holder
            && !holder.release(&run, ground.writer)?
        {
            // It goes on, or a rival has released it.
            return admit(job, request, ground);
        }
        let mine =
            Claim { run: run.clone(), state: ground.claimed_as.clone(), nonce: uuid::Uuid::new_v4().to_string() };
        match claim::claim(&*dir, seq, &mine)? {
            ClaimOutcome::Lost { by } if by.run != run => {
                return Err(AdmitError::Lost { dir: dir.place(""), by: by.run });
            }
            ClaimOutcome::Lost { .. } | ClaimOutcome::Won => {}
        }
        holder.iter().for_each(|holder| holder.sweep(&*dir, &ground.stores));
    }
    let nonce = prepare_staging(&*dir, &run, &uuid::Uuid::new_v4().to_string())?;
    let source = SourceRef { url: job.spec.source.url.clone(), version };
    Ok(Admission::New(Box::new(Accepted { run, job, source, nonce, standing, at: (ground.clock)() })))
}

/// The table that stands in `dir`, if the mode goes on from one. What is no part of it must not be there.
fn standing(dir: &dyn Folder, output: &Output) -> Result<Option<Box<Standing>>, AdmitError> {
    let found = standing::read(dir)?;
    if let Some(name) = standing::stray(dir, found.as_ref().map(|(_, standing)| standing))? {
        return Err(AdmitError::Foreign { dir: dir.place(""), name });
    }
    let stays = |standing: &Standing| match output.parquet {
        Some(_) => output.mode() == Mode::Error,
        // A run without files takes nobody's away.
        None => standing.files().next().is_some(),
    };
    let wants = output.partition_by();
    let goes_on = matches!(output.mode(), Mode::Append | Mode::OverwritePartition);
    match found {
        Some((_, standing)) if goes_on && standing.partition_by != wants => {
            let (is, wants) = (by(&standing.partition_by), by(wants));
            Err(AdmitError::OtherFolders { dir: dir.place(""), is, wants })
        }
        Some((run, standing)) if stays(&standing) => Err(AdmitError::Finished { dir: dir.place(""), run }),
        found => Ok(found.map(|(_, standing)| Box::new(standing))),
    }
}

/// `partitionBy` in words.
fn by(columns: &[String]) -> String {
    if columns.is_empty() { "no folders by columns".to_owned() } else { format!("folders by {}", columns.join(", ")) }
}

/// Refuses a store in which a claim would not hold, before the first one is made.
fn fit(dir: &dyn Folder) -> Result<(), AdmitError> {
    let place = dir.place("");
    match probe::quick(dir) {
        Found::Holds | Found::Note(_) => Ok(()),
        Found::Fails(why) => Err(AdmitError::Unfit { dir: place, why }),
        Found::Untried(why) => Err(AdmitError::Untried { dir: place, why }),
    }
}

/// Makes the staging folder and the nonce by which workers prove that they see it. A nonce that is there already stays.
///
/// # Errors
/// When the disk or store fails.
pub fn prepare_staging(dir: &dyn Folder, run: &RunId, nonce: &str) -> Result<String, AdmitError> {
    let staging = layout::staging_dir(run);
    let path = format!("{staging}/{}", layout::STAGING_NONCE);
    let failed = |error| AdmitError::Io { path: dir.place(&path), error };
    dir.make(&staging).map_err(failed)?;
    let unclear = match dir.create_if_absent(&path, nonce.as_bytes()) {
        Ok(_) => io::Error::from(io::ErrorKind::NotFound),
        Err(CreateError::NotWritten(error)) => return Err(failed(error)),
        Err(CreateError::Unknown(error)) => error,
    };
    // An earlier try's, or a rival's who admits the same run, holds as well as ours.
    match dir.read(&path, limits::NAME_BYTES_MAX as u64) {
        Ok(Some(found)) => String::from_utf8(found).map_err(|error| failed(io::Error::other(error))),
        Ok(None) => Err(failed(unclear)),
        Err(ReadError::Io(error)) => Err(failed(error)),
        Err(unfit) => Err(failed(io::Error::other(unfit))),
    }
}

/// A claim slot that a new run may take.
struct Free {
    seq: u64,
    /// Whose folder it was, if that run may be redriven until the folder is taken.
    holder: Option<Box<Holder>>,
}

impl Free {
    fn at(seq: u64) -> Self {
        Self { seq, holder: None }
    }
}

/// A run that failed and may be redriven.
struct Holder {
    run: Run,
    state: State,
    position: Position,
}

impl Holder {
    /// Releases it for `by`; false when another fact came first.
    fn release(&self, by: &RunId, writer: uuid::Uuid) -> Result<bool, AdmitError> {
        let reason = format!("run {by} took its output folder");
        match redrive::release(&self.run, (&*self.state, self.position.clone()), reason, writer) {
            Ok(()) => Ok(true),
            Err(ReleaseError::Append { source: AppendError::Conflict { .. }, .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what it kept. It is of no use to anybody, and costs space only.
    fn sweep(&self, dir: &dyn Folder, stores: &Stores) {
        if let Err(error) = redrive::sweep(&self.run, dir, stores) {
            tracing::warn!(run = %self.run.id(), %error, "what a run that failed had staged may be left: `batteuse gc` removes all but staging tables");
        }
    }
}

/// The claim slot that a new run may take; none when `run` itself holds the folder.
fn free_slot(
    dir: &Arc<dyn Folder>,
    holding: Holding,
    run: &RunId,
    mode: Mode,
    ground: &Ground,
) -> Result<Option<Free>, AdmitError> {
    let place = || dir.place("");
    let (seq, held) = match holding {
        Holding::Absent | Holding::Empty => return Ok(Some(Free::at(0))),
        Holding::Foreign { name } => return Err(AdmitError::Foreign { dir: place(), name }),
        Holding::Claimed { claim, .. } if claim.run == *run => return Ok(None),
        Holding::Claimed { seq, claim } => (seq, claim),
    };
    let state = held.state(dir, &ground.stores)?;
    let embedded = state.place() == dir.place(layout::EMBEDDED_STATE);
    let here = embedded || state.place() == ground.state.place();
    let replayed = Journal::read::<Fact>(&*state, &held.run)?;
    let facts: Vec<Fact> = replayed.facts.into_iter().map(|(_, fact)| fact).collect();
    let known = |state: &dyn StateStore| state.exists().map_err(|error| AdmitError::Io { path: state.place(), error });
    match Run::replay(facts.clone()) {
        Some(run) if run.done() && mode == Mode::Error && !ended_without_table(&run) => {
            Err(AdmitError::Finished { dir: place(), run: held.run })
        }
        Some(run) if run.done() => {
            let redrivable = run.redrivable().is_ok() && !redrive::began_elsewhere(&run, &**dir, &ground.stores);
            let holder = redrivable.then(|| Box::new(Holder { run, state, position: replayed.position }));
            Ok(Some(Free { seq: seq + 1, holder }))
        }
        Some(_) if embedded => Err(AdmitError::Unfinished { dir: place(), run: held.run }),
        Some(_) => Err(AdmitError::Elsewhere { dir: place(), run: held.run, state: held.state }),
        None if !facts.is_empty() => Ok(Some(Free::at(seq + 1))),
        // An empty journal is that of a run which never began only if nothing tells otherwise.
        None if begun(&**dir, &held.run)? || !(here || known(&*state)?) => {
            Err(AdmitError::JournalGone { dir: place(), run: held.run, state: state.place() })
        }
        None => match void(&*state, &held.run, replayed.position, ground) {
            // It has just begun, or a rival has made it void: its first slot tells.
            Err(AdmitError::Void(AppendError::Conflict { .. })) => {
                free_slot(dir, claim::look(&**dir)?, run, mode, ground)
            }
            done => done.map(|()| Some(Free::at(seq + 1))),
        },
    }
}

fn ended_without_table(run: &Run) -> bool {
    matches!(run.state(), RunState::Failed | RunState::Cancelled)
}

/// Whether `dir` holds anything that a run makes after it has begun: published files, or staged ones.
fn begun(dir: &dyn Folder, run: &RunId) -> Result<bool, AdmitError> {
    let names = |path: &str| match dir.list(path) {
        Ok(list) => Ok(list.unwrap_or_default().into_iter().map(|entry| entry.name).collect::<Vec<_>>()),
        Err(error) => Err(unlisted(dir, path, error)),
    };
    // An earlier run's table is none of its.
    let earlier = match standing::read(dir) {
        Err(StandingError::Damaged { .. }) => None,
        found => found?.filter(|(of, _)| of != run).map(|(_, standing)| standing),
    };
    let known = |name: &String| match &earlier {
        Some(standing) => name == layout::SUCCESS || standing.files().any(|file| file == name),
        None => false,
    };
    let listed = tree(dir).map_err(|error| unlisted(dir, "", error))?.unwrap_or_default();
    let left = |entry: &Entry| entry.kind == Kind::Folder && hive::split(&entry.name).is_some();
    let published = listed.iter().any(|entry| entry.name != layout::ENGINE_DIR && !left(entry) && !known(&entry.name));
    let reported = names(&layout::run_dir(run))?.iter().any(|name| name != STAGING);
    let staged = names(&layout::staging_dir(run))?.iter().any(|name| name != layout::STAGING_NONCE);
    Ok(published || reported || staged)
}

fn unlisted(dir: &dyn Folder, path: &str, error: ListError) -> AdmitError {
    let error = match error {
        ListError::Io(error) => error,
        error @ ListError::NotAFolder => io::Error::new(io::ErrorKind::NotADirectory, error),
    };
    AdmitError::Io { path: dir.place(path), error }
}

/// Name of the staging folder inside a run's folder.
const STAGING: &str = "staging";

/// Makes sure that a claimed run which never began never will: the first slot of its journal is taken.
fn void(state: &dyn StateStore, run: &RunId, position: Position, ground: &Ground) -> Result<(), AdmitError> {
    let reason = Reason::Cancelled { message: "it never began, and another run took its output folder".to_owned() };
    let decision =
        Decision { state: RunState::Cancelled, reason: Some(reason), manifest_sha256: None, at: (ground.clock)() };
    let mut journal = Journal::open(state, run, ground.writer, position)?;
    journal.append(Epoch(0), &[Fact::RunAborted(decision)]).map_err(AdmitError::Void)
}

#[cfg(test)]
mod tests;
