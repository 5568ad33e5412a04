//! The scheduler as a dialogue: events in, exact actions out, and nothing more.

use std::collections::BTreeMap;

use batteuse_shared::ids::{AttemptId, Epoch, PartitionId, RunId, WorkerId};
use batteuse_shared::layout;
use batteuse_shared::limits::{
    FAILURES_CRASH_MAX, FILE_BYTES_DEFAULT, HUNG_MS_MIN, HUNG_TTLS, LEASE_TTL_MS, RETRY_BACKOFF_MS, SUSPECT_MS,
};
use batteuse_shared::report::{Reason, RunState};
use batteuse_shared::span::{Exit, ExitMap, Span, StateId};
use batteuse_shared::spec::{
    API_VERSION, Auto, Columns, Compression, Csv, Dialect, Encoding, Job, KIND, Metadata, Mode, Output, Parquet,
    Partition, Rejects, Source, Spec,
};
use batteuse_shared::table::{Checksum, Classes, Column, ColumnType, Counts, Digest};
use batteuse_shared::task::{
    Failure, FailureClass, Finished, Held, Inspected, Lease, Measured, Outcome, Parsed, Phases, Seam, SourceRef,
    SourceVersion, StagedPart, StagedRejects, Task,
};
use batteuse_shared::time::Millis;

mod folders;
mod operator;
mod poison;
mod queue;
mod redrive;
mod replacing;
mod seams;
mod stragglers;
mod tables;

use super::messages::{Accepted, Action, Done, Event, Fact, TaskKey, Timing};
use super::{Run, Scheduler};

const OUTSIDE: StateId = StateId(2);
const INSIDE: StateId = StateId(3);

fn run_id() -> RunId {
    RunId::new("job-1").unwrap()
}

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

/// A job over 30 bytes in three partitions of 10, header of 2 bytes.
fn accepted() -> Accepted {
    let url = "file:///in.csv".to_owned();
    let spec = Spec {
        source: Source { url: url.clone(), csv: Csv::default() },
        partition: Partition { bytes: Auto::Given(10) },
        columns: Columns::Infer,
        output: Output::parquet(Parquet {
            url: "file:///out/".to_owned(),
            compression: Compression::default(),
            file_bytes: FILE_BYTES_DEFAULT,
            mode: Mode::Error,
            partition_by: Vec::new(),
        }),
        rejects: Rejects::default(),
        priority: 0,
    };
    let metadata = Metadata { name: "job".to_owned() };
    let job = Job { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), metadata, spec };
    let version = SourceVersion { inode: 1, mtime_ns: 2, bytes: 30 };
    Accepted {
        run: run_id(),
        job,
        source: SourceRef { url, version },
        nonce: "n".to_owned(),
        standing: None,
        at: Millis(0),
    }
}

fn inspected(ctype: ColumnType) -> Outcome {
    let dialect = Dialect {
        delimiter: b",".to_vec(),
        quote: Some(b'"'),
        escape: None,
        comment: None,
        encoding: Encoding::Utf8,
        decimal: b'.',
    };
    let column = Column { name: "a".to_owned(), ctype, declared: false, format: None, nulls: Vec::new() };
    let found = Inspected {
        dialect,
        data_start: 2,
        start: StateId(0),
        preamble_lines: 1,
        columns: vec![column],
        measured: Measured::default(),
        partition_bytes: None,
    };
    Outcome::Inspected(Box::new(found))
}

/// What a worker reports of a lease: the record that starts at each range's start plus `shift` belongs to it.
struct Report {
    first: u64,
    end: u64,
    exits: BTreeMap<StateId, Exit>,
    classes: Classes,
    types: Option<ColumnType>,
    rows: u64,
    rejected: u64,
    merged_after: Option<u64>,
}

