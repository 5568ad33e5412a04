//! What a running attempt shares with its agent, and the ways in which it fails.
//!
//! Invariant: every error of an attempt has one [`FailureClass`], chosen here and nowhere else.

use std::error::Error;
use std::fmt;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batteuse_kernel::inspect::Refusal;
use batteuse_shared::limits::FAILURE_MESSAGE_BYTES_MAX;
use batteuse_shared::span::Span;
use batteuse_shared::task::{Failure, FailureClass, Lease};
use batteuse_store::OpenError;

use crate::encode::EncodeError;
use crate::finish::PieceError;
use crate::parts::PartsError;
use crate::read::ReadError;
use crate::slots::Slots;
use crate::stage::StageError;
use crate::table::TableError;

/// An instant of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It begins.
    Begins,
    /// These bytes of its span are framed, up to the end of a batch or of the span.
    Framed(Span),
    /// It has ended, and nobody was told yet.
    Ended,
}

/// What a user who repeats our claims lets befall attempts.
pub trait Chaos: fmt::Debug + Send + Sync {
    /// An attempt is at this moment; the call may never return.
    fn meet(&self, lease: &Lease, moment: Moment);
}

/// What a running attempt and its agent share.
///
/// Numbers and flag are hints that guard no other memory, so relaxed ordering is enough.
#[derive(Debug, Default)]
pub struct Progress {
    bytes_done: AtomicU64,
    work: AtomicU64,
    revoked: AtomicBool,
    /// Where the range is asked to end; 0 when it is not.
    wanted_end: AtomicU64,
    /// Where it ends since its rest was given away; 0 when it was not.
    end: AtomicU64,
    slots: Option<Arc<Slots>>,
    memory_bytes: Option<u64>,
    chaos: Option<Arc<dyn Chaos>>,
    /// The process in which the attempt is alone.
    child: Mutex<Option<Child>>,
}

impl Progress {
    /// Nothing done, not revoked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, of an attempt in one of these slots.
    #[must_use]
    pub fn within(slots: Arc<Slots>) -> Self {
        Self { slots: Some(slots), ..Self::default() }
    }

    /// The same, of an attempt that has so many bytes of memory; none: as many as it likes.
    #[must_use]
    pub fn bounded(mut self, memory_bytes: Option<u64>) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// Bytes of memory of the attempt, where that is known.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.memory_bytes
    }

    /// The same, befallen by this.
    #[must_use]
    pub fn befallen(mut self, chaos: Option<Arc<dyn Chaos>>) -> Self {
        self.chaos = chaos;
        self
    }

    /// The attempt is at this moment.
    pub(crate) fn meet(&self, lease: &Lease, moment: Moment) {
        if let Some(chaos) = &self.chaos {
            chaos.meet(lease, moment);
        }
    }

    /// The slots whose idle ones may help.
    pub(crate) fn slots(&self) -> Option<&Arc<Slots>> {
        self.slots.as_ref()
    }

    /// Bytes read so far; a parse reads a little more than its range. It only grows, and grows while there is progress.
    #[must_use]
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done.load(Ordering::Relaxed)
    }

    /// Asks the attempt to stop at its next batch; the process of one that is alone is killed.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
        kill(self.child().as_mut());
    }

    /// Whether it was asked to stop.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    /// The attempt is alone in this process; who has revoked it already has killed it.
    pub(crate) fn alone_in(&self, process: Child) {
        let mut child = self.child();
        *child = Some(process);
        if self.is_revoked() {
            kill(child.as_mut());
        }
    }

    /// The process in which the attempt is alone. To be held for a moment only: a revocation waits for it.
    pub(crate) fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the process in which the attempt is alone tells of it.
    pub(crate) fn told(&self, bytes_done: u64, work: u64) {
        self.bytes_done.fetch_max(bytes_done, Ordering::Relaxed);
        self.work.fetch_max(work, Ordering::Relaxed);
    }

    /// Asks the attempt to let its range end at `end`, above 0; [`Progress::end`] tells if it does.
    pub fn shorten(&self, end: u64) {
        self.wanted_end.store(end, Ordering::Relaxed);
    }

    /// Where its range ends, once its rest was given away.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        Some(self.end.load(Ordering::Relaxed)).filter(|end| *end > 0)
    }

    /// Where it is asked to let its range end; told once.
    pub(crate) fn wanted_end(&self) -> Option<u64> {
        // Looked at between any two batches, and hardly ever there.
        let asked = self.wanted_end.load(Ordering::Relaxed) > 0;
        asked.then(|| self.wanted_end.swap(0, Ordering::Relaxed))
    }

    /// Its range ends at `end` from now on.
    pub(crate) fn shortened(&self, end: u64) {
        self.end.store(end, Ordering::Relaxed);
    }

    /// A count that grows with whatever the attempt does.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.work.load(Ordering::Relaxed)
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
        self.toil();
    }

    /// Something was done.
    pub(crate) fn toil(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether to go on. Whoever asks has done something.
    pub(crate) fn check(&self) -> Result<(), AttemptError> {
        self.toil();
        if self.is_revoked() { Err(AttemptError::Revoked) } else { Ok(()) }
    }
}

