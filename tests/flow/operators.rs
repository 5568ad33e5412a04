//! What operators ask of a coordinator, by the real binary: runs that are held and let go, workers that are sent away, and what waits for
//! what.
//!
//! Invariant: whatever is asked, the run comes to the undisturbed table, and no attempt that was given back is a failure in its journal.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use batteuse_coordinator::scheduler::Fact;
use batteuse_proto::Submission;
use batteuse_proto::v1::SubmitRequest;
use batteuse_proto::v1::control_service_client::ControlServiceClient;
use batteuse_shared::limits::{LEASE_TTL_MS, SUBMIT_RETRY_AFTER_MS};
use batteuse_shared::location;
use batteuse_shared::spec::Job;
use batteuse_shared::task::FailureClass;
use serde_json::Value;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use super::cluster::{Stage, served};
use crate::recovery::facts;
use crate::support::binary::{Process, run as run_embedded, until};
use crate::support::published::json_file;

/// A source whose only partition takes a slow worker some seconds.
const LONG: &str = "60MB";
/// Chaos that makes a worker slow, however fast the machine is.
const SLOW: &str = "delay=1:100";

impl Stage {
    fn facts(&self, name: &str) -> Vec<Fact> {
        let state: PathBuf = self.input.folder.path().join("state");
        facts(&state, &self.input.out(name))
    }

    fn count(&self, name: &str, is: impl Fn(&Fact) -> bool) -> usize {
        self.facts(name).iter().filter(|fact| is(fact)).count()
    }

    /// Hires a slow worker of one slot with this grace.
    fn hire_with_grace(&mut self, seconds: &str) {
        let args = ["worker", "--slots", "1", "--coordinator", &self.cluster.url, "--grace", seconds, "--chaos", SLOW];
        self.cluster.workers.push(Process::start(args));
    }

    fn workers(&self) -> Vec<Value> {
        let list = self.cluster.ask(&["workers", "-o", "json"]).expect(0).json();
        assert_eq!(list["more"], false);
        list["workers"].as_array().unwrap().clone()
    }

    /// The name of the only worker there is.
    fn only_worker(&self) -> String {
        let worker = until("one worker to be there", || Some(self.workers()).filter(|workers| workers.len() == 1));
        worker[0]["worker"].as_str().unwrap().to_owned()
    }

    /// As [`Stage::must_be_undisturbed`], by digests: the table is long.
    fn must_be_whole(&self, name: &str, run: &str) {
        self.cluster.ask(&["verify", run]).expect(0);
        let out = self.input.folder.path().join("undisturbed");
        let want = run_embedded(&self.input.source, &out, &[]).expect(0).json();
        let found = json_file(&self.input.out(name).join("_SUCCESS"));
        assert_eq!((&found["digest"], &found["rows"]), (&want["digest"], &want["written"]));
    }

    /// Waits until an attempt at a partition has read something, and something is left to read.
    fn wait_for_bytes(&self, run: &str) {
        let status = until("an attempt to be under way", || {
            let status = self.status(run);
            (status["partitions"] != 0 && status["bytesDone"] != 0).then_some(status)
        });
        let (done, all) = (status["bytesDone"].as_u64().unwrap(), status["bytes"].as_u64().unwrap());
        assert!(done < all / 2 && status["leases"] == 1, "the attempt is too short for this test: {status:#}");
    }
}

fn is_failure(fact: &Fact) -> bool {
    matches!(fact, Fact::AttemptFailed { .. })
}

fn is_staged(fact: &Fact) -> bool {
    matches!(fact, Fact::Staged { .. })
}

