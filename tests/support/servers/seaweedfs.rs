//! SeaweedFS: an S3 server that keeps its word on conditional writes.
//!
//! `weed mini` is all its servers in one process. It is quicker up than `weed server`, and as a single master is so again after a
//! kill; that one would wait for an election. Its servers talk to each other at ports far above their own. Of several writers at
//! one object those that come late look every second whether it is their turn, so a crowd of sixteen takes ten seconds.

use std::fs;
use std::process::Command;

use super::place::Place;
use super::s3::Keys;
use super::{Recipe, Server, part};

const KEYS: Keys = Keys { id: "batteuse", secret: "threshed-by-batteuse" };

/// A running SeaweedFS.
pub struct Seaweed(Server);

impl Seaweed {
    pub fn start() -> Self {
        Self(Server::start(Recipe { name: "SeaweedFS", prepare: |_| (), command, ask }))
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

    /// Kills it with SIGKILL.
    pub fn kill9(&mut self) {
        self.0.kill9();
    }

    /// Starts it again at the same address with the same files.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

impl Drop for Seaweed {
    /// Sockets of fixed names, which a killed one leaves.
    fn drop(&mut self) {
        self.0.kill9();
        for (n, server) in SERVERS.iter().enumerate() {
            let port = self.0.place.further_port(n.try_into().unwrap());
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{server}-grpc-{port}.sock"));
        }
    }
}

/// Its servers, the `n`th at the `n`th port of a place.
const SERVERS: [&str; 5] = ["s3", "master", "volume", "filer", "admin"];

fn command(place: &Place) -> Command {
    let folder = place.folder();
    let mut command = Command::new(part("python/bin/weed"));
    // Nothing is read from the settings of who runs the tests.
    command.env("HOME", folder).current_dir(folder);
    command.env("AWS_ACCESS_KEY_ID", KEYS.id).env("AWS_SECRET_ACCESS_KEY", KEYS.secret);
    command.args(["-logtostderr=true", "mini", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
    command.args(["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
    // It would report home.
    command.arg("-master.telemetry=false");
    for (n, server) in SERVERS.iter().enumerate() {
        let n = n.try_into().unwrap();
        command.arg(format!("-{server}.port={}", place.port(n)));
        // Where it would be by itself; but if that is taken, what is asked for by name is not moved to where another place is.
        command.arg(format!("-{server}.port.grpc={}", place.further_port(n)));
    }
    for server in ["s3", "filer"] {
        command.arg(format!("-{server}.localSocket={}", folder.join(server).with_extension("sock").display()));
    }
    command
}

/// A bucket can be made before objects can be written: writes wait for the server that orders them, and one that comes in
/// the first second waits for twenty.
fn ask(place: &Place) -> Result<(), String> {
    KEYS.bucket(place, "ready")?;
    KEYS.put(place, "ready/probe", "probe", &[200])
}
