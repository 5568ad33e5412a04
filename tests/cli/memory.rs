//! Memory: what a control group allows is what a worker's slots share.

use std::path::PathBuf;

use super::Stage;
use crate::support::binary::{BINARY, Cluster, Process, batteuse, until};

/// Where no control group can be made (it takes root), the flag says what it would allow; how groups are read is tested beside the code.
#[test]
fn a_worker_shares_the_memory_that_its_control_group_allows() {
    const GROUPS: &str = "/sys/fs/cgroup/memory";
    let group = PathBuf::from(GROUPS).join(format!("batteuse-test-{}", std::process::id()));
    let limit = (300u64 << 20).to_string();
    let made = std::fs::create_dir(&group).and_then(|()| std::fs::write(group.join("memory.limit_in_bytes"), limit));
    let stage = Stage::new("");
    let cluster = Cluster::start(&stage.path("state"));
    let mut command = std::process::Command::new("sh");
    let (join, memory) = match made {
        Ok(()) => (format!("echo $$ > {}/cgroup.procs && ", group.display()), ""),
        Err(_) => (String::new(), "--memory 225MiB"),
    };
    command.args(["-c", &format!("{join}exec {BINARY} worker --slots 4 --coordinator {} {memory}", cluster.url)]);
    let worker = Process::spawn(command);
    let said = worker.line_of_err("there is not memory for so many slots");
    assert!(said.contains(r#""slots":1"#) && said.contains(r#""wanted":4"#), "{said}");
    assert!(said.contains(&format!(r#""memory_bytes":{}"#, 225u64 << 20)), "{said}");
    drop(worker);
    until("the group to be left", || (!group.exists() || std::fs::remove_dir(&group).is_ok()).then_some(()));
}

#[test]
fn memory_that_is_too_little_for_a_slot_is_refused() {
    let little = ["--memory", "100MiB"];
    let worker = ["worker", "--coordinator", "http://127.0.0.1:1"];
    for command in [&worker[..], &["run", "--from", "a.csv", "--to", "out"], &["resume", "--to", "out"]] {
        batteuse(command.iter().chain(&little)).expect(12).says(&["--memory", "128MiB"]);
    }
}
