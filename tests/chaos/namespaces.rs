//! A worker behind a network of its own, whose packets go nowhere for a while: both ways, or one way only. Nobody is told.
//!
//! Invariant: leases live as long as they do by default. That a peer is gone is noticed within 15 s at both ends; each cut costs the one
//! lease that the worker has, at most, and no row. Namespaces and devices go away with the test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::task::FailureClass;

use super::SLOW;
use crate::recovery::{Ground, facts, slots};
use crate::support::binary::{BINARY, Process, batteuse, until};

/// Within which time both ends notice that a connection leads nowhere.
const NOTICED: Duration = Duration::from_secs(15);
/// Times that a cut which hit no lease is made in another run.
const TRIES_MAX: u32 = 5;

/// Runs `ip` with these words.
#[track_caller]
fn ip(words: &str) {
    let ended = Command::new("ip").args(words.split(' ')).output().expect("`ip` is there: apt-get install iproute2");
    let why = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "ip {words}: {why}: this test makes network namespaces: run it as root");
}

/// A network namespace with one cable to this one.
struct Namespace {
    name: String,
    /// The address at this end, and in there.
    here: String,
    there: String,
}

/// Which packets go nowhere.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Both,
    FromWorker,
    ToWorker,
}

impl Namespace {
    fn new() -> Self {
        let id = std::process::id();
        let (name, [_, a, b, c]) = (format!("batteuse-{id}"), (id << 2).to_be_bytes());
        // Addresses that benchmarks of networks may use, and nobody else.
        let [here, there] = [1, 2].map(|end| format!("198.{}.{b}.{}", 18 + a % 2, c + end));
        let (device, peer) = (format!("bt{id}a"), format!("bt{id}b"));
        let namespace = Self { name, here, there };
        let Self { name, here, there } = &namespace;
        ip(&format!("netns add {name}"));
        ip(&format!("link add {device} type veth peer name {peer} netns {name}"));
        ip(&format!("address add {here}/30 dev {device}"));
        ip(&format!("link set {device} up"));
        ip(&format!("-n {name} address add {there}/30 dev {peer}"));
        ip(&format!("-n {name} link set {peer} up"));
        ip(&format!("-n {name} link set lo up"));
        namespace
    }

    fn set(&self, verb: &str, cut: Cut) {
        let Self { name, here, there } = self;
        if !matches!(cut, Cut::ToWorker) {
            ip(&format!("-n {name} route {verb} blackhole {here}/32"));
        }
        if !matches!(cut, Cut::FromWorker) {
            ip(&format!("route {verb} blackhole {there}/32"));
        }
    }

    fn cut(&self, cut: Cut) {
        self.set("add", cut);
    }

    fn heal(&self, cut: Cut) {
        self.set("del", cut);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cable goes with it.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = Command::new("ip").args(["route", "del", "blackhole", &format!("{}/32", self.there)]).output();
    }
}

/// A coordinator, a worker beside it and one in the namespace.
struct Scene {
    ground: Ground,
    state: PathBuf,
    url: String,
    coordinator: Process,
    _beside: Process,
    far: Process,
    namespace: Namespace,
}

impl Scene {
    fn new() -> Self {
        let namespace = Namespace::new();
        let ground = Ground::of(12_000, 100);
        let state = ground.folder.path().join("life.state");
        let listen = format!("{}:7171", namespace.here);
        let coordinator =
            Process::start(["coordinator", "--insecure", "--listen", &listen, "--state", state.to_str().unwrap()]);
        let url = coordinator.line_of_out("listening on ").trim_start_matches("listening on ").trim().to_owned();
        let worker = ["worker", "--slots", "1", "--chaos", SLOW, "--coordinator", &url];
        let beside = Process::start(worker);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace.name, BINARY]).args(worker).env_remove("BATTEUSE_LOG");
        let far = Process::spawn(command);
        let come = || coordinator.log().matches("a worker has come").count();
        until("the workers to come", || (come() == 2).then_some(()));
        Self { ground, state, url, coordinator, _beside: beside, far, namespace }
    }

    fn lost(&self, dir: &Path) -> usize {
        let lost =
            |fact: &&Fact| matches!(fact, Fact::AttemptFailed { failure, .. } if failure.class == FailureClass::Lost);
        facts(&self.state, dir).iter().filter(lost).count()
    }

    fn is_done(&self, dir: &Path) -> bool {
        matches!(facts(&self.state, dir).last(), Some(Fact::RunDone { .. }))
    }

    /// Cuts the far worker off under one run; tells how long it took until its lease was lost, if it had one.
    fn cut_off(&self, cut: Cut, name: &str) -> Option<Duration> {
        let dir = self.ground.folder.path().join(name);
        let spec = self.ground.spec(&dir);
        batteuse(["submit", "-f", spec.to_str().unwrap(), "--coordinator", &self.url]).expect(0);
        until("the run to be on its way", || (slots(&self.state, &dir) > 6).then_some(()));
        let noticed = || self.far.log().matches("connecting again").count();
        let (before, began) = (noticed(), Instant::now());
        self.namespace.cut(cut);
        until("the worker to notice it", || (noticed() > before).then_some(()));
        let noticed = began.elapsed();
        until("the lease to be lost", || (self.lost(&dir) > 0 || self.is_done(&dir)).then_some(()));
        let (lost, after) = (self.lost(&dir), began.elapsed());
        let late = if lost > 0 { noticed.max(after) } else { noticed };
        assert!(late < NOTICED, "{cut:?}: the worker noticed after {noticed:?}, its lease was lost after {after:?}");
        let come = || self.coordinator.log().matches("a worker has come").count();
        let before = come();
        self.namespace.heal(cut);
        until("the worker to come back", || (come() > before).then_some(()));
        until(&format!("{cut:?}: the run to end"), || self.is_done(&dir).then_some(()));
        assert_eq!(self.lost(&dir), lost, "{cut:?}: it came back for good");
        assert!(lost <= 1, "{cut:?}: {lost} leases lost by one cut");
        self.ground.must_have_ended_well(&self.state, &dir, &format!("{cut:?}"));
        println!("{cut:?}: the worker noticed after {noticed:.1?}, {lost} lease lost after {after:.1?}");
        (lost == 1).then_some(after)
    }
}

#[test]
fn a_worker_that_packets_do_not_reach_loses_one_lease_and_no_row() {
    let mut scene = Scene::new();
    for (i, cut) in [Cut::Both, Cut::FromWorker, Cut::ToWorker].into_iter().enumerate() {
        let mut hit = false;
        for again in 0..TRIES_MAX {
            hit = scene.cut_off(cut, &format!("cut-{i}-{again}")).is_some();
            if hit {
                break;
            }
        }
        assert!(hit, "{cut:?} never hit a lease");
    }
    assert!(scene.far.running());
}
