//! Reads the source at offsets, and proves that what was read is one version of it (SAME-INPUT).
//!
//! Invariant: bytes come from the version of the task, or the attempt fails. The version is inode, modification time and
//! size: a writer that restores all three is not noticed. It keeps no position and buffers nothing.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use batteuse_shared::location::{self, BadUrl};
use batteuse_shared::task::{SourceRef, SourceVersion};

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The URL names no local file.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The file is not the one that the run accepted.
    #[error("the source {path} changed while the run was reading it: it was {was} and is {is}; nothing of this run is valid, run again", path = path.display())]
    SourceChanged {
        /// Which file.
        path: PathBuf,
        /// The version that the run accepted.
        was: SourceVersion,
        /// The version found.
        is: SourceVersion,
    },
    /// There is no file of that name (any more), as this worker sees it.
    #[error("the source {path} is gone, or this worker does not see it: put it back, or mount its file system here", path = path.display())]
    Gone {
        /// Which file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot read {path}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The version of the regular file at `path`, symbolic links followed.
///
/// # Errors
/// When there is no file, or it is not a regular one (a pipe has no offsets).
pub fn version_of(path: &Path) -> io::Result<SourceVersion> {
    version(&fs::metadata(path)?)
}

fn version(metadata: &Metadata) -> io::Result<SourceVersion> {
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(SourceVersion::new(metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
}

/// A source, open at the version of the run.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    version: SourceVersion,
}

impl Source {
    /// Opens the source if it is at its version.
    ///
    /// # Errors
    /// When the URL names no local file, the file is gone, cannot be opened, or is another version.
    pub fn open(source: &SourceRef) -> Result<Self, ReadError> {
        let path = location::path_of(&source.url)?;
        // By name first: opening a pipe that took the file's place would block.
        same(&path, source.version, version_of(&path))?;
        let file = File::open(&path).map_err(|error| failed(&path, error))?;
        let source = Self { file, path, version: source.version };
        source.still_same()?;
        Ok(source)
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.version.bytes
    }

    /// Fills `space` with the bytes from `offset`, which all lie in the source.
    ///
    /// # Errors
    /// When the system refuses, or the file has become shorter.
    pub fn read(&self, offset: u64, space: &mut [u8]) -> Result<(), ReadError> {
        match self.file.read_exact_at(space, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.still_same()?;
                Err(ReadError::Io { path: self.path.clone(), source: error })
            }
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    /// Tells the system that the bytes from `offset` will be read soon: it may fetch them while others are parsed. A hint: that it is
    /// not taken is no error, and only Linux is given it.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, clippy::unused_self, reason = "not told"))]
    pub fn expect(&self, offset: u64, bytes: u64) {
        #[cfg(target_os = "linux")]
        {
            _ = rustix::fs::fadvise(&self.file, offset, std::num::NonZeroU64::new(bytes), rustix::fs::Advice::WillNeed);
        }
    }

    /// Proves that the open file, and the file of that name, are the version of the run. To be called after the last read.
    ///
    /// # Errors
    /// When either is another version, or there is no such file any more.
    pub fn still_same(&self) -> Result<(), ReadError> {
        same(&self.path, self.version, self.file.metadata().and_then(|found| version(&found)))?;
        same(&self.path, self.version, version_of(&self.path))
    }
}

fn same(path: &Path, was: SourceVersion, found: io::Result<SourceVersion>) -> Result<(), ReadError> {
    match found {
        Ok(is) if is == was => Ok(()),
        Ok(is) => Err(ReadError::SourceChanged { path: path.to_owned(), was, is }),
        Err(error) => Err(failed(path, error)),
    }
}

fn failed(path: &Path, error: io::Error) -> ReadError {
    let path = path.to_owned();
    if error.kind() == io::ErrorKind::NotFound {
        return ReadError::Gone { path };
    }
    ReadError::Io { path, source: error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn source(path: &Path) -> SourceRef {
        let version = version_of(path).expect("the file exists");
        SourceRef { url: location::url_of_file(path).expect("an absolute path"), version }
    }

    #[test]
    fn reads_at_offsets_and_names_both_versions_of_a_rewritten_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b.csv");
        fs::write(&path, "0123456789").unwrap();
        let task = source(&path);
        let open = Source::open(&task).unwrap();
        let mut four = [0; 4];
        open.read(6, &mut four).unwrap();
        assert_eq!((&four, open.bytes()), (b"6789", 10));
        open.still_same().unwrap();

        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7)).unwrap();
        let now = version_of(&path).unwrap();
        assert_eq!((now.inode, now.bytes, now.mtime_ns), (task.version.inode, 10, 7_000_000_000));
        for error in [open.still_same().unwrap_err(), Source::open(&task).unwrap_err()] {
            let ReadError::SourceChanged { was, is, .. } = &error else { panic!("{error:?}") };
            assert_eq!((*was, *is), (task.version, now));
        }
    }

    #[test]
    fn a_replaced_a_shortened_and_a_removed_file_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        fs::write(&path, "0123456789").unwrap();
        let task = source(&path);
        let open = Source::open(&task).unwrap();

        let other = dir.path().join("b.csv");
        fs::write(&other, "9876543210").unwrap();
        let kept = dir.path().join("kept");
        fs::rename(&path, &kept).unwrap();
        assert!(matches!(open.still_same(), Err(ReadError::Gone { .. })));
        fs::rename(&other, &path).unwrap();
        assert!(
            matches!(open.still_same(), Err(ReadError::SourceChanged { is, .. }) if is.inode != task.version.inode)
        );

        File::options().write(true).open(&kept).unwrap().set_len(3).unwrap();
        let mut four = [0; 4];
        assert!(matches!(open.read(2, &mut four), Err(ReadError::SourceChanged { is, .. }) if is.bytes == 3));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(Source::open(&task), Err(ReadError::Io { .. })));
    }
}
