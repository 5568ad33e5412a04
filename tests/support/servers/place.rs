//! Where a server runs: a folder and some ports, both its own.
//!
//! Invariant: no two places of this machine share a port while both live, whatever process made them, not even while the server
//! of one is dead and will be started again. The ports lie below those that the system gives to outgoing connections.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Ports of a place, and as many again `FURTHER` above them.
const PORTS: u16 = 10;
const FIRST: u16 = 12_000;
/// Some programs put a port for their own talk so far above each port.
const FURTHER: u16 = 10_000;
const PLACES: u16 = 1_000;

/// A folder and ports.
pub struct Place {
    folder: TempDir,
    ports: u16,
    /// Locked as long as the place lives: the system lets go of it when the process ends, whatever way.
    _claim: File,
}

impl Place {
    pub fn new() -> Self {
        let (ports, claim) = claim();
        Self { folder: tempfile::tempdir().unwrap(), ports, _claim: claim }
    }

    /// A folder that goes with the place.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its `n`th port.
    pub fn port(&self, n: u16) -> u16 {
        assert!(n < PORTS);
        self.ports + n
    }

    /// The port far above its `n`th port.
    pub fn further_port(&self, n: u16) -> u16 {
        self.port(n) + FURTHER
    }

    /// `http://127.0.0.1:PORT` of its first port.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port(0))
    }

    /// What the server says, of all its lives.
    pub fn log(&self) -> File {
        File::options().create(true).append(true).open(self.log_path()).unwrap()
    }

    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("log")
    }
}

/// Takes the first free ports, beginning somewhere that differs from process to process.
fn claim() -> (u16, File) {
    let user = fs::metadata("/proc/self").unwrap().uid();
    let claims = std::env::temp_dir().join(format!("batteuse-ports-{user}"));
    fs::create_dir_all(&claims).unwrap();
    let begin = std::process::id() % u32::from(PLACES);
    let places = (0..PLACES).map(|n| (u16::try_from(begin).unwrap() + n) % PLACES);
    let mut tries = places.map(|place| {
        let ports = FIRST + place * PORTS;
        let claim = File::create(claims.join(ports.to_string())).unwrap();
        let free = claim.try_lock().is_ok() && (ports..ports + PORTS).all(is_free);
        free.then_some((ports, claim))
    });
    tries.find_map(|found| found).expect("a place whose ports are free")
}

fn is_free(port: u16) -> bool {
    [port, port + FURTHER].iter().all(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}