impl Report {
    fn outcome(self, lease: &Lease) -> Outcome {
        let Task::Parse(task) = &lease.task else { panic!("a parse task, not {:?}", lease.task) };
        let part = self.types.map(|_| StagedPart {
            key: layout::staged_part(task.partition, lease.attempt, 0),
            values: Vec::new(),
            bytes: 100,
            rows: self.rows,
            digest: Digest(u128::from(self.rows)),
            sha256: Checksum::default(),
            upload: None,
        });
        let counts = Counts {
            read: self.rows + self.rejected,
            written: self.rows,
            rejected: self.rejected,
            lines: self.rows + self.rejected,
            ..Counts::default()
        };
        Outcome::Parsed(Box::new(Parsed {
            first: Some(self.first),
            span: Span::new(self.first, self.end),
            end: task.range.end,
            exits: ExitMap(self.exits),
            counts,
            summaries: vec![self.classes],
            types: self.types.map(|t| vec![t]),
            parts: part.into_iter().collect(),
            table: None,
            rejects: (self.rejected > 0).then(|| StagedRejects {
                key: layout::staged_rejects(task.partition, lease.attempt),
                rows: self.rejected,
                bytes: 9,
                content: None,
                upload: None,
            }),
            seam: Seam { given: task.start.is_some(), merged_after: self.merged_after },
            phases: Phases { read_us: 1, parse_us: 20, encode_us: 300, stage_us: 4_000 },
            quarantined: None,
        }))
    }
}

/// A report as it is when nothing is odd: outside quotes at every cut, records of one byte, integers.
fn plain(lease: &Lease) -> Report {
    let Task::Parse(task) = &lease.task else { panic!("a parse task, not {:?}", lease.task) };
    let (first, end) = (task.range.start, task.range.end);
    let exit = |first| Exit { state: OUTSIDE, first: Some(first) };
    let inside = Exit { state: INSIDE, first: None };
    let exits = BTreeMap::from([(StateId(0), exit(first)), (OUTSIDE, exit(first)), (INSIDE, inside)]);
    let (types, rows) = (Some(task.columns[0].ctype), end - first);
    let merged_after = task.start.is_none().then_some(4.min(end - first));
    Report { first, end, exits, classes: Classes::INT_SHORT, types, rows, rejected: 0, merged_after }
}

fn finished(lease: &Lease, rows: u64) -> Outcome {
    let key = layout::staged_finish(lease.attempt);
    Outcome::Finished(Finished {
        rejects: StagedRejects { key, rows, bytes: 9, content: None, upload: None },
        shown: Vec::new(),
    })
}

struct Stage {
    scheduler: Scheduler,
    now: Millis,
    facts: Vec<Fact>,
}

impl Stage {
    fn new() -> Self {
        Self::timed(Timing::default())
    }

    fn timed(timing: Timing) -> Self {
        Self { scheduler: Scheduler::new(timing), now: Millis(0), facts: Vec::new() }
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let actions = self.scheduler.step(event, self.now);
        for action in &actions {
            if let Action::Record { fact, .. } = action {
                self.facts.push(fact.clone());
            }
        }
        actions
    }

    fn join(&mut self, name: &str, slots: u32) -> Vec<Lease> {
        grants(&self.step(Event::WorkerJoined { worker: worker(name), slots, running: Vec::new() }))
    }

    fn report(&mut self, name: &str, lease: &Lease, outcome: Outcome) -> Vec<Action> {
        let (run, attempt) = (lease.run.clone(), lease.attempt);
        self.step(Event::Reported { worker: worker(name), run, attempt, outcome })
    }

    /// A run that one worker with `slots` slots has inspected; the leases it holds.
    fn inspected(slots: u32) -> (Self, Vec<Lease>) {
        let mut stage = Self::new();
        stage.step(Event::Submitted(Box::new(accepted())));
        let leases = stage.join("w", slots);
        assert!(matches!(leases[..], [Lease { task: Task::Inspect(_), .. }]), "inspection comes first, and alone");
        let actions = stage.report("w", &leases[0], inspected(ColumnType::Int64));
        (stage, grants(&actions))
    }

    /// Replays what was recorded: the state must be the live one (REPLAY).
    fn replayed(&self) -> Run {
        Run::replay(self.facts.clone()).unwrap()
    }
}

fn held(lease: &Lease) -> Held {
    Held { run: lease.run.clone(), attempt: lease.attempt, task: lease.task.key() }
}

