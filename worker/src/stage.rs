//! The staging folder of a run on a file system, and the files that attempts stage in it.
//!
//! Invariant: a staged file lies under a name of its attempt alone and is durable before it is kept; one that is not kept
//! is removed. Names are taken with create-if-absent, which follows no symbolic link. It knows nothing of content.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use batteuse_shared::layout;
use batteuse_shared::limits::{NAME_BYTES_MAX, WRITE_BYTES};
use batteuse_shared::location::{self, BadUrl};
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Staging;
use sha2::{Digest as _, Sha256};

/// Why staging failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The URL names no local folder.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// There is no staging folder of that name here.
    #[error("this worker does not see the coordinator's staging folder {dir}: both need one shared file system, mounted at the same path", dir = dir.display())]
    NotSeen {
        /// Which folder.
        dir: PathBuf,
        /// Why its nonce could not be read.
        source: io::Error,
    },
    /// There is a folder of that name, but it is not the coordinator's.
    #[error("{dir} on this worker is another folder than the coordinator's staging folder of that name (its nonce differs): both need one shared file system, mounted at the same path", dir = dir.display())]
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
#[derive(Debug)]
pub struct StagingDir {
    path: PathBuf,
}

impl StagingDir {
    /// Enters the folder if it holds the run's nonce.
    ///
    /// # Errors
    /// When it is not there, not readable, or another folder of the same name.
    pub fn enter(staging: &Staging) -> Result<Self, StageError> {
        let dir = location::path_of(&staging.url)?;
        let mut nonce = Vec::new();
        let opened = File::open(dir.join(layout::STAGING_NONCE));
        let read = opened.and_then(|file| file.take(NAME_BYTES_MAX as u64 + 1).read_to_end(&mut nonce));
        match read {
            Err(source) if absent(source.kind()) => Err(StageError::NotSeen { dir, source }),
            Err(source) => Err(StageError::Io { what: "read the nonce in", path: dir, source }),
            Ok(_) if nonce != staging.nonce.as_bytes() => Err(StageError::OtherFolder { dir }),
            Ok(_) => Ok(Self { path: dir }),
        }
    }

    /// Where the file of this name lies.
    #[must_use]
    pub fn path_of(&self, key: &str) -> PathBuf {
        self.path.join(key)
    }

    /// Begins a file under a name that nothing has yet.
    ///
    /// # Errors
    /// When the name is taken (also by a symbolic link) or the system refuses.
    pub fn create(&self, key: String) -> Result<StagedFile, StageError> {
        let path = self.path.join(&key);
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => {
                let file = BufWriter::with_capacity(WRITE_BYTES, file);
                Ok(StagedFile { key, path, file, sha256: Sha256::new(), kept: false })
            }
            Err(source) => Err(StageError::Io { what: "create", path, source }),
        }
    }

    /// Makes the names of sealed files durable.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn sync(&self) -> Result<(), StageError> {
        let synced = File::open(&self.path).and_then(|dir| dir.sync_all());
        synced.map_err(|source| StageError::Io { what: "sync", path: self.path.clone(), source })
    }
}

/// Whether an error says that there is no such file for this worker; any other (too many open files, a stall) says nothing.
fn absent(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied)
}

/// A file being staged; dropped before it is kept, it is removed.
#[derive(Debug)]
pub struct StagedFile {
    key: String,
    path: PathBuf,
    file: BufWriter<File>,
    sha256: Sha256,
    kept: bool,
}

impl StagedFile {
    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the content durable and tells its size in bytes and its sha256. The name is durable after [`StagingDir::sync`].
    ///
    /// # Errors
    /// When the system refuses: then what is on the disk is unknown, and the file is not to be kept.
    pub fn seal(&mut self) -> Result<(u64, Checksum), StageError> {
        let sealed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let bytes = sealed.and_then(|()| Ok(self.file.get_ref().metadata()?.len()));
        let bytes =
            bytes.map_err(|source| StageError::Io { what: "write and sync", path: self.path.clone(), source })?;
        Ok((bytes, Checksum(std::mem::take(&mut self.sha256).finalize().into())))
    }

    /// Leaves the file where it is and tells its name in the folder.
    pub fn keep(mut self) -> String {
        self.kept = true;
        std::mem::take(&mut self.key)
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "a staged file of a failed attempt stays behind");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(nonce: &str) -> (tempfile::TempDir, Staging) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(layout::STAGING_NONCE), nonce).unwrap();
        let url = location::url_of_dir(dir.path()).unwrap();
        (dir, Staging { url, nonce: "n-1".to_owned() })
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_without_the_nonce_is_refused_with_the_reason() {
        let (_dir, staging) = folder("n-1");
        StagingDir::enter(&staging).unwrap();
        for other in ["n-2", "n-1 ", "", "n-12"] {
            let (_dir, staging) = folder(other);
            let refused = StagingDir::enter(&staging).unwrap_err();
            assert!(matches!(refused, StageError::OtherFolder { .. }), "{other:?}: {refused}");
            assert!(refused.to_string().contains("shared file system"), "{refused}");
        }
        let (dir, staging) = folder("n-1");
        dir.close().unwrap();
        let refused = StagingDir::enter(&staging).unwrap_err();
        assert!(matches!(refused, StageError::NotSeen { .. }), "{refused}");
        assert!(refused.to_string().contains("shared file system"), "{refused}");
    }

    #[test]
    fn a_file_stays_only_when_it_is_kept() {
        let (dir, staging) = folder("n-1");
        let staging = StagingDir::enter(&staging).unwrap();
        let mut kept = staging.create("a.tmp".to_owned()).unwrap();
        let mut left = staging.create("b.tmp".to_owned()).unwrap();
        kept.write_all(b"four").unwrap();
        left.write_all(b"lost").unwrap();
        let (bytes, sha256) = kept.seal().unwrap();
        assert_eq!((bytes, left.seal().unwrap().0), (4, 4));
        let written = fs::read(kept.path()).unwrap();
        assert_eq!(sha256, Checksum(Sha256::digest(written).into()));
        staging.sync().unwrap();
        assert_eq!(names(dir.path()), ["a.tmp", "b.tmp", "nonce"]);
        drop(left);
        assert_eq!(kept.keep(), "a.tmp");
        assert_eq!(names(dir.path()), ["a.tmp", "nonce"]);
        assert_eq!(fs::read(staging.path_of("a.tmp")).unwrap(), b"four");
    }

    #[test]
    fn a_taken_name_and_a_symbolic_link_are_not_written_through() {
        let (dir, staging) = folder("n-1");
        let staging = StagingDir::enter(&staging).unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "mine").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("link.tmp")).unwrap();
        for key in ["target", "link.tmp"] {
            assert!(matches!(staging.create(key.to_owned()), Err(StageError::Io { what: "create", .. })), "{key}");
        }
        assert_eq!(fs::read(&target).unwrap(), b"mine");
    }
}
