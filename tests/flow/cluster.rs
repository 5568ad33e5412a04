//! The cluster, as processes: workers come, leave and are refused; operators ask, wait and cancel.

use std::fs;
use std::path::Path;

use batteuse_proto::Submission;
use batteuse_proto::v1::control_service_client::ControlServiceClient;
use batteuse_proto::v1::{StatusRequest, SubmitRequest};
use batteuse_shared::ids::RunId;
use batteuse_shared::location;
use batteuse_shared::spec::Job;
use serde_json::Value;
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::{Input, Outcome};
use crate::support::binary::{Cluster, Ended, Process, batteuse, run as run_embedded, until, write_spec};
use crate::support::published::{parts, run_file, table};

/// A coordinator, a source of some size and a folder for both.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) input: Input,
}

impl Stage {
    pub(super) fn new(bytes: &str) -> Self {
        let input = Input::generated("taxi", bytes);
        Self { cluster: Cluster::start(&input.folder.path().join("state")), input }
    }

    /// With a coordinator that has these flags.
    pub(super) fn with(bytes: &str, flags: &[&str]) -> Self {
        let input = Input::generated("taxi", bytes);
        Self { cluster: Cluster::start_with(&input.folder.path().join("state"), flags), input }
    }

    /// Submits a job without waiting and returns the run's id.
    pub(super) fn submit(&self, name: &str, partitions: u64) -> String {
        let ended = self.cluster.submit(&self.input.write(name, partitions), &[]).expect(0);
        ended.out.trim().to_owned()
    }

    pub(super) fn status(&self, run: &str) -> Value {
        self.cluster.ask(&["status", run, "-o", "json"]).expect(0).json()
    }

    /// Waits for a state.
    pub(super) fn wait_for(&self, run: &str, state: &str) -> Value {
        until(&format!("{run} to be {state}"), || Some(self.status(run)).filter(|status| status["state"] == state))
    }

    /// Waits until so many attempts have ended, of a run that goes on.
    pub(super) fn wait_for_attempts(&self, run: &str, attempts: u64) -> Value {
        let status = until("attempts to end", || {
            Some(self.status(run)).filter(|status| status["attempts"].as_u64().unwrap() >= attempts)
        });
        assert_eq!(status["state"], "Running", "the run is too short for this test: {status:#}");
        status
    }

    pub(super) fn must_be_undisturbed(&self, name: &str) {
        let out = self.input.folder.path().join("undisturbed");
        run_embedded(&self.input.source, &out, &[]).expect(0);
        let (found, want) = (table(&self.input.out(name)), table(&out));
        super::must_equal(&found.rows, &want.rows, name);
        assert_eq!((&found.columns, &found.digest), (&want.columns, &want.digest));
    }
}

#[test]
fn a_job_is_submitted_waited_for_shown_listed_and_verified() {
    let mut stage = Stage::new("1MB");
    (0..3).for_each(|_| stage.cluster.hire(2));
    let spec = stage.input.write("whole", 7);
    let ended = stage.cluster.submit(&spec, &["--wait", "-o", "json"]);
    let (outcome, report) = Outcome::of(&ended, &stage.input.out("whole"));
    let (embedded, _) = stage.input.run(7, 2);
    embedded.must_equal(&outcome, "embedded and by a cluster");
    let run = report["run"].as_str().unwrap().to_owned();
    assert!(ended.err.contains(&run) && outcome.code == 0, "{}", ended.err);
    let status = stage.status(&run);
    assert_eq!(
        (&status["state"], &status["accepted"], &status["partitions"], &status["bytesDone"]),
        (&"Succeeded".into(), &7.into(), &7.into(), &report["spanBytes"])
    );
    assert!(stage.cluster.ask(&["status", &run]).expect(0).out.contains("7 of 7 accepted"));
    let second = stage.submit("second", 2);
    stage.wait_for(&second, "Succeeded");
    let list = stage.cluster.ask(&["list", "-o", "json"]).expect(0).json();
    let listed: Vec<_> = list["runs"].as_array().unwrap().iter().map(|r| r["run"].as_str().unwrap()).collect();
    assert_eq!((listed, &list["more"]), (vec![second.as_str(), run.as_str()], &false.into()), "the latest first");
    let text = stage.cluster.ask(&["list"]).expect(0).out;
    assert!(text.contains(&run) && text.contains("succeeded"), "{text}");
    assert!(stage.cluster.ask(&["verify", &run]).expect(0).out.contains("verified"));
    // The same by the output, with no coordinator asked.
    let out = stage.input.out("whole");
    let by_folder = batteuse(["status", out.to_str().unwrap(), "-o", "json"]).expect(0).json();
    assert_eq!((&by_folder["run"], &by_folder["state"]), (&run.as_str().into(), &"Succeeded".into()));
}

