//! A folder on a local disk.
//!
//! Invariant: no symbolic link is followed out of the folder for anything that is written, published or removed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use batteuse_shared::limits::HIVE_COLUMNS_MAX;
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Upload;
use bytes::{Bytes, BytesMut};

use crate::{CreateError, Created, Entry, Folder, Kind, ListError, PublishError, ReadError, StagedFile, WriteError};
use crate::{local, tree};

/// A folder on a local disk, which may not exist yet.
#[derive(Debug, Clone)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The folder at the absolute path `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a path lies, if it leads nowhere else.
    fn at(&self, path: &str) -> io::Result<PathBuf> {
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            let text = format!("{path:?} leads out of its folder");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(self.place(path))
    }

    /// As [`Disk::at`]; and no folder on the way, below the root, is a symbolic link.
    fn inside(&self, path: &str) -> io::Result<PathBuf> {
        let full = self.at(path)?;
        for (end, _) in path.match_indices('/') {
            let above = self.place(&path[..end]);
            if local::entry(&above)?.is_some_and(|found| !found.is_dir()) {
                let text = format!("{} is not a folder (symbolic links are not followed)", above.display());
                return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
            }
        }
        Ok(full)
    }

    /// The folder of a file, and the file's name in it.
    fn split<'a>(&self, path: &'a str) -> io::Result<(PathBuf, &'a str)> {
        self.inside(path)?;
        Ok(match path.rsplit_once('/') {
            Some((folder, name)) => (self.place(folder), name),
            None => (self.root.clone(), path),
        })
    }

    fn begin(&self, path: &str) -> io::Result<StagedFile> {
        let path = self.inside(path)?;
        // `create_new` follows no symbolic link.
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(StagedFile::on_disk(path, file))
    }
}

impl Folder for Disk {
    fn place(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn make(&self, path: &str) -> io::Result<()> {
        local::create_dir_durable(&self.inside(path)?)
    }

    fn secure(&self, path: &str) -> io::Result<()> {
        local::fsync_dir(&self.at(path)?)
    }

    fn sweep(&self, path: &str) -> io::Result<()> {
        local::sweep_temporaries(&self.inside(path)?)
    }

    fn create_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Created, CreateError> {
        let (folder, name) = self.split(path).map_err(CreateError::NotWritten)?;
        local::create_if_absent(&folder, name, bytes)
    }

    fn write_if_absent_or_equal(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let (folder, name) = self.split(path).map_err(WriteError::Io)?;
        local::write_if_absent_or_equal(&folder, name, bytes)
    }

    fn replace(&self, path: &str, before: &Checksum, bytes: &[u8]) -> Result<(), WriteError> {
        let (folder, name) = self.split(path).map_err(WriteError::Io)?;
        local::replace(&folder, name, before, bytes)
    }

    fn replaces_by_condition(&self, path: &str) -> io::Result<bool> {
        // Of writers that take turns, as [`local::replace`] has it.
        self.create_if_absent(path, b"first").map_err(io::Error::other).map(|_| true)
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadError> {
        local::read_regular(&self.at(path).map_err(ReadError::Io)?, bytes_max)
    }

    fn size(&self, path: &str) -> Result<Option<u64>, ReadError> {
        let found = self.at(path).and_then(|path| local::entry(&path)).map_err(ReadError::Io)?;
        match found {
            None => Ok(None),
            Some(found) if found.is_file() => Ok(Some(found.len())),
            Some(_) => Err(ReadError::NotRegular),
        }
    }

    fn read_range(&self, path: &str, offset: u64, bytes: usize) -> io::Result<Bytes> {
        let file = File::open(self.at(path)?)?;
        let mut space = BytesMut::zeroed(bytes);
        file.read_exact_at(&mut space, offset)?;
        Ok(space.freeze())
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, ListError> {
        let dir = self.at(path).map_err(ListError::Io)?;
        let entries = match fs::read_dir(&dir) {
            // A link that leads nowhere is there, and no folder can be made in its place.
            // (The components are put together again without the slash at the end, which would follow the link.)
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let found = local::entry(&dir.components().collect::<PathBuf>()).map_err(ListError::Io)?;
                return if found.is_none() { Ok(None) } else { Err(ListError::NotAFolder) };
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(ListError::NotAFolder),
            entries => entries.map_err(ListError::Io)?,
        };
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry.map_err(ListError::Io)?;
            let (name, kind) = (entry.file_name(), kind_of(entry.file_type().map_err(ListError::Io)?));
            if !(kind == Kind::File && local::is_temporary(&name)) {
                list.push(Entry { name: name.to_string_lossy().into_owned(), kind });
            }
        }
        Ok(Some(list))
    }

    fn below(&self, folders: &[String]) -> Result<Vec<Entry>, ListError> {
        let mut found = Vec::new();
        let mut left: Vec<String> = folders.to_vec();
        while let Some(folder) = left.pop() {
            let Some(lies_in) = self.list(&folder)? else {
                // It was there: its name is none that we can say.
                found.push(Entry { name: folder, kind: Kind::Other });
                continue;
            };
            if lies_in.is_empty() {
                found.push(Entry { name: folder, kind: Kind::Folder });
                continue;
            }
            for Entry { name, kind } in lies_in {
                let entry = Entry { name: format!("{folder}/{name}"), kind };
                let deep = entry.name.matches('/').count() >= HIVE_COLUMNS_MAX;
                if tree::is_value(&entry) && !deep { left.push(entry.name) } else { found.push(entry) }
            }
            tree::bounded(found.len() + left.len())?;
        }
        Ok(found)
    }

    fn remove_empty(&self, path: &str) -> io::Result<()> {
        let mut folder = Some(path);
        while let Some(path) = folder.filter(|path| !path.is_empty()) {
            match fs::remove_dir(self.inside(path)?) {
                // Systems say it in two ways.
                Err(error) if holds_something(error.kind()) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => folder = path.rsplit_once('/').map(|(above, _)| above),
            }
        }
        Ok(())
    }

    fn kind(&self, path: &str) -> io::Result<Option<Kind>> {
        Ok(local::entry(&self.at(path)?)?.map(|found| kind_of(found.file_type())))
    }

    fn stage(&self, staged: &str, _: &str) -> io::Result<StagedFile> {
        self.begin(staged)
    }

    fn stage_readable(&self, path: &str) -> io::Result<StagedFile> {
        self.begin(path)
    }

    fn has_uploads(&self) -> bool {
        false
    }

    fn publish(&self, staged: &str, _: Option<&Upload>, published: &str, bytes: u64) -> Result<(), PublishError> {
        let staged = self.inside(staged).map_err(PublishError::Io)?;
        let published = self.inside(published).map_err(PublishError::Io)?;
        local::publish_by_link(&staged, &published, bytes)
    }

    fn discard(&self, staged: &str, _: Option<&Upload>) -> io::Result<()> {
        local::remove_if_there(&self.inside(staged)?)
    }

    fn modified(&self, _: &str) -> io::Result<Option<SystemTime>> {
        Ok(None)
    }

    fn pending_uploads(&self) -> io::Result<Option<Vec<Upload>>> {
        Ok(None)
    }

    fn remove_all(&self, path: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.inside(path)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn holds_something(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

fn kind_of(found: fs::FileType) -> Kind {
    match (found.is_file(), found.is_dir()) {
        (true, _) => Kind::File,
        (_, true) => Kind::Folder,
        _ => Kind::Other,
    }
}
