//! s3rver: an S3 server that pays no regard to the conditions of writes, as some that are sold do not.
//!
//! Of any number of writers that must create an object each is told that it did, and the last one's bytes stay, or a mixture: it
//! writes in place. A journal or a claim there would have several owners, so batteuse must find it out and refuse such a store; this
//! one is for testing that.

use std::process::Command;

use super::place::Place;
use super::s3::Keys;
use super::{Recipe, Server, part};

/// It knows no others.
const KEYS: Keys = Keys { id: "S3RVER", secret: "S3RVER" };

/// A running s3rver.
pub struct S3rver(Server);

impl S3rver {
    pub fn start() -> Self {
        Self(Server::start(Recipe { name: "s3rver", prepare: |_| (), command, ask }))
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.0.place.endpoint()
    }

    /// What an S3 client reads from its environment.
    pub fn env(&self) -> Vec<(String, String)> {
        KEYS.env(&self.endpoint())
    }

    /// Makes a bucket, whose name has three characters or more: `s3://NAME/`.
    pub fn bucket(&self, name: &str) -> String {
        KEYS.bucket(&self.0.place, name).unwrap()
    }

    /// The server's process.
    pub fn id(&self) -> u32 {
        self.0.daemon.id()
    }

    /// Kills it with SIGKILL.
    pub fn kill9(&mut self) {
        self.0.kill9();
    }

    /// Starts it again at the same address with the same files.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

fn command(place: &Place) -> Command {
    let mut command = Command::new(part("node/node"));
    command.arg(part("node/node_modules/s3rver/bin/s3rver.js")).args(["--address", "127.0.0.1", "--no-vhost-buckets"]);
    command.args(["--port", &place.port(0).to_string(), "--silent", "--directory"]).arg(place.folder().join("buckets"));
    command
}

fn ask(place: &Place) -> Result<(), String> {
    KEYS.bucket(place, "ready").map(|_| ())
}
