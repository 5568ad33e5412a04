//! A folder in an object store: a bucket or container, and a prefix in it.
//!
//! Invariants: a slot or text is made with create-if-absent, whose `AlreadyExists` says nothing about who made it (the client's
//! own retry may have, and S3's 409 means that nobody has yet); a published file is a multipart upload that is completed after
//! the decision, and a completion whose outcome is unclear is settled by looking at the object. Calls block on the store's own
//! runtime.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use batteuse_shared::limits::{
    COMPLETIONS_IN_FLIGHT_MAX, PARTS_IN_FLIGHT_MAX, TEXT_BYTES_MAX, UPLOAD_PARTS_IN_FLIGHT_MAX,
};
use batteuse_shared::table::Checksum;
use batteuse_shared::task::Upload;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

pub(crate) use self::pending::Lister;
pub(crate) use self::uploading::Uploading;
use crate::{
    CreateError, Created, Entry, Folder, Kind, ListError, PublishError, ReadError, StagedFile, Waiter, WriteError, tree,
};

mod pending;
mod uploading;

/// A folder in an object store.
#[derive(Clone)]
pub struct Bucket {
    /// How the folder is told to people: its URL, without a `/` at the end.
    url: String,
    prefix: String,
    client: Client,
}

/// The store's client and the runtime that it works on.
#[derive(Clone)]
pub(crate) struct Client {
    objects: Arc<dyn ObjectStore>,
    uploads: Arc<dyn MultipartStore>,
    /// None where uploads run out by themselves, or cannot be listed.
    lister: Option<Arc<Lister>>,
    /// Parts of one upload that are sent at once.
    in_flight: usize,
    /// Room for parts of all uploads that are under way.
    parts: Arc<Semaphore>,
    runtime: Waiter,
}

impl Client {
    pub(crate) fn new<S: ObjectStore + MultipartStore>(store: S, runtime: Waiter) -> Self {
        let store = Arc::new(store);
        Self::of(store.clone(), store, None, runtime)
    }

    /// The same, with a list of its pending uploads.
    pub(crate) fn listing(store: &Arc<AmazonS3>, lister: Lister, runtime: Waiter) -> Self {
        Self::of(store.clone(), store.clone(), Some(Arc::new(lister)), runtime)
    }

    fn of(
        objects: Arc<dyn ObjectStore>,
        uploads: Arc<dyn MultipartStore>,
        lister: Option<Arc<Lister>>,
        runtime: Waiter,
    ) -> Self {
        let parts = Arc::new(Semaphore::new(PARTS_IN_FLIGHT_MAX));
        Self { objects, uploads, lister, in_flight: UPLOAD_PARTS_IN_FLIGHT_MAX, parts, runtime }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client knows secrets (NO-SECRET).
        f.debug_tuple("Bucket").field(&self.url).finish()
    }
}

