//! A gate before an object store: it lets so many completions of uploads through and holds the others, so that a run can be killed
//! while it is published, however fast that is.
//!
//! Invariant: every other request is forwarded as it is; what was held is never forwarded, as if it had been lost on its way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Hinge {
    /// Completions that still pass; none: all do.
    allowed: Option<u64>,
    /// Completions held.
    held: u64,
}

#[derive(Default)]
struct Shared {
    hinge: Mutex<Hinge>,
    moved: Condvar,
}

impl Shared {
    fn hinge(&self) -> MutexGuard<'_, Hinge> {
        self.hinge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a completion passes; one that does not is told so when the gate opens.
    fn passes(&self) -> bool {
        let mut hinge = self.hinge();
        match &mut hinge.allowed {
            None => return true,
            Some(allowed @ 1..) => {
                *allowed -= 1;
                return true;
            }
            Some(_) => hinge.held += 1,
        }
        let held = |hinge: &mut Hinge| hinge.allowed.is_some();
        drop(self.moved.wait_while(hinge, held).unwrap_or_else(PoisonError::into_inner));
        false
    }
}

/// A running gate.
pub struct Gate {
    port: u16,
    shared: Arc<Shared>,
}

impl Gate {
    /// An open one before the server at `port` of this machine. Its threads end with the connections, and the last one with the test's
    /// process.
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let shared = gate.shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, shared) = (client.unwrap(), shared.clone());
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                std::thread::spawn(move || pass(&client, &server, &shared));
            }
        });
        gate
    }

    /// The settings of a store with the gate before it: what names the server names the gate.
    pub fn before(env: &[(String, String)]) -> (Self, Vec<(String, String)>) {
        let gate = Self::start(port_of(env));
        let env = through(env, gate.port);
        (gate, env)
    }

    /// From now on so many completions pass.
    pub fn allow(&self, completions: u64) {
        *self.shared.hinge() = Hinge { allowed: Some(completions), held: 0 };
    }

    /// How many are held.
    pub fn holds(&self) -> u64 {
        self.shared.hinge().held
    }

    /// All pass from now on but those that are held: these are lost.
    pub fn open(&self) {
        *self.shared.hinge() = Hinge::default();
        self.shared.moved.notify_all();
    }
}

/// The port of the server that the settings of a store name.
pub fn port_of(env: &[(String, String)]) -> u16 {
    let endpoint = env.iter().find(|(name, _)| name.ends_with("_ENDPOINT")).map(|(_, url)| url.clone()).unwrap();
    endpoint.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap()
}

/// The same settings, with what listens at `port` in the place of the server.
pub fn through(env: &[(String, String)], port: u16) -> Vec<(String, String)> {
    let (from, to) = (format!("127.0.0.1:{}", port_of(env)), format!("127.0.0.1:{port}"));
    env.iter().map(|(name, value)| (name.clone(), value.replace(&from, &to))).collect()
}

/// Whether a request that begins like this completes an upload, in S3 or of Azure's blobs.
fn completes(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let has = |text: &str| line.windows(text.len()).any(|some| some == text.as_bytes());
    line.starts_with(b"POST ") && has("uploadId=") || line.starts_with(b"PUT ") && has("comp=blocklist")
}

fn pass(client: &TcpStream, server: &TcpStream, shared: &Shared) {
    let back = {
        let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || forward(&from, &to, |_| true))
    };
    forward(client, server, |bytes| !completes(bytes) || shared.passes());
    let _ = back.join();
}

/// Forwards what comes, as long as it may; then both ways end.
fn forward(mut from: &TcpStream, mut to: &TcpStream, may: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if !may(&bytes[..n]) || to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
