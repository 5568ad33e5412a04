//! Processes measured: seconds, CPU seconds and peak memory, as the kernel counts them.
//!
//! Invariant: no process outlives the value that stands for it. The kernel counts the memory of the process that starts another as
//! the other's least, so this one stays small: what needs memory runs in a process of its own.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// How long a condition may be waited for.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What an ended process took.
pub struct Ended {
    pub seconds: f64,
    /// User's and system's.
    pub cpu_seconds: f64,
    pub memory_bytes: u64,
    pub out: String,
}

/// A process under way.
pub struct Process {
    command: String,
    began: Instant,
    pub id: u32,
    /// None once it is reaped.
    child: Option<Child>,
    pub out: ChildStdout,
    err: File,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let err = tempfile::tempfile().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(err.try_clone().unwrap());
        let began = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let out = child.stdout.take().expect("it is piped");
        Self { command: format!("{command:?}"), began, id: child.id(), child: Some(child), out, err }
    }

    /// What it has said on standard error.
    pub fn said(&self) -> String {
        let mut said = vec![0; self.err.metadata().unwrap().len() as usize];
        self.err.read_exact_at(&mut said, 0).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// The CPU seconds that its threads, those that are there, have had so far.
    pub fn cpu_seconds(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id)).unwrap();
        let counts = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
        let nanoseconds = counts.map(|counts| counts.split(' ').next().unwrap().parse::<u64>().unwrap());
        nanoseconds.sum::<u64>() as f64 / 1e9
    }

    /// Waits for its end, which must be a good one.
    pub fn wait(mut self) -> Ended {
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        let (status, ended) = self.reap();
        assert!(status.success(), "{} ended with {status}:\n{}", self.command, self.said());
        Ended { out, ..ended }
    }

    /// kill -9. None when it had ended by itself.
    pub fn kill(mut self) -> Option<Ended> {
        let _ = self.child.as_mut().expect("it is not reaped").kill();
        let (status, ended) = self.reap();
        status.code().is_none().then_some(ended)
    }

    fn reap(&mut self) -> (ExitStatus, Ended) {
        let used = self.child.take().expect("it is not reaped").wait4().unwrap();
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu_seconds = (used.rusage.utime + used.rusage.stime).as_secs_f64();
        let memory_bytes = used.rusage.maxrss;
        (used.status, Ended { seconds, cpu_seconds, memory_bytes, out: String::new() })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            self.reap();
        }
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    Process::start(command).wait()
}

/// The binary.
pub fn batteuse(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batteuse"));
    command.args(words).env_remove("BATTEUSE_LOG");
    command
}

/// This benchmark, for what is done in a process of its own.
pub fn aside(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(words);
    command
}

/// Waits until something is the case.
pub fn until(what: &str, mut met: impl FnMut() -> bool) {
    let began = Instant::now();
    while !met() {
        assert!(began.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Removes a file or a folder, if it is there.
pub fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    assert!(removed.is_ok() || !path.exists(), "{}", path.display());
}

/// The most memory that this process has had, in bytes.
pub fn own_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
