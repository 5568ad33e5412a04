//! What stores do wrong, and what the engine makes of it: each rule about unclear replies, short reads and damage has a test here
//! that fails without it, before a server that does wrong what the test says.
//!
//! Invariant: each fault strikes (the server counts them), and after the test's calls the server's objects and log tell what became
//! of the request, not only what its caller was told. How real stores behave is no matter here.

mod claims;
mod damage;
mod folders;
mod journals;
mod publishing;
mod runs;

use std::sync::Arc;

use batteuse_shared::limits::STORE_RETRIES_MAX;
use batteuse_store::{Folder, Stores};

use crate::support::scripted::{Fault, Scripted, done_but, refused};

/// How often a store's client asks before it gives up: a fault that strikes so often outlasts it.
const TRIES: usize = STORE_RETRIES_MAX + 1;

/// What S3 says when a request took it too long: no client tries that again by itself.
const TIMEOUT: Fault = refused(400, "RequestTimeout");

/// [`TIMEOUT`], of a request that was carried out all the same.
const DONE_BUT_TIMEOUT: Fault = done_but(400, "RequestTimeout");

/// A folder at a scripted server.
struct Scene {
    folder: Arc<dyn Folder>,
    _stores: Stores,
    server: Scripted,
}

impl Scene {
    fn new() -> Self {
        let server = Scripted::start();
        let stores = Stores::new(server.env());
        Self { folder: stores.folder(&format!("{}out/", server.url())).unwrap(), _stores: stores, server }
    }

    /// What the server keeps under a path of the folder.
    fn kept(&self, path: &str) -> Option<Vec<u8>> {
        self.server.objects().get(&format!("out/{path}")).map(|bytes| bytes.to_vec())
    }
}
