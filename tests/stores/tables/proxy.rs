//! A proxy before a database that cuts a session at its commit, once.
//!
//! Invariant: it forwards bytes as they are; whether it cut is counted.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the session is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The commit does not reach the database.
    Before,
    /// It is on its way, and nobody waits for the answer.
    Under,
    /// The database has answered, and the answer does not come back.
    After,
}

/// As it goes over the wire.
const COMMIT: &[u8] = b"COMMIT\0";

/// A running proxy.
pub struct Proxy {
    pub port: u16,
    cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// Before the server at `port` of this machine. Its threads end with its sessions, and the last one with the test's process.
    pub fn start(port: u16, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), cuts: Arc::default() };
        let cuts = proxy.cuts.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, cuts) = (client.unwrap(), cuts.clone());
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                std::thread::spawn(move || pass(client, server, cut, &cuts));
            }
        });
        proxy
    }

    /// How many sessions were cut.
    pub fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Passes a session on, both ways.
fn pass(client: TcpStream, server: TcpStream, cut: Cut, cuts: &AtomicU32) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let answers = std::thread::spawn({
        let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        move || back(from, to)
    });
    let mut bytes = [0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        let commit = bytes[..n].windows(COMMIT.len()).any(|some| some == COMMIT);
        if commit && cuts.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            if cut == Cut::After {
                // The way back is closed first; what the server answers is waited for and lost.
                let _ = client.shutdown(Shutdown::Both);
                let mut answer = [0; 64];
                to.write_all(&bytes[..n]).unwrap();
                let _ = to.read(&mut answer);
            } else if cut == Cut::Under {
                to.write_all(&bytes[..n]).unwrap();
            }
            break;
        }
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    for stream in [&client, &server] {
        let _ = stream.shutdown(Shutdown::Both);
    }
    let _ = answers.join();
}

fn back(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..n]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
