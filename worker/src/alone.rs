//! An attempt in a process of its own: what kills it kills that process, and nothing else.
//!
//! Invariants: whatever way the process ends, the attempt has one outcome, and the process is gone when that is told. What it staged
//! without telling is swept with its run, as is what a killed worker leaves. Here is the worker's side; [`inside`] is the other. Between
//! them go the messages of the stream: a grant in, heartbeats and a report out.
#![expect(clippy::disallowed_methods, reason = "a shell: it starts the process, listens to it and waits for its end")]

pub mod inside;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use batteuse_proto::pipe::{self, PipeError};
use batteuse_proto::{CoordinatorSays, WorkerSays};
use batteuse_shared::ids::RunId;
use batteuse_shared::limits::{ALONE_END_MS_MAX, LAST_WORDS_BYTES_MAX};
use batteuse_shared::task::{FailureClass, Lease, Outcome};
use rustix::process::Signal;
use tracing::{info, warn};

use crate::attempt::{AttemptError, Progress, failed, kill};

/// How often it is looked whether the process has ended, once it has closed its pipe.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How the process for an attempt is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What is run.
    pub program: PathBuf,
    /// With these arguments.
    pub args: Vec<OsString>,
}

/// What came of listening to the process.
enum Heard {
    Outcome(Box<Outcome>),
    /// The pipe ended.
    Nothing,
    Garbled(PipeError),
    /// A message that no attempt sends.
    OutOfPlace,
}

/// Does what the lease asks for in a process of its own. A revocation kills it.
#[must_use]
pub fn execute(lease: &Lease, progress: &Progress, launch: &Launch) -> Outcome {
    info!("an attempt begins, alone in a process");
    let run = || -> io::Result<_> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Who runs out of memory while it finds the names of a stack waits for its own lock, for ever, instead of dying.
        command.env("RUST_BACKTRACE", "0");
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        progress.alone_in(child);
        let (Some(mut input), Some(output), Some(said)) = pipes else { unreachable!("they are all piped") };
        thread::scope(|scope| {
            let listener = thread::Builder::new().name("last-words".to_owned());
            let listener = listener.spawn_scoped(scope, || last_words(said));
            let listener = listener.map_err(|error| end(progress, &Heard::OutOfPlace).err().unwrap_or(error))?;
            // A process that died before it took this closes the other pipe too.
            let _ = pipe::tell(CoordinatorSays::Grant(Box::new(lease.clone())), &mut input);
            let heard = hear(lease, progress, &mut BufReader::new(output));
            // The end of its input tells it that nobody waits for it.
            drop(input);
            let ended = end(progress, &heard)?;
            Ok((heard, ended, listener.join().unwrap_or_default()))
        })
    };
    let outcome = match run() {
        Ok((Heard::Outcome(outcome), _, _)) => return *outcome,
        _ if progress.is_revoked() => return Outcome::Failed(AttemptError::Revoked.failure()),
        Ok((heard, ended, words)) => failed(FailureClass::Crash, told(&heard, ended, &words)),
        Err(error) => {
            let program = launch.program.display();
            failed(
                FailureClass::Environment,
                format!("no process can be had for the attempt alone ({program}): {error}"),
            )
        }
    };
    warn!(message = outcome.message, "an attempt that was alone in a process failed");
    Outcome::Failed(outcome)
}

/// Listens until the process has told all, or tells no more.
fn hear(lease: &Lease, progress: &Progress, output: &mut impl Read) -> Heard {
    let own = |run: &RunId, attempt| *run == lease.run && attempt == lease.attempt;
    loop {
        match pipe::hear(output) {
            Ok(Some(WorkerSays::Heartbeat { progress: all, .. })) => {
                for one in all.iter().filter(|one| own(&one.run, one.attempt)) {
                    progress.told(one.bytes_done, one.work);
                }
            }
            Ok(Some(WorkerSays::Report { run, attempt, outcome })) if own(&run, attempt) => {
                return Heard::Outcome(Box::new(outcome));
            }
            Ok(Some(_)) => return Heard::OutOfPlace,
            Ok(None) => return Heard::Nothing,
            Err(PipeError::Broken(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Heard::Nothing,
            Err(error) => return Heard::Garbled(error),
        }
    }
}

/// Waits for the end of a process that has nothing left to do, and kills it when it does not come.
fn end(progress: &Progress, heard: &Heard) -> io::Result<ExitStatus> {
    let goes = matches!(heard, Heard::Outcome(_) | Heard::Nothing);
    let late = Instant::now() + Duration::from_millis(if goes { ALONE_END_MS_MAX } else { 0 });
    loop {
        let ended = progress.child().as_mut().map(Child::try_wait).transpose()?.flatten();
        if let Some(ended) = ended {
            return Ok(ended);
        }
        if Instant::now() >= late {
            kill(progress.child().as_mut());
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Passes on what the process says, line by line, and keeps the end of it.
fn last_words(said: ChildStderr) -> Vec<u8> {
    let (mut said, mut line, mut last) = (BufReader::new(said), Vec::new(), Vec::new());
    // A line without end is passed on in pieces.
    while said.by_ref().take(1 << 16).read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        // Where nobody takes it, the attempt goes on all the same.
        let _ = io::stderr().write_all(&line);
        last.append(&mut line);
        last.drain(..last.len().saturating_sub(LAST_WORDS_BYTES_MAX));
    }
    last
}

/// How the process ended, in words.
fn told(heard: &Heard, ended: ExitStatus, words: &[u8]) -> String {
    let how = match (heard, ended.signal(), ended.code()) {
        (Heard::Garbled(error), ..) => format!("gave an answer that cannot be read: {error}"),
        (Heard::OutOfPlace, ..) => "said what no attempt says".to_owned(),
        (_, Some(signal), _) => format!("was killed by {}", name(signal)),
        (_, _, Some(code)) => format!("exited with code {code} without an answer"),
        _ => "ended without an answer".to_owned(),
    };
    let words = String::from_utf8_lossy(words);
    let words: Vec<_> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = if words.is_empty() { String::new() } else { format!(". It said last: {}", words.join(" / ")) };
    format!("the attempt was alone in a process, which {how}{last}")
}

/// The name of a signal that ends processes.
fn name(signal: i32) -> String {
    const NAMES: [(Signal, &str); 10] = [
        (Signal::ABORT, "SIGABRT"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::BUS, "SIGBUS"),
        (Signal::ILL, "SIGILL"),
        (Signal::FPE, "SIGFPE"),
        (Signal::SYS, "SIGSYS"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::TERM, "SIGTERM"),
    ];
    let known = NAMES.iter().find(|(known, _)| known.as_raw() == signal);
    known.map_or_else(|| format!("signal {signal}"), |(_, name)| format!("{name} (signal {signal})"))
}
