//! What operators ask for: runs that are held and let go, cancelled and decided at once, workers that are to leave.

use batteuse_shared::limits::SUSPECT_MS;
use batteuse_shared::report::Report as RunReport;
use batteuse_shared::status::{Waits, WorkerStatus};

use super::*;

fn pause() -> Event {
    Event::Paused { run: run_id() }
}

fn unpause() -> Event {
    Event::Unpaused { run: run_id() }
}

fn draining(name: &str) -> Event {
    Event::Draining { worker: worker(name) }
}

/// What is reported of a lease when nothing is odd.
fn usual(lease: &Lease) -> Outcome {
    match &lease.task {
        Task::Inspect(_) => inspected(ColumnType::Int64),
        Task::Parse(_) => plain(lease).outcome(lease),
        Task::Finish(_) => finished(lease, 0),
    }
}

impl Stage {
    /// Reports all leases and those that come of it, in order, until there are none.
    fn work(&mut self, leases: Vec<Lease>) {
        let mut leases = std::collections::VecDeque::from(leases);
        while let Some(lease) = leases.pop_front() {
            let outcome = usual(&lease);
            leases.extend(grants(&self.report("w", &lease, outcome)));
        }
    }

    fn state(&self) -> RunState {
        self.scheduler.statuses().next().unwrap().state
    }

    /// The report of a run that is decided, once it is published.
    fn published(&mut self) -> RunReport {
        assert_eq!(names(&self.step(Event::Published { run: run_id() })), ["record RunDone"]);
        self.replayed().report()
    }
}

#[test]
fn a_paused_run_leases_nothing_and_what_is_under_way_counts() {
    let (mut stage, leases) = Stage::inspected(2);
    assert_eq!(names(&stage.step(pause())), ["record Paused"]);
    assert_eq!(names(&stage.step(pause())), [""; 0], "it is paused already");
    assert_eq!(stage.scheduler.statuses().next().unwrap().waits, Some(Waits::Unpause));
    assert_eq!(names(&stage.report("w", &leases[0], usual(&leases[0]))), ["record Staged", "ack"]);
    let back = Outcome::Failed(Failure { class: FailureClass::Released, message: "leaving".to_owned() });
    assert_eq!(names(&stage.report("w", &leases[1], back)), ["ack"]);
    assert_eq!(stage.join("v", 9), [], "nobody gets anything of it");
    stage.now = Millis(SUSPECT_MS);
    assert_eq!(names(&stage.step(Event::Tick)), [""; 0]);
    assert_eq!(stage.state(), RunState::Paused);
    assert_eq!(names(&stage.step(unpause())), ["record Unpaused", "grant 1 from 2", "grant 2 guess"]);
    assert_eq!(names(&stage.step(unpause())), [""; 0], "it goes on already");
    assert_eq!(stage.state(), RunState::Running);
}

#[test]
fn a_run_that_is_paused_again_and_again_comes_to_the_same_report() {
    let report = |pauses: bool| {
        let mut stage = Stage::new();
        stage.step(Event::Submitted(Box::new(accepted())));
        let mut leases = stage.join("w", 1);
        while let Some(lease) = leases.pop() {
            if pauses {
                stage.step(pause());
            }
            leases.extend(grants(&stage.report("w", &lease, usual(&lease))));
            assert!(!pauses || leases.is_empty() || stage.state() == RunState::Publishing);
            leases.extend(grants(&stage.step(unpause())));
        }
        let paused = stage.facts.iter().filter(|fact| matches!(fact, Fact::Paused { .. })).count();
        assert_eq!(paused, if pauses { 5 } else { 0 });
        stage.published()
    };
    assert_eq!(report(true), report(false));
}

#[test]
fn a_pause_survives_take_over() {
    let (mut stage, leases) = Stage::inspected(2);
    stage.step(pause());
    let mut next = Stage { scheduler: Scheduler::default(), now: stage.now, facts: stage.facts.clone() };
    next.scheduler.adopt(stage.replayed(), next.now);
    next.facts.push(Fact::EpochBegun { epoch: Epoch(2), at: next.now });
    let running = vec![held(&leases[0])];
    let said = next.step(Event::WorkerJoined { worker: worker("w"), slots: 2, running });
    assert_eq!(names(&said), [""; 0], "what is under way goes on, and nothing more");
    assert_eq!(names(&next.report("w", &leases[0], usual(&leases[0]))), ["record Staged", "ack"]);
    let said = next.step(unpause());
    assert_eq!(names(&said), ["record Unpaused", "grant 1 from 2", "grant 2 guess"]);
    next.work(grants(&said));
    assert_eq!(next.published().state, RunState::Succeeded);
}