#[test]
fn a_paused_run_stands_still_over_a_restart_and_then_goes_on() {
    let mut stage = Stage::new("1MB");
    stage.cluster.hire(1);
    let run = stage.submit("held", 300);
    stage.wait_for_attempts(&run, 3);
    let said = stage.cluster.ask(&["pause", &run]).expect(0).out;
    assert!(said.contains("(paused)") && said.contains("waits       to be unpaused"), "{said}");
    stage.cluster.ask(&["pause", &run]).expect(0);
    until("what was under way to end", || (stage.status(&run)["leases"] == 0).then_some(()));
    let before = stage.status(&run)["attempts"].clone();
    assert!(stage.cluster.coordinator.as_mut().unwrap().kill());
    stage.cluster.restart();
    let status = stage.wait_for(&run, "Paused");
    assert_eq!((&status["waits"]["for"], &status["attempts"]), (&"unpause".into(), &before));
    // Its worker is back, and works for others.
    let other = stage.submit("other", 5);
    stage.wait_for(&other, "Succeeded");
    let list = stage.cluster.ask(&["list"]).expect(0).out;
    assert!(list.lines().any(|line| line.contains(&run) && line.contains("waits to be unpaused")), "{list}");
    assert_eq!(stage.status(&run)["attempts"], before, "nothing was leased of it");
    assert_eq!(stage.cluster.ask(&["unpause", &run, "-o", "json"]).expect(0).json()["state"], "Running");
    stage.cluster.ask(&["unpause", &run]).expect(0);
    stage.wait_for(&run, "Succeeded");
    stage.must_be_undisturbed("held");
    let pauses = |fact: &Fact| matches!(fact, Fact::Paused { .. });
    let unpauses = |fact: &Fact| matches!(fact, Fact::Unpaused { .. });
    assert_eq!((stage.count("held", pauses), stage.count("held", unpauses)), (1, 1));
    assert_eq!(stage.count("held", is_failure), 0);
    stage.cluster.ask(&["pause", &run]).expect(8).says(&[&run, "could not be paused any more", "Succeeded"]);
    stage.cluster.ask(&["unpause", &run]).expect(0);
    stage.cluster.ask(&["pause", "no-such-run"]).expect(12).says(&["no run no-such-run here"]);
}

#[test]
fn a_paused_run_can_be_cancelled() {
    let stage = Stage::new("10kB");
    let run = stage.submit("cancelled", 2);
    stage.cluster.ask(&["pause", &run]).expect(0);
    stage.cluster.ask(&["cancel", &run]).expect(0);
    assert_eq!(stage.wait_for(&run, "Cancelled")["waits"], Value::Null);
}

#[test]
fn a_worker_that_is_told_to_stop_finishes_what_fits_and_leaves_the_rest() {
    for drained in [false, true] {
        let mut stage = Stage::new(LONG);
        stage.hire_with_grace("120");
        let worker = stage.only_worker();
        let run = stage.submit("finished", 2);
        stage.wait_for_bytes(&run);
        let leaver = stage.cluster.workers.remove(0);
        if drained {
            let said = stage.cluster.ask(&["drain", &worker, "-o", "json"]).expect(0).json();
            assert_eq!((&said["draining"], &said["leases"]), (&true.into(), &1.into()), "{said:#}");
        } else {
            leaver.signal("TERM");
        }
        leaver.wait().expect(0);
        assert_eq!((stage.count("finished", is_staged), stage.count("finished", is_failure)), (1, 0));
        let status = until("the coordinator to notice", || {
            Some(stage.status(&run)).filter(|status| status["waits"]["for"] == "worker")
        });
        assert_eq!((&status["state"], &status["leases"]), (&"Running".into(), &0.into()));
        stage.cluster.hire(1);
        stage.wait_for(&run, "Succeeded");
        assert_eq!(stage.count("finished", is_failure), 0);
        stage.must_be_whole("finished", &run);
    }
}

