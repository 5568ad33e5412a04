//! Attempts alone in a process: what kills them kills that process and nothing else, and they leave when nobody waits for them.
//!
//! Invariant: processes are known by a place in the source that no other test's are poisoned at, so each test sees its own.

mod grants;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use batteuse_proto::{CoordinatorSays, WorkerSays};
use batteuse_shared::ids::{AttemptId, Epoch, PartitionId, RunId};
use batteuse_shared::location::{url_of_dir, url_of_file};
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::spec::{Columns, Compression, Csv, Ragged};
use batteuse_shared::table::Checksum;
use batteuse_shared::task::{
    Failure, FailureClass, InspectTask, Inspected, Lease, Outcome, ParseTask, Parsed, Phases, SourceRef, Staging, Task,
};
use batteuse_shared::{layout, limits};
use batteuse_store::Stores;
use batteuse_worker::alone::{self, Launch};
use batteuse_worker::pipeline::{self, Progress};
use batteuse_worker::read::version_of;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use self::grants::Grants;
use crate::support::binary::{BINARY, Process, until};

/// Memory of a process that is to meet its limit. Bytes: an attempt at a few MiB needs a tenth of it.
const MEMORY_BYTES: &str = "268435456";

/// A source that was inspected, and an output folder.
struct Ground {
    folder: TempDir,
    found: Inspected,
    bytes: Vec<u8>,
}

impl Ground {
    /// So many records.
    fn new(records: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "id,name\n".to_owned();
        (0..records).for_each(|id| writeln!(text, "{id},\"the {id}th\nof its kind\"").unwrap());
        fs::write(folder.path().join("source.csv"), &text).unwrap();
        let staging = folder.path().join("out").join(layout::staging_dir(&run()));
        fs::create_dir_all(&staging).unwrap();
        fs::write(staging.join(layout::STAGING_NONCE), "nonce-1").unwrap();
        let task = InspectTask {
            source: source(folder.path()),
            csv: Csv::default(),
            columns: Columns::Infer,
            compression: Compression::default(),
            table: None,
            staging: Staging {
                output_url: url_of_dir(&folder.path().join("out")).unwrap(),
                nonce: "nonce-1".to_owned(),
            },
        };
        let lease = Lease { run: run(), attempt: AttemptId::new(Epoch(1), 1), task: Task::Inspect(task) };
        let Outcome::Inspected(found) = pipeline::execute(&lease, &Progress::new(), &Stores::new([])) else {
            panic!("the source is inspected")
        };
        Self { folder, found: *found, bytes: text.into_bytes() }
    }

    /// An offset in the middle, inside a record: a different one for each test of a process.
    fn middle(&self, nth: u64) -> u64 {
        self.bytes.len() as u64 / 2 + nth
    }

    /// An attempt at a range, alone.
    fn lease(&self, counter: u32, range: Span, start: Option<StateId>) -> Lease {
        let task = ParseTask {
            source: source(self.folder.path()),
            dialect: self.found.dialect.clone(),
            ragged: Ragged::Reject,
            columns: self.found.columns.clone(),
            partition: PartitionId(0),
            range,
            start,
            compression: Some(Compression::default()),
            partition_by: Vec::new(),
            table: None,
            staging: Staging {
                output_url: url_of_dir(&self.folder.path().join("out")).unwrap(),
                nonce: "nonce-1".to_owned(),
            },
            replaces: None,
            alone: true,
            quarantine: false,
        };
        Lease { run: run(), attempt: AttemptId::new(Epoch(1), counter), task: Task::Parse(Box::new(task)) }
    }

    /// Likewise, at the whole source.
    fn whole(&self, counter: u32) -> Lease {
        self.lease(counter, Span::new(self.found.data_start, self.bytes.len() as u64), Some(self.found.start))
    }
}

fn run() -> RunId {
    RunId::new("job-1").unwrap()
}

fn source(folder: &Path) -> SourceRef {
    let path = folder.join("source.csv");
    SourceRef { url: url_of_file(&path).unwrap(), version: version_of(&path).unwrap() }
}

