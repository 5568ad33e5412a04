//! Append and overwrite, step by step, in every backend: publishing is stopped after each step and redone, beside a plain twin.
//!
//! Invariant: at every instant `_SUCCESS` lists one whole table, the old or the new one; what the folder holds is what the twin holds.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;

use batteuse_coordinator::claim::{self, Claim, ClaimOutcome};
use batteuse_coordinator::publish::{Before, Link, PublishError, PublishPlan, Staged, publish};
use batteuse_shared::ids::{AttemptId, Epoch, PartitionId, RunId};
use batteuse_shared::layout;
use batteuse_shared::limits::TEXT_BYTES_MAX;
use batteuse_shared::spec::Mode;
use batteuse_shared::table::Checksum;
use batteuse_store::Folder;
use sha2::{Digest as _, Sha256};

use super::{Ground, files};

/// What lies in the folder beside the engine's own.
type Seen = BTreeMap<String, String>;

/// A run's plan, and the names and contents of its parts.
struct Run {
    plan: PublishPlan,
    parts: Seen,
}

fn id(number: u64) -> RunId {
    RunId::new(&format!("run-{number}")).unwrap()
}

/// Claims the folder for a run of this number, stages its parts, and plans it over the table that stands in the folder.
fn stage(folder: &dyn Folder, number: u64, mode: Mode) -> Run {
    let (run, standing) = (id(number), seen(folder));
    let mine = Claim { run: run.clone(), state: "file:///state/".to_owned(), nonce: format!("nonce {number}") };
    assert_eq!(claim::claim(folder, number, &mine).unwrap(), ClaimOutcome::Won);
    folder.make(&layout::staging_dir(&run)).unwrap();
    let mut parts = Seen::new();
    let link = |at: u32| {
        let attempt = AttemptId::new(Epoch(number as u32 + 1), at);
        // In the order of their paths.
        let by = ["a=1/b=x%2Fy", "a=2", ""][at as usize];
        let name = layout::staged_part(PartitionId(at), attempt, 0);
        let published = layout::part_in(by, u64::from(at), attempt);
        let content = format!("part {at} of run {number}");
        let mut file = folder.stage(&format!("{}/{name}", layout::staging_dir(&run)), &published).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let (bytes, _) = file.seal().unwrap();
        parts.insert(published.clone(), content);
        Link { attempt, staged: Staged { name, upload: file.keep() }, published, bytes }
    };
    let links: Vec<Link> = (0..3).map(link).collect();
    let old: Vec<String> = standing.keys().filter(|name| *name != layout::SUCCESS).cloned().collect();
    let before = standing.get(layout::SUCCESS).map(|success| {
        let success_sha256 = Checksum(Sha256::digest(success).into());
        match mode {
            Mode::Overwrite => Before { success_sha256, kept: Vec::new(), removed: old.clone() },
            _ => Before { success_sha256, kept: old.clone(), removed: Vec::new() },
        }
    });
    let kept = before.iter().flat_map(|before| before.kept.clone());
    let listed: Vec<String> = kept.chain(parts.keys().cloned()).collect();
    let plan = PublishPlan {
        output_url: "file:///nowhere/".to_owned(),
        run: run.clone(),
        before,
        parts: links,
        rejects: None,
        table: None,
        replaces: Vec::new(),
        removes: Vec::new(),
        keeps: false,
        unwanted: Vec::new(),
        manifest: Some(format!("manifest {number}\n")),
        report: Some(format!("report {number}\n")),
        success: Some(format!("{}\n", listed.join("\n"))),
    };
    Run { plan, parts }
}

fn seen(folder: &dyn Folder) -> Seen {
    let names = files(folder, "").into_iter().filter(|name| !name.starts_with(layout::ENGINE_DIR));
    let text = |name: &str| String::from_utf8(folder.read(name, TEXT_BYTES_MAX).unwrap().unwrap()).unwrap();
    names.map(|name| (name.clone(), text(&name))).collect()
}

/// What the folder must hold after each step of a plan, by a twin that knows no redo. Parts that are completed at once are all there when
/// the first one is told.
fn twin(before: &Seen, run: &Run, at_once: bool) -> Vec<Seen> {
    let (mut now, mut all) = (before.clone(), vec![before.clone()]);
    if at_once {
        now.extend(run.parts.clone());
    }
    for (name, content) in &run.parts {
        now.insert(name.clone(), content.clone());
        all.push(now.clone());
    }
    // Manifest and report lie in the engine's folder.
    all.extend([now.clone(), now.clone()]);
    now.insert(layout::SUCCESS.to_owned(), run.plan.success.clone().unwrap());
    all.push(now.clone());
    for name in run.plan.before.iter().flat_map(|before| &before.removed) {
        now.remove(name);
        all.push(now.clone());
    }
    all
}

/// `_SUCCESS` lists files that are all there, and they are one run's or one table's.
fn must_be_whole(seen: &Seen, tables: &[Option<&String>]) {
    let success = seen.get(layout::SUCCESS);
    assert!(tables.contains(&success), "{success:?}");
    for name in success.iter().flat_map(|text| text.lines()) {
        assert!(seen.contains_key(name), "{name} is listed and not there");
    }
}

