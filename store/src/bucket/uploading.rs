//! An upload in parts while it is written.
//!
//! Invariant: parts are sent in order of their numbers, few at a time, of one upload and of all together, so memory is bounded;
//! one that failed makes the upload useless.

use std::io;

use batteuse_shared::limits::UPLOAD_PART_BYTES;
use batteuse_shared::task::Upload;
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use super::{Client, io_error};

/// An upload being written.
pub(crate) struct Uploading {
    client: Client,
    key: Path,
    /// Its path in the folder, if it stays uncompleted: it is published later. None: it is to be readable when sealed.
    held: Option<String>,
    /// The store's name for it, once there is one.
    id: Option<String>,
    parts: Vec<Option<PartId>>,
    sending: JoinSet<object_store::Result<(usize, PartId)>>,
    filling: Vec<u8>,
    completed: bool,
}

impl std::fmt::Debug for Uploading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploading").field("key", &self.key).field("held", &self.held).finish_non_exhaustive()
    }
}

impl Uploading {
    pub(crate) fn held(client: Client, published: String, key: Path) -> Self {
        Self::new(client, key, Some(published))
    }

    pub(crate) fn readable(client: Client, key: Path) -> Self {
        Self::new(client, key, None)
    }

    fn new(client: Client, key: Path, held: Option<String>) -> Self {
        Self {
            client,
            key,
            held,
            id: None,
            parts: Vec::new(),
            sending: JoinSet::new(),
            filling: Vec::new(),
            completed: false,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filling.len() == UPLOAD_PART_BYTES {
            self.send()?;
        }
        let n = bytes.len().min(UPLOAD_PART_BYTES - self.filling.len());
        self.filling.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    /// Sends what is filled as the next part, as soon as few enough are under way.
    fn send(&mut self) -> io::Result<()> {
        let id = self.begun()?;
        while self.sending.len() >= self.client.in_flight {
            self.landed()?;
        }
        // Parts land whoever waits here, so some room comes.
        let room = self.client.runtime.wait(self.client.parts.clone().acquire_owned()).map_err(io::Error::other)?;
        let (number, payload) = (self.parts.len(), PutPayload::from_bytes(std::mem::take(&mut self.filling).into()));
        self.parts.push(None);
        let (uploads, key) = (self.client.uploads.clone(), self.key.clone());
        let part = async move {
            let sent = uploads.put_part(&key, &id, number, payload).await;
            drop(room);
            sent.map(|part| (number, part))
        };
        self.sending.spawn_on(part, self.client.runtime.handle());
        Ok(())
    }

    fn begun(&mut self) -> io::Result<String> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let id = self.client.runtime.wait(self.client.uploads.create_multipart(&self.key)).map_err(io_error)?;
        Ok(self.id.insert(id).clone())
    }

    /// Waits for one part that is under way.
    fn landed(&mut self) -> io::Result<()> {
        match self.client.runtime.wait(self.sending.join_next()) {
            Some(Ok(Ok((number, part)))) => {
                self.parts[number] = Some(part);
                Ok(())
            }
            Some(Ok(Err(error))) => Err(io_error(error)),
            Some(Err(died)) => Err(io::Error::other(died)),
            None => Ok(()),
        }
    }

    /// Sends the rest; what was written is durable then, and readable unless it is held.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        if self.held.is_none() && self.id.is_none() {
            let payload = PutPayload::from_bytes(Bytes::from(std::mem::take(&mut self.filling)));
            let put = self.client.runtime.wait(self.client.objects.put(&self.key, payload));
            return put.map(drop).map_err(io_error);
        }
        if !self.filling.is_empty() || self.parts.is_empty() {
            self.send()?;
        }
        while !self.sending.is_empty() {
            self.landed()?;
        }
        match (&self.held, &self.id) {
            (None, Some(id)) => {
                let parts = self.parts.iter().flatten().cloned().collect();
                let done = self.client.uploads.complete_multipart(&self.key, id, parts);
                self.client.runtime.wait(done).map_err(io_error)?;
                self.completed = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Bytes of the part that is being filled, with the room that it has. Those under way have a bound of their own.
    pub(crate) fn unsent(&self) -> usize {
        self.filling.capacity()
    }

    /// What publishing needs to know; none for what is readable already.
    pub(crate) fn told(&self) -> Option<Upload> {
        let parts = self.parts.iter().flatten().map(|part| part.content_id.clone()).collect();
        Some(Upload { key: self.held.clone()?, id: self.id.clone()?, parts })
    }

    /// Leaves nothing behind, as far as the store can tell.
    pub(crate) fn abandon(&mut self) -> io::Result<()> {
        // Not only told to stop: a part that lands after the abort would be left.
        self.client.runtime.wait(self.sending.shutdown());
        let client = &self.client;
        let gone = match &self.id {
            Some(_) if self.completed => client.runtime.wait(client.objects.delete(&self.key)),
            Some(id) => client.runtime.wait(client.uploads.abort_multipart(&self.key, id)),
            None if self.held.is_none() => client.runtime.wait(client.objects.delete(&self.key)),
            None => Ok(()),
        };
        gone.map_err(io_error)
    }
}
