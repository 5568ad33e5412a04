//! A program that runs beside a test, and all processes it starts.
//!
//! Invariant: they end with this value, and with the test's process even if that is killed: a watcher beside the program, in a
//! group that no signal for the test reaches, holds the other end of a pipe of the test's, and kills the program when it closes.
//! (The system's parent-death signal would do it too early: it comes with the end of the thread that started the program.)

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::support::binary::until;

/// Reads until the pipe closes, then kills the group that is its argument.
const WATCH: &str = r#"while read -r line; do :; done; kill -KILL "-$1""#;

/// A started program.
pub struct Daemon {
    program: Child,
    watcher: Child,
}

impl Daemon {
    /// Starts a program in a group of its own; what it says goes to `log`.
    pub fn spawn(mut command: Command, log: File) -> Self {
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let program = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut watcher = Command::new("sh");
        watcher.args(["-c", WATCH, "watcher"]).arg(program.id().to_string()).process_group(0);
        let watcher = watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { program, watcher }
    }

    /// The program's process.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// Whether the program has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.program.try_wait().unwrap().is_some()
    }

    /// Kills it and all it started, with SIGKILL, and waits until they are gone.
    pub fn kill9(&mut self) {
        let started = if self.ended() { Vec::new() } else { offspring(self.program.id()) };
        // The program first, lest it makes good the loss of a child.
        let _ = self.program.kill();
        if !started.is_empty() {
            let ids: Vec<_> = started.iter().map(u32::to_string).collect();
            // Those that ended with the program are no failure.
            let line = format!("kill -KILL {} 2>&-", ids.join(" "));
            let _ = Command::new("sh").args(["-c", &line]).status().unwrap();
        }
        until("the end of what a server had started", || {
            let parents = parents();
            started.iter().all(|id| !parents.contains_key(id)).then_some(())
        });
        // The watcher before the number of the group is given to another.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        let _ = self.program.wait();
    }

    /// Waits until a program that was told to stop has ended.
    pub fn wait(&mut self) {
        until("the end of a server that was told to stop", || self.ended().then_some(()));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// All that a process has started, and what these have.
fn offspring(id: u32) -> Vec<u32> {
    let parents = parents();
    let mut found = vec![id];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.split_off(1)
}

/// The running processes, and by which each was started. Dead ones that nobody has waited for yet do not count.
fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let ids = entries.filter_map(|name| name.to_str()?.parse().ok());
    ids.filter_map(|id: u32| Some((id, parent(id)?))).collect()
}

fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Its name stands in brackets and may hold anything; then come its state and its parent.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}
