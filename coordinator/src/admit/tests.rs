//! Admission against every state of an output folder.

use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::manifest::{Manifest, ManifestPart, Success};
use batteuse_shared::span::Span;
use batteuse_shared::spec::{
    API_VERSION, Columns, Compression, Csv, KIND, Metadata, Mode, Output, Parquet, Partition, Rejects, Source, Spec,
};
use batteuse_shared::table::{Checksum, Digest};
use batteuse_store::Disk;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::journal::StateFolder;

fn job(root: &Path, out: &str) -> Job {
    let source = root.join("in.csv");
    if !source.exists() {
        fs::write(&source, "a,b\n1,2\n").unwrap();
    }
    let spec = Spec {
        source: Source { url: location::url_of_file(&source).unwrap(), csv: Csv::default() },
        partition: Partition::default(),
        columns: Columns::Infer,
        output: Output::parquet(Parquet {
            url: location::url_of_dir(&root.join(out)).unwrap(),
            compression: Compression::default(),
            file_bytes: limits::FILE_BYTES_DEFAULT,
            mode: Mode::Error,
            partition_by: Vec::new(),
        }),
        rejects: Rejects::default(),
        priority: 0,
    };
    let metadata = Metadata { name: "job".to_owned() };
    Job { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), metadata, spec }
}

/// The ground of an embedded run into `out`.
fn embedded(root: &Path, out: &str) -> Ground {
    ground(layout::EMBEDDED_STATE.to_owned(), &root.join(out).join(layout::EMBEDDED_STATE))
}

/// The ground of a coordinator.
fn cluster(root: &Path) -> Ground {
    let state = root.join("state");
    ground(location::url_of_dir(&state).unwrap(), &state)
}

fn ground(claimed_as: String, state: &Path) -> Ground {
    let state = Arc::new(StateFolder::new(Arc::new(Disk::new(state)), ""));
    let stores = Arc::new(Stores::new([]));
    Ground { claimed_as, state, stores, clock: || Millis(7), writer: uuid::Uuid::nil() }
}

fn new(admission: Result<Admission, AdmitError>) -> Accepted {
    match admission.unwrap() {
        Admission::New(accepted) => *accepted,
        Admission::Known(run) => panic!("{run} is known"),
    }
}

/// Journals facts as a driver would: the acceptance, and then `more`.
fn journal(ground: &Ground, accepted: &Accepted, more: &[Fact]) {
    let mut journal = Journal::open(&*ground.state, &accepted.run, ground.writer, Position::default()).unwrap();
    let mut facts = vec![Fact::RunAccepted(Box::new(accepted.clone()))];
    facts.extend_from_slice(more);
    journal.append(Epoch(1), &facts).unwrap();
}

fn ended(state: RunState) -> Vec<Fact> {
    let decision = Decision { state, reason: None, manifest_sha256: None, at: Millis(8) };
    vec![Fact::RunDecided(decision), Fact::RunDone { at: Millis(9) }]
}

#[test]
fn an_absent_or_empty_folder_is_taken_and_staging_is_ready() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    for out in ["absent/below", "empty"] {
        let accepted = new(admit(job(root.path(), out), "r1", &embedded(root.path(), out)));
        let staging = root.path().join(out).join(layout::staging_dir(&accepted.run));
        assert_eq!(fs::read_to_string(staging.join(layout::STAGING_NONCE)).unwrap(), accepted.nonce);
        assert_eq!(accepted.source.version.bytes, 8);
    }
}

#[test]
fn a_run_that_never_began_is_made_void_and_can_never_begin() {
    let root = TempDir::new().unwrap();
    let ground = embedded(root.path(), "out");
    let first = new(admit(job(root.path(), "out"), "r1", &ground));
    let second = new(admit(job(root.path(), "out"), "r2", &ground));
    assert_eq!(claim::current(&Disk::new(root.path().join("out"))).unwrap().unwrap().1.run, second.run);
    let mut late = Journal::open(&*ground.state, &first.run, uuid::Uuid::max(), Position::default()).unwrap();
    let lost = late.append(Epoch(1), &[Fact::RunAccepted(Box::new(first))]).unwrap_err();
    assert!(matches!(lost, AppendError::Conflict { .. }), "{lost}");
    new(admit(job(root.path(), "out"), "r3", &embedded(root.path(), "out")));
}

