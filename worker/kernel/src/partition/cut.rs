//! A record that is longer than the cap allows, streamed away to the next line end.
//!
//! Invariant: of any length, it holds no more than its first bytes and a running hash.

use batteuse_shared::limits::REJECT_RAW_BYTES_MAX;
use sha2::{Digest as _, Sha256};

use crate::frame::Row;

/// A record being cut, streamed away to the next line end.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) row: Row,
    pub(super) bytes: u64,
    /// The first bytes.
    pub(super) raw: Vec<u8>,
    sha256: Sha256,
    /// Whether the last byte is a CR, whose LF may follow.
    pub(super) after_cr: bool,
}

impl Cut {
    pub(super) fn new(row: Row, head: &[u8]) -> Self {
        let after_cr = head.last() == Some(&b'\r');
        let mut cut = Self { row, bytes: 0, raw: Vec::new(), sha256: Sha256::new(), after_cr };
        cut.take(head);
        cut
    }

    /// What became of it, in words.
    pub(super) fn message(&self) -> String {
        let sha256 = self.sha256.clone().finalize();
        format!("the record is longer than the cap allows and was cut: {} bytes, sha256 {sha256:x}", self.bytes)
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = REJECT_RAW_BYTES_MAX.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}