fn grants(actions: &[Action]) -> Vec<Lease> {
    let lease = |a: &Action| if let Action::Grant { lease, .. } = a { Some((**lease).clone()) } else { None };
    actions.iter().filter_map(lease).collect()
}

fn names(actions: &[Action]) -> Vec<String> {
    let name = |a: &Action| match a {
        Action::Record { fact, .. } => format!("record {}", format!("{fact:?}").split([' ', '(', '{']).next().unwrap()),
        Action::Grant { lease, .. } => match &lease.task {
            Task::Inspect(_) => "grant inspect".to_owned(),
            Task::Parse(t) => {
                format!("grant {} {}", t.partition, t.start.map_or("guess".to_owned(), |s| format!("from {}", s.0)))
            }
            Task::Finish(_) => "grant finish".to_owned(),
        },
        Action::Revoke { .. } => "revoke".to_owned(),
        Action::Shorten { end, .. } => format!("shorten to {end}"),
        Action::Ack { .. } => "ack".to_owned(),
        Action::Refuse { .. } => "refuse".to_owned(),
        Action::Drain { .. } => "drain".to_owned(),
        Action::Close { .. } => "close".to_owned(),
        Action::Alive { beat, .. } => format!("alive {beat}"),
        Action::Discard { unwanted, .. } => format!("discard {}", unwanted.len()),
        Action::Publish(plan) => format!("publish {} parts, success {}", plan.parts.len(), plan.success.is_some()),
    };
    actions.iter().map(name).collect()
}

#[test]
fn a_run_from_submission_to_its_end() {
    let mut stage = Stage::new();
    let said = stage.step(Event::Submitted(Box::new(accepted())));
    assert_eq!(names(&said), ["record RunAccepted", "record EpochBegun"]);
    let leases = stage.join("w", 2);
    let said = stage.report("w", &leases[0], inspected(ColumnType::Int64));
    assert_eq!(names(&said), ["record Inspected", "ack", "grant 0 from 0", "grant 1 guess"]);
    let leases = grants(&said);
    let said = stage.report("w", &leases[1], plain(&leases[1]).outcome(&leases[1]));
    assert_eq!(names(&said), ["record Staged", "ack", "grant 2 guess"]);
    let last = grants(&said);
    let said = stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    assert_eq!(names(&said), ["record Staged", "ack"]);
    let said = stage.report("w", &last[0], plain(&last[0]).outcome(&last[0]));
    let accepted = ["record Staged", "record SchemaSettled", "record Accepted", "record Accepted", "record Accepted"];
    assert_eq!(names(&said)[..5], accepted);
    assert_eq!(names(&said)[5..], ["ack", "grant finish"]);
    let finish = grants(&said);
    let said = stage.report("w", &finish[0], finished(&finish[0], 0));
    assert_eq!(names(&said), ["record FinishStaged", "record RunDecided", "publish 3 parts, success true", "ack"]);
    let said = stage.step(Event::Published { run: run_id() });
    assert_eq!(names(&said), ["record RunDone"]);
    let report = stage.replayed().report();
    assert_eq!((report.state, report.counts.written, report.files), (RunState::Succeeded, 28, 3));
    assert!(report.equation.holds);
    let status = stage.scheduler.statuses().next().unwrap();
    assert_eq!(status.report.as_deref(), Some(&report), "live and replayed are the same");
}

#[test]
fn a_wrong_guess_is_parsed_again_with_its_start_given_and_its_files_deleted() {
    let (mut stage, leases) = Stage::inspected(3);
    stage.report("w", &leases[1], plain(&leases[1]).outcome(&leases[1]));
    stage.report("w", &leases[2], plain(&leases[2]).outcome(&leases[2]));
    let mut first = plain(&leases[0]);
    first.exits.insert(StateId(0), Exit { state: INSIDE, first: Some(2) });
    first.end = 20;
    let said = stage.report("w", &leases[0], first.outcome(&leases[0]));
    assert_eq!(names(&said), ["record Staged", "discard 2", "ack", "grant 1 from 3", "grant 2 from 3"]);
    assert_eq!(stage.replayed().report().reruns.guesses, 2);
}