fn publish_stopped(run: &Run, folder: &dyn Folder, steps: usize) -> Result<(), PublishError> {
    let mut done = 0;
    publish(&run.plan, folder, &mut |_| {
        done += 1;
        if done == steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

/// A table is written, and then gone on from under `mode`, stopped after every step in turn. Each run goes on from the one before it.
fn stopped_anywhere_and_redone(folder: &dyn Folder, mode: Mode, numbers: &mut std::ops::RangeFrom<u64>) {
    let mut steps = 0;
    loop {
        steps += 1;
        let before = seen(folder);
        let run = stage(folder, numbers.next().unwrap(), mode);
        assert_eq!(seen(folder), before, "VISIBLE-IS-DECIDED");
        let wanted = twin(&before, &run, folder.has_uploads());
        let whole = wanted.len() - 1;
        if steps > whole {
            assert!(publish_stopped(&run, folder, 0).is_ok());
            return;
        }
        let stopped = publish_stopped(&run, folder, steps);
        assert!(matches!(stopped, Err(PublishError::Stopped { .. })), "{stopped:?}");
        assert_eq!(seen(folder), wanted[steps], "{mode:?}, after step {steps} of {whole}");
        must_be_whole(&seen(folder), &[before.get(layout::SUCCESS), run.plan.success.as_ref()]);
        for _ in 0..2 {
            publish_stopped(&run, folder, 0).unwrap();
            assert_eq!(seen(folder), wanted[whole], "{mode:?}, redone after step {steps} of {whole}");
        }
        must_be_whole(&seen(folder), &[run.plan.success.as_ref()]);
    }
}

/// A coordinator that comes back when its run's table was replaced changes nothing.
fn late(folder: &dyn Folder, numbers: &mut std::ops::RangeFrom<u64>) {
    for mode in [Mode::Append, Mode::Overwrite] {
        let first = stage(folder, numbers.next().unwrap(), mode);
        publish_stopped(&first, folder, 0).unwrap();
        let second = stage(folder, numbers.next().unwrap(), Mode::Overwrite);
        publish_stopped(&second, folder, 0).unwrap();
        let there = seen(folder);
        let refused = publish_stopped(&first, folder, 0);
        assert!(matches!(refused, Err(PublishError::Foreign { .. })), "{refused:?}");
        assert_eq!(seen(folder), there);
        // As if it had looked around before the other took the folder, and then stood still.
        let (before, text) = (first.plan.before.unwrap(), first.plan.success.unwrap());
        folder.replace(layout::SUCCESS, &before.success_sha256, text.as_bytes()).unwrap_err();
        assert_eq!(seen(folder), there);
    }
}

/// What no manifest of ours lists is neither replaced nor removed.
fn strangers(folder: &dyn Folder, numbers: &mut std::ops::RangeFrom<u64>) {
    let stranger = "part-00000000000000ff-00000000000000ff.parquet";
    folder.create_if_absent(stranger, b"theirs").unwrap();
    let there = seen(folder);
    for mode in [Mode::Append, Mode::Overwrite] {
        let mut run = stage(folder, numbers.next().unwrap(), mode);
        let before = run.plan.before.as_mut().unwrap();
        before.kept.retain(|name| name != stranger);
        before.removed.retain(|name| name != stranger);
        let refused = publish_stopped(&run, folder, 0);
        assert!(matches!(refused, Err(PublishError::Foreign { .. })), "{refused:?}");
        assert_eq!(seen(folder), there);
    }
    folder.discard(stranger, None).unwrap();
}

/// A run that failed leaves the table as it is.
fn failed(folder: &dyn Folder, numbers: &mut std::ops::RangeFrom<u64>) {
    let there = seen(folder);
    let mut run = stage(folder, numbers.next().unwrap(), Mode::Overwrite);
    let unwanted = run.plan.parts.drain(..).map(|link| link.staged).collect();
    run.plan = PublishPlan { before: None, unwanted, manifest: None, success: None, ..run.plan };
    publish_stopped(&run, folder, 0).unwrap();
    assert_eq!(seen(folder), there);
}

fn must_hold(ground: &Ground) {
    let folder = &*ground.folder;
    let mut numbers = 0..;
    let first = stage(folder, numbers.next().unwrap(), Mode::Error);
    publish_stopped(&first, folder, 0).unwrap();
    stopped_anywhere_and_redone(folder, Mode::Append, &mut numbers);
    stopped_anywhere_and_redone(folder, Mode::Overwrite, &mut numbers);
    late(folder, &mut numbers);
    strangers(folder, &mut numbers);
    failed(folder, &mut numbers);
}

#[test]
fn modes_in_memory() {
    must_hold(&Ground::memory());
}

#[test]
fn modes_on_a_disk() {
    must_hold(&Ground::disk());
}

#[test]
fn modes_in_s3() {
    must_hold(&Ground::s3());
}

#[test]
fn modes_in_azure() {
    must_hold(&Ground::azure());
}
