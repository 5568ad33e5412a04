//! A worker's side of the protocol as a dialogue: what it hears, what it says and does, and nothing more.

use std::collections::BTreeMap;

use batteuse_proto::{CoordinatorSays, Progress, WorkerSays};
use batteuse_shared::ids::{AttemptId, RunId, WorkerId};
use batteuse_shared::spec::{Columns, Compression, Csv};
use batteuse_shared::task::{
    Failure, FailureClass, InspectTask, Lease, Outcome, SourceRef, SourceVersion, Staging, Task,
};
use batteuse_shared::time::Millis;

use super::{Act, Far, Heard, Key, Session};

const TTL: u64 = 100;

fn key(attempt: u64) -> Key {
    (RunId::new("run").unwrap(), AttemptId(attempt))
}

fn lease(attempt: u64) -> Box<Lease> {
    let version = SourceVersion { inode: 1, mtime_ns: 2, bytes: 3 };
    let task = Task::Inspect(InspectTask {
        source: SourceRef { url: "file:///in.csv".to_owned(), version },
        csv: Csv::default(),
        columns: Columns::Infer,
        compression: Compression::default(),
        table: None,
        staging: Staging { output_url: "file:///out/".to_owned(), nonce: "n".to_owned() },
    });
    let (run, attempt) = key(attempt);
    Box::new(Lease { run, attempt, task })
}

fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed(Failure { class, message: "so it went".to_owned() })
}

fn report(attempt: u64, outcome: Outcome) -> Act {
    let (run, attempt) = key(attempt);
    Act::Say(WorkerSays::Report { run, attempt, outcome })
}

fn welcome(asked_at: u64) -> Heard {
    Heard::Welcome { asked_at: Millis(asked_at), lease_ttl_ms: TTL }
}

fn grant(attempt: u64) -> Heard {
    Heard::Said(CoordinatorSays::Grant(lease(attempt)))
}

/// A worker that was welcomed at 0 and runs attempt 1.
fn at_work() -> Session {
    let mut session = Session::new(WorkerId::new("w").unwrap(), 2);
    assert_eq!(session.step(welcome(0), Millis(0)), []);
    assert_eq!(session.step(grant(1), Millis(1)), [Act::Start(lease(1))]);
    session
}

fn running(session: &mut Session) -> Vec<Key> {
    match session.hello() {
        WorkerSays::Hello(hello) => hello.running.into_iter().map(|held| (held.run, held.attempt)).collect(),
        other => panic!("a greeting, not {other:?}"),
    }
}

#[test]
fn a_report_is_told_until_it_is_acknowledged() {
    let mut session = at_work();
    let outcome = failed(FailureClass::Environment);
    assert_eq!(session.step(Heard::Closed, Millis(2)), []);
    assert_eq!(session.step(Heard::Ended(key(1), outcome.clone()), Millis(3)), [], "there is nobody to tell");
    for at in [4, 5] {
        assert_eq!(session.step(welcome(at), Millis(at)), [report(1, outcome.clone())]);
    }
    let (run, attempt) = key(1);
    assert_eq!(session.step(Heard::Said(CoordinatorSays::Ack { run, attempt }), Millis(6)), []);
    assert_eq!(session.step(welcome(7), Millis(7)), []);
    assert!(session.is_idle());
}

#[test]
fn what_is_revoked_is_forgotten_and_stopped() {
    let mut session = at_work();
    let (run, attempt) = key(1);
    let revoke = Heard::Said(CoordinatorSays::Revoke { run, attempt });
    let offer = |slots| Act::Say(WorkerSays::Wanted { slots });
    assert_eq!(session.step(revoke.clone(), Millis(2)), [Act::Stop(key(1)), offer(1)], "its thread is at work yet");
    assert_eq!(session.step(revoke, Millis(2)), []);
    assert_eq!(session.step(Heard::Ended(key(1), failed(FailureClass::Released)), Millis(3)), [offer(2)]);
    assert_eq!(running(&mut session), []);
}

#[test]
fn a_worker_that_nobody_answers_stops_in_time() {
    let mut session = at_work();
    let beat = |work| Heard::Beat { progress: BTreeMap::from([(key(1), Far { bytes: work, work, end: None })]) };
    let said = |beat, work| {
        let (run, attempt) = key(1);
        let progress = vec![Progress { run, attempt, bytes_done: work, work, end: None }];
        [Act::Say(WorkerSays::Heartbeat { beat, progress })]
    };
    assert_eq!(session.step(beat(1), Millis(20)), said(1, 1));
    assert_eq!(session.step(beat(2), Millis(40)), said(2, 2));
    assert_eq!(session.step(Heard::Said(CoordinatorSays::Alive { beat: 1 }), Millis(90)), []);
    assert_eq!(session.step(Heard::Tick, Millis(20 + TTL - 1)), [], "counted from when it spoke, not from the answer");
    assert_eq!(session.step(Heard::Tick, Millis(20 + TTL)), [Act::Stop(key(1)), Act::HangUp]);
    assert_eq!(session.step(Heard::Closed, Millis(20 + TTL + 1)), [], "once");
    session.step(welcome(129), Millis(129));
    let released = failed(FailureClass::Released);
    assert_eq!(session.step(Heard::Ended(key(1), released.clone()), Millis(130)), [report(1, released)]);
}

#[test]
fn an_answer_of_another_stream_says_nothing() {
    let mut session = at_work();
    session.step(Heard::Beat { progress: BTreeMap::new() }, Millis(50));
    session.step(Heard::Closed, Millis(60));
    session.step(Heard::Said(CoordinatorSays::Alive { beat: 1 }), Millis(61));
    assert_eq!(session.step(Heard::Tick, Millis(TTL)), [Act::Stop(key(1))]);
}

#[test]
fn one_that_leaves_finishes_what_it_has_and_gives_back_the_rest() {
    let mut session = at_work();
    session.step(grant(2), Millis(2));
    let nothing_more = || Act::Say(WorkerSays::Wanted { slots: 0 });
    assert_eq!(session.step(Heard::Leave, Millis(3)), [nothing_more()]);
    let late = session.step(grant(3), Millis(4));
    assert!(
        matches!(&late[..], [Act::Say(WorkerSays::Report { outcome: Outcome::Failed(f), .. })] if f.class == FailureClass::Released)
    );
    let done = failed(FailureClass::Crash);
    assert_eq!(session.step(Heard::Ended(key(1), done.clone()), Millis(5)), [report(1, done.clone())]);
    assert_eq!(session.step(Heard::GiveBack, Millis(6)), [Act::Stop(key(2))]);
    let again = session.step(welcome(7), Millis(7));
    assert_eq!(
        (&again[0], again.len(), again.last()),
        (&report(1, done), 3, Some(&nothing_more())),
        "to whoever comes next"
    );
    assert!(session.is_leaving() && !session.is_idle());
}