#[test]
fn a_submitted_run_is_known_at_once_and_a_request_is_one_run() {
    let stage = Stage::new("10kB");
    let url = |path: &Path| location::url_of_file(path).unwrap();
    served(&stage.cluster.url, async |channel| {
        let mut control = ControlServiceClient::new(channel);
        for i in 0..40 {
            let (name, request) = (format!("known-{i}"), format!("request-{i}"));
            let out = stage.input.out(&name);
            let job: Job = serde_json::from_value(serde_json::json!({
                "apiVersion": "batteuse.dev/v1alpha1", "kind": "Ingest", "metadata": {"name": name},
                "spec": {"source": {"url": url(&stage.input.source)}, "output": {"parquet": {"url": url(&out)}}},
            }))
            .unwrap();
            let submit = SubmitRequest::from(Submission { job, client_request_id: request });
            let run = RunId::try_from(control.submit(submit.clone()).await.unwrap().into_inner()).unwrap();
            let known = control.status(StatusRequest::from(run.clone())).await;
            assert!(known.is_ok(), "{run} was accepted: {known:?}");
            let again = RunId::try_from(control.submit(submit).await.unwrap().into_inner()).unwrap();
            assert_eq!(again, run, "the same request once more");
        }
    });
}

#[test]
fn the_log_is_json_lines_with_run_partition_attempt_and_worker() {
    let mut stage = Stage::new("100kB");
    stage.cluster.hire(1);
    stage.cluster.submit(&stage.input.write("logged", 2), &["--wait"]).expect(0);
    let worker = stage.cluster.workers.pop().unwrap();
    worker.signal("TERM");
    let ended = worker.wait().expect(0);
    let lines: Vec<Value> = ended.err.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let attempt =
        lines.iter().find(|line| line["message"] == "an attempt begins" && line.to_string().contains("\"partition\""));
    let attempt = attempt.unwrap_or_else(|| panic!("no attempt of a partition: {}", ended.err)).to_string();
    for field in ["\"run\":\"logged-", "\"attempt\":", "\"worker\":\"worker-"] {
        assert!(attempt.contains(field), "{field} is not in {attempt}");
    }
}

#[test]
fn workers_may_join_late_and_leave() {
    let mut stage = Stage::new("1MB");
    let run = stage.submit("joined", 300);
    assert!(["Pending", "Planning"].iter().any(|state| stage.status(&run)["state"] == *state), "no worker, no work");
    stage.cluster.hire(1);
    stage.wait_for_attempts(&run, 3);
    stage.cluster.hire(1);
    stage.cluster.wait_for_workers(2);
    let leaver = stage.cluster.workers.remove(0);
    leaver.signal("TERM");
    leaver.wait().expect(0);
    let status = stage.status(&run);
    assert_eq!(status["state"], "Running", "the first worker left in the middle: {status:#}");
    let status = stage.wait_for(&run, "Succeeded");
    assert_eq!(status["accepted"], 300);
    stage.must_be_undisturbed("joined");
}

#[test]
fn a_worker_that_does_not_see_the_staging_folder_is_refused() {
    let input = Input::generated("taxi", "100kB");
    let place = |name: &str| {
        let place = input.folder.path().join(name);
        fs::create_dir(&place).unwrap();
        place
    };
    // One path that each process sees as its own folder, as if each were on a machine of its own.
    let (here, elsewhere, other) = (place("here"), place("elsewhere"), place("other"));
    let seen_as = Path::new("/proc/self/cwd/unseen");
    let spec = write_spec(&input.folder.path().join("unseen.yaml"), &input.source, seen_as, "");
    let mut cluster = Cluster::start_in(&here, &input.folder.path().join("state"));
    let run = cluster.submit(&spec, &[]).expect(0).out.trim().to_owned();
    cluster.hire_in(&elsewhere, 1);
    cluster.workers.remove(0).wait().expect(12).says(&["does not see the coordinator's staging folder"]);
    let nonce = run_file(&here.join("unseen"), "staging/nonce");
    let twin = other.join(nonce.strip_prefix(&here).unwrap());
    fs::create_dir_all(twin.parent().unwrap()).unwrap();
    fs::write(twin, "of another folder").unwrap();
    cluster.hire_in(&other, 1);
    let refused = cluster.workers.remove(0).wait().expect(12);
    refused.says(&["refused this worker", "staging folder", "one shared file system"]);
    // The run has lost nothing by it.
    cluster.hire_in(&here, 1);
    let stage = Stage { cluster, input };
    stage.wait_for(&run, "Succeeded");
    let out = stage.input.out("undisturbed");
    run_embedded(&stage.input.source, &out, &[]).expect(0);
    assert!(table(&here.join("unseen")) == table(&out));
}