/// The binary as a worker starts it, with this chaos.
fn launch(chaos: Option<&str>) -> Launch {
    let args = ["attempt", "--memory", MEMORY_BYTES].into_iter().chain(chaos.into_iter().flat_map(|c| ["--chaos", c]));
    Launch { program: PathBuf::from(BINARY), args: args.map(Into::into).collect() }
}

fn parsed(outcome: Outcome) -> Parsed {
    match outcome {
        Outcome::Parsed(parsed) => *parsed,
        other => panic!("{other:?}"),
    }
}

fn failed(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// Processes that were started with this word, by number.
fn processes(word: &str) -> Vec<String> {
    let of = |entry: fs::DirEntry| {
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let has = arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes());
        has.then(|| entry.file_name().into_string().unwrap())
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| of(entry.unwrap())).collect()
}

/// The process of an attempt that hangs of this poison, once it is there.
fn hanging(poison: &str) -> String {
    until("the attempt's process", || processes(poison).into_iter().find(|id| is_attempt(id)))
}

fn is_attempt(process: &str) -> bool {
    let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).nth(1) == Some(b"attempt")
}

fn until_gone(process: &str) {
    // Who has ended and waits to be asked how is gone too.
    let stat = format!("/proc/{process}/stat");
    until("the attempt's process to end", || {
        let stat = fs::read_to_string(&stat).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        (state.is_empty() || state.starts_with('Z')).then_some(())
    });
}

#[test]
fn an_attempt_alone_comes_to_what_any_comes_to() {
    let ground = Ground::new(100_000);
    let progress = Progress::new();
    let alone = parsed(alone::execute(&ground.whole(10), &progress, &launch(None)));
    assert_eq!(progress.bytes_done(), alone.span.bytes(), "it tells how far it is");
    assert!(progress.work() > 0);
    let plain = parsed(pipeline::execute(&ground.whole(11), &Progress::new(), &Stores::new([])));
    assert_eq!(alone.counts.read, 100_000);
    let told = |parsed: &Parsed| parsed.parts.iter().map(|part| (part.rows, part.sha256)).collect::<Vec<_>>();
    assert_eq!(told(&alone), told(&plain));
    let rest = |parsed: Parsed| Parsed { parts: Vec::new(), phases: Phases::default(), ..parsed };
    assert_eq!(rest(alone), rest(plain));
}

#[test]
fn what_kills_an_attempt_alone_is_told_and_kills_nobody_else() {
    let ground = Ground::new(20_000);
    let at = |death: &str| format!("poison={}:{death}", ground.middle(1));
    let cases = [
        (launch(Some(&at("abort"))), "was killed by SIGABRT (signal 6)"),
        (launch(Some(&at("oom"))), "memory allocation of 67108864 bytes failed"),
        (launch(Some(&at("panic"))), "the attempt panicked: poison="),
        (Launch { program: "false".into(), args: Vec::new() }, "exited with code 1 without an answer"),
        (Launch { program: "cat".into(), args: Vec::new() }, "the attempt was alone in a process, which"),
        (
            Launch { program: "sh".into(), args: ["-c", "echo last words >&2; kill -SEGV $$"].map(Into::into).into() },
            "was killed by SIGSEGV (signal 11). It said last: last words",
        ),
        (launch(Some("poison=none")), "exited with code 12 without an answer"),
    ];
    let mut limited = 0;
    for (counter, (launch, words)) in (10..).step_by(2).zip(cases) {
        let failure = failed(alone::execute(&ground.whole(counter), &Progress::new(), &launch));
        assert_eq!(failure.class, FailureClass::Crash, "{words}: {failure:?}");
        assert!(failure.message.contains(words), "{words}: {failure:?}");
        assert!(failure.message.len() <= limits::FAILURE_MESSAGE_BYTES_MAX);
        if let Some((_, asked)) = failure.message.split_once(r#""asked_bytes":"#) {
            // Some blocks of 64 MiB fit beside what the process has already, and not a gigabyte.
            let digits = asked.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            let most = MEMORY_BYTES.parse().unwrap();
            assert!((1..most).contains(&digits.parse::<u64>().unwrap()), "the limit is met: {digits}");
            limited += 1;
        }
        // Under the same limit, the same attempt goes well where nothing befalls it.
        let well = parsed(alone::execute(&ground.whole(counter + 1), &Progress::new(), &self::launch(None)));
        assert_eq!(well.counts.written, 20_000);
    }
    assert_eq!(limited, 1, "one of them ran out of memory, and said how much it had asked for");
    let absent = Launch { program: ground.folder.path().join("absent"), args: Vec::new() };
    let failure = failed(alone::execute(&ground.whole(90), &Progress::new(), &absent));
    assert_eq!(failure.class, FailureClass::Environment, "{failure:?}");
}