#[test]
fn a_worker_without_grace_gives_back_what_it_runs_and_that_is_no_failure() {
    let mut stage = Stage::new(LONG);
    // Three seconds are what it may take to give back.
    stage.hire_with_grace("3");
    let run = stage.submit("back", 1);
    stage.wait_for_bytes(&run);
    let queued = stage.submit("queued", 1);
    let status = stage.status(&queued);
    assert_eq!(status["waits"], serde_json::json!({"for": "slot", "runsBefore": 0}), "{status:#}");
    let leaver = stage.cluster.workers.remove(0);
    leaver.signal("TERM");
    leaver.wait().expect(0);
    assert_eq!((stage.count("back", is_staged), stage.count("back", is_failure)), (0, 0));
    stage.cluster.hire(1);
    stage.wait_for(&run, "Succeeded");
    stage.wait_for(&queued, "Succeeded");
    assert_eq!((stage.count("back", is_staged), stage.count("back", is_failure)), (1, 0));
    stage.must_be_whole("back", &run);
}

#[test]
fn a_worker_is_drained_while_others_go_on() {
    let mut stage = Stage::new("1MB");
    stage.cluster.hire(1);
    let first = stage.only_worker();
    stage.cluster.hire(2);
    stage.cluster.wait_for_workers(2);
    let run = stage.submit("drained", 300);
    stage.wait_for_attempts(&run, 3);
    let said = stage.cluster.ask(&["drain", &first, "--wait"]).expect(0).out;
    assert!(said.contains(&first) && said.contains("draining"), "{said}");
    let leaver = stage.cluster.workers.remove(0);
    let log = leaver.wait().expect(0).err;
    assert!(log.contains("\"message\":\"leaving\"") && log.contains(&first), "{log}");
    let others: Vec<Value> = stage.workers().into_iter().filter(|w| w["connected"] == true).collect();
    assert_eq!((others.len(), &others[0]["slots"], &others[0]["draining"]), (1, &2.into(), &false.into()));
    let other = others[0]["worker"].as_str().unwrap();
    let text = stage.cluster.ask(&["workers"]).expect(0).out;
    assert!(text.contains(other) && text.contains("of 2   slots leased"), "{text}");
    stage.cluster.ask(&["drain", "worker-nobody"]).expect(12).says(&["no worker worker-nobody here", other]);
    stage.cluster.ask(&["drain", "Nobody!"]).expect(12).says(&["a name that `batteuse workers` lists"]);
    stage.wait_for(&run, "Succeeded");
    assert_eq!(stage.count("drained", is_failure), 0);
    stage.must_be_undisturbed("drained");
}

#[test]
fn an_idle_worker_leaves_at_once_when_it_is_drained() {
    let mut stage = Stage::new("10kB");
    stage.cluster.hire(3);
    let worker = stage.only_worker();
    stage.cluster.ask(&["drain", &worker, "--wait"]).expect(0);
    stage.cluster.workers.remove(0).wait().expect(0);
    until("it to be forgotten", || stage.workers().is_empty().then_some(()));
    stage.cluster.ask(&["drain", &worker]).expect(12).says(&["there is none"]);
}

#[test]
fn a_silent_worker_is_given_up_after_twice_the_lease_ttl_that_was_asked_for() {
    let mut stage = Stage::new(LONG);
    stage.hire_with_grace("0");
    let run = stage.submit("silent", 1);
    stage.wait_for_bytes(&run);
    let silent = stage.cluster.workers.remove(0);
    silent.signal("STOP");
    let began = Instant::now();
    let lost = |fact: &Fact| matches!(fact, Fact::AttemptFailed { failure, .. } if failure.class == FailureClass::Lost);
    until("it to be given up", || (stage.count("silent", lost) == 1).then_some(()));
    // The cluster's leases live for three seconds.
    assert!(began.elapsed() < Duration::from_millis(LEASE_TTL_MS), "{:?}", began.elapsed());
    stage.cluster.hire(1);
    stage.wait_for(&run, "Succeeded");
    stage.must_be_whole("silent", &run);
}

