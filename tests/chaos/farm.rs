//! A cluster that is disturbed: two coordinators on one state store, and workers that know both.
//!
//! Invariant: who ends is looked at: a process may end because it was killed, because it was told to leave, or, of a coordinator, because
//! another one leads; any other end fails the test. The addresses are this test's alone, so a coordinator always finds its port free.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;

use crate::recovery::{facts, kept_in, run_of};
use crate::support::binary::{Ended, Process, batteuse, until};
use crate::support::proxy::Proxy;

/// Seconds that a worker which is told to leave may take.
const GRACE: &str = "4";

/// A coordinator and where it listens.
pub struct Post {
    address: SocketAddr,
    pub coordinator: Process,
}

impl Post {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// See the module.
pub struct Farm {
    pub state: PathBuf,
    ttl: String,
    pub posts: [Post; 2],
    /// Where workers find the coordinators.
    ways: [String; 2],
    pub workers: Vec<Process>,
    /// Coordinators that have ended because another one led.
    pub deposed: u32,
}

/// An address that no other test of this machine uses, nor any connection that goes out.
fn address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 64 + high % 64, middle, low], NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Starts a coordinator and waits until it listens.
fn coordinator(address: SocketAddr, ttl: &str, state: &Path) -> Process {
    let address = address.to_string();
    let mut args: Vec<&OsStr> =
        ["coordinator", "--lease-ttl", ttl, "--listen", &address, "--state"].map(OsStr::new).to_vec();
    args.push(state.as_os_str());
    let process = Process::start(args);
    process.line_of_out("listening on ");
    process
}

impl Farm {
    /// Starts it with its state in `state`, leases that live for `ttl_s` seconds, and so many workers of one slot each.
    pub fn start(state: &Path, ttl_s: u64, workers: usize) -> Self {
        let ttl = ttl_s.to_string();
        let post = |_| {
            let address = address();
            Post { address, coordinator: coordinator(address, &ttl, state) }
        };
        let posts = [0, 1].map(post);
        let ways = posts.each_ref().map(Post::url);
        let mut farm = Self { state: state.to_owned(), posts, ways, workers: Vec::new(), deposed: 0, ttl };
        (0..workers).for_each(|_| farm.hire());
        farm
    }

    /// As [`Farm::start`], with proxies between workers and coordinators.
    pub fn start_behind(state: &Path, ttl_s: u64, workers: usize) -> (Self, [Proxy; 2]) {
        let mut farm = Self::start(state, ttl_s, 0);
        let proxies = farm.posts.each_ref().map(|post| Proxy::before(post.address));
        farm.ways = proxies.each_ref().map(Proxy::url);
        (0..workers).for_each(|_| farm.hire());
        (farm, proxies)
    }

    fn hire(&mut self) {
        self.workers.push(self.worker());
    }

    fn worker(&self) -> Process {
        let [first, second] = &self.ways;
        Process::start(["worker", "--slots", "1", "--grace", GRACE, "--coordinator", first, "--coordinator", second])
    }

    /// Which coordinator leads, as far as the state store tells.
    pub fn leader(&self) -> Option<usize> {
        let leader = kept_in(&self.state).leader().unwrap().filter(|leader| !leader.left)?;
        self.posts.iter().position(|post| post.url() == leader.url)
    }

    /// Waits until one leads.
    pub fn wait_for_leader(&self) -> usize {
        until("a coordinator to lead", || self.leader())
    }

    /// Submits a job; returns once its run is durable, its id.
    pub fn submit(&self, spec: &Path, dir: &Path) -> String {
        until("a run to be accepted", || {
            let url = self.posts[self.leader()?].url();
            let ended = batteuse(["submit", "-f", spec.to_str().unwrap(), "--coordinator", &url]);
            match ended.code {
                Some(0) => Some(ended.out.trim().to_owned()),
                // The answer was lost, not the run.
                Some(12) => Some(run_of(dir).unwrap_or_else(|| panic!("{}", ended.err)).to_string()),
                _ => None,
            }
        })
    }

    /// Whether the run that holds `dir` is done.
    pub fn has_done(&self, dir: &Path) -> bool {
        // The journal is not read again and again for it.
        dir.join(layout::SUCCESS).exists() && matches!(facts(&self.state, dir).last(), Some(Fact::RunDone { .. }))
    }

    /// Starts anew what has ended.
    pub fn mend(&mut self) {
        for i in 0..self.posts.len() {
            if !self.posts[i].coordinator.running() {
                let anew = coordinator(self.posts[i].address, &self.ttl, &self.state);
                let ended = std::mem::replace(&mut self.posts[i].coordinator, anew).wait();
                self.deposed += u32::from(ended.code == Some(16));
                must_have_had_a_reason(&ended);
            }
        }
        for i in 0..self.workers.len() {
            if !self.workers[i].running() {
                let anew = self.worker();
                let ended = std::mem::replace(&mut self.workers[i], anew).wait();
                assert!(matches!(ended.code, None | Some(0)), "a worker ended: {ended:#?}");
            }
        }
    }

    /// kill -9 of a worker; another one is hired in its place.
    pub fn kill_worker(&mut self, one: usize) -> Ended {
        self.workers[one].kill();
        let anew = self.worker();
        std::mem::replace(&mut self.workers[one], anew).wait()
    }

    /// Waits until the run that holds `dir` is done, and starts anew what ends meanwhile.
    pub fn bring_to_its_end(&mut self, dir: &Path, how: &str) {
        until(&format!("{how} to end"), || {
            self.mend();
            self.has_done(dir).then_some(())
        });
    }
}

#[track_caller]
fn must_have_had_a_reason(ended: &Ended) {
    match ended.code {
        None | Some(0) => {}
        Some(16) => assert!(ended.err.contains("another"), "a coordinator ended: {}", ended.err),
        _ => panic!("a coordinator ended: {ended:#?}"),
    }
}