#[test]
fn other_types_are_parsed_again_with_the_schema_given() {
    let (mut stage, leases) = Stage::inspected(3);
    stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    stage.report("w", &leases[1], plain(&leases[1]).outcome(&leases[1]));
    let odd = Report { classes: Classes::TEXT, types: None, ..plain(&leases[2]) };
    let said = stage.report("w", &leases[2], odd.outcome(&leases[2]));
    let again = ["grant 0 from 0", "grant 1 from 2", "grant 2 from 2"];
    assert_eq!(names(&said)[..3], ["record Staged", "record SchemaSettled", "discard 2"]);
    assert_eq!(names(&said)[4..], again);
    for lease in grants(&said) {
        let Task::Parse(task) = &lease.task else { panic!() };
        assert_eq!(task.columns[0].ctype, ColumnType::Text);
        stage.report("w", &lease, Report { classes: Classes::TEXT, ..plain(&lease) }.outcome(&lease));
    }
    let report = stage.replayed().report();
    assert_eq!((report.reruns.types, report.reruns.guesses, report.accepted), (3, 0, 3));
}

#[test]
fn a_report_told_twice_loses_nothing() {
    let (mut stage, leases) = Stage::inspected(1);
    let outcome = plain(&leases[0]).outcome(&leases[0]);
    stage.report("w", &leases[0], outcome.clone());
    assert_eq!(names(&stage.report("w", &leases[0], outcome)), ["ack"]);
}

#[test]
fn the_first_staged_attempt_wins_and_the_late_one_changes_nothing() {
    let (mut stage, leases) = Stage::inspected(1);
    stage.step(Event::WorkerLeft { worker: worker("w") });
    stage.now = Millis(SUSPECT_MS);
    let said = stage.step(Event::Tick);
    assert_eq!(names(&said), ["record AttemptFailed"]);
    let again = stage.join("v", 1);
    assert_eq!(again.len(), 1);
    stage.report("v", &again[0], plain(&again[0]).outcome(&again[0]));
    let said = stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    assert_eq!(names(&said), ["ack"]);
}

#[test]
fn a_late_report_of_a_lost_attempt_saves_the_work() {
    let (mut stage, leases) = Stage::inspected(1);
    stage.step(Event::WorkerLeft { worker: worker("w") });
    stage.now = Millis(SUSPECT_MS);
    stage.step(Event::Tick);
    let said = stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    assert_eq!(names(&said), ["record Staged", "ack"]);
}

#[test]
fn a_stream_that_comes_back_in_time_keeps_its_leases() {
    let (mut stage, leases) = Stage::inspected(1);
    stage.step(Event::WorkerLeft { worker: worker("w") });
    stage.now = Millis(SUSPECT_MS - 1);
    let running = vec![held(&leases[0]), Held { attempt: AttemptId::new(Epoch(1), 7), ..held(&leases[0]) }];
    let said = stage.step(Event::WorkerJoined { worker: worker("w"), slots: 1, running });
    assert_eq!(names(&said), ["revoke"], "the unknown one is revoked, the known one goes on");
    stage.now = Millis(2 * SUSPECT_MS);
    assert_eq!(names(&stage.step(Event::Tick)), Vec::<String>::new());
}

#[test]
fn a_coordinator_that_was_taken_over_has_no_say_in_what_the_next_one_leased() {
    let (mut stage, leases) = Stage::inspected(1);
    let ahead = AttemptId::new(Epoch(7), 1);
    let said = stage.step(Event::WorkerJoined {
        worker: worker("v"),
        slots: 1,
        running: vec![Held { attempt: ahead, ..held(&leases[0]) }],
    });
    assert_eq!(names(&said), ["close"], "nothing is revoked, nothing is leased");
    let lease = Lease { attempt: ahead, ..leases[0].clone() };
    assert_eq!(names(&stage.report("w", &lease, plain(&lease).outcome(&lease))), [""; 0], "not even acknowledged");
}