#[test]
fn a_run_whose_folder_is_deleted_holds_up_itself_alone() {
    let mut stage = Stage::new("100kB");
    let lost = stage.submit("lost", 2);
    fs::remove_dir_all(stage.input.out("lost")).unwrap();
    (0..2).for_each(|_| stage.cluster.hire(1));
    let healthy = stage.submit("healthy", 20);
    stage.wait_for(&healthy, "Succeeded");
    stage.must_be_undisturbed("healthy");
    let status = until("the trouble to be told", || Some(stage.status(&lost)).filter(|s| s["trouble"].is_string()));
    assert!(status["trouble"].as_str().unwrap().contains("staging folder"), "{status:#}");
    assert!(stage.cluster.workers.iter_mut().all(Process::running), "no worker is to blame");
    stage.cluster.ask(&["cancel", &lost]).expect(0);
}

#[test]
fn a_run_that_cannot_publish_says_why_and_can_be_mended() {
    let mut stage = Stage::new("100kB");
    let run = stage.submit("blocked", 2);
    let stranger = stage.input.out("blocked").join("x.parquet");
    fs::write(&stranger, "mine").unwrap();
    stage.cluster.hire(1);
    let trouble = |status: &Value| status["trouble"].as_str().is_some_and(|t| t.contains("x.parquet is in the way"));
    let status = until("the trouble to be told", || Some(stage.status(&run)).filter(trouble));
    assert_eq!(status["state"], "Publishing");
    stage.cluster.ask(&["cancel", &run]).expect(8).says(&["could not be cancelled any more"]);
    fs::remove_file(&stranger).unwrap();
    stage.wait_for(&run, "Succeeded");
    stage.must_be_undisturbed("blocked");
}

#[test]
fn rivals_for_one_folder_do_no_harm_to_the_coordinator() {
    let mut stage = Stage::new("10kB");
    stage.cluster.hire(1);
    for round in 0..6 {
        let spec = stage.input.write(&format!("rival-{round}"), 1);
        let args = ["submit", "-f", spec.to_str().unwrap(), "--coordinator", &stage.cluster.url, "--wait"];
        let rivals: Vec<_> = (0..4).map(|_| Process::start(args)).collect();
        let ended: Vec<_> = rivals.into_iter().map(Process::wait).collect();
        let won = ended.iter().filter(|one| one.code == Some(0)).count();
        assert_eq!(won, 1, "round {round}: {ended:#?}");
        for loser in ended.iter().filter(|one| one.code != Some(0)) {
            assert_eq!(loser.code, Some(12), "round {round}: {loser:#?}");
        }
    }
    assert!(stage.cluster.coordinator.as_mut().unwrap().running());
    stage.must_be_undisturbed("rival-5");
}

#[test]
fn a_run_without_workers_can_be_cancelled_and_its_folder_taken() {
    let mut stage = Stage::new("100kB");
    let run = stage.submit("cancelled", 2);
    let spec = stage.input.write("cancelled", 2);
    stage.cluster.submit(&spec, &[]).expect(12).says(&[&run, &format!("batteuse cancel {run} --coordinator")]);
    let out = stage.input.out("cancelled").to_str().unwrap().to_owned();
    batteuse(["resume", "--to", &out]).expect(12).says(&[&run, "start that coordinator again"]);
    stage.cluster.ask(&["cancel", &run]).expect(0);
    let told = batteuse(["resume", "--to", &out, "-o", "json"]).expect(8).json();
    assert_eq!(
        (&told["run"], &told["state"]),
        (&run.as_str().into(), &"Cancelled".into()),
        "an ended run is told again"
    );
    assert_eq!(stage.status(&run)["state"], "Cancelled");
    stage.cluster.ask(&["cancel", &run]).expect(0);
    stage.cluster.hire(1);
    stage.cluster.submit(&spec, &["--wait"]).expect(0);
    stage.cluster.ask(&["cancel", "no-such-run"]).expect(12);
}

#[test]
fn a_run_in_progress_can_be_cancelled() {
    let mut stage = Stage::new("1MB");
    stage.cluster.hire(2);
    let spec = stage.input.write("busy", 300);
    let waiting = Process::start([
        "submit",
        "-f",
        spec.to_str().unwrap(),
        "--coordinator",
        &stage.cluster.url,
        "--wait",
        "-o",
        "json",
    ]);
    let line = waiting.line_of_err(" is accepted");
    let run = line.split_whitespace().nth(1).unwrap().to_owned();
    stage.wait_for_attempts(&run, 3);
    stage.cluster.ask(&["cancel", &run]).expect(0);
    let report = waiting.wait().expect(8).json();
    assert_eq!((&report["state"], &report["reason"]["kind"]), (&"Cancelled".into(), &"cancelled".into()));
    let out = stage.input.out("busy");
    assert!(parts(&out).is_empty() && !out.join("_SUCCESS").exists(), "nothing is published");
    // The worker is free for the next run, which may take the folder.
    stage.cluster.submit(&stage.input.write("busy", 2), &["--wait"]).expect(0);
    stage.must_be_undisturbed("busy");
}

