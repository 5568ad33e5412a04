//! One contract, every backend: what the engine asks of a folder and of a journal holds in memory, on a disk, in S3, in Azure's
//! blobs and in PostgreSQL; and whole runs into real stores. What stores do wrong is `faults`' part.
//!
//! Invariant: no test of a contract knows its backend; what differs (that a disk has staged names) the folder itself tells.

pub mod by_values;
mod doctor;
mod faults;
mod folders;
mod journals;
mod kills;
mod modes;
mod redrive;
pub mod runs;
mod tables;

use std::sync::Arc;

use batteuse_store::{Bucket, Disk, Folder, Kind, Stores};

use crate::support::servers::{Azurite, Seaweed};

/// A folder to work in, and what it lives from.
pub struct Ground {
    pub folder: Arc<dyn Folder>,
    _kept: Vec<Box<dyn std::any::Any>>,
}

impl Ground {
    fn new(url: &str, env: Vec<(String, String)>, kept: Box<dyn std::any::Any>) -> Self {
        let stores = Stores::new(env);
        Self { folder: stores.folder(url).unwrap(), _kept: vec![Box::new(stores), kept] }
    }

    pub fn memory() -> Self {
        let stores = Stores::new([]);
        let folder = Arc::new(Bucket::in_memory(stores.waiter().unwrap()));
        Self { folder, _kept: vec![Box::new(stores)] }
    }

    pub fn disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Arc::new(Disk::new(dir.path().join("out")));
        folder.make("").unwrap();
        Self { folder, _kept: vec![Box::new(dir)] }
    }

    pub fn s3() -> Self {
        let server = Seaweed::start();
        Self::new(&format!("{}nested/out/", server.bucket("grain")), server.env(), Box::new(server))
    }

    pub fn azure() -> Self {
        let server = Azurite::start();
        Self::new(&format!("{}nested/out", server.container("grain")), server.env(), Box::new(server))
    }
}

/// The paths of all files below `path`, sorted.
pub fn files(folder: &dyn Folder, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in folder.list(path).unwrap().unwrap_or_default() {
        let below = if path.is_empty() { entry.name } else { format!("{path}/{}", entry.name) };
        match entry.kind {
            Kind::Folder => found.extend(files(folder, &below)),
            _ => found.push(below),
        }
    }
    found.sort();
    found
}