impl Bucket {
    /// The folder `prefix` (without a `/` at either end) of a store, which people know as `url`.
    pub(crate) fn new(url: &str, prefix: &str, client: Client) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), prefix: prefix.to_owned(), client }
    }

    /// A folder in the memory of this process, which works on `runtime`.
    #[must_use]
    pub fn in_memory(runtime: Waiter) -> Self {
        let client = Client::new(object_store::memory::InMemory::new(), runtime);
        // That store takes parts in order only.
        Self::new("memory://", "", Client { in_flight: 1, ..client })
    }

    fn key(&self, path: &str) -> io::Result<Path> {
        let full = match (self.prefix.as_str(), path) {
            ("", path) => path.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, path) => format!("{prefix}/{path}"),
        };
        Path::parse(full).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    fn wait<T>(&self, call: impl Future<Output = object_store::Result<T>>) -> Result<T, Error> {
        self.client.runtime.wait(call)
    }

    fn head(&self, path: &str) -> Result<Option<ObjectMeta>, ReadError> {
        let key = self.key(path).map_err(ReadError::Io)?;
        match self.wait(self.client.objects.head(&key)) {
            Ok(meta) => Ok(Some(meta)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ReadError::Io(io_error(error))),
        }
    }

    /// What lies under `key`, and the version of it that a conditional write names; none where nothing does.
    async fn version(&self, key: &Path) -> object_store::Result<Option<(Bytes, UpdateVersion)>> {
        match self.client.objects.get(key).await {
            Ok(got) if got.meta.size > TEXT_BYTES_MAX => {
                Ok(Some((Bytes::new(), UpdateVersion { e_tag: None, version: None })))
            }
            Ok(got) => {
                let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
                Ok(Some((got.bytes().await?, version)))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes where the object is still of this version; anywhere in a store that has no such condition.
    async fn update(&self, key: &Path, version: UpdateVersion, payload: PutPayload) -> object_store::Result<()> {
        let put = self.client.objects.put_opts(key, payload.clone(), PutMode::Update(version).into()).await;
        match put {
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                self.client.objects.put(key, payload).await.map(drop)
            }
            put => put.map(drop),
        }
    }

    async fn listed(&self, prefix: Path) -> object_store::Result<Vec<Entry>> {
        let found = self.client.objects.list_with_delimiter(Some(&prefix)).await?;
        let named = |path: &Path, kind| Entry { name: path.filename().unwrap_or_default().to_owned(), kind };
        let folders = found.common_prefixes.iter().map(|path| named(path, Kind::Folder));
        // An object of the folder's own name, with a `/`, is how some clients and stores mark a folder.
        let objects = found.objects.iter().filter(|meta| meta.location != prefix);
        Ok(folders.chain(objects.map(|meta| named(&meta.location, Kind::File))).collect())
    }

    /// The objects below the folder `path`, by their paths in this one.
    async fn files_below(&self, path: &str) -> Result<Vec<Entry>, ListError> {
        let prefix = self.key(path).map_err(ListError::Io)?;
        let mut found = self.client.objects.list(Some(&prefix));
        let mut files = Vec::new();
        while let Some(meta) = found.try_next().await.map_err(|error| ListError::Io(io_error(error)))? {
            // As in `listed`, what marks a folder is none of its files.
            if let Some(rest) = meta.location.as_ref().strip_prefix(prefix.as_ref()).filter(|rest| !rest.is_empty()) {
                files.push(Entry { name: format!("{path}{rest}"), kind: Kind::File });
            }
            tree::bounded(files.len())?;
        }
        Ok(files)
    }

    async fn removed(&self, prefix: Path) -> object_store::Result<()> {
        let found = self.client.objects.list(Some(&prefix)).map_ok(|meta| meta.location).boxed();
        // What is gone already is fine: another sweep may be at it.
        let fine = |removed: Result<Path, Error>| async move {
            match removed {
                Err(Error::NotFound { .. }) => Ok(()),
                removed => removed.map(drop),
            }
        };
        self.client.objects.delete_stream(found).then(fine).try_collect().await
    }
}

impl Folder for Bucket {
    fn place(&self, path: &str) -> PathBuf {
        if path.is_empty() { PathBuf::from(&self.url) } else { PathBuf::from(format!("{}/{path}", self.url)) }
    }

    fn make(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn secure(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sweep(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn create_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Created, CreateError> {
        let key = self.key(path).map_err(CreateError::NotWritten)?;
        let payload = PutPayload::from_bytes(Bytes::copy_from_slice(bytes));
        match self.wait(self.client.objects.put_opts(&key, payload, PutMode::Create.into())) {
            Ok(_) => Ok(Created::Done),
            Err(Error::AlreadyExists { .. }) => Ok(Created::Exists),
            Err(error @ (Error::NotImplemented { .. } | Error::NotSupported { .. })) => {
                Err(CreateError::NotWritten(io_error(error)))
            }
            // A refusal is no proof: it may answer a retry of a request that was carried out.
            Err(error) => Err(CreateError::Unknown(io_error(error))),
        }
    }

    fn write_if_absent_or_equal(&self, path: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let unclear = match self.create_if_absent(path, bytes) {
            Ok(Created::Done) => return Ok(()),
            Ok(Created::Exists) => io::Error::new(io::ErrorKind::WouldBlock, "another writer is at work on it"),
            Err(CreateError::NotWritten(error) | CreateError::Unknown(error)) => error,
        };
        match self.read(path, bytes.len() as u64) {
            Ok(Some(found)) if found == bytes => Ok(()),
            Ok(Some(_)) | Err(ReadError::NotRegular | ReadError::TooLarge { .. }) => Err(WriteError::Different),
            Ok(None) => Err(WriteError::Io(unclear)),
            Err(ReadError::Io(error)) => Err(WriteError::Io(error)),
        }
    }

    fn replace(&self, path: &str, before: &Checksum, bytes: &[u8]) -> Result<(), WriteError> {
        let key = self.key(path).map_err(WriteError::Io)?;
        let found = self.wait(self.version(&key)).map_err(|error| WriteError::Io(io_error(error)))?;
        let Some((_, version)) = found.filter(|(found, _)| Checksum(Sha256::digest(found).into()) == *before) else {
            return self.write_if_absent_or_equal(path, bytes);
        };
        let payload = PutPayload::from_bytes(Bytes::copy_from_slice(bytes));
        let Err(error) = self.wait(self.update(&key, version, payload)) else { return Ok(()) };
        // Refused or unknown: what the name says now is the truth, whatever the reply was.
        match self.wait(self.version(&key)) {
            Ok(Some((found, _))) if found == bytes => Ok(()),
            Ok(Some((found, _))) if Checksum(Sha256::digest(&found).into()) != *before => Err(WriteError::Different),
            _ => Err(WriteError::Io(io_error(error))),
        }
    }

    fn replaces_by_condition(&self, path: &str) -> io::Result<bool> {
        let key = self.key(path)?;
        let write = |text: &'static str, mode: PutMode| {
            self.wait(self.client.objects.put_opts(&key, PutPayload::from_static(text.as_bytes()), mode.into()))
        };
        let first = write("first", PutMode::Overwrite).map_err(io_error)?;
        write("second", PutMode::Overwrite).map_err(io_error)?;
        match write("third", PutMode::Update(UpdateVersion { e_tag: first.e_tag, version: first.version })) {
            Ok(_) | Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => Ok(false),
            Err(Error::Precondition { .. }) => Ok(true),
            Err(error) => Err(io_error(error)),
        }
    }

    fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let key = self.key(path).map_err(ReadError::Io)?;
        let read = self.wait(async {
            let got = self.client.objects.get(&key).await?;
            let bytes = got.meta.size;
            if bytes > bytes_max { Ok(Err(bytes)) } else { got.bytes().await.map(|got| Ok((got, bytes))) }
        });
        match read {
            Ok(Ok((got, bytes))) if got.len() as u64 == bytes => Ok(Some(got.into())),
            Ok(Ok((got, bytes))) => Err(ReadError::Io(cut_short(got.len(), bytes))),
            Ok(Err(bytes)) => Err(ReadError::TooLarge { bytes }),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ReadError::Io(io_error(error))),
        }
    }

    fn size(&self, path: &str) -> Result<Option<u64>, ReadError> {
        Ok(self.head(path)?.map(|meta| meta.size))
    }

    fn read_range(&self, path: &str, offset: u64, bytes: usize) -> io::Result<Bytes> {
        let key = self.key(path)?;
        let wanted = offset..offset + bytes as u64;
        let got = self.wait(self.client.objects.get_range(&key, wanted)).map_err(io_error)?;
        if got.len() == bytes { Ok(got) } else { Err(cut_short(got.len(), bytes as u64)) }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>, ListError> {
        let key = self.key(path).map_err(ListError::Io)?;
        let list = self.wait(self.listed(key)).map_err(|error| ListError::Io(io_error(error)))?;
        Ok(Some(list).filter(|list| !list.is_empty()))
    }

    fn below(&self, folders: &[String]) -> Result<Vec<Entry>, ListError> {
        let listing = futures::stream::iter(folders).map(|folder| self.files_below(folder));
        let mut listing = listing.buffer_unordered(COMPLETIONS_IN_FLIGHT_MAX);
        self.client.runtime.wait(async {
            let mut all = Vec::new();
            while let Some(files) = listing.try_next().await? {
                all.extend(files);
                tree::bounded(all.len())?;
            }
            Ok(all)
        })
    }

    fn remove_empty(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn kind(&self, path: &str) -> io::Result<Option<Kind>> {
        // What lies below first: some stores show a folder as an object too.
        match self.list(path) {
            Ok(Some(_)) => return Ok(Some(Kind::Folder)),
            Ok(None) | Err(ListError::NotAFolder) => {}
            Err(ListError::Io(error)) => return Err(error),
        }
        if path.is_empty() && self.prefix.is_empty() {
            return Ok(None);
        }
        match self.head(path) {
            Ok(found) => Ok(found.map(|_| Kind::File)),
            Err(ReadError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn stage(&self, _: &str, published: &str) -> io::Result<StagedFile> {
        let upload = Uploading::held(self.client.clone(), published.to_owned(), self.key(published)?);
        Ok(StagedFile::uploading(self.place(published), upload))
    }

    fn stage_readable(&self, path: &str) -> io::Result<StagedFile> {
        Ok(StagedFile::uploading(self.place(path), Uploading::readable(self.client.clone(), self.key(path)?)))
    }

    fn has_uploads(&self) -> bool {
        true
    }

    fn publish(&self, staged: &str, upload: Option<&Upload>, published: &str, bytes: u64) -> Result<(), PublishError> {
        let Some(upload) = upload.filter(|upload| upload.key == published) else {
            let text = format!("{staged} was not staged as an upload to {published}");
            return Err(PublishError::Io(io::Error::new(io::ErrorKind::InvalidInput, text)));
        };
        let key = self.key(published).map_err(PublishError::Io)?;
        let parts = upload.parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
        let completed = self.wait(self.client.uploads.complete_multipart(&key, &upload.id, parts));
        // Refused or unknown: what the name says now is the truth, whatever the reply was.
        match (self.size(published), completed) {
            (Ok(Some(found)), _) if found == bytes => Ok(()),
            (Ok(Some(_)), Ok(_)) => Err(PublishError::Changed { expected: bytes }),
            (Ok(Some(_)), Err(_)) => Err(PublishError::Foreign),
            (Ok(None), Err(Error::NotFound { .. })) => Err(PublishError::Gone),
            (Ok(None) | Err(_), Err(error)) => Err(PublishError::Io(io_error(error))),
            (Ok(None), Ok(_)) => Err(PublishError::Io(io::Error::other("it was completed and is not there"))),
            (Err(error), Ok(_)) => Err(PublishError::Io(io::Error::other(error))),
        }
    }

    fn discard(&self, staged: &str, upload: Option<&Upload>) -> io::Result<()> {
        let gone = match upload {
            Some(upload) => {
                let key = self.key(&upload.key)?;
                self.wait(self.client.uploads.abort_multipart(&key, &upload.id))
            }
            None => {
                let key = self.key(staged)?;
                self.wait(self.client.objects.delete(&key))
            }
        };
        match gone {
            // The store in memory says of an upload that is gone that something is wrong with it.
            Ok(()) | Err(Error::NotFound { .. } | Error::Generic { store: "InMemory", .. }) => Ok(()),
            Err(error) => Err(io_error(error)),
        }
    }

    fn modified(&self, path: &str) -> io::Result<Option<SystemTime>> {
        match self.head(path) {
            Ok(Some(meta)) => Ok(Some(meta.last_modified.into())),
            Ok(None) => Err(io::Error::from(io::ErrorKind::NotFound)),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn pending_uploads(&self) -> io::Result<Option<Vec<Upload>>> {
        let Some(lister) = &self.client.lister else { return Ok(None) };
        let prefix = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let found = self.client.runtime.wait(lister.pending(&prefix)).map_err(io::Error::other)?;
        let own = found.into_iter().filter_map(|pending| {
            let key = pending.key.strip_prefix(&prefix)?.to_owned();
            Some(Upload { key, id: pending.upload_id, parts: Vec::new() })
        });
        Ok(Some(own.collect()))
    }

    fn remove_all(&self, path: &str) -> io::Result<()> {
        let key = self.key(path)?;
        self.wait(self.removed(key)).map_err(io_error)
    }
}

fn cut_short(got: usize, wanted: u64) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("{got} of {wanted} bytes came"))
}

/// The error as one of the system, of the kind that tells what to do.
pub(crate) fn io_error(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => io::ErrorKind::Unsupported,
        Error::InvalidPath { .. } | Error::UnknownConfigurationKey { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