#[test]
fn a_source_that_changes_under_a_run_fails_it() {
    let mut stage = Stage::new("100kB");
    let run = stage.submit("changed", 2);
    let mut bytes = stage.input.bytes();
    bytes.extend_from_slice(b"1");
    fs::write(&stage.input.source, bytes).unwrap();
    stage.cluster.hire(1);
    stage.wait_for(&run, "Failed");
    let reason = stage.status(&run)["reason"].clone();
    assert_eq!(reason["kind"], "sourceChanged");
    let message = reason["message"].as_str().unwrap();
    assert!(message.contains("it was inode") && message.contains("and is inode"), "{message}");
    assert!(parts(&stage.input.out("changed")).is_empty());
}

#[test]
fn beyond_this_machine_only_with_insecure() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let args = |listen: &'static str| ["coordinator", "--listen", listen, "--state", state.to_str().unwrap()];
    batteuse(args("0.0.0.0:0")).expect(12).says(&["--listen 0.0.0.0:0", "--insecure"]);
    batteuse(args("[::]:0")).expect(12).says(&["--insecure"]);
    assert!(!state.exists(), "a refused coordinator leaves nothing");
    let insecure = Process::start(args("0.0.0.0:0").iter().chain(&["--insecure"]));
    insecure.line_of_out("listening on http://0.0.0.0:");
}

#[test]
fn a_coordinator_is_refused_its_neighbours_port() {
    let stage = Stage::new("10kB");
    let listen = stage.cluster.url.trim_start_matches("http://");
    let state = stage.input.folder.path().join("another");
    let ended = batteuse(["coordinator", "--listen", listen, "--state", state.to_str().unwrap()]);
    ended.expect(16).says(&["is another coordinator running?"]);
}

#[test]
fn a_worker_waits_for_its_coordinator_and_leaves_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&folder.path().join("state"));
    let url = cluster.url.clone();
    drop(cluster);
    let worker = Process::start(["worker", "--coordinator", &url]);
    worker.line_of_err("connecting again");
    worker.signal("TERM");
    worker.wait().expect(0);
}

pub(super) fn served(url: &str, ask: impl AsyncFnOnce(tonic::transport::Channel)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(url.to_owned()).unwrap();
        ask(endpoint.connect().await.unwrap()).await;
    });
}

#[test]
fn health_and_reflection_answer() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&folder.path().join("state"));
    served(&cluster.url, async |channel| {
        let mut health = HealthClient::new(channel.clone());
        for service in ["", "batteuse.v1.WorkerService", "batteuse.v1.ControlService"] {
            let asked = HealthCheckRequest { service: service.to_owned() };
            let mut told = health.watch(asked).await.unwrap().into_inner();
            // It serves once it leads.
            let serves = async { while told.message().await.unwrap().unwrap().status() != ServingStatus::Serving {} };
            tokio::time::timeout(std::time::Duration::from_secs(60), serves)
                .await
                .unwrap_or_else(|_| panic!("{service:?}"));
        }
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(channel);
        let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
        let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
        for service in ["batteuse.v1.WorkerService", "batteuse.v1.ControlService", "grpc.health.v1.Health"] {
            assert!(names.contains(&service), "{service} is not among {names:?}");
        }
    });
}

/// What `--wait` says when its coordinator is gone.
#[test]
fn a_coordinator_that_is_told_to_stop_says_so_and_goes_on_when_started_again() {
    let mut stage = Stage::new("1MB");
    stage.cluster.hire(1);
    let spec = stage.input.write("stopped", 300);
    let waiting =
        Process::start(["submit", "-f", spec.to_str().unwrap(), "--coordinator", &stage.cluster.url, "--wait"]);
    let line = waiting.line_of_err(" is accepted");
    let run = line.split_whitespace().nth(1).unwrap().to_owned();
    stage.wait_for_attempts(&run, 3);
    let coordinator = stage.cluster.coordinator.take().unwrap();
    coordinator.signal("TERM");
    let Ended { code, err, .. } = coordinator.wait();
    assert_eq!(code, Some(0), "{err}");
    waiting.wait().expect(16).says(&["goes on when the coordinator is started again", &run]);
    let before = fs::read_dir(journal(&stage.input.folder.path().join("state"), &run)).unwrap().count();
    assert!(before > 3, "{before} slots");
    stage.cluster.restart();
    stage.wait_for(&run, "Succeeded");
    stage.must_be_undisturbed("stopped");
}

fn journal(state: &Path, run: &str) -> std::path::PathBuf {
    state.join("runs").join(run).join("journal")
}