#[test]
fn attempts_of_the_coordinator_before_go_on() {
    let (stage, leases) = Stage::inspected(3);
    let mut next = Stage { scheduler: Scheduler::default(), now: stage.now, facts: stage.facts.clone() };
    next.scheduler.adopt(stage.replayed(), next.now);
    next.facts.push(Fact::EpochBegun { epoch: Epoch(2), at: next.now });
    let none = Held { task: TaskKey::Parse(PartitionId(9)), ..held(&leases[1]) };
    let early = Held { task: TaskKey::Finish, ..held(&leases[2]) };
    let running = vec![held(&leases[0]), none, early];
    let said = next.step(Event::WorkerJoined { worker: worker("w"), slots: 3, running });
    let said = names(&said);
    assert_eq!(said, ["revoke", "revoke", "grant 1 guess", "grant 2 guess"], "tasks that are none, and none yet");
    let said = next.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    assert_eq!(names(&said), ["record Staged", "ack"]);
    assert_eq!(next.replayed().report(), next.scheduler.run(&run_id()).unwrap().report(), "REPLAY");
}

#[test]
fn a_silent_worker_loses_its_leases() {
    let (mut stage, _) = Stage::inspected(2);
    stage.now = Millis(LEASE_TTL_MS);
    assert_eq!(names(&stage.step(Event::Tick)), [""; 0], "it may not have heard yet that it is to stop");
    stage.now = Millis(2 * LEASE_TTL_MS);
    let said = names(&stage.step(Event::Tick));
    assert_eq!(said, ["close", "record AttemptFailed", "record AttemptFailed"], "its stream may be open still");
}

#[test]
fn a_worker_that_was_given_up_is_greeted_anew_and_goes_on_with_what_nobody_took() {
    let (mut stage, leases) = Stage::inspected(2);
    stage.now = Millis(2 * LEASE_TTL_MS);
    stage.step(Event::Tick);
    let heartbeat = |name| Event::Heartbeat { worker: worker(name), beat: 1, progress: Vec::new() };
    assert_eq!(names(&stage.step(heartbeat("w"))), ["close"], "it is not known any more");
    assert_eq!(names(&stage.step(Event::Offered { worker: worker("w"), slots: 2 })), ["close"]);
    let taken = stage.join("v", 1);
    let running = leases.iter().map(held).collect();
    let said = stage.step(Event::WorkerJoined { worker: worker("w"), slots: 2, running });
    let again = leases.iter().find(|l| l.task == taken[0].task).expect("v has one of the two");
    let revoked = Action::Revoke { worker: worker("w"), run: run_id(), attempt: again.attempt };
    assert_eq!((names(&said), &said[0]), (vec!["revoke".to_owned(), "grant 2 guess".to_owned()], &revoked));
    assert_eq!(names(&stage.step(heartbeat("w"))), ["alive 1"]);
    let kept = leases.iter().find(|l| l.attempt != again.attempt).unwrap();
    let said = names(&stage.report("w", kept, plain(kept).outcome(kept)));
    assert_eq!(said, ["record Staged", "ack"]);
}

#[test]
fn a_silent_worker_gets_nothing_more() {
    let (mut stage, leases) = Stage::inspected(2);
    stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    let mut more = stage.join("v", 1);
    assert_eq!(more.len(), 0, "w has the rest");
    stage.now = Millis(LEASE_TTL_MS);
    stage.step(Event::WorkerLeft { worker: worker("v") });
    more = grants(&stage.step(Event::Tick));
    assert_eq!(more, [], "w has not been heard for a lease's time");
}

