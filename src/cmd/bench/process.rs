//! Processes of this program, measured as the system counts them: wall-clock and CPU seconds, peak memory.
//!
//! Invariant: no process outlives the value that stands for it. Linux counts what the process that starts another holds as the
//! other's least memory, so this program stays small meanwhile: what needs memory is done by processes of its own.
#![expect(clippy::disallowed_methods, reason = "a shell: it times processes")]

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use wait4::{ResUse, Wait4};

use crate::exit::{Code, Stop};

/// What a process took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// From its start to its end.
    pub seconds: f64,
    /// User's and system's.
    pub cpu_seconds: f64,
    /// The most that was in memory at once.
    pub memory_bytes: u64,
}

impl Used {
    /// As long as this one took, with the CPU seconds and the memory of both.
    pub fn beside(self, other: Self) -> Self {
        let (cpu_seconds, memory_bytes) =
            (self.cpu_seconds + other.cpu_seconds, self.memory_bytes + other.memory_bytes);
        Self { cpu_seconds, memory_bytes, ..self }
    }
}

/// A process under way.
pub struct Process {
    what: String,
    began: Instant,
    /// None once it is reaped.
    child: Option<Child>,
    /// Tells that some child has ended.
    ends: Signal,
}

/// A command of this program.
pub fn batteuse<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Result<Command, Stop> {
    let program = std::env::current_exe().context("this program's own path").map_err(Stop::unreachable)?;
    let mut command = Command::new(program);
    // What they say is read here, whatever the user wants to see of it.
    command.args(words).env_remove("BATTEUSE_LOG").stdin(Stdio::null());
    Ok(command)
}

impl Process {
    /// Starts a command; its time begins.
    pub fn start(what: impl Into<String>, command: &mut Command) -> Result<Self, Stop> {
        let what = what.into();
        let unstarted = |error: std::io::Error| Stop::unreachable(anyhow!("{what} cannot be started: {error}"));
        // Before the process, whose end it must not miss.
        let ends = signal(SignalKind::child()).map_err(unstarted)?;
        let began = Instant::now();
        let child = command.spawn().map_err(unstarted)?;
        Ok(Self { what, began, child: Some(child), ends })
    }

    /// Its standard output and standard error, where they are piped.
    pub fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        self.child.as_mut().map_or((None, None), |child| (child.stdout.take(), child.stderr.take()))
    }

    /// Waits for its end.
    pub async fn end(mut self, stop: &mut watch::Receiver<bool>) -> Result<(ExitStatus, Used), Stop> {
        loop {
            let child = self.child.as_mut().expect("it is reaped at its end only");
            if let Some(ended) = child.try_wait4().map_err(|error| self.lost(&error))? {
                self.child = None;
                return Ok((ended.status, self.used(&ended)));
            }
            tokio::select! {
                _ = self.ends.recv() => {}
                _ = stop.wait_for(|stop| *stop) => return Err(interrupted()),
            }
        }
    }

    /// Refuses a process that has ended.
    pub fn must_run(&mut self) -> Result<(), Stop> {
        let child = self.child.as_mut().expect("it is reaped at its end only");
        match child.try_wait().map_err(|error| self.lost(&error))? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    /// Kills it, which must not have ended before.
    pub fn kill(mut self) -> Result<Used, Stop> {
        let running = "it is reaped at its end only";
        self.child.as_mut().expect(running).kill().map_err(|error| self.lost(&error))?;
        let ended = self.child.take().expect(running).wait4().map_err(|error| self.lost(&error))?;
        match ended.status.signal() {
            Some(_) => Ok(self.used(&ended)),
            None => Err(self.ended(ended.status)),
        }
    }

    fn used(&self, ended: &ResUse) -> Used {
        let cpu_seconds = (ended.rusage.utime + ended.rusage.stime).as_secs_f64();
        Used { seconds: self.began.elapsed().as_secs_f64(), cpu_seconds, memory_bytes: ended.rusage.maxrss }
    }

    fn ended(&self, status: ExitStatus) -> Stop {
        Stop::unreachable(anyhow!("{} ended before the run did, with {status}", self.what))
    }

    fn lost(&self, error: &std::io::Error) -> Stop {
        Stop::unreachable(anyhow!("{}: {error}", self.what))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ctrl-C or SIGTERM: what was measured so far is lost.
pub fn interrupted() -> Stop {
    Stop { code: Code::Interrupted, error: anyhow!("interrupted: nothing of this bench is left") }
}
