//! Publishing: a plan is carried out as an idempotent redo.
//!
//! Order: the table of a database, parts, rejects, manifest, report, `_SUCCESS`, then the files of the table whose place it took are
//! removed; each group is durable before the next one begins, so whoever sees the manifest or `_SUCCESS` sees all
//! (VISIBLE-IS-DECIDED). Invariant: stopped anywhere and redone, it reaches the same files; what it did not write itself is never
//! replaced, but `_SUCCESS` of the table that stood there when the run was accepted, and nothing is removed that this table did not
//! list. Staged names stay until all is visible, and are swept before `RunDone`, so that no crash leaves any behind.
//! Does not decide anything: the caller holds a durable `RunDecided` or `RunAborted` (WRITE-AHEAD).
#![expect(clippy::disallowed_methods, reason = "a shell: several requests to a store wait at once, each in its thread")]

mod table;

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::path::{Component, Path, PathBuf};
use std::thread;

use crate::claim;
use batteuse_shared::ids::{AttemptId, RunId};
use batteuse_shared::layout;
use batteuse_shared::limits::{COMPLETIONS_IN_FLIGHT_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Upload;
use batteuse_store::{Folder, Kind, ListError, ReadError, Stores, WriteError, checksum, hides_rows, tree};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::table::{Entry, TableError, TablePlan, TableRows, entry, sweep_tables};

/// Everything that publishing a run makes visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishPlan {
    /// URL of the output folder.
    pub output_url: String,
    /// The run.
    pub run: RunId,
    /// The table that stands in the folder; none where none does, and for a run that failed, which leaves it as it is.
    pub before: Option<Before>,
    /// Accepted parts, in source order. None for a run that failed.
    pub parts: Vec<Link>,
    /// The finish task's file.
    pub rejects: Option<Link>,
    /// What is to be done in a database, if a table of it is an output.
    pub table: Option<TablePlan>,
    /// What is visible of the run itself, of an ending before it was redriven; what has the same path takes its place.
    pub replaces: Vec<Visible>,
    /// Paths of parts that such an ending published, and this one does not: they are removed once `_SUCCESS` names them no more.
    pub removes: Vec<String>,
    /// Whether all that is staged stays, because the run may be redriven.
    pub keeps: bool,
    /// What was staged and is not published: uploads lie in no staging folder, so each must be named to be removed.
    pub unwanted: Vec<Staged>,
    /// Text of the manifest; only with parts that may be seen.
    pub manifest: Option<String>,
    /// Text of the report; none where a table stands that an ending before published, and this one does not replace: its report stays.
    pub report: Option<String>,
    /// Text of `_SUCCESS`.
    pub success: Option<String>,
}

/// A table that stood in the folder when the run took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// sha256 of its `_SUCCESS`, which is replaced.
    pub success_sha256: Checksum,
    /// Paths of its files that stay.
    pub kept: Vec<String>,
    /// Paths of its files that are removed once `_SUCCESS` names them no more.
    pub removed: Vec<String>,
}

/// A file that is visible in the output folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visible {
    /// Its path in the output folder.
    pub path: String,
    /// sha256 of its content.
    pub sha256: Checksum,
}

/// A staged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its name in the run's staging folder; that of an upload names nothing there.
    pub name: String,
    /// In an object store: the upload that holds it.
    pub upload: Option<Upload>,
}

/// A staged file and the name under which it is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The attempt that staged it.
    pub attempt: AttemptId,
    /// Its name in the run's staging folder, and what holds it.
    pub staged: Staged,
    /// Its path in the output folder, with `/`.
    pub published: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why a plan was not carried out to its end. What was published stays; the same plan can be carried out again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A name that leads out of its folder.
    #[error("{name:?} is not the name of a file in its folder: nothing was touched")]
    BadName {
        /// The name.
        name: String,
    },
    /// What was decided is lost: neither what was staged nor what was to be seen is there.
    #[error(
        "{} is lost: neither it nor what was staged for it is there (removed by hand, or by a lifecycle rule of the bucket?){}. It is \
         made again from the source, as long as that is unchanged", first.display(), and_more(attempts.len())
    )]
    Gone {
        /// Whose staged content it was.
        attempts: Vec<AttemptId>,
        /// Where the first of them was to be seen.
        first: PathBuf,
    },
    /// The table of a database that is an output.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A staged file is not what was reported.
    #[error("{} is no regular file of {expected} bytes, as it was when it was staged: put it back", path.display())]
    Changed {
        /// The staged file.
        path: PathBuf,
        /// Its bytes when it was staged.
        expected: u64,
    },
    /// Something else has a name that this run needs. It was left as it is.
    #[error("{} is in the way and was not written by this run: move it out of the output folder", path.display())]
    Foreign {
        /// What is in the way.
        path: PathBuf,
    },
    /// The disk failed; the step may be done.
    #[error("cannot publish {}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// How.
        error: io::Error,
    },
    /// The caller broke off between two steps.
    #[error("broken off after {after}")]
    Stopped {
        /// The last step done.
        after: String,
    },
}

