//! Networks that delay, stall, slow, lose, half close and reset what goes between processes, or to a store.
//!
//! Invariant: each run comes to what an undisturbed one comes to, and each fault has struck while it went on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::task::FailureClass;

use super::SLOW;
use crate::recovery::{Chance, Ground, facts, slots};
use crate::stores::runs::{Site, table};
use crate::support::binary::{Cluster, Process, batteuse, until};
use crate::support::gate::{port_of, through};
use crate::support::proxy::{Fault, Proxy, Way};
use crate::support::servers::Seaweed;

const ROWS: usize = 12_000;
const PARTITIONS: u64 = 100;
/// Times that a fault which did not hit is set in another run.
const TRIES_MAX: u32 = 5;

/// A cluster whose two workers each reach the coordinator through a proxy.
struct Scene {
    ground: Ground,
    cluster: Cluster,
    proxies: [Proxy; 2],
    state: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let ground = Ground::of(ROWS, PARTITIONS);
        let state = ground.folder.path().join("life.state");
        let mut cluster = Cluster::start(&state);
        let proxies = [0, 1].map(|_| Proxy::before_url(&cluster.url));
        for proxy in &proxies {
            let worker = ["worker", "--slots", "1", "--chaos", SLOW, "--coordinator", &proxy.url()];
            cluster.workers.push(Process::start(worker));
        }
        cluster.wait_for_workers(2);
        Self { ground, cluster, proxies, state }
    }

    /// Submits a run and waits until it is on its way.
    fn begin(&self, name: &str) -> PathBuf {
        let dir = self.ground.folder.path().join(name);
        self.cluster.submit(&self.ground.spec(&dir), &[]).expect(0);
        until("the run to be on its way", || (slots(&self.state, &dir) > 6).then_some(()));
        dir
    }

    fn facts(&self, dir: &Path) -> Vec<Fact> {
        facts(&self.state, dir)
    }

    fn is_done(&self, dir: &Path) -> bool {
        matches!(self.facts(dir).last(), Some(Fact::RunDone { .. }))
    }

    fn lost(&self, dir: &Path) -> usize {
        let lost =
            |fact: &&Fact| matches!(fact, Fact::AttemptFailed { failure, .. } if failure.class == FailureClass::Lost);
        self.facts(dir).iter().filter(lost).count()
    }

    fn must_end_well(&mut self, dir: &Path, how: &str) {
        until(&format!("{how}: the run to end"), || self.is_done(dir).then_some(()));
        self.ground.must_have_ended_well(&self.state, dir, how);
        assert!(self.cluster.workers.iter_mut().all(Process::running), "{how}: the workers live");
    }
}

#[test]
fn slow_networks_change_nothing() {
    let mut scene = Scene::new();
    for (i, fault) in [Fault::Delay(Duration::from_millis(20)), Fault::Rate(100_000)].into_iter().enumerate() {
        let dir = scene.begin(&format!("slow-{i}"));
        scene.proxies.iter().for_each(|proxy| proxy.fault(fault));
        scene.must_end_well(&dir, &format!("{fault:?}"));
        assert!(scene.proxies.iter().all(|proxy| proxy.struck() > 0), "{fault:?} never struck");
        scene.proxies.iter().for_each(Proxy::heal);
    }
}

/// One worker is cut off for as long as its lease lives: what it had is done elsewhere, once.
#[test]
fn who_is_cut_off_loses_a_lease_and_no_row() {
    let mut scene = Scene::new();
    for (i, fault) in [Fault::Stall, Fault::Lose(Way::Up, 0), Fault::Lose(Way::Down, 0)].into_iter().enumerate() {
        let mut hit = false;
        for again in 0..TRIES_MAX {
            let dir = scene.begin(&format!("cut-off-{i}-{again}"));
            scene.proxies[0].fault(fault);
            until("the lease to be lost", || (scene.lost(&dir) > 0 || scene.is_done(&dir)).then_some(()));
            assert!(scene.lost(&dir) <= 1, "{fault:?}: one slot, one lease");
            hit = scene.lost(&dir) == 1 && scene.proxies[0].struck() > 0;
            scene.proxies[0].heal();
            scene.must_end_well(&dir, &format!("{fault:?}"));
            if hit {
                break;
            }
        }
        assert!(hit, "{fault:?} never hit a lease");
    }
}

#[test]
fn broken_connections_are_made_again() {
    let (mut scene, mut chance) = (Scene::new(), Chance(3));
    type Breaks = fn(Way, u64) -> Fault;
    for (i, breaks) in [Fault::Reset as Breaks, Fault::HalfClose as Breaks].into_iter().enumerate() {
        let mut struck = 0;
        for again in 0..TRIES_MAX {
            let dir = scene.begin(&format!("broken-{i}-{again}"));
            while !scene.is_done(&dir) {
                let proxy = &scene.proxies[chance.below(2) as usize];
                let way = [Way::Up, Way::Down][chance.below(2) as usize];
                proxy.fault(breaks(way, chance.below(3_000)));
                until("a connection to break", || (proxy.struck() > 0 || scene.is_done(&dir)).then_some(()));
                struck += proxy.struck();
                proxy.heal();
            }
            scene.must_end_well(&dir, &format!("{i}"));
            if struck >= 10 {
                break;
            }
        }
        println!("{struck} connections {}", ["reset", "half closed"][i]);
        assert!(struck >= 10, "only {struck} connections were broken");
    }
}