#[test]
fn those_who_wait_say_for_what() {
    let mut stage = Stage::new("100kB");
    let run = stage.submit("alone", 2);
    let said = stage.cluster.ask(&["status", &run]).expect(0).out;
    assert!(said.contains("waits       for a worker: there is none that takes leases"), "{said}");
    let stranger = stage.input.out("alone").join("x.parquet");
    std::fs::write(&stranger, "mine").unwrap();
    stage.cluster.hire(1);
    let held =
        until("publishing to fail", || Some(stage.status(&run)).filter(|status| status["waits"]["for"] == "storage"));
    let message = held["waits"]["message"].as_str().unwrap();
    assert!(message.contains("x.parquet is in the way") && held["waits"]["retryAt"].as_u64() > Some(0), "{held:#}");
    let said = stage.cluster.ask(&["status", &run]).expect(0).out;
    assert!(said.contains("x.parquet is in the way"), "{said}");
    std::fs::remove_file(&stranger).unwrap();
    assert_eq!(stage.wait_for(&run, "Succeeded")["waits"], Value::Null);
}

/// What a client gets that submits the job `name` under this request.
async fn submitted(stage: &Stage, channel: Channel, name: &str) -> Result<(), tonic::Status> {
    let url = |path: &Path| location::url_of_file(path).unwrap();
    let job: Job = serde_json::from_value(serde_json::json!({
        "apiVersion": "batteuse.dev/v1alpha1", "kind": "Ingest", "metadata": {"name": name},
        "spec": {"source": {"url": url(&stage.input.source)}, "output": {"parquet": {"url": url(&stage.input.out(name))}}},
    }))
    .unwrap();
    let submit = SubmitRequest::from(Submission { job, client_request_id: "1".to_owned() });
    ControlServiceClient::new(channel).submit(submit).await.map(|_| ())
}

#[test]
fn sixty_four_submissions_at_once_find_no_more_room_than_there_is() {
    let stage = Stage::with("10kB", &["--open-runs", "3"]);
    served(&stage.cluster.url, async |channel| {
        let names: Vec<String> = (0..64).map(|number| format!("job-{number}")).collect();
        let all = names.iter().map(|name| submitted(&stage, channel.clone(), name));
        let told = futures::future::join_all(all).await;
        let (mut taken, mut known) = (Vec::new(), 0);
        for (name, told) in names.iter().zip(told) {
            match told {
                Ok(()) => taken.push(name),
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    let after = status.get_details_retry_info().unwrap().retry_delay;
                    assert_eq!(after, Some(Duration::from_millis(SUBMIT_RETRY_AFTER_MS)));
                    assert!(!stage.input.out(name).exists(), "what finds no room leaves nothing");
                }
            }
        }
        // While one is taken it may be counted twice; in the end every place is given.
        for name in &names {
            let told = submitted(&stage, channel.clone(), name).await;
            known += u32::from(told.is_ok());
        }
        assert!((1..=3).contains(&taken.len()) && known == 3, "{taken:?}, then {known}");
    });
    assert_eq!(stage.cluster.ask(&["list", "-o", "json"]).expect(0).json()["runs"].as_array().unwrap().len(), 3);
}

#[test]
fn a_job_that_finds_no_room_waits_for_it_or_says_when_to_come_again() {
    let stage = Stage::with("10kB", &["--open-runs", "1"]);
    let run = stage.submit("first", 1);
    let spec = stage.input.write("second", 1);
    let refused = stage.cluster.submit(&spec, &["--patience", "0"]).expect(16);
    refused.says(&["no room for another run", "open: 1", "submit again in 2 s"]);
    assert!(!stage.input.out("second").exists());
    let args = ["submit", "-f", spec.to_str().unwrap(), "--coordinator", &stage.cluster.url];
    let patient = Process::start(args);
    patient.line_of_err("no room for another run");
    stage.cluster.ask(&["cancel", &run]).expect(0);
    let second = patient.wait().expect(0).out;
    assert!(second.starts_with("second-"), "{second}");
}