#[test]
fn unfinished_and_finished_runs_keep_their_folder_and_failed_ones_do_not() {
    let root = TempDir::new().unwrap();
    let cases = [
        (vec![], false),
        (ended(RunState::Succeeded), false),
        (ended(RunState::SucceededWithRejects), false),
        (ended(RunState::Failed), true),
        (ended(RunState::Cancelled), true),
    ];
    for (i, (facts, taken)) in cases.into_iter().enumerate() {
        let out = format!("out{i}");
        let ground = embedded(root.path(), &out);
        journal(&ground, &new(admit(job(root.path(), &out), "r1", &ground)), &facts);
        let again = admit(job(root.path(), &out), "r2", &ground);
        assert_eq!(again.is_ok(), taken, "{i}: {again:?}");
        if facts.is_empty() {
            let words = again.unwrap_err().to_string();
            assert!(words.contains("unfinished run job-r1") && words.contains("batteuse resume --to"), "{words}");
        }
    }
}

#[test]
fn a_moved_folder_still_knows_its_run() {
    let root = TempDir::new().unwrap();
    let ground = embedded(root.path(), "before");
    journal(&ground, &new(admit(job(root.path(), "before"), "r1", &ground)), &ended(RunState::Succeeded));
    fs::rename(root.path().join("before"), root.path().join("after")).unwrap();
    let refused = admit(job(root.path(), "after"), "r2", &embedded(root.path(), "after")).unwrap_err();
    assert!(matches!(refused, AdmitError::Finished { .. }), "{refused}");
    assert!(!root.path().join("before").exists(), "nothing is made where the folder was");
}

#[test]
fn a_folder_whose_journal_is_gone_is_not_touched() {
    for trace in ["part-0000000000000000-0000000100000001.parquet", layout::SUCCESS] {
        let root = TempDir::new().unwrap();
        let ground = embedded(root.path(), "out");
        new(admit(job(root.path(), "out"), "r1", &ground));
        fs::write(root.path().join("out").join(trace), "x").unwrap();
        let refused = admit(job(root.path(), "out"), "r2", &ground).unwrap_err();
        assert!(matches!(refused, AdmitError::JournalGone { .. }), "{trace}: {refused}");
    }
    let root = TempDir::new().unwrap();
    let ground = embedded(root.path(), "out");
    let accepted = new(admit(job(root.path(), "out"), "r1", &ground));
    fs::write(root.path().join("out").join(layout::staging_dir(&accepted.run)).join("0.part.tmp"), "x").unwrap();
    let refused = admit(job(root.path(), "out"), "r2", &ground).unwrap_err();
    assert!(matches!(refused, AdmitError::JournalGone { .. }), "staged files tell of a run: {refused}");
    let root = TempDir::new().unwrap();
    new(admit(job(root.path(), "out"), "r1", &cluster(root.path())));
    let refused = admit(job(root.path(), "out"), "r2", &embedded(root.path(), "out")).unwrap_err();
    assert!(matches!(refused, AdmitError::JournalGone { .. }), "a state out of reach tells nothing: {refused}");
    assert!(!root.path().join("state").exists(), "and none is made in its place");
}

#[test]
fn the_same_request_is_one_run() {
    let root = TempDir::new().unwrap();
    let ground = cluster(root.path());
    let first = new(admit(job(root.path(), "out"), "r1", &ground));
    let again = new(admit(job(root.path(), "out"), "r1", &ground));
    assert_eq!((&first.run, &first.nonce), (&again.run, &again.nonce), "a crash before the journal is gone on from");
    journal(&ground, &first, &[]);
    assert!(
        matches!(admit(job(root.path(), "out"), "r1", &ground).unwrap(), Admission::Known(run) if run == first.run)
    );
    let refused = admit(job(root.path(), "elsewhere"), "r1", &ground).unwrap_err();
    assert!(matches!(refused, AdmitError::Reused { .. }), "{refused}");
    assert!(!root.path().join("elsewhere").exists(), "it is refused before anything is claimed");
}

