//! The staging folder of a run, and the files that attempts stage in it.
//!
//! Invariant: a staged file lies under a name of its attempt alone and is durable before it is kept; one that is not kept
//! is removed. Names are taken with create-if-absent, which follows no symbolic link. It knows nothing of content.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::limits::NAME_BYTES_MAX;
use batteuse_shared::table::Checksum;
use batteuse_shared::task::{Staging, Upload};
use batteuse_store::{self as store, Folder, OpenError, ReadError, Stores};

use crate::phases::{Phase, Stopwatch};

/// Why staging failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The output folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no staging folder of that name here.
    #[error("this worker does not see the coordinator's staging folder {dir}: both need one shared file system, mounted at the same path, or the same settings of one object store", dir = dir.display())]
    NotSeen {
        /// Which folder.
        dir: PathBuf,
        /// Why its nonce could not be read.
        source: io::Error,
    },
    /// There is a folder of that name, but it is not the coordinator's.
    #[error("{dir} on this worker is another folder than the coordinator's staging folder of that name (its nonce differs): both need one shared file system, mounted at the same path, or the same settings of one object store", dir = dir.display())]
    OtherFolder {
        /// Which folder.
        dir: PathBuf,
    },
    /// The system refused.
    #[error("cannot {what} {path}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The staging folder of a run, proven to be the coordinator's.
#[derive(Debug, Clone)]
pub struct StagingDir {
    output: Arc<dyn Folder>,
    dir: String,
    watch: Stopwatch,
}

/// A file being staged; what it takes is of the phase [`Phase::Stage`].
#[derive(Debug)]
pub struct StagedFile {
    file: Lately,
    watch: Stopwatch,
}

/// A file that may be begun only when something is written into it, so that one that waits takes no handle of the system.
#[derive(Debug)]
enum Lately {
    Begun(store::StagedFile),
    Waiting { output: Arc<dyn Folder>, path: String, published: String, place: PathBuf },
}

impl Lately {
    fn begun(&mut self) -> io::Result<&mut store::StagedFile> {
        if let Self::Waiting { output, path, published, .. } = self {
            *self = Self::Begun(output.stage(path, published)?);
        }
        match self {
            Self::Begun(file) => Ok(file),
            Self::Waiting { .. } => unreachable!("it was begun just now"),
        }
    }
}

impl StagedFile {
    /// How it is told to people.
    #[must_use]
    pub fn place(&self) -> &Path {
        match &self.file {
            Lately::Begun(file) => file.place(),
            Lately::Waiting { place, .. } => place,
        }
    }

    /// As [`store::StagedFile::seal`].
    ///
    /// # Errors
    /// Likewise.
    pub fn seal(&mut self) -> io::Result<(u64, Checksum)> {
        self.watch.within(Phase::Stage, || self.file.begun()?.seal())
    }

    /// As [`store::StagedFile::keep`].
    #[must_use]
    pub fn keep(self) -> Option<Upload> {
        match self.file {
            Lately::Begun(file) => file.keep(),
            Lately::Waiting { .. } => None,
        }
    }

    /// As [`store::StagedFile::unsent`].
    #[must_use]
    pub fn unsent(&self) -> usize {
        match &self.file {
            Lately::Begun(file) => file.unsent(),
            Lately::Waiting { .. } => 0,
        }
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watch.within(Phase::Stage, || self.file.begun()?.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            Lately::Begun(file) => file.flush(),
            Lately::Waiting { .. } => Ok(()),
        }
    }
}

impl StagingDir {
    /// Enters the folder of `run` if it holds the run's nonce. The stopwatch starts.
    ///
    /// # Errors
    /// When it is not there, not readable, or another folder of the same name.
    pub fn enter(staging: &Staging, run: &RunId, stores: &Stores) -> Result<Self, StageError> {
        let watch = Stopwatch::start(Phase::Stage);
        let entered = Self { output: stores.folder(&staging.output_url)?, dir: layout::staging_dir(run), watch };
        let dir = entered.output.place(&entered.dir);
        let failed = |source| StageError::Io { what: "read the nonce in", path: dir.clone(), source };
        match entered.output.read(&entered.path_of(layout::STAGING_NONCE), NAME_BYTES_MAX as u64) {
            Ok(Some(nonce)) if nonce == staging.nonce.as_bytes() => Ok(entered),
            Ok(Some(_)) | Err(ReadError::NotRegular | ReadError::TooLarge { .. }) => {
                Err(StageError::OtherFolder { dir })
            }
            Ok(None) => Err(StageError::NotSeen { dir, source: io::Error::from(io::ErrorKind::NotFound) }),
            Err(ReadError::Io(source)) if !entered.output.has_uploads() && absent(source.kind()) => {
                Err(StageError::NotSeen { dir, source })
            }
            Err(ReadError::Io(source)) => Err(failed(source)),
        }
    }

