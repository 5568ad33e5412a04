//! The other side: what runs in the process that an attempt has for itself.
//!
//! Invariant: it does one attempt, tells how far it is while it works and how it ended, and does not outlive who asked for it.
#![expect(clippy::disallowed_methods, reason = "a shell: it starts what listens and what tells beside the attempt")]

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use batteuse_proto::pipe::{self, PipeError};
use batteuse_proto::{CoordinatorSays, Progress as Told, WorkerSays};
use batteuse_shared::limits::ALONE_BEAT_MS;
use batteuse_shared::task::Lease;
use batteuse_store::Stores;
use tracing::info_span;

use crate::agent::attempt;
use crate::attempt::Progress;

/// Why no attempt was made, or nobody was told of it.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// What was to be done could not be read.
    #[error("no lease comes in: {0}")]
    Lease(#[from] PipeError),
    /// The first message is none.
    #[error("no lease comes in: this command is for workers, who start it by themselves")]
    NoLease,
    /// A thread could not be started, or the answer not be written.
    #[error("the worker cannot be told: {0}")]
    Io(#[from] io::Error),
}

/// Makes the attempt that comes in by `input`, and tells of it by `output`. Calls `orphaned` when `input` ends before that: then nobody
/// waits for it any more.
///
/// # Errors
/// When nothing was asked for, or nobody can be told.
pub fn serve(
    mut input: impl Read + Send + 'static,
    output: impl Write + Send,
    progress: &Progress,
    stores: &Stores,
    orphaned: impl FnOnce() + Send + 'static,
) -> Result<(), AloneError> {
    let Some(CoordinatorSays::Grant(lease)) = pipe::take(&mut input)? else { return Err(AloneError::NoLease) };
    let all_told = Arc::new(AtomicBool::new(false));
    let done = all_told.clone();
    thread::Builder::new().name("parent".to_owned()).spawn(move || {
        // Nothing more is said to it yet.
        while let Ok(Some(_)) = pipe::take(&mut input) {}
        if !done.load(Ordering::SeqCst) {
            orphaned();
        }
    })?;
    let output = Mutex::new(output);
    let (ended, end) = channel::<()>();
    let beat = |end: Receiver<()>| {
        let goes_on =
            |_: &u64| end.recv_timeout(Duration::from_millis(ALONE_BEAT_MS)) == Err(RecvTimeoutError::Timeout);
        let mut beats = (1..).take_while(goes_on);
        // Who cannot be told is gone, and that is seen elsewhere.
        let _ = beats.try_for_each(|beat| pipe::say(told(&lease, progress, beat), &mut *lock(&output)));
    };
    thread::scope(|scope| {
        thread::Builder::new().name("beat".to_owned()).spawn_scoped(scope, || beat(end))?;
        let span = info_span!("alone", run = %lease.run, attempt = %lease.attempt);
        let outcome = span.in_scope(|| attempt(&lease, progress, stores));
        drop(ended);
        let (run, attempt) = (lease.run.clone(), lease.attempt);
        pipe::say(told(&lease, progress, 0), &mut *lock(&output))?;
        pipe::say(WorkerSays::Report { run, attempt, outcome }, &mut *lock(&output))?;
        all_told.store(true, Ordering::SeqCst);
        Ok(())
    })
}

fn told(lease: &Lease, progress: &Progress, beat: u64) -> WorkerSays {
    let (run, attempt) = (lease.run.clone(), lease.attempt);
    let told = Told { run, attempt, bytes_done: progress.bytes_done(), work: progress.work(), end: None };
    WorkerSays::Heartbeat { beat, progress: vec![told] }
}

/// Who panicked while it was held has written no half message: it is the attempt that panics, and that is caught.
fn lock<T>(output: &Mutex<T>) -> MutexGuard<'_, T> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}