impl PublishError {
    /// The attempts whose staged content is proven gone.
    #[must_use]
    pub fn gone(&self) -> &[AttemptId] {
        match self {
            Self::Gone { attempts, .. } | Self::Table(TableError::Gone { attempts, .. }) => attempts,
            _ => &[],
        }
    }
}

fn and_more(attempts: usize) -> String {
    if attempts > 1 { format!(", and {} more are", attempts - 1) } else { String::new() }
}

/// Refuses to publish into a folder that holds somebody else's table, before anything is visible.
fn nobody_else(dir: &dyn Folder, plan: &PublishPlan) -> Result<(), PublishError> {
    let listed = tree(dir).map_err(|error| match error {
        ListError::NotAFolder => PublishError::Foreign { path: dir.place("") },
        ListError::Io(error) => at(dir, "")(error),
    })?;
    let before = plan.before.iter().flat_map(|before| &before.kept).chain(removed(plan));
    let known: BTreeSet<&str> =
        plan.parts.iter().map(|part| &part.published).chain(before).map(String::as_str).collect();
    for entry in listed.unwrap_or_default() {
        let strange = match entry.name.as_str() {
            layout::SUCCESS => !success_of(dir, entry.kind)?.is_some_and(|text| is_known(&text, plan)),
            // Whoever reads the folder reads every file of this kind.
            name => hides_rows(&entry) && !known.contains(name),
        };
        if strange {
            return Err(PublishError::Foreign { path: dir.place(&entry.name) });
        }
    }
    Ok(())
}

/// Whether the text of `_SUCCESS` is the plan's, or that of a table before.
fn is_known(text: &[u8], plan: &PublishPlan) -> bool {
    let before = plan.before.as_ref().map(|before| &before.success_sha256);
    let known = replaced(plan, layout::SUCCESS).into_iter().chain(before).any(|sha| sha.0 == *Sha256::digest(text));
    known || plan.success.as_ref().is_some_and(|success| success.as_bytes() == text)
}

/// The text of `_SUCCESS`; none when it is none of ours.
fn success_of(dir: &dyn Folder, kind: Kind) -> Result<Option<Vec<u8>>, PublishError> {
    match dir.read(layout::SUCCESS, TEXT_BYTES_MAX) {
        _ if kind != Kind::File => Ok(None),
        Ok(text) => Ok(text),
        Err(ReadError::Io(error)) => Err(at(dir, layout::SUCCESS)(error)),
        Err(_) => Ok(None),
    }
}