#[test]
fn sources_and_folders_that_cannot_be_used_are_refused_before_anything_is_written() {
    let root = TempDir::new().unwrap();
    let ground = embedded(root.path(), "out");
    let mut gone = job(root.path(), "out");
    gone.spec.source.url = "file:///nowhere/in.csv".to_owned();
    assert!(matches!(admit(gone, "r", &ground), Err(AdmitError::Source { .. })));
    let mut folder = job(root.path(), "out");
    folder.spec.source.url = location::url_of_file(root.path()).unwrap();
    assert!(matches!(admit(folder, "r", &ground), Err(AdmitError::NotAFile { .. })));
    let mut many = job(root.path(), "out");
    fs::File::create(root.path().join("in.csv")).unwrap().set_len(1 << 20).unwrap();
    many.spec.partition.bytes = Auto::Given(1);
    assert!(matches!(admit(many, "r", &ground), Err(AdmitError::TooManyPartitions { .. })));
    assert!(!root.path().join("out").exists());
    std::os::unix::fs::symlink(root.path().join("nowhere"), root.path().join("link")).unwrap();
    let refused = admit(job(root.path(), "link"), "r", &embedded(root.path(), "link")).unwrap_err();
    assert!(matches!(refused, AdmitError::Claim(ClaimError::NotAFolder { .. })), "{refused}");
}

fn under(mode: Mode, root: &Path) -> Job {
    let mut job = job(root, "out");
    job.spec.output.parquet.as_mut().unwrap().mode = mode;
    job
}

/// Lays the table of `run` into `out`, as publishing leaves it: one part, made in the given epoch. Returns the part's name.
fn lay_table(out: &Path, accepted: &Accepted, epoch: u32) -> String {
    let (attempt, content) = (AttemptId::new(Epoch(epoch), 2), "rows");
    let name = layout::part(4, attempt);
    let part = ManifestPart {
        partition: PartitionId(0),
        attempt,
        span: Span::new(4, 8),
        file: Some(name.clone()),
        values: Vec::new(),
        rows: 1,
        bytes: content.len() as u64,
        digest: Digest(7),
        sha256: Some(Checksum(Sha256::digest(content).into())),
    };
    let manifest = Manifest {
        run: accepted.run.clone(),
        job: "job".to_owned(),
        source: accepted.source.clone(),
        columns: Vec::new(),
        partition_by: Vec::new(),
        rows: 1,
        digest: Digest(7),
        postgres: None,
        parts: vec![part],
        kept: Vec::new(),
    };
    fs::write(out.join(&name), content).unwrap();
    fs::write(out.join(layout::manifest(&accepted.run)), serde_json::to_vec(&manifest).unwrap()).unwrap();
    fs::write(out.join(layout::SUCCESS), serde_json::to_vec(&Success::of(&manifest)).unwrap()).unwrap();
    name
}