    /// A staging folder in an object store in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(run: &RunId) -> Self {
        let waiter = batteuse_store::Waiter::start().unwrap();
        let output = Arc::new(batteuse_store::Bucket::in_memory(waiter));
        Self { output, dir: layout::staging_dir(run), watch: Stopwatch::start(Phase::Stage) }
    }

    /// The stopwatch of the attempt that entered the folder.
    #[must_use]
    pub fn watch(&self) -> &Stopwatch {
        &self.watch
    }

    /// The output folder.
    #[must_use]
    pub fn output(&self) -> &Arc<dyn Folder> {
        &self.output
    }

    /// The path in the output folder of the file of this name.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        format!("{}/{key}", self.dir)
    }

    /// How the file of this name is told to people.
    #[must_use]
    pub fn place(&self, key: &str) -> PathBuf {
        self.output.place(&self.path_of(key))
    }

    /// Begins a file under a name that nothing has yet. It will be published as `published`, or is only for later tasks of the run.
    ///
    /// # Errors
    /// When the name is taken (also by a symbolic link) or the system refuses.
    pub fn create(&self, key: &str, published: Option<&str>) -> Result<StagedFile, StageError> {
        let path = self.path_of(key);
        let begun = match published {
            Some(published) => self.output.stage(&path, published),
            None => self.output.stage_readable(&path),
        };
        let begun = begun.map(|file| StagedFile { file: Lately::Begun(file), watch: self.watch.clone() });
        begun.map_err(|source| StageError::Io { what: "create", path: self.place(key), source })
    }

    /// As [`StagingDir::create`] of what will be published, but the file is begun when something is written into it.
    #[must_use]
    pub fn create_late(&self, key: &str, published: &str) -> StagedFile {
        let (output, path) = (self.output.clone(), self.path_of(key));
        let file = Lately::Waiting { output, path, published: published.to_owned(), place: self.place(key) };
        StagedFile { file, watch: self.watch.clone() }
    }

    /// Makes the names of sealed files durable.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn sync(&self) -> Result<(), StageError> {
        let failed = |source| StageError::Io { what: "sync", path: self.output.place(&self.dir), source };
        self.watch.within(Phase::Stage, || self.output.secure(&self.dir)).map_err(failed)
    }
}

/// Whether an error of a disk says that there is no such file for this worker; any other (too many open files, a stall) says nothing.
fn absent(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    use batteuse_shared::location;
    use batteuse_shared::table::Checksum;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn run() -> RunId {
        RunId::new("job-1").unwrap()
    }

    fn enter(staging: &Staging) -> Result<StagingDir, StageError> {
        StagingDir::enter(staging, &run(), &Stores::new([]))
    }

    /// An output folder whose staging folder holds `nonce`; the path of that one.
    fn folder(nonce: &str) -> (tempfile::TempDir, PathBuf, Staging) {
        let dir = tempfile::tempdir().unwrap();
        let staging = dir.path().join(layout::staging_dir(&run()));
        fs::create_dir_all(&staging).unwrap();
        fs::write(staging.join(layout::STAGING_NONCE), nonce).unwrap();
        let output_url = location::url_of_dir(dir.path()).unwrap();
        (dir, staging, Staging { output_url, nonce: "n-1".to_owned() })
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_without_the_nonce_is_refused_with_the_reason() {
        let (_dir, _, staging) = folder("n-1");
        enter(&staging).unwrap();
        for other in ["n-2", "n-1 ", "", "n-12"] {
            let (_dir, _, staging) = folder(other);
            let refused = enter(&staging).unwrap_err();
            assert!(matches!(refused, StageError::OtherFolder { .. }), "{other:?}: {refused}");
            assert!(refused.to_string().contains("shared file system"), "{refused}");
        }
        let (dir, _, staging) = folder("n-1");
        dir.close().unwrap();
        let refused = enter(&staging).unwrap_err();
        assert!(matches!(refused, StageError::NotSeen { .. }), "{refused}");
        assert!(refused.to_string().contains("shared file system"), "{refused}");
    }

    #[test]
    fn a_file_stays_only_when_it_is_kept() {
        let (_dir, path, staging) = folder("n-1");
        let staging = enter(&staging).unwrap();
        let mut kept = staging.create("a.tmp", Some("a.parquet")).unwrap();
        let mut left = staging.create("b.tmp", None).unwrap();
        kept.write_all(b"four").unwrap();
        left.write_all(b"lost").unwrap();
        let (bytes, sha256) = kept.seal().unwrap();
        assert_eq!((bytes, left.seal().unwrap().0), (4, 4));
        let written = fs::read(kept.place()).unwrap();
        assert_eq!(sha256, Checksum(Sha256::digest(written).into()));
        staging.sync().unwrap();
        assert_eq!(names(&path), ["a.tmp", "b.tmp", "nonce"]);
        drop(left);
        assert_eq!(kept.keep(), None);
        assert_eq!(names(&path), ["a.tmp", "nonce"]);
        assert_eq!(fs::read(staging.place("a.tmp")).unwrap(), b"four");
    }

    #[test]
    fn a_taken_name_and_a_symbolic_link_are_not_written_through() {
        let (_dir, path, staging) = folder("n-1");
        let staging = enter(&staging).unwrap();
        let target = path.join("target");
        fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, path.join("link.tmp")).unwrap();
        for key in ["target", "link.tmp"] {
            assert!(matches!(staging.create(key, None), Err(StageError::Io { what: "create", .. })), "{key}");
        }
        assert_eq!(fs::read(&target).unwrap(), b"mine");
    }
}
