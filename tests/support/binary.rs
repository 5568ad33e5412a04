//! The real binary as a process: started, listened to, signalled, waited for.
//!
//! Invariant: no process outlives the value that stands for it, whatever way the test ends. Every wait is for a condition and
//! fails the test at a deadline; nothing here waits for time to pass. What a run leaves on disk is `published`'s part.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_batteuse");

/// How long any wait may take before it fails the test: far beyond what a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often a condition that nobody tells us about is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `found` finds something.
///
/// # Panics
/// At the deadline, with `what` was waited for.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// An ended process.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Asserts the exit code; all that was said is in the failure's message.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Asserts that standard error holds each of `words`.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "stderr does not hold {word:?}:\n{}", self.err);
        }
        self
    }

    /// Standard output as JSON: the report of `-o json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("stdout is no JSON ({e}):\n{}\n{}", self.out, self.err))
    }
}

/// What a process has said so far on one of its streams.
#[derive(Debug, Default)]
struct Said {
    text: String,
    ended: bool,
}

type Shared = Arc<(Mutex<Said>, Condvar)>;

/// A started process; killed (SIGKILL) and reaped when dropped.
pub struct Process {
    name: String,
    child: Child,
    out: Shared,
    err: Shared,
    readers: Vec<JoinHandle<()>>,
}

/// Reads a stream to its end on a thread, so that a pipe never fills.
fn listen(stream: impl Read + Send + 'static) -> (Shared, JoinHandle<()>) {
    let shared = Shared::default();
    let told = shared.clone();
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            told.0.lock().unwrap().text.push_str(&String::from_utf8_lossy(&line));
            told.1.notify_all();
            line.clear();
        }
        told.0.lock().unwrap().ended = true;
        told.1.notify_all();
    });
    (shared, reader)
}

impl Process {
    /// Starts the binary with `args`.
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::start_in(Path::new("."), args)
    }

    /// Starts the binary with `args` in the folder `cwd`.
    pub fn start_in<S: AsRef<OsStr>>(cwd: &Path, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(BINARY);
        command.args(args).env_remove("BATTEUSE_LOG").current_dir(cwd);
        Self::spawn(command)
    }

    /// Starts any command.
    pub fn spawn(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, out_reader) = listen(child.stdout.take().unwrap());
        let (err, err_reader) = listen(child.stderr.take().unwrap());
        Self { name, child, out, err, readers: vec![out_reader, err_reader] }
    }

    /// The number by which the system knows it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name: `INT`, `TERM`, `STOP`, `CONT`, `KILL`.
    pub fn signal(&self, signal: &str) {
        self::signal(self.child.id(), signal);
    }

    /// What it has said so far on standard error.
    pub fn log(&self) -> String {
        self.err.0.lock().unwrap().text.clone()
    }

    /// kill -9, and reaps. Tells whether it was that which ended it.
    pub fn kill(&mut self) -> bool {
        let _ = self.child.kill();
        self.child.wait().is_ok_and(|status| status.signal().is_some())
    }

    /// As [`Process::kill`], of a process that is not needed any more.
    pub fn killed(mut self) -> bool {
        self.kill()
    }

    /// Whether it has not ended yet.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let what = format!("the end of {}", self.name);
        let status = until(&what, || self.child.try_wait().unwrap());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let text = |shared: &Shared| shared.0.lock().unwrap().text.clone();
        Ended { code: status.code(), out: text(&self.out), err: text(&self.err) }
    }

    /// Waits for the first line of standard output that holds `word`.
    pub fn line_of_out(&self, word: &str) -> String {
        self.line(&self.out, word)
    }

    /// Waits for the first line of standard error that holds `word`.
    pub fn line_of_err(&self, word: &str) -> String {
        self.line(&self.err, word)
    }

    fn line(&self, shared: &Shared, word: &str) -> String {
        let mut said = shared.0.lock().unwrap();
        loop {
            if let Some(line) = said.text.lines().find(|line| line.contains(word)) {
                return line.to_owned();
            }
            assert!(!said.ended, "{} ended without saying {word:?}; it said:\n{}", self.name, said.text);
            let (again, late) = shared.1.wait_timeout(said, DEADLINE).unwrap();
            assert!(!late.timed_out(), "{} never said {word:?}; it said:\n{}", self.name, again.text);
            said = again;
        }
    }
}

/// Sends a signal by its name to the process of this number, which must not have been reaped.
pub fn signal(process: u32, signal: &str) {
    // The shell's builtin: the program `kill` is not on every machine.
    let line = format!("kill -{signal} {process}");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the binary to its end.
pub fn batteuse<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    Process::start(args).wait()
}

/// `batteuse run --from FROM --to TO -o json` and `more`, to its end.
pub fn run(from: &Path, to: &Path, more: &[&str]) -> Ended {
    let mut args: Vec<&OsStr> = vec!["run".as_ref(), "--from".as_ref(), from.as_ref(), "--to".as_ref(), to.as_ref()];
    args.extend(["-o", "json"].iter().chain(more).map(OsStr::new));
    batteuse(args)
}

