//! A file being staged: written, sealed, then kept or removed.
//!
//! Invariant: it is durable once it is sealed; one that is not kept is removed when it is dropped.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use batteuse_shared::limits::WRITE_BYTES;
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Upload;
use sha2::{Digest as _, Sha256};

use crate::bucket::Uploading;

/// A file being staged.
#[derive(Debug)]
pub struct StagedFile {
    place: PathBuf,
    target: Target,
    sha256: Sha256,
    bytes: u64,
    kept: bool,
}

#[derive(Debug)]
enum Target {
    /// None once it is sealed: what is only waited for holds no file open.
    Disk(Option<BufWriter<File>>),
    Upload(Box<Uploading>),
}

impl StagedFile {
    pub(crate) fn on_disk(path: PathBuf, file: File) -> Self {
        Self::new(path, Target::Disk(Some(BufWriter::with_capacity(WRITE_BYTES, file))))
    }

    pub(crate) fn uploading(place: PathBuf, upload: Uploading) -> Self {
        Self::new(place, Target::Upload(Box::new(upload)))
    }

    fn new(place: PathBuf, target: Target) -> Self {
        Self { place, target, sha256: Sha256::new(), bytes: 0, kept: false }
    }

    /// How it is told to people.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Makes the content durable and tells its size in bytes and its sha256. On a disk the name is durable after
    /// [`crate::Folder::secure`] of its folder. Nothing is written after it.
    ///
    /// # Errors
    /// When the disk or store refuses: then what is there is unknown, and the file is not to be kept.
    pub fn seal(&mut self) -> io::Result<(u64, Checksum)> {
        match &mut self.target {
            Target::Disk(file) => {
                let file = file.take().ok_or_else(sealed)?.into_inner()?;
                file.sync_all()?;
                let found = file.metadata()?.len();
                if found != self.bytes {
                    return Err(io::Error::other(format!("{found} bytes are there where {} were written", self.bytes)));
                }
            }
            Target::Upload(upload) => upload.seal()?,
        }
        Ok((self.bytes, Checksum(std::mem::take(&mut self.sha256).finalize().into())))
    }

    /// Bytes that lie in memory because a store takes parts of a least size: of a file of a disk none, since it can be flushed.
    #[must_use]
    pub fn unsent(&self) -> usize {
        match &self.target {
            Target::Disk(_) => 0,
            Target::Upload(upload) => upload.unsent(),
        }
    }

    /// Leaves it as it is; tells the upload, if it is one that is not completed.
    #[must_use]
    pub fn keep(mut self) -> Option<Upload> {
        self.kept = true;
        match &mut self.target {
            Target::Disk(_) => None,
            Target::Upload(upload) => upload.told(),
        }
    }
}

/// Writes out what the file's buffer holds, and gives it another one.
fn buffered(file: &mut Option<BufWriter<File>>, bytes: usize) -> io::Result<()> {
    let inner = file.take().ok_or_else(sealed)?.into_inner()?;
    *file = Some(BufWriter::with_capacity(bytes, inner));
    Ok(())
}

fn sealed() -> io::Error {
    io::Error::other("the file is sealed, or could not be written to its end")
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.target {
            Target::Disk(file) => {
                if file.as_ref().is_none_or(|file| file.capacity() == 0) {
                    buffered(file, WRITE_BYTES)?;
                }
                file.as_mut().ok_or_else(sealed)?.write(bytes)?
            }
            Target::Upload(upload) => upload.write(bytes)?,
        };
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    /// Has a file of a disk take no memory until more is written; an upload sends nothing early: [`StagedFile::seal`] does.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Disk(file) => buffered(file, 0),
            Target::Upload(_) => Ok(()),
        }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let removed = match &mut self.target {
            Target::Disk(_) => fs::remove_file(&self.place),
            Target::Upload(upload) => upload.abandon(),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(place = %self.place.display(), %error, "a staged file of a failed attempt stays behind");
            }
            _ => {}
        }
    }
}
