//! Folders on a local disk or in an object store, behind one set of calls: make a name once, read, list, stage, publish.
//!
//! Invariants: a name is made once and whole, or not at all; what is staged is visible to no reader of the folder before
//! [`Folder::publish`]; a call whose effect is not certain says so (UNKNOWN-IS-NOT-FAILED), and its caller reads back. Calls
//! block: they are for threads that may wait, never for async code. Knows nothing of runs, slots or plans.

mod bucket;
pub mod database;
mod disk;
mod listing;
pub mod local;
pub mod probe;
mod staged;
mod stores;
mod tree;
mod waiter;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

pub use self::bucket::Bucket;
pub use self::database::{Database, DatabaseError, DatabaseUrlError};
pub use self::disk::Disk;
pub use self::local::{CreateError, Created, ReadError, WriteError};
pub use self::staged::StagedFile;
pub use self::stores::{OpenError, Stores};
pub use self::tree::{hides_rows, tree};
pub use self::waiter::Waiter;
use batteuse_shared::limits::VERIFY_READ_BYTES;
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Upload;
use sha2::{Digest as _, Sha256};

/// What a name in a folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file or object.
    File,
    /// A folder, or in an object store a prefix that some object has.
    Folder,
    /// A symbolic link or a device: never ours.
    Other,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without a path but where that is said. What is not UTF-8 is shown with replacement characters: such a name is never ours.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
}

/// Why a folder was not listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Something else has its name: a file, or a link that leads nowhere.
    #[error("it is not a folder")]
    NotAFolder,
    /// The disk or store failed.
    #[error("{0}")]
    Io(io::Error),
}

/// Why a staged file did not get its final name.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Neither the staged nor the published file exists.
    #[error("neither the staged nor the published file exists")]
    Gone,
    /// The final name is taken by something that was not staged here; it was left as it is.
    #[error("the final name is taken by something else")]
    Foreign,
    /// The staged file is not the one that was reported.
    #[error("the staged file is no regular file of {expected} bytes, as it was when it was reported")]
    Changed {
        /// Bytes that were reported.
        expected: u64,
    },
    /// The disk or store failed; the file may be published.
    #[error("{0}")]
    Io(io::Error),
}

/// A folder, and all that lies in it. Paths are relative to it, with `/`, and lead nowhere else; `""` is the folder itself.
pub trait Folder: Send + Sync + fmt::Debug {
    /// How a path of it is told to people: a path of the disk, or a URL.
    fn place(&self, path: &str) -> PathBuf;

    /// Makes the folder `path` and those above it, durably. Object stores have none to make.
    ///
    /// # Errors
    /// When one cannot be made, or a file has its name.
    fn make(&self, path: &str) -> io::Result<()>;

    /// Makes durable which names lie in the folder `path`.
    ///
    /// # Errors
    /// When the disk fails.
    fn secure(&self, path: &str) -> io::Result<()>;

    /// Removes the temporary files that crashes left in the folder `path`. A writer that loses one in use writes it again.
    ///
    /// # Errors
    /// When the folder cannot be listed, or a file not be removed.
    fn sweep(&self, path: &str) -> io::Result<()>;

    /// Makes the file `path` with `bytes`, unless the name is taken. Its folder exists.
    ///
    /// # Errors
    /// [`CreateError::NotWritten`] when it is certain that nothing got the name, else [`CreateError::Unknown`].
    fn create_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Created, CreateError>;