/// Poison kills who parses the record that it lies in: not its neighbours, and not who only goes over it.
#[test]
fn poison_is_of_one_record_and_can_be_set_aside() {
    let ground = Ground::new(20_000);
    let poison = ground.middle(2);
    let record = ground.bytes[..poison as usize].windows(3).rposition(|end| end == b"d\"\n").unwrap() as u64 + 3;
    let (start, size, poisoned) =
        (ground.found.data_start, ground.bytes.len() as u64, launch(Some(&format!("poison={poison}"))));
    let known = Some(ground.found.start);
    let attempt = |counter, range| alone::execute(&ground.lease(counter, range, known), &Progress::new(), &poisoned);
    let before = parsed(attempt(10, Span::new(start, record)));
    assert_eq!(before.span.end, record);
    assert_eq!(failed(attempt(11, Span::new(record, record + 1))).class, FailureClass::Crash);
    let mut lease = ground.lease(12, Span::new(record, record + 1), known);
    if let Task::Parse(task) = &mut lease.task {
        task.quarantine = true;
    }
    let aside = parsed(alone::execute(&lease, &Progress::new(), &poisoned));
    assert!((aside.span.start..aside.span.end).contains(&poison), "{:?} and {poison}", aside.span);
    assert_eq!((aside.counts.read, aside.counts.quarantined), (1, 1));
    let bytes = &ground.bytes[aside.span.start as usize..aside.span.end as usize];
    assert_eq!(aside.quarantined, Some(Checksum(Sha256::digest(bytes).into())));
    let after = parsed(attempt(13, Span::new(aside.span.end, size)));
    assert_eq!(before.counts.written + after.counts.written + 1, 20_000);
}

#[test]
fn a_revoked_attempt_alone_is_killed() {
    let ground = Ground::new(20_000);
    let poison = format!("poison={}:hang", ground.middle(3));
    let (lease, progress, launch) = (ground.whole(10), Progress::new(), launch(Some(&poison)));
    let failure = std::thread::scope(|scope| {
        let attempt = scope.spawn(|| failed(alone::execute(&lease, &progress, &launch)));
        let process = hanging(&poison);
        until("word of how far it is", || (progress.bytes_done() > 0).then_some(()));
        progress.revoke();
        until_gone(&process);
        attempt.join().unwrap()
    });
    assert_eq!(failure.class, FailureClass::Released);
    assert!(processes(&poison).is_empty());
    // What was revoked before it began does not begin.
    assert_eq!(failed(alone::execute(&lease, &progress, &launch)).class, FailureClass::Released);
    assert!(processes(&poison).is_empty());
}

