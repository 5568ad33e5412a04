//! Durable writing on a local disk: create without replace, link without replace, folders that survive a power cut.
//!
//! Invariant: a file appears under its final name whole and synced, or not at all, and no existing file is ever replaced but by
//! [`replace`], which knows what it replaces.
//! A call whose effect is not certain says so (UNKNOWN-IS-NOT-FAILED); its caller reads back. A failed fsync of a *file* is
//! never repeated (the kernel may have dropped the pages and report success the next time): that file is given up before it
//! gets its name. A failed fsync of a *folder* may be repeated: file systems with a metadata journal fail for good after one.
//! Knows nothing of runs, slots or plans. Unix only.

#![expect(clippy::disallowed_methods, reason = "temporary names are drawn, so that no two writers share one")]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use batteuse_shared::limits::{SWEPT_TRIES_MAX, TEXT_BYTES_MAX, WRITE_BYTES};
use batteuse_shared::table::Checksum;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::PublishError;

const TEMPORARY_HEAD: &str = ".batteuse-";
const TEMPORARY_TAIL: &str = ".tmp";

/// What [`create_if_absent`] did, where that is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The file is there, durably, and this call made it.
    Done,
    /// Something has that name. On a network file system it may be this very call's file, so the caller reads it.
    Exists,
}

/// Why [`create_if_absent`] cannot say [`Created`].
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Failed before the name was touched.
    #[error("nothing was written: {0}")]
    NotWritten(io::Error),
    /// The file may be there, durably or not: read it back.
    #[error("it is unknown whether the file was written: {0}")]
    Unknown(io::Error),
}

/// Makes the file `name` in `dir` with `bytes`, unless the name is taken: temporary file, fsync, link, fsync of the folder.
///
/// # Errors
/// [`CreateError::NotWritten`] when it is certain that nothing got the name, else [`CreateError::Unknown`].
pub fn create_if_absent(dir: &Path, name: &str, bytes: &[u8]) -> Result<Created, CreateError> {
    let mut made = create_once(dir, name, bytes);
    for _ in 1..SWEPT_TRIES_MAX {
        match made {
            // A rival's sweep may take a temporary file that is in use for one that a crash left. It is written again; what
            // is certain of the later try is not of the first.
            Err(CreateError::Unknown(error)) if error.kind() == io::ErrorKind::NotFound => {
                made = create_once(dir, name, bytes).map_err(|error| match error {
                    CreateError::NotWritten(error) | CreateError::Unknown(error) => CreateError::Unknown(error),
                });
            }
            made => return made,
        }
    }
    made
}

fn create_once(dir: &Path, name: &str, bytes: &[u8]) -> Result<Created, CreateError> {
    let temporary = dir.join(format!("{TEMPORARY_HEAD}{}{TEMPORARY_TAIL}", Uuid::new_v4()));
    if let Err(error) = write_synced(&temporary, bytes) {
        forget(&temporary);
        return Err(CreateError::NotWritten(error));
    }
    let linked = link(&temporary, &dir.join(name));
    forget(&temporary);
    match linked {
        Ok(()) => fsync_dir(dir).map(|()| Created::Done).map_err(CreateError::Unknown),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Created::Exists),
        Err(error) if is_refusal(&error) => Err(CreateError::NotWritten(error)),
        Err(error) => Err(CreateError::Unknown(error)),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a temporary file; one that stays is harmless, since nobody reads it and [`sweep_temporaries`] finds it.
fn forget(temporary: &Path) {
    if let Err(error) = fs::remove_file(temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %temporary.display(), %error, "a temporary file stays for the next sweep");
    }
}

/// link(2), which neither replaces nor follows a symbolic link; a refusal says what it usually means.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).map_err(|error| match is_refusal(&error) {
        false => error,
        true => io::Error::new(
            error.kind(),
            format!("{error} (hard links are needed: use a file system that has them, and one user for all processes)"),
        ),
    })
}

/// The kernel said no before it did anything.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

/// Makes the entries of `dir` durable.
///
/// # Errors
/// When it cannot be opened or synced.
pub fn fsync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes `dir` and its missing parents, each durable before its child is made, so that at most the lowest existing one can
/// lack its fsync after a crash: that one's is repeated here.
///
/// # Errors
/// When a folder cannot be made or synced, or the name of one is taken by a file.
pub fn create_dir_durable(dir: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut lowest = dir;
    while !lowest.is_dir() {
        missing.push(lowest);
        lowest = parent(lowest);
    }
    sync_entry(lowest)?;
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            made => made?,
        }
        fsync_dir(parent(dir))?;
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