    /// Makes the file `path` hold `bytes`, durably. A redo that meets its own earlier file is done.
    ///
    /// # Errors
    /// When the name is taken by other content, or the disk or store fails.
    fn write_if_absent_or_equal(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError>;

    /// Makes the file `path`, whose content has the sha256 `before`, hold `bytes`, durably: readers find the one or the other. Where it
    /// is gone it is made again, and a redo that meets its own earlier file is done. `bytes` must be unlike every content that the file
    /// had before: then of writers that take turns none undoes what a later one did, however late it comes.
    ///
    /// # Errors
    /// When it holds something else, or the disk or store fails.
    fn replace(&self, path: &str, before: &Checksum, bytes: &[u8]) -> Result<(), WriteError>;

    /// Whether [`Folder::replace`] is refused by the store itself when the file is changed in just that moment. `path` is free, and is
    /// left as a file.
    ///
    /// # Errors
    /// When that cannot be tried.
    fn replaces_by_condition(&self, path: &str) -> io::Result<bool>;

    /// The content of the file `path`; none when nothing has that name.
    ///
    /// # Errors
    /// When it is no regular file, holds more than `bytes_max`, or cannot be read.
    fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadError>;

    /// Size of the file `path` in bytes; none when nothing has that name.
    ///
    /// # Errors
    /// When it is no regular file, or that cannot be found out.
    fn size(&self, path: &str) -> Result<Option<u64>, ReadError>;

    /// `bytes` bytes of the file `path` from `offset` on, all of which it has.
    ///
    /// # Errors
    /// When it cannot be read, or is shorter.
    fn read_range(&self, path: &str, offset: u64, bytes: usize) -> io::Result<bytes::Bytes>;

    /// What lies in the folder `path`, but for temporary files of writers at work; none when it does not exist. In an object
    /// store a folder exists when something lies in it; some show it for a while after that is gone.
    ///
    /// # Errors
    /// When it is no folder, or cannot be listed.
    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, ListError>;

    /// All that lies below these folders of its own, each by its path, as [`tree`] tells it.
    ///
    /// # Errors
    /// When one cannot be listed, or they hold more than any table has.
    fn below(&self, folders: &[String]) -> Result<Vec<Entry>, ListError>;

    /// Removes the folder `path` and those above it in this one, as far as nothing lies in them. Object stores have none to remove.
    ///
    /// # Errors
    /// When one is there, holds nothing, and cannot be removed.
    fn remove_empty(&self, path: &str) -> io::Result<()>;

    /// What `path` itself is, links not followed; none when nothing has that name.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn kind(&self, path: &str) -> io::Result<Option<Kind>>;

    /// Begins to stage a file that will be seen as `published`, under the name `staged` until then. In an object store it is an
    /// upload to the final name that nobody sees before it is completed; both names must be this attempt's alone.
    ///
    /// # Errors
    /// When the disk or store refuses; on a disk also when the name is taken, be it by a symbolic link.
    fn stage(&self, staged: &str, published: &str) -> io::Result<StagedFile>;

    /// Begins a file that is read under its name `path` as soon as it is sealed: it is never published, only removed.
    ///
    /// # Errors
    /// As [`Folder::stage`].
    fn stage_readable(&self, path: &str) -> io::Result<StagedFile>;

    /// Whether staged files are uploads: then what is staged has no name in the folder.
    fn has_uploads(&self) -> bool;

    /// Gives the staged file of `bytes` bytes its final name, without replacing anything: an idempotent redo. It is durable
    /// after [`Folder::secure`] of its folder.
    ///
    /// # Errors
    /// See [`PublishError`]; nothing was changed, except that after `Io` the file may be published.
    fn publish(&self, staged: &str, upload: Option<&Upload>, published: &str, bytes: u64) -> Result<(), PublishError>;

    /// Removes what was staged and will not be published; that it is gone already is fine.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    fn discard(&self, staged: &str, upload: Option<&Upload>) -> io::Result<()>;

    /// When the store last changed the file `path`, by its own clock; none where that is this machine's.
    ///
    /// # Errors
    /// When it is not there, or that cannot be found out.
    fn modified(&self, path: &str) -> io::Result<Option<SystemTime>>;

    /// The uploads to this folder that were neither completed nor aborted, without their parts; none where the store has no list of
    /// them.
    ///
    /// # Errors
    /// When the store refuses, or does not answer.
    fn pending_uploads(&self) -> io::Result<Option<Vec<Upload>>>;

    /// Removes the folder `path` and all that lies in it; that it is gone already is fine.
    ///
    /// # Errors
    /// When something is there and cannot be removed.
    fn remove_all(&self, path: &str) -> io::Result<()>;
}

/// sha256 of the file `path` of `dir`, which has so many bytes.
///
/// # Errors
/// When it cannot be read, or is shorter.
pub fn checksum(dir: &dyn Folder, path: &str, bytes: u64) -> io::Result<Checksum> {
    let mut sha256 = Sha256::new();
    for at in (0..bytes).step_by(VERIFY_READ_BYTES) {
        let length = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(VERIFY_READ_BYTES);
        sha256.update(dir.read_range(path, at, length)?);
    }
    Ok(Checksum(sha256.finalize().into()))
}

#[cfg(test)]
mod tests;