#[test]
fn a_killed_attempt_alone_tells_the_signal() {
    let ground = Ground::new(20_000);
    let poison = format!("poison={}:hang", ground.middle(4));
    let (lease, progress, launch) = (ground.whole(10), Progress::new(), launch(Some(&poison)));
    let failure = std::thread::scope(|scope| {
        let attempt = scope.spawn(|| failed(alone::execute(&lease, &progress, &launch)));
        let process = hanging(&poison);
        until("word of how far it is", || (progress.bytes_done() > 0).then_some(()));
        // Signals that the worker decides about pass; others end it.
        signal("TERM", &process);
        signal("INT", &process);
        signal("KILL", &process);
        attempt.join().unwrap()
    });
    assert_eq!(failure.class, FailureClass::Crash);
    assert!(failure.message.contains("was killed by SIGKILL (signal 9)"), "{}", failure.message);
}

fn signal(signal: &str, process: &str) {
    let line = format!("kill -{signal} {process}");
    assert!(std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
}

/// A worker with one slot for these grants, that meets this poison.
fn worker(grants: &Grants, poison: &str) -> Process {
    Process::start(["worker", "--coordinator", &grants.url, "--slots", "1", "--chaos", poison])
}

#[test]
fn a_worker_lives_on_when_an_attempt_alone_dies() {
    let ground = Ground::new(20_000);
    let grants = Grants::serve();
    let mut worker = worker(&grants, &format!("poison={}:abort", ground.middle(5)));
    grants.welcomed();
    let (counter, cut) = (10, ground.found.data_start);
    let healthy = ground.lease(counter + 1, Span::new(cut, ground.middle(0) - 1_000), Some(ground.found.start));
    grants.say(CoordinatorSays::Grant(Box::new(ground.whole(counter))));
    let (attempt, outcome) = grants.report();
    assert_eq!(attempt, AttemptId::new(Epoch(1), counter));
    let failure = failed(outcome);
    assert_eq!(failure.class, FailureClass::Crash);
    assert!(failure.message.contains("SIGABRT"), "{}", failure.message);
    for alone in [true, false] {
        let mut lease = healthy.clone();
        lease.attempt = AttemptId::new(Epoch(1), counter + 1 + u32::from(alone));
        if let Task::Parse(task) = &mut lease.task {
            task.alone = alone;
        }
        grants.say(CoordinatorSays::Grant(Box::new(lease)));
        assert!(parsed(grants.report().1).counts.written > 0);
    }
    assert!(worker.running());
    worker.line_of_err("an attempt that was alone in a process failed");
}

#[test]
fn a_worker_tells_how_far_an_attempt_alone_is_and_a_revocation_frees_its_slot() {
    let ground = Ground::new(20_000);
    let (grants, poison) = (Grants::serve(), format!("poison={}:hang", ground.middle(6)));
    let _worker = worker(&grants, &poison);
    grants.welcomed();
    let lease = ground.whole(10);
    grants.say(CoordinatorSays::Grant(Box::new(lease.clone())));
    let process = hanging(&poison);
    grants.hear("a heartbeat that tells how far it is", |says| match says {
        WorkerSays::Heartbeat { progress, .. } => {
            progress.iter().any(|one| one.bytes_done > 0 && one.work > 0).then_some(())
        }
        _ => None,
    });
    grants.say(CoordinatorSays::Revoke { run: lease.run, attempt: lease.attempt });
    grants.hear("the slot", |says| matches!(says, WorkerSays::Wanted { slots: 1 }).then_some(()));
    until_gone(&process);
}

#[test]
fn no_attempt_alone_outlives_its_worker() {
    let ground = Ground::new(20_000);
    for (nth, how) in [(7, "KILL"), (8, "TERM")] {
        let (grants, poison) = (Grants::serve(), format!("poison={}:hang", ground.middle(nth)));
        let grace = ["--grace", "3"];
        let args = ["worker", "--coordinator", &grants.url, "--slots", "1", "--chaos", &poison];
        let worker = Process::start(args.iter().chain(&grace));
        grants.welcomed();
        grants.say(CoordinatorSays::Grant(Box::new(ground.whole(10))));
        let process = hanging(&poison);
        worker.signal(how);
        until_gone(&process);
        if how == "TERM" {
            // It is given back, and counts against nobody.
            assert_eq!(failed(grants.report().1).class, FailureClass::Released);
        }
    }
}