/// Carries `plan` out wherever it writes to: in its database, which may refuse it, and then in its output folder. `between` as in
/// [`publish`].
///
/// # Errors
/// See [`PublishError`].
pub fn carry_out(
    plan: &PublishPlan,
    dir: &dyn Folder,
    stores: &Stores,
    between: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<(), PublishError> {
    let Some(table) = &plan.table else { return publish(plan, dir, between) };
    if table.staged.is_some() {
        table::publish(table, stores)?;
        if between(TABLE_STEP).is_break() {
            return Err(PublishError::Stopped { after: TABLE_STEP.to_owned() });
        }
    }
    publish(plan, dir, between)?;
    if !plan.keeps
        && let Err(error) = sweep_tables(table, stores)
    {
        // As of uploads: no reason to hold a run back.
        tracing::warn!(run = %plan.run, %error, "staging tables may be left: `batteuse gc` drops them");
    }
    Ok(())
}

/// The step of publishing into a database.
const TABLE_STEP: &str = "table";

/// Carries `plan` out in its output folder. `between` is told each step just done, by the path of what is now visible and durable
/// (of a part: visible, durable after the last one), and may break off before the next one begins; in a store the few parts after
/// it may be visible too.
///
/// # Errors
/// See [`PublishError`].
pub fn publish(
    plan: &PublishPlan,
    dir: &dyn Folder,
    between: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<(), PublishError> {
    for link in plan.parts.iter().chain(&plan.rejects) {
        check_name(&link.staged.name)?;
        check_path(&link.published)?;
    }
    removed(plan).try_for_each(|file| check_path(file))?;
    real_folders(dir, &plan.run)?;
    let run_dir = layout::run_dir(&plan.run);
    dir.make(&run_dir).map_err(at(dir, &run_dir))?;
    let mut done = |step: &str| match between(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(PublishError::Stopped { after: step.to_owned() }),
    };
    if plan.success.is_some() {
        nobody_else(dir, plan)?;
        if dir.has_uploads() || plan.before.is_some() || !plan.replaces.is_empty() {
            // A completion replaces what has its name, so whose the folder is must be certain; on a disk only what was there before is replaced.
            still_ours(dir, &plan.run)?;
        }
    }
    let folders: BTreeSet<&str> = plan.parts.iter().filter_map(|part| folder_of(&part.published)).collect();
    folders.iter().try_for_each(|folder| make(dir, folder))?;
    if planted(Mutant::SweptEarly) {
        sweep(dir, &plan.run)?;
    }
    if let Some(success) = plan.success.as_ref().filter(|_| planted(Mutant::SuccessEarly)) {
        write(dir, layout::SUCCESS, plan.before.as_ref().map(|before| &before.success_sha256), success)?;
    }
    link_parts(dir, plan, &mut done)?;
    folders.iter().copied().chain([""]).try_for_each(|folder| dir.secure(folder).map_err(at(dir, folder)))?;
    if let Some(rejects) = &plan.rejects {
        link_rejects(dir, plan, rejects)?;
        dir.secure(&run_dir).map_err(at(dir, &run_dir))?;
        done(&rejects.published)?;
    }
    write_texts(dir, plan, &mut done)?;
    for file in removed(plan) {
        dir.discard(file, None).map_err(at(dir, file))?;
        done(file)?;
    }
    let emptied: BTreeSet<&str> = removed(plan).filter_map(|file| folder_of(file)).collect();
    emptied
        .into_iter()
        .filter(|folder| !folders.contains(folder))
        .try_for_each(|folder| dir.remove_empty(folder).map_err(at(dir, folder)))?;
    dir.secure("").map_err(at(dir, ""))?;
    if plan.keeps {
        return Ok(());
    }
    discard(dir, &plan.run, &plan.unwanted)?;
    if let Err(error) = abort_orphans(dir, &plan.run) {
        // They are seen by nobody and cost space only: no reason to hold a table back.
        tracing::warn!(run = %plan.run, %error, "uploads of lost attempts may be left: `batteuse gc` aborts them");
    }
    sweep(dir, &plan.run)
}

/// Writes manifest, report and `_SUCCESS`, as far as there are such, each durable before the next one.
fn write_texts(
    dir: &dyn Folder,
    plan: &PublishPlan,
    done: &mut dyn FnMut(&str) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let texts = [
        (layout::manifest(&plan.run), plan.manifest.as_ref()),
        (layout::report(&plan.run), plan.report.as_ref()),
        (layout::SUCCESS.to_owned(), plan.success.as_ref()),
    ];
    for (path, text) in texts {
        if let Some(text) = text {
            // Of another run's table only `_SUCCESS` was there before.
            let table = plan.before.as_ref().filter(|_| path == layout::SUCCESS);
            let before = replaced(plan, &path).or(table.map(|table| &table.success_sha256));
            write(dir, &path, before, text)?;
            done(&path)?;
        }
    }
    Ok(())
}

/// The folder of the output folder that a file lies in; none of one that lies in the output folder itself.
fn folder_of(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

/// Makes a folder that parts are published in. Nothing else may have its name: what a link leads to is not ours.
fn make(dir: &dyn Folder, folder: &str) -> Result<(), PublishError> {
    let above = folder.match_indices('/').map(|(end, _)| &folder[..end]);
    // Object stores have no folders that could be something else.
    for path in above.chain([folder]).filter(|_| !dir.has_uploads()) {
        if dir.kind(path).map_err(at(dir, path))?.is_some_and(|kind| kind != Kind::Folder) {
            return Err(PublishError::Foreign { path: dir.place(path) });
        }
    }
    dir.make(folder).map_err(at(dir, folder))
}

/// Aborts the uploads to `dir` that attempts of `run` left when they were lost; tells how many. Only when no attempt of the run
/// will be wanted any more. The folder is asked whose it is after they were listed: what a later run uploads began after its claim,
/// so nothing of it is among them.
///
/// # Errors
/// When the store cannot list or abort them, or the folder is another run's by now (then none is touched).
pub fn abort_orphans(dir: &dyn Folder, run: &RunId) -> Result<usize, PublishError> {
    let Some(pending) = dir.pending_uploads().map_err(at(dir, ""))? else { return Ok(0) };
    // Those of earlier runs too: they have ended.
    let engine = |key: &str| [layout::RUNS_DIR, layout::DOCTOR].iter().any(|dir| key.starts_with(&format!("{dir}/")));
    let own: Vec<_> = pending.iter().filter(|upload| engine(&upload.key) || layout::is_part(&upload.key)).collect();
    if own.is_empty() {
        return Ok(0);
    }
    still_ours(dir, run)?;
    for upload in &own {
        dir.discard(&upload.key, Some(upload)).map_err(at(dir, &upload.key))?;
    }
    Ok(own.len())
}

/// Refuses a folder that another run has claimed.
fn still_ours(dir: &dyn Folder, run: &RunId) -> Result<(), PublishError> {
    match claim::current(dir) {
        Ok(Some((_, claim))) if claim.run == *run => Ok(()),
        Ok(_) => Err(PublishError::Foreign { path: dir.place(layout::CLAIMS) }),
        Err(error) => Err(at(dir, layout::CLAIMS)(io::Error::other(error))),
    }
}

fn staged_path(run: &RunId, name: &str) -> String {
    format!("{}/{name}", layout::staging_dir(run))
}

/// Gives the parts their names, several at once where that takes requests to a store. `done` is told in source order, and the first
/// error in that order is the one returned; but all parts that are lost are told at once, so that they are made again at once.
fn link_parts(
    dir: &dyn Folder,
    plan: &PublishPlan,
    done: &mut dyn FnMut(&str) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let at_once = if dir.has_uploads() { COMPLETIONS_IN_FLIGHT_MAX } else { 1 };
    let mut lost: Option<PublishError> = None;
    for parts in plan.parts.chunks(at_once) {
        for (part, linked) in parts.iter().zip(link_at_once(dir, &plan.run, parts)) {
            match (linked, &mut lost) {
                (Ok(()), _) => done(&part.published)?,
                (Err(PublishError::Gone { attempts: more, .. }), Some(PublishError::Gone { attempts, .. })) => {
                    attempts.extend(more);
                }
                (Err(gone @ PublishError::Gone { .. }), lost) => *lost = Some(gone),
                (Err(error), _) => return Err(error),
            }
        }
    }
    lost.map_or(Ok(()), Err)
}

fn link_at_once(dir: &dyn Folder, run: &RunId, parts: &[Link]) -> Vec<Result<(), PublishError>> {
    if let [part] = parts {
        return vec![link(dir, run, part)];
    }
    thread::scope(|scope| {
        let threads: Vec<_> = parts.iter().map(|part| scope.spawn(move || link(dir, run, part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

fn link(dir: &dyn Folder, run: &RunId, link: &Link) -> Result<(), PublishError> {
    use batteuse_store::PublishError as Failed;
    let staged = staged_path(run, &link.staged.name);
    let upload = link.staged.upload.as_ref();
    dir.publish(&staged, upload, &link.published, link.bytes).map_err(|error| {
        let (staged, published) = (dir.place(&staged), dir.place(&link.published));
        match error {
            Failed::Gone => PublishError::Gone { attempts: vec![link.attempt], first: published },
            Failed::Foreign => PublishError::Foreign { path: published },
            Failed::Changed { expected } => PublishError::Changed { path: staged, expected },
            Failed::Io(error) => PublishError::Io { path: published, error },
        }
    })
}

fn write(dir: &dyn Folder, path: &str, before: Option<&Checksum>, text: &str) -> Result<(), PublishError> {
    let written = match before {
        Some(before) => dir.replace(path, before, text.as_bytes()),
        None => dir.write_if_absent_or_equal(path, text.as_bytes()),
    };
    written.map_err(|error| match error {
        WriteError::Different => PublishError::Foreign { path: dir.place(path) },
        WriteError::Io(error) => at(dir, path)(error),
    })
}

/// The sha256 of what `path` had before the run was redriven.
fn replaced<'p>(plan: &'p PublishPlan, path: &str) -> Option<&'p Checksum> {
    plan.replaces.iter().find(|visible| visible.path == path).map(|visible| &visible.sha256)
}

/// Files of tables that stood before, of which this one has no part.
fn removed(plan: &PublishPlan) -> impl Iterator<Item = &String> {
    plan.before.iter().flat_map(|before| &before.removed).chain(&plan.removes)
}

/// Gives the rejects their name. Where those of an ending before have it, and they are others, they make room.
fn link_rejects(dir: &dyn Folder, plan: &PublishPlan, rejects: &Link) -> Result<(), PublishError> {
    match (link(dir, &plan.run, rejects), replaced(plan, &rejects.published)) {
        (Err(foreign @ PublishError::Foreign { .. }), Some(before)) => {
            if visible(dir, &rejects.published)?.is_none_or(|is| is.sha256 != *before) {
                return Err(foreign);
            }
            dir.discard(&rejects.published, None).map_err(at(dir, &rejects.published))?;
            link(dir, &plan.run, rejects)
        }
        (linked, _) => linked,
    }
}

/// What `path` of `dir` is now; none where nothing has that name.
///
/// # Errors
/// When it is no file, or cannot be read.
pub fn visible(dir: &dyn Folder, path: &str) -> Result<Option<Visible>, PublishError> {
    let size = match dir.size(path) {
        Ok(None) => return Ok(None),
        Ok(Some(size)) => size,
        Err(ReadError::Io(error)) => return Err(at(dir, path)(error)),
        Err(_) => return Err(PublishError::Foreign { path: dir.place(path) }),
    };
    let sha256 = checksum(dir, path, size).map_err(at(dir, path))?;
    Ok(Some(Visible { path: path.to_owned(), sha256 }))
}

/// Removes the staging folder of `run` and the temporary files that crashes left. Only when nothing in it will be wanted: all
/// that was decided is published, or the run never began. What is gone already is fine.
///
/// # Errors
/// When something is there and cannot be removed.
pub fn sweep(dir: &dyn Folder, run: &RunId) -> Result<(), PublishError> {
    real_folders(dir, run)?;
    let staging = layout::staging_dir(run);
    dir.remove_all(&staging).map_err(at(dir, &staging))?;
    for folder in [String::new(), layout::run_dir(run), layout::CLAIMS.to_owned()] {
        dir.sweep(&folder).map_err(at(dir, &folder))?;
    }
    Ok(())
}

/// Whether the staging folder of `run` in `dir`, as this process sees it, is the one whose nonce is `nonce`.
///
/// # Errors
/// When that cannot be told.
pub fn is_staging(dir: &dyn Folder, run: &RunId, nonce: &str) -> Result<bool, PublishError> {
    let path = staged_path(run, layout::STAGING_NONCE);
    match dir.read(&path, NAME_BYTES_MAX as u64) {
        Ok(found) => Ok(found.is_some_and(|found| found == nonce.as_bytes())),
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(ReadError::Io(error)) => Err(at(dir, &path)(error)),
        Err(_) => Ok(false),
    }
}

/// Removes what `run` staged in vain; what is missing is fine. Only what no fact will ever use.
///
/// # Errors
/// When a name leads out of the folder (then nothing is removed), or something is there and cannot be removed.
pub fn discard(dir: &dyn Folder, run: &RunId, unwanted: &[Staged]) -> Result<(), PublishError> {
    for staged in unwanted {
        check_name(&staged.name)?;
        staged.upload.as_ref().map_or(Ok(()), |upload| check_path(&upload.key))?;
    }
    for staged in unwanted {
        let path = staged_path(run, &staged.name);
        dir.discard(&path, staged.upload.as_ref()).map_err(at(dir, &path))?;
    }
    Ok(())
}

fn at(dir: &dyn Folder, path: &str) -> impl FnOnce(io::Error) -> PublishError + use<> {
    let path = dir.place(path);
    |error| PublishError::Io { path, error }
}

/// Staged names come from workers: one plain name, nothing that leads elsewhere.
fn check_name(name: &str) -> Result<(), PublishError> {
    check_path(name)?;
    if name.contains('/') { Err(PublishError::BadName { name: name.to_owned() }) } else { Ok(()) }
}

fn check_path(path: &str) -> Result<(), PublishError> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain { Err(PublishError::BadName { name: path.to_owned() }) } else { Ok(()) }
}

/// Refuses symbolic links (and files) in place of the engine's folders: what is written or removed under them would lie
/// outside the output folder.
fn real_folders(dir: &dyn Folder, run: &RunId) -> Result<(), PublishError> {
    let staging = layout::staging_dir(run);
    let folders = staging.match_indices('/').map(|(end, _)| &staging[..end]).chain([staging.as_str()]);
    for folder in folders {
        let found = dir.kind(folder).map_err(at(dir, folder))?;
        if found.is_some_and(|found| found != Kind::Folder) {
            return Err(PublishError::Foreign { path: dir.place(folder) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