/// Makes the entry of an existing folder durable, unless it cannot have been made by us: the root, a mount point, or one
/// whose parent we may not read.
fn sync_entry(dir: &Path) -> io::Result<()> {
    let above = parent(dir);
    if dir.parent().is_none() || fs::metadata(dir)?.dev() != fs::metadata(above)?.dev() {
        return Ok(());
    }
    match fsync_dir(above) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A symbolic link, a folder, a device.
    #[error("not a regular file (symbolic links are not followed)")]
    NotRegular,
    /// Longer than its kind may be.
    #[error("{bytes} bytes, more than any file of its kind has")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The disk failed.
    #[error("{0}")]
    Io(io::Error),
}

/// The content of the regular file `path`; none when nothing has that name.
///
/// # Errors
/// When it is no regular file, holds more than `bytes_max`, or cannot be read.
pub fn read_regular(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let Some(found) = entry(path).map_err(ReadError::Io)? else { return Ok(None) };
    if !found.is_file() {
        return Err(ReadError::NotRegular);
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(ReadError::Io)?;
    if bytes.len() as u64 > bytes_max {
        return Err(ReadError::TooLarge { bytes: found.len() });
    }
    Ok(Some(bytes))
}

/// What `path` itself is (links are not followed); none when nothing has that name.
///
/// # Errors
/// When that cannot be found out.
pub fn entry(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Why [`write_if_absent_or_equal`] did not leave the wanted content.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name is taken by something else, which was left as it is.
    #[error("the name is taken by other content")]
    Different,
    /// The disk failed; the file may be there.
    #[error("{0}")]
    Io(io::Error),
}

/// Makes the file `name` in `dir` hold `bytes`, durably. A redo that meets its own earlier file is done.
///
/// # Errors
/// When the name is taken by other content, or the disk fails.
pub fn write_if_absent_or_equal(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
    let unclear = match create_if_absent(dir, name, bytes) {
        Ok(Created::Done) => return Ok(()),
        Ok(Created::Exists) => io::Error::from(io::ErrorKind::NotFound),
        Err(CreateError::NotWritten(error) | CreateError::Unknown(error)) => error,
    };
    let path = dir.join(name);
    match read_regular(&path, bytes.len() as u64) {
        Ok(Some(found)) if found == bytes => {
            // It was synced before it was linked if we made it; a copy laid there by hand was perhaps not.
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.and_then(|()| fsync_dir(dir)).map_err(WriteError::Io)
        }
        Ok(Some(_)) | Err(ReadError::NotRegular | ReadError::TooLarge { .. }) => Err(WriteError::Different),
        Ok(None) => Err(WriteError::Io(unclear)),
        Err(ReadError::Io(error)) => Err(WriteError::Io(error)),
    }
}

/// Makes the file `name` in `dir`, whose content has the sha256 `before`, hold `bytes`, durably: temporary file, fsync, rename over it,
/// fsync of the folder. Where it is gone it is made; a redo that meets its own earlier file is done.
///
/// A writer that compared, was then stopped, and comes back when a later one has replaced the file too, must not put its own content
/// back. Its temporary file is older than its comparison, and the later writer sweeps before it begins: so that one has nothing left
/// to rename. One that makes its temporary file after that sweep finds its own content, or the later one's, and stops.
///
/// # Errors
/// When it holds something else, or the disk fails: then it holds the one or the other.
pub fn replace(dir: &Path, name: &str, before: &Checksum, bytes: &[u8]) -> Result<(), WriteError> {
    sweep_temporaries(dir).map_err(WriteError::Io)?;
    let path = dir.join(name);
    let mut swept = io::Error::from(io::ErrorKind::NotFound);
    for _ in 0..SWEPT_TRIES_MAX {
        let temporary = dir.join(format!("{TEMPORARY_HEAD}{}{TEMPORARY_TAIL}", Uuid::new_v4()));
        let written = write_synced(&temporary, bytes);
        let found = read_regular(&path, TEXT_BYTES_MAX);
        let expected = matches!(&found, Ok(Some(found)) if Checksum(Sha256::digest(found).into()) == *before);
        if written.is_err() || !expected {
            forget(&temporary);
            written.map_err(WriteError::Io)?;
            return write_if_absent_or_equal(dir, name, bytes);
        }
        match fs::rename(&temporary, &path) {
            Ok(()) => return fsync_dir(dir).map_err(WriteError::Io),
            // A rival's sweep took it: what it does is the same, or comes later.
            Err(error) if error.kind() == io::ErrorKind::NotFound => swept = error,
            Err(error) => {
                forget(&temporary);
                return Err(WriteError::Io(error));
            }
        }
    }
    Err(WriteError::Io(swept))
}

/// Gives the staged file of `bytes` bytes its final name too, without replacing anything: an idempotent redo, done when both
/// names are one file, when both files hold the same bytes (of several files that were made again, because others were lost, this one
/// was published before), or when the staged name is gone and the published file has the right size.
///
/// The staged name stays, and the caller syncs the folder: a name must not be removed before the other one is durable.
///
/// # Errors
/// See [`PublishError`]; nothing was changed, except that after `Io` the link may have been made.
pub fn publish_by_link(staged: &Path, published: &Path, bytes: u64) -> Result<(), PublishError> {
    if is_published(staged, published, bytes)? {
        return Ok(());
    }
    let Err(error) = link(staged, published) else { return Ok(()) };
    // Refused or unknown: what the names say now is the truth, whatever the reply was.
    if is_published(staged, published, bytes)? { Ok(()) } else { Err(PublishError::Io(error)) }
}

/// Whether the final name holds the staged file; false when it is free and the staged file can be linked.
fn is_published(staged: &Path, published: &Path, bytes: u64) -> Result<bool, PublishError> {
    let right = |file: &fs::Metadata| file.is_file() && file.len() == bytes;
    let from = entry(staged).map_err(PublishError::Io)?;
    let to = entry(published).map_err(PublishError::Io)?;
    match (from, to) {
        (None, None) => Err(PublishError::Gone),
        (Some(from), _) if !right(&from) => Err(PublishError::Changed { expected: bytes }),
        (Some(_), None) => Ok(false),
        (Some(from), Some(to)) if (from.dev(), from.ino()) == (to.dev(), to.ino()) => Ok(true),
        (None, Some(to)) if right(&to) => Ok(true),
        (Some(_), Some(to)) if right(&to) && same_content(staged, published).map_err(PublishError::Io)? => Ok(true),
        (_, Some(_)) => Err(PublishError::Foreign),
    }
}

/// Whether two files hold the same bytes; the second one is durable then.
fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (vec![0; WRITE_BYTES], vec![0; WRITE_BYTES]);
    loop {
        let bytes = one.read(&mut left)?;
        if bytes == 0 {
            let longer = other.read(&mut right)? > 0;
            return if longer { Ok(false) } else { other.sync_all().map(|()| true) };
        }
        match other.read_exact(&mut right[..bytes]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if left[..bytes] != right[..bytes] {
            return Ok(false);
        }
    }
}

/// Whether `name` is that of a temporary file of [`create_if_absent`]. Readers pass over those.
#[must_use]
pub fn is_temporary(name: &OsStr) -> bool {
    let id = name.to_str().and_then(|n| n.strip_prefix(TEMPORARY_HEAD)?.strip_suffix(TEMPORARY_TAIL));
    id.is_some_and(|id| Uuid::try_parse(id).is_ok())
}

/// Removes the temporary files that crashes left in `dir`; an absent folder holds none. A writer at work in `dir` that loses
/// one finds that its outcome is unknown and writes again.
///
/// # Errors
/// When the folder cannot be listed or a file not be removed.
pub fn sweep_temporaries(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if is_temporary(&entry.file_name()) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the file `path`; that it is gone already is fine.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_taken_name_is_never_replaced_and_no_temporary_stays() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        assert_eq!(create_if_absent(dir, "a", b"one").unwrap(), Created::Done);
        assert_eq!(create_if_absent(dir, "a", b"two").unwrap(), Created::Exists);
        symlink("nowhere", dir.join("b")).unwrap();
        assert_eq!(create_if_absent(dir, "b", b"two").unwrap(), Created::Exists);
        assert_eq!((fs::read(dir.join("a")).unwrap(), names(dir)), (b"one".to_vec(), vec!["a".into(), "b".into()]));
    }

    #[test]
    fn the_three_outcomes_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let early = create_if_absent(&root.path().join("absent"), "a", b"x");
        assert!(matches!(early, Err(CreateError::NotWritten(_))), "{early:?}");
        // The temporary file can be written, but the link fails for a reason that proves nothing.
        let late = create_if_absent(root.path(), &"n".repeat(300), b"x");
        assert!(matches!(late, Err(CreateError::Unknown(_))), "{late:?}");
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn folders_are_made_with_their_parents_and_again() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        create_dir_durable(&deep).unwrap();
        create_dir_durable(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(root.path().join("file"), "").unwrap();
        assert!(create_dir_durable(&root.path().join("file/x")).is_err());
        assert!(create_dir_durable(&root.path().join("file")).is_err());
    }

    #[test]
    fn a_file_is_replaced_by_who_knows_it_and_by_nobody_late() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        let sha256 = |bytes: &[u8]| Checksum(Sha256::digest(bytes).into());
        let (first, second, third) = (&b"first"[..], &b"second"[..], &b"third"[..]);
        fs::write(dir.join("s"), first).unwrap();
        for _ in 0..2 {
            replace(dir, "s", &sha256(first), second).unwrap();
            assert_eq!(fs::read(dir.join("s")).unwrap(), second);
        }
        // One that was stopped between its comparison and its renaming has a temporary file still.
        let late = dir.join(format!("{TEMPORARY_HEAD}{}{TEMPORARY_TAIL}", Uuid::new_v4()));
        fs::write(&late, second).unwrap();
        replace(dir, "s", &sha256(second), third).unwrap();
        assert!(!late.exists(), "it is swept: nothing is left to rename");
        for (before, wanted) in [(first, second), (second, first)] {
            let refused = replace(dir, "s", &sha256(before), wanted);
            assert!(matches!(refused, Err(WriteError::Different)), "{refused:?}");
        }
        assert_eq!((fs::read(dir.join("s")).unwrap(), names(dir)), (third.to_vec(), vec!["s".to_owned()]));
        fs::remove_file(dir.join("s")).unwrap();
        replace(dir, "s", &sha256(third), first).unwrap();
        symlink("s", dir.join("l")).unwrap();
        assert!(matches!(replace(dir, "l", &sha256(first), second), Err(WriteError::Different)));
        assert_eq!(names(dir), ["l", "s"]);
    }

    #[test]
    fn a_redo_meets_its_own_file_but_no_other() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        write_if_absent_or_equal(dir, "r", b"report").unwrap();
        write_if_absent_or_equal(dir, "r", b"report").unwrap();
        for other in [&b"repor"[..], b"report+", b"REPORT"] {
            let refused = write_if_absent_or_equal(dir, "r", other);
            assert!(matches!(refused, Err(WriteError::Different)), "{refused:?}");
        }
        symlink("r", dir.join("s")).unwrap();
        assert!(matches!(write_if_absent_or_equal(dir, "s", b"report"), Err(WriteError::Different)));
        assert_eq!((fs::read(dir.join("r")).unwrap(), names(dir)), (b"report".to_vec(), vec!["r".into(), "s".into()]));
    }

    #[test]
    fn linking_is_a_redo() {
        let root = tempfile::tempdir().unwrap();
        let (staged, published) = (root.path().join("s"), root.path().join("p"));
        fs::write(&staged, "1234").unwrap();
        assert!(matches!(publish_by_link(&staged, &published, 5), Err(PublishError::Changed { expected: 5 })));
        for _ in 0..2 {
            publish_by_link(&staged, &published, 4).unwrap();
        }
        fs::remove_file(&staged).unwrap();
        publish_by_link(&staged, &published, 4).unwrap();
        assert!(matches!(publish_by_link(&staged, &published, 5), Err(PublishError::Foreign)));
        assert_eq!(fs::read(&published).unwrap(), b"1234");
        fs::remove_file(&published).unwrap();
        assert!(matches!(publish_by_link(&staged, &published, 4), Err(PublishError::Gone)));
    }

    #[test]
    fn linking_refuses_what_is_not_ours() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("s"), "1234").unwrap();
        // Made again, because others were lost with it.
        fs::write(at("same content"), "1234").unwrap();
        publish_by_link(&at("s"), &at("same content"), 4).unwrap();
        fs::write(at("same size"), "abcd").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink(at("s"), at("symlink")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        for taken in ["same size", "folder", "symlink", "dangling"] {
            let refused = publish_by_link(&at("s"), &at(taken), 4);
            assert!(matches!(refused, Err(PublishError::Foreign)), "{taken}: {refused:?}");
        }
        assert!(matches!(publish_by_link(&at("symlink"), &at("new"), 4), Err(PublishError::Changed { .. })));
        assert_eq!(fs::read(at("same size")).unwrap(), b"abcd");
        assert!(entry(&at("nowhere")).unwrap().is_none() && entry(&at("new")).unwrap().is_none());
    }

    #[test]
    fn a_sweep_takes_our_temporaries_only() {
        let root = tempfile::tempdir().unwrap();
        let ours = format!("{TEMPORARY_HEAD}{}{TEMPORARY_TAIL}", Uuid::new_v4());
        for name in [ours.as_str(), ".batteuse-notes.tmp", ".profile", "a.tmp"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        sweep_temporaries(root.path()).unwrap();
        sweep_temporaries(&root.path().join("absent")).unwrap();
        assert_eq!(names(root.path()), [".batteuse-notes.tmp", ".profile", "a.tmp"]);
    }

    #[test]
    fn reading_is_bounded_and_follows_no_link() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("f"), "1234").unwrap();
        symlink(at("f"), at("l")).unwrap();
        assert_eq!(read_regular(&at("f"), 4).unwrap(), Some(b"1234".to_vec()));
        assert!(read_regular(&at("none"), 4).unwrap().is_none());
        assert!(matches!(read_regular(&at("f"), 3), Err(ReadError::TooLarge { bytes: 4 })));
        assert!(matches!(read_regular(&at("l"), 4), Err(ReadError::NotRegular)));
    }
}