#[test]
fn an_attempt_that_does_nothing_is_given_up_while_its_worker_lives() {
    let (mut stage, leases) = Stage::inspected(2);
    let beat = |number, work: u64| {
        let done = |lease: &Lease, work| (lease.run.clone(), lease.attempt, Done { bytes: 5, work, end: None });
        let progress = vec![done(&leases[0], work), done(&leases[1], 1)];
        Event::Heartbeat { worker: worker("w"), beat: number, progress }
    };
    let hung_s = (HUNG_TTLS * LEASE_TTL_MS).max(HUNG_MS_MIN) / 1_000;
    for second in 1..hung_s {
        stage.now = Millis(second * 1_000);
        assert_eq!(names(&stage.step(beat(second, second))), [format!("alive {second}")]);
        assert_eq!(names(&stage.step(Event::Tick)), [""; 0]);
    }
    stage.now = Millis(1_000 + 1_000 * hung_s);
    stage.step(beat(hung_s, hung_s));
    let said = names(&stage.step(Event::Tick));
    assert_eq!(
        said,
        ["revoke", "record AttemptFailed"],
        "bytes alone are no work, and its thread has no room for another"
    );
    let free = names(&stage.step(Event::Offered { worker: worker("w"), slots: 2 }));
    assert_eq!(free, ["grant 1 guess"], "it has ended after all");
    let failed = stage.facts.iter().find_map(|fact| match fact {
        Fact::AttemptFailed { failure, .. } => Some(failure.clone()),
        _ => None,
    });
    let failed = failed.unwrap();
    let words = format!("worker w has done nothing for {hung_s} s while it ran partition 1");
    assert_eq!((failed.class, failed.message), (FailureClass::Hung, words));
}

#[test]
fn the_environment_holds_a_run_up_without_a_fact() {
    let (mut stage, leases) = Stage::inspected(2);
    let full = || Outcome::Failed(Failure { class: FailureClass::Environment, message: "disk full".to_owned() });
    for lease in &leases {
        assert_eq!(names(&stage.report("w", lease, full())), ["ack"]);
    }
    let status = stage.scheduler.statuses().next().unwrap();
    assert_eq!((status.stalled, status.leases), (Some((1, "disk full".to_owned())), 0), "one hiccup");
    stage.now = Millis(RETRY_BACKOFF_MS);
    assert_eq!(grants(&stage.step(Event::Tick)).len(), 2, "it goes on");
}

#[test]
fn what_was_not_asked_for_is_a_failure_of_the_attempt() {
    let (mut stage, leases) = Stage::inspected(2);
    let said = names(&stage.report("w", &leases[0], finished(&leases[0], 0)));
    assert_eq!(said, ["record AttemptFailed", "ack", "grant 0 from 0"]);
    let Outcome::Parsed(mut parsed) = plain(&leases[1]).outcome(&leases[1]) else { panic!() };
    parsed.parts[0].key = layout::STAGING_NONCE.to_owned();
    let said = names(&stage.report("w", &leases[1], Outcome::Parsed(parsed)));
    assert_eq!(said, ["record AttemptFailed", "ack", "grant 1 guess"], "a file that is not its own is not deleted");
    let (mut stage, leases) = Stage::inspected(1);
    let mut report = plain(&leases[0]);
    report.exits.remove(&StateId(0));
    let said = names(&stage.report("w", &leases[0], report.outcome(&leases[0])));
    assert_eq!(said, ["record AttemptFailed", "discard 1", "ack", "grant 0 from 0"], "the given start must be tried");
}

#[test]
fn a_start_that_was_not_tried_is_parsed_again_with_it_given() {
    let (mut stage, leases) = Stage::inspected(3);
    let mut report = plain(&leases[1]);
    report.exits.remove(&OUTSIDE);
    assert_eq!(names(&stage.report("w", &leases[1], report.outcome(&leases[1]))), ["record Staged", "ack"]);
    let said = names(&stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0])));
    assert_eq!(said, ["record Staged", "discard 1", "ack", "grant 1 from 2"]);
}

#[test]
fn a_task_that_crashes_too_often_fails_the_run_but_leaves_its_rejects() {
    let mut stage = Stage::new();
    stage.step(Event::Submitted(Box::new(accepted())));
    let mut leases = stage.join("w", 1);
    let crash = || Outcome::Failed(Failure { class: FailureClass::Crash, message: "boom".to_owned() });
    let mut said = Vec::new();
    for _ in 0..FAILURES_CRASH_MAX {
        said = stage.report("w", &leases[0], crash());
        leases = grants(&said);
    }
    assert_eq!(names(&said), ["record AttemptFailed", "ack", "grant finish"]);
    let said = stage.report("w", &leases[0], finished(&leases[0], 0));
    assert_eq!(names(&said), ["record FinishStaged", "record RunDecided", "publish 0 parts, success false", "ack"]);
    let report = stage.replayed().report();
    let failed = Some(Reason::TaskFailed { message: "the inspection: boom".to_owned() });
    assert_eq!((report.state, report.reason), (RunState::Failed, failed));
}

