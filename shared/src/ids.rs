//! Names of runs, partitions, attempts and workers.
//!
//! Invariant: an [`AttemptId`] is unique within a run for ever, because its upper half is the epoch that leased it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a [`RunId`] or a [`WorkerId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: 1 to 100 characters of a-z, 0-9 and '-'")]
pub struct BadName {
    text: String,
    what: &'static str,
}

fn checked(text: &str, what: &'static str) -> Result<String, BadName> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > 100 || !text.bytes().all(good) {
        return Err(BadName { text: text.to_owned(), what });
    }
    Ok(text.to_owned())
}

/// One execution of a job. Used as a folder name, so its alphabet is narrow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// When `text` is empty, longer than 100 bytes or holds anything but `a-z`, `0-9` and `-`.
    pub fn new(text: &str) -> Result<Self, BadName> {
        checked(text, "run id").map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One worker process, chosen by the worker itself and kept over reconnections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerId(String);

impl WorkerId {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// As [`RunId::new`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        checked(text, "worker id").map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(&text)
            }
        }
    };
}
text_id!(RunId);
text_id!(WorkerId);

/// A planned byte range of a run, numbered from 0 in source order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u32);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One tenure of a coordinator over a run; raised by one at every take-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// One try at a task: `epoch << 32 | counter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId(pub u64);

impl AttemptId {
    /// The `counter`-th attempt leased in `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch, counter: u32) -> Self {
        Self(u64::from(epoch.0) << 32 | u64::from(counter))
    }

    /// The epoch that leased this attempt.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