/// Ends a process, if there is one that has not ended.
pub(crate) fn kill(child: Option<&mut Child>) {
    // It fails for one that has ended, and then nothing is to be done.
    let _ = child.map(Child::kill);
}

/// Why an attempt staged nothing.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The source could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The staging folder could not be used.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A staged file could not be written or read.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Rows could not be written into folders.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// Staged rejects are not what was announced.
    #[error(transparent)]
    Piece(#[from] PieceError),
    /// Rows could not be staged in a table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Inspection refused the source.
    #[error("{url} is refused")]
    Refused {
        /// Which source.
        url: String,
        /// Why, and what to do.
        source: Refusal,
    },
    /// The agent asked the attempt to stop.
    #[error("the attempt was revoked and stopped")]
    Revoked,
}

impl AttemptError {
    /// What the scheduler is told.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let class = match self {
            Self::Read(ReadError::SourceChanged { .. }) => FailureClass::SourceChanged,
            Self::Read(ReadError::Url(_))
            | Self::Stage(StageError::Open(OpenError::Url(_)))
            | Self::Table(TableError::Url(_) | TableError::Refused { .. })
            | Self::Parts(PartsError::TooMany(_) | PartsError::Unsent { .. })
            | Self::Refused { .. } => FailureClass::Refused,
            Self::Stage(StageError::NotSeen { .. } | StageError::OtherFolder { .. }) => FailureClass::Unseen,
            // A source that is gone may be a mount that this worker lacks: another one may see it.
            Self::Read(_) | Self::Stage(_) | Self::Encode(_) | Self::Parts(_) | Self::Table(_) => {
                FailureClass::Environment
            }
            // What was staged is not there any more: no wait brings it back.
            Self::Piece(_) => FailureClass::Crash,
            Self::Revoked => FailureClass::Released,
        };
        failed(class, in_one_line(self))
    }
}

/// A failure in these words, or as many of them as are kept.
pub(crate) fn failed(class: FailureClass, mut message: String) -> Failure {
    message.truncate(message.floor_char_boundary(FAILURE_MESSAGE_BYTES_MAX));
    Failure { class, message }
}

/// The error and its causes. Some errors tell their cause themselves.
pub(crate) fn in_one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.ends_with(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_message_names_its_causes_and_is_clipped_between_characters() {
        let io = |text: &str| io::Error::other(text.to_owned());
        let gone = |path: &str, source| AttemptError::Read(ReadError::Io { path: path.into(), source });
        assert_eq!(
            gone("/a", io("disk on fire")).failure(),
            Failure { class: FailureClass::Environment, message: "cannot read /a: disk on fire".to_owned() }
        );
        let long = "x".to_owned() + &"\u{e9}".repeat(FAILURE_MESSAGE_BYTES_MAX);
        let clipped = gone("/a", io(&long)).failure().message;
        assert!(clipped.len().abs_diff(FAILURE_MESSAGE_BYTES_MAX) <= 1 && clipped.len() <= FAILURE_MESSAGE_BYTES_MAX);
        assert!(clipped.ends_with('\u{e9}'));
    }
}
