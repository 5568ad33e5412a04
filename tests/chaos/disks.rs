//! Disks that are full, descriptors that run out, and journals that rot.
//!
//! Invariant: none of it counts against a partition or is guessed at: the run waits, or stops and says why, and once there is room or the
//! journal is whole again it comes to what an undisturbed one comes to.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;

use super::seeds;
use crate::recovery::{Chance, Ground, facts, run_of, slots, state};
use crate::support::binary::{BINARY, Cluster, Ended, Process, batteuse, until};
use crate::support::published::{files, parts};

const ROWS: usize = 12_000;
const PARTITIONS: u64 = 100;

/// A small file system of its own, gone when this is dropped.
struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    /// One at the folder `place`, which is made.
    fn at(place: PathBuf) -> Self {
        fs::create_dir(&place).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&place).output();
        let mounted = mounted.expect("`mount` is there: apt-get install mount");
        let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
        assert!(mounted.status.success(), "{why}: this test mounts a small file system: run it as root");
        Self { place }
    }

    fn ballast(&self) -> PathBuf {
        self.place.join("ballast")
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let full = loop {
            if let Err(full) = file.write_all(&[0; 4 << 10]) {
                break full;
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    /// Gives it back.
    fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still writes to it must not keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

/// A cluster with two workers, and a run of it on its way.
fn begun(ground: &Ground, state: &Path, dir: &Path) -> (Cluster, String) {
    let mut cluster = Cluster::start(state);
    (0..2).for_each(|_| cluster.hire(1));
    cluster.wait_for_workers(2);
    let run = cluster.submit(&ground.spec(dir), &[]).expect(0).out.trim().to_owned();
    until("the run to be on its way", || (slots(state, dir) > 6).then_some(()));
    (cluster, run)
}

fn is_done(state: &Path, dir: &Path) -> bool {
    matches!(facts(state, dir).last(), Some(Fact::RunDone { .. }))
}

#[test]
fn a_full_output_holds_a_run_up_and_nothing_else() {
    let ground = Ground::of(ROWS, PARTITIONS);
    let disk = SmallDisk::at(ground.folder.path().join("small"));
    let (state, dir) = (ground.folder.path().join("life.state"), disk.place.join("out"));
    let (cluster, run) = begun(&ground, &state, &dir);
    disk.fill();
    let failed = || -> Vec<String> {
        let log = cluster.coordinator.as_ref().unwrap().log();
        log.lines().filter(|line| line.contains("an attempt failed")).map(str::to_owned).collect()
    };
    until("attempts to fail", || (failed().len() >= 2).then_some(()));
    let status = until("the trouble to be told", || {
        let status = cluster.ask(&["status", &run, "-o", "json"]).expect(0).json();
        status["trouble"].is_string().then_some(status)
    });
    assert!(status["trouble"].as_str().unwrap().contains("No space left"), "{status:#}");
    assert!(ground.look(&state, &dir, "full"), "the run waits, undecided");
    disk.empty();
    until("the run to end", || is_done(&state, &dir).then_some(()));
    let failed = failed();
    println!("{} attempts failed for want of room", failed.len());
    assert!(failed.iter().all(|line| line.contains("\"class\":\"Environment\"")), "{failed:#?}");
    let counted = |fact: &Fact| matches!(fact, Fact::AttemptFailed { .. });
    assert!(!facts(&state, &dir).iter().any(counted), "nothing counts against a partition");
    ground.must_have_ended_well(&state, &dir, "there is room again");
}

#[test]
fn a_full_state_folder_stops_the_coordinator_and_loses_nothing() {
    let ground = Ground::of(ROWS, PARTITIONS);
    let disk = SmallDisk::at(ground.folder.path().join("small"));
    let (state, dir) = (disk.place.join("state"), ground.folder.path().join("out"));
    let (mut cluster, _) = begun(&ground, &state, &dir);
    disk.fill();
    let coordinator = cluster.coordinator.take().unwrap();
    coordinator.wait().expect(16).says(&["journal", "No space left"]);
    assert!(ground.look(&state, &dir, "full"), "the run waits, undecided");
    disk.empty();
    cluster.restart();
    until("the run to end", || is_done(&state, &dir).then_some(()));
    ground.must_have_ended_well(&state, &dir, "there is room again");
}

/// Starts a command that may have so many files open.
fn limited(descriptors: u32, args: &[&str]) -> Process {
    let mut command = Command::new("sh");
    let limited = format!("ulimit -n {descriptors}; exec {BINARY} \"$@\"");
    command.args(["-c", &limited, "sh"]).args(args).env_remove("BATTEUSE_LOG");
    Process::spawn(command)
}

#[test]
fn a_run_with_few_descriptors_ends_well_or_says_why_and_is_resumed() {
    let ground = Ground::of(ROWS, PARTITIONS);
    let (mut well, mut stopped) = (0, 0);
    for descriptors in (8..=48).step_by(4) {
        let dir = ground.folder.path().join(format!("few-{descriptors}"));
        let spec = ground.spec(&dir);
        let args = ["run", "-f", spec.to_str().unwrap(), "--workers", "4"];
        let ended = limited(descriptors, &args).wait();
        match ended.code {
            Some(4) => well += 1,
            _ => {
                assert!(ended.err.contains("Too many open files") || ended.err.contains("os error 24"), "{ended:#?}");
                assert!(ended.code.is_some_and(|code| [12, 16, 130].contains(&code)), "{descriptors}: {ended:#?}");
                stopped += 1;
                let begun = run_of(&dir).is_some() && !facts(&state(&dir), &dir).is_empty();
                if begun {
                    ground.look(&state(&dir), &dir, "few descriptors");
                    batteuse(["resume", "--to", dir.to_str().unwrap()]).expect(4);
                } else {
                    batteuse(["run", "-f", spec.to_str().unwrap()]).expect(4);
                }
            }
        }
        ground.must_have_ended_well(&state(&dir), &dir, &format!("{descriptors} descriptors"));
    }
    println!("{well} runs ended well, {stopped} stopped and were resumed");
    assert!(well > 0 && stopped > 0, "{well} ended well, {stopped} stopped");
}

/// Connections that nobody uses take what descriptors the coordinator has, while a run goes on.
#[test]
fn a_coordinator_without_descriptors_stops_or_waits_and_loses_nothing() {
    let ground = Ground::of(ROWS, PARTITIONS);
    let (state, dir) = (ground.folder.path().join("life.state"), ground.folder.path().join("out"));
    let mut cluster = Cluster::start(&state);
    cluster.coordinator.take().unwrap().killed();
    let listen = cluster.url.trim_start_matches("http://").to_owned();
    let args = ["coordinator", "--lease-ttl", "3", "--listen", &listen, "--state", state.to_str().unwrap()];
    let mut coordinator = limited(40, &args);
    coordinator.line_of_out("listening on ");
    (0..2).for_each(|_| cluster.hire(1));
    until("a run to be accepted", || (cluster.submit(&ground.spec(&dir), &[]).code == Some(0)).then_some(()));
    until("the run to be on its way", || (slots(&state, &dir) > 6).then_some(()));
    let idle: Vec<TcpStream> = (0..60).filter_map(|_| TcpStream::connect(&listen).ok()).collect();
    until("descriptors to run out", || coordinator.log().contains("Too many open files").then_some(()));
    drop(idle);
    until("the run to end", || (is_done(&state, &dir) || !coordinator.running()).then_some(()));
    println!("the coordinator {}", if coordinator.running() { "waited" } else { "stopped" });
    if !coordinator.running() {
        coordinator.wait().expect(16).says(&["Too many open files"]);
        cluster.restart();
    }
    until("the run to end", || is_done(&state, &dir).then_some(()));
    ground.must_have_ended_well(&state, &dir, "few descriptors");
}

/// The slots of the journal of the run that holds `dir`.
fn slots_of(state: &Path, dir: &Path) -> Vec<PathBuf> {
    let journal = state.join(layout::journal_dir(&run_of(dir).unwrap()));
    let mut slots: Vec<_> = fs::read_dir(journal).unwrap().map(|slot| slot.unwrap().path()).collect();
    slots.retain(|slot| !slot.file_name().unwrap().to_str().unwrap().starts_with('.'));
    slots.sort();
    slots
}

/// A coordinator sets aside a run whose journal is damaged, and serves the others.
#[test]
fn a_coordinator_never_guesses_at_a_flipped_bit() {
    let ground = Ground::of(3_000, 30);
    let (state, dir) = (ground.folder.path().join("life.state"), ground.folder.path().join("out"));
    let (mut cluster, run) = begun(&ground, &state, &dir);
    // The workers too: what they have begun must not come to the folder meanwhile.
    let coordinator: Ended =
        cluster.coordinator.take().map(|mut coordinator| (coordinator.kill(), coordinator)).unwrap().1.wait();
    assert_eq!(coordinator.code, None);
    cluster.workers.clear();
    assert!(ground.look(&state, &dir, "killed"), "the run is too short for this test");
    let mut chance = Chance(seeds(1).start);
    for slot in slots_of(&state, &dir) {
        let whole = fs::read(&slot).unwrap();
        let (byte, bit) = (chance.below(whole.len() as u64) as usize, chance.below(8));
        let mut flipped = whole.clone();
        flipped[byte] ^= 1 << bit;
        fs::write(&slot, &flipped).unwrap();
        let before = (files(&dir), slots_of(&state, &dir));
        cluster.restart();
        let how = format!("bit {bit} of byte {byte} of {}", slot.display());
        let line = cluster.coordinator.as_ref().unwrap().line_of_err("a run is set aside");
        assert!(
            line.contains("damaged") && line.contains(slot.to_str().unwrap()) && line.contains(&run),
            "{how}: {line}"
        );
        cluster.ask(&["status", &run]).expect(12);
        assert_eq!((files(&dir), slots_of(&state, &dir)), before, "{how}: nothing is changed");
        assert!(parts(&dir).is_empty(), "{how}");
        fs::write(&slot, &whole).unwrap();
    }
    // The others go on beside it.
    let first = slots_of(&state, &dir)[0].clone();
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..whole.len() - 1]).unwrap();
    cluster.restart();
    cluster.coordinator.as_ref().unwrap().line_of_err("a run is set aside");
    (0..2).for_each(|_| cluster.hire(1));
    let other = ground.folder.path().join("other");
    cluster.submit(&ground.spec(&other), &[]).expect(0);
    until("the other run to end", || is_done(&state, &other).then_some(()));
    ground.must_have_ended_well(&state, &other, "beside a damaged one");
    fs::write(&first, &whole).unwrap();
    cluster.restart();
    until("the run to end", || is_done(&state, &dir).then_some(()));
    ground.must_have_ended_well(&state, &dir, "put back");
}