/// A coordinator process on a free loopback port, and its workers.
pub struct Cluster {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// None while it is killed.
    pub coordinator: Option<Process>,
    pub workers: Vec<Process>,
    state: PathBuf,
}

impl Cluster {
    /// Starts a coordinator with its state in `state`, and waits until it listens. No worker yet.
    pub fn start(state: &Path) -> Self {
        Self::start_in(Path::new("."), state)
    }

    /// As [`Cluster::start`], with a coordinator that works in the folder `cwd`.
    pub fn start_in(cwd: &Path, state: &Path) -> Self {
        Self::begin(cwd, state, &[])
    }

    /// As [`Cluster::start`], of a coordinator with `more` flags.
    pub fn start_with(state: &Path, more: &[&str]) -> Self {
        Self::begin(Path::new("."), state, more)
    }

    fn begin(cwd: &Path, state: &Path, more: &[&str]) -> Self {
        let (coordinator, url) = Self::coordinator(cwd, state, "127.0.0.1:0", more);
        Self { url, coordinator: Some(coordinator), workers: Vec::new(), state: state.to_owned() }
    }

    /// Leases that live for 3 s: one that was killed is taken over after one.
    fn coordinator(cwd: &Path, state: &Path, listen: &str, more: &[&str]) -> (Process, String) {
        let mut args: Vec<&OsStr> =
            ["coordinator", "--lease-ttl", "3", "--listen", listen, "--state"].map(OsStr::new).to_vec();
        args.push(state.as_os_str());
        args.extend(more.iter().map(OsStr::new));
        let process = Process::start_in(cwd, args);
        let line = process.line_of_out("listening on ");
        let url = line.trim_start_matches("listening on ").trim().to_owned();
        (process, url)
    }

    /// Starts a killed coordinator again, at the same address and with the same state.
    pub fn restart(&mut self) {
        self.coordinator = None;
        let listen = self.url.trim_start_matches("http://").to_owned();
        let (process, url) = Self::coordinator(Path::new("."), &self.state, &listen, &[]);
        assert_eq!(url, self.url);
        self.coordinator = Some(process);
    }

    /// Starts another coordinator on the same state: it waits to lead. Its address.
    pub fn second(&self) -> (Process, String) {
        // Whoever comes first to the state leads, not to the address.
        self.coordinator.as_ref().expect("a coordinator runs").line_of_err("this coordinator leads");
        Self::coordinator(Path::new("."), &self.state, "127.0.0.1:0", &[])
    }

    /// Starts a worker that knows these coordinators too.
    pub fn hire_for(&mut self, others: &[&str]) {
        let mut args = vec!["worker", "--slots", "1", "--coordinator", &self.url];
        others.iter().for_each(|url| args.extend(["--coordinator", url]));
        self.workers.push(Process::start(args));
    }

    /// Starts a worker; does not wait for it.
    pub fn hire(&mut self, slots: u32) {
        self.hire_in(Path::new("."), slots);
    }

    /// As [`Cluster::hire`], of a worker that works in the folder `cwd`.
    pub fn hire_in(&mut self, cwd: &Path, slots: u32) {
        let slots = slots.to_string();
        let args = ["worker", "--coordinator", &self.url, "--slots", &slots];
        self.workers.push(Process::start_in(cwd, args));
    }

    /// Waits until the coordinator has seen a worker come for the `n`th time.
    pub fn wait_for_workers(&self, n: usize) {
        let coordinator = self.coordinator.as_ref().expect("a coordinator runs");
        until("the workers to come", || {
            let text = coordinator.err.0.lock().unwrap();
            (text.text.matches("a worker has come").count() >= n).then_some(())
        });
    }

    /// `batteuse WORDS --coordinator URL` to its end.
    pub fn ask(&self, words: &[&str]) -> Ended {
        batteuse(words.iter().chain(&["--coordinator", &self.url]))
    }

    /// `batteuse submit` and `more`, to its end.
    pub fn submit(&self, spec: &Path, more: &[&str]) -> Ended {
        let spec = spec.to_str().unwrap();
        self.ask(&[&["submit", "-f", spec], more].concat())
    }
}

/// Writes a spec: `from` into `to`, with `more` as further lines under `spec:` (each indented by two).
pub fn write_spec(path: &Path, from: &Path, to: &Path, more: &str) -> PathBuf {
    write_spec_of(path, from, to, "{}", more)
}

/// As [`write_spec`], with the dialect `csv` as a YAML map. The job has the file's name.
pub fn write_spec_of(path: &Path, from: &Path, to: &Path, csv: &str, more: &str) -> PathBuf {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let url = |path: &Path| batteuse_shared::location::url_of_file(path).unwrap();
    let text = format!(
        "apiVersion: batteuse.dev/v1alpha1\nkind: Ingest\nmetadata: {{name: {name}}}\nspec:\n  \
         source: {{url: \"{}\", csv: {csv}}}\n  output: {{parquet: {{url: \"{}/\"}}}}\n{more}",
        url(from),
        url(to)
    );
    fs::write(path, text).unwrap();
    path.to_owned()
}