#[test]
fn what_was_under_way_decides_a_paused_run_which_is_paused_no_more() {
    let mut stage = Stage::new();
    stage.step(Event::Submitted(Box::new(accepted())));
    let mut leases = stage.join("w", 1);
    while !matches!(leases[0].task, Task::Finish(_)) {
        leases = grants(&stage.report("w", &leases[0], usual(&leases[0])));
    }
    stage.step(pause());
    let said = stage.report("w", &leases[0], usual(&leases[0]));
    assert_eq!(names(&said), ["record FinishStaged", "record RunDecided", "publish 3 parts, success true", "ack"]);
    assert_eq!(stage.state(), RunState::Publishing);
    assert_eq!(names(&stage.step(pause())), [""; 0], "a decided run is not held");
    assert_eq!(names(&stage.step(unpause())), [""; 0]);
    stage.published();
    assert_eq!(names(&stage.step(pause())), [""; 0], "nor one that has ended");
}

#[test]
fn a_paused_run_can_be_cancelled() {
    let (mut stage, _) = Stage::inspected(2);
    stage.step(pause());
    let said = stage.step(Event::Cancelled { run: run_id(), message: "enough".to_owned() });
    assert_eq!(names(&said), ["record RunAborted", "revoke", "revoke", "publish 0 parts, success false"]);
    assert_eq!(stage.published().state, RunState::Cancelled);
}

#[test]
fn a_run_is_cancelled_or_decided_whichever_comes_first() {
    for cancelled_first in [true, false] {
        let mut stage = Stage::new();
        stage.step(Event::Submitted(Box::new(accepted())));
        let mut leases = stage.join("w", 1);
        while !matches!(leases[0].task, Task::Finish(_)) {
            leases = grants(&stage.report("w", &leases[0], usual(&leases[0])));
        }
        let cancel = Event::Cancelled { run: run_id(), message: "enough".to_owned() };
        let mut said = Vec::new();
        if cancelled_first {
            said.extend(stage.step(cancel.clone()));
        }
        said.extend(stage.report("w", &leases[0], usual(&leases[0])));
        said.extend(stage.step(cancel));
        let said = names(&said);
        let publishes = |name: &&str| name.starts_with("publish");
        let published = said.iter().map(String::as_str).filter(publishes).collect::<Vec<_>>();
        let decided = stage.facts.iter().filter(|f| matches!(f, Fact::RunDecided(_) | Fact::RunAborted(_))).count();
        let (state, plan) = if cancelled_first {
            (RunState::Cancelled, "publish 0 parts, success false")
        } else {
            (RunState::Succeeded, "publish 3 parts, success true")
        };
        assert_eq!((published, decided), (vec![plan], 1), "{said:?}");
        assert_eq!(stage.published().state, state);
    }
}

#[test]
fn a_draining_worker_is_told_once_a_stream_and_gets_nothing_more() {
    let (mut stage, leases) = Stage::inspected(2);
    let drain = [Action::Drain { worker: worker("w") }];
    assert_eq!(stage.step(draining("w")), drain);
    assert_eq!(names(&stage.report("w", &leases[0], usual(&leases[0]))), ["record Staged", "ack"], "and no grant");
    let status = |slots, leases, connected, draining| WorkerStatus {
        worker: worker("w"),
        slots,
        leases,
        silent_ms: 0,
        connected,
        draining,
        aside: false,
    };
    assert_eq!(stage.scheduler.workers(stage.now).collect::<Vec<_>>(), [status(2, 1, true, true)]);
    stage.step(Event::WorkerLeft { worker: worker("w") });
    assert_eq!(stage.scheduler.workers(stage.now).collect::<Vec<_>>(), [status(2, 1, false, true)]);
    let running = vec![held(&leases[1])];
    let said = stage.step(Event::WorkerJoined { worker: worker("w"), slots: 2, running });
    assert_eq!(said, drain, "it may not have heard it");
    assert_eq!(stage.join("v", 1).len(), 1, "others get what it might have had");
    let back = Outcome::Failed(Failure { class: FailureClass::Released, message: "leaving".to_owned() });
    assert_eq!(names(&stage.report("w", &leases[1], back)), ["ack"], "given back, without a fact");
    assert_eq!(names(&stage.step(draining("nobody"))), [""; 0]);
}

#[test]
fn a_worker_that_leaves_by_itself_is_shown_as_draining() {
    let (mut stage, _) = Stage::inspected(1);
    stage.now = Millis(1_500);
    stage.step(Event::Offered { worker: worker("w"), slots: 0 });
    stage.now = Millis(2_000);
    let status = stage.scheduler.workers(stage.now).next().unwrap();
    assert_eq!((status.slots, status.leases, status.silent_ms, status.draining), (0, 1, 500, true));
}

#[test]
fn a_pause_is_read_from_a_journal_as_it_was_written() {
    for (fact, text) in [
        (Fact::Paused { at: Millis(5) }, r#"{"Paused":{"at":5}}"#),
        (Fact::Unpaused { at: Millis(6) }, r#"{"Unpaused":{"at":6}}"#),
    ] {
        assert_eq!(serde_json::to_string(&fact).unwrap(), text);
        assert_eq!(serde_json::from_str::<Fact>(text).unwrap(), fact);
    }
}