/// However many answers are lost, a submission is one run, and its client knows whether it was taken.
#[test]
fn a_submission_over_a_network_that_breaks_is_one_run() {
    let ground = Ground::of(600, 4);
    let state = ground.folder.path().join("life.state");
    let mut cluster = Cluster::start(&state);
    cluster.hire(1);
    cluster.wait_for_workers(1);
    let proxy = Proxy::before_url(&cluster.url);
    let (mut taken, mut struck) = (0, 0);
    for (i, after) in (0..30).map(|i| (i, i / 2 * 30)) {
        let dir = ground.folder.path().join(format!("submitted-{i}"));
        proxy.fault(Fault::Reset([Way::Up, Way::Down][i as usize % 2], after));
        let (spec, url) = (ground.spec(&dir), proxy.url());
        let mut client = Process::start(["submit", "-f", spec.to_str().unwrap(), "--coordinator", &url]);
        until("the connection to break", || (proxy.struck() > 0 || !client.running()).then_some(()));
        struck += proxy.struck();
        proxy.heal();
        let ended = client.wait();
        match ended.code {
            Some(0) => {
                let how = format!("after {after}");
                until("the run to end", || {
                    matches!(facts(&state, &dir).last(), Some(Fact::RunDone { .. })).then_some(())
                });
                ground.must_have_ended_well(&state, &dir, &how);
                taken += 1;
            }
            Some(16) => assert!(!ended.err.is_empty(), "it says why"),
            code => panic!("after {after}: {code:?}: {}", ended.err),
        }
    }
    let list = batteuse(["list", "--coordinator", &cluster.url, "-o", "json"]).expect(0).json();
    let runs = list["runs"].as_array().unwrap().len();
    println!("{taken} of 30 submissions were answered, {runs} runs, {struck} connections reset");
    assert!(runs >= taken && runs <= 30 && taken >= 10 && struck >= 10, "{runs} runs of {taken} submissions, {struck}");
}

/// Who waits for a run over a network that goes dead is told within seconds, and the run goes on.
#[test]
fn a_client_that_nothing_reaches_gives_up_waiting_and_the_run_does_not() {
    for fault in [Fault::Stall, Fault::Lose(Way::Up, 0), Fault::Lose(Way::Down, 0)] {
        let ground = Ground::of(600, 4);
        let (state, dir) = (ground.folder.path().join("life.state"), ground.folder.path().join("waited"));
        let mut cluster = Cluster::start(&state);
        let proxy = Proxy::before_url(&cluster.url);
        let (spec, url) = (ground.spec(&dir), proxy.url());
        let client = Process::start(["submit", "-f", spec.to_str().unwrap(), "--coordinator", &url, "--wait"]);
        client.line_of_err(" is accepted");
        proxy.fault(fault);
        // No worker has come yet, so the run cannot end before.
        client.wait().expect(16).says(&["is accepted", "the coordinator"]);
        assert!(proxy.struck() > 0, "{fault:?} never struck");
        cluster.hire(1);
        until("the run to end", || matches!(facts(&state, &dir).last(), Some(Fact::RunDone { .. })).then_some(()));
        ground.must_have_ended_well(&state, &dir, &format!("{fault:?}"));
    }
}

#[test]
fn a_run_into_a_store_behind_a_bad_network_is_as_one_onto_a_disk() {
    let server = Seaweed::start();
    let (base, env) = (server.bucket("grain"), server.env());
    let proxy = Proxy::before(([127, 0, 0, 1], port_of(&env)).into());
    let site = Site::new(base, through(&env, proxy.port()));
    let undisturbed = site.on_a_disk();
    let faults = [
        Fault::Delay(Duration::from_millis(5)),
        Fault::Rate(2_000_000),
        Fault::Stall,
        Fault::Reset(Way::Up, 3_000),
        Fault::Reset(Way::Down, 1_000),
        Fault::HalfClose(Way::Down, 2_000),
    ];
    for (i, fault) in faults.into_iter().enumerate() {
        let url = site.url(&format!("bad-{i}"));
        let mut process = site.start(&["run", "-f", &site.spec(&format!("bad-{i}"), &url), "--workers", "2"]);
        proxy.fault(fault);
        until("the fault to strike", || (proxy.struck() > 0 || !process.running()).then_some(()));
        assert!(proxy.struck() > 0, "{fault:?} never struck");
        if !matches!(fault, Fault::Delay(_) | Fault::Rate(_)) {
            proxy.heal();
        }
        process.wait().expect(4);
        proxy.heal();
        assert!(table(&*site.output(&format!("bad-{i}")), site.folder.path()) == undisturbed, "{fault:?}");
    }
}