#[test]
fn a_table_is_gone_on_from_as_the_mode_says_and_by_one_run_at_a_time() {
    let root = TempDir::new().unwrap();
    let (ground, out) = (embedded(root.path(), "out"), root.path().join("out"));
    let first = new(admit(under(Mode::Append, root.path()), "r1", &ground));
    assert_eq!(first.standing, None, "there is no table yet");
    let part = lay_table(&out, &first, 3);
    journal(&ground, &first, &ended(RunState::Succeeded));
    let refused = admit(under(Mode::Error, root.path()), "r2", &ground).unwrap_err();
    assert!(refused.to_string().contains("mode append or overwrite"), "{refused}");
    // What never began has not touched the table.
    new(admit(under(Mode::Overwrite, root.path()), "r3", &ground));
    let adds = new(admit(under(Mode::Append, root.path()), "r4", &ground));
    let standing = adds.standing.clone().unwrap();
    let success = Checksum(Sha256::digest(fs::read(out.join(layout::SUCCESS)).unwrap()).into());
    assert_eq!((standing.files().collect::<Vec<_>>(), standing.success_sha256), (vec![part.as_str()], success));
    assert_eq!(standing.epoch(), Epoch(3));
    assert_eq!(Run::new(adds.clone()).epoch(), Epoch(3), "its attempts are of later epochs: no name is given twice");
    journal(&ground, &adds, &[]);
    for mode in [Mode::Error, Mode::Append, Mode::Overwrite] {
        let refused = admit(under(mode, root.path()), "r5", &ground).unwrap_err();
        assert!(matches!(refused, AdmitError::Unfinished { .. }), "{mode:?}: {refused}");
    }
}

#[test]
fn a_run_that_failed_leaves_the_table_to_the_next() {
    let root = TempDir::new().unwrap();
    let (ground, out) = (embedded(root.path(), "out"), root.path().join("out"));
    let first = new(admit(under(Mode::Error, root.path()), "r1", &ground));
    lay_table(&out, &first, 1);
    journal(&ground, &first, &ended(RunState::Succeeded));
    let fails = new(admit(under(Mode::Overwrite, root.path()), "r2", &ground));
    journal(&ground, &fails, &ended(RunState::Failed));
    let refused = admit(under(Mode::Error, root.path()), "r3", &ground).unwrap_err();
    assert!(matches!(&refused, AdmitError::Finished { run, .. } if *run == first.run), "{refused}");
    let next = new(admit(under(Mode::Overwrite, root.path()), "r4", &ground));
    assert_eq!(next.standing, fails.standing);
}

#[test]
fn a_table_that_is_not_as_it_was_written_is_refused_and_left() {
    type Damage = fn(&Path, &Accepted);
    let damage: [(&str, Damage); 5] = [
        ("_SUCCESS", |out, _| fs::write(out.join(layout::SUCCESS), "{").unwrap()),
        ("manifest", |out, first| fs::remove_file(out.join(layout::manifest(&first.run))).unwrap()),
        ("another table", |out, first| {
            let path = out.join(layout::manifest(&first.run));
            let text = fs::read_to_string(&path).unwrap().replace("\"rows\":1", "\"rows\":2");
            fs::write(path, text).unwrap();
        }),
        ("a name that leads elsewhere", |out, first| {
            for path in [layout::manifest(&first.run), layout::SUCCESS.to_owned()] {
                let text = fs::read_to_string(out.join(&path)).unwrap().replace("part-0", "../part-0");
                fs::write(out.join(path), text).unwrap();
            }
        }),
        ("a stray part", |out, _| fs::write(out.join(layout::part(9, AttemptId(9))), "theirs").unwrap()),
    ];
    for (what, damage) in damage {
        let root = TempDir::new().unwrap();
        let (ground, out) = (embedded(root.path(), "out"), root.path().join("out"));
        let first = new(admit(under(Mode::Error, root.path()), "r1", &ground));
        lay_table(&out, &first, 1);
        journal(&ground, &first, &ended(RunState::Succeeded));
        damage(&out, &first);
        for mode in [Mode::Append, Mode::Overwrite] {
            let refused = admit(under(mode, root.path()), "r2", &ground).unwrap_err();
            let stray = what == "a stray part";
            let fits = if stray {
                matches!(refused, AdmitError::Foreign { .. })
            } else {
                matches!(refused, AdmitError::Standing(_))
            };
            assert!(fits && !refused.is_environment(), "{what}: {refused}");
            assert_eq!(
                claim::current(&Disk::new(&out)).unwrap().unwrap().1.run,
                first.run,
                "{what}: nothing is claimed"
            );
        }
    }
}
