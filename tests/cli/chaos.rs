//! Chaos on request: what is asked for strikes, is logged, and a run comes to what it comes to without.
//!
//! Invariant: what strikes is a function of the seed and of numbers that are the same every time (one worker with one slot; the first slots of
//! a journal), so a test whose faults strike once strikes always.

use std::path::{Path, PathBuf};

use super::Stage;
use crate::support::binary::{Cluster, Process, batteuse, run, until, write_spec};
use crate::support::published::{Table, table};

/// Partitions of a run.
const PARTITIONS: u64 = 4;

/// What a run without chaos comes to, and the spec of another one into `out`.
fn ground() -> (Stage, Table, PathBuf) {
    let stage = Stage::long();
    let undisturbed = stage.path("undisturbed");
    run(&stage.source, &undisturbed, &[]).expect(0);
    let bytes = std::fs::metadata(&stage.source).unwrap().len().div_ceil(PARTITIONS);
    let more = format!("  partition: {{bytes: {bytes}}}\n");
    let spec = write_spec(&stage.path("job.yaml"), &stage.source, &stage.out(), &more);
    (stage, table(&undisturbed), spec)
}

/// Faults of a kind that a process has logged.
fn struck(said: &str, fault: &str) -> usize {
    said.lines()
        .filter(|line| line.contains(r#""message":"chaos""#) && line.contains(&format!(r#""fault":"{fault}""#)))
        .count()
}

fn must_be_the_same(out: &Path, undisturbed: &Table) {
    let came_to = table(out);
    assert_eq!(came_to.rows.len(), undisturbed.rows.len());
    assert_eq!(came_to.digest, undisturbed.digest);
}

fn befallen_worker(url: &str, chaos: &str) -> Process {
    Process::start(["worker", "--slots", "1", "--coordinator", url, "--chaos", chaos])
}

#[test]
fn what_is_no_chaos_is_refused_with_what_is() {
    let worker = |chaos| batteuse(["worker", "--coordinator", "http://127.0.0.1:1", "--chaos", chaos]);
    for chaos in ["", "kil=1", "kill=2", "seed=7;kill=1", "poison=7:die", "seed=1,seed=1"] {
        worker(chaos).expect(12).says(&["--chaos", "stall=P[:MS]", "poison=OFFSET[:abort|panic|hang|oom]"]);
    }
    let stage = Stage::new("");
    let state = stage.path("state");
    let args = ["coordinator", "--listen", "127.0.0.1:0", "--state", state.to_str().unwrap(), "--chaos", "poison=1"];
    batteuse(args).expect(12).says(&["--chaos", "poison is for workers"]);
    assert!(batteuse(["worker", "--help"]).expect(0).out.contains("--chaos"));
    assert!(!batteuse(["worker", "-h"]).expect(0).out.contains("--chaos"));
}

#[test]
fn a_run_whose_workers_are_killed_and_delayed_comes_to_the_same() {
    const CHAOS: &str = "seed=1,kill=0.2,delay=0.5:20";
    let (stage, undisturbed, spec) = ground();
    let cluster = Cluster::start(&stage.path("state"));
    let mut worker = befallen_worker(&cluster.url, CHAOS);
    let args = ["submit", "-f", spec.to_str().unwrap(), "--wait", "--coordinator", &cluster.url];
    let mut submitted = Process::start(args);
    let (mut killed, mut delayed) = (0, 0);
    until("the run to end", || {
        if !worker.running() {
            let ended = std::mem::replace(&mut worker, befallen_worker(&cluster.url, CHAOS)).wait();
            assert_eq!((ended.code, struck(&ended.err, "kill")), (None, 1), "{}", ended.err);
            (killed, delayed) = (killed + 1, delayed + struck(&ended.err, "delay"));
        }
        (!submitted.running()).then_some(())
    });
    submitted.wait().expect(0);
    assert!(killed > 0 && delayed > 0, "{killed} kills, {delayed} delays");
    must_be_the_same(&stage.out(), &undisturbed);
}

#[test]
fn a_run_whose_coordinator_is_killed_comes_to_the_same() {
    let (stage, undisturbed, spec) = ground();
    let state = stage.path("state");
    let coordinator = |listen: &str| {
        let chaos = ["--chaos", "seed=1,kill=0.5,delay=0.5:20", "--lease-ttl", "3"];
        let args = ["coordinator", "--listen", listen, "--state", state.to_str().unwrap()];
        Process::start(args.iter().chain(&chaos))
    };
    let mut leads = coordinator("127.0.0.1:0");
    let url = leads.line_of_out("listening on ").trim_start_matches("listening on ").trim().to_owned();
    let listen = url.trim_start_matches("http://").to_owned();
    let _worker = Process::start(["worker", "--slots", "1", "--coordinator", &url]);
    // It may be killed before it has told that the run is durable, and then goes on with it all the same.
    let _submitted = Process::start(["submit", "-f", spec.to_str().unwrap(), "--coordinator", &url]);
    let (mut killed, mut delayed) = (0, 0);
    until("the run to end", || {
        if !leads.running() {
            let ended = std::mem::replace(&mut leads, coordinator(&listen)).wait();
            assert_eq!((ended.code, struck(&ended.err, "kill")), (None, 1), "{}", ended.err);
            (killed, delayed) = (killed + 1, delayed + struck(&ended.err, "delay"));
        }
        stage.out().join("_SUCCESS").exists().then_some(())
    });
    assert!(killed > 0 && delayed > 0, "{killed} kills, {delayed} delays");
    must_be_the_same(&stage.out(), &undisturbed);
}

#[test]
fn a_worker_that_stood_still_finds_its_work_done_and_goes_on() {
    let (stage, undisturbed, spec) = ground();
    let cluster = Cluster::start(&stage.path("state"));
    // Longer than twice the time of a lease: others have begun what it had.
    let mut stalled = befallen_worker(&cluster.url, "seed=1,stall=1:7000");
    let args = ["submit", "-f", spec.to_str().unwrap(), "--wait", "--coordinator", &cluster.url];
    let submitted = Process::start(args);
    stalled.line_of_err(r#""fault":"stall""#);
    let _healthy = Process::start(["worker", "--slots", "1", "--coordinator", &cluster.url]);
    submitted.wait().expect(0);
    must_be_the_same(&stage.out(), &undisturbed);
    assert!(stalled.running());
    stalled.signal("TERM");
    let ended = stalled.wait();
    assert_eq!(ended.code, Some(0), "it wakes and leaves: {}", ended.err);
    assert!(struck(&ended.err, "stall") > 0);
}