#[test]
fn rejects_beyond_tolerance_fail_the_run() {
    let (mut stage, mut leases) = Stage::inspected(3);
    for lease in leases.clone() {
        let report = plain(&lease);
        let bad = Report { rows: report.rows - 1, rejected: 1, ..report };
        leases = grants(&stage.report("w", &lease, bad.outcome(&lease)));
    }
    let Task::Finish(task) = &leases[0].task else { panic!() };
    let places: Vec<_> = task.pieces.iter().map(|p| (p.rows, p.lines_before, p.records_before)).collect();
    assert_eq!(places, [(1, 1, 0), (1, 9, 8), (1, 19, 18)], "the header is a line, and spans add up");
    let said = stage.report("w", &leases[0], finished(&leases[0], 3));
    assert!(names(&said).contains(&"publish 0 parts, success false".to_owned()), "{said:?}");
    assert_eq!(stage.replayed().report().reason, Some(Reason::TooManyRejects));
}

#[test]
fn spans_that_do_not_tile_are_never_published() {
    let (mut stage, mut leases) = Stage::inspected(3);
    for lease in leases.clone() {
        let mut report = plain(&lease);
        report.end += u64::from(report.first == 10);
        leases = grants(&stage.report("w", &lease, report.outcome(&lease)));
    }
    stage.report("w", &leases[0], finished(&leases[0], 0));
    let report = stage.replayed().report();
    assert_eq!(report.state, RunState::Failed);
    assert!(
        matches!(&report.reason, Some(Reason::Invariant { message }) if message.starts_with("TILES")),
        "{report:?}"
    );
}

#[test]
fn figures_that_cannot_be_true_are_not_believed() {
    let (mut stage, leases) = Stage::inspected(1);
    let Outcome::Parsed(mut parsed) = plain(&leases[0]).outcome(&leases[0]) else { panic!() };
    parsed.counts.written += 1;
    let said = stage.report("w", &leases[0], Outcome::Parsed(parsed));
    assert_eq!(names(&said), ["record AttemptFailed", "discard 1", "ack", "grant 0 from 0"]);
}

#[test]
fn a_worker_that_does_not_see_the_staging_folder_is_refused_without_harm_to_the_task() {
    let (mut stage, leases) = Stage::inspected(2);
    let unseen = Failure { class: FailureClass::Unseen, message: "not seen".to_owned() };
    let said = stage.report("w", &leases[0], Outcome::Failed(unseen));
    assert_eq!(names(&said), ["ack", "refuse"]);
    assert_eq!(stage.join("v", 3).len(), 3, "both leases are free again");
}

#[test]
fn a_cancelled_run_publishes_its_report_only() {
    let (mut stage, _) = Stage::inspected(2);
    let said = stage.step(Event::Cancelled { run: run_id(), message: "enough".to_owned() });
    assert_eq!(names(&said), ["record RunAborted", "revoke", "revoke", "publish 0 parts, success false"]);
    stage.step(Event::Published { run: run_id() });
    assert_eq!(stage.replayed().report().state, RunState::Cancelled);
}

#[test]
fn a_replayed_run_goes_on_where_its_facts_end() {
    let (mut stage, leases) = Stage::inspected(3);
    stage.report("w", &leases[1], plain(&leases[1]).outcome(&leases[1]));
    let mut next = Stage::new();
    let actions = next.scheduler.adopt(stage.replayed(), Millis(5));
    assert_eq!(names(&actions), ["record EpochBegun"]);
    let leases = next.join("v", 9);
    let partitions: Vec<_> =
        leases.iter().map(|l| if let Task::Parse(t) = &l.task { t.partition } else { panic!() }).collect();
    assert_eq!(partitions, [PartitionId(0), PartitionId(2)], "what is staged is not done again");
    assert!(leases.iter().all(|l| l.attempt.epoch() == Epoch(2)), "attempts of another epoch have other numbers");
}
